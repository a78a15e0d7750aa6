/*
 * event - what happened, for GET /v1/events
 *
 * Events of one turn are kept together as one row of the store's journal, JSON objects one per
 * line:
 * {"type": "run.succeeded", "task": "nightly", "run": "run_...", ...}
 * Their moment, "at", is the turn's unless they say another: the row has it once, and it is put
 * into each when it is sent. An event's id for Last-Event-ID is "<turn>-<line>", counted from 1 and
 * 0.
 */
#pragma once

#include "base/writer.h"
#include "core/run.h"

struct event_run {
    const char *task; // NULL for a one-off
    run_id run;
    enum run_state state; // the one entered
    wall due_at;          // WALL_NONE: left out
    const char *reason;   // NULL or "": left out
    wall at;              // WALL_NONE: the turn's
};
// "run.created" (scheduled), "run.running", "run.waiting", "run.succeeded", "run.failed",
// "run.canceled", "run.missed", "run.skipped".
void event_run(struct buffer *journal, const struct event_run *event);
// "runs.created" for a whole batch: its first and last id and how many.
void event_batch(struct buffer *journal, run_id first, run_id last, size_t count);
// "attempt.finished" with outcome, status (of a command also as exit_code), response_time_ms,
// lateness_ms, cache, db_calls.
void event_attempt(struct buffer *journal, const struct task *task, const struct attempt *attempt);
// "endpoint.opened" (down after so many failures in a row; until: the first probe) and
// "endpoint.closed".
void event_endpoint(struct buffer *journal, const char *type, const char *endpoint, int failures,
                    wall until, const char *error);
// "dead.retried", "dead.discarded": somebody has dealt with a failed run.
void event_dead(struct buffer *journal, const char *type, const char *task, run_id run,
                const char *by, const char *note);
// "task.created", "task.changed", "task.deleted", "task.paused", "task.resumed".
void event_task(struct buffer *journal, const char *type, const char *task, int revision,
                const char *by, const char *note);
