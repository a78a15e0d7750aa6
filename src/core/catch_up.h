/*
 * catch_up - which of the occurrences that fell into an outage are to run
 *
 * An outage leaves a stretch [first, until) of occurrences, of all schedules of a task together.
 * They are never listed: those to run are found by stepping back from its end, and all others are
 * what lies before. Occurrences that daylight saving skips do not count. Plain calculation.
 *
 * Used by scheduler/backlog.c.
 */
#pragma once

#include "core/task.h"

// The first one that is to run, and with it every later one; `until` where none is.
wall catch_up_from(const struct task *task, wall first, wall until);

// Why the one at `nominal` did not run, in words.
void catch_up_reason(const struct catch_up *catch_up, wall nominal, wall until, char *text,
                     size_t size);
