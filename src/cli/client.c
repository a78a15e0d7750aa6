#include "cli/client.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/memory.h"
#include "cli/problem.h"
#include "dispatch/fetch.h"

#define KEY_MAX 4096
#define TIMEOUT_MS 60000

// What goes into a header must not be able to begin another one.
static bool is_one_line(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            return false;
    return true;
}

static enum leave find_base(struct client *client, const struct options *options, char *why,
                            size_t size)
{
    const char *url = options_text(options, "url"), *from = "--url";
    if (!url) {
        url = getenv("PUNCTUAL_URL");
        from = "PUNCTUAL_URL";
    }
    if (!url || !*url)
        url = CLIENT_URL;
    bool http = strncasecmp(url, "http://", 7) == 0 && url[7];
    bool https = strncasecmp(url, "https://", 8) == 0 && url[8];
    if ((!http && !https) || strpbrk(url, " ?#\"<>\\") || !is_one_line(url)) {
        snprintf(why, size, "%s is \"%s\": it must be like " CLIENT_URL, from, url);
        return LEAVE_USAGE;
    }
    client->base = memory_text(url);
    for (size_t end = strlen(client->base); client->base[end - 1] == '/'; end--)
        client->base[end - 1] = '\0';
    return LEAVE_OK;
}

static enum leave read_key_file(const char *path, char **ret, char *why, size_t size)
{
    FILE *file = fopen(path, "re");
    if (!file) {
        snprintf(why, size, "cannot read the API key from %s: %m", path);
        return LEAVE_USAGE;
    }
    char key[KEY_MAX + 1];
    size_t length = fread(key, 1, KEY_MAX, file);
    bool failed = ferror(file);
    fclose(file);
    key[length] = '\0';
    key[strcspn(key, "\r\n")] = '\0';
    if (failed || !*key) {
        snprintf(why, size, "there is no API key in %s: its first line should be the key", path);
        return LEAVE_USAGE;
    }
    *ret = memory_text(key);
    return LEAVE_OK;
}

static enum leave find_key(struct client *client, const struct options *options, char *why,
                           size_t size)
{
    const char *file = options_text(options, "api-key-file"), *key = getenv("PUNCTUAL_API_KEY");
    if (file) {
        enum leave leave = read_key_file(file, &client->key, why, size);
        if (leave != LEAVE_OK)
            return leave;
    } else if (key && *key) {
        client->key = memory_text(key);
    }
    if (client->key && !is_one_line(client->key)) {
        snprintf(why, size, "the API key holds control characters: it must be one line of text");
        return LEAVE_USAGE;
    }
    return LEAVE_OK;
}

static enum leave find_author(struct client *client, const struct options *options, char *why,
                              size_t size)
{
    const char *author = options_text(options, "author");
    if (!author)
        author = getenv("PUNCTUAL_AUTHOR");
    if (author && *author) {
        if (!is_one_line(author)) {
            snprintf(why, size, "the author holds control characters: it must be one line of text");
            return LEAVE_USAGE;
        }
        client->author = memory_text(author);
        return LEAVE_OK;
    }
    char host[256] = "localhost";
    gethostname(host, sizeof host - 1);
    const struct passwd *user = getpwuid(geteuid());
    struct buffer text;
    buffer_init(&text, 512);
    buffer_format(&text, "%s@%s", user ? user->pw_name : "unknown", host);
    client->author = buffer_take(&text, NULL);
    return LEAVE_OK;
}

enum leave client_open(struct client *ret, const struct options *options, char *why, size_t size)
{
    *ret = (struct client){0};
    enum leave leave = find_base(ret, options, why, size);
    if (leave == LEAVE_OK)
        leave = find_key(ret, options, why, size);
    if (leave == LEAVE_OK)
        leave = find_author(ret, options, why, size);
    if (leave != LEAVE_OK)
        client_close(ret);
    return leave;
}

void client_close(struct client *client)
{
    free(client->base);
    free(client->key);
    free(client->author);
    *client = (struct client){0};
}

void client_answer_done(struct answer *answer)
{
    buffer_done(&answer->text);
    json_decref(answer->json);
    *answer = (struct answer){0};
}

#define HEADERS_MAX 8

