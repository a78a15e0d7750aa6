#include <stdlib.h>
#include <string.h>

#include "base/writer.h"
#include "core/notify.h"
#include "core/target.h"
#include "core/task_definition.h"

static void write_member_text(struct writer *w, const char *key, const char *text)
{
    if (text)
        member_text(w, key, text);
}

static void write_duration(struct writer *w, const char *key, int64_t us, int64_t plain)
{
    if (us != plain) {
        char text[DURATION_TEXT];
        duration_format(us, text);
        write_member_text(w, key, text);
    }
}

static void write_json(struct writer *w, const json_t *value)
{
    size_t size;
    char *text = json_write(value, &size);
    writer_raw(w, text, size);
    free(text);
}

static void write_schedules(struct writer *w, const struct task *task)
{
    if (task->schedule_count == 0)
        return;
    writer_key(w, "schedule");
    if (task->schedule_count > 1)
        writer_array(w);
    for (size_t i = 0; i < task->schedule_count; i++) {
        json_t *schedule = schedule_encode(&task->schedules[i]);
        write_json(w, schedule);
        json_decref(schedule);
    }
    if (task->schedule_count > 1)
        writer_end_array(w);
}

static void write_retry(struct writer *w, const struct retry *retry)
{
    static const char *const backoffs[] = {"exponential", "linear", "fixed"};
    const struct retry *plain = &task_plain.retry;
    if (retry->max_attempts != plain->max_attempts)
        member_int(w, "max_attempts", retry->max_attempts);
    if (retry->backoff != plain->backoff)
        write_member_text(w, "backoff", backoffs[retry->backoff]);
    write_duration(w, "initial", retry->initial_us, plain->initial_us);
    write_duration(w, "max", retry->max_us, plain->max_us);
}

static void write_status(struct writer *w, const struct expect *expect)
{
    if (expect->status_least == task_plain.expect.status_least &&
        expect->status_most == task_plain.expect.status_most)
        return;
    writer_key(w, "status");
    if (expect->status_least == expect->status_most) {
        writer_int(w, expect->status_least);
    } else {
        char text[] = "0xx";
        text[0] = (char)('0' + expect->status_least / 100);
        writer_text(w, text);
    }
}

static void write_expect(struct writer *w, const struct expect *expect)
{
    write_status(w, expect);
    if (expect->header_count) {
        writer_key(w, "headers");
        pairs_write(w, expect->headers, expect->header_count);
    }
    if (expect->json) {
        writer_key(w, "json");
        write_json(w, expect->json);
    }
    if (expect->exit_code != task_plain.expect.exit_code)
        member_int(w, "exit_code", expect->exit_code);
    write_duration(w, "max_duration", expect->max_duration_us, 0);
}

static void write_limits(struct writer *w, const struct task *task)
{
    if (task->priority != task_plain.priority)
        member_int(w, "priority", task->priority);
    if (task->max_running)
        member_int(w, "max_running", task->max_running);
    if (!task->rate_limit.limit)
        return;
    member_object(w, "rate_limit");
    member_int(w, "limit", task->rate_limit.limit);
    write_duration(w, "per", task->rate_limit.per_us, 0);
    write_member_text(w, "key", task->rate_limit.key);
    writer_end_object(w);
}

static void write_catch_up(struct writer *w, const struct catch_up *catch_up)
{
    static const char *const policies[] = {"skip", "latest", "all"};
    if (catch_up->policy != task_plain.catch_up.policy)
        write_member_text(w, "policy", policies[catch_up->policy]);
    write_duration(w, "window", catch_up->window_us, 0);
    if (catch_up->max != task_plain.catch_up.max)
        member_int(w, "max", catch_up->max);
}

static void write_runbook(struct writer *w, const struct runbook *runbook)
{
    write_member_text(w, "owner", runbook->owner);
    write_member_text(w, "expected_input", runbook->expected_input);
    write_member_text(w, "expected_result", runbook->expected_result);
    write_member_text(w, "rollback", runbook->rollback);
    write_member_text(w, "noticed_at", runbook->noticed_at);
}

// An object whose members are all left out is left out itself.
#define WRITE_PART(w, key, write, part)                 \
    do {                                                \
        struct buffer inner;                            \
        buffer_init(&inner, TASK_DEFINITION_MAX);       \
        struct writer inner_writer = writer_on(&inner); \
        writer_object(&inner_writer);                   \
        write(&inner_writer, part);                     \
        writer_end_object(&inner_writer);               \
        if (inner.size > 2) {                           \
            writer_key(w, key);                         \
            writer_raw(w, inner.data, inner.size);      \
        }                                               \
        buffer_done(&inner);                            \
    } while (0)

void task_encode(const struct task *task, struct buffer *to)
{
    static const char *const overlaps[] = {"allow", "skip", "queue", "replace"};
    struct writer w = writer_on(to);
    writer_object(&w);
    write_member_text(&w, "summary", task->summary);
    write_schedules(&w, task);
    target_write(&w, &task->target);
    if (task->payload)
        member_raw(&w, "payload", task->payload, task->payload_size);
    write_duration(&w, "timeout", task->timeout_us,
                   task->target.kind == TARGET_QUEUE ? 0 : task_plain.timeout_us);
    if (task->completion == COMPLETION_CALLBACK)
        write_member_text(&w, "completion", "callback");
    WRITE_PART(&w, "retry", write_retry, &task->retry);
    WRITE_PART(&w, "expect", write_expect, &task->expect);
    if (task->overlap != task_plain.overlap)
        write_member_text(&w, "overlap", overlaps[task->overlap]);
    WRITE_PART(&w, "catch_up", write_catch_up, &task->catch_up);
    write_duration(&w, "deadline", task->deadline_us, 0);
    if (task->delivery != task_plain.delivery)
        write_member_text(&w, "delivery", "at_most_once");
    WRITE_PART(&w, "runbook", write_runbook, &task->runbook);
    write_limits(&w, task);
    notify_write(&w, &task->notify);
    write_member_text(&w, "signing_secret", task->signing_secret);
    writer_end_object(&w);
}
