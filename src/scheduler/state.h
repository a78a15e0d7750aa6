/*
 * state - what the scheduler holds between turns
 *
 * Private to this folder. One file for each kind of thing a turn does: tasks.c and apply.c
 * (definitions), runs.c (runs asked for), plan.c (occurrences into runs), backlog.c (those of an
 * outage), start.c (due runs into orders) with overlap.c, deadline.c and pace.c, report.c (what
 * came of them), dead.c (failed runs dealt with), notices.c with group.c (who is told), checkin.c
 * (runs of jobs elsewhere), recover.c (the start), history.c (clearing), metrics.c; lease.h has
 * what workers and call backs need; still.c what a clock that stands still asks for.
 */
#pragma once

#include "base/histogram.h"
#include "base/id.h"
#include "base/map.h"
#include "core/event.h"
#include "core/message.h"
#include "core/upcoming.h"
#include "scheduler/due.h"
#include "scheduler/endpoint.h"
#include "scheduler/known.h"
#include "scheduler/lane.h"
#include "scheduler/lease.h"
#include "scheduler/limits.h"
#include "scheduler/scheduler.h"

// A run that is with the dispatcher, or that somebody else has the lease of.
struct flight {
    run_id run;
    int64_t task_id; // 0: a one-off
    wall occurrence; // nominal instant, where a schedule made it; else WALL_NONE
    uint64_t lane;
    int priority;
    struct task *task; // a reference: the definition this attempt was made with
    int64_t fence;
    bool in_lane;        // counts as running in its lane
    struct lease *lease; // NULL: with the dispatcher
};

// Reading again what is due by now, for lines that had left it out (feed.c).
struct feed {
    bool on;
    wall edge; // the last (due_at, id) read
    run_id edge_id;
    wall until;
    struct map moved, moving; // tasks that go to another endpoint: for the next time, for this time
};

// Which runs wait for another one of their task. overlap.c
struct overlaps {
    struct map held;    // task id -> struct held: those that wait until another has ended
    struct held *freed; // those of them where one has
    struct map runs;    // those held, and those early: run -> anything
    struct heap early;  // key: due_at and priority, order: id, item: lane: judged at their time
    struct map busy;    // task id -> its number of flights, as a pointer: of the turn under way
    bool busy_known;
};

// How fast runs that catch up may start. pace.c
struct pace {
    wall *starts; // of the latest `per_s`, as a ring
    int per_s, at;
    wall next; // when some more of them go to their lanes
};

// What became of a task's runs since the start, for /metrics.
struct tally {
    char *task;
    bool deleted; // it gives way where there is no more room
    uint64_t runs[RUN_STATE_COUNT];
};

struct metrics {
    struct histogram lateness, response_time, queue_wait, commit;
    uint64_t attempts[ATTEMPT_OUTCOME_COUNT];
    uint64_t runs[RUN_STATE_COUNT]; // how often each state was entered
    uint64_t turns, messages;
    struct audit_pulse audit;
    struct map tallies;         // task id -> struct tally
    size_t deleted_tallies;     // at most so many of them are of tasks that are deleted
    struct tally other_tallies; // of all tasks that there was no room for
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
    struct limits limits;
    struct endpoints endpoints;
    struct feed feed;
    struct heap cursors; // key: next_at, order: task id, item: generation << 32 | place in the list
    struct cursor cursor_edge;
    wall cursors_covered;
    struct map flights;    // run id -> struct flight
    struct heap behind;    // as cursors: those whose occurrence fell into an outage
    bool backlogs_left;    // the store may have backlogs; at first it may
    int64_t backlog_after; // the task whose backlog was looked at last
    wall up_since;         // what fell due before it fell into an outage
    wall next_deadline;    // no deadline passes before it
    struct overlaps overlaps;
    struct pace pace;
    struct known known;
    struct sweep *sweeps; // in the order they came: see sweep.c
    size_t sweep_count;
    int64_t wall_minus_steady_us;
    steady waits; // what those who wait at queues go by; 0: the steady clock
    struct leases leases;
    struct queues queues;
    struct map tellers;         // task id -> what is still to be told of it (notices.c)
    struct heap notices_due;    // key: when it is told, order: task id
    struct map groups;          // hash of a URL -> what is told there next (group.c)
    struct heap groups_due;     // key: when it is told, order: its key in the map
    int64_t last_webhook;       // the highest row of one
    struct map notices_pending; // runs that tell, and have not ended -> anything
    struct heap expected;       // runs of monitors: key: when the wait ends, order: run (checkin.c)
    struct teller *tellers_changed, **tellers_changed_end; // of the turn under way
    struct group *groups_changed, **groups_changed_end;    // of the turn under way

