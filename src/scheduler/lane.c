#include "scheduler/lane.h"

#include <assert.h>
#include <stdlib.h>

#include "base/memory.h"

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
        lane->most = lanes->limit;
        map_put(&lanes->by_key, key, lane);
    }
    return lane;
}

static void enter_ring(struct lanes *lanes, struct lane *lane)
{
    if (lane->in_ring || !lane->ready.count || lane->running >= lane->most)
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
    if (lane->running || lane->ready.count || lane->in_ring || lane->most != lanes->limit)
        return;
    map_remove(&lanes->by_key, lane->key);
    lane_free(lane);
}

void lane_add(struct lanes *lanes, uint64_t key, wall due_at, run_id run, int priority)
{
    struct lane *lane = lane_at(lanes, key);
    heap_add(&lane->ready,
             (struct heap_entry){lane_order(due_at, priority), (uint64_t)run.value, 0});
    lanes->ready++;
    enter_ring(lanes, lane);
}

bool lanes_take(struct lanes *lanes, run_id *ret_run, uint64_t *ret_key)
{
    struct heap_entry entry;
    struct lane *lane;
    while ((lane = leave_ring(lanes))) {
        // A lane stays in the ring until its turn, and may have filled up since it entered.
        if (lane->running < lane->most && heap_take(&lane->ready, &entry)) {
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

bool lane_has_room(const struct lanes *lanes, uint64_t key)
{
    const struct lane *lane = map_get(&lanes->by_key, key);
    return !lane || lane->running < lane->most;
}

void lane_allow(struct lanes *lanes, uint64_t key, int most)
{
    struct lane *lane = lane_at(lanes, key);
    lane->most = most;
    enter_ring(lanes, lane);
    forget_if_idle(lanes, lane);
}

wall lanes_oldest(const struct lanes *lanes)
{
    wall oldest = WALL_NEVER;
    for (const struct lane *lane = lanes->first; lane; lane = lane->next) {
        const struct heap_entry *first = heap_first(&lane->ready);
        if (first && lane->running < lane->most && lane_order_due(first->key).us < oldest.us)
            oldest = lane_order_due(first->key);
    }
    return oldest;
}
