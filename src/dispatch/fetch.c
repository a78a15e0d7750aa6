#include "dispatch/fetch.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "dispatch/trust.h"

#define CONNECT_MS 10000L
#define ETAG "etag:"

struct progress {
    struct fetch *fetch;
    bool stopped;   // the caller has enough
    bool too_large; // the answer is beyond its limit
};

static size_t on_body(char *bytes, size_t unit, size_t count, void *context)
{
    struct progress *progress = context;
    struct fetch *fetch = progress->fetch;
    size_t size = unit * count;
    if (fetch->piece) {
        progress->stopped = !fetch->piece(fetch->context, bytes, size);
        return progress->stopped ? 0 : size;
    }
    buffer_add(&fetch->answer, bytes, size);
    progress->too_large = fetch->answer.overflow;
    return progress->too_large ? 0 : size;
}

static size_t on_header(char *line, size_t unit, size_t count, void *context)
{
    struct progress *progress = context;
    size_t size = unit * count, skip = strlen(ETAG);
    if (size > skip && strncasecmp(line, ETAG, skip) == 0) {
        const char *value = line + skip, *end = line + size;
        while (value < end && (*value == ' ' || *value == '\t'))
            value++;
        while (end > value && (unsigned char)end[-1] <= ' ')
            end--;
        buffer_clear(&progress->fetch->etag);
        buffer_add(&progress->fetch->etag, value, (size_t)(end - value));
    }
    return size;
}

// This machine is never asked for through a proxy; others as the environment says.
static void set_no_proxy(CURL *easy)
{
    const char *more = getenv("no_proxy");
    struct buffer hosts;
    if (!more)
        more = getenv("NO_PROXY");
    buffer_init(&hosts, 64 << 10);
    buffer_text(&hosts, more && strcmp(more, "*") == 0 ? "*" : "localhost,127.0.0.1,::1");
    if (more && strcmp(more, "*") != 0)
        buffer_format(&hosts, ",%s", more);
    curl_easy_setopt(easy, CURLOPT_NOPROXY, buffer_string(&hosts));
    buffer_done(&hosts);
}

static void set_method(CURL *easy, const struct fetch *fetch)
{
    const char *method = fetch->method ? fetch->method : "GET";
    if (strcmp(method, "HEAD") == 0)
        curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    else if (fetch->body || strcmp(method, "POST") == 0) {
        curl_easy_setopt(easy, CURLOPT_POST, 1L);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE,
                         (curl_off_t)(fetch->body ? fetch->body_size : 0));
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, fetch->body ? fetch->body : "");
    }
    if (strcmp(method, "HEAD") != 0)
        curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method);
}

static void set_options(CURL *easy, struct progress *progress, const struct curl_slist *headers,
                        char *error)
{
    const struct fetch *fetch = progress->fetch;
    curl_easy_setopt(easy, CURLOPT_URL, fetch->url);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, error);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "Punctual/" PUNCTUAL_VERSION);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, fetch->timeout_ms);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, progress);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, progress);
    trust_set(easy);
    set_no_proxy(easy);
    set_method(easy, fetch);
}

// What libcurl's result means for the caller.
static enum status conclude(CURL *easy, const struct progress *progress, CURLcode code,
                            const char *error)
{
    struct fetch *fetch = progress->fetch;
    long status = 0;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    fetch->status = (int)status;
    if (progress->stopped)
        return STATUS_END;
    if (code == CURLE_OK && status > 0)
        return STATUS_OK;
    if (progress->too_large)
        snprintf(fetch->why, sizeof fetch->why, "the answer is larger than %zu bytes",
                 fetch->answer.limit);
    else
        snprintf(fetch->why, sizeof fetch->why, "%s",
                 error[0] ? error : curl_easy_strerror(code ? code : CURLE_GOT_NOTHING));
    return STATUS_FAILED;
}

static struct curl_slist *list_headers(const struct fetch *fetch)
{
    struct curl_slist *headers = curl_slist_append(NULL, "Expect:");
    for (size_t i = 0; fetch->headers && fetch->headers[i]; i++) {
        struct curl_slist *longer = curl_slist_append(headers, fetch->headers[i]);
        headers = longer ? longer : headers;
    }
    return headers;
}

enum status fetch(struct fetch *fetch)
{
    char error[CURL_ERROR_SIZE] = "";
    struct progress progress = {.fetch = fetch};
    fetch->status = 0;
    fetch->why[0] = '\0';
    CURL *easy = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK ? curl_easy_init() : NULL;
    if (!easy) {
        snprintf(fetch->why, sizeof fetch->why, "libcurl cannot be started");
        return STATUS_FAILED;
    }
    struct curl_slist *headers = list_headers(fetch);
    set_options(easy, &progress, headers, error);
    CURLcode code = curl_easy_perform(easy);
    enum status status = conclude(easy, &progress, code, error);
    curl_easy_cleanup(easy);
    curl_slist_free_all(headers);
    curl_global_cleanup();
    return status;
}
