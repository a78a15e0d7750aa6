#include "scheduler/limits.h"

#include <stdint.h>
#include <stdlib.h>

#include "base/memory.h"
#include "scheduler/state.h"

#define STARTS_BETWEEN_TRIMS 100
#define STARTS_STORED (RATE_LIMIT_MOST + STARTS_BETWEEN_TRIMS + RATE_RULES) // of a key, at most
// A rule is remembered for a day after its last start has left its window, which is a day at most.
#define RULES_REMEMBERED_US (2 * DAY)
#define LOOKED_AT_MAX 2000 // of those parked, in one turn

struct key_rate {
    struct rate rate;
    int strands; // that start under it
    int parked;  // in all of them
    int offered; // released into lanes that have room
    int started; // since the store was last trimmed
};

struct strand {
    uint64_t key;
    int64_t task; // 0: one-offs
    uint64_t lane;
    int max_running; // 0: no limit
    int running;
    int released; // runs on their way through the lane
    struct key_rate *rate;
    uint64_t rate_key;
    struct rate_rule rule;
    struct waiting parked;
};

static void strand_free(struct strand *strand)
{
    waiting_done(&strand->parked);
    free(strand);
}

static void key_rate_free(struct key_rate *rate)
{
    rate_done(&rate->rate);
    free(rate);
}

void limits_done(struct limits *limits)
{
    uint64_t key;
    void *value;
    for (size_t at = 0; map_each(&limits->strands, &at, &key, &value);)
        strand_free(value);
    for (size_t at = 0; map_each(&limits->keys, &at, &key, &value);)
        key_rate_free(value);
    map_done(&limits->strands);
    map_done(&limits->keys);
    map_done(&limits->released);
    map_done(&limits->single);
}

// --- keys ---

// What started under the key before this process began; `as`: under this rule, whichever it was
// (NULL: its own). A clock that was set back meanwhile would put starts into the future, and close
// the key for longer than its window.
static struct key_rate *load_key(struct scheduler *s, wall now, uint64_t key,
                                 const struct rate_rule *as)
{
    struct store_start_row *rows = memory_array(STARTS_STORED, sizeof *rows);
    struct key_rate *rate = NULL;
    size_t count;
    if (went_well(s, store_load_starts(s->store, key, wall_plus(now, -RULES_REMEMBERED_US),
                                       STARTS_STORED, rows, &count))) {
        rate = memory_new(sizeof *rate);
        for (size_t i = 0; i < count; i++) {
            wall at = rows[i].at.us < now.us ? rows[i].at : now;
            rate_add(&rate->rate, as ? *as : (struct rate_rule){rows[i].most, rows[i].per_us}, at);
        }
        rate->started = STARTS_BETWEEN_TRIMS; // what is past goes with the next start
        map_put(&s->limits.keys, key, rate);
    }
    free(rows);
    return rate;
}

static struct key_rate *key_rate_at(struct scheduler *s, wall now, uint64_t key)
{
    struct key_rate *rate = map_get(&s->limits.keys, key);
    return rate ? rate : load_key(s, now, key, NULL);
}

// --- strands ---

static void leave_rate(struct strand *strand)
{
    if (!strand->rate)
        return;
    strand->rate->strands--;
    strand->rate->parked -= (int)strand->parked.heap.count;
    strand->rate = NULL;
}

// Nobody may ever take out what was released into a queue that the task has left. It is noted anew
// where the task has gone, so its place is free.
static void forget_released(struct limits *limits, struct strand *strand)
{
    uint64_t *runs = memory_array(limits->released.count + 1, sizeof *runs), key;
    size_t count = 0;
    void *of;
    for (size_t at = 0; strand->released && map_each(&limits->released, &at, &key, &of);)
        if (of == strand)
            runs[count++] = key;
    while (count)
        map_remove(&limits->released, runs[--count]);
    strand->released = 0;
    free(runs);
}

