/*
 * world - one simulated life of the server
 *
 * The real scheduler, store and decision code; clock, disk, network, receivers, users and chance
 * are made here, all from one seed. Nothing sleeps and there is one thread: a turn is a call. The
 * same seed and settings replay exactly.
 *
 * world.c turns the crank; disk.c breaks the store; receivers.c is the dispatcher and whom it
 * calls, callbacks.c what those say later; users.c, faults.c and workers.c are the tables of what
 * happens; jobs.c is what runs elsewhere and checks in; model.c, flights.c, leases.c, notices.c and
 * history.c know what was promised; audit.c holds that against what is stored. A new kind of event
 * is a row in users.c, faults.c, workers.c or jobs.c, a new check a row in audit.c.
 */
#pragma once

#include <setjmp.h>
#include <sqlite3.h>

#include "base/map.h"
#include "base/random.h"
#include "scheduler/scheduler.h"
#include "sim/oracle.h"
#include "store/store.h"

#define TASKS 6       // names that users know
#define ENDPOINTS 4   // receivers
#define SCHEDULES 3   // of one task
#define REVISIONS 128 // of one task, remembered for rolling back
#define SPECS 400     // definitions in one life
#define SPANS 400
#define PAUSES 400
#define STARTS 200
#define KEYS 60
#define EVENTS_MAX 40
#define EPSILON_US (100 * MILLISECOND)
#define PACE_US (105 * MILLISECOND) // between two times that runs may catch up, and a turn
#define LINE_TEXT 200
#define LINES_KEPT 60

#include "sim/history.h"
#include "sim/jobs.h"
#include "sim/notices.h"
#include "sim/policies.h"
#include "sim/question.h"
#include "sim/workers.h"

// --- what users have written ---

struct spec { // a definition
    char *text;
    struct task *task; // decoded once; what is sent holds a reference
    char schedules[700];
    struct when when[SCHEDULES];
    int when_count;
    int max_attempts, backoff;
    int64_t initial_us, max_us, timeout_us;
    int endpoint; // from ENDPOINTS on: a queue; MONITORS: none
    bool callback;
    bool monitor;
    int64_t grace_us, most_us; // of a monitor; most: it may run
    struct policy policy;
    struct wish_to_know notify;
};

struct span { // one generation of a task's schedules
    int task, generation, spec;
    wall from;  // occurrences after this
    wall until; // up to here its occurrences have been decided
    bool ended;
};

struct pause {
    int task;
    wall from, to; // WALL_NEVER: it lasts
};

struct known { // what the model believes of a task
    bool ever, alive;
    int revision, generation, spec, span;
    int pause; // the one that lasts; -1: not paused
    int specs[REVISIONS];
    int edits;            // accepted ones, each with its audit record
    int64_t disturbed_us; // since then nothing has held its runs back
    bool moved_between_endpoints;
};

// --- what was promised ---

struct owed { // a run
    run_id id;
    int task; // -1: a one-off
    int spec; // a one-off's own; else the one of its latest attempt
    int generation;
    enum run_trigger trigger;
    wall nominal;
    wall due_least, due_most; // of the next attempt
    enum run_state state;     // as stored
    int lost;                 // attempts that a crash has ended, or a lease that ran out
    bool flying;              // with the dispatcher or a worker, for all the scheduler knows
    int attempts;
    int64_t fence; // how often it has started
    bool leased;
    struct lease_known lease;
    int64_t early_fence; // its endpoint has called back before it had answered
    int64_t made_us;     // steady
    run_id retry_of;
    int payload;              // 0: none
    bool seen;                // found in the store by the audit under way
    wall due_at, finished_at; // as stored
    bool given_up;            // missed for an edit or a delete, as its reason says
    bool delivered_well;
    wall deadline; // WALL_NEVER: none
    int priority;
    bool alone;       // it first started under a rule that lets no other run of its task beside it
    bool sent_once;   // it has arrived, and must not again
    bool end_unknown; // what came of its last attempt cannot be known, and nothing may follow
    bool by_policy;   // ended by overlap or its deadline
    bool cleared;     // from the history
    bool swept;       // canceled with all that was pending: where that is much, some turns later
    bool checked_in;  // by a job that runs elsewhere
    wall ends_at;     // then: if it has not ended by itself
    size_t notice;    // 1 + the place of what it tells; 0: it is none
};

struct stored { // a run's row
    run_id id, retry_of;
    int task; // -1: a one-off
    int spec; // where nothing is known of the run: its definition
    int generation, attempts, priority, payload;
    enum run_state state;
    enum run_trigger trigger;
    wall nominal, due, finished, deadline;
    char reason[480];
};

