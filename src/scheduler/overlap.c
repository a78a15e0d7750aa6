// What becomes of a run when another one of its task is live at the moment it would start: running,
// or between two attempts. Decided at the claim, from the store (those between attempts) and the
// flights (those running, also one that was canceled and has not ended yet), so neither several
// runs in one turn nor a restart make a difference. What is held in memory is only who waits.
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "scheduler/state.h"

#define AT_ONCE 100

// The runs of one task that wait for another one to end.
struct held {
    int64_t task;
    struct heap runs; // key: waiting_order, order: id
    bool freed;
    struct held *next; // of those freed
};

// Of those judged at their time. Instants have 53 bits, so a priority finds room below them.
static wall early_due(const struct heap_entry *entry)
{
    return (wall){entry->key >> 4};
}

// --- who is live ---

// Flights are counted once in a turn, and only when somebody asks.
static void count_flights(struct scheduler *s)
{
    uint64_t key;
    void *value;
    map_done(&s->overlaps.busy);
    s->overlaps.busy = (struct map){0};
    s->overlaps.busy_known = true;
    for (size_t at = 0; map_each(&s->flights, &at, &key, &value);)
        overlap_began(s, ((struct flight *)value)->task_id);
}

void overlap_began(struct scheduler *s, int64_t task)
{
    if (!s->overlaps.busy_known || !task)
        return;
    uintptr_t count = (uintptr_t)map_get(&s->overlaps.busy, (uint64_t)task);
    map_put(&s->overlaps.busy, (uint64_t)task, (void *)(count + 1));
}

static bool is_busy(struct scheduler *s, int64_t task)
{
    if (!s->overlaps.busy_known)
        count_flights(s);
    return map_get(&s->overlaps.busy, (uint64_t)task) != NULL;
}

// The first one between two attempts. False when there is none.
static bool find_waiting(struct scheduler *s, int64_t task, run_id *ret)
{
    size_t count = 0;
    return went_well(s, store_load_waiting_of_task(s->store, task, (run_id){0}, 1, ret, &count)) &&
           count > 0;
}

// One that is live, to be named.
static run_id live_one(struct scheduler *s, int64_t task)
{
    run_id run = {0};
    size_t count;
    run_id *running = running_of(s, task, &count);
    for (size_t i = 0; i < count; i++)
        if (!run.value || running[i].value < run.value)
            run = running[i];
    free(running);
    if (!run.value && !find_waiting(s, task, &run))
        run = (run_id){0};
    return run;
}

// --- who waits ---

static void hold(struct scheduler *s, const struct run *run)
{
    struct held *held = map_get(&s->overlaps.held, (uint64_t)run->task);
    if (!held) {
        held = memory_new(sizeof *held);
        held->task = run->task;
        map_put(&s->overlaps.held, (uint64_t)run->task, held);
    }
    heap_add(&held->runs, (struct heap_entry){.key = waiting_order(run->due_at, run->priority),
                                              .order = (uint64_t)run->id.value});
    map_put(&s->overlaps.runs, (uint64_t)run->id.value, held);
}

// The next of those held.
static bool let_go(struct scheduler *s, struct held *held, struct heap_entry *ret)
{
    if (!heap_take(&held->runs, ret))
        return false;
    map_remove(&s->overlaps.runs, ret->order);
    return true;
}

bool overlap_holds(const struct scheduler *s, run_id run)
{
    return map_get(&s->overlaps.runs, (uint64_t)run.value) != NULL;
}

static void held_free(struct held *held)
{
    heap_done(&held->runs);
    free(held);
}

void overlap_ended(struct scheduler *s, int64_t task)
{
    struct held *held = task ? map_get(&s->overlaps.held, (uint64_t)task) : NULL;
    if (!held || held->freed)
        return;
    held->freed = true;
    held->next = s->overlaps.freed;
    s->overlaps.freed = held;
}

void overlap_forget(struct scheduler *s, int64_t task)
{
    struct held *held = map_get(&s->overlaps.held, (uint64_t)task);
    struct heap_entry entry;
    while (held && let_go(s, held, &entry))
        ;
    overlap_ended(s, task);
}

// The next one goes back to its lane, where it is judged anew; where the rule is no longer `queue`,
// all of them.
static void release(struct scheduler *s, struct held *held)
{
    struct known_task *known;
    struct heap_entry entry;
    if (!went_well(s, known_task_by_id(&s->known, held->task, &known)))
        return;
    bool queue = known->task->overlap == OVERLAP_QUEUE;
    uint64_t lane = known->task->lane; // nobody may be left where the task was when it was held
    while (!s->broken && let_go(s, held, &entry)) {
        run_id run = {(int64_t)entry.order};
        if (queue && !is_scheduled(s, run))
            continue;
        note_in_lane(s, lane, waiting_due(entry.key), run, waiting_priority(entry.key));
        if (queue)
            break;
    }
}

