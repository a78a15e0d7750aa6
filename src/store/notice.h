/*
 * notice - what is still to be told of a task's failures
 *
 * Told at once for the first, then counted until the task's cool-down has passed
 * (scheduler/notices.c decides). Kept, so that a restart neither forgets nor repeats.
 *
 * Used by store.h.
 */
#pragma once

#include "base/id.h"
#include "base/moment.h"

struct notice {
    int64_t task;       // row
    wall told_at;       // when failures were last told; WALL_NONE: never
    wall due_at;        // when what is counted is to be told; WALL_NONE: nothing is counted
    bool failing;       // told of, and no success since
    bool well;          // the last run that ended has succeeded
    int64_t failed;     // counted since told_at
    int64_t missed;     // and those missed
    run_id first, last; // of the counted; 0: none
    char *reasons;      // of the counted: JSON, [{"reason": text, "count": n}]
};
