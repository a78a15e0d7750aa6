// Definitions: what a PUT, a delete, a pause, a rollback make of a task. An edit never fires
// anything and never re-plays the past: where it touches the schedule, the generation grows and the
// cursor moves to now.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "core/task_view.h"
#include "scheduler/state.h"

#define NOTED_AT_ONCE 500

static void set_definition(struct task_record *record, const struct task *task)
{
    free(record->definition);
    record->definition = memory_copy(task->definition, task->definition_size);
    record->definition_size = task->definition_size;
}

// A task that was never there, or was deleted.
static enum status create_task(struct scheduler *s, wall now, struct task_record *record,
                               struct task *task, const struct edit *edit)
{
    record->generation++;
    record->deleted = false;
    record->paused_at = WALL_NONE;
    set_definition(record, task);
    enum status status = store_save_task(s->store, record, edit);
    if (status == STATUS_OK)
        status = plan_task(s, now, record, task);
    event_task(&s->journal, "task.created", record->name, record->revision, edit->author,
               edit->note);
    return status;
}

// Its runs that wait are noted again: fallen due while it was paused, or gone to another lane.
static void note_held_runs(struct scheduler *s, int64_t task, uint64_t lane)
{
    struct due_row rows[NOTED_AT_ONCE];
    run_id after = {0};
    size_t count = NOTED_AT_ONCE;
    while (count == NOTED_AT_ONCE) {
        if (!went_well(s,
                       store_load_due_of_task(s->store, task, after, NOTED_AT_ONCE, rows, &count)))
            return;
        for (size_t i = 0; i < count; i++) {
            rows[i].lane = lane; // the store's may be that of an earlier revision
            due_add(&s->due, &rows[i]);
            after = rows[i].run;
        }
    }
}

// Nobody takes a run out of a queue that its task has left, so what waits goes where the task went.
static enum status follow_to_queue(struct scheduler *s, int64_t task, const struct task *before,
                                   const struct task *after)
{
    bool queue = before->lane & LANE_QUEUE || after->lane & LANE_QUEUE;
    if (!queue || before->lane == after->lane)
        return STATUS_OK;
    enum status status = store_move_runs(s->store, task, after->lane);
    if (status == STATUS_OK)
        note_held_runs(s, task, after->lane);
    return status;
}

uint64_t lane_of_next(struct scheduler *s, int64_t task, uint64_t lane)
{
    struct known_task *known;
    if (!task || !went_well(s, known_task_by_id(&s->known, task, &known)))
        return lane;
    uint64_t newest = known->task->lane;
    if (newest == lane || !((newest | lane) & LANE_QUEUE)) // endpoints hand on by themselves
        return lane;
    went_well(s, store_move_runs(s->store, task, newest));
    return newest;
}

static enum status edit_task(struct scheduler *s, wall now, struct task_record *record,
                             const struct task *before, struct task *task, const struct edit *edit)
{
    static const char edited[] = "its schedule was edited before the occurrence had started",
                      elsewhere[] = "its task became a monitor, whose job runs elsewhere";
    // A monitor's waits are no runs to start, nor the other way round.
    bool was_monitor = before->target.kind == TARGET_MONITOR;
    bool is_monitor = task->target.kind == TARGET_MONITOR;
    bool becomes_monitor = is_monitor && !was_monitor; // then the server can start nothing of it
    bool same_schedules = task_same_schedules(before, task) && was_monitor == is_monitor;
    enum status status = same_schedules ? STATUS_OK : give_up_backlog(s, now, record, edited);
    if (!same_schedules)
        record->generation++;
    set_definition(record, task);
    if (status == STATUS_OK)
        status = store_save_task(s->store, record, edit);
    if (status == STATUS_OK && !same_schedules)
        status = cancel_pending_runs(s, now, record->id, !becomes_monitor,
                                     becomes_monitor ? elsewhere : edited);
    if (status == STATUS_OK && !same_schedules)
        status = plan_task(s, now, record, task);
    if (before->lane != task->lane)
        feed_moved_task(s, record->id);
    if (status == STATUS_OK)
        status = follow_to_queue(s, record->id, before, task);
    if (status == STATUS_OK)
        limits_changed(s, now, record->id, before, task);
    overlap_ended(s, record->id); // held runs are judged by the new rule
    note_edit(s, record->id);
    event_task(&s->journal, "task.changed", record->name, record->revision, edit->author,
               edit->note);
    return status;
}