// Rows for stored_read.
#define STORED_RUNS                                                                         \
    "SELECT r.id, t.name, r.generation, r.state, r.trigger, r.attempts, r.scheduled_for,"   \
    " r.due_at, r.finished_at, r.reason, r.retry_of, r.deadline_at, r.priority, r.payload," \
    " d.definition FROM runs r LEFT JOIN tasks t ON t.id = r.task_id"                       \
    " LEFT JOIN revisions d ON d.id = r.revision_id"

struct creation { // a request for runs, kept so that it can be repeated
    int key;      // 0: none
    int count;
    bool batch;
    bool other_body; // the same key with another body
    int flood;       // so many runs, all like the first; 0: as listed
    int task[4], spec[4], payload[4];
    int64_t delay_us; // -1: now
};

struct kept_key {
    int key;
    uint64_t fingerprint;
    wall expires_at;
    struct creation what;
    bool heard; // its answer is known
    uint64_t body;
};

// --- the network ---

struct
try { // an attempt that the dispatcher has
    struct order *order;
    bool started, aborted;
    bool open;      // answers 202, and will call back
    int64_t end_us; // steady; once started
    wall started_at;
    enum attempt_outcome outcome;
    int status;
    bool gone;
    int64_t retry_after_us;
};

struct seen { // what a receiver saw
    run_id run;
    int number;
    int64_t fence;
    bool answered_well;
};

enum mood { MOOD_WELL, MOOD_ERRORS, MOOD_SLOW, MOOD_GONE, MOOD_DEAD, MOOD_BUSY, MOOD_COUNT };

// --- what happens ---

struct world;
struct event {
    const char *name;
    int often; // how many times in one life, more or less
    void (*happen)(struct world *, struct random *);
};
extern const struct event user_events[], fault_events[], worker_events[], job_events[];
extern const size_t user_event_count, fault_event_count, worker_event_count, job_event_count;

struct source { // an event with its own chance, so that leaving one out changes no other
    const struct event *event;
    size_t number; // among all
    struct random chance;
    int64_t next_us, mean_us;
};

enum disk_fault {
    DISK_WELL,
    DISK_CRASH_BEFORE, // the process dies before the commit
    DISK_CRASH_AFTER,  // ... after it, before anything has left
    DISK_COMMIT_FAILS, // and nothing was written
    DISK_COMMIT_LIES,  // the answer is a failure, and all was written
    DISK_VERB_FAILS,
    DISK_FAULT_COUNT
};

struct settings {
    uint64_t seed;
    int64_t steps;    // stop after so many; -1: none
    uint64_t without; // bit n: event n is left out (users first, then faults, workers, jobs)
    bool talk;        // print the trace as it comes
    const char *folder;
};

struct figures {
    int64_t simulated_us;
    uint64_t turns, requests, runs, orders, reports, effects, occurrences, audits;
    uint64_t events[EVENTS_MAX];
    uint64_t disk[DISK_FAULT_COUNT];
    uint64_t by_policy[RUN_STATE_COUNT];        // ended by overlap or a deadline
    uint64_t leases, callbacks, words, expired; // words that counted
    uint64_t cleared, audited;                  // occurrences, by the auditor
    uint64_t troubles, told, notices;           // runs that were to be told of, and those that were
    uint64_t checkins, unpinged;                // that counted; runs that none came for
};

struct verdict_of_life {
    bool failed;
    char promise[8], what[500];
    char lines[LINES_KEPT][LINE_TEXT]; // the last ones, in a ring
    uint64_t line_count, trace;        // how many; a hash over all of them
    int64_t steps;
    struct figures figures;
};

struct world {
    struct settings settings;
    struct verdict_of_life *verdict;
    jmp_buf out;

    // clocks
    int64_t now_us, end_us; // steady
    int64_t base_us;        // the wall clock was set then,
    wall base_wall;         // to this,
    int drift_ppm;          // and runs this much too fast
    int zone;               // whose clock changes in the middle of it
    bool stepped_back;
    wall highest; // the latest wall instant that a turn was given

    // the server
    struct scheduler_options options;
    char path[200];
    struct store *store; // NULL: the server is down
    struct scheduler *scheduler;
    sqlite3 *reading; // a connection of the auditor's own
    int64_t restart_us, turn_us;
    bool stopping;
    enum disk_fault armed;
    int armed_calls;
    wall starts[STARTS];
    run_id start_ids[STARTS];
    int start_count;
    int64_t final_at_start[RUN_STATE_COUNT];
    struct message **inbox;
    size_t inbox_count, inbox_room;
    int spins;   // turns in a row that nothing has asked for
    int unheard; // runs made by requests whose answer was lost
    bool lost_may_be_new;

