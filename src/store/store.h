/*
 * store - what survives a crash
 *
 * Questions of the domain, not tables. One writer (the scheduler's thread), which works in turns:
 * store_begin, any number of the verbs below, store_commit. When commit has answered STATUS_OK
 * everything is on the disk (synced); when it has not, nothing of the turn is. Any status but OK,
 * NOT_FOUND, CONFLICT and END means that the store is broken: roll back, accept nothing more, stop
 * the program. Nothing is ever tried again after a failed sync.
 *
 * Readers (store/reader.h) have read-only connections of their own.
 *
 * Every store must pass tests/store/. Now: SQLite. The verbs are a table, so that PostgreSQL and a
 * store in memory can stand behind it.
 */
#pragma once

#include "base/id.h"
#include "core/message.h"
#include "core/run.h"
#include "store/notice.h"

struct store;

// Opens (and makes, and migrates) the store at `where`, a path. `why` (size bytes) says in words
// what is wrong otherwise: STATUS_FAILED for the disk, STATUS_CONFLICT where another process has
// it, STATUS_INVALID where a newer version wrote it.
enum status store_open_sqlite(const char *where, struct store **ret, char *why, size_t size);
// The same for tests whose clock stands still: nothing is synced, so a commit costs no disk, and a
// power cut may take all of it; a killed process loses nothing. The caller marks it with the
// setting STORE_TEST_CLOCK. STATUS_CONFLICT where the store holds something and has no such mark.
enum status store_open_sqlite_unsynced(const char *where, struct store **ret, char *why,
                                       size_t size);
#define STORE_TEST_CLOCK "test_clock"
void store_close(struct store *store);                // NULL is fine
const char *store_problem(const struct store *store); // the last failure in words; "" if none

// --- a turn ---
enum status store_begin(struct store *store);
enum status store_commit(struct store *store);
void store_rollback(struct store *store);

// --- starting ---
struct store_start {
    run_id last_run;   // the highest id in use
    int64_t last_turn; // the newest row of the journal
};
enum status store_start(struct store *store, struct store_start *ret);
// A value kept by name ("signing_secret"): at most `size` bytes with the NUL. STATUS_NOT_FOUND.
enum status store_get_setting(struct store *store, const char *name, char *value, size_t size);
enum status store_put_setting(struct store *store, const char *name, const char *value);
// The same in a transaction of its own, between two turns.
enum status store_keep_setting(struct store *store, const char *name, const char *value);

// --- tasks ---
struct task_record {
    int64_t id; // row; 0: not yet
    char *name;
    int revision;        // newest; counts on after a delete
    int64_t revision_id; // row of its definition
    int generation;      // of its schedules: bumped by every edit of them
    bool deleted;
    wall paused_at; // WALL_NONE: not paused
    char *paused_by, *paused_why;
    wall created_at, changed_at;
    char *definition; // canonical JSON of the newest revision
    size_t definition_size;
};
void task_record_done(struct task_record *record);

struct edit { // who changed what: one audit record for each accepted edit
    wall at;
    const char *author, *note; // NULL where not said
    const char *changed;       // JSON array as of task_diff; "[]" for a new task
    int rollback_to;           // the revision it brings back; 0: none
};

// Deleted tasks are found too. STATUS_NOT_FOUND. The caller owns ret: task_record_done.
enum status store_find_task(struct store *store, const char *name, struct task_record *ret);
enum status store_find_task_by_id(struct store *store, int64_t id, struct task_record *ret);
// The first task (not deleted) whose name is after `after` ("" for the first), for walking all.
// STATUS_END.
enum status store_next_task(struct store *store, const char *after, struct task_record *ret);
// Makes record->definition the next revision: sets id, revision (+1), revision_id; generation,
// deleted, paused_* are written as they stand.
enum status store_save_task(struct store *store, struct task_record *record,
                            const struct edit *edit);
// Writes deleted, generation and paused_* as they stand, without a new revision, and the audit
// record: `what` is "paused", "resumed", "deleted".
enum status store_mark_task(struct store *store, const struct task_record *record, const char *what,
                            const struct edit *edit);
// The definition of revision `number` of a task. Free with free(). STATUS_NOT_FOUND.
enum status store_find_revision(struct store *store, int64_t task, int number,
                                char **ret_definition, size_t *ret_size);