// A known definition that differs: the audit record says in which fields.
static enum status change_known(struct scheduler *s, wall now, const struct known_task *known,
                                struct task *task, const struct edit *edit, bool dry_run,
                                struct task_change *ret)
{
    ret->action = TASK_CHANGED;
    ret->fields = task_diff(known->task, task);
    if (dry_run)
        return STATUS_OK;
    struct task_record record;
    struct edit with_fields = *edit;
    char *fields = json_write(ret->fields, NULL);
    with_fields.changed = fields;
    enum status status = store_find_task_by_id(s->store, known->record.id, &record);
    if (status == STATUS_OK) {
        status = edit_task(s, now, &record, known->task, task, &with_fields);
        ret->revision = record.revision;
        task_record_done(&record);
    }
    free(fields);
    return status;
}

enum status change_task(struct scheduler *s, wall now, struct task *task, const struct edit *edit,
                        bool dry_run, struct task_change *ret)
{
    *ret = (struct task_change){.action = TASK_UNCHANGED};
    struct known_task *known = NULL;
    enum status status = known_task(&s->known, task->name, &known);
    if (status != STATUS_OK && status != STATUS_NOT_FOUND)
        return went_well(s, status), status;
    if (status == STATUS_OK && !known->record.deleted) {
        ret->revision = known->record.revision;
        ret->task = known->record.id;
        if (strcmp(known->task->definition, task->definition) == 0)
            return STATUS_OK;
        status = change_known(s, now, known, task, edit, dry_run, ret);
        known_forget(&s->known, known->record.id);
        went_well(s, status);
        return status;
    }
    ret->action = TASK_CREATED;
    if (dry_run)
        return STATUS_OK;
    struct task_record record = {
        .name = memory_text(task->name), .created_at = now, .changed_at = now};
    if (known) {
        task_record_done(&record);
        status = store_find_task_by_id(s->store, known->record.id, &record);
        known_forget(&s->known, known->record.id);
        if (!went_well(s, status))
            return status;
    }
    status = create_task(s, now, &record, task, edit);
    ret->revision = record.revision;
    task_record_done(&record);
    went_well(s, status);
    return status;
}

enum status remove_task(struct scheduler *s, wall now, struct known_task *known,
                        const struct edit *edit)
{
    struct task_record *record = &known->record;
    if (!went_well(s, give_up_backlog(s, now, record, "its task was deleted")))
        return STATUS_FAILED;
    record->deleted = true;
    record->generation++;
    record->changed_at = now;
    enum status status = store_mark_task(s->store, record, "deleted", edit);
    if (status == STATUS_OK)
        status = store_drop_cursors(s->store, record->id);
    if (status == STATUS_OK)
        status = cancel_pending_runs(s, now, record->id, false, "its task was deleted");
    limits_forget(&s->limits, record->id);
    note_edit(s, record->id);
    count_no_more(&s->metrics, record->id);
    event_task(&s->journal, "task.deleted", record->name, record->revision, edit->author,
               edit->note);
    known_forget(&s->known, record->id);
    went_well(s, status);
    return status;
}

enum status pause_task(struct scheduler *s, wall now, struct known_task *known, const char *by,
                       const char *why)
{
    struct task_record *record = &known->record;
    free(record->paused_by);
    free(record->paused_why);
    record->paused_at = now;
    record->paused_by = memory_text(by);
    record->paused_why = memory_text(why);
    limits_forget(&s->limits, record->id); // noted again when it is resumed
    overlap_forget(s, record->id);
    event_task(&s->journal, "task.paused", record->name, record->revision, by, why);
    char reason[240];
    snprintf(reason, sizeof reason, "the task was paused by %.60s: %.140s", by ? by : "somebody",
             why ? why : "no reason given");
    enum status status = skip_waits(s, now, known, reason);
    if (status != STATUS_OK)
        return status;
    return store_mark_task(s->store, record, "paused",
                           &(struct edit){.at = now, .author = by, .note = why, .changed = "[]"});
}

run_id *running_of(const struct scheduler *s, int64_t task, size_t *ret_count)
{
    run_id *runs = memory_array(s->flights.count, sizeof *runs);
    uint64_t key;
    void *value;
    *ret_count = 0;
    for (size_t at = 0; map_each(&s->flights, &at, &key, &value);)
        if (((struct flight *)value)->task_id == task)
            runs[(*ret_count)++] = ((struct flight *)value)->run;
    return runs;
}

// The task as it now is; `running` lists what had started under the old definition.
static void reply_with_task(struct scheduler *s, wall now, struct message *m,
                            const struct known_task *known)
{
    const struct task_record *r = &known->record;
    struct task_view view = {.name = r->name,
                             .revision = r->revision,
                             .created_at = r->created_at,
                             .changed_at = r->changed_at,
                             .paused_at = r->paused_at,
                             .paused_by = r->paused_by,
                             .paused_why = r->paused_why,
                             .definition = known->task->definition,
                             .definition_size = known->task->definition_size,
                             .task = known->task};
    run_id *running = running_of(s, r->id, &view.running_count);
    struct writer w = writer_on(&m->reply.body);
    view.running = running;
    task_write(&w, &view, now);
    free(running);
    m->reply.revision = r->revision;
}

