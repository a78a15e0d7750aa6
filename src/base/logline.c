#include "base/logline.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "base/sink.h"

static enum level threshold = LEVEL_INFO;
static struct sink sink = SINK_TO(STDERR_FILENO);
static _Atomic uint64_t dropped, untold; // lines: of all time, and since a line last told of them
static _Atomic int64_t newest_us;        // of all lines begun: when a line about lines is written

static const char *const names[] = {"debug", "info", "warning", "error"};

void logline_threshold(enum level least)
{
    threshold = least;
}

void logline_begin(struct logline *line, wall now, enum level level, const char *event)
{
    atomic_store(&newest_us, now.us);
    buffer_init(&line->buffer, 16 << 10);
    line->w = writer_on(&line->buffer);
    line->wanted = logline_wanted(level);
    writer_object(&line->w);
    member_moment(&line->w, "time", now);
    member_text(&line->w, "level", names[level]);
    member_text(&line->w, "event", event);
}

bool logline_wanted(enum level level)
{
    return level >= threshold;
}

void logline_keep(struct logline *line, struct buffer *lines)
{
    writer_end_object(&line->w);
    buffer_byte(&line->buffer, '\n');
    if (line->wanted && !line->buffer.overflow)
        buffer_add(lines, line->buffer.data, line->buffer.size);
    buffer_done(&line->buffer);
}

static uint64_t count_lines(const struct buffer *lines)
{
    uint64_t count = 0;
    for (size_t i = 0; i < lines->size; i++)
        count += lines->data[i] == '\n';
    return count;
}

// As a line of its own, ahead of those that there is room for again.
static void tell_of_dropped(void)
{
    uint64_t count = atomic_exchange(&untold, 0);
    struct buffer words;
    struct logline line;
    if (!count)
        return;
    buffer_init(&words, 1024);
    logline_begin(&line, (wall){atomic_load(&newest_us)}, LEVEL_WARNING, "log_dropped");
    member_int(&line.w, "lines", (int64_t)count);
    writer_key(&line.w, "message");
    writer_text(&line.w, "whoever reads this log was too slow; the work went on without waiting");
    line.wanted = true;
    logline_keep(&line, &words);
    if (!sink_put(&sink, &words))
        atomic_fetch_add(&untold, count);
    buffer_done(&words);
}

// A log that cannot be written must not stop the work.
void logline_flush(struct buffer *lines)
{
    if (lines->size == 0)
        return;
    tell_of_dropped();
    if (!sink_put(&sink, lines)) {
        uint64_t count = count_lines(lines);
        atomic_fetch_add(&dropped, count);
        atomic_fetch_add(&untold, count);
    }
    buffer_clear(lines);
}

void logline_never_wait(void)
{
    sink_start(&sink);
}

void logline_finish(void)
{
    sink_finish(&sink);
}

uint64_t logline_dropped(void)
{
    return atomic_load(&dropped);
}

void logline_end(struct logline *line)
{
    struct buffer one;
    buffer_init(&one, line->buffer.limit + 2);
    logline_keep(line, &one);
    logline_flush(&one);
    buffer_done(&one);
}

void logline_say(wall now, enum level level, const char *event, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    struct logline line;
    logline_begin(&line, now, level, event);
    member_text(&line.w, "message", text);
    logline_end(&line);
}
