// Occurrences become runs. A run is unique by (task, generation, nominal instant) and is written in
// the transaction that moves the cursor; the next occurrence comes from the schedule, never from
// the run before.
#include <stdio.h>

#include "scheduler/state.h"

#define CHUNK 1000
#define OCCURRENCES_A_TURN 1000
#define BEHIND_US (10 * SECOND) // an occurrence found later than this fell into an outage

static void hold_cursor(struct scheduler *s, const struct cursor *cursor)
{
    if (cursor->next_at.us <= s->cursors_covered.us)
        heap_add(&s->cursors, (struct heap_entry){.key = cursor->next_at.us,
                                                  .order = (uint64_t)cursor->task,
                                                  .item = (uint64_t)cursor->generation << 32 |
                                                          (uint64_t)cursor->schedule});
}

// Moves one cursor behind `after`.
static enum status move_cursor(struct scheduler *s, const struct schedule *schedule,
                               struct cursor *cursor, wall after)
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

// Whether any of them has an occurrence after `t` that is due by now, and not to be skipped.
static bool later_one_due(const struct task *task, wall t, wall now)
{
    for (size_t i = 0; i < task->schedule_count; i++) {
        struct occurrence next = {.nominal = t};
        while (schedule_next(&task->schedules[i], next.nominal, &next) && next.nominal.us <= now.us)
            if (next.dst != DST_SKIPPED)
                return true;
    }
    return false;
}

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

// What is to be done about an occurrence whose time has come.
struct decision {
    enum run_state state; // scheduled, missed or skipped
    enum run_trigger trigger;
    char reason[240];
};

static struct decision decide(const struct scheduler *s, wall now, const struct known_task *known,
                              const struct occurrence *occurrence)
{
    const struct task_record *record = &known->record;
    bool outage =
        occurrence->nominal.us < s->started.us || now.us - occurrence->nominal.us > BEHIND_US;
    struct decision d = {.state = RUN_SCHEDULED, .trigger = TRIGGER_SCHEDULE};
    if (wall_is_set(record->paused_at)) {
        d.state = RUN_SKIPPED;
        snprintf(d.reason, sizeof d.reason, "the task was paused by %.60s: %.140s",
                 record->paused_by ? record->paused_by : "somebody",
                 record->paused_why ? record->paused_why : "no reason given");
    } else if (occurrence->dst == DST_SKIPPED) {
        d.state = RUN_SKIPPED;
        snprintf(d.reason, sizeof d.reason, "%s", dst_note_text(DST_SKIPPED));
    } else if (outage && later_one_due(known->task, occurrence->nominal, now)) {
        d.state = RUN_MISSED;
        snprintf(d.reason, sizeof d.reason,
                 "the server was not running, or behind, when it was due; of those missed only the "
                 "latest runs");
    } else if (outage) {
        d.trigger = TRIGGER_CATCH_UP;
    }
    return d;
}

static void record_occurrence(struct scheduler *s, wall now, const struct known_task *known,
                              const struct schedule *schedule, const struct occurrence *occurrence)
{
    struct decision d = decide(s, now, known, occurrence);
    bool runs = d.state == RUN_SCHEDULED;
    struct run run = {
        .id = id_next(&s->ids, now),
        .task = known->record.id,
        .revision_id = known->record.revision_id,
        .generation = known->record.generation,
        .state = d.state,
        .trigger = d.trigger,
        .reason = runs ? NULL : d.reason,
        .scheduled_for = occurrence->nominal,
        .due_at = schedule_effective(schedule, known->record.name, occurrence->nominal),
        .started_at = WALL_NONE,
        .finished_at = runs ? WALL_NONE : now,
        .attempt_started_at = WALL_NONE,
        .lane = known->task->lane,
    };
    enum status status = add_run(s, &run);
    if (status == STATUS_CONFLICT)
        return; // two schedules of one task meant the same instant: one occurrence
    if (went_well(s, status))
        note_run(s,
                 &(struct event_run){known->record.name, run.id, d.state, run.due_at, d.reason,
                                     WALL_NONE},
                 run.task);
}

// Takes one cursor over its occurrence. What the heap holds may be old: the generation tells.
static void pass_cursor(struct scheduler *s, wall now, const struct heap_entry *entry)
{
    struct cursor cursor = {.task = (int64_t)entry->order,
                            .schedule = (int)(entry->item & 0xffffffff),
                            .generation = (int)(entry->item >> 32),
                            .next_at = {entry->key}};
    struct known_task *known;
    enum status status = known_task_by_id(&s->known, cursor.task, &known);
    if (status == STATUS_NOT_FOUND || !went_well(s, status))
        return;
    if (known->record.deleted || known->record.generation != cursor.generation ||
        (size_t)cursor.schedule >= known->task->schedule_count)
        return;
    const struct schedule *schedule = &known->task->schedules[cursor.schedule];
    struct occurrence occurrence;
    // The note on daylight saving belongs to the instant: asking again for it gives the same.
    if (!schedule_next(schedule, wall_plus(cursor.next_at, -1), &occurrence) ||
        occurrence.nominal.us != cursor.next_at.us)
        occurrence = (struct occurrence){cursor.next_at, DST_NONE};
    if (occurrence.dst != DST_SKIPPED || !is_wanted(known->task, occurrence.nominal))
        record_occurrence(s, now, known, schedule, &occurrence);
    if (!s->broken)
        went_well(s, move_cursor(s, schedule, &cursor, occurrence.nominal));
}

// An edit leaves nothing behind: what the schedules had due by now is recorded before they change.
// Usually that is nothing; after an outage, all of it.
void settle_task(struct scheduler *s, wall now, const struct known_task *known)
{
    int64_t task = known->record.id;
    size_t count = known->task->schedule_count;
    for (size_t i = 0; i < count; i++) {
        struct cursor cursor;
        enum status status;
        while ((status = store_find_cursor(s->store, task, (int)i, &cursor)) == STATUS_OK &&
               cursor.next_at.us <= now.us && cursor.generation == known->record.generation &&
               !s->broken)
            pass_cursor(s, now,
                        &(struct heap_entry){.key = cursor.next_at.us,
                                             .order = (uint64_t)task,
                                             .item = (uint64_t)cursor.generation << 32 |
                                                     (uint64_t)cursor.schedule});
        went_well(s, status);
    }
}

void plan_due_occurrences(struct scheduler *s, wall now)
{
    wall until = wall_plus(now, s->options.claim_ahead_us);
    for (int i = 0; i < OCCURRENCES_A_TURN && !s->broken && !s->stopping; i++) {
        const struct heap_entry *first = heap_first(&s->cursors);
        struct heap_entry entry;
        if (!first || first->key > until.us)
            return;
        heap_take(&s->cursors, &entry);
        pass_cursor(s, now, &entry);
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
    static _Thread_local struct cursor rows[CHUNK];
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
    if (first && !s->stopping && first->key - s->options.claim_ahead_us < next.us)
        next.us = first->key - s->options.claim_ahead_us;
    return next;
}
