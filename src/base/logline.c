#include "base/logline.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

static enum level threshold = LEVEL_INFO;

static const char *const names[] = {"debug", "info", "warning", "error"};

void logline_threshold(enum level least)
{
    threshold = least;
}

void logline_begin(struct logline *line, wall now, enum level level, const char *event)
{
    buffer_init(&line->buffer, 16 << 10);
    line->w = writer_on(&line->buffer);
    line->wanted = logline_wanted(level);
    writer_object(&line->w);
    writer_key(&line->w, "time");
    writer_moment(&line->w, now);
    writer_key(&line->w, "level");
    writer_text(&line->w, names[level]);
    writer_key(&line->w, "event");
    writer_text(&line->w, event);
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

void logline_flush(struct buffer *lines)
{
    // One call for whole lines. A log that cannot be written must not stop the work.
    if (lines->size)
        (void)!write(STDERR_FILENO, lines->data, lines->size);
    buffer_clear(lines);
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
    writer_key(&line.w, "message");
    writer_text(&line.w, text);
    logline_end(&line);
}