// Takes over the rules of a definition, which may have changed since the strand was made.
static void adopt(struct scheduler *s, wall now, struct strand *strand, const struct task *task)
{
    bool limited = task->rate_limit.limit != 0;
    uint64_t key = limited ? task_rate_key(task) : 0;
    if (strand->lane & LANE_QUEUE && strand->lane != task->lane)
        forget_released(&s->limits, strand);
    strand->lane = task->lane;
    strand->max_running = strand->task ? task->max_running : 0;
    strand->rule = (struct rate_rule){task->rate_limit.limit, task->rate_limit.per_us};
    if (strand->rate && strand->rate_key == key)
        return;
    leave_rate(strand);
    strand->rate_key = key;
    strand->rate = limited ? key_rate_at(s, now, key) : NULL;
    if (strand->rate) {
        strand->rate->strands++;
        strand->rate->parked += (int)strand->parked.heap.count;
    }
}

static uint64_t strand_key(int64_t task, const struct task *definition)
{
    if (task)
        return (uint64_t)task;
    // Those that share a key and say another limit wait in a line of their own.
    const struct rate_limit *rate = &definition->rate_limit;
    uint64_t parts[] = {definition->lane, task_rate_key(definition), (uint64_t)rate->limit,
                        (uint64_t)rate->per_us};
    return hash_bytes(parts, sizeof parts) | UINT64_C(1) << 63; // no row of a task
}

static int count_running(const struct scheduler *s, int64_t task)
{
    uint64_t key;
    void *value;
    int running = 0;
    for (size_t at = 0; map_each(&s->flights, &at, &key, &value);)
        running += ((const struct flight *)value)->task_id == task;
    return running;
}

static struct strand *strand_at(struct scheduler *s, wall now, const struct run *run,
                                const struct task *task)
{
    uint64_t key = strand_key(run->task, task);
    struct strand *strand = map_get(&s->limits.strands, key);
    if (!strand) {
        strand = memory_new(sizeof *strand);
        strand->key = key;
        strand->task = run->task;
        strand->running = run->task ? count_running(s, run->task) : 0;
        map_put(&s->limits.strands, key, strand);
    }
    adopt(s, now, strand, task);
    return strand;
}

static void forget_parked(struct limits *limits, struct strand *strand)
{
    limits->parked -= strand->parked.heap.count;
    if (strand->rate)
        strand->rate->parked -= (int)strand->parked.heap.count;
    waiting_done(&strand->parked);
}

// --- asking ---

static int room_of(const struct strand *strand, wall at)
{
    int room = strand->max_running ? strand->max_running - strand->running : INT32_MAX;
    if (strand->rate && room > 0) {
        int starts = rate_room(&strand->rate->rate, strand->rule, at);
        room = starts < room ? starts : room;
    }
    return room;
}

// Nobody new goes before those who wait for the same: which of them is next is decided among them.
static bool others_wait(const struct strand *strand)
{
    return strand->parked.heap.count > 0 || (strand->rate && strand->rate->parked > 0);
}

// False where the strand holds enough: it is left in the store, for limits_fed_with.
static bool park(struct limits *limits, struct strand *strand, wall due_at, run_id run,
                 int priority)
{
    // What a one-off was parked for cannot be told from its row, so all of them are held.
    size_t most =
        limits->parked < limits->held_most ? limits->held_most / 2 : limits->held_most / 500 + 1;
    if (!strand->task || !limits->held_most)
        most = SIZE_MAX;
    if (!waiting_add(&strand->parked, due_at, run, priority, most)) {
        limits->hungry |= waiting_hungry(&strand->parked) != 0;
        return false;
    }
    limits->parked++;
    if (!strand->task)
        map_put(&limits->single, (uint64_t)run.value, strand);
    if (strand->rate)
        strand->rate->parked++;
    return true;
}

static bool is_limited(const struct task *task)
{
    return task->max_running || task->rate_limit.limit;
}

bool limits_let(struct scheduler *s, wall at, const struct run *run, const struct task *task,
                bool released)
{
    if (!is_limited(task))
        return true;
    struct strand *strand = strand_at(s, at, run, task);
    if (s->broken)
        return false;
    bool room = room_of(strand, at) > 0;
    if (room && (released || !others_wait(strand)))
        return true;
    if (!park(&s->limits, strand, run->due_at, run->id, run->priority) && catches_up(run))
        wait_at_pace(s, run, task->lane, at); // behind those of other limits
    bool full = strand->max_running && strand->running >= strand->max_running;
    wall opens = WALL_NEVER;
    if (room)
        opens = at;
    else if (strand->rate && !full)
        opens = rate_opens_at(&strand->rate->rate, strand->rule, at);
    if (opens.us < s->limits.next.us)
        s->limits.next = opens;
    return false;
}

