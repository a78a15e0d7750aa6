#include "model.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/map.h"

struct model_text model_text_of(const char *text, size_t size)
{
    return (struct model_text){size ? hash_bytes(text, size) : 0, size};
}

void model_task_name(int task, char name[static 20])
{
    snprintf(name, 20, "task-%d", task);
}

void model_key_name(int key, char name[static 20])
{
    snprintf(name, 20, "key-%d", key);
}

void model_setting_name(int setting, char name[static 20])
{
    snprintf(name, 20, "setting-%d", setting);
}

struct model_run *model_find_run(struct model *model, int64_t id)
{
    for (int i = 0; i < model->run_count; i++)
        if (model->runs[i].id == id)
            return &model->runs[i];
    return NULL;
}

// --- checking ---

struct question {
    const struct model *model;
    struct store *store;
    char *why;
    size_t size;
};

// Where the two differ, says so and answers false.
static bool same(const struct question *q, const char *what, int64_t which, const char *field,
                 int64_t expected, int64_t found)
{
    if (expected != found)
        snprintf(q->why, q->size, "%s %" PRId64 ": %s is %" PRId64 " and should be %" PRId64, what,
                 which, field, found, expected);
    return expected == found;
}

static bool same_text(const struct question *q, const char *what, int64_t which, const char *field,
                      struct model_text expected, const char *text, size_t size)
{
    struct model_text found = model_text_of(text, size);
    return same(q, what, which, field, (int64_t)expected.size, (int64_t)found.size) &&
           same(q, what, which, field, (int64_t)expected.hash, (int64_t)found.hash);
}

static bool check_run(const struct question *q, const struct model_run *m)
{
    struct run run = {0};
    enum status status = store_find_run(q->store, (run_id){m->id}, &run);
    const struct {
        const char *field;
        int64_t expected, found;
    } rows[] = {
        {"the answer", STATUS_OK, status},
        {"task", m->task, run.task},
        {"revision_id", m->revision_id, run.revision_id},
        {"generation", m->generation, run.generation},
        {"state", m->state, run.state},
        {"trigger", m->trigger, run.trigger},
        {"attempts", m->attempts, run.attempts},
        {"fence", m->fence, run.fence},
        {"scheduled_for", m->scheduled_for, run.scheduled_for.us},
        {"due_at", m->due_at, run.due_at.us},
        {"started_at", m->started_at, run.started_at.us},
        {"finished_at", m->finished_at, run.finished_at.us},
        {"handled", m->handled, run.handled != NULL},
    };
    bool well = true;
    for (size_t i = 0; i < sizeof rows / sizeof *rows && well; i++)
        well = same(q, "run", m->id, rows[i].field, rows[i].expected, rows[i].found);
    well = well && same_text(q, "run", m->id, "payload", m->payload, run.payload, run.payload_size);
    if (status == STATUS_OK)
        run_done(&run);
    return well;
}

static bool check_task(const struct question *q, int i)
{
    const struct model_task *m = &q->model->tasks[i];
    struct task_record record = {0};
    char name[20];
    model_task_name(i, name);
    enum status status = store_find_task(q->store, name, &record);
    bool well = same(q, "task", i, "the answer", m->there ? STATUS_OK : STATUS_NOT_FOUND, status);
    if (status != STATUS_OK)
        return well;
    well = well && same(q, "task", i, "id", m->id, record.id) &&
           same(q, "task", i, "revision", m->revision, record.revision) &&
           same(q, "task", i, "generation", m->generation, record.generation) &&
           same(q, "task", i, "deleted", m->deleted, record.deleted) &&
           same(q, "task", i, "paused_at", m->paused_at, record.paused_at.us) &&
           same_text(q, "task", i, "definition", m->definition, record.definition,
                     record.definition_size);
    task_record_done(&record);
    return well;
}

