// How fast runs that catch up after an outage start: never more than so many in any second, and a
// tenth of that at a time. Only their first attempts count. Whoever comes in time does not wait for
// them.
#include <stdlib.h>

#include "base/memory.h"
#include "scheduler/state.h"

#define GAP_US (100 * MILLISECOND)
// Of those that were canceled meanwhile, or find no room, there may be many.
#define LOOKED_AT_MAX 500

void pace_init(struct pace *pace, int per_s)
{
    *pace = (struct pace){
        .per_s = per_s, .starts = memory_array((size_t)per_s, sizeof(wall)), .next = WALL_NONE};
    for (int i = 0; i < per_s; i++)
        pace->starts[i] = WALL_NONE;
}

void pace_done(struct pace *pace)
{
    free(pace->starts);
}

// `at` is the place of the oldest start that counts. One from a future that was no future, since
// the clock has been set back, does not.
bool pace_has_room(const struct pace *pace, wall now)
{
    wall oldest = pace->starts[pace->at];
    return !wall_is_set(oldest) || oldest.us > now.us || now.us - oldest.us >= SECOND;
}

void pace_started(struct pace *pace, wall now)
{
    pace->starts[pace->at] = now;
    pace->at = (pace->at + 1) % pace->per_s;
}

void wait_at_pace(struct scheduler *s, const struct run *run, uint64_t lane, wall since)
{
    due_put_back(&s->due, &(struct due_row){.run = run->id,
                                            .due_at = since,
                                            .lane = lane,
                                            .task = run->task,
                                            .priority = run->priority,
                                            .catch_up = true});
}

void let_some_catch_up(struct scheduler *s, wall now)
{
    struct pace *pace = &s->pace;
    struct due_row row;
    bool set_back = pace->next.us > now.us + GAP_US;
    if (s->due.catch_up.count == 0 || (pace->next.us > now.us && !set_back))
        return;
    pace->next = wall_plus(now, GAP_US);
    int left = (pace->per_s + 9) / 10;
    struct due_row full[LOOKED_AT_MAX];
    size_t full_count = 0;
    for (int i = 0; i < LOOKED_AT_MAX + pace->per_s && left > 0 && full_count < LOOKED_AT_MAX &&
                    due_take_catch_up(&s->due, &row);
         i++) {
        if (!is_scheduled(s, row.run))
            continue;
        // Behind those that are due by now; and what finds no room there waits here, without
        // keeping those of other endpoints from theirs.
        if (lane_add(&s->lanes, row.lane, now, row.run, row.priority))
            left--;
        else
            full[full_count++] = row;
    }
    while (full_count)
        due_put_back(&s->due, &full[--full_count]);
}

wall pace_next(const struct scheduler *s, wall now)
{
    if (s->due.catch_up.count == 0)
        return WALL_NEVER;
    return s->pace.next.us > now.us + GAP_US ? now : s->pace.next;
}
