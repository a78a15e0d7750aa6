#include "dispatch/request.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/memory.h"

#define TEXT_MAX (1 << 20)
#define HEX_64 16

// Names a task may not set: they are the delivery's own, or decide how the message is framed.
static const char *const owned[] = {"Idempotency-Key",   "traceparent", "Content-Length", "Host",
                                    "Transfer-Encoding", "Expect"};
static const char *const owned_prefixes[] = {"webhook-", "Punctual-"};

void request_init(struct request *request)
{
    *request = (struct request){0};
    buffer_init(&request->text, TEXT_MAX);
}

void request_done(struct request *request)
{
    buffer_done(&request->text);
    free(request->nodes);
}

static bool is_owned(const char *name)
{
    for (size_t i = 0; i < sizeof owned / sizeof owned[0]; i++)
        if (strcasecmp(name, owned[i]) == 0)
            return true;
    for (size_t i = 0; i < sizeof owned_prefixes / sizeof owned_prefixes[0]; i++)
        if (strncasecmp(name, owned_prefixes[i], strlen(owned_prefixes[i])) == 0)
            return true;
    return false;
}

static bool is_set_by(const struct task *task, const char *name)
{
    for (size_t i = 0; i < task->target.http.header_count; i++)
        if (strcasecmp(task->target.http.headers[i].name, name) == 0)
            return true;
    return false;
}

static void end_line(struct request *request)
{
    buffer_byte(&request->text, '\0');
    request->count++;
}

static void write_line(struct request *request, const char *name, const char *value)
{
    buffer_text(&request->text, name);
    buffer_text(&request->text, ": ");
    buffer_text(&request->text, value);
}

static void add_line(struct request *request, const char *name, const char *value)
{
    write_line(request, name, value);
    end_line(request);
}

// The delivery's own headers go to libcurl as one line with breaks inside. It sends them as they
// are; line by line, it would look through all of them for each header that it might have to send
// itself: 8,000 of the 123,000 instructions that a delivery takes here.
static void end_own_line(struct request *request)
{
    buffer_text(&request->text, "\r\n");
}

static void end_own(struct request *request)
{
    request->text.size -= strlen("\r\n");
    end_line(request);
}

static void add_own_line(struct request *request, const char *name, const char *value)
{
    write_line(request, name, value);
    end_own_line(request);
}

// For libcurl: "Name:" alone takes out a header that it would send of its own accord.
static void add_absence(struct request *request, const char *name)
{
    buffer_text(&request->text, name);
    buffer_byte(&request->text, ':');
    end_line(request);
}

static void add_own_number(struct request *request, const char *name, int64_t n)
{
    write_line(request, name, "");
    buffer_int(&request->text, n);
    end_own_line(request);
}

static void choose_body(struct request *request, const struct effort *effort)
{
    const struct target *target = &effort->order->task->target;
    const char *method = target->http.method;
    bool takes_body = strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0;
    request->body_size = 0;
    request->body = NULL;
    if (!takes_body)
        return;
    if (target->http.body) {
        request->body = target->http.body;
        request->body_size = strlen(request->body);
    } else {
        request->body = effort_payload(effort, &request->body_size);
    }
}

static void add_hex(struct buffer *to, uint64_t n)
{
    char digits[HEX_64];
    for (int i = HEX_64; i-- > 0; n >>= 4)
        digits[i] = "0123456789abcdef"[n & 15];
    buffer_add(to, digits, sizeof digits);
}

// W3C Trace Context, 3.2: the trace follows from the run, so that it is the same for every attempt,
// also after a restart; the parent from the attempt. Neither may be all zeros.
static void add_trace(struct request *request, const char *run, int number, int64_t fence)
{
    struct {
        char run[RUN_ID_TEXT + 6];
        int64_t salt[2];
    } seed = {0};
    snprintf(seed.run, sizeof seed.run, "%s", run);
    uint64_t high = hash_bytes(&seed, sizeof seed);
    seed.salt[0] = 1;
    uint64_t low = hash_bytes(&seed, sizeof seed);
    seed.salt[0] = 1 + number;
    seed.salt[1] = fence;
    uint64_t parent = hash_bytes(&seed, sizeof seed) | 1;
    buffer_text(&request->text, "traceparent: 00-");
    add_hex(&request->text, high);
    add_hex(&request->text, low | 1);
    buffer_byte(&request->text, '-');
    add_hex(&request->text, parent);
    buffer_text(&request->text, "-01");
    end_own_line(request);
}

