#include "dispatch/answer.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/memory.h"
#include "core/visibility.h"

#define RETRY_AFTER_DIGITS 9
#define LENGTH_DIGITS 18 // less than 64 bits

void answer_init(struct answer *answer)
{
    *answer = (struct answer){0};
    capture_init(&answer->body, 0);
    buffer_init(&answer->headers, ANSWER_HEADER_MAX * 2);
    buffer_init(&answer->cache_status, ANSWER_HEADER_MAX);
}

void answer_done(struct answer *answer)
{
    capture_done(&answer->body);
    buffer_done(&answer->headers);
    buffer_done(&answer->cache_status);
}

// A response begins: what an interim one (103 Early Hints) said is not of this one.
static void forget_headers(struct answer *answer)
{
    buffer_clear(&answer->headers);
    buffer_clear(&answer->cache_status);
    answer->header_count = 0;
    answer->has_header = false;
    answer->content_length = -1;
    answer->attempt->retry_after_us = -1;
    answer->attempt->explained = answer->attempt->final = false;
    answer->attempt->db_calls = answer->attempt->db_time_us = -1;
}

void answer_begin(struct answer *answer, struct attempt *attempt, const struct expect *expect,
                  size_t body_limit)
{
    answer->attempt = attempt;
    answer->expect = expect;
    answer->header_size = 0;
    answer->stop = NULL;
    answer->enough = false;
    capture_restart(&answer->body, body_limit);
    forget_headers(answer);
}

static void take_cache_status(struct answer *answer, const char *value, size_t size)
{
    if (answer->cache_status.size)
        buffer_byte(&answer->cache_status, ',');
    buffer_add(&answer->cache_status, value, size);
}

static void take_server_timing(struct answer *answer, const char *value, size_t size)
{
    visibility_server_timing(answer->attempt, value, size);
}

// RFC 9110, 10.2.3: seconds, or a date.
static void take_retry_after(struct answer *answer, const char *value, size_t size)
{
    char text[64];
    if (size == 0 || size >= sizeof text)
        return;
    memcpy(text, value, size);
    text[size] = '\0';
    if (strspn(text, "0123456789") == size) {
        bool long_time = size > RETRY_AFTER_DIGITS;
        answer->attempt->retry_after_us = (long_time ? 999999999 : atoll(text)) * SECOND;
        return;
    }
    time_t date = curl_getdate(text, NULL);
    int64_t wait_us = (int64_t)date * SECOND - wall_now().us;
    if (date != (time_t)-1)
        answer->attempt->retry_after_us = wait_us > 0 ? wait_us : 0;
}

// A receiver that knows this server says what is to become of a failure; of a success there is
// nothing to say.
static void take_outcome(struct answer *answer, const char *value, size_t size)
{
    bool failed = size == 6 && strncasecmp(value, "failed", size) == 0;
    bool retry = size == 5 && strncasecmp(value, "retry", size) == 0;
    answer->attempt->explained = failed || retry;
    answer->attempt->final = failed;
    // Its words are looked for in the whole body, however little of that is recorded.
    if (answer->attempt->explained && answer->body.kept.limit < JSON_MAX)
        answer->body.kept.limit = JSON_MAX;
}

// RFC 9112, 6.3: where the body ends must be said in one way and as a number, or the answer may be
// another one than it seems.
static void take_content_length(struct answer *answer, const char *value, size_t size)
{
    int64_t length = 0;
    bool good = size > 0 && size <= LENGTH_DIGITS;
    for (size_t i = 0; good && i < size; i++) {
        good = value[i] >= '0' && value[i] <= '9';
        length = length * 10 + (value[i] - '0');
    }
    if (!good)
        answer->stop = "the response's Content-Length is not a number of bytes";
    else if (answer->content_length >= 0 && answer->content_length != length)
        answer->stop = "the response says its Content-Length more than once, and not the same";
    answer->content_length = length;
}

static const struct {
    const char *name;
    size_t size;
    void (*take)(struct answer *answer, const char *value, size_t size);
} wanted[] = {
    {"Cache-Status", 12, take_cache_status}, {"Server-Timing", 13, take_server_timing},
    {"Retry-After", 11, take_retry_after},   {"Content-Length", 14, take_content_length},
    {"Punctual-Outcome", 16, take_outcome},
};

static bool same_name(const char *line, size_t size, const char *name)
{
    return strncasecmp(line, name, size) == 0 && name[size] == '\0';
}

static void keep_expected(struct answer *answer, const char *name, size_t name_size,
                          const char *value, size_t size)
{
    for (size_t i = 0; i < answer->expect->header_count; i++) {
        if (!same_name(name, name_size, answer->expect->headers[i].name))
            continue;
        buffer_add(&answer->headers, name, name_size);
        buffer_byte(&answer->headers, '\0');
        buffer_add(&answer->headers, value, size);
        buffer_byte(&answer->headers, '\0');
        answer->header_count++;
        return;
    }
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

bool answer_header(struct answer *answer, const char *line, size_t size)
{
    answer->header_size += size;
    if (answer->header_size > ANSWER_HEADER_MAX) {
        answer->stop = "the response's header is larger than 64 KiB";
        return false;
    }
    if (size >= 5 && memcmp(line, "HTTP/", 5) == 0) {
        forget_headers(answer);
        return true;
    }
    answer->has_header |= size > 0 && size <= 2 && (line[0] == '\r' || line[0] == '\n');
    const char *colon = memchr(line, ':', size);
    if (!colon)
        return true;
    size_t name_size = (size_t)(colon - line);
    const char *value = colon + 1, *end = line + size;
    while (value < end && is_blank(*value))
        value++;
    while (end > value && is_blank(end[-1]))
        end--;
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++)
        if (name_size == wanted[i].size && strncasecmp(line, wanted[i].name, name_size) == 0)
            wanted[i].take(answer, value, (size_t)(end - value));
    if (answer->expect->header_count)
        keep_expected(answer, line, name_size, value, (size_t)(end - value));
    return answer->stop == NULL;
}

bool answer_body(struct answer *answer, const char *bytes, size_t size)
{
    capture_add(&answer->body, bytes, size);
    if (answer->body.total > ANSWER_BODY_MAX) {
        answer->enough = true;
        return false;
    }
    return true;
}

void answer_end(struct answer *answer)
{
    visibility_cache_status(answer->attempt, buffer_string(&answer->cache_status),
                            answer->cache_status.size);
}

void answer_judge(struct answer *answer, struct efforts *efforts, struct effort *effort)
{
    struct response_header *headers = memory_array(answer->header_count, sizeof *headers);
    const char *at = buffer_string(&answer->headers);
    for (size_t i = 0; i < answer->header_count; i++) {
        headers[i].name = at;
        headers[i].value = at + strlen(at) + 1;
        at = headers[i].value + strlen(headers[i].value) + 1;
    }
    struct response response = {
        .status = answer->attempt->status,
        .headers = headers,
        .header_count = answer->header_count,
        .body = buffer_string(&answer->body.kept),
        .body_size = answer->body.kept.size,
        .body_cut = capture_is_cut(&answer->body),
        .explained = answer->attempt->explained,
        .duration_us = answer->attempt->response_time_us,
    };
    effort_judge(efforts, effort, &response);
    free(headers);
}
