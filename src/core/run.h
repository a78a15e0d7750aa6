/*
 * run - one execution owed
 *
 *                  .---------- waiting <---.
 *                  v                        |
 *   scheduled --> due --> running ----------+--> succeeded
 *       |          |         |              '--> failed
 *       |          |         '--> canceled
 *       '----------+--> canceled, missed, skipped (waiting, too)
 *
 * `due` is never stored: a run that is scheduled or waiting is due once its time has come, and
 * reads so (run_state_at). The moves are the table in run.c, and nothing else may make them.
 */
#pragma once

#include "base/id.h"
#include "base/random.h"
#include "base/writer.h"
#include "core/attempt.h"
#include "core/task.h"

enum run_state {
    RUN_SCHEDULED, // the numbers are stored: never change them
    RUN_DUE,
    RUN_RUNNING,
    RUN_WAITING, // between two attempts
    RUN_SUCCEEDED,
    RUN_FAILED, // out of attempts or refused for good: the dead letters
    RUN_CANCELED,
    RUN_MISSED,
    RUN_SKIPPED,
    RUN_STATE_COUNT
};
const char *run_state_text(enum run_state state);
enum status run_state_parse(const char *text, enum run_state *ret);
bool run_state_may(enum run_state from, enum run_state to);
bool run_state_is_final(enum run_state state);
// What a stored state reads as at `now`: scheduled and waiting runs whose time has come are due.
enum run_state run_state_at(enum run_state stored, wall due_at, wall now);

enum run_trigger {
    TRIGGER_SCHEDULE,
    TRIGGER_API,
    TRIGGER_RETRY,
    TRIGGER_CATCH_UP,
    TRIGGER_TEST,
    TRIGGER_NOTICE, // tells of a task's failures (scheduler/notices.c)
    TRIGGER_COUNT
};
const char *run_trigger_text(enum run_trigger trigger);
enum status run_trigger_parse(const char *text, enum run_trigger *ret);

struct run {
    run_id id;
    int64_t task; // row of the task; 0 for a one-off
    int64_t
        revision_id; // row of the definition that its last attempt used, or that it was made with
    int generation;  // of the schedule, for an occurrence; 0 otherwise
    enum run_state state;
    enum run_trigger trigger;
    char *reason;       // in words: why it failed, was canceled, missed or skipped; NULL otherwise
    wall scheduled_for; // nominal
    wall due_at;        // effective; of the next attempt while waiting
    wall started_at;    // of the first attempt
    wall deadline_at;   // missed unless it has started by then; 0: no deadline
    wall finished_at;
    wall attempt_started_at; // of the attempt under way
    int attempts;            // how many have been started
    int64_t fence;
    uint64_t lane;
    int priority;    // 0..9, 9 is the most urgent
    run_id retry_of; // 0: none
    char *payload;   // JSON text, or NULL: the task's
    size_t payload_size;
    // Filled by reads that join them; not columns of the run.
    char *task_name;  // NULL for a one-off
    int revision;     // the revision's number; 0 for a one-off
    char *handled;    // JSON: how a failed run was dealt with; NULL: not, or nothing to deal with
    char *definition; // JSON: a one-off's own, where only one run is read; else NULL
    size_t definition_size;
};
void run_done(struct run *run);
// The deadline of a run that is due then.
wall run_deadline(const struct task *task, wall due_at);

// The run as the API shows it (design, 7), as one JSON object: `state` is read at `now`. `attempts`
// may be NULL: the field is left out. `result` is the last successful attempt's response where that
// is JSON, else null; it needs attempts and is left out without, and so is a one-off's definition.
void run_write(struct writer *w, const struct run *run, wall now, const struct attempt *attempts,
               size_t count);
void attempt_write(struct writer *w, const struct attempt *attempt);
void member_run(struct writer *w, const char *key, run_id run); // its id; null where there is none

// What becomes of a run after an attempt.
struct verdict {
    enum run_state state; // succeeded, waiting or failed; canceled where a user says so
    wall due_at;          // waiting: when the next attempt is due
    char reason[480];     // failed: why, cut behind a whole character; "" otherwise
    bool reported_later;  // canceled: the attempt is still under way, and its report will come
};
struct verdict run_after_attempt(const struct retry *retry, const struct attempt *attempt, wall now,
                                 struct random *chance);
// With delivery at_most_once nothing follows an attempt that may have sent something, and where
// nobody knows what came of it the run says so.
void run_at_most_once(const struct task *task, const struct attempt *attempt,
                      struct verdict *verdict);
