// Occurrences become runs. A run is unique by (task, generation, nominal instant) and is written in
// the transaction that moves the cursor; the next occurrence comes from the schedule, never from
// the run before. What fell into an outage is backlog.c's.
#include <stdio.h>

#include "core/monitor.h"
#include "scheduler/state.h"

#define CHUNK 1000
#define OCCURRENCES_A_TURN 1000
#define MONITOR_OCCURRENCES 100 // in time, of one monitor, before a check-in: a second has one
#define BEHIND_US (10 * SECOND) // an occurrence found later than this fell into an outage

static void hold_cursor(struct scheduler *s, const struct cursor *cursor)
{
    struct heap *heap = cursor->next_at.us < s->up_since.us ? &s->behind : &s->cursors;
    if (cursor->next_at.us <= s->cursors_covered.us)
        heap_add(heap, (struct heap_entry){.key = cursor->next_at.us,
                                           .order = (uint64_t)cursor->task,
                                           .item = (uint64_t)cursor->generation << 32 |
                                                   (uint64_t)cursor->schedule});
}

enum status move_cursor(struct scheduler *s, const struct schedule *schedule, struct cursor *cursor,
                        wall after)
{
    struct occurrence next;
    bool more = schedule_next(schedule, after, &next);
    cursor->next_at = more ? next.nominal : WALL_NEVER;
    cursor->dst = more ? (int)next.dst : DST_NONE;
    enum status status = store_put_cursor(s->store, cursor);
    if (status == STATUS_OK && more)
        hold_cursor(s, cursor);
    return status;
}

// What is claimed ahead of its time goes out, whatever the edit says, and is not made once more.
static wall behind_claimed(const struct scheduler *s, wall now, int64_t task)
{
    uint64_t key;
    void *value;
    wall after = now;
    for (size_t at = 0; map_each(&s->flights, &at, &key, &value);) {
        const struct flight *flight = value;
        if (flight->task_id == task && flight->occurrence.us > after.us)
            after = flight->occurrence;
    }
    return after;
}

enum status plan_task(struct scheduler *s, wall now, const struct task_record *record,
                      const struct task *task)
{
    bool is_new = record->revision == 1; // nothing of it can be under way
    wall after = is_new ? now : behind_claimed(s, now, record->id);
    enum status status = store_drop_cursors(s->store, record->id);
    for (size_t i = 0; i < task->schedule_count && status == STATUS_OK; i++) {
        struct cursor cursor = {
            .task = record->id, .schedule = (int)i, .generation = record->generation};
        status = move_cursor(s, &task->schedules[i], &cursor, after);
    }
    return status;
}

// --- a task's schedules together ---

// Whether one of them asks for this instant itself: then it is an occurrence, though another one
// would skip it.
static bool is_wanted(const struct task *task, wall t)
{
    struct occurrence next;
    for (size_t i = 0; i < task->schedule_count; i++)
        if (schedule_next(&task->schedules[i], wall_plus(t, -1), &next) &&
            next.nominal.us == t.us && next.dst != DST_SKIPPED)
            return true;
    return false;
}

// --- one occurrence ---

void decide_paused(const struct task_record *record, struct decision *ret)
{
    ret->state = RUN_SKIPPED;
    snprintf(ret->reason, sizeof ret->reason, "the task was paused by %.60s: %.140s",
             record->paused_by ? record->paused_by : "somebody",
             record->paused_why ? record->paused_why : "no reason given");
}

void decide_dst_skipped(struct decision *ret)
{
    ret->state = RUN_SKIPPED;
    snprintf(ret->reason, sizeof ret->reason, "%s", dst_note_text(DST_SKIPPED));
}

void record_occurrence(struct scheduler *s, wall now, const struct origin *origin,
                       const struct upcoming_item *item, const struct decision *d)
{
    bool runs = d->state == RUN_SCHEDULED;
    struct run run = {
        .id = id_next(&s->ids, now),
        .task = origin->record->id,
        .revision_id = origin->revision_id,
        .generation = origin->generation,
        .state = d->state,
        .trigger = d->trigger,
        .reason = runs ? NULL : (char *)d->reason,
        .scheduled_for = item->nominal,
        .due_at = monitor_due(origin->task, item->effective),
        .deadline_at = run_deadline(origin->task, item->effective),
        .started_at = WALL_NONE,
        .finished_at = runs ? WALL_NONE : now,
        .attempt_started_at = WALL_NONE,
        .lane = origin->lane,
        .priority = origin->task->priority,
    };
    enum status status = add_run(s, &run);
    if (status == STATUS_CONFLICT)
        return; // two schedules of one task meant the same instant: one occurrence
    if (went_well(s, status))
        note_run(s,
                 &(struct event_run){origin->record->name, run.id, d->state, run.due_at, d->reason,
                                     WALL_NONE},
                 run.task);
}

// No turn has come between the instant and the end of the pause.
static bool fell_into_pause(const struct known_task *known, wall now, wall nominal)
{
    return known->resumed.us == now.us && nominal.us < now.us && nominal.us >= known->paused.us;
}