// The row of every start goes to the store in the turn of the start itself.
static void record_start(struct scheduler *s, wall at, const struct run *run, uint64_t key,
                         struct key_rate *rate, struct rate_rule rule)
{
    struct store_start_row row = {.run = run->id,
                                  .attempt = run->attempts + 1,
                                  .at = at,
                                  .most = rule.limit,
                                  .per_us = rule.per_us};
    rate_add(&rate->rate, rule, at);
    if (!went_well(s, store_add_start(s->store, key, &row)))
        return;
    if (++rate->started < STARTS_BETWEEN_TRIMS)
        return;
    rate->started = 0;
    went_well(s, store_trim_starts(s->store, key, rate_oldest(&rate->rate, at),
                                   wall_plus(at, -RULES_REMEMBERED_US)));
}

void limits_started(struct scheduler *s, wall at, const struct run *run, const struct task *task)
{
    if (!is_limited(task))
        return;
    struct strand *strand = strand_at(s, at, run, task);
    if (s->broken)
        return;
    strand->running++;
    if (strand->rate)
        record_start(s, at, run, strand->rate_key, strand->rate, strand->rule);
}

// --- the rates of queues ---

// No key of a task: those are hashes of one text.
static uint64_t queue_rate_key(uint64_t lane)
{
    uint64_t parts[] = {lane, LANE_QUEUE};
    return hash_bytes(parts, sizeof parts);
}

// What started under an older configuration counts as started under this one.
static struct key_rate *queue_rate(struct scheduler *s, wall at, uint64_t key,
                                   const struct rate_rule *rule)
{
    struct key_rate *rate = map_get(&s->limits.keys, key);
    return rate ? rate : load_key(s, at, key, rule);
}

wall limits_queue_opens(struct scheduler *s, wall at, uint64_t lane, struct rate_rule rule)
{
    struct key_rate *rate = queue_rate(s, at, queue_rate_key(lane), &rule);
    return rate ? rate_opens_at(&rate->rate, rule, at) : WALL_NEVER;
}

void limits_queue_started(struct scheduler *s, wall at, const struct run *run, uint64_t lane,
                          struct rate_rule rule)
{
    uint64_t key = queue_rate_key(lane);
    struct key_rate *rate = queue_rate(s, at, key, &rule);
    if (rate)
        record_start(s, at, run, key, rate, rule);
}

void limits_ended(struct limits *limits, int64_t task)
{
    struct strand *strand = task ? map_get(&limits->strands, (uint64_t)task) : NULL;
    if (!strand || strand->running == 0)
        return;
    strand->running--;
    limits->next = (wall){0};
}

// --- what comes back ---

bool limits_arrived(struct limits *limits, run_id run)
{
    struct strand *strand =
        limits->released.count ? map_remove(&limits->released, (uint64_t)run.value) : NULL;
    if (!strand)
        return false;
    strand->released--;
    limits->next = (wall){0}; // whatever comes of it, another may have its place next turn
    return true;
}

// Whether what is released into a lane starts soon: at a queue, only while a worker waits there.
static bool takes_runs(struct scheduler *s, wall now, uint64_t lane)
{
    return lane & LANE_QUEUE ? queue_has_room(s, now, lane) : lane_has_room(&s->lanes, lane);
}

static void count_flights(struct scheduler *s, wall now)
{
    struct limits *limits = &s->limits;
    uint64_t key;
    void *value;
    for (size_t at = 0; map_each(&limits->keys, &at, &key, &value);)
        ((struct key_rate *)value)->offered = 0;
    for (size_t at = 0; map_each(&limits->strands, &at, &key, &value);) {
        struct strand *strand = value;
        strand->running = 0;
        if (strand->rate && takes_runs(s, now, strand->lane))
            strand->rate->offered += strand->released;
    }
    for (size_t at = 0; map_each(&s->flights, &at, &key, &value);) {
        int64_t task = ((const struct flight *)value)->task_id;
        struct strand *strand = task ? map_get(&limits->strands, (uint64_t)task) : NULL;
        if (strand)
            strand->running++;
    }
}

