// /v1/runs: create one, list, read, cancel, retry.

#include <stdlib.h>

#include "api/cursor.h"
#include "api/handlers.h"
#include "api/query.h"
#include "api/waits.h"
#include "api/wish.h"
#include "base/memory.h"

void run_post(struct request *r)
{
    json_t *object;
    if (!request_json(r, &object))
        return;
    struct message *message = message_new(MESSAGE_CREATE_RUNS);
    message->wishes = memory_array(1, sizeof *message->wishes);
    message->wish_count = 1;
    bool forbidden, sound = wish_read(r, object, "", message->wishes, &forbidden);
    json_decref(object);
    if (forbidden)
        request_refuse(r, PROBLEM_FORBIDDEN,
                       "this server does not allow commands: its configuration says so");
    else if (!sound)
        request_refuse(r, PROBLEM_INVALID, "the run has errors");
    else if (request_key(r, message)) {
        message->author = request_author(r);
        request_post(r, message);
        return;
    }
    message_free(message);
}

// --- reading ---

static void read_filter(struct request *r, struct run_filter *filter)
{
    const char *state = query_text(r, "state");
    enum run_state parsed;
    *filter = (struct run_filter){
        .task = query_text(r, "task"),
        .state = -1,
        .from = query_moment(r, "from", WALL_NONE),
        .to = query_moment(r, "to", WALL_NEVER),
        .now = r->now,
    };
    if (state && run_state_parse(state, &parsed) == STATUS_OK)
        filter->state = (int)parsed;
    else if (state)
        faults_add(&r->faults, "?state",
                   "must be scheduled, due, running, waiting, succeeded, failed, canceled, missed "
                   "or skipped");
    query_check_window(r, filter->from, filter->to);
    filter->before = query_cursor_run(r, 'r');
}

static void write_runs(struct request *r, struct run *runs, size_t count, size_t shown)
{
    struct writer w = request_answer(r, 200);
    writer_object(&w);
    member_array(&w, "runs");
    for (size_t i = 0; i < shown; i++)
        run_write(&w, &runs[i], r->now, NULL, 0);
    writer_end_array(&w);
    cursor_write_run(&w, 'r', count > shown ? runs[shown - 1].id : (run_id){0});
    writer_end_object(&w);
}

void runs_list(struct request *r)
{
    struct run_filter filter;
    read_filter(r, &filter);
    size_t limit = (size_t)query_int(r, "limit", 1, 1000, 100), count = 0;
    struct reader *reader;
    if (!request_is_sound(r, "a query parameter makes no sense") || !request_reader(r, &reader))
        return;
    struct run *runs = memory_array(limit + 1, sizeof *runs);
    enum status status = reader_list_runs(reader, &filter, limit + 1, runs, &count);
    if (status == STATUS_OK)
        write_runs(r, runs, count, count < limit ? count : limit);
    else
        request_refuse_named(r, status, "task", filter.task);
    for (size_t i = 0; i < count; i++)
        run_done(&runs[i]);
    free(runs);
}

// What a one-off does is told by nothing but its own definition, which is shown as a task's is.
static enum status read_definition(struct reader *reader, struct run *run)
{
    if (run->task)
        return STATUS_OK;
    enum status status =
        reader_find_definition(reader, run->revision_id, &run->definition, &run->definition_size);
    return status == STATUS_NOT_FOUND ? STATUS_OK : status; // both have just been cleared
}

void run_get(struct request *r)
{
    run_id id;
    struct reader *reader;
    struct run run;
    if (!request_run_id(r, &id) || !request_reader(r, &reader))
        return;
    enum status status = reader_find_run(reader, id, &run);
    if (status != STATUS_OK) {
        request_refuse_status(r, status, "run");
        return;
    }
    struct attempt *attempts = NULL;
    size_t count = 0;
    waits_explain(r, reader, &run);
    status = read_definition(reader, &run);
    if (status == STATUS_OK)
        status = reader_list_attempts(reader, id, &attempts, &count);
    if (status == STATUS_OK) {
        struct attempt none; // a run without attempts shows an empty list, not none at all
        attempt_init(&none);
        struct writer w = request_answer(r, 200);
        run_write(&w, &run, r->now, attempts ? attempts : &none, count);
    } else {
        request_refuse_status(r, status, "run");
    }
    for (size_t i = 0; i < count; i++)
        attempt_done(&attempts[i]);
    free(attempts);
    run_done(&run);
}

// --- changing ---

// {"field": text?} and the run of the path. NULL: refused.
static struct message *run_message(struct request *r, enum message_kind kind, const char *field)
{
    json_t *object;
    run_id id;
    if (!request_run_id(r, &id) || !request_object(r, field, &object))
        return NULL;
    struct message *message = message_new(kind);
    message->run = id;
    message->author = request_author(r);
    message->note = request_note(r);
    request_field(r, object, field, &message->note);
    json_decref(object);
    if (request_is_sound(r, "the body has errors"))
        return message;
    message_free(message);
    return NULL;
}

void run_cancel(struct request *r)
{
    struct message *message = run_message(r, MESSAGE_CANCEL_RUN, "reason");
    if (message)
        request_post(r, message);
}

void run_retry(struct request *r)
{
    struct message *message = run_message(r, MESSAGE_RETRY_RUN, "note");
    if (message && request_key(r, message))
        request_post(r, message);
    else
        message_free(message);
}
