/*
 * back - the scheduler's thread
 *
 * Takes what the mailbox holds, gives it to one turn, and hands on what leaves the turn: orders to
 * the dispatcher, answers to the front, lines to the log. Sleeps until the scheduler wants its next
 * turn. Notices steps of the wall clock. Between turns it lets the store checkpoint and publishes
 * the pulse.
 */
#pragma once

#include "api/front.h"
#include "dispatch/dispatch.h"
#include "scheduler/scheduler.h"

struct back_parts { // all must outlive the thread
    struct mailbox *messages;
    struct scheduler *scheduler;
    struct store *store;
    struct dispatcher *dispatcher;
    struct front *front;
    struct pulse *pulse;
    int failed_fd; // an eventfd that becomes readable when the store has failed
};

struct back;

// NULL where the system refuses.
struct back *back_start(const struct back_parts *parts);
// Starts nothing new, waits until what runs has ended, at most max_wait_us and a little; then what
// is left is stopped. Requests are still answered.
void back_drain(struct back *back, int64_t max_wait_us);
// A last turn for what has arrived, then the end of the thread.
void back_stop(struct back *back);