// --- definitions ---
// The row of an inline definition; made when there is none with the same text.
enum status store_keep_definition(struct store *store, const char *definition, size_t size,
                                  wall now, int64_t *ret_revision_id);
// What a run's revision_id stands for. `ret_name` is NULL for an inline one. Free both.
enum status store_load_definition(struct store *store, int64_t revision_id, char **ret_name,
                                  char **ret_definition, size_t *ret_size);

// --- cursors: which occurrence of a schedule comes next ---
struct cursor {
    int64_t task;
    int schedule; // its place in the task's list
    int generation;
    wall next_at; // nominal instant of the next occurrence that has no record yet; WALL_NEVER: none
                  // left
    int dst;      // enum dst_note of it
};
enum status store_put_cursor(struct store *store,
                             const struct cursor *cursor); // inserts or replaces (task, schedule)
enum status store_drop_cursors(struct store *store, int64_t task);
// Cursors with (next_at, task, schedule) after `after` and next_at <= until, earliest first: at
// most `max`, how many in ret_count.
enum status store_load_cursors(struct store *store, const struct cursor *after, wall until,
                               size_t max, struct cursor *ret, size_t *ret_count);

// All of a task, by their place in its list.
enum status store_load_cursors_of_task(struct store *store, int64_t task, size_t max,
                                       struct cursor *ret, size_t *ret_count);

// --- runs ---
// STATUS_CONFLICT where this occurrence (task, generation, scheduled_for) has a run already;
// nothing is written then. That it cannot be written may be told by a later verb of the turn or by
// its commit.
enum status store_add_run(struct store *store, const struct run *run);

struct due_row {
    run_id run;
    wall due_at;
    uint64_t lane;
    int64_t task; // 0: a one-off
    int priority;
    bool catch_up; // of an outage, and not started yet
    bool notice;   // it tells of a task's failures
};
// Runs scheduled or waiting with (due_at, id) after (`after`, after_id) and due_at <= until,
// earliest first.
enum status store_load_due(struct store *store, wall after, run_id after_id, wall until, size_t max,
                           struct due_row *ret, size_t *ret_count);
// The same for one task, from the id after `after_id`, by id.
enum status store_load_due_of_task(struct store *store, int64_t task, run_id after_id, size_t max,
                                   struct due_row *ret, size_t *ret_count);

// The whole run, with task_name and revision. The caller owns ret: run_done. STATUS_NOT_FOUND.
enum status store_find_run(struct store *store, run_id id, struct run *ret);
// scheduled or waiting -> running: attempts + 1, fence + 1, attempt_started_at = at, started_at
// where not set, revision_id and lane as given. STATUS_CONFLICT unless it is scheduled or waiting
// (nothing written).
enum status store_start_run(struct store *store, run_id id, wall at, int64_t revision_id,
                            uint64_t lane);
// Records a finished attempt and, unless the run is final already, moves the run by the verdict
// (finished_at = now for a final state; attempt_started_at stays where the verdict says that the
// attempt will be reported later). STATUS_CONFLICT where the run did not move: it was final
// (the attempt is recorded), or this is not the report of its latest attempt by number and fence,
// or came before (nothing is written; one recorded as canceled gives way to its report).
// STATUS_NOT_FOUND.
enum status store_finish_attempt(struct store *store, const struct attempt *attempt,
                                 const struct verdict *verdict, wall now);
// scheduled, waiting or running -> `state` (final) with a reason. STATUS_CONFLICT where that move
// is not allowed.
enum status store_end_run(struct store *store, run_id id, enum run_state state, const char *reason,
                          wall now);
// Runs of `task` up to the id `until` that are scheduled or waiting -> canceled. only_occurrences:
// just those a schedule made that had no attempt yet. At most `max` at a call; ret gets their ids.
enum status store_cancel_pending(struct store *store, int64_t task, run_id until,
                                 bool only_occurrences, const char *reason, wall now, size_t max,
                                 run_id *ret, size_t *ret_count);
// Runs that are running, by id, after `after`. For recovery at the start: what runs then was lost.
enum status store_load_running(struct store *store, run_id after, size_t max, struct run *ret,
                               size_t *ret_count);