static bool check_cursors(const struct question *q)
{
    struct cursor found[MODEL_TASKS * MODEL_SCHEDULES + 1];
    struct cursor first = {.next_at = {0}};
    size_t count = 0, expected = 0;
    enum status status = store_load_cursors(q->store, &first, WALL_NEVER,
                                            sizeof found / sizeof *found, found, &count);
    if (!same(q, "cursors", 0, "the answer", STATUS_OK, status))
        return false;
    for (int i = 0; i < MODEL_TASKS * MODEL_SCHEDULES; i++)
        expected += q->model->tasks[i / MODEL_SCHEDULES].cursors[i % MODEL_SCHEDULES].there;
    if (!same(q, "cursors", 0, "their number", (int64_t)expected, (int64_t)count))
        return false;
    for (size_t i = 0; i < count; i++) {
        const struct model_task *task = q->model->tasks;
        while (task < q->model->tasks + MODEL_TASKS - 1 && task->id != found[i].task)
            task++;
        const typeof(task->cursors[0]) *m = &task->cursors[found[i].schedule];
        if (!same(q, "cursor", found[i].task, "its being there", true, m->there) ||
            !same(q, "cursor", found[i].task, "generation", m->generation, found[i].generation) ||
            !same(q, "cursor", found[i].task, "next_at", m->next_at, found[i].next_at.us) ||
            !same(q, "cursor", found[i].task, "dst", m->dst, found[i].dst))
            return false;
    }
    return true;
}

static bool check_key(const struct question *q, int i)
{
    const typeof(q->model->keys[0]) *m = &q->model->keys[i];
    uint64_t fingerprint = 0;
    char name[20], *body = NULL;
    size_t size = 0;
    model_key_name(i, name);
    enum status status = store_find_key(q->store, name, (wall){0}, &fingerprint, &body, &size);
    bool well = same(q, "key", i, "the answer", m->there ? STATUS_OK : STATUS_NOT_FOUND, status);
    if (status == STATUS_OK)
        well = well &&
               same(q, "key", i, "fingerprint", (int64_t)m->fingerprint, (int64_t)fingerprint) &&
               same_text(q, "key", i, "body", m->body, body, size);
    free(body);
    return well;
}

static bool check_setting(const struct question *q, int i)
{
    const typeof(q->model->settings[0]) *m = &q->model->settings[i];
    char name[20], value[40] = "";
    model_setting_name(i, name);
    enum status status = store_get_setting(q->store, name, value, sizeof value);
    return same(q, "setting", i, "the answer", m->there ? STATUS_OK : STATUS_NOT_FOUND, status) &&
           (!m->there || same(q, "setting", i, "value", m->value, atoll(value)));
}

// Whether the indexes agree with the rows: what is due and what runs, as the scheduler asks.
static bool check_lists(const struct question *q)
{
    static struct due_row due[MODEL_RUNS + 1];
    static struct run running[MODEL_RUNS + 1];
    size_t due_count = 0, running_count = 0, due_expected = 0, running_expected = 0;
    for (int i = 0; i < q->model->run_count; i++) {
        int state = q->model->runs[i].state;
        due_expected += state == RUN_SCHEDULED || state == RUN_WAITING;
        running_expected += state == RUN_RUNNING;
    }
    enum status status = store_load_due(q->store, WALL_NONE, (run_id){0}, WALL_NEVER,
                                        MODEL_RUNS + 1, due, &due_count);
    if (!same(q, "due runs", 0, "the answer", STATUS_OK, status))
        return false;
    status = store_load_running(q->store, (run_id){0}, MODEL_RUNS + 1, running, &running_count);
    if (!same(q, "running runs", 0, "the answer", STATUS_OK, status))
        return false;
    for (size_t i = 0; i < running_count; i++)
        run_done(&running[i]);
    return same(q, "due runs", 0, "their number", (int64_t)due_expected, (int64_t)due_count) &&
           same(q, "running runs", 0, "their number", (int64_t)running_expected,
                (int64_t)running_count);
}

bool model_check(const struct model *model, struct store *store, char *why, size_t size)
{
    struct question q = {model, store, why, size};
    struct store_start start = {0};
    bool well = same(&q, "start", 0, "the answer", STATUS_OK, store_start(store, &start)) &&
                same(&q, "start", 0, "last run", model->last_run, start.last_run.value) &&
                same(&q, "start", 0, "last turn", model->last_turn, start.last_turn);
    for (int i = 0; i < model->run_count && well; i++)
        well = check_run(&q, &model->runs[i]);
    for (int i = 0; i < MODEL_TASKS && well; i++)
        well = check_task(&q, i);
    for (int i = 0; i < MODEL_KEYS && well; i++)
        well = check_key(&q, i);
    for (int i = 0; i < MODEL_SETTINGS && well; i++)
        well = check_setting(&q, i);
    return well && check_cursors(&q) && check_lists(&q);
}
