/*
 * logline - one structured line
 *
 * A JSON object per line on standard error: time, level, event, then the caller's fields. Lines are
 * whole even when several threads write. The roof logs, once; low floors return a status instead.
 *
 *     struct logline line;
 *     logline_begin(&line, now, LEVEL_INFO, "attempt");
 *     writer_key(&line.w, "run");
 *     writer_text(&line.w, id);
 *     logline_end(&line);
 */
#pragma once

#include "base/writer.h"

enum level { LEVEL_DEBUG, LEVEL_INFO, LEVEL_WARNING, LEVEL_ERROR };

struct logline {
    struct buffer buffer;
    struct writer w;
    bool wanted;
};

void logline_threshold(enum level least); // INFO at the start; set before threads start
void logline_begin(struct logline *line, wall now, enum level level, const char *event);
void logline_end(struct logline *line);
// The same, but kept: many lines go out with one logline_flush.
void logline_keep(struct logline *line, struct buffer *lines);
void logline_flush(struct buffer *lines); // leaves it empty
// Whether lines of this level go anywhere.
bool logline_wanted(enum level level);

// The usual short one: an event with a message in words.
void logline_say(wall now, enum level level, const char *event, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