static void add_own(struct request *request, const struct order *order, const char *run)
{
    char moment[MOMENT_TEXT];
    buffer_text(&request->text, "Idempotency-Key: \"");
    buffer_text(&request->text, run);
    buffer_byte(&request->text, '"');
    end_own_line(request);
    add_trace(request, run, order->number, order->fence);
    if (order->task->name)
        add_own_line(request, "Punctual-Task", order->task->name);
    add_own_number(request, "Punctual-Attempt", order->number);
    add_own_number(request, "Punctual-Fence", order->fence);
    if (wall_is_set(order->scheduled_for)) {
        wall_format(order->scheduled_for, moment);
        add_own_line(request, "Punctual-Scheduled-For", moment);
    }
    if (!is_set_by(order->task, "User-Agent"))
        add_own_line(request, "User-Agent", "Punctual/" PUNCTUAL_VERSION);
    end_own(request);
}

// libcurl sends a header without a value when it is written "Name;".
static enum status add_of_task(struct request *request, const struct task *task, char *why,
                               size_t size)
{
    for (size_t i = 0; i < task->target.http.header_count; i++) {
        const struct pair *header = &task->target.http.headers[i];
        if (strpbrk(header->name, "\r\n:; ") || strpbrk(header->value, "\r\n") || !*header->name) {
            snprintf(why, size,
                     "header %zu of the task cannot be sent: a name is a token and a "
                     "value is one line",
                     i + 1);
            return STATUS_INVALID;
        }
        if (is_owned(header->name))
            continue;
        if (header->value[strspn(header->value, " \t")]) {
            add_line(request, header->name, header->value);
        } else {
            buffer_text(&request->text, header->name);
            buffer_byte(&request->text, ';');
            end_line(request);
        }
    }
    return STATUS_OK;
}

// Defaults that the task's own headers replace.
static void add_defaults(struct request *request, const struct task *task)
{
    add_absence(request, "Expect"); // no 100-continue: it costs a round trip
    if (is_set_by(task, "Content-Type"))
        return;
    if (!request->body)
        add_absence(request, "Content-Type");
    else
        add_line(request, "Content-Type",
                 task->target.http.body ? "text/plain; charset=utf-8" : "application/json");
}

static enum status add_signature(struct request *request, const struct order *order,
                                 const struct keyring *ring, const char *run, wall now, char *why,
                                 size_t size)
{
    int64_t timestamp_s = now.us / SECOND;
    struct buffer signatures;
    buffer_init(&signatures, 512);
    enum status status = keyring_sign(ring, order->task->signing_secret, run, timestamp_s,
                                      request->body ? request->body : "", request->body_size,
                                      &signatures, why, size);
    if (status == STATUS_OK) {
        add_own_line(request, "webhook-id", run);
        add_own_number(request, "webhook-timestamp", timestamp_s);
        add_own_line(request, "webhook-signature", buffer_string(&signatures));
    }
    buffer_done(&signatures);
    return status;
}

// The list that libcurl wants, without an allocation for each line.
static void link_lines(struct request *request)
{
    if (request->count > request->capacity) {
        request->capacity = request->count + 8;
        request->nodes = memory_resize(request->nodes, request->capacity, sizeof *request->nodes);
    }
    char *line = request->text.data;
    for (size_t i = 0; i < request->count; i++) {
        request->nodes[i].data = line;
        request->nodes[i].next = i + 1 < request->count ? &request->nodes[i + 1] : NULL;
        line += strlen(line) + 1;
    }
}

enum status request_build(struct request *request, const struct effort *effort,
                          const struct keyring *ring, wall now, char *why, size_t size)
{
    const struct order *order = effort->order;
    char run[RUN_ID_TEXT];
    run_id_format(order->run, run);
    buffer_clear(&request->text);
    request->count = 0;
    choose_body(request, effort);
    enum status status = add_signature(request, order, ring, run, now, why, size);
    if (status == STATUS_OK) {
        add_own(request, order, run);
        add_defaults(request, order->task);
        status = add_of_task(request, order->task, why, size);
    }
    if (status == STATUS_OK && request->text.overflow) {
        snprintf(why, size, "the task's headers are larger than %d bytes", TEXT_MAX);
        status = STATUS_INVALID;
    }
    if (status == STATUS_OK)
        link_lines(request);
    return status;
}
