/*
 * limits - runs that are due and may not start yet, by the rules of their task
 *
 * A task may limit how many of its runs are under way at once (max_running) and how many may start
 * within a while (rate_limit, whose key others may share). A run whose lane has room asks here last
 * of all, just before it is claimed. One that may not start is parked in its strand: the runs of
 * one task (or one-offs of one endpoint, key and limit), which the same limits hold back, most
 * urgent first. As soon as there is room again, the first of the strand go back to their lane and
 * come to their claim that way; where strands share a key, the most urgent of all their runs go
 * first. Those that would start at once and that something else holds back leave the strand
 * instead, all within the turn, so they keep nobody from a start that is free.
 *
 * A queue may have a rate too, by the configuration. Its runs wait in its lane as for a worker, not
 * here: pull.c asks before it takes one.
 *
 * What runs is counted from the flights, anew in every turn; what has started is read from the
 * store the first time a key is used, so that a rate limit holds over a restart. Parked runs are
 * hints like all that is due: the store has them.
 *
 * Used by the files of this folder, on the scheduler's thread.
 */
#pragma once

#include "base/map.h"
#include "core/run.h"
#include "scheduler/rate.h"
#include "scheduler/waiting.h"
#include "store/store.h"

struct scheduler;
struct flight;

struct limits {
    struct map strands;  // by the task's row, or a hash of lane and key -> struct strand
    struct map keys;     // hash of a rate limit's key -> struct key_rate
    struct map released; // run -> the struct strand it comes from, while it is in its lane
    struct map single;   // parked one-offs: run -> its struct strand
    size_t parked;       // runs in all strands
    int looked_at;       // of them, in the turn under way
    size_t held_most;    // how many are held before each strand holds only a few; 0: all
    bool hungry;         // a strand has left out runs and has room for them again
    wall next;           // when the first of them may start; WALL_NEVER: when a flight has ended
};

void limits_done(struct limits *limits);

// Once in a turn, before runs are taken from the lanes: counts what runs, and sends what may start
// now back to its lane.
void limits_release(struct scheduler *s, wall now);
// A run has come out of its lane. True where it had been released from its strand.
bool limits_arrived(struct limits *limits, run_id run);
// Whether the run may start at `at`. Otherwise it is parked, and comes back by itself.
bool limits_let(struct scheduler *s, wall at, const struct run *run, const struct task *task,
                bool released);
// It has started.
void limits_started(struct scheduler *s, wall at, const struct run *run, const struct task *task);

// A run of it that a worker had has ended: its place is free within the very turn.
void limits_ended(struct limits *limits, int64_t task);

// The rate of a queue: the next instant, `at` or later, at which one more of its runs may start.
// WALL_NEVER where the store has failed.
wall limits_queue_opens(struct scheduler *s, wall at, uint64_t lane, struct rate_rule rule);
void limits_queue_started(struct scheduler *s, wall at, const struct run *run, uint64_t lane,
                          struct rate_rule rule);

// The task has a new definition, which counts at once.
void limits_changed(struct scheduler *s, wall now, int64_t task, const struct task *before,
                    const struct task *after);
// What is parked of the task is forgotten; it was paused or deleted.
void limits_forget(struct limits *limits, int64_t task);
// As lanes_feed, lanes_are_fed and lanes_fed. limits_fed_with: a due run that was read again is not
// for its lane, since its strand has it, takes it, or will want it.
void limits_feed(struct limits *limits);
bool limits_fed_with(struct limits *limits, const struct due_row *row);
bool limits_are_fed(const struct limits *limits);
void limits_fed(struct limits *limits);
// The wall clock was set.
void limits_shift(struct limits *limits, int64_t step_us);
