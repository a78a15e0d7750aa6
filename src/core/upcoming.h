/*
 * upcoming - the coming occurrences of a task
 *
 * Walks all schedules of one task together, in the order of their nominal instants. Plain
 * calculation; nothing is recorded, and pauses are not its business.
 *
 *     struct upcoming u;
 *     upcoming_begin(&u, task, now);
 *     while (upcoming_next(&u, &item)) ...
 */
#pragma once

#include "core/task.h"

struct upcoming_item {
    wall nominal, effective;
    int schedule; // its place in the task's list
    enum dst_note dst;
};

struct upcoming { // looks at the task as long as it lives
    const struct task *task;
    struct occurrence heads[TASK_SCHEDULES_MAX]; // the next one of each schedule
    bool left[TASK_SCHEDULES_MAX];
};

// Stands before the first occurrence strictly after `after`.
void upcoming_begin(struct upcoming *u, const struct task *task, wall after);
// False when none is left. Occurrences that daylight saving skips are among them (dst says so).
bool upcoming_next(struct upcoming *u, struct upcoming_item *ret);
// It has schedules, and none of them comes again after `after`.
bool upcoming_never(const struct task *task, wall after);
