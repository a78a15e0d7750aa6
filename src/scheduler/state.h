/*
 * state - what the scheduler holds between turns
 *
 * Private to this folder. One file for each kind of thing a turn does: tasks.c and apply.c
 * (definitions), runs.c (runs asked for), plan.c (occurrences into runs), start.c (due runs into
 * orders), report.c (what came of them), dead.c (failed runs dealt with), notices.c (who is told),
 * checkin.c (runs of jobs elsewhere), recover.c (the start), metrics.c.
 */
#pragma once

#include "base/histogram.h"
#include "base/id.h"
#include "base/map.h"
#include "core/event.h"
#include "core/message.h"
#include "scheduler/due.h"
#include "scheduler/known.h"
#include "scheduler/lane.h"
#include "scheduler/scheduler.h"

// A run that is with the dispatcher.
struct flight {
    run_id run;
    int64_t task_id; // 0: a one-off
    wall occurrence; // nominal instant, where a schedule made it; else WALL_NONE
    uint64_t lane;
    struct task *task; // a reference: the definition this attempt was made with
};

// What became of a task's runs since the start, for /metrics.
struct tally {
    char *task;
    uint64_t runs[RUN_STATE_COUNT];
};

struct metrics {
    struct histogram lateness, response_time, queue_wait, commit;
    uint64_t attempts[ATTEMPT_OUTCOME_COUNT];
    uint64_t runs[RUN_STATE_COUNT]; // how often each state was entered
    uint64_t turns, messages;
    struct map tallies; // task id -> struct tally
};

struct scheduler {
    struct scheduler_options options;
    struct store *store;
    struct random chance;
    struct id_maker ids;
    int64_t turn;  // the newest row of the journal
    wall started;  // when this process began: what fell due before it fell into an outage
    bool stopping; // starts nothing new
    bool broken;   // a verb of the store has failed: the turn is undone, and no other may follow

    struct due due;
    struct lanes lanes;
    struct heap cursors; // key: next_at, order: task id, item: generation << 32 | place in the list
    struct cursor cursor_edge;
    wall cursors_covered;
    struct map flights; // run id -> struct flight
    struct known known;
    struct map tellers;      // task id -> what is still to be told of it (notices.c)
    struct heap notices_due; // key: when it is told, order: task id
    struct heap expected;    // runs of monitors: key: when the wait ends, order: run (checkin.c)
    struct teller *tellers_changed, **tellers_changed_end; // of the turn under way

    // of the turn under way
    struct buffer journal;
    struct letter *replies, **replies_end;
    struct letter *orders, **orders_end;
    struct letter *attempts, **attempts_end; // and, before the first turn, what was found lost

    struct metrics metrics;
    uint64_t messages_at_clearing; // how many had come when the house was kept last
};

// Marks the scheduler broken when the store is. True on STATUS_OK.
bool went_well(struct scheduler *s, enum status status);
// The answer of a message that could not be carried out.
void refuse(struct message *m, enum status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void send_order(struct scheduler *s, struct order *order);
void send_attempt(struct scheduler *s, struct message *report);
// Tells the journal and the metrics that a run has entered a state.
void note_run(struct scheduler *s, const struct event_run *event, int64_t task_id);

// tasks.c
enum task_action { TASK_UNCHANGED, TASK_CREATED, TASK_CHANGED, TASK_REMOVED, TASK_ACTION_COUNT };

struct task_change {
    enum task_action action;
    int64_t task; // row; 0 where there was none
    int revision;
    json_t *fields; // what differs, as of task_diff; NULL when unchanged or created
};
// Makes `task` the newest definition of its name, or with dry_run only says what would change.
enum status change_task(struct scheduler *s, wall now, struct task *task, const struct edit *edit,
                        bool dry_run, struct task_change *ret);
enum status remove_task(struct scheduler *s, wall now, struct known_task *known,
                        const struct edit *edit);
enum status pause_task(struct scheduler *s, wall now, struct known_task *known, const char *by,
                       const char *why);
// The runs of a task that have started. Free with free(); never NULL.
run_id *running_of(const struct scheduler *s, int64_t task, size_t *ret_count);
void answer_put_task(struct scheduler *s, wall now, struct message *m);
void answer_delete_task(struct scheduler *s, wall now, struct message *m);
void answer_rollback(struct scheduler *s, wall now, struct message *m);
void answer_pause(struct scheduler *s, wall now, struct message *m);
void answer_resume(struct scheduler *s, wall now, struct message *m);
// apply.c
void answer_apply(struct scheduler *s, wall now, struct message *m);
// runs.c
void answer_create_runs(struct scheduler *s, wall now, struct message *m);
void answer_cancel_run(struct scheduler *s, wall now, struct message *m);
void answer_retry_run(struct scheduler *s, wall now, struct message *m);
// A new run of the same, linked to one that has ended, whose texts it borrows.
enum status retry_as_new(struct scheduler *s, wall now, const struct run *old, struct run *ret);
void reply_with_run(struct message *m, wall now, const struct run *run);
// Whether a new run of this task may be made. Otherwise the message is answered.
bool may_run(struct message *m, const struct known_task *known, const char *name);
// True when the message is answered already: its idempotency key has been seen.
bool answered_before(struct scheduler *s, wall now, struct message *m);
void remember_answer(struct scheduler *s, wall now, const struct message *m);
// Writes a run that is new to the store and to what is due.
enum status add_run(struct scheduler *s, const struct run *run);
// plan.c
enum status plan_task(struct scheduler *s, wall now, const struct task_record *record,
                      const struct task *task);
void plan_due_occurrences(struct scheduler *s, wall now);
void load_cursors(struct scheduler *s, wall now);
wall plan_next(const struct scheduler *s, wall now);
// start.c
void start_due_runs(struct scheduler *s, wall now);
// report.c
void take_report(struct scheduler *s, wall now, struct message *m);
void finish_attempt(struct scheduler *s, wall now, const struct attempt *attempt, struct task *task,
                    int64_t task_id);
// recover.c
enum status recover_lost_runs(struct scheduler *s, wall now);
// dead.c
void answer_retry_dead(struct scheduler *s, wall now, struct message *m);
void answer_discard_dead(struct scheduler *s, wall now, struct message *m);
// A dead letter is dealt with by the first run that is made of it.
void retried_once_more(struct scheduler *s, wall now, const struct message *m,
                       const struct run *old, run_id retried_as);
// notices.c
enum status load_notices(struct scheduler *s); // at the start, before anything else
void notices_done(struct scheduler *s);
void note_outcome(struct scheduler *s, const struct event_run *event, int64_t task);
void tell_notices(struct scheduler *s, wall now); // at the end of a turn
wall next_notice(const struct scheduler *s);
// checkin.c
void answer_checkin(struct scheduler *s, wall now, struct message *m);
void expect_checkin(struct scheduler *s, run_id run, wall until);
void end_waits(struct scheduler *s, wall now);
wall next_wait(const struct scheduler *s);
// A monitor's runs that wait for a check-in end as skipped; nothing for other tasks.
enum status skip_waits(struct scheduler *s, wall now, const struct known_task *known,
                       const char *reason);
// True for the run of a monitor: its job goes on whether or not the server does.
bool recover_monitor(struct scheduler *s, const struct run *run, const struct task *task);
// metrics.c
void answer_metrics(struct scheduler *s, wall now, struct message *m);
void count_run(struct metrics *metrics, int64_t task_id, const char *task, enum run_state state);
void metrics_done(struct metrics *metrics);