// --- sweeps: pending runs that are still to be canceled ---
struct sweep {
    int64_t id; // row; set by store_add_sweep
    int64_t task;
    run_id until;          // runs with higher ids are not meant
    bool only_occurrences; // as of store_cancel_pending
    char reason[200];
};
enum status store_add_sweep(struct store *store, struct sweep *sweep);
// In the order added, behind the row `after`; at most `max`, how many in ret_count.
enum status store_load_sweeps(struct store *store, int64_t after, size_t max, struct sweep *ret,
                              size_t *ret_count);
enum status store_drop_sweep(struct store *store, int64_t id);
// --- rate limits ---
struct store_start_row { // a start that counts, and the rule it was made under
    run_id run;
    int attempt;
    wall at;
    int most;
    int64_t per_us;
};
// Keys are numbers of the caller's.
enum status store_add_start(struct store *store, uint64_t key, const struct store_start_row *row);
// The newest starts of a key that are later than `after`, at most `max`, the oldest of them first.
enum status store_load_starts(struct store *store, uint64_t key, wall after, size_t max,
                              struct store_start_row *ret, size_t *ret_count);
// Those made under one rule count as made under the other.
enum status store_change_starts(struct store *store, uint64_t key, int most, int64_t per_us,
                                int new_most, int64_t new_per_us);
// Forgets those before `before`, but for the last one under each rule: it goes before
// `rules_before`.
enum status store_trim_starts(struct store *store, uint64_t key, wall before, wall rules_before);
// The wall clock was set by so much: what counts steady time is moved with it. The starts of all
// keys, and the next attempts of runs that wait and were not due by `now`, an instant of the old
// clock.
enum status store_shift_clock(struct store *store, wall now, int64_t step_us);
// --- leases: the right to work on a run, of those who are not this server ---
enum lease_kind {
    LEASE_WORKER,   // the numbers are stored: never change them
    LEASE_CALLBACK, // an endpoint that answered 202 and calls back
};

// Both clocks: the steady one tells how much is left, unless the machine was started anew.
struct lease_record {
    run_id run;
    enum lease_kind kind;
    int64_t length_us; // as it was last asked for
    wall until, most;  // most: WALL_NEVER where it may be prolonged without end
    steady steady_until, steady_most;
    int64_t boot; // which start of the machine the steady clock belongs to; 0: not known
    char *worker; // NULL where not said
};
void lease_record_done(struct lease_record *record);

// Inserts, or takes the place of the run's former lease.
enum status store_put_lease(struct store *store, const struct lease_record *record);
enum status store_drop_lease(struct store *store, run_id run); // none there is fine
// STATUS_NOT_FOUND. The caller owns ret: lease_record_done.
enum status store_find_lease(struct store *store, run_id run, struct lease_record *ret);
// running -> waiting as if its latest attempt had never started: attempts - 1, started_at not set
// where it was the first; due_at and the fence stay. STATUS_CONFLICT unless it runs with this
// fence.
enum status store_release_run(struct store *store, run_id run, int64_t fence);
// The runs of a task that are scheduled or waiting go to another lane.
enum status store_move_runs(struct store *store, int64_t task, uint64_t lane);
// Runs of `task` that wait between two attempts, by id, after `after`.
enum status store_load_waiting_of_task(struct store *store, int64_t task, run_id after, size_t max,
                                       run_id *ret, size_t *ret_count);
// Notices that are waiting, with ids after `after`, by id.
enum status store_load_waiting_notices(struct store *store, run_id after, size_t max, run_id *ret,
                                       size_t *ret_count);
struct deadline {
    run_id run;
    wall at;
};
// By when runs must have started, the earliest first: passed or not, and also of runs that have
// started or ended meanwhile. A row is there until it is dropped.
enum status store_load_deadlines(struct store *store, size_t max, struct deadline *ret,
                                 size_t *ret_count);
enum status store_drop_deadline(struct store *store, const struct deadline *deadline);

