// One task: its life from its edits, what was due in it, and which of that has a run.
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "core/target.h"
#include "core/upcoming.h"
#include "store/audit_parts.h"

#define OCCURRENCES_A_STEP 1000

// An occurrence this close to an edit of its schedule may have gone either way: what is claimed
// ahead goes out whatever the edit says.
#define BEFORE_EDIT_US SECOND
#define AFTER_EDIT_US SECOND
// Jobs that run elsewhere may check in so much before their time, and an edit may follow.
#define EARLY_MOST_US MINUTE
// An attempt that was claimed before a pause may start a moment after it.
#define AFTER_PAUSE_US SECOND

// A stretch of a task's life with one definition: from < t <= to.
struct span {
    wall from, to;
    bool exists, paused;
    int revision;
    struct task *task; // NULL where it does not exist, or the span lies outside the window
};

struct life {
    struct span *spans;
    size_t count;
};

struct due { // an occurrence that was due
    wall nominal;
    bool optional;
};

static void life_done(struct life *life)
{
    for (size_t i = 0; i < life->count; i++)
        task_drop(life->spans[i].task);
    free(life->spans);
}

// --- a task's life ---

static struct span span_after(const struct span *before, const struct task_edit *edit)
{
    struct span span = {.from = edit->at, .to = WALL_NEVER, .revision = edit->revision};
    bool lived = before && before->exists;
    span.exists = edit->kind != EDIT_DELETED;
    span.paused =
        edit->kind == EDIT_PAUSED || (edit->kind == EDIT_DEFINED && lived && before->paused);
    return span;
}

static void build_spans(const struct task_edit *edits, size_t count, struct life *life)
{
    life->spans = memory_array(count, sizeof *life->spans);
    life->count = count;
    for (size_t i = 0; i < count; i++) {
        life->spans[i] = span_after(i ? &life->spans[i - 1] : NULL, &edits[i]);
        if (i)
            life->spans[i - 1].to = edits[i].at;
    }
}

// The definitions of those spans that matter for the window.
static enum status read_definitions(struct audit *a, wall from, struct life *life)
{
    for (size_t i = 0; i < life->count; i++) {
        struct span *span = &life->spans[i], *before = i ? span - 1 : NULL;
        bool matters = span->exists && span->from.us < a->options.to.us + BEFORE_EDIT_US &&
                       (span->to.us == WALL_NEVER.us || span->to.us > from.us - EARLY_MOST_US);
        if (!matters)
            continue;
        if (before && before->task && before->revision == span->revision) {
            span->task = task_hold(before->task);
            continue;
        }
        char *text;
        size_t size;
        enum status status =
            reader_definition_of(a->reader, a->task.id, span->revision, &text, &size);
        if (status == STATUS_OK) {
            status = task_decode_text(a->task.name, text, size, &span->task);
            free(text);
        }
        if (status != STATUS_OK)
            return STATUS_FAILED;
    }
    return STATUS_OK;
}

static enum status read_life(struct audit *a, wall from, struct life *ret)
{
    struct task_edit *edits;
    size_t count;
    enum status status = reader_task_edits(a->reader, a->task.id, &edits, &count);
    if (status != STATUS_OK)
        return status;
    build_spans(edits, count, ret);
    free(edits);
    status = read_definitions(a, from, ret);
    if (status != STATUS_OK)
        life_done(ret);
    return status;
}

// Whether the schedules change from the span before to this one.
static bool changes_schedules(const struct life *life, size_t i)
{
    const struct span *span = &life->spans[i];
    if (i == 0 || !span[-1].exists || !span->exists)
        return true;
    const struct task *before = span[-1].task, *after = span->task;
    if (!before || !after || before == after)
        return false;
    // Becoming a monitor, or another task again, is an edit of the schedules, too.
    return (before->target.kind == TARGET_MONITOR) != (after->target.kind == TARGET_MONITOR) ||
           !task_same_schedules(before, after);
}

// Whether the instant is so close to an edit of the schedules that it cannot be judged. What is
// due may have been recorded so much ahead of it, before the edit.
static bool is_near_edit(const struct life *life, wall t, int64_t ahead_us)
{
    for (size_t i = 0; i < life->count; i++) {
        int64_t since = t.us - life->spans[i].from.us;
        if (since >= -BEFORE_EDIT_US && since <= ahead_us && changes_schedules(life, i))
            return true;
    }
    return false;
}

static bool has_occurrence(const struct task *task, wall t)
{
    struct upcoming u;
    struct upcoming_item item;
    upcoming_begin(&u, task, wall_plus(t, -1));
    return upcoming_next(&u, &item) && item.nominal.us == t.us;
}

// Whether some definition in force about then knows the instant.
static bool is_known(const struct life *life, wall t, int64_t ahead_us)
{
    for (size_t i = 0; i < life->count; i++) {
        const struct span *span = &life->spans[i];
        if (span->task && t.us > span->from.us - BEFORE_EDIT_US &&
            (span->to.us == WALL_NEVER.us || t.us <= span->to.us + ahead_us) &&
            has_occurrence(span->task, t))
            return true;
    }
    return false;
}

static bool started_in_pause(const struct life *life, wall t)
{
    wall paused_from = WALL_NONE;
    for (size_t i = 0; i < life->count && wall_is_set(t); i++) {
        const struct span *span = &life->spans[i];
        // Where an edit follows the pause, the pause began before this span.
        if (!span->paused || i == 0 || !span[-1].paused)
            paused_from = span->from;
        if (span->paused && t.us > span->from.us && t.us > paused_from.us + AFTER_PAUSE_US &&
            t.us < span->to.us)
            return true;
    }
    return false;
}

