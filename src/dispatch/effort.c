#include "dispatch/effort.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"

#define RESPONSE_MAX_DEFAULT 4096

void efforts_init(struct efforts *efforts, const struct dispatch_options *options)
{
    *efforts = (struct efforts){.options = options};
    efforts->last = &efforts->first;
}

void efforts_done(struct efforts *efforts)
{
    assert(efforts->by_run.count == 0 && !efforts->first);
    map_done(&efforts->by_run);
}

static uint64_t key_of(run_id run)
{
    return (uint64_t)run.value;
}

struct effort *effort_new(struct efforts *efforts, struct order *order)
{
    struct effort *effort = memory_new(sizeof *effort);
    effort->order = order;
    effort->report = message_new(MESSAGE_REPORT);
    struct attempt *attempt = &effort->report->attempt;
    attempt->run = order->run;
    attempt->number = order->number;
    attempt->fence = order->fence;
    attempt->node = memory_text(efforts->options->node);
    if (map_get(&efforts->by_run, key_of(order->run))) {
        effort_end(efforts, effort, ATTEMPT_REFUSED, "an attempt of this run is under way already");
        return NULL;
    }
    map_put(&efforts->by_run, key_of(order->run), effort);
    return effort;
}

struct effort *effort_find(const struct efforts *efforts, run_id run)
{
    return map_get(&efforts->by_run, key_of(run));
}

struct effort **efforts_list(const struct efforts *efforts, size_t *ret_count)
{
    struct effort **list = memory_array(efforts->by_run.count, sizeof(struct effort *));
    size_t at = 0, count = 0;
    uint64_t key;
    void *value;
    while (map_each(&efforts->by_run, &at, &key, &value))
        list[count++] = value;
    *ret_count = count;
    return list;
}

void effort_started(struct effort *effort)
{
    struct attempt *attempt = &effort->report->attempt;
    effort->started = steady_now();
    attempt_started(attempt, wall_now(), effort->order->due_at);
}

const char *effort_payload(const struct effort *effort, size_t *ret_size)
{
    const struct order *order = effort->order;
    const char *payload = order->payload ? order->payload : order->task->payload;
    *ret_size = order->payload ? order->payload_size : payload ? order->task->payload_size : 0;
    return payload;
}

static size_t response_max(const struct efforts *efforts)
{
    size_t most = efforts->options->response_max;
    return most ? most : RESPONSE_MAX_DEFAULT;
}

size_t effort_capture_limit(const struct efforts *efforts, const struct effort *effort)
{
    size_t most = response_max(efforts);
    return effort->order->task->expect.json && most < JSON_MAX ? JSON_MAX : most;
}

void effort_keep_response(const struct efforts *efforts, struct effort *effort,
                          const struct capture *captured)
{
    struct attempt *attempt = &effort->report->attempt;
    size_t most = response_max(efforts), size = captured->kept.size;
    attempt->response_size = size < most ? size : most;
    attempt->response = memory_copy(buffer_string(&captured->kept), attempt->response_size);
}

void effort_end(struct efforts *efforts, struct effort *effort, enum attempt_outcome outcome,
                const char *format, ...)
{
    struct attempt *attempt = &effort->report->attempt;
    attempt->outcome = outcome;
    if (format) {
        char text[512];
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(text, sizeof text, format, arguments);
        va_end(arguments);
        attempt->error = memory_text(text);
    }
    *efforts->last = &effort->report->letter;
    efforts->last = &effort->report->letter.next;
    if (map_get(&efforts->by_run, key_of(effort->order->run)) == effort)
        map_remove(&efforts->by_run, key_of(effort->order->run));
    order_free(effort->order);
    free(effort);
}

void effort_judge(struct efforts *efforts, struct effort *effort, const struct response *response)
{
    const struct task *task = effort->order->task;
    char why[400];
    if (task->completion == COMPLETION_CALLBACK && response->status == 202) {
        effort->report->attempt.open = true; // what is expected is asked of the call back
        effort_end(efforts, effort, ATTEMPT_SUCCEEDED, NULL);
        return;
    }
    if (expect_met(&task->expect, task->target.kind, response, why, sizeof why)) {
        effort_end(efforts, effort, ATTEMPT_SUCCEEDED, NULL);
        return;
    }
    // RFC 9110, 15.5.11: gone, and it will stay so.
    effort->report->attempt.gone = task->target.kind == TARGET_HTTP && response->status == 410;
    effort_end(efforts, effort, ATTEMPT_FAILED, "%s", why);
}

struct letter *efforts_take_reports(struct efforts *efforts)
{
    struct letter *first = efforts->first;
    efforts->first = NULL;
    efforts->last = &efforts->first;
    return first;
}