static void decide_resumed(struct decision *ret)
{
    ret->state = RUN_SKIPPED;
    snprintf(ret->reason, sizeof ret->reason, "the task was paused until a moment later");
}

// An occurrence that is found in time.
static void record_on_time(struct scheduler *s, wall now, const struct known_task *known,
                           const struct schedule *schedule, const struct occurrence *occurrence)
{
    const struct task_record *record = &known->record;
    struct decision decision = {.state = RUN_SCHEDULED, .trigger = TRIGGER_SCHEDULE};
    struct origin origin = {.record = record,
                            .task = known->task,
                            .lane = known->task->lane,
                            .generation = record->generation,
                            .revision_id = record->revision_id};
    struct upcoming_item item = {
        .nominal = occurrence->nominal,
        .effective = schedule_effective(schedule, record->name, occurrence->nominal),
        .dst = occurrence->dst,
    };
    if (wall_is_set(record->paused_at))
        decide_paused(record, &decision);
    else if (fell_into_pause(known, now, occurrence->nominal))
        decide_resumed(&decision);
    else if (occurrence->dst == DST_SKIPPED)
        decide_dst_skipped(&decision);
    record_occurrence(s, now, &origin, &item, &decision);
}

// --- one cursor ---

static struct cursor cursor_in(const struct heap_entry *entry)
{
    return (struct cursor){.task = (int64_t)entry->order,
                           .schedule = (int)(entry->item & 0xffffffff),
                           .generation = (int)(entry->item >> 32),
                           .next_at = {entry->key}};
}

// Whether the store says so, too: a cursor of a task with several schedules may have moved together
// with another one, and that of a monitor when its job checked in.
static bool is_stored(struct scheduler *s, const struct cursor *cursor)
{
    struct cursor rows[TASK_SCHEDULES_MAX];
    size_t count;
    if (!went_well(s, store_load_cursors_of_task(s->store, cursor->task, TASK_SCHEDULES_MAX, rows,
                                                 &count)))
        return false;
    for (size_t i = 0; i < count; i++)
        if (rows[i].schedule == cursor->schedule)
            return rows[i].next_at.us == cursor->next_at.us;
    return false;
}

// The task of a cursor. False when what the heap held is old: the generation tells.
static bool find_task_of(struct scheduler *s, const struct cursor *cursor, struct known_task **ret)
{
    enum status status = known_task_by_id(&s->known, cursor->task, ret);
    if (status == STATUS_NOT_FOUND || !went_well(s, status))
        return false;
    const struct known_task *known = *ret;
    bool moves_alone =
        known->task->schedule_count == 1 && known->task->target.kind != TARGET_MONITOR;
    return !known->record.deleted && known->record.generation == cursor->generation &&
           (size_t)cursor->schedule < known->task->schedule_count &&
           (moves_alone || is_stored(s, cursor));
}

// The end of the outage that this instant fell into; WALL_NONE when it fell into none. An
// occurrence that came due before the start, or is found late, is missed with all that the task
// has missed besides.
static wall outage_of(const struct scheduler *s, wall now, wall nominal)
{
    if (nominal.us < s->up_since.us)
        return s->up_since;
    return now.us - nominal.us > BEHIND_US ? wall_plus(now, 1) : WALL_NONE;
}

// Takes one cursor over its occurrence.
static void pass_on_time(struct scheduler *s, wall now, const struct known_task *known,
                         struct cursor *cursor)
{
    const struct schedule *schedule = &known->task->schedules[cursor->schedule];
    struct occurrence occurrence;
    // The note on daylight saving belongs to the instant: asking again for it gives the same.
    if (!schedule_next(schedule, wall_plus(cursor->next_at, -1), &occurrence) ||
        occurrence.nominal.us != cursor->next_at.us)
        occurrence = (struct occurrence){cursor->next_at, DST_NONE};
    if (occurrence.dst != DST_SKIPPED || !is_wanted(known->task, occurrence.nominal))
        record_on_time(s, now, known, schedule, &occurrence);
    if (!s->broken)
        went_well(s, move_cursor(s, schedule, cursor, occurrence.nominal));
}

int pass_behind(struct scheduler *s, wall now, const struct heap_entry *entry)
{
    struct cursor cursor = cursor_in(entry);
    struct known_task *known;
    wall end = outage_of(s, now, cursor.next_at);
    if (!find_task_of(s, &cursor, &known))
        return 1;
    if (wall_is_set(end))
        return open_backlog(s, now, known, end);
    pass_on_time(s, now, known, &cursor); // the clock has been set back meanwhile
    return 1;
}

// Whether another schedule of its task has missed one, and this instant lies before the end of that
// outage. It is in time by itself, and decided together with the others: of them all one is latest.
static bool is_part_of_outage(struct scheduler *s, wall now, const struct cursor *cursor)
{
    struct cursor rows[TASK_SCHEDULES_MAX];
    size_t count;
    if (!went_well(s, store_load_cursors_of_task(s->store, cursor->task, TASK_SCHEDULES_MAX, rows,
                                                 &count)))
        return false;
    for (size_t i = 0; i < count; i++) {
        wall end = outage_of(s, now, rows[i].next_at);
        if (wall_is_set(end) && cursor->next_at.us < end.us)
            return true;
    }
    return false;
}

