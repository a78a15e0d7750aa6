#include "core/expect.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/detail.h"

#define VALUE_TEXT 80 // how much of a value an explanation shows

struct explanation {
    char *text;
    size_t size;
};

#define SAY(why, ...) (snprintf((why)->text, (why)->size, __VA_ARGS__), false)

// RFC 9110, 15, and the registry behind it: those that are met in practice.
static const struct {
    int status;
    const char *phrase;
} phrases[] = {
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {204, "No Content"},
    {206, "Partial Content"},
    {300, "Multiple Choices"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {402, "Payment Required"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {407, "Proxy Authentication Required"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {421, "Misdirected Request"},
    {422, "Unprocessable Content"},
    {423, "Locked"},
    {425, "Too Early"},
    {426, "Upgrade Required"},
    {428, "Precondition Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {451, "Unavailable For Legal Reasons"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
    {507, "Insufficient Storage"},
    {511, "Network Authentication Required"},
};

// With a space before it, or "".
static const char *phrase_of(int status, char text[static 48])
{
    text[0] = '\0';
    for (size_t i = 0; i < sizeof phrases / sizeof phrases[0]; i++)
        if (phrases[i].status == status)
            snprintf(text, 48, " %s", phrases[i].phrase);
    return text;
}

static bool status_met(const struct expect *expect, const struct response *response,
                       struct explanation *why)
{
    char phrase[48], most[24] = "", detail[DETAIL_TEXT];
    int status = response->status;
    if (status >= expect->status_least && status <= expect->status_most)
        return true;
    if (response->explained && !response->body_cut &&
        detail_read(response->body, response->body_size, detail))
        return SAY(why, "answered %d%s: %s", status, phrase_of(status, phrase), detail);
    if (expect->status_most != expect->status_least)
        snprintf(most, sizeof most, " to %d", expect->status_most);
    return SAY(why, "answered %d%s; expected %d%s%s", status, phrase_of(status, phrase),
               expect->status_least, most,
               status >= 300 && status < 400 && status != 304 ? " (redirects are not followed)"
                                                              : "");
}

// Met when one line of that name has exactly that value.
static bool header_met(const struct pair *wanted, const struct response *response,
                       struct explanation *why)
{
    const char *came = NULL;
    for (size_t i = 0; i < response->header_count; i++) {
        if (strcasecmp(response->headers[i].name, wanted->name) != 0)
            continue;
        came = response->headers[i].value;
        if (strcmp(came, wanted->value) == 0)
            return true;
    }
    if (!came)
        return SAY(why, "header %s is missing; expected \"%.*s\"", wanted->name, VALUE_TEXT,
                   wanted->value);
    return SAY(why, "header %s is \"%.*s\"; expected \"%.*s\"", wanted->name, VALUE_TEXT, came,
               VALUE_TEXT, wanted->value);
}

static bool headers_met(const struct expect *expect, const struct response *response,
                        struct explanation *why)
{
    for (size_t i = 0; i < expect->header_count; i++)
        if (!header_met(&expect->headers[i], response, why))
            return false;
    return true;
}

// RFC 6901, 4: the index of an array, without leading zeros.
static const json_t *element_of(const json_t *array, const char *token, size_t size)
{
    size_t index = 0;
    if (size == 0 || size > 9 || (token[0] == '0' && size > 1))
        return NULL;
    for (size_t i = 0; i < size; i++) {
        if (token[i] < '0' || token[i] > '9')
            return NULL;
        index = index * 10 + (size_t)(token[i] - '0');
    }
    return json_array_get(array, index);
}

// RFC 6901, 4: "~1" is "/", "~0" is "~", in this order.
static const json_t *member_of(const json_t *object, const char *token, size_t size)
{
    char *name = malloc(size + 1);
    size_t length = 0;
    if (!name)
        return NULL;
    for (size_t i = 0; i < size; i++) {
        bool escape =
            token[i] == '~' && i + 1 < size && (token[i + 1] == '0' || token[i + 1] == '1');
        name[length++] = escape ? "~/"[token[++i] - '0'] : token[i];
    }
    name[length] = '\0';
    const json_t *found = json_object_get(object, name);
    free(name);
    return found;
}

// What a JSON pointer points at; NULL where nothing.
static const json_t *pointed_at(const json_t *value, const char *pointer)
{
    while (value && *pointer == '/') {
        const char *token = pointer + 1;
        size_t size = strcspn(token, "/");
        value = json_is_array(value)    ? element_of(value, token, size)
                : json_is_object(value) ? member_of(value, token, size)
                                        : NULL;
        pointer = token + size;
    }
    return *pointer ? NULL : value;
}

// JSON knows one kind of number: 1 and 1.0 are the same.
static bool same_value(const json_t *a, const json_t *b)
{
    if (json_is_real(a) != json_is_real(b) && json_is_number(a) && json_is_number(b))
        return json_number_value(a) == json_number_value(b);
    return json_equal(a, b);
}

// The text of a value, cut where it is long.
static const char *value_text(const json_t *value, char text[static VALUE_TEXT])
{
    size_t size;
    char *whole = json_write(value, &size);
    if (!whole)
        snprintf(text, VALUE_TEXT, "missing");
    else if (snprintf(text, VALUE_TEXT, "%s", whole) >= VALUE_TEXT)
        memcpy(text + VALUE_TEXT - 4, "...", 4);
    free(whole);
    return text;
}

static bool values_met(const json_t *expected, const json_t *body, struct explanation *why)
{
    const char *pointer;
    json_t *wanted;
    char came_text[VALUE_TEXT], wanted_text[VALUE_TEXT];
    json_object_foreach((json_t *)expected, pointer, wanted)
    {
        const json_t *came = pointed_at(body, pointer);
        if (!came || !same_value(came, wanted))
            return SAY(why, "%.200s is %s; expected %s", *pointer ? pointer : "the body",
                       value_text(came, came_text), value_text(wanted, wanted_text));
    }
    return true;
}

static bool json_met(const struct expect *expect, const struct response *response,
                     struct explanation *why)
{
    json_t *body = NULL;
    struct json_place place;
    if (!expect->json)
        return true;
    if (response->body_cut)
        return SAY(why, "the response is longer than %zu bytes, too long to look for JSON in it",
                   response->body_size);
    if (json_read(response->body ? response->body : "", response->body_size, &body, &place) !=
        STATUS_OK)
        return SAY(why, "the response is not JSON (line %d, column %d: %s); expected JSON",
                   place.line, place.column, place.detail);
    bool met = values_met(expect->json, body, why);
    json_decref(body);
    return met;
}

static bool exit_code_met(const struct expect *expect, const struct response *response,
                          struct explanation *why)
{
    return response->status == expect->exit_code ||
           SAY(why, "exit code %d; expected %d", response->status, expect->exit_code);
}

static bool duration_met(const struct expect *expect, const struct response *response,
                         struct explanation *why)
{
    char took[DURATION_TEXT], most[DURATION_TEXT];
    if (expect->max_duration_us == 0 || response->duration_us <= expect->max_duration_us)
        return true;
    // Rounded up to a millisecond: what took too long must not read as if it had not.
    duration_format((response->duration_us + MILLISECOND - 1) / MILLISECOND * MILLISECOND, took);
    duration_format(expect->max_duration_us, most);
    return SAY(why, "took %s; expected at most %s", took, most);
}

bool expect_met(const struct expect *expect, enum target_kind kind, const struct response *response,
                char *why, size_t size)
{
    typedef bool check(const struct expect *, const struct response *, struct explanation *);
    static check *const checks[][4] = {
        [TARGET_HTTP] = {status_met, headers_met, json_met, duration_met},
        [TARGET_COMMAND] = {exit_code_met, json_met, duration_met},
        [TARGET_QUEUE] = {json_met, duration_met},
    };
    struct explanation explanation = {why, size};
    for (size_t i = 0; i < 4 && checks[kind][i]; i++)
        if (!checks[kind][i](expect, response, &explanation))
            return false;
    return true;
}
