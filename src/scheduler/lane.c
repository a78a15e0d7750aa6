#include "scheduler/lane.h"

#include <assert.h>
#include <stdint.h>
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
    waiting_done(&lane->ready);
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
    if (lane->key & LANE_QUEUE || lane->in_ring || !lane->ready.heap.count ||
        lane->running >= lane->most)
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
    const struct waiting *ready = &lane->ready;
    if (lane->running || ready->heap.count || ready->left_out || ready->feeding || lane->in_ring ||
        lane->most != lanes->limit)
        return;
    map_remove(&lanes->by_key, lane->key);
    lane_free(lane);
}

static size_t *count_of(struct lanes *lanes, uint64_t key)
{
    return key & LANE_QUEUE ? &lanes->queued : &lanes->ready;
}

// How many of a priority one lane may hold: plenty, until the lanes together hold too much.
static size_t most_held(const struct lanes *lanes)
{
    if (!lanes->held_most)
        return SIZE_MAX;
    bool plenty = lanes->ready + lanes->queued < lanes->held_most;
    return plenty ? lanes->held_most / 2 : lanes->held_most / 500 + 1;
}

bool lane_add(struct lanes *lanes, uint64_t key, wall due_at, run_id run, int priority)
{
    struct lane *lane = lane_at(lanes, key);
    bool held = waiting_add(&lane->ready, due_at, run, priority, most_held(lanes));
    *count_of(lanes, key) += held;
    lanes->hungry |= waiting_hungry(&lane->ready) != 0;
    enter_ring(lanes, lane);
    return held;
}

bool lanes_take(struct lanes *lanes, run_id *ret_run, uint64_t *ret_key)
{
    struct heap_entry entry;
    struct lane *lane;
    while ((lane = leave_ring(lanes))) {
        // A lane stays in the ring until its turn, and may have filled up since it entered.
        if (lane->running < lane->most && waiting_take(&lane->ready, &entry)) {
            lanes->ready--;
            lanes->hungry |= waiting_hungry(&lane->ready) != 0;
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
    if (!lane || !waiting_take(&lane->ready, &entry))
        return false;
    --*count_of(lanes, key);
    lanes->hungry |= waiting_hungry(&lane->ready) != 0;
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
    return lane && lane->ready.heap.count > 0;
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

void lanes_feed(struct lanes *lanes)
{
    uint64_t key;
    void *lane;
    for (size_t at = 0; map_each(&lanes->by_key, &at, &key, &lane);)
        waiting_feed(&((struct lane *)lane)->ready);
    lanes->hungry = false;
}

bool lane_feeds(const struct lanes *lanes, uint64_t key, int priority)
{
    const struct lane *lane = map_get(&lanes->by_key, key);
    return lane && lane->ready.feeding >> priority & 1;
}

bool lanes_are_fed(const struct lanes *lanes)
{
    uint64_t key;
    void *lane;
    for (size_t at = 0; map_each(&lanes->by_key, &at, &key, &lane);)
        if (((const struct lane *)lane)->ready.feeding)
            return true;
    return false;
}

void lanes_fed(struct lanes *lanes)
{
    struct lane **fed = memory_array(lanes->by_key.count, sizeof *fed);
    size_t count = 0;
    uint64_t key;
    void *value;
    for (size_t at = 0; map_each(&lanes->by_key, &at, &key, &value);)
        if (((struct lane *)value)->ready.feeding)
            fed[count++] = value;
    while (count) {
        fed[--count]->ready.feeding = 0;
        forget_if_idle(lanes, fed[count]);
    }
    free(fed);
}

wall lanes_oldest(const struct lanes *lanes)
{
    wall oldest = WALL_NEVER;
    for (const struct lane *lane = lanes->first; lane; lane = lane->next) {
        const struct heap_entry *first = heap_first(&lane->ready.heap);
        if (first && lane->running < lane->most && waiting_due(first->key).us < oldest.us)
            oldest = waiting_due(first->key);
    }
    return oldest;
}
