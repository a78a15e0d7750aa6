// Catching up after an outage. When a task is found behind, what it missed becomes a backlog: from
// where on its occurrences run is decided once, and the cursors move behind the outage at once, so
// that the next one fires on time. The backlog is worked off some of it at a time, in the order of
// the nominal instants; it is in the store, so a restart goes on where it was and decides nothing
// anew.
#include <stdio.h>
#include <string.h>

#include "core/catch_up.h"
#include "core/upcoming.h"
#include "scheduler/state.h"

#define STEPS_A_TURN 1000 // occurrences recorded; about ten milliseconds
#define STEPS_AT_ONCE 8   // a backlog that is no longer than this is never written
#define STEPS_A_VISIT 200 // then another task has its turn
#define BACKLOGS_A_LOAD 20
#define WAITING_MAX 100000 // runs that wait to catch up; what comes after them waits in backlogs

// --- one occurrence ---

static bool is_too_late(const struct task *task, const struct upcoming_item *item, wall now)
{
    return task->deadline_us && now.us > item->effective.us + task->deadline_us;
}

// What becomes of one of them. Of a task that is paused none runs; what came before the pause is
// missed all the same. What daylight saving leaves out was never to run, so nothing misses it.
static void decide(const struct backlog *backlog, wall now, const struct origin *origin,
                   const struct upcoming_item *item, struct decision *ret)
{
    const struct task_record *record = origin->record;
    bool paused = wall_is_set(record->paused_at);
    bool runs = item->nominal.us >= backlog->run_from.us && !*backlog->reason;
    *ret = (struct decision){.state = RUN_MISSED, .trigger = TRIGGER_SCHEDULE};
    if (*backlog->reason && item->dst != DST_SKIPPED)
        snprintf(ret->reason, sizeof ret->reason, "%s", backlog->reason);
    else if (paused && (runs || item->nominal.us >= record->paused_at.us))
        decide_paused(record, ret);
    else if (item->dst == DST_SKIPPED)
        decide_dst_skipped(ret);
    else if (!runs)
        catch_up_reason(&origin->task->catch_up, item->nominal, backlog->until, ret->reason,
                        sizeof ret->reason);
    else if (is_too_late(origin->task, item, now))
        deadline_reason(run_deadline(origin->task, item->effective), ret->reason,
                        sizeof ret->reason);
    else
        *ret = (struct decision){.state = RUN_SCHEDULED, .trigger = TRIGGER_CATCH_UP};
}

// --- one backlog ---

// Records at most `max` of its occurrences and returns how many. next_at is `until` when none is
// left.
static int step(struct scheduler *s, wall now, struct backlog *backlog, int max)
{
    struct known_task *known;
    struct task *task;
    if (!went_well(s, known_task_by_id(&s->known, backlog->task, &known)) ||
        !went_well(s, known_definition(&s->known, backlog->revision_id, &task)))
        return 0;
    bool newest = known->record.generation == backlog->generation && !known->record.deleted;
    struct origin origin = {
        .record = &known->record,
        .task = task,
        .lane = newest ? known->task->lane : task->lane,
        .generation = backlog->generation,
        .revision_id = newest ? known->record.revision_id : backlog->revision_id,
    };
    struct upcoming upcoming;
    struct upcoming_item item;
    struct decision decision;
    upcoming_begin(&upcoming, task, wall_plus(backlog->next_at, -1));
    for (int done = 0; !s->broken; done++) {
        bool more = upcoming_next(&upcoming, &item) && item.nominal.us < backlog->until.us;
        backlog->next_at = more ? item.nominal : backlog->until;
        if (!more || done == max)
            return done;
        decide(backlog, now, &origin, &item, &decision);
        record_occurrence(s, now, &origin, &item, &decision);
    }
    return 0;
}

// --- finding a task behind ---

bool catching_up_is_full(const struct scheduler *s)
{
    return s->due.catch_up.count >= WAITING_MAX;
}

// Of one task the older outage comes first.
static bool has_older(struct scheduler *s, int64_t task)
{
    struct backlog first;
    size_t count = 0;
    return s->backlogs_left &&
           went_well(s, store_load_backlogs(s->store, task - 1, 1, &first, &count)) && count &&
           first.task == task;
}

static void keep_backlog(struct scheduler *s, const struct backlog *backlog)
{
    went_well(s, store_add_backlog(s->store, backlog));
    s->backlogs_left = true;
}

// The earliest instant without a record; `until` when there is none before it.
static wall earliest(const struct cursor *cursors, size_t count, wall until)
{
    for (size_t i = 0; i < count; i++)
        if (cursors[i].next_at.us < until.us)
            until = cursors[i].next_at;
    return until;
}

