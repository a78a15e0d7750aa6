/*
 * pulse - how the scheduler is, for /ready
 *
 * A few numbers that the roof publishes after every turn (at least once a second) and the front
 * reads. A copy under a lock: the one thing that two threads share besides the mailboxes.
 */
#pragma once

#include <pthread.h>

#include "base/moment.h"

#define PULSE_DOWN 8 // endpoints that are told of; there may be more

struct pulse_down { // an endpoint that is taken to be down
    uint64_t lane;
    wall until;         // nothing is sent to it before; WALL_NONE: its probe is next, or under way
    char endpoint[120]; // scheme://host:port
};

struct pulse_values {
    bool store_ok; // false after a failed write: nothing more is accepted
    bool stopping;
    steady last_turn;
    int64_t
        lag_us; // now minus the due instant of the oldest run that is due and not started; 0: none
    int64_t clock_step_us; // the last step of the wall clock against the steady one; 0: none seen
    steady clock_stepped;
    struct pulse_down down[PULSE_DOWN];
    int down_count;
};

struct pulse {
    pthread_mutex_t lock;
    struct pulse_values values;
};

void pulse_init(struct pulse *pulse);
void pulse_publish(struct pulse *pulse, const struct pulse_values *values);
struct pulse_values pulse_read(struct pulse *pulse);