    // users and what they know
    struct source sources[EVENTS_MAX];
    size_t source_count;
    struct spec specs[SPECS];
    int spec_count;
    struct span spans[SPANS];
    int span_count;
    struct pause pauses[PAUSES];
    int pause_count;
    struct known tasks[TASKS];
    struct kept_key keys[KEYS];
    int key_count, last_key, last_payload;
    struct owed *runs;
    size_t run_count, run_room;
    struct map by_id; // id -> place + 1

    // the network
    struct random network;
    enum mood moods[ENDPOINTS];
    struct try *tries;
    size_t try_count, try_room;
    struct seen *effects;
    size_t effect_count, effect_room;
    int flying, flying_at[ENDPOINTS];
    int64_t disturbed_us, endpoint_disturbed_us[PLACES];
    int64_t served_us[PLACES]; // an order left

    struct policies policies;
    struct workers workers;
    struct history_known history;
    struct notices notices;
    struct jobs jobs;

    double jitter_low, jitter_high; // where in the allowed range waits lay
    int jitter_count;
};

// Lives one life. The verdict says whether a promise was broken.
void world_live(const struct settings *settings, struct verdict_of_life *ret);

_Noreturn void broken(struct world *w, const char *promise, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void trace(struct world *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
wall wall_of(const struct world *w);
void set_clock(struct world *w, int64_t step_us, int drift_ppm);
void post(struct world *w, struct message *m);
void crash(struct world *w, int64_t down_us);
// Clients come all at once, from now on within so many microseconds.
void rush(struct world *w, int64_t begin_us, int64_t within_us);
int64_t world_next_turn(struct world *w); // steady
void stop_well(struct world *w, int64_t down_us);
const char *id_text(run_id run); // in a static buffer

// spec.c
// A new definition: for a task (an edit keeps something of what it has) or, with -1, a one-off.
// -1 when there are too many.
int spec_new(struct world *w, struct random *chance, int task, bool edit);
void spec_done(struct spec *spec);
int64_t world_choose_time(struct world *w, struct random *chance); // sets clocks and the horizon

// disk.c
void disk_take(struct world *w, struct store *store);
void disk_arm(enum disk_fault fault, int calls);
bool disk_committed(void); // whether the last turn's transaction is really there
bool disk_failed(void);

// receivers.c
void dispatcher_take(struct world *w, struct order *order);
int64_t dispatcher_next(const struct world *w); // steady; INT64_MAX: never
void dispatcher_work(struct world *w);
void dispatcher_crash(struct world *w);
void dispatcher_drain(struct world *w);

// users.c
uint64_t fingerprint_of(const struct creation *what);
int wishes_of(const struct creation *what);

// replies.c
void keep_reports(struct message **asked, size_t count); // as copies: the turn takes them over
void free_reports(struct message **asked, size_t count);
void check_replies(struct world *w, struct message **asked, size_t count, const struct outbox *out);

// model.c
struct owed *owed_find(struct world *w, run_id id);
struct owed *owed_shown(struct world *w, run_id id); // NULL where it was cleared, too
struct owed *owed_add(struct world *w, run_id id);
void model_message(struct world *w, struct message *m, bool heard);
int task_of(const char *name); // -1: none
int spec_of(const struct world *w, const struct task *task);
bool same_definition(const struct world *w, int a, int b);
void begin_pause(struct world *w, int task);

// flights.c
void model_report(struct world *w, struct message *m, bool heard);
void model_landed(struct world *w, struct owed *run); // the dispatcher has it no more
void model_order(struct world *w, const struct order *order);
// An attempt is over, and nobody has the run any more.
void model_over(struct world *w, struct owed *run, const struct attempt *attempt);
// A run that nobody asked for must be an occurrence of its task.
struct owed *model_occurrence(struct world *w, run_id id, int task, wall nominal);
void model_crash(struct world *w); // all that flew is lost, once the server is back

void model_recovered(struct world *w);
int64_t model_patience(const struct owed *run);
int64_t model_feeding_us(const struct world *w, int endpoint);
// Until when something held a run back that goes there, steady.
int64_t model_excuse(const struct world *w, const struct owed *run, int endpoint);
void model_mark_full(struct world *w);
void model_mark_fed(struct world *w);
bool is_pending(enum run_state state);

// audit.c
void audit(struct world *w, bool at_end);
// As question() on the auditor's connection; never NULL.
sqlite3_stmt *ask_stored(struct world *w, const char *text);
void stored_read(struct world *w, sqlite3_stmt *q, struct stored *ret);
// One row against what is known of its run; of what is not known yet it is the first that is heard.
struct owed *audit_run(struct world *w, const struct stored *row, bool at_end);
int spec_by_text(const struct world *w, const char *definition); // -1: none
void audit_count_finals(struct world *w, int64_t counts[RUN_STATE_COUNT]);
// The figures the server shows, against what is stored.
void audit_metrics(struct world *w, const char *text, const int64_t finals[RUN_STATE_COUNT]);
