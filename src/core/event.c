#include "core/event.h"

static struct writer begin(struct buffer *journal, const char *type)
{
    struct writer w = writer_on(journal);
    writer_object(&w);
    writer_key(&w, "type");
    writer_text(&w, type);
    return w;
}

static void end(struct writer *w)
{
    writer_end_object(w);
    buffer_byte(w->to, '\n');
}

static void write_run_id(struct writer *w, const char *key, run_id id)
{
    char text[RUN_ID_TEXT];
    run_id_format(id, text);
    writer_key(w, key);
    writer_text(w, text);
}

static const char *const run_types[RUN_STATE_COUNT] = {
    [RUN_SCHEDULED] = "run.created",   [RUN_DUE] = "run.due",
    [RUN_RUNNING] = "run.running",     [RUN_WAITING] = "run.waiting",
    [RUN_SUCCEEDED] = "run.succeeded", [RUN_FAILED] = "run.failed",
    [RUN_CANCELED] = "run.canceled",   [RUN_MISSED] = "run.missed",
    [RUN_SKIPPED] = "run.skipped",
};

void event_run(struct buffer *journal, const struct event_run *event)
{
    struct writer w = begin(journal, run_types[event->state]);
    writer_key(&w, "task");
    writer_text(&w, event->task);
    write_run_id(&w, "run", event->run);
    if (wall_is_set(event->at)) {
        writer_key(&w, "at");
        writer_moment(&w, event->at);
    }
    if (wall_is_set(event->due_at)) {
        writer_key(&w, "due_at");
        writer_moment(&w, event->due_at);
    }
    if (event->reason && *event->reason) {
        writer_key(&w, "reason");
        writer_text(&w, event->reason);
    }
    end(&w);
}

void event_batch(struct buffer *journal, run_id first, run_id last, size_t count)
{
    struct writer w = begin(journal, "runs.created");
    write_run_id(&w, "first", first);
    write_run_id(&w, "last", last);
    writer_key(&w, "count");
    writer_int(&w, (int64_t)count);
    end(&w);
}

void event_attempt(struct buffer *journal, const char *task, const struct attempt *a)
{
    struct writer w = begin(journal, "attempt.finished");
    writer_key(&w, "task");
    writer_text(&w, task);
    write_run_id(&w, "run", a->run);
    writer_key(&w, "number");
    writer_int(&w, a->number);
    writer_key(&w, "outcome");
    writer_text(&w, attempt_outcome_text(a->outcome));
    writer_key(&w, "status");
    writer_known(&w, a->status);
    writer_key(&w, "response_time_ms");
    writer_ms(&w, a->response_time_us);
    writer_key(&w, "lateness_ms");
    writer_ms(&w, a->lateness_us);
    writer_key(&w, "cache");
    writer_text(&w, cache_status_text(a->cache));
    writer_key(&w, "db_calls");
    writer_known(&w, a->db_calls);
    if (a->error) {
        writer_key(&w, "error");
        writer_text(&w, a->error);
    }
    end(&w);
}

void event_endpoint(struct buffer *journal, const char *type, const char *endpoint, int failures,
                    wall until, const char *error)
{
    struct writer w = begin(journal, type);
    writer_key(&w, "endpoint");
    writer_text(&w, endpoint);
    writer_key(&w, "failures");
    writer_int(&w, failures);
    if (wall_is_set(until)) {
        writer_key(&w, "until");
        writer_moment(&w, until);
    }
    if (error) {
        writer_key(&w, "error");
        writer_text(&w, error);
    }
    end(&w);
}

void event_dead(struct buffer *journal, const char *type, const char *task, run_id run,
                const char *by, const char *note)
{
    struct writer w = begin(journal, type);
    writer_key(&w, "task");
    writer_text(&w, task);
    write_run_id(&w, "run", run);
    writer_key(&w, "by");
    writer_text(&w, by);
    writer_key(&w, "note");
    writer_text(&w, note);
    end(&w);
}

void event_task(struct buffer *journal, const char *type, const char *task, int revision,
                const char *by, const char *note)
{
    struct writer w = begin(journal, type);
    writer_key(&w, "task");
    writer_text(&w, task);
    writer_key(&w, "revision");
    writer_int(&w, revision);
    writer_key(&w, "by");
    writer_text(&w, by);
    writer_key(&w, "note");
    writer_text(&w, note);
    end(&w);
}