static void pass_cursor(struct scheduler *s, wall now, const struct heap_entry *entry)
{
    struct cursor cursor = cursor_in(entry);
    struct known_task *known;
    if (wall_is_set(outage_of(s, now, cursor.next_at)))
        heap_add(&s->behind, *entry); // what comes in time goes before it
    else if (find_task_of(s, &cursor, &known)) {
        if (known->task->schedule_count > 1 && is_part_of_outage(s, now, &cursor))
            heap_add(&s->behind, *entry);
        else
            pass_on_time(s, now, known, &cursor);
    }
}

// The earliest cursor of a task whose instant has come. False: there is none.
static bool find_due(struct scheduler *s, wall now, const struct known_task *known,
                     struct cursor *ret)
{
    struct cursor rows[TASK_SCHEDULES_MAX];
    size_t count;
    bool found = false;
    if (s->broken || !went_well(s, store_load_cursors_of_task(s->store, known->record.id,
                                                              TASK_SCHEDULES_MAX, rows, &count)))
        return false;
    for (size_t i = 0; i < count; i++) {
        bool due =
            rows[i].next_at.us <= now.us && (size_t)rows[i].schedule < known->task->schedule_count;
        if (!due || (found && rows[i].next_at.us >= ret->next_at.us))
            continue;
        *ret = rows[i];
        found = true;
    }
    return found;
}

bool take_ahead(struct scheduler *s, const struct known_task *known, wall nominal)
{
    struct cursor rows[TASK_SCHEDULES_MAX];
    size_t count;
    bool found = false;
    if (!went_well(s, store_load_cursors_of_task(s->store, known->record.id, TASK_SCHEDULES_MAX,
                                                 rows, &count)))
        return false;
    for (size_t i = 0; i < count && !s->broken; i++) {
        if (rows[i].next_at.us != nominal.us ||
            (size_t)rows[i].schedule >= known->task->schedule_count)
            continue;
        found = true;
        went_well(s, move_cursor(s, &known->task->schedules[rows[i].schedule], &rows[i], nominal));
    }
    return found && !s->broken;
}

void plan_monitor(struct scheduler *s, wall now, const struct known_task *known)
{
    struct cursor cursor;
    bool behind = false;
    for (int i = 0; i < MONITOR_OCCURRENCES && !s->stopping && find_due(s, now, known, &cursor);
         i++) {
        wall end = outage_of(s, now, cursor.next_at);
        behind = behind || wall_is_set(end);
        if (wall_is_set(end))
            open_backlog(s, now, known, end);
        else
            pass_on_time(s, now, known, &cursor);
    }
    if (behind && !s->broken)
        work_off_backlog(s, now, known->record.id);
}

void plan_due_occurrences(struct scheduler *s, wall now)
{
    wall until = wall_plus(now, s->options.claim_ahead_us);
    size_t behind = s->behind.count;
    for (int i = 0; i < OCCURRENCES_A_TURN && !s->broken && !s->stopping; i++) {
        const struct heap_entry *first = heap_first(&s->cursors);
        struct heap_entry entry;
        if (!first || first->key > until.us)
            return;
        heap_take(&s->cursors, &entry);
        pass_cursor(s, now, &entry);
        if (s->behind.count > behind) { // only put aside, which costs next to nothing
            behind = s->behind.count;
            i--;
        }
    }
}

// When the next stretch of cursors should be loaded.
static wall load_at(const struct scheduler *s, wall now)
{
    if (s->cursors_covered.us == WALL_NONE.us)
        return now;
    return wall_plus(s->cursors_covered, -s->options.horizon_us / 2);
}

void load_cursors(struct scheduler *s, wall now)
{
    wall until = wall_plus(now, s->options.horizon_us);
    if (s->broken || load_at(s, now).us > now.us)
        return;
    struct cursor rows[CHUNK];
    size_t count = CHUNK;
    // All of the stretch at once: a cursor that moves meanwhile must find its place either loaded
    // or not.
    while (count == CHUNK) {
        if (!went_well(s,
                       store_load_cursors(s->store, &s->cursor_edge, until, CHUNK, rows, &count)))
            return;
        wall covered = s->cursors_covered;
        s->cursors_covered = until; // so that hold_cursor keeps them
        for (size_t i = 0; i < count; i++)
            hold_cursor(s, &rows[i]);
        s->cursors_covered = covered;
        if (count)
            s->cursor_edge = rows[count - 1];
    }
    s->cursors_covered = until;
    s->cursor_edge = (struct cursor){.next_at = until, .task = INT64_MAX, .schedule = INT32_MAX};
}

wall plan_next(const struct scheduler *s, wall now)
{
    wall next = load_at(s, now);
    const struct heap_entry *first = heap_first(&s->cursors);
    if (!s->stopping && (s->behind.count || (s->backlogs_left && !catching_up_is_full(s))))
        return now;
    if (first && !s->stopping && first->key - s->options.claim_ahead_us < next.us)
        next.us = first->key - s->options.claim_ahead_us;
    return next;
}