    // of the turn under way
    struct buffer journal;
    struct letter *replies, **replies_end;
    struct letter *orders, **orders_end;
    struct letter *attempts, **attempts_end; // and, before the first turn, what was found lost

    struct metrics metrics;
    struct history {
        struct history_place place; // how far this round has come
        wall began;                 // when it did
        wall looked;                // at the last look
        int64_t turn;               // the last that had written anything then
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
void send_reply(struct scheduler *s, struct message *m);
steady steady_at(const struct scheduler *s, wall now);
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
// Where a run waits that has come back from this lane: its task may have left a queue meanwhile, or
// gone to one, and what was under way has not followed.
uint64_t lane_of_next(struct scheduler *s, int64_t task, uint64_t lane);
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
// sweep.c
// All pending runs of a task, those of later turns not: canceled, or as good as.
enum status cancel_pending_runs(struct scheduler *s, wall now, int64_t task, bool only_occurrences,
                                const char *reason);
// Whether a pending run is still to be canceled: it must not start.
bool is_swept(const struct scheduler *s, const struct run *run);
void sweep_on(struct scheduler *s, wall now);
enum status load_sweeps(struct scheduler *s); // at the start
// Ends a run that is not final as canceled; an attempt under way is aborted.
enum status end_as_canceled(struct scheduler *s, wall now, const struct run *run,
                            const char *reason);
// plan.c
struct origin { // where an occurrence comes from
    const struct task_record *record;
    const struct task *task; // whose policies hold
    uint64_t lane;
    int generation;
    int64_t revision_id;
};
struct decision {         // what is to be done about an occurrence whose time has come
    enum run_state state; // scheduled, missed or skipped
    enum run_trigger trigger;
    char reason[240];
};
void decide_paused(const struct task_record *record, struct decision *ret);
void decide_dst_skipped(struct decision *ret);
// Writes its run, unless the occurrence has one.
void record_occurrence(struct scheduler *s, wall now, const struct origin *origin,
                       const struct upcoming_item *item, const struct decision *d);
// Moves one cursor behind `after`.
enum status move_cursor(struct scheduler *s, const struct schedule *schedule, struct cursor *cursor,
                        wall after);
// One cursor that was put aside. Returns what it cost, in occurrences.
int pass_behind(struct scheduler *s, wall now, const struct heap_entry *entry);
enum status plan_task(struct scheduler *s, wall now, const struct task_record *record,
                      const struct task *task);
void plan_due_occurrences(struct scheduler *s, wall now);
void load_cursors(struct scheduler *s, wall now);
wall plan_next(const struct scheduler *s, wall now);
// backlog.c
void catch_up(struct scheduler *s, wall now);
// So many runs wait to catch up that no more are made.
bool catching_up_is_full(const struct scheduler *s);
// A task was found behind: all it has not recorded before `until` is missed, or catches up. Returns
// what it cost, in occurrences.
int open_backlog(struct scheduler *s, wall now, const struct known_task *known, wall until);
// As much of one task's as a turn works off.
void work_off_backlog(struct scheduler *s, wall now, int64_t task);
// Records what a monitor has come to expect by now. A check-in comes before its turn plans, and may
// be about an occurrence that came due meanwhile.
void plan_monitor(struct scheduler *s, wall now, const struct known_task *known);
// Takes an occurrence that is about to come off those to be planned; the caller records it. False:
// it is none of them. Where the clock was set back, those that come again have their record, and
// those of before an edit are not asked for.
bool take_ahead(struct scheduler *s, const struct known_task *known, wall nominal);
// An edit of the schedule or a delete: what of the task was due by now and has no record yet is
// missed.
enum status give_up_backlog(struct scheduler *s, wall now, const struct task_record *before,
                            const char *reason);
// deadline.c
void deadline_reason(wall deadline, char *text, size_t size);
// True when the run ended as missed.
bool deadline_passed(struct scheduler *s, wall now, const struct run *run);
void watch_deadline(struct scheduler *s, const struct run *run);
void miss_late_runs(struct scheduler *s, wall now);
// overlap.c
// Whether a run may start beside those of its task that are live. Otherwise it is ended, or held
// and comes back to its lane by itself.
bool overlap_allows(struct scheduler *s, wall now, const struct run *run, const struct task *task,
                    uint64_t lane);
void overlap_began(struct scheduler *s, int64_t task); // an attempt has begun
void overlap_ended(struct scheduler *s, int64_t task); // a run, or an attempt, has ended
bool overlap_holds(const struct scheduler *s, run_id run);
void overlap_forget(struct scheduler *s, int64_t task); // its held runs are noted anew otherwise
void release_held_runs(struct scheduler *s, wall now);
wall overlap_next(const struct scheduler *s, wall now);
void overlaps_done(struct overlaps *overlaps);
// pace.c
void pace_init(struct pace *pace, int per_s);
void pace_done(struct pace *pace);
bool pace_has_room(const struct pace *pace, wall now);
void pace_started(struct pace *pace, wall now);
// In the order of `since`: its due instant, or now to let all the others go first.
void wait_at_pace(struct scheduler *s, const struct run *run, uint64_t lane, wall since);
// Some of the runs that catch up go to their lanes.
void let_some_catch_up(struct scheduler *s, wall now);
wall pace_next(const struct scheduler *s, wall now);
// start.c
void start_due_runs(struct scheduler *s, wall now);
// feed.c
// What was loaded is by an old clock: it comes once more, and what is twice starts once.
void due_forget(struct scheduler *s);
void feed_lines(struct scheduler *s, wall until); // what is due by then has come into its lane
bool feed_is_wanted(const struct scheduler *s);
void feed_moved_task(struct scheduler *s, int64_t task);
void feed_done(struct feed *feed);
void start_run(struct scheduler *s, wall now, wall until, run_id id, uint64_t lane);
// Whether the store has it as scheduled: not started, nor ended.
bool is_scheduled(struct scheduler *s, run_id id);
// Whether more attempts may be under way at once, of those that workers have not.
bool attempts_have_room(const struct scheduler *s);
// Whether a run that was due is still to be started. One whose time comes again, since the clock
// was set back, is noted for it; one that may not catch up now waits at its pace again. `starts`:
// it would at once, so what the policies of its task make of it is done: it may end, or wait for
// another one of its task.
bool still_waits(struct scheduler *s, wall now, run_id id, uint64_t lane, bool starts);
// Whether it is fed by pace.c, and never with what lines have left out.
bool catches_up(const struct run *run);
// To its lane. Where that is full it is fed later, out of the store, or waits at its pace again.
void note_in_lane(struct scheduler *s, uint64_t lane, wall due_at, run_id id, int priority);
// report.c
// True where the attempt is over, and to be logged.
bool take_report(struct scheduler *s, wall now, struct message *m);
void finish_attempt(struct scheduler *s, wall now, const struct attempt *attempt, struct task *task,
                    int64_t task_id, int priority);
// recover.c
enum status recover_lost_runs(struct scheduler *s, wall now);
// history.c
void keep_history(struct scheduler *s, wall now, bool idle);
wall history_next(const struct scheduler *s); // when it wants a turn of its own
// dead.c
void answer_retry_dead(struct scheduler *s, wall now, struct message *m);
void answer_discard_dead(struct scheduler *s, wall now, struct message *m);
// A dead letter is dealt with by the first run that is made of it.
void retried_once_more(struct scheduler *s, wall now, const struct message *m,
                       const struct run *old, run_id retried_as);
// notices.c
enum status load_notices(struct scheduler *s);         // at the start, before anything else
enum status load_waiting_notices(struct scheduler *s); // after the runs that were lost
void notices_done(struct scheduler *s);
void note_outcome(struct scheduler *s, const struct event_run *event, int64_t task);
// Its definition is another one, or it was deleted: whom it tells may be, too.
void note_edit(struct scheduler *s, int64_t task);
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
void count_no_more(struct metrics *metrics, int64_t task_id); // the task was deleted
uint64_t count_ended(const struct metrics *metrics);          // runs that have come to their end
void metrics_done(struct metrics *metrics);
