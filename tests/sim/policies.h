/*
 * policies - what tasks ask for besides a time, as the model follows it
 *
 * Overlap, deadline, max_running, rate limits, priority, catch_up, at_most_once, and the breaker of
 * endpoints. policies_draw.c makes them up for definitions; policies.c holds what starts
 * against them, written.c what they end; rates.c, breaker.c and outages.c know one of them each.
 * Nothing here is asked of the code that is tested: what is held back, and until when, is found a
 * second way.
 *
 * Included by world.h, used by the files of this folder.
 */
#pragma once

#include "core/task.h"

#define SHARED_KEYS 2                   // rate limits that tasks and one-offs have in common
#define RATE_KEYS (SHARED_KEYS + TASKS) // and each task's own
#define RATE_RULES_KNOWN 32             // of one key

struct store_verbs;
struct world;
struct spec;
struct owed;
struct span;

struct rule { // at most so many starts within so long
    int limit;
    int64_t per_us;
};

struct policy { // of a definition
    enum overlap overlap;
    int priority, max_running;
    int64_t deadline_us;
    bool at_most_once;
    enum catch_up_policy catch_up;
    int64_t window_us;
    int catch_up_max;
    struct rule rate; // limit 0: none
    int rate_key;     // below SHARED_KEYS; -1: the task's own
};

struct rate_log { // the starts of one key, by the wall clock
    struct rated {
        int64_t at;    // for who waits: never before one that was earlier
        int64_t least; // for who starts; INT64_MIN: it has never left
        struct rule rule;
    } * starts;
    size_t count, room;
    struct known_rule {
        struct rule rule;
        int64_t since, last;
    } rules[RATE_RULES_KNOWN];
    int rule_count;
    int64_t edited_us; // until then a rule has held back that is edited since, steady
};

struct breaker { // of one endpoint
    int failures;
    enum { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_HALF_OPEN } state;
    int64_t until_us, open_for_us; // steady
    run_id probe;
};

struct policies {
    bool on; // in this life
    struct rule shared[SHARED_KEYS];
    struct rate_log rates[RATE_KEYS];
    struct breaker breakers[ENDPOINTS];
    size_t *live; // places of runs that have started and are not over
    size_t live_count, live_room;
    int64_t full_us[TASKS];    // max_running, or an earlier rate, has left no room
    int64_t live_us[TASKS];    // another run of the task was live
    int64_t deleted_us[TASKS]; // what was pending then is swept
    int64_t started_us;        // the server
    int64_t catch_up_us;       // by then what waits to catch up has been looked at
    wall catch_ups[1000];      // starts of the last ones, as a ring
    size_t catch_up_count;
    wall since[TASKS][REVISIONS];
    int64_t rows[TASKS]; // of the store
    bool unsure;         // of the turn under way only its ends are known, not its starts
};

// policies_draw.c
void policies_choose(struct world *w, struct random *chance); // for a life
void policy_draw(struct world *w, struct random *chance, struct spec *spec, int task);
// The fields of a definition, each after a comma.
void policy_write(const struct policy *policy, char *text, size_t size);

// policies.c
void policies_done(struct world *w);
void policies_defined(struct world *w, int task, int before, bool again);
void policies_removed(struct world *w, int task);
void policies_owed(struct world *w, struct owed *run, int spec);
void policies_learned(struct world *w, struct owed *run); // from the store
void policies_learned_as(struct world *w, struct owed *run, wall deadline, int priority);
void policies_ordered(struct world *w, struct owed *run, const struct order *order);
void policies_sent(struct world *w, struct owed *run, const struct order *order); // it arrives
// Whether nothing may follow an attempt that did not succeed, for that it may have arrived.
bool policies_end_it(const struct spec *spec, struct owed *run, const struct attempt *attempt);
void policies_mark(struct world *w); // what holds runs back now
// Until when one of them has held this run back, steady.
int64_t policies_excuse(const struct world *w, const struct owed *run);
void policies_stepped(struct world *w, int64_t step_us);
void policies_started(struct world *w);
void policies_audit(struct world *w, bool at_end);

const struct policy *policy_of_run(const struct world *w, const struct owed *run);
bool is_live(const struct owed *run);
// How many runs of the task are live besides this one.
int live_beside(const struct world *w, int task, const struct owed *but, bool flying_only);
void expect_catch_up(struct world *w, int64_t from_us); // those that wait for that
sqlite3_stmt *ask_about(struct world *w, const char *text, int64_t value); // its first row

// written.c
void policies_watch(struct store_verbs *verbs); // hears what is written
size_t policies_told(void);                     // how much has been written in the turn under way
void policies_turn(struct world *w);            // begins: what was heard before is over
// What was written in the turn that has been committed, up to its n-th order: runs that were made,
// and runs that a policy has ended. `unsure`: its orders are not known.
void policies_wrote(struct world *w, int orders, bool unsure);
int task_of_row(struct world *w, int64_t row);
// For check-ins, which make runs before anything is planned: the occurrences of a task up to now
// are known; the run that was made for one to come, or for none.
void written_until_now(struct world *w, int task);
run_id written_occurrence(struct world *w, int task, wall nominal);
run_id written_own(struct world *w, int task);

// rates.c
struct rate_log *rate_log_of(struct world *w, int task, const struct policy *policy);
void rate_start(struct world *w, struct rate_log *log, struct rule rule, wall at);
void rate_start_unseen(struct world *w, struct rate_log *log, struct rule rule);
void rate_edit(struct world *w, struct rate_log *log, struct rule from, struct rule to);
int64_t rate_opens_us(const struct world *w, const struct rate_log *log, struct rule rule);
// The rule of a queue is another from this start on.
void rate_configured(struct world *w, struct rate_log *log, struct rule from, struct rule to);
void rates_step(struct world *w, int64_t step_us);
void rates_restart(struct world *w);

// breaker.c
void breaker_ordered(struct world *w, const struct owed *run, int endpoint);
void breaker_reported(struct world *w, const struct attempt *attempt, int endpoint);
void breakers_mark(struct world *w);
void breakers_forget(struct world *w); // the server has died

// outages.c
// Whether the n-th instant of a list may run, or may be missed, when an outage ended between these
// instants and the record was made then.
bool outage_lets_run(const struct world *w, const struct span *span, const struct instants *list,
                     size_t n, wall end_least, wall made);
bool outage_lets_miss(const struct world *w, const struct span *span, const struct instants *list,
                      size_t n, wall end_least, wall end_most, wall made);