int open_backlog(struct scheduler *s, wall now, const struct known_task *known, wall until)
{
    struct cursor cursors[TASK_SCHEDULES_MAX];
    size_t count;
    if (!went_well(s, store_load_cursors_of_task(s->store, known->record.id, TASK_SCHEDULES_MAX,
                                                 cursors, &count)))
        return 0;
    struct backlog backlog = {.task = known->record.id,
                              .generation = known->record.generation,
                              .revision_id = known->record.revision_id,
                              .next_at = earliest(cursors, count, until),
                              .until = until};
    backlog.run_from = catch_up_from(known->task, backlog.next_at, until);
    bool later = catching_up_is_full(s) || has_older(s, backlog.task);
    int steps = later ? 0 : step(s, now, &backlog, STEPS_AT_ONCE);
    if (!s->broken && backlog.next_at.us < until.us)
        keep_backlog(s, &backlog);
    for (size_t i = 0; i < count && !s->broken; i++)
        if (cursors[i].next_at.us < until.us &&
            (size_t)cursors[i].schedule < known->task->schedule_count)
            went_well(s, move_cursor(s, &known->task->schedules[cursors[i].schedule], &cursors[i],
                                     wall_plus(until, -1)));
    return steps + 1;
}

enum status give_up_backlog(struct scheduler *s, wall now, const struct task_record *before,
                            const char *reason)
{
    struct cursor cursors[TASK_SCHEDULES_MAX];
    size_t count;
    enum status status = STATUS_OK;
    if (s->backlogs_left)
        status = store_give_up_backlogs(s->store, before->id, reason);
    if (status == STATUS_OK)
        status =
            store_load_cursors_of_task(s->store, before->id, TASK_SCHEDULES_MAX, cursors, &count);
    if (status != STATUS_OK)
        return status;
    wall until = wall_plus(now, 1);
    struct backlog backlog = {.task = before->id,
                              .generation = before->generation,
                              .revision_id = before->revision_id,
                              .next_at = earliest(cursors, count, until),
                              .run_from = until,
                              .until = until};
    if (backlog.next_at.us >= until.us)
        return STATUS_OK;
    snprintf(backlog.reason, sizeof backlog.reason, "%s", reason);
    s->backlogs_left = true;
    return store_add_backlog(s->store, &backlog);
}

// --- working them off ---

static int visit(struct scheduler *s, wall now, struct backlog *backlog, int max)
{
    wall from = backlog->next_at;
    int steps = step(s, now, backlog, max < STEPS_A_VISIT ? max : STEPS_A_VISIT);
    if (s->broken)
        return steps;
    if (backlog->next_at.us >= backlog->until.us)
        went_well(s, store_drop_backlog(s->store, backlog->id));
    else if (backlog->next_at.us > from.us)
        went_well(s, store_move_backlog(s->store, backlog->id, backlog->next_at));
    return steps + 1;
}

void work_off_backlog(struct scheduler *s, wall now, int64_t task)
{
    struct backlog first;
    size_t count = 0;
    for (int left = STEPS_A_TURN; left > 0 && !s->broken && !catching_up_is_full(s);) {
        if (!went_well(s, store_load_backlogs(s->store, task - 1, 1, &first, &count)) || !count ||
            first.task != task)
            return;
        left -= visit(s, now, &first, left);
    }
}

// The tasks take turns.
static int work_off_some(struct scheduler *s, wall now, int budget)
{
    struct backlog rows[BACKLOGS_A_LOAD];
    size_t count;
    int steps = 0;
    if (!went_well(s,
                   store_load_backlogs(s->store, s->backlog_after, BACKLOGS_A_LOAD, rows, &count)))
        return budget;
    for (size_t i = 0; i < count && steps < budget && !s->broken; i++) {
        steps += visit(s, now, &rows[i], budget - steps);
        s->backlog_after = rows[i].task;
    }
    if (count == 0) {
        s->backlogs_left = s->backlog_after > 0; // from the beginning again, once
        s->backlog_after = 0;
    }
    return steps;
}

void catch_up(struct scheduler *s, wall now)
{
    int left = STEPS_A_TURN;
    while (left > 0 && !s->broken && !s->stopping) {
        struct heap_entry entry;
        if (!heap_take(&s->behind, &entry))
            break;
        left -= pass_behind(s, now, &entry);
    }
    while (left > 0 && s->backlogs_left && !catching_up_is_full(s) && !s->broken && !s->stopping)
        left -= work_off_some(s, now, left);
}
