/*
 * state - what the scheduler holds between turns
 *
 * Private to this folder. One file for each kind of thing a turn does: tasks.c and apply.c
 * (definitions), runs.c (runs asked for), plan.c (occurrences into runs), start.c (due runs into
 * orders), report.c (what came of them), recover.c (the start), history.c (clearing), metrics.c.
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
    struct audit_pulse audit;
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

    // of the turn under way
    struct buffer journal;
    struct letter *replies, **replies_end;
    struct letter *orders, **orders_end;
    struct letter *attempts, **attempts_end; // and, before the first turn, what was found lost

    struct metrics metrics;
    struct history {
        struct history_place place; // how far this round has come
        wall began;                 // when it did
        wall next;                  // when to look again
        bool more;                  // there is more to clear
        uint64_t ended;             // how many runs had ended at the last look
        uint64_t cleared;           // since the start
    } history;
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
// Writes a run that is new to the store and to what is due.
enum status add_run(struct scheduler *s, const struct run *run);
// plan.c
enum status plan_task(struct scheduler *s, wall now, const struct task_record *record,
                      const struct task *task);
void settle_task(struct scheduler *s, wall now, const struct known_task *known);
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
// history.c
void keep_history(struct scheduler *s, wall now, bool idle);
wall history_next(const struct scheduler *s); // when it wants a turn of its own
// metrics.c
void answer_metrics(struct scheduler *s, wall now, struct message *m);
void count_run(struct metrics *metrics, int64_t task_id, const char *task, enum run_state state);
void metrics_done(struct metrics *metrics);
