// /v1/tasks: define, change, read, list, delete.

#include <stdlib.h>

#include "api/cursor.h"
#include "api/handlers.h"
#include "api/merge.h"
#include "api/query.h"
#include "base/memory.h"
#include "core/task_view.h"

#define FIGURES_OF_ONE 1000 // attempts that the figures of a task are over
#define FIGURES_OF_MANY 100 // ... in a list, which has many tasks

// --- changing ---

static bool command_is_allowed(struct request *r, const struct task *task)
{
    if (task->target.kind != TARGET_COMMAND || r->service->options->allow_commands)
        return true;
    request_refuse(r, PROBLEM_FORBIDDEN,
                   "this server does not allow commands: its configuration says so");
    return false;
}

// Decodes a definition and hands it over as the next revision of the task in the path.
static void put_definition(struct request *r, const char *name, const json_t *definition,
                           int expected)
{
    struct task *task = NULL;
    if (task_decode(name, definition, NULL, "", &r->faults, &task) != STATUS_OK) {
        request_refuse(r, PROBLEM_INVALID, "the definition has errors; nothing was changed");
        return;
    }
    if (!command_is_allowed(r, task)) {
        task_drop(task);
        return;
    }
    struct message *message = message_new(MESSAGE_PUT_TASK);
    message->name = memory_text(name);
    message->task = task;
    message->expected = expected;
    message->author = request_author(r);
    message->note = request_note(r);
    request_post(r, message);
}

void task_put(struct request *r)
{
    const char *name;
    int expected;
    json_t *definition;
    if (!request_task_name(r, &name) || !request_expected(r, &expected) ||
        !request_json(r, &definition))
        return;
    put_definition(r, name, definition, expected);
    json_decref(definition);
}

static bool find_task(struct request *r, struct reader **ret_reader, struct task_record *ret)
{
    if (!request_reader(r, ret_reader))
        return false;
    enum status status = reader_find_task(*ret_reader, request_parameter(r), ret);
    if (status != STATUS_OK)
        request_refuse_status(r, status, "task");
    return status == STATUS_OK;
}

// The patch is laid over the definition as it is now, and what comes out must replace exactly that
// one: a change in between gives 412, never a mixture.
void task_patch(struct request *r)
{
    int expected;
    json_t *patch, *definition;
    struct reader *reader;
    struct task_record record;
    struct json_place place;
    if (!request_expected(r, &expected) || !request_json(r, &patch))
        return;
    if (!find_task(r, &reader, &record)) {
        json_decref(patch);
        return;
    }
    if (expected == REVISION_NONE || (expected != REVISION_ANY && expected != record.revision))
        request_refuse(r, PROBLEM_STALE, "the task is at revision %d", record.revision);
    else if (!json_is_object(patch)) {
        faults_add(&r->faults, "",
                   "must be an object: the fields to change, null to take one away");
        request_refuse(r, PROBLEM_INVALID, "the patch has errors; nothing was changed");
    } else if (json_read(record.definition, record.definition_size, &definition, &place) !=
               STATUS_OK)
        request_refuse(r, PROBLEM_FAILED, "the stored definition cannot be read: %s", place.detail);
    else {
        json_t *merged = merge_patch(definition, patch);
        put_definition(r, record.name, merged, record.revision);
        json_decref(merged);
        json_decref(definition);
    }
    task_record_done(&record);
    json_decref(patch);
}

void task_delete(struct request *r)
{
    int expected;
    if (!request_expected(r, &expected))
        return;
    if (expected == REVISION_NONE) {
        request_refuse(r, PROBLEM_INVALID, "If-None-Match makes no sense for DELETE; use If-Match");
        return;
    }
    struct message *message = message_new(MESSAGE_DELETE_TASK);
    message->name = memory_text(request_parameter(r));
    message->expected = expected;
    message->author = request_author(r);
    message->note = request_note(r);
    request_post(r, message);
}

// --- reading ---

static void write_task(struct writer *w, const struct task_record *record,
                       const struct task_figures *figures, wall now)
{
    struct task *task =
        NULL; // stays NULL for a definition of another version: shown without its next instants
    (void)task_decode_text(record->name, record->definition, record->definition_size, &task);
    struct task_view view = {
        .name = record->name,
        .revision = record->revision,
        .created_at = record->created_at,
        .changed_at = record->changed_at,
        .paused_at = record->paused_at,
        .paused_by = record->paused_by,
        .paused_why = record->paused_why,
        .definition = record->definition,
        .definition_size = record->definition_size,
        .task = task,
        .figures = figures,
    };
    task_write(w, &view, now);
    task_drop(task);
}

// The figures of one task read before it is written: a failure must not leave half an answer.
void task_get(struct request *r)
{
    struct reader *reader;
    struct task_record record;
    struct task_figures figures;
    if (!find_task(r, &reader, &record))
        return;
    enum status status = reader_task_figures(reader, record.id, FIGURES_OF_ONE, &figures);
    if (status == STATUS_OK) {
        struct writer w = request_answer(r, 200);
        write_task(&w, &record, &figures, r->now);
        r->answer.revision = record.revision;
    } else {
        request_refuse_status(r, status, "task");
    }
    task_record_done(&record);
}

static enum status read_figures(struct reader *reader, const struct task_record *records,
                                size_t count, struct task_figures *ret)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; i < count && status == STATUS_OK; i++)
        status = reader_task_figures(reader, records[i].id, FIGURES_OF_MANY, &ret[i]);
    return status;
}

static void write_tasks(struct request *r, const struct task_record *records,
                        const struct task_figures *figures, size_t count, size_t shown)
{
    struct writer w = request_answer(r, 200);
    writer_object(&w);
    member_array(&w, "tasks");
    for (size_t i = 0; i < shown; i++)
        write_task(&w, &records[i], figures ? &figures[i] : NULL, r->now);
    writer_end_array(&w);
    cursor_write(&w, 't', count > shown ? records[shown - 1].name : NULL);
    writer_end_object(&w);
}

void tasks_list(struct request *r)
{
    char after[TASK_NAME_MAX + 1] = "";
    size_t limit = (size_t)query_int(r, "limit", 1, 1000, 100), count = 0;
    bool with_figures = query_bool(r, "figures");
    query_cursor(r, 't', after, sizeof after);
    struct reader *reader;
    if (!request_is_sound(r, "a query parameter makes no sense") || !request_reader(r, &reader))
        return;
    struct task_record *records = memory_array(limit + 1, sizeof *records);
    enum status status = reader_list_tasks(reader, after, limit + 1, records, &count);
    size_t shown = count < limit ? count : limit;
    struct task_figures *figures = with_figures ? memory_array(shown, sizeof *figures) : NULL;
    if (status == STATUS_OK && figures)
        status = read_figures(reader, records, shown, figures);
    if (status == STATUS_OK)
        write_tasks(r, records, figures, count, shown);
    else
        request_refuse_status(r, status, "task");
    for (size_t i = 0; i < count; i++)
        task_record_done(&records[i]);
    free(figures);
    free(records);
}
