#include "core/run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "core/retry.h"

#define TO(state) (1u << RUN_##state)

static const struct {
    const char *name;
    unsigned may; // states it may enter next; none: final
} rules[RUN_STATE_COUNT] = {
    // `due` is how a scheduled or waiting run reads once its time has come, so those two move as it
    // does.
    [RUN_SCHEDULED] = {"scheduled",
                       TO(DUE) | TO(RUNNING) | TO(CANCELED) | TO(MISSED) | TO(SKIPPED)},
    [RUN_DUE] = {"due", TO(RUNNING) | TO(CANCELED) | TO(MISSED) | TO(SKIPPED)},
    [RUN_RUNNING] = {"running", TO(SUCCEEDED) | TO(WAITING) | TO(FAILED) | TO(CANCELED)},
    [RUN_WAITING] = {"waiting", TO(DUE) | TO(RUNNING) | TO(CANCELED) | TO(MISSED) | TO(SKIPPED)},
    [RUN_SUCCEEDED] = {"succeeded", 0},
    [RUN_FAILED] = {"failed", 0},
    [RUN_CANCELED] = {"canceled", 0},
    [RUN_MISSED] = {"missed", 0},
    [RUN_SKIPPED] = {"skipped", 0},
};

static const char *const triggers[TRIGGER_COUNT] = {
    [TRIGGER_SCHEDULE] = "schedule", [TRIGGER_API] = "api",   [TRIGGER_RETRY] = "retry",
    [TRIGGER_CATCH_UP] = "catch_up", [TRIGGER_TEST] = "test", [TRIGGER_NOTICE] = "notice",
};

const char *run_state_text(enum run_state state)
{
    return rules[state].name;
}

enum status run_state_parse(const char *text, enum run_state *ret)
{
    for (unsigned i = 0; i < RUN_STATE_COUNT; i++)
        if (strcmp(rules[i].name, text) == 0) {
            *ret = (enum run_state)i;
            return STATUS_OK;
        }
    return STATUS_INVALID;
}

bool run_state_may(enum run_state from, enum run_state to)
{
    return rules[from].may >> to & 1;
}

bool run_state_is_final(enum run_state state)
{
    return rules[state].may == 0;
}

enum run_state run_state_at(enum run_state stored, wall due_at, wall now)
{
    bool pending = stored == RUN_SCHEDULED || stored == RUN_WAITING;
    return pending && due_at.us <= now.us ? RUN_DUE : stored;
}

const char *run_trigger_text(enum run_trigger trigger)
{
    return triggers[trigger];
}

enum status run_trigger_parse(const char *text, enum run_trigger *ret)
{
    for (unsigned i = 0; i < TRIGGER_COUNT; i++)
        if (strcmp(triggers[i], text) == 0) {
            *ret = (enum run_trigger)i;
            return STATUS_OK;
        }
    return STATUS_INVALID;
}

void run_done(struct run *run)
{
    free(run->reason);
    free(run->payload);
    free(run->task_name);
    free(run->handled);
    free(run->definition);
    run->reason = run->payload = run->task_name = run->handled = run->definition = NULL;
}

wall run_deadline(const struct task *task, wall due_at)
{
    return task->deadline_us ? wall_plus(due_at, task->deadline_us) : (wall){0};
}

void member_run(struct writer *w, const char *key, run_id run)
{
    char text[RUN_ID_TEXT];
    if (run.value)
        run_id_format(run, text);
    member_text(w, key, run.value ? text : NULL);
}

void attempt_write(struct writer *w, const struct attempt *a)
{
    writer_object(w);
    member_int(w, "number", a->number);
    member_moment(w, "started_at", a->started_at);
    member_ms(w, "lateness_ms", a->lateness_us);
    member_ms(w, "response_time_ms", a->response_time_us);
    member_object(w, "phases");
    member_ms(w, "dns_ms", a->dns_us);
    member_ms(w, "connect_ms", a->connect_us);
    member_ms(w, "tls_ms", a->tls_us);
    member_ms(w, "first_byte_ms", a->first_byte_us);
    writer_end_object(w);
    member_text(w, "outcome", attempt_outcome_text(a->outcome));
    member_known(w, "status", a->status);
    member_text(w, "error", a->error);
    member_text(w, "cache", cache_status_text(a->cache));
    member_known(w, "db_calls", a->db_calls);
    member_ms(w, "db_time_ms", a->db_time_us);
    writer_key(w, "response");
    if (a->response)
        writer_text_sized(w, a->response, a->response_size);
    else
        writer_null(w);
    member_text(w, "node", a->node);
    member_int(w, "fence", a->fence);
    writer_end_object(w);
}