// Strands with nothing in them, and keys whose starts are all past, are forgotten: the store has
// what they would need again.
static void forget_idle(struct scheduler *s, wall now)
{
    struct limits *limits = &s->limits;
    uint64_t *idle = memory_array(limits->strands.count + limits->keys.count, sizeof *idle), key;
    size_t count = 0;
    void *value;
    for (size_t at = 0; map_each(&limits->strands, &at, &key, &value);) {
        const struct strand *strand = value;
        if (!strand->parked.heap.count && !strand->parked.left_out && !strand->parked.feeding &&
            !strand->running && !strand->released)
            idle[count++] = key;
    }
    while (count) {
        struct strand *strand = map_remove(&limits->strands, idle[--count]);
        leave_rate(strand);
        strand_free(strand);
    }
    for (size_t at = 0; map_each(&limits->keys, &at, &key, &value);) {
        const struct key_rate *rate = value;
        if (!rate->strands && rate_is_past(&rate->rate, now))
            idle[count++] = key;
    }
    while (count)
        key_rate_free(map_remove(&limits->keys, idle[--count]));
    free(idle);
}

static void leave_strand(struct limits *limits, struct strand *strand, run_id run)
{
    limits->parked--;
    limits->hungry |= waiting_hungry(&strand->parked) != 0;
    if (!strand->task)
        map_remove(&limits->single, (uint64_t)run.value);
    if (strand->rate)
        strand->rate->parked--;
}

// How many more of a strand may go back to its lane. What waits in a lane that has no room takes
// nothing away from the other strands of its key.
static int room_to_release(struct scheduler *s, wall now, const struct strand *strand)
{
    int room =
        strand->max_running ? strand->max_running - strand->running - strand->released : INT32_MAX;
    if (!strand->rate || room <= 0)
        return room;
    int starts = rate_room(&strand->rate->rate, strand->rule, now) -
                 (takes_runs(s, now, strand->lane) ? strand->rate->offered : strand->released);
    return starts < room ? starts : room;
}

// The first of a strand that may start at all. One that has ended meanwhile (canceled, or missed by
// its deadline) takes no place from others, nor does one that was noted twice and is on its way,
// whose time comes again, that catches up and may not start by the pace, or that is not to start
// beside another one of its task.
static bool take_pending(struct scheduler *s, wall now, struct strand *strand,
                         struct heap_entry *ret)
{
    uint64_t lane = strand->lane;
    bool starts = takes_runs(s, now, lane) && (lane & LANE_QUEUE || attempts_have_room(s));
    while (!s->broken && waiting_take(&strand->parked, ret)) {
        run_id run = {(int64_t)ret->order};
        if (!map_get(&s->limits.released, ret->order) &&
            (s->limits.looked_at++ >= LOOKED_AT_MAX || still_waits(s, now, run, lane, starts)))
            return true;
        leave_strand(&s->limits, strand, run);
    }
    return false;
}

// Sends the first of a strand back to its lane, where it is `first` still: another may be less
// urgent than what waits in other strands. False where that lane is full (it wakes the scheduler
// when it is not), or nothing is left.
static bool release_first(struct scheduler *s, wall now, struct strand *strand, uint64_t first)
{
    struct limits *limits = &s->limits;
    struct heap_entry entry;
    if (!take_pending(s, now, strand, &entry))
        return false;
    run_id run = {(int64_t)entry.order};
    wall due_at = waiting_due(entry.key);
    int priority = waiting_priority(entry.key);
    bool next = entry.order == first;
    if (!next || !lane_add(&s->lanes, strand->lane, due_at, run, priority)) {
        waiting_add(&strand->parked, due_at, run, priority, SIZE_MAX); // it has not left
        return !next;
    }
    leave_strand(limits, strand, run);
    strand->released++;
    map_put(&limits->released, entry.order, strand);
    if (strand->rate && takes_runs(s, now, strand->lane))
        strand->rate->offered++;
    return true;
}

// In the order of their first runs: of strands that share a key, the most urgent run is next.
static void line_up(struct heap *line, struct strand *strand)
{
    const struct heap_entry *first = heap_first(&strand->parked.heap);
    if (first)
        heap_add(line, (struct heap_entry){first->key, first->order, (uint64_t)(uintptr_t)strand});
}