void release_held_runs(struct scheduler *s, wall now)
{
    struct overlaps *overlaps = &s->overlaps;
    struct heap_entry entry;
    overlaps->busy_known = false; // reports may have come since
    while (overlaps->freed && !s->broken) {
        struct held *held = overlaps->freed;
        overlaps->freed = held->next;
        held->freed = false;
        release(s, held);
        if (held->runs.count == 0) {
            map_remove(&overlaps->held, (uint64_t)held->task);
            held_free(held);
        }
    }
    for (const struct heap_entry *first; (first = heap_first(&overlaps->early)) &&
                                         early_due(first).us <= now.us &&
                                         heap_take(&overlaps->early, &entry);) {
        map_remove(&overlaps->runs, entry.order);
        note_in_lane(s, entry.item, early_due(&entry), (run_id){(int64_t)entry.order},
                     9 - (int)(entry.key & 15));
    }
}

wall overlap_next(const struct scheduler *s, wall now)
{
    const struct heap_entry *first = heap_first(&s->overlaps.early);
    if (s->overlaps.freed)
        return now;
    return first ? early_due(first) : WALL_NEVER;
}

void overlaps_done(struct overlaps *overlaps)
{
    uint64_t key;
    void *value;
    for (size_t at = 0; map_each(&overlaps->held, &at, &key, &value);)
        held_free(value);
    map_done(&overlaps->held);
    map_done(&overlaps->runs);
    map_done(&overlaps->busy);
    heap_done(&overlaps->early);
}

// --- the rules ---

static bool skip(struct scheduler *s, wall now, const struct run *run)
{
    char live[RUN_ID_TEXT], reason[160];
    run_id_format(live_one(s, run->task), live);
    snprintf(reason, sizeof reason, "%s of the same task had not ended, and overlap is skip", live);
    if (went_well(s, store_end_run(s->store, run->id, RUN_SKIPPED, reason, now)))
        note_run(
            s,
            &(struct event_run){run->task_name, run->id, RUN_SKIPPED, WALL_NONE, reason, WALL_NONE},
            run->task);
    return false;
}

// Whether it was there and not final: then it is canceled.
static void replace_one(struct scheduler *s, wall now, run_id id, const char *reason)
{
    struct run run;
    enum status status = store_find_run(s->store, id, &run);
    if (status == STATUS_NOT_FOUND || !went_well(s, status))
        return;
    if (!run_state_is_final(run.state))
        end_as_canceled(s, now, &run, reason);
    run_done(&run);
}

static void replace_waiting(struct scheduler *s, wall now, int64_t task, const char *reason)
{
    run_id ids[AT_ONCE];
    size_t count = AT_ONCE;
    while (count == AT_ONCE && !s->broken) {
        if (!went_well(
                s, store_load_waiting_of_task(s->store, task, (run_id){0}, AT_ONCE, ids, &count)))
            return;
        for (size_t i = 0; i < count && !s->broken; i++)
            replace_one(s, now, ids[i], reason);
    }
}

// Those that were to replace another themselves, and have not started.
static void replace_held(struct scheduler *s, wall now, int64_t task, const char *reason)
{
    struct held *held = map_get(&s->overlaps.held, (uint64_t)task);
    struct heap_entry entry;
    while (held && !s->broken && let_go(s, held, &entry))
        replace_one(s, now, (run_id){(int64_t)entry.order}, reason);
}

// The live ones are canceled. It starts at once, or when their attempts under way have ended.
static bool replace(struct scheduler *s, wall now, const struct run *run)
{
    char id[RUN_ID_TEXT], reason[160];
    run_id_format(run->id, id);
    snprintf(reason, sizeof reason, "replaced by %s of the same task: overlap is replace", id);
    size_t count;
    run_id *running = running_of(s, run->task, &count);
    for (size_t i = 0; i < count && !s->broken; i++)
        replace_one(s, now, running[i], reason);
    free(running);
    replace_waiting(s, now, run->task, reason);
    replace_held(s, now, run->task, reason);
    free(running_of(s, run->task, &count)); // what a worker had has ended at once
    if (count)
        hold(s, run);
    return count == 0 && !s->broken;
}

bool overlap_allows(struct scheduler *s, wall now, const struct run *run, const struct task *task,
                    uint64_t lane)
{
    run_id waiting;
    // Noted twice, as may be where lines are fed or a task moves: it comes back by itself.
    if (overlap_holds(s, run->id))
        return false;
    if (!run->task || task->overlap == OVERLAP_ALLOW ||
        (!is_busy(s, run->task) && !find_waiting(s, run->task, &waiting)))
        return !s->broken;
    if (task->overlap == OVERLAP_QUEUE) {
        hold(s, run);
        return false;
    }
    if (run->due_at.us > now.us) { // claimed ahead: the other one may have ended by its time
        heap_add(&s->overlaps.early, (struct heap_entry){run->due_at.us * 16 + (9 - run->priority),
                                                         (uint64_t)run->id.value, lane});
        map_put(&s->overlaps.runs, (uint64_t)run->id.value, s);
        return false;
    }
    return task->overlap == OVERLAP_SKIP ? skip(s, now, run) : replace(s, now, run);
}