// The last successful attempt's response where that is JSON; null otherwise, and where an endpoint
// has nested it so deep that clients could not read the whole run.
static void write_result(struct writer *w, const struct attempt *attempts, size_t count)
{
    json_t *value = NULL;
    struct json_place place;
    for (size_t i = count; i-- > 0 && !value;)
        if (attempts[i].outcome == ATTEMPT_SUCCEEDED && attempts[i].response)
            json_read(attempts[i].response, attempts[i].response_size, &value, &place);
    size_t size;
    char *text = json_is_deeper(value, JSON_DEPTH_MAX) ? NULL : json_write(value, &size);
    if (text)
        writer_raw(w, text, size);
    else
        writer_null(w);
    free(text);
    json_decref(value);
}

void run_write(struct writer *w, const struct run *run, wall now, const struct attempt *attempts,
               size_t count)
{
    writer_object(w);
    member_run(w, "id", run->id);
    member_text(w, "task", run->task_name);
    member_known(w, "revision", run->revision ? run->revision : -1);
    member_text(w, "state", run_state_text(run_state_at(run->state, run->due_at, now)));
    member_text(w, "reason", run->reason);
    member_text(w, "trigger", run_trigger_text(run->trigger));
    member_moment(w, "created_at", id_time(run->id));
    member_moment(w, "scheduled_for", run->scheduled_for);
    member_moment(w, "due_at", run->due_at);
    member_moment(w, "deadline_at", run->deadline_at.us ? run->deadline_at : WALL_NONE);
    member_moment(w, "started_at", run->started_at);
    member_moment(w, "finished_at", run->finished_at);
    member_int(w, "priority", run->priority);
    member_raw(w, "payload", run->payload, run->payload_size);
    member_run(w, "retry_of", run->retry_of);
    member_raw(w, "handled", run->handled, run->handled ? strlen(run->handled) : 0);
    member_int(w, "attempt_count", run->attempts);
    if (attempts) {
        if (!run->task)
            member_raw(w, "definition", run->definition, run->definition_size);
        writer_key(w, "result");
        write_result(w, attempts, count);
        member_array(w, "attempts");
        for (size_t i = 0; i < count; i++)
            attempt_write(w, &attempts[i]);
        writer_end_array(w);
    }
    writer_end_object(w);
}

struct verdict run_after_attempt(const struct retry *retry, const struct attempt *a, wall now,
                                 struct random *chance)
{
    struct verdict verdict = {.state = RUN_FAILED, .due_at = WALL_NONE};
    const char *error = a->error ? a->error : attempt_outcome_text(a->outcome);
    if (a->outcome == ATTEMPT_SUCCEEDED) {
        verdict.state = RUN_SUCCEEDED;
    } else if (a->gone) {
        // RFC 9110, 15.5.11, and Standard Webhooks 1.0: the endpoint wants no more of this.
        snprintf(verdict.reason, sizeof verdict.reason, "refused for good: %s", error);
    } else if (a->final) {
        snprintf(verdict.reason, sizeof verdict.reason, "given up for good: %s", error);
    } else if (a->outcome == ATTEMPT_REFUSED) {
        snprintf(verdict.reason, sizeof verdict.reason, "cannot be tried: %s", error);
    } else if (a->number >= retry->max_attempts) {
        snprintf(verdict.reason, sizeof verdict.reason, "out of attempts (%d of %d): %s", a->number,
                 retry->max_attempts, error);
    } else {
        verdict.state = RUN_WAITING;
        verdict.due_at = wall_plus(now, retry_wait(retry, a->number, a->retry_after_us, chance));
    }
    utf8_trim(verdict.reason);
    return verdict;
}

// Whether the receiver may have got it. Of a kind not named here it is taken for granted.
static bool may_be_delivered(enum attempt_outcome outcome)
{
    return outcome != ATTEMPT_UNREACHABLE && outcome != ATTEMPT_REFUSED;
}

static bool is_unknown(enum attempt_outcome outcome)
{
    return outcome == ATTEMPT_TIMED_OUT || outcome == ATTEMPT_BROKEN ||
           outcome == ATTEMPT_CANCELED || outcome == ATTEMPT_LOST;
}

void run_at_most_once(const struct task *task, const struct attempt *a, struct verdict *verdict)
{
    bool failing = verdict->state == RUN_WAITING || verdict->state == RUN_FAILED;
    if (task->delivery != DELIVERY_AT_MOST_ONCE || !failing || !may_be_delivered(a->outcome))
        return;
    const char *error = a->error ? a->error : attempt_outcome_text(a->outcome);
    if (is_unknown(a->outcome))
        snprintf(verdict->reason, sizeof verdict->reason,
                 "the outcome is unknown, and at_most_once allows no second delivery: %s", error);
    else if (verdict->state == RUN_WAITING)
        snprintf(verdict->reason, sizeof verdict->reason,
                 "it was delivered, and at_most_once allows no second delivery: %s", error);
    utf8_trim(verdict->reason);
    verdict->state = RUN_FAILED;
    verdict->due_at = WALL_NONE;
}
