/*
 * lane - runs that are due, by endpoint
 *
 * Runs that go to one endpoint share a lane. A lane starts only so many attempts at once, in order
 * of their due time; the rest wait in it, so a slow endpoint delays nobody but its own runs. Lanes
 * that can start something stand in a ring and are served in turn. Lanes of queues (LANE_QUEUE)
 * never do: workers take from them (lane_take).
 *
 * Used by the files of this folder, on the scheduler's thread.
 */
#pragma once

#include "base/heap.h"
#include "base/id.h"
#include "base/map.h"
#include "base/moment.h"

struct lane {
    uint64_t key;
    struct heap ready; // key: due_at, order: id
    int running;
    struct lane *next; // in the ring
    bool in_ring;
};

struct lanes {
    struct map by_key;
    struct lane *first, **last; // the ring, as a queue
    int limit;                  // attempts under way at once in one lane
    size_t ready;               // runs waiting in all lanes but those of queues
};

void lanes_init(struct lanes *lanes, int limit);
void lanes_done(struct lanes *lanes);

void lane_add(struct lanes *lanes, uint64_t key, wall due_at, run_id run);
// The next run that may start: one from each lane in turn. False when no lane can start any. The
// caller says lane_started if it does start it.
bool lanes_take(struct lanes *lanes, run_id *ret_run, uint64_t *ret_key);
// The next run of one lane, whatever runs in it. False when none waits.
bool lane_take(struct lanes *lanes, uint64_t key, run_id *ret_run);
int lane_running(const struct lanes *lanes, uint64_t key);
bool lane_has_ready(const struct lanes *lanes, uint64_t key);
void lane_started(struct lanes *lanes, uint64_t key);
void lane_finished(struct lanes *lanes, uint64_t key);
// The due instant of the oldest run that waits in a lane that is no queue's; WALL_NEVER when none
// does. How long runs wait for workers is not the server's doing.
wall lanes_oldest(const struct lanes *lanes);