static void find_open(struct scheduler *s, wall now, struct heap *ret)
{
    uint64_t key;
    void *value;
    for (size_t at = 0; map_each(&s->limits.strands, &at, &key, &value);) {
        struct strand *strand = value;
        if (!strand->parked.heap.count)
            continue;
        wall opens = WALL_NONE;
        if (room_of(strand, now) > 0)
            line_up(ret, strand);
        else if (strand->rate)
            opens = rate_opens_at(&strand->rate->rate, strand->rule, now);
        if (opens.us > now.us && opens.us < s->limits.next.us)
            s->limits.next = opens;
    }
}

void limits_release(struct scheduler *s, wall now)
{
    struct limits *limits = &s->limits;
    struct heap line = {0};
    struct heap_entry entry;
    limits->next = WALL_NEVER;
    limits->looked_at = 0;
    if (!limits->strands.count)
        return;
    count_flights(s, now);
    if (s->metrics.turns % 64 == 0)
        forget_idle(s, now);
    if (limits->parked)
        find_open(s, now, &line);
    while (heap_take(&line, &entry)) {
        struct strand *strand = (struct strand *)(uintptr_t)entry.item;
        if (room_to_release(s, now, strand) > 0 && release_first(s, now, strand, entry.order))
            line_up(&line, strand);
    }
    heap_done(&line);
}

// --- what changes meanwhile ---

// What has started under the old rule would hold back the new one.
static void change_rule(struct scheduler *s, wall now, const struct task *before,
                        const struct task *after)
{
    struct rate_rule from = {before->rate_limit.limit, before->rate_limit.per_us},
                     to = {after->rate_limit.limit, after->rate_limit.per_us};
    uint64_t key = task_rate_key(after);
    if (!from.limit || !to.limit || task_rate_key(before) != key ||
        (from.limit == to.limit && from.per_us == to.per_us))
        return;
    struct key_rate *rate = key_rate_at(s, now, key);
    if (!rate || !went_well(s, store_change_starts(s->store, key, from.limit, from.per_us, to.limit,
                                                   to.per_us)))
        return;
    rate_change(&rate->rate, from, to);
}

void limits_changed(struct scheduler *s, wall now, int64_t task, const struct task *before,
                    const struct task *after)
{
    change_rule(s, now, before, after);
    struct strand *strand = map_get(&s->limits.strands, (uint64_t)task);
    if (strand && !s->broken)
        adopt(s, now, strand, after);
}

void limits_forget(struct limits *limits, int64_t task)
{
    struct strand *strand = map_get(&limits->strands, (uint64_t)task);
    if (strand)
        forget_parked(limits, strand);
}

// --- what was left out ---

void limits_feed(struct limits *limits)
{
    uint64_t key;
    void *strand;
    for (size_t at = 0; map_each(&limits->strands, &at, &key, &strand);)
        waiting_feed(&((struct strand *)strand)->parked);
    limits->hungry = false;
}

bool limits_fed_with(struct limits *limits, const struct due_row *row)
{
    uint64_t run = (uint64_t)row->run.value;
    if (map_get(&limits->released, run))
        return true;
    if (!row->task)
        return map_get(&limits->single, run);
    struct strand *strand = map_get(&limits->strands, (uint64_t)row->task);
    unsigned bit = 1u << row->priority;
    if (!strand)
        return false;
    if (strand->parked.feeding & bit) {
        park(limits, strand, row->due_at, row->run, row->priority);
        return true;
    }
    if (!strand->parked.held[row->priority] && !(strand->parked.left_out & bit))
        return false;
    strand->parked.left_out = (uint16_t)(strand->parked.left_out | bit);
    return true;
}

bool limits_are_fed(const struct limits *limits)
{
    uint64_t key;
    void *strand;
    for (size_t at = 0; map_each(&limits->strands, &at, &key, &strand);)
        if (((const struct strand *)strand)->parked.feeding)
            return true;
    return false;
}

void limits_fed(struct limits *limits)
{
    uint64_t key;
    void *strand;
    for (size_t at = 0; map_each(&limits->strands, &at, &key, &strand);)
        ((struct strand *)strand)->parked.feeding = 0;
}

void limits_shift(struct limits *limits, int64_t step_us)
{
    uint64_t key;
    void *value;
    for (size_t at = 0; map_each(&limits->keys, &at, &key, &value);)
        rate_shift(&((struct key_rate *)value)->rate, step_us);
    limits->next = (wall){0}; // found anew
}
