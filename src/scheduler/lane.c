#include "scheduler/lane.h"

#include <assert.h>
#include <stdlib.h>

#include "base/memory.h"
#include "core/task.h"

void lanes_init(struct lanes *lanes, int limit)
{
    *lanes = (struct lanes){.limit = limit};
    lanes->last = &lanes->first;
}

static void lane_free(struct lane *lane)
{
    heap_done(&lane->ready);
    free(lane);
}

void lanes_done(struct lanes *lanes)
{
    uint64_t key;
    void *lane;
    for (size_t at = 0; map_each(&lanes->by_key, &at, &key, &lane);)
        lane_free(lane);
    map_done(&lanes->by_key);
}

static struct lane *lane_at(struct lanes *lanes, uint64_t key)
{
    struct lane *lane = map_get(&lanes->by_key, key);
    if (!lane) {
        lane = memory_new(sizeof *lane);
        lane->key = key;
        map_put(&lanes->by_key, key, lane);
    }
    return lane;
}

static void enter_ring(struct lanes *lanes, struct lane *lane)
{
    if (lane->key & LANE_QUEUE || lane->in_ring || !lane->ready.count ||
        lane->running >= lanes->limit)
        return;
    lane->in_ring = true;
    lane->next = NULL;
    *lanes->last = lane;
    lanes->last = &lane->next;
}

static struct lane *leave_ring(struct lanes *lanes)
{
    struct lane *lane = lanes->first;
    if (!lane)
        return NULL;
    lanes->first = lane->next;
    if (!lanes->first)
        lanes->last = &lanes->first;
    lane->in_ring = false;
    return lane;
}

// A lane with nothing to do is forgotten, so their number follows the endpoints in use.
static void forget_if_idle(struct lanes *lanes, struct lane *lane)
{
    if (lane->running || lane->ready.count || lane->in_ring)
        return;
    map_remove(&lanes->by_key, lane->key);
    lane_free(lane);
}

void lane_add(struct lanes *lanes, uint64_t key, wall due_at, run_id run)
{
    struct lane *lane = lane_at(lanes, key);
    heap_add(&lane->ready, (struct heap_entry){due_at.us, (uint64_t)run.value, 0});
    lanes->ready += !(key & LANE_QUEUE);
    enter_ring(lanes, lane);
}

bool lanes_take(struct lanes *lanes, run_id *ret_run, uint64_t *ret_key)
{
    struct heap_entry entry;
    struct lane *lane;
    while ((lane = leave_ring(lanes))) {
        // A lane stays in the ring until its turn, and may have filled up since it entered.
        if (lane->running < lanes->limit && heap_take(&lane->ready, &entry)) {
            lanes->ready--;
            enter_ring(lanes, lane); // behind the others; lane_started may fill it
            *ret_run = (run_id){(int64_t)entry.order};
            *ret_key = lane->key;
            forget_if_idle(lanes, lane);
            return true;
        }
        forget_if_idle(lanes, lane);
    }
    return false;
}

bool lane_take(struct lanes *lanes, uint64_t key, run_id *ret_run)
{
    struct lane *lane = map_get(&lanes->by_key, key);
    struct heap_entry entry;
    if (!lane || !heap_take(&lane->ready, &entry))
        return false;
    lanes->ready -= !(key & LANE_QUEUE);
    *ret_run = (run_id){(int64_t)entry.order};
    forget_if_idle(lanes, lane);
    return true;
}

int lane_running(const struct lanes *lanes, uint64_t key)
{
    const struct lane *lane = map_get(&lanes->by_key, key);
    return lane ? lane->running : 0;
}

bool lane_has_ready(const struct lanes *lanes, uint64_t key)
{
    const struct lane *lane = map_get(&lanes->by_key, key);
    return lane && lane->ready.count > 0;
}

void lane_started(struct lanes *lanes, uint64_t key)
{
    lane_at(lanes, key)->running++;
}

void lane_finished(struct lanes *lanes, uint64_t key)
{
    struct lane *lane = lane_at(lanes, key);
    assert(lane->running > 0);
    lane->running--;
    enter_ring(lanes, lane);
    forget_if_idle(lanes, lane);
}

wall lanes_oldest(const struct lanes *lanes)
{
    wall oldest = WALL_NEVER;
    uint64_t key;
    void *value;
    for (size_t at = 0; map_each(&lanes->by_key, &at, &key, &value);) {
        const struct heap_entry *first = heap_first(&((struct lane *)value)->ready);
        if (first && !(key & LANE_QUEUE) && first->key < oldest.us)
            oldest.us = first->key;
    }
    return oldest;
}
