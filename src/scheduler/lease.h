/*
 * lease - runs that somebody else works on, and workers that wait for them
 *
 * A lease is the right to work on a run until a moment. A worker has one for each run that it took
 * from a queue, an endpoint for a run that it answered with 202 and will call back about. Its fence
 * is the run's: it grows with every start, so whoever comes with an old one is told so and changes
 * nothing. Deadlines are on the steady clock; the store has them too, so they outlive the process.
 *
 * A worker that asks for runs where none is due is kept waiting here (a poll): its message is
 * answered in the turn that has something for it, or empty when its wait is over. A known weakness:
 * each turn looks at every queue that somebody waits at.
 *
 * Used by the files of this folder, on the scheduler's thread: lease.c has the leases, word.c what
 * their holders say, pull.c the queues and the polls.
 */
#pragma once

#include "base/heap.h"
#include "base/map.h"
#include "core/message.h"
#include "core/run.h"
#include "scheduler/rate.h"
#include "store/store.h"

struct scheduler;
struct flight;

#define LEASE_LEAST SECOND
#define LEASE_MOST DAY
#define LEASE_USUAL (30 * SECOND)

struct lease {
    enum lease_kind kind;
    struct attempt attempt; // what is known of it so far; its number and fence
    wall due_at;
    steady started, until;
    steady most; // not prolonged beyond; INT64_MAX: without end
    int64_t length_us;
    char *worker;
};

struct leases {
    struct heap deadlines; // key: no later than `until`; order: run; item: fence
    size_t count;
    uint64_t granted, expired;
};

struct queue { // one that workers wait at
    char *name;
    uint64_t lane;
    int max_running;              // 0: no limit
    struct rate_rule rate;        // limit 0: none
    struct message *first, *last; // their messages, linked by letter.next; the longest wait first
    size_t waiting;
    steady left; // with a test clock: when the last of them was answered
};

struct queues {
    struct map by_lane;
    size_t waiting;          // polls in all
    steady expires;          // no poll's wait ends before this
    wall early;              // something is due then for one that waits; WALL_NEVER
    wall opens;              // a rate lets something start then for one that waits; WALL_NEVER
    bool again;              // a turn was too short to hand out everything
    struct handing *handing; // the poll that is being served
};

// --- lease.c ---
// Gives the lease, which it takes over, to a flight and writes it down.
void grant_lease(struct scheduler *s, wall now, struct flight *flight, struct lease *lease);
// Until `length_us` from now, unless it lasts longer already; never beyond its most.
void prolong_lease(struct scheduler *s, wall now, struct flight *flight, int64_t length_us);
// The attempt is over: recorded, and the run moves on. The flight is gone.
void finish_lease(struct scheduler *s, wall now, struct flight *flight,
                  enum attempt_outcome outcome);
// The run goes back as if it had not been handed out. The flight is gone.
void release_lease(struct scheduler *s, wall now, struct flight *flight);
// The run is canceled meanwhile. The flight is gone.
enum status cancel_lease(struct scheduler *s, wall now, struct flight *flight,
                         const struct verdict *verdict);
// An endpoint answered 202: the run stays open. False where it has ended meanwhile.
bool keep_open(struct scheduler *s, wall now, struct flight *flight, struct attempt *attempt);
// At the start: STATUS_NOT_FOUND where nobody has a lease of this run.
enum status resume_lease(struct scheduler *s, wall now, const struct run *run, struct task *task);
// Ends those that have run out.
void reap_leases(struct scheduler *s, wall now);
wall leases_next(const struct scheduler *s);
// The end of a lease as an instant of the wall clock.
wall lease_until(const struct scheduler *s, const struct lease *lease);
void lease_free(struct lease *lease); // NULL is fine
void leases_done(struct leases *leases);

// --- word.c ---
void answer_lease_word(struct scheduler *s, wall now, struct message *m);

// --- pull.c ---
// Keeps the message until it can be answered.
void take_poll(struct scheduler *s, wall now, struct message *m);
// What is due goes to those who wait for it.
void hand_out_runs(struct scheduler *s, wall now);
// Whether somebody waits at this queue and may be given a run.
bool queue_has_room(struct scheduler *s, wall now, uint64_t lane);
// One run that has just been started, to the poll that is being served.
void hand_out(struct scheduler *s, wall now, const struct run *run, struct flight *flight);
// Its time is a moment ahead.
void hold_back(struct scheduler *s, const struct run *run, uint64_t lane);
// The store has failed: whoever waits is told so with this turn.
void give_up_polls(struct scheduler *s);
wall pull_next(const struct scheduler *s, wall now);
// Whether a worker that was here a moment ago is to come back for a run that is due.
bool worker_comes_back(struct scheduler *s, wall now);
void answer_queues(struct scheduler *s, wall now, struct message *m);
void queues_done(struct queues *queues);
