/*
 * attempt_log - the one structured line of every attempt
 *
 * Carries what was measured, so that a log alone can answer "how was it before the change". One
 * whose command left a report that cannot be read has a second line, which says what is wrong.
 */
#pragma once

#include "base/buffer.h"
#include "core/message.h"

// Appends the line. `task` is NULL for a one-off.
void attempt_log(struct buffer *lines, wall now, const char *task, const struct attempt *attempt);
// A whole outbox's attempts: their lines go out, and the messages are freed.
void attempts_log(wall now, struct letter *attempts);