// --- backlogs: occurrences that fell into an outage and have no record yet ---
struct backlog {
    int64_t id; // grows with the outages
    int64_t task;
    int generation;
    int64_t revision_id; // the definition that decided
    wall next_at;        // those of [next_at, until) are left
    wall run_from;       // from here on they run, before it they are missed
    wall until;
    char reason[120]; // not "": all of them are missed, for this
};
enum status store_add_backlog(struct store *store, const struct backlog *backlog); // id is not read
enum status store_move_backlog(struct store *store, int64_t id, wall next_at);
enum status store_drop_backlog(struct store *store, int64_t id);
// None of what is left of a task is to run, for this reason.
enum status store_give_up_backlogs(struct store *store, int64_t task, const char *reason);
// The oldest of each task, for tasks after `after_task`, by task.
enum status store_load_backlogs(struct store *store, int64_t after_task, size_t max,
                                struct backlog *ret, size_t *ret_count);
// The newest run of a task that is stored as `state`: scheduled, running or waiting.
// STATUS_NOT_FOUND.
enum status store_newest_open(struct store *store, int64_t task, enum run_state state, run_id *ret);

// --- dead letters and notices ---
// Says of a failed run how it was dealt with (JSON). STATUS_CONFLICT, and nothing written, unless
// it has failed and nobody dealt with it yet.
enum status store_handle_run(struct store *store, run_id id, const char *handled);
// All that is kept, by task, after `after`. The caller frees each one's reasons.
enum status store_load_notices(struct store *store, int64_t after, size_t max, struct notice *ret,
                               size_t *ret_count);
enum status store_put_notice(struct store *store, const struct notice *notice);
// All that is kept, by id, after `after`. The caller frees each one's texts.
enum status store_load_webhooks(struct store *store, int64_t after, size_t max, struct webhook *ret,
                                size_t *ret_count);
enum status store_put_webhook(struct store *store, const struct webhook *webhook);

// --- idempotency keys ---
// The stored answer. STATUS_NOT_FOUND where the key is unknown or expired by now. Free ret_body.
enum status store_find_key(struct store *store, const char *key, wall now,
                           uint64_t *ret_fingerprint, char **ret_body, size_t *ret_size);
enum status store_keep_key(struct store *store, const char *key, uint64_t fingerprint,
                           const char *body, size_t size, wall expires_at);
// Forgets at most `max` expired keys.
enum status store_clear_keys(struct store *store, wall now, size_t max);

// --- journal ---
// One row per turn that had events: JSON objects, one per line.
enum status store_add_journal(struct store *store, int64_t turn, wall at, const char *events,
                              size_t size);
// Forgets oldest rows while the journal holds more than `keep_bytes`; at most `max` rows at a call.
enum status store_trim_journal(struct store *store, size_t keep_bytes, size_t max);

// --- history: runs that have ended, with their attempts ---
struct history_limits {
    wall before;   // what ended before this is past its time; WALL_NONE: nothing is
    int64_t rows;  // how many ended runs are kept at most; 0: any number
    int64_t bytes; // how large the store may be while there is history to clear; 0: any size
};
struct history_place { // how far one round of clearing has come: {0} begins anew
    wall ended;
    run_id run;
};
#define HISTORY_STEP_MAX 200
struct history_cleared {
    size_t runs;
    bool more; // the limits ask for more, and the round is not over
    // Inline definitions that are gone, since no run has them any more.
    int64_t definitions[HISTORY_STEP_MAX];
    size_t definition_count;
};
// Looks at no more than `max` ended runs (HISTORY_STEP_MAX at most) from the place on, the oldest
// first, and clears those the limits do not leave room for; fewer where they are large. Never a
// live run, one whose attempt is still to be reported, the latest run of a task, nor the newest run
// of all. Moves the place.
enum status store_clear_history(struct store *store, const struct history_limits *limits,
                                struct history_place *place, size_t max,
                                struct history_cleared *ret);
struct history_size {
    int64_t rows;    // ended runs that are kept
    int64_t bytes;   // of the store that are in use, live runs and all else included
    int64_t cleared; // runs cleared since the store was made
    // Since then, too: how often runs entered each state. RUN_SCHEDULED: were made.
    int64_t entered[RUN_STATE_COUNT];
};
enum status store_history_size(struct store *store, struct history_size *ret);

// Moves what the log holds into the main file, when it is worth it: call outside a turn.
enum status store_checkpoint(struct store *store);
