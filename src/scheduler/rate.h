/*
 * rate - the starts of a key, held against its limit
 *
 * At most `limit` starts in any window [t, t + per) whatsoever: a log of the latest instants, as
 * many as the limit, and not a bucket, which lets twice the limit through around a boundary. Where
 * those who share a key do not agree, every start obeys its own rule and those of all starts that
 * are still in their window: the strictest holds.
 *
 * Plain calculation: keeping the log over a restart is limits.c's. Used by limits.c and its test;
 * the rule alone also by scheduler.h and the configuration, for queues.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/moment.h"

#define RATE_RULES \
    8 // in force at once; what is beyond is folded into one that is at least as strict

struct rate_rule {
    int limit;
    int64_t per_us;
};

struct rate {
    struct {
        struct rate_rule rule;
        wall until; // the latest start under it is out of its window
    } rules[RATE_RULES];
    int rule_count;
    int64_t *starts; // in order of time
    size_t count, capacity;
};

void rate_done(struct rate *rate);

// The earliest instant, `t` or later, at which one more may start.
wall rate_opens_at(const struct rate *rate, struct rate_rule rule, wall t);
// How many may start at `t`, one after the other.
int rate_room(const struct rate *rate, struct rate_rule rule, wall t);
// A start. One that is told late is taken for as late as the newest.
void rate_add(struct rate *rate, struct rate_rule rule, wall t);
// Starts that were made under one rule count as made under the other: it was edited.
void rate_change(struct rate *rate, struct rate_rule from, struct rate_rule to);
// Whether no start is in the window of its rule any more.
bool rate_is_past(const struct rate *rate, wall t);
// The oldest start that still matters; WALL_NEVER when none does by `t`.
wall rate_oldest(struct rate *rate, wall t);
// The wall clock was set: the same starts, by the new clock.
void rate_shift(struct rate *rate, int64_t step_us);
