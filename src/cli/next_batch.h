/*
 * next_batch - punctual next --batch: one question a line, one answer a line
 *
 * A question is an object: what a schedule may have, and `from` and `count`. The answer is {"next":
 * [...]} or
 * {"error": "..."}; a wrong line never ends the program. Answers are collected and written when
 * there are many, when the input has nothing more at the moment, and at the end, so a program at
 * both ends of the pipe never waits.
 */
#pragma once

#include "base/buffer.h"
#include "base/moment.h"
#include "core/schedule.h"

#define NEXT_COUNT_MAX 10000
#define NEXT_LINE_MAX (64 << 10)

// Reads `in` to its end and answers on `out`; `now` stands in where a question has no `from`.
enum status next_batch(int in, int out, wall now);

// Answers one line into `out`, with the newline.
void next_answer(const char *line, size_t size, wall now, struct buffer *out);

// RFC 3339 with the zone's offset; with a fraction of a second where the instant has one.
#define NEXT_TEXT (ZONED_TEXT + 7)
void next_format(const struct zone *zone, wall t, char text[static NEXT_TEXT]);

// The next occurrence at which the schedule runs, or one that it skips where `skipped` are wanted
// too.
bool next_occurrence(const struct schedule *schedule, wall t, bool skipped, struct occurrence *ret);
