// Lines that hold only the first of their runs are filled again from the store when those are gone:
// what has come into lanes is read once more, also what was claimed ahead of its time, some of it
// in each turn, and what a hungry line left out joins it. An edit that sends a task to another
// endpoint takes its due runs over to that lane in the same way, rather than leave them behind
// whatever stands in the old one.
#include "base/memory.h"
#include "scheduler/state.h"

#define CHUNK 2000

void feed_done(struct feed *feed)
{
    map_done(&feed->moved);
    map_done(&feed->moving);
}

void feed_moved_task(struct scheduler *s, int64_t task)
{
    map_put(&s->feed.moved, (uint64_t)task, s);
}

bool feed_is_wanted(const struct scheduler *s)
{
    return s->feed.on || s->lanes.hungry || s->limits.hungry || s->feed.moved.count;
}

// Not while there is more to come from the due index, or a run would be noted twice.
static bool begin_feed(struct scheduler *s, wall until)
{
    if (!feed_is_wanted(s) || due_reached(&s->due).us < until.us ||
        due_first(&s->due).us <= until.us)
        return false;
    lanes_feed(&s->lanes);
    limits_feed(&s->limits);
    s->feed.on = true;
    s->feed.edge = WALL_NONE;
    s->feed.edge_id = (run_id){0};
    s->feed.until = until;
    s->feed.moving = s->feed.moved;
    s->feed.moved = (struct map){0};
    return true;
}

static void end_feed(struct scheduler *s)
{
    lanes_fed(&s->lanes);
    limits_fed(&s->limits);
    map_done(&s->feed.moving);
    s->feed.on = false;
}

// Due, and not for its lane now: others hold it, or its task is paused, or it catches up at a pace.
static bool waits_elsewhere(struct scheduler *s, const struct due_row *row,
                            const struct known_task *known)
{
    bool stands = known && (known->record.deleted || wall_is_set(known->record.paused_at));
    return stands || row->catch_up || overlap_holds(s, row->run) ||
           limits_fed_with(&s->limits, row);
}

static void feed_row(struct scheduler *s, const struct due_row *row)
{
    struct known_task *known = NULL;
    if ((row->task && !went_well(s, known_task_by_id(&s->known, row->task, &known))) ||
        waits_elsewhere(s, row, known))
        return;
    // The store knows the lane that a run was made for; its task may have another by now.
    uint64_t lane = known ? known->task->lane : row->lane;
    bool moves = row->task && map_get(&s->feed.moving, (uint64_t)row->task);
    // It may have been left out of either.
    if (moves || lane_feeds(&s->lanes, lane, row->priority) ||
        lane_feeds(&s->lanes, row->lane, row->priority))
        lane_add(&s->lanes, lane, row->due_at, row->run, row->priority);
}

void feed_lines(struct scheduler *s, wall until)
{
    struct due_row rows[CHUNK];
    struct feed *feed = &s->feed;
    size_t count;
    if (s->broken || (!feed->on && !begin_feed(s, until)))
        return;
    if (!went_well(s, store_load_due(s->store, feed->edge, feed->edge_id, feed->until, CHUNK, rows,
                                     &count)))
        return;
    for (size_t i = 0; i < count && !s->broken; i++)
        feed_row(s, &rows[i]);
    if (count) {
        feed->edge = rows[count - 1].due_at;
        feed->edge_id = rows[count - 1].run;
    }
    bool full = !feed->moving.count && !lanes_are_fed(&s->lanes) && !limits_are_fed(&s->limits);
    if (count < CHUNK || full)
        end_feed(s);
}
