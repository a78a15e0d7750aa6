#include "cli/next_batch.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/writer.h"

#define OUTPUT_FULL (64 << 10)
// The largest answer is NEXT_COUNT_MAX instants.
#define OUTPUT_MAX (OUTPUT_FULL + (NEXT_COUNT_MAX + 100) * (NEXT_TEXT + 3))

struct batch {
    int in, out;
    wall now;
    struct buffer answers;
    char *bytes; // the lines that have come in; the last may be cut off
    size_t size;
    bool too_long; // the rest of a line that is too long is passed over
};

// --- one question ---

void next_format(const struct zone *zone, wall t, char text[static NEXT_TEXT])
{
    int fraction = (int)((t.us % SECOND + SECOND) % SECOND), digits = fraction % 1000 ? 6 : 3;
    char zoned[ZONED_TEXT], parts[16];
    zone_format(zone, t, zoned);
    memcpy(text, zoned, ZONED_TEXT);
    if (!fraction)
        return;
    snprintf(parts, sizeof parts, ".%06d", fraction);
    memcpy(text + 19, parts, (size_t)digits + 1);
    memcpy(text + 20 + digits, zoned + 19, 7);
}

bool next_occurrence(const struct schedule *schedule, wall t, bool skipped, struct occurrence *ret)
{
    while (schedule_next(schedule, t, ret)) {
        if (skipped || ret->dst != DST_SKIPPED)
            return true;
        t = ret->nominal;
    }
    return false;
}

__attribute__((format(printf, 2, 3))) static void answer_error(struct buffer *out,
                                                               const char *format, ...)
{
    char text[640];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    struct writer w = writer_on(out);
    writer_object(&w);
    member_text(&w, "error", text);
    writer_end_object(&w);
    buffer_byte(out, '\n');
}

static void answer_next(struct buffer *out, const struct schedule *schedule, wall from,
                        int64_t count)
{
    struct writer w = writer_on(out);
    struct occurrence at = {.nominal = from};
    writer_object(&w);
    member_array(&w, "next");
    while (count-- > 0 && next_occurrence(schedule, at.nominal, false, &at)) {
        char text[NEXT_TEXT];
        next_format(schedule->zone, at.nominal, text);
        writer_text(&w, text);
    }
    writer_end_array(&w);
    writer_end_object(&w);
    buffer_byte(out, '\n');
}

static bool read_from(const json_t *value, wall *from)
{
    const char *text = json_string_value(value);
    return !value || (text && wall_parse(text, strlen(text), from) == STATUS_OK);
}

static bool read_count(const json_t *value, int64_t *count)
{
    if (value && json_is_integer(value))
        *count = json_integer_value(value);
    return (!value || json_is_integer(value)) && *count >= 1 && *count <= NEXT_COUNT_MAX;
}

// Everything but `from` and `count` is the schedule's, with its own checks.
static void answer_question(json_t *question, wall now, struct buffer *out)
{
    wall from = now;
    int64_t count = 1;
    struct faults faults = {0};
    struct schedule schedule;
    if (!read_from(json_object_get(question, "from"), &from)) {
        answer_error(out,
                     "from: must be an instant with its offset such as 2026-03-28T00:00:00+01:00");
        return;
    }
    if (!read_count(json_object_get(question, "count"), &count)) {
        answer_error(out, "count: must be a whole number from 1 to %d", NEXT_COUNT_MAX);
        return;
    }
    json_object_del(question, "from");
    json_object_del(question, "count");
    if (schedule_decode(question, "", NULL, &faults, &schedule) == STATUS_OK) {
        answer_next(out, &schedule, from, count);
        schedule_done(&schedule);
    } else {
        const char *where = faults.items[0].pointer;
        answer_error(out, "%s%s%s", *where ? where + 1 : "", *where ? ": " : "",
                     faults.items[0].detail);
    }
    faults_done(&faults);
}

void next_answer(const char *line, size_t size, wall now, struct buffer *out)
{
    json_t *question = NULL;
    struct json_place place;
    enum status status = json_read(line, size, &question, &place);
    if (status != STATUS_OK)
        answer_error(
            out,
            "not JSON: %s at column %d; a line is an object such as {\"cron\": \"30 2 * * *\"}",
            place.detail, place.column);
    else if (!json_is_object(question))
        answer_error(out, "a line is an object such as {\"cron\": \"30 2 * * *\", \"timezone\": "
                          "\"Europe/Berlin\", \"count\": 3}");
    else
        answer_question(question, now, out);
    json_decref(question);
}

// --- lines in, lines out ---

static enum status flush(struct batch *b)
{
    const char *at = buffer_string(&b->answers);
    size_t left = b->answers.size;
    while (left) {
        ssize_t n = write(b->out, at, left);
        if (n < 0 && errno != EINTR)
            return STATUS_FAILED;
        if (n > 0) {
            at += n;
            left -= (size_t)n;
        }
    }
    buffer_clear(&b->answers);
    return STATUS_OK;
}

static enum status answer_line(struct batch *b, const char *line, size_t size)
{
    if (b->too_long || size > NEXT_LINE_MAX)
        answer_error(&b->answers, "the line is longer than %d bytes", NEXT_LINE_MAX);
    else
        next_answer(line, size, b->now, &b->answers);
    b->too_long = false;
    return b->answers.size >= OUTPUT_FULL ? flush(b) : STATUS_OK;
}

static enum status answer_lines(struct batch *b)
{
    char *at = b->bytes, *end = b->bytes + b->size, *stop;
    enum status status = STATUS_OK;
    while (status == STATUS_OK && (stop = memchr(at, '\n', (size_t)(end - at)))) {
        status = answer_line(b, at, (size_t)(stop - at));
        at = stop + 1;
    }
    b->size = (size_t)(end - at);
    memmove(b->bytes, at, b->size);
    if (b->size > NEXT_LINE_MAX) {
        b->too_long = true;
        b->size = 0;
    }
    return status;
}

static bool would_block(int in)
{
    struct pollfd waiting = {in, POLLIN, 0};
    return poll(&waiting, 1, 0) == 0;
}

// STATUS_END at the end of the input.
static enum status read_more(struct batch *b)
{
    ssize_t n;
    if (b->answers.size && would_block(b->in) && flush(b) != STATUS_OK)
        return STATUS_FAILED;
    do
        n = read(b->in, b->bytes + b->size, 2 * NEXT_LINE_MAX - b->size);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return STATUS_FAILED;
    b->size += (size_t)n;
    return n ? STATUS_OK : STATUS_END;
}

enum status next_batch(int in, int out, wall now)
{
    struct batch b = {.in = in, .out = out, .now = now, .bytes = memory_new(2 * NEXT_LINE_MAX)};
    enum status status;
    buffer_init(&b.answers, OUTPUT_MAX);
    while ((status = read_more(&b)) == STATUS_OK && (status = answer_lines(&b)) == STATUS_OK)
        ;
    if (status == STATUS_END && (b.size || b.too_long)) // the last line may lack its newline
        status = answer_line(&b, b.bytes, b.size) == STATUS_OK ? STATUS_END : STATUS_FAILED;
    if (status == STATUS_END)
        status = flush(&b);
    buffer_done(&b.answers);
    free(b.bytes);
    return status;
}
