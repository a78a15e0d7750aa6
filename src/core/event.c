#include "core/event.h"

static struct writer begin(struct buffer *journal, const char *type)
{
    struct writer w = writer_on(journal);
    writer_object(&w);
    member_text(&w, "type", type);
    return w;
}

static void end(struct writer *w)
{
    writer_end_object(w);
    buffer_byte(w->to, '\n');
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
    member_text(&w, "task", event->task);
    member_run(&w, "run", event->run);
    if (wall_is_set(event->at))
        member_moment(&w, "at", event->at);
    if (wall_is_set(event->due_at))
        member_moment(&w, "due_at", event->due_at);
    if (event->reason && *event->reason)
        member_text(&w, "reason", event->reason);
    end(&w);
}

void event_batch(struct buffer *journal, run_id first, run_id last, size_t count)
{
    struct writer w = begin(journal, "runs.created");
    member_run(&w, "first", first);
    member_run(&w, "last", last);
    member_int(&w, "count", (int64_t)count);
    end(&w);
}

void event_attempt(struct buffer *journal, const struct task *task, const struct attempt *a)
{
    struct writer w = begin(journal, "attempt.finished");
    member_text(&w, "task", task->name);
    member_run(&w, "run", a->run);
    member_int(&w, "number", a->number);
    member_text(&w, "outcome", attempt_outcome_text(a->outcome));
    member_known(&w, "status", a->status);
    if (task->target.kind == TARGET_COMMAND && a->status >= 0)
        member_int(&w, "exit_code", a->status);
    member_ms(&w, "response_time_ms", a->response_time_us);
    member_ms(&w, "lateness_ms", a->lateness_us);
    member_text(&w, "cache", cache_status_text(a->cache));
    member_known(&w, "db_calls", a->db_calls);
    if (a->error)
        member_text(&w, "error", a->error);
    end(&w);
}

void event_endpoint(struct buffer *journal, const char *type, const char *endpoint, int failures,
                    wall until, const char *error)
{
    struct writer w = begin(journal, type);
    member_text(&w, "endpoint", endpoint);
    member_int(&w, "failures", failures);
    if (wall_is_set(until))
        member_moment(&w, "until", until);
    if (error)
        member_text(&w, "error", error);
    end(&w);
}

void event_dead(struct buffer *journal, const char *type, const char *task, run_id run,
                const char *by, const char *note)
{
    struct writer w = begin(journal, type);
    member_text(&w, "task", task);
    member_run(&w, "run", run);
    member_text(&w, "by", by);
    member_text(&w, "note", note);
    end(&w);
}

void event_task(struct buffer *journal, const char *type, const char *task, int revision,
                const char *by, const char *note)
{
    struct writer w = begin(journal, type);
    member_text(&w, "task", task);
    member_int(&w, "revision", revision);
    member_text(&w, "by", by);
    member_text(&w, "note", note);
    end(&w);
}