// Fills in "Name: value" lines, each its own memory, NULL-terminated; a header without a value is
// left out.
static void write_headers(const struct client *client, const struct request *request,
                          char *headers[static HEADERS_MAX])
{
    const struct {
        const char *name, *before, *value;
    } rows[] = {
        {"Accept", "",
         request->accept ? request->accept : "application/json, application/problem+json"},
        {"User-Agent", "", "punctual/" PUNCTUAL_VERSION},
        {"Authorization", "Bearer ", client->key},
        {"Punctual-Author", "", strcmp(request->method, "GET") == 0 ? NULL : client->author},
        {"Content-Type", "", request->body ? "application/json" : NULL},
        {"Idempotency-Key", "", request->key},
        {"Last-Event-ID", "", request->last_event},
    };
    size_t count = 0;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (!rows[i].value)
            continue;
        struct buffer line;
        buffer_init(&line, KEY_MAX + 100);
        buffer_format(&line, "%s: %s%s", rows[i].name, rows[i].before, rows[i].value);
        headers[count++] = buffer_take(&line, NULL);
    }
    headers[count] = NULL;
}

// What the answer means, once it is there.
static enum leave judge(const struct client *client, const struct request *request,
                        struct answer *answer)
{
    struct json_place place;
    if (answer->text.size &&
        json_read(answer->text.data, answer->text.size, &answer->json, &place) != STATUS_OK)
        answer->json = NULL;
    enum leave leave = problem_leave(answer->status);
    if (leave == LEAVE_OK && !request->piece && !answer->json && answer->status != 204) {
        leave = LEAVE_TROUBLE;
        snprintf(answer->why, sizeof answer->why,
                 "the answer of %.200s is not JSON: is this the address of a Punctual server?",
                 client->base);
    } else if (leave != LEAVE_OK) {
        snprintf(answer->why, sizeof answer->why, "%.200s answered %d", client->base,
                 answer->status);
    }
    return leave;
}

enum leave client_ask(const struct client *client, const struct request *request,
                      struct answer *ret)
{
    *ret = (struct answer){0};
    struct buffer url;
    buffer_init(&url, 64 << 10);
    buffer_format(&url, "%s%s", client->base, request->path);
    char *headers[HEADERS_MAX];
    write_headers(client, request, headers);
    struct fetch fetch_ = {
        .method = request->method,
        .url = buffer_string(&url),
        .headers = (const char *const *)headers,
        .body = request->body,
        .body_size = request->body ? strlen(request->body) : 0,
        .timeout_ms = request->piece ? 0 : TIMEOUT_MS,
        .piece = request->piece,
        .context = request->context,
    };
    buffer_init(&fetch_.answer, CLIENT_ANSWER_MAX);
    buffer_init(&fetch_.etag, 256);
    enum status status = url.overflow ? STATUS_TOO_LARGE : fetch(&fetch_);
    ret->status = fetch_.status;
    ret->text = fetch_.answer;
    enum leave leave = LEAVE_UNREACHABLE;
    if (url.overflow) {
        leave = LEAVE_USAGE;
        snprintf(ret->why, sizeof ret->why, "that makes a URL of more than 64 KiB");
    } else if (status == STATUS_OK || status == STATUS_END) {
        leave = judge(client, request, ret);
    } else {
        snprintf(ret->why, sizeof ret->why, "%s", fetch_.why);
    }
    buffer_done(&fetch_.etag);
    buffer_done(&url);
    for (size_t i = 0; headers[i]; i++)
        free(headers[i]);
    return leave;
}

// RFC 3986, 2.3: these need no escape anywhere.
static void add_escaped(struct buffer *to, const char *text)
{
    for (const char *p = text; *p; p++) {
        unsigned char c = (unsigned char)*p;
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
            strchr("-._~", c))
            buffer_byte(to, (char)c);
        else
            buffer_format(to, "%%%02X", c);
    }
}

void path_add(struct buffer *path, const char *segment)
{
    buffer_byte(path, '/');
    add_escaped(path, segment);
}

void query_add(struct buffer *path, const char *name, const char *value)
{
    if (!value)
        return;
    buffer_byte(path, strchr(buffer_string(path), '?') ? '&' : '?');
    buffer_text(path, name);
    buffer_byte(path, '=');
    add_escaped(path, value);
}
