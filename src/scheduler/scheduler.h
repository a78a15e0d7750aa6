/*
 * scheduler - what runs next
 *
 * Works in turns: everything that has arrived is decided together and committed once; only then do
 * replies and orders leave. No sockets, no clock, no threads: `now` and chance are given, so a
 * simulator can drive it through days in milliseconds.
 *
 * Used by server/back.c on the scheduler's thread.
 */
#pragma once

#include "base/mailbox.h"
#include "core/pulse.h"
#include "scheduler/rate.h"
#include "store/store.h"

struct queue_limit { // of the configuration
    char *name;
    int max_running;       // 0: none
    struct rate_rule rate; // limit 0: none
};

struct scheduler_options {
    uint64_t seed;           // chance for jitter of backoff
    int64_t claim_ahead_us;  // runs due within this are started now and sent on time
    int lane_limit;          // attempts under way at once towards one endpoint
    int total_limit;         // attempts under way at once in all
    size_t due_limit;        // how many due entries are held in memory
    int64_t horizon_us;      // how far ahead they are loaded
    size_t journal_bytes;    // how much of the event journal is kept
    int breaker_failures;    // in a row, after which an endpoint is taken to be down; 0: never
    int64_t breaker_open_us; // how long nothing is sent to it then, before the first probe
    int64_t key_life_us;     // how long an idempotency key is remembered
    // How long, how many and in how large a store ended runs are kept; 0: without end.
    int64_t history_age_us, history_rows, history_bytes;
    const struct queue_limit *queues;
    size_t queue_count;
    int64_t wall_minus_steady_us; // at the start; scheduler_clock tells it later
    int64_t boot;                 // tells one start of the machine from another; 0: not known
    int catch_up_per_s; // how many runs that catch up after an outage may start in a second
};
extern const struct scheduler_options scheduler_defaults;

struct scheduler;

// Recovers: attempts that ran when the last process ended are recorded as lost, and count.
// STATUS_FAILED: the store is broken. The store stays the caller's.
enum status scheduler_new(const struct scheduler_options *options, struct store *store, wall now,
                          struct scheduler **ret);
void scheduler_free(struct scheduler *s);

// What leaves a turn. Chains of letters; the caller hands them on.
struct outbox {
    struct letter *replies;  // struct message, to those who sent them
    struct letter *orders;   // struct order, to the dispatcher
    struct letter *attempts; // struct message of kind MESSAGE_REPORT, for the log; message_free
                             // each. The first turn's also has what was found lost at the start.
    int64_t journal_turn;    // the newest turn in the journal that readers can see
    int64_t commit_us; // not filled here: the roof's measure goes in through scheduler_commit_took
};

// One turn. `inbox` is a chain of struct message in order of arrival: requests and reports, none of
// the roof's own. On any other status than OK the turn is undone: every reply in the outbox says
// STATUS_UNAVAILABLE, there are no orders, and all later turns only say the same.
enum status scheduler_turn(struct scheduler *s, wall now, struct letter *inbox, struct outbox *ret);

// When it wants its next turn, if nothing arrives before. <= now: at once. WALL_NEVER: when
// something arrives.
wall scheduler_next_turn(const struct scheduler *s, wall now);

// The wall clock was set by `step_us` and shows `now`: what counts steady time (backoff, rates,
// endpoints that are down) goes on as if it had not been. Between two turns.
enum status scheduler_clock_stepped(struct scheduler *s, wall now, int64_t step_us);
// How far the wall clock is ahead of the steady one. Said before a turn, so that steps of the wall
// clock do not touch leases; where it is never said, both are the same.
void scheduler_clock(struct scheduler *s, int64_t wall_minus_steady_us);

// --- with a clock that stands still (server/travel.h) ---
// Workers that wait for runs do so by this clock, and not by the one that stands still. Said before
// a turn, again and again.
void scheduler_waits(struct scheduler *s, steady real);
// When a turn is wanted for them; INT64_MAX: nobody waits.
steady scheduler_next_wait(const struct scheduler *s);
// Whether something is under way that the clock should not leave behind: with the dispatcher; with
// a worker, or an endpoint that answered 202, unless `past_leases`; or due in a queue whose worker
// was here a moment ago.
bool scheduler_is_busy(struct scheduler *s, wall now, bool past_leases);
// What is under way: the first `max` into ret, which looks into the scheduler's own until its next
// turn. Returns how many there are.
struct under_way {
    run_id run;
    const char *task; // NULL: a one-off
    const char *with; // "endpoint", "command", "worker", "callback"
};
size_t scheduler_under_way(const struct scheduler *s, struct under_way *ret, size_t max);
uint64_t
scheduler_ended(const struct scheduler *s); // runs that have come to their end since the start

// From now on nothing new is started; what runs is still reported.
void scheduler_stop_starting(struct scheduler *s);

void scheduler_pulse(const struct scheduler *s, wall now,
                     struct pulse_values *ret); // fills lag_us and down
void scheduler_audited(struct scheduler *s, const struct audit_pulse *audit); // for the metrics
void scheduler_commit_took(struct scheduler *s, int64_t us); // for the histogram of commits
