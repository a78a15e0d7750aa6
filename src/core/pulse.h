/*
 * pulse - how the scheduler is, for /ready
 *
 * A few numbers that the roof publishes after every turn (at least once a second) and the front
 * reads; and what the auditor has found. Copies under a lock: the one thing that threads share
 * besides the mailboxes.
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
    bool store_ok;           // false after a failed write: nothing more is accepted
    char store_problem[160]; // why, in words; "" while store_ok
    bool stopping;
    steady last_turn;
    int64_t
        lag_us; // now minus the due instant of the oldest run that is due and not started; 0: none
    int64_t clock_step_us; // the last step of the wall clock against the steady one; 0: none seen
    steady clock_stepped;
    struct pulse_down down[PULSE_DOWN];
    int down_count;
};

// What the auditor has found (server/auditor.h).
struct audit_pulse {
    bool failed;         // it can look no further: the store cannot be read
    wall until;          // up to when all was looked over; 0: nothing yet
    int64_t differences; // within the last hour
    int64_t differences_total, occurrences_total, runs_total, rounds_total; // since the start
    int64_t pending; // occurrences that the last round found still to be recorded
};

struct pulse {
    pthread_mutex_t lock;
    struct pulse_values values;
    struct audit_pulse audit;
};

void pulse_init(struct pulse *pulse);
void pulse_publish(struct pulse *pulse, const struct pulse_values *values);
struct pulse_values pulse_read(struct pulse *pulse);
void pulse_publish_audit(struct pulse *pulse, const struct audit_pulse *values);
struct audit_pulse pulse_read_audit(struct pulse *pulse);
