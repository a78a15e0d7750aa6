/*
 * logline - one structured line
 *
 * A JSON object per line on standard error: time, level, event, then the caller's fields. Lines are
 * whole even when several threads write. The roof logs, once; low floors return a status instead.
 *
 * Nobody waits for a reader of the log that is slow (a full pipe): lines that do not fit are
 * dropped and counted, and when there is room again a line says how many.
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
// From here on lines are dropped rather than waited for. Before threads start.
void logline_never_wait(void);
// At the end: gives a slow reader a last moment for what is begun.
void logline_finish(void);
uint64_t logline_dropped(void); // lines, since the start. Any thread.
// Whether lines of this level go anywhere.
bool logline_wanted(enum level level);

// The usual short one: an event with a message in words.
void logline_say(wall now, enum level level, const char *event, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
