/*
 * lane - runs that are due, by endpoint
 *
 * Runs that go to one endpoint share a lane. A lane starts only so many attempts at once, the most
 * urgent first, then in order of their due time; the rest wait in it, so a slow endpoint delays
 * nobody but its own runs. Lanes that can start something stand in a ring and are served in turn.
 * Lanes of queues (LANE_QUEUE) never do: workers take from them (lane_take).
 *
 * Used by the files of this folder, on the scheduler's thread.
 */
#pragma once

#include "base/map.h"
#include "scheduler/waiting.h"

struct lane {
    uint64_t key;
    struct waiting ready;
    int running;
    int most;          // attempts under way at once: the lanes' limit, unless its endpoint is down
    struct lane *next; // in the ring
    bool in_ring;
};

struct lanes {
    struct map by_key;
    struct lane *first, **last; // the ring, as a queue
    int limit;                  // attempts under way at once in one lane
    size_t ready, queued;       // runs waiting in all lanes of endpoints, and of queues
    size_t held_most; // of those, how many are held before each lane holds only a few; 0: all
    bool hungry;      // a lane has left out runs and has room for them again
};

void lanes_init(struct lanes *lanes, int limit);
void lanes_done(struct lanes *lanes);

// False where the lane holds enough: it is left in the store, for lanes_feed.
bool lane_add(struct lanes *lanes, uint64_t key, wall due_at, run_id run, int priority);
// The next run that may start: one from each lane in turn. False when no lane can start any. The
// caller says lane_started if it does start it.
bool lanes_take(struct lanes *lanes, run_id *ret_run, uint64_t *ret_key);
// The next run of one lane, whatever runs in it. False when none waits.
bool lane_take(struct lanes *lanes, uint64_t key, run_id *ret_run);
int lane_running(const struct lanes *lanes, uint64_t key);
bool lane_has_ready(const struct lanes *lanes, uint64_t key);
void lane_started(struct lanes *lanes, uint64_t key);
void lane_finished(struct lanes *lanes, uint64_t key);
// Whether it may start one more now.
bool lane_has_room(const struct lanes *lanes, uint64_t key);
// How many attempts may be under way in it: 0 while its endpoint is down, the limit again later.
void lane_allow(struct lanes *lanes, uint64_t key, int most);
// Hungry lanes want what is read again; lane_feeds says whether this one does. lanes_fed: all has
// been read.
void lanes_feed(struct lanes *lanes);
bool lane_feeds(const struct lanes *lanes, uint64_t key, int priority);
bool lanes_are_fed(const struct lanes *lanes); // whether any wants more
void lanes_fed(struct lanes *lanes);
// The due instant of the oldest run that is next in a lane with room for it; WALL_NEVER when there
// is none. What waits for room waits by policy and is not late, and what waits for a worker
// neither.
wall lanes_oldest(const struct lanes *lanes);