// The task that a message names. False: the message is answered already.
static bool find_live(struct scheduler *s, struct message *m, struct known_task **ret)
{
    enum status status = known_task(&s->known, m->name, ret);
    if (status == STATUS_NOT_FOUND || (status == STATUS_OK && (*ret)->record.deleted))
        refuse(m, STATUS_NOT_FOUND, "there is no task named \"%s\"", m->name);
    else if (went_well(s, status))
        return true;
    return false;
}

static bool is_expected(struct message *m, const struct known_task *known)
{
    int revision = known && !known->record.deleted ? known->record.revision : 0;
    if (m->expected == REVISION_NONE && revision)
        refuse(m, STATUS_STALE, "the task exists already, in revision %d", revision);
    else if (m->expected > 0 && m->expected != revision)
        refuse(m, STATUS_STALE, "the newest revision is %d, not %d: read it and decide again",
               revision, m->expected);
    else
        return true;
    return false;
}

static struct edit edit_of(const struct message *m, wall now)
{
    return (struct edit){.at = now, .author = m->author, .note = m->note, .changed = "[]"};
}

// Shared by PUT and rollback: makes m->task the newest definition and answers with it.
static void put(struct scheduler *s, wall now, struct message *m, const struct edit *edit)
{
    struct task_change change;
    struct known_task *known;
    if (change_task(s, now, m->task, edit, false, &change) == STATUS_OK &&
        went_well(s, known_task(&s->known, m->task->name, &known))) {
        m->reply.created = change.action == TASK_CREATED;
        reply_with_task(s, now, m, known);
    }
    json_decref(change.fields);
}

void answer_put_task(struct scheduler *s, wall now, struct message *m)
{
    struct known_task *known = NULL;
    enum status status = known_task(&s->known, m->task->name, &known);
    if (status != STATUS_NOT_FOUND && !went_well(s, status))
        return;
    struct edit edit = edit_of(m, now);
    if (is_expected(m, known))
        put(s, now, m, &edit);
}

void answer_rollback(struct scheduler *s, wall now, struct message *m)
{
    struct known_task *known;
    if (!find_live(s, m, &known) || !is_expected(m, known))
        return;
    int wanted = m->revision ? m->revision : known->record.revision - 1;
    if (wanted < 1) {
        refuse(m, STATUS_NOT_FOUND, "task \"%s\" has one revision only: none is before it",
               m->name);
        return;
    }
    char *definition;
    size_t size;
    enum status status =
        store_find_revision(s->store, known->record.id, wanted, &definition, &size);
    if (status == STATUS_NOT_FOUND) {
        refuse(m, STATUS_NOT_FOUND, "task \"%s\" has no revision %d; its newest is %d", m->name,
               wanted, known->record.revision);
        return;
    }
    if (!went_well(s, status))
        return;
    status = task_decode_text(m->name, definition, size, &m->task);
    free(definition);
    if (status != STATUS_OK) {
        refuse(m, STATUS_CONFLICT, "revision %d can no longer be read by this version", wanted);
        return;
    }
    struct edit edit = edit_of(m, now);
    edit.rollback_to = wanted;
    put(s, now, m, &edit);
}

void answer_delete_task(struct scheduler *s, wall now, struct message *m)
{
    struct known_task *known;
    struct edit edit = edit_of(m, now);
    if (!find_live(s, m, &known) || !is_expected(m, known))
        return;
    reply_with_task(s, now, m, known);
    remove_task(s, now, known, &edit);
}

void answer_pause(struct scheduler *s, wall now, struct message *m)
{
    struct known_task *known;
    if (!find_live(s, m, &known))
        return;
    // Paused already: the first reason stays, and the answer is the same.
    if (!wall_is_set(known->record.paused_at) &&
        !went_well(s, pause_task(s, now, known, m->author, m->note)))
        return;
    reply_with_task(s, now, m, known);
}

void answer_resume(struct scheduler *s, wall now, struct message *m)
{
    struct known_task *known;
    if (!find_live(s, m, &known))
        return;
    struct task_record *record = &known->record;
    if (wall_is_set(record->paused_at)) {
        free(record->paused_by);
        free(record->paused_why);
        record->paused_by = record->paused_why = NULL;
        known->paused = record->paused_at;
        known->resumed = now;
        record->paused_at = WALL_NONE;
        struct edit edit = edit_of(m, now);
        if (!went_well(s, store_mark_task(s->store, record, "resumed", &edit)))
            return;
        event_task(&s->journal, "task.resumed", record->name, record->revision, m->author, m->note);
        note_held_runs(s, record->id, known->task->lane);
    }
    reply_with_task(s, now, m, known);
}