// --- what was due ---

// Occurrences with from <= t < to, at most `max`; *ret_to is where they end.
static size_t list_due(const struct life *life, wall from, wall to, size_t max, struct due *ret,
                       wall *ret_to)
{
    size_t count = 0;
    *ret_to = to;
    for (size_t i = 0; i < life->count; i++) {
        const struct span *span = &life->spans[i];
        struct upcoming u;
        struct upcoming_item item;
        wall after = {span->from.us > from.us - 1 ? span->from.us : from.us - 1};
        if (!span->task || after.us >= to.us)
            continue;
        upcoming_begin(&u, span->task, after);
        while (upcoming_next(&u, &item) && item.nominal.us <= span->to.us &&
               item.nominal.us < to.us) {
            if (count == max) {
                *ret_to = wall_plus(ret[count - 1].nominal, 1);
                return count;
            }
            ret[count++] =
                (struct due){item.nominal, is_near_edit(life, item.nominal, AFTER_EDIT_US)};
        }
    }
    return count;
}

// --- held against each other ---

static struct difference difference_at(const struct audit *a, enum difference_kind kind, run_id run,
                                       wall at)
{
    struct difference d = {.kind = kind, .run = run, .at = at};
    memcpy(d.task, a->task.name, sizeof d.task);
    return d;
}

static void no_record(struct audit *a, const struct due *due, wall planned_until)
{
    struct difference d = difference_at(a, DIFFERENCE_NO_RECORD, (run_id){0}, due->nominal);
    if (due->optional)
        return;
    if (due->nominal.us >= planned_until.us)
        a->totals.pending++;
    else
        audit_found(a, &d, "it was due and has no run");
}

static bool is_of_monitor(const struct recorded *r)
{
    return r->lane == target_lane(&(struct target){.kind = TARGET_MONITOR});
}

static int64_t ahead_of(const struct recorded *r)
{
    return is_of_monitor(r) ? EARLY_MOST_US : AFTER_EDIT_US;
}

static void phantom(struct audit *a, const struct life *life, const struct recorded *r)
{
    struct difference d = difference_at(a, DIFFERENCE_PHANTOM, r->run, r->nominal);
    int64_t ahead_us = ahead_of(r);
    if (!is_near_edit(life, r->nominal, ahead_us) || !is_known(life, r->nominal, ahead_us))
        audit_found(a, &d, "it has a run, and no schedule of the task had it");
}

static void check_recorded(struct audit *a, const struct life *life, const struct recorded *r,
                           const struct recorded *before)
{
    struct difference doubled = difference_at(a, DIFFERENCE_DOUBLE, r->run, r->nominal);
    struct difference paused = difference_at(a, DIFFERENCE_WHILE_PAUSED, r->run, r->nominal);
    char other[RUN_ID_TEXT];
    bool again = before && before->nominal.us == r->nominal.us;
    // Close to an edit each generation of the schedules may have recorded it.
    bool may_be_two = again && before->generation != r->generation &&
                      is_near_edit(life, r->nominal, ahead_of(before));
    if (again && !may_be_two) {
        run_id_format(before->run, other);
        audit_found(a, &doubled, "the occurrence has a run already: %s", other);
    }
    // A job that runs elsewhere is not held back by a pause of its task.
    if (!is_of_monitor(r) && started_in_pause(life, r->started_at))
        audit_found(a, &paused, "it started while its task was paused");
}

static void hold(struct audit *a, const struct life *life, const struct due *due, size_t due_count,
                 const struct recorded *recorded, size_t recorded_count, wall planned_until)
{
    size_t i = 0;
    a->totals.occurrences += (int64_t)due_count;
    for (size_t j = 0; j < recorded_count; j++) {
        const struct recorded *r = &recorded[j], *before = j ? r - 1 : NULL;
        bool again = before && before->nominal.us == r->nominal.us;
        while (i < due_count && due[i].nominal.us < r->nominal.us)
            no_record(a, &due[i++], planned_until);
        if (i < due_count && due[i].nominal.us == r->nominal.us)
            i++;
        else if (!again)
            phantom(a, life, r);
        check_recorded(a, life, r, before);
    }
    while (i < due_count)
        no_record(a, &due[i++], planned_until);
}

static int by_nominal(const void *a, const void *b)
{
    const struct due *x = a, *y = b;
    return (x->nominal.us > y->nominal.us) - (x->nominal.us < y->nominal.us);
}

static enum status audit_stretch(struct audit *a, const struct life *life, wall *ret_to)
{
    struct due due[OCCURRENCES_A_STEP];
    struct recorded *recorded;
    size_t recorded_count;
    wall to, planned_until = WALL_NEVER;
    size_t count = list_due(life, a->at, a->options.to, OCCURRENCES_A_STEP, due, &to);
    qsort(due, count, sizeof *due, by_nominal);
    enum status status = reader_planned_until(a->reader, a->task.id, &planned_until);
    if (status == STATUS_OK)
        status = reader_recorded(a->reader, a->task.id, a->at, to, &recorded, &recorded_count);
    if (status != STATUS_OK)
        return status;
    hold(a, life, due, count, recorded, recorded_count, planned_until);
    free(recorded);
    *ret_to = to;
    return STATUS_OK;
}

enum status audit_task(struct audit *a)
{
    struct life life;
    if (a->at.us >= a->options.to.us)
        return STATUS_END;
    enum status status = read_life(a, a->at, &life);
    if (status != STATUS_OK)
        return status;
    status = audit_stretch(a, &life, &a->at);
    life_done(&life);
    if (status != STATUS_OK)
        return status;
    return a->at.us >= a->options.to.us ? STATUS_END : STATUS_OK;
}
