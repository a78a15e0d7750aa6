/*
 * travel - time passes at request (serve --test-clock, POST /v1/test/clock)
 *
 * The clock stands still. A request moves it from one due moment to the next: the scheduler makes
 * its turns there until nothing more is to be done, what it started ends, and only then the clock
 * goes on, so every run happens at its exact moment however long its endpoint takes. Nothing is
 * late, and nothing is missed on the way.
 *
 * What others are waited for is real time: for the end of an attempt, for a worker with its lease,
 * and in all no longer than the request says. Then it is answered with where the clock stands and
 * what is under way.
 *
 * Used by back.c, on the scheduler's thread.
 */
#pragma once

#include "api/front.h"
#include "scheduler/scheduler.h"

struct travel {
    struct scheduler *scheduler; // all must outlive it
    struct store *store;
    struct front *front;
    bool stopping;
    // of the request under way
    struct message *asked; // NULL: none
    wall target;
    steady patience;
    uint64_t ended_before;
};

// Begins to do what the message asks, which is answered then or later.
void travel_begin(struct travel *t, struct message *asked);
// Nothing has arrived, and the scheduler wants its next turn at `next`: moves the clock, or
// answers. How long nothing needs to be done, in real microseconds; 0: a turn is wanted now.
// STATUS_FAILED: the store cannot keep where the clock stands.
enum status travel_on(struct travel *t, wall next, int64_t *ret_rest_us);
// The server stops: the request under way is answered so, and those that still come.
void travel_end(struct travel *t);
