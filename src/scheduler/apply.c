// A whole set of definitions in one turn: all of it or, with dry_run, only the plan.
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "core/upcoming.h"
#include "scheduler/state.h"

static const char *const actions[TASK_ACTION_COUNT] = {
    [TASK_UNCHANGED] = "unchanged",
    [TASK_CREATED] = "created",
    [TASK_CHANGED] = "changed",
    [TASK_REMOVED] = "removed",
};

// What had started under the old definition.
static void write_running(struct scheduler *s, struct writer *w, int64_t task)
{
    size_t count;
    run_id *running = running_of(s, task, &count);
    writer_array(w);
    for (size_t i = 0; i < count; i++) {
        char id[RUN_ID_TEXT];
        run_id_format(running[i], id);
        writer_text(w, id);
    }
    writer_end_array(w);
    free(running);
}

// What is allowed, and may not be meant. NULL: nothing.
static const char *note_on(const struct task *task, const struct task_change *change, wall now)
{
    bool edited = change->action == TASK_CREATED || change->action == TASK_CHANGED;
    return edited && upcoming_never(task, now)
               ? "never again: no occurrence of its schedule is left"
               : NULL;
}

static void write_row(struct scheduler *s, struct writer *w, const char *name,
                      const struct task_change *change, const char *note)
{
    writer_object(w);
    writer_key(w, "name");
    writer_text(w, name);
    writer_key(w, "action");
    writer_text(w, actions[change->action]);
    writer_key(w, "revision");
    writer_known(w, change->revision ? change->revision : -1);
    writer_key(w, "changes");
    size_t size;
    char *fields = json_write(change->fields, &size);
    writer_raw(w, fields ? fields : "[]", fields ? size : 2);
    free(fields);
    if (change->action == TASK_CHANGED || change->action == TASK_REMOVED) {
        writer_key(w, "running");
        write_running(s, w, change->task);
    }
    if (note)
        member_text(w, "note", note);
    writer_end_object(w);
}

static void apply_task(struct scheduler *s, wall now, struct message *m, struct task *task,
                       struct writer *w, int counts[TASK_ACTION_COUNT])
{
    struct task_change change;
    struct edit edit = {.at = now, .author = m->author, .note = m->note, .changed = "[]"};
    if (change_task(s, now, task, &edit, m->dry_run, &change) == STATUS_OK)
        write_row(s, w, task->name, &change, note_on(task, &change, now));
    counts[change.action]++;
    json_decref(change.fields);
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(struct task *const *)a)->name, (*(struct task *const *)b)->name);
}

// The tasks of the set sorted by name, to tell which stored ones are not among them. Free with
// free().
static struct task **sorted(const struct task_set *set)
{
    struct task **tasks = memory_array(set->count, sizeof(struct task *));
    for (size_t i = 0; i < set->count; i++)
        tasks[i] = set->tasks[i];
    qsort(tasks, set->count, sizeof(struct task *), by_name);
    return tasks;
}

static bool is_among(struct task *const *tasks, size_t count, const char *name)
{
    struct task wanted = {.name = (char *)name}, *at = &wanted;
    return bsearch(&at, tasks, count, sizeof(struct task *), by_name) != NULL;
}

static void prune(struct scheduler *s, wall now, struct message *m, struct writer *w,
                  int counts[TASK_ACTION_COUNT])
{
    struct task **wanted = sorted(&m->set);
    char *after = memory_text("");
    struct task_record record;
    enum status status;
    while (!s->broken && (status = store_next_task(s->store, after, &record)) == STATUS_OK) {
        free(after);
        after = memory_text(record.name);
        struct known_task *known;
        if (!is_among(wanted, m->set.count, after)) {
            struct task_change change = {
                .action = TASK_REMOVED, .task = record.id, .revision = record.revision};
            struct edit edit = {.at = now, .author = m->author, .note = m->note, .changed = "[]"};
            write_row(s, w, after, &change, NULL);
            counts[TASK_REMOVED]++;
            if (!m->dry_run && went_well(s, known_task(&s->known, after, &known)))
                remove_task(s, now, known, &edit);
        }
        task_record_done(&record);
    }
    if (!s->broken && status != STATUS_END)
        went_well(s, status);
    free(after);
    free(wanted);
}

void answer_apply(struct scheduler *s, wall now, struct message *m)
{
    int counts[TASK_ACTION_COUNT] = {0};
    struct writer w = writer_on(&m->reply.body);
    writer_object(&w);
    writer_key(&w, "dry_run");
    writer_bool(&w, m->dry_run);
    writer_key(&w, "tasks");
    writer_array(&w);
    for (size_t i = 0; i < m->set.count && !s->broken; i++)
        apply_task(s, now, m, m->set.tasks[i], &w, counts);
    if (m->prune && !s->broken)
        prune(s, now, m, &w, counts);
    writer_end_array(&w);
    for (unsigned action = 0; action < TASK_ACTION_COUNT; action++) {
        writer_key(&w, actions[action]);
        writer_int(&w, counts[action]);
    }
    writer_end_object(&w);
}
