// A whole set of definitions in one turn: all of it or, with dry_run, only the plan.
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "scheduler/state.h"

struct plan_counts {
    int created, changed, removed, unchanged;
};

static void write_row(struct writer *w, const char *name, const struct task_change *change)
{
    writer_object(w);
    writer_key(w, "name");
    writer_text(w, name);
    writer_key(w, "action");
    writer_text(w, change->action);
    writer_key(w, "revision");
    if (change->revision)
        writer_int(w, change->revision);
    else
        writer_null(w);
    writer_key(w, "changes");
    size_t size;
    char *fields = json_write(change->fields, &size);
    if (fields)
        writer_raw(w, fields, size);
    else
        writer_raw(w, "[]", 2);
    free(fields);
    writer_end_object(w);
}

static void apply_task(struct scheduler *s, wall now, struct message *m, struct task *task,
                       struct writer *w, struct plan_counts *counts)
{
    struct task_change change;
    struct edit edit = {.at = now, .author = m->author, .note = m->note, .changed = "[]"};
    if (change_task(s, now, task, &edit, m->dry_run, &change) == STATUS_OK)
        write_row(w, task->name, &change);
    int *count = change.action[0] == 'u'   ? &counts->unchanged
                 : change.action[1] == 'r' ? &counts->created
                                           : &counts->changed;
    ++*count;
    json_decref(change.fields);
}

// The tasks of the set by name, to tell which stored ones are not among them.
static void fill_names(struct map *names, const struct task_set *set)
{
    for (size_t i = 0; i < set->count; i++)
        map_put(names, hash_bytes(set->tasks[i]->name, strlen(set->tasks[i]->name)), set->tasks[i]);
}

static void prune(struct scheduler *s, wall now, struct message *m, struct writer *w,
                  struct plan_counts *counts)
{
    struct map names = {0};
    fill_names(&names, &m->set);
    char *after = memory_text("");
    struct task_record record;
    enum status status;
    while (!s->broken && (status = store_next_task(s->store, after, &record)) == STATUS_OK) {
        free(after);
        after = memory_text(record.name);
        struct known_task *known;
        if (!map_get(&names, hash_bytes(after, strlen(after)))) {
            struct task_change change = {.action = "removed", .revision = record.revision};
            struct edit edit = {.at = now, .author = m->author, .note = m->note, .changed = "[]"};
            write_row(w, after, &change);
            counts->removed++;
            if (!m->dry_run && went_well(s, known_task(&s->known, after, &known)))
                remove_task(s, now, known, &edit);
        }
        task_record_done(&record);
    }
    if (!s->broken && status != STATUS_END)
        went_well(s, status);
    free(after);
    map_done(&names);
}

static void write_count(struct writer *w, const char *key, int count)
{
    writer_key(w, key);
    writer_int(w, count);
}

void answer_apply(struct scheduler *s, wall now, struct message *m)
{
    struct plan_counts counts = {0};
    struct writer w = writer_on(&m->reply.body);
    writer_object(&w);
    writer_key(&w, "dry_run");
    writer_bool(&w, m->dry_run);
    writer_key(&w, "tasks");
    writer_array(&w);
    for (size_t i = 0; i < m->set.count && !s->broken; i++)
        apply_task(s, now, m, m->set.tasks[i], &w, &counts);
    if (m->prune && !s->broken)
        prune(s, now, m, &w, &counts);
    writer_end_array(&w);
    write_count(&w, "created", counts.created);
    write_count(&w, "changed", counts.changed);
    write_count(&w, "removed", counts.removed);
    write_count(&w, "unchanged", counts.unchanged);
    writer_end_object(&w);
}
