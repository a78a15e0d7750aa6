/*
 * group - what one webhook is told next, of all the tasks that name it
 *
 * There is one for each URL. A task's news joins the open group, and the group is sent as one
 * notice: at once where the webhook has rested for the cool-down, else at the cool-down's end.
 * Failures (with misses) and recoveries rest on a clock of their own each, and a notice takes along
 * whatever waits, so in any stretch as long as the cool-down a webhook gets two at most. Where
 * tasks have different ones, the shortest in the group counts. What a group holds is bounded:
 * counts, a few reasons, and of the tasks the first few by name.
 *
 * It decides nothing about a single task: that is notices.c, its only user. On the scheduler's
 * thread.
 */
#pragma once

#include "scheduler/reasons.h"
#include "store/notice.h"

struct group;
struct scheduler;

enum status load_groups(struct scheduler *s); // at the start
void groups_done(struct scheduler *s);

// How a task stands among those of a group.
struct standing {
    bool well;      // its last run succeeded
    bool recovered; // and it was told of as failing before
};

// What a task has to tell. Nothing counted where it only recovers.
struct news {
    const struct notice *notice; // its counts, its first and last run
    const struct reasons *reasons;
    run_id success;             // where it is well
    int64_t cooldown_us;        // its own
    struct standing before, is; // `before`: what it last joined with, where it is in the group
};

// Of the webhook at this URL, made when new.
struct group *group_of(struct scheduler *s, const char *url);
// Whether a task that joined `number` last is still to be told of.
bool group_has(const struct group *group, int64_t number);
// Returns the number of the group.
int64_t group_join(struct scheduler *s, wall now, struct group *group, const struct news *news);

// At the end of a turn: those whose time has come are sent, unless `wait`, and all that has changed
// is written.
void send_groups(struct scheduler *s, wall now, bool wait);
wall next_group(const struct scheduler *s);
