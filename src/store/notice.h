/*
 * notice - what is still to be told of a task's failures, and what a webhook is told next
 *
 * A task's first failure goes to its webhook at once; what follows is counted until the task's
 * cool-down has passed (scheduler/notices.c decides). A webhook that was just told gets what has
 * come from all its tasks as one group (scheduler/group.h). Kept, so that a restart neither forgets
 * nor repeats.
 *
 * Used by store.h.
 */
#pragma once

#include "base/id.h"
#include "base/moment.h"

struct notice {
    int64_t task;       // row
    wall told_at;       // when failures last joined a group; WALL_NONE: never
    wall due_at;        // when what is counted joins the next; WALL_NONE: nothing is counted
    int64_t told_in;    // the group that it joined last; 0: none since `failing` was noted
    bool failing;       // before that group: told of, and no success told since
    bool well;          // the last run that ended has succeeded
    int64_t failed;     // counted, and in no group yet
    int64_t missed;     // and those missed
    run_id first, last; // of the counted; 0: none
    char *reasons;      // of the counted: JSON, [{"reason": text, "count": n}]
};

struct webhook {
    int64_t id;              // row
    char *url;               // what it is known by
    wall told_at;            // when a notice last told of failures or misses; WALL_NONE: never
    wall recovered_at;       // when one last told of recoveries; WALL_NONE: never
    int64_t group;           // the number of what it is told next; 0: nothing
    int64_t cooldown_us;     // the shortest of the tasks in the group
    int64_t tasks;           // in the group
    int64_t well, recovered; // of these: whose last run succeeded; who have only that to tell
    int64_t failed, missed;  // runs
    run_id first, last;      // of these runs; 0: none
    char *reasons;           // of these runs: JSON as in struct notice
    char *named;             // the tasks that the notice names: JSON (scheduler/group.c)
};
