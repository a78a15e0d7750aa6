#include "core/monitor.h"

#include <stdlib.h>
#include <string.h>

#include "core/target.h"
#include "core/task_definition.h"

#define GRACE_US (5 * MINUTE)
#define MAX_DURATION_US DAY
#define EARLY_US MINUTE
#define SKIPPED_MOST 32 // occurrences in a daylight saving gap that are passed over in a row

static const struct field fields[] = {
    {"grace", decode_duration, offsetof(struct target, monitor.grace_us), SECOND, 30 * DAY},
    {"max_duration", decode_duration, offsetof(struct target, monitor.max_duration_us), SECOND,
     30 * DAY},
};

void monitor_read(const struct place *at, const struct field *field, const json_t *value,
                  void *into)
{
    struct target *target = (struct target *)((char *)into + field->offset);
    target->kind = TARGET_MONITOR;
    target->monitor.grace_us = GRACE_US;
    target->monitor.max_duration_us = MAX_DURATION_US;
    decode_object(at, fields, sizeof fields / sizeof *fields, value, target);
}

static void write_duration(struct writer *w, const char *key, int64_t us, int64_t plain)
{
    char text[DURATION_TEXT];
    if (us == plain)
        return;
    duration_format(us, text);
    member_text(w, key, text);
}

void monitor_write(struct writer *w, const struct target *target)
{
    writer_object(w);
    write_duration(w, "grace", target->monitor.grace_us, GRACE_US);
    write_duration(w, "max_duration", target->monitor.max_duration_us, MAX_DURATION_US);
    writer_end_object(w);
}

void monitor_check(const struct place *at, const json_t *value, struct task *task)
{
    static const char *const others[] = {"payload",       "timeout",  "retry",       "expect",
                                         "overlap",       "catch_up", "deadline",    "delivery",
                                         "completion",    "priority", "max_running", "rate_limit",
                                         "signing_secret"};
    char pointer[POINTER_MAX];
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (json_object_get(value, others[i]))
            faults_add(at->faults, place_below(at, others[i], pointer).pointer,
                       "is for tasks that the server starts, and a monitor's job runs elsewhere: "
                       "take it out");
    if (!json_object_get(value, "schedule"))
        faults_add(at->faults, place_below(at, "schedule", pointer).pointer,
                   "is missing: a monitor says when its job runs");
    task->timeout_us = task_plain.timeout_us;
    task->retry = task_plain.retry;
    pairs_free(task->expect.headers, task->expect.header_count);
    json_decref(task->expect.json);
    task->expect = task_plain.expect;
    task->overlap = task_plain.overlap;
    task->catch_up = task_plain.catch_up;
    task->priority = task_plain.priority;
    task->max_running = task_plain.max_running;
    free(task->rate_limit.key);
    task->rate_limit = task_plain.rate_limit;
}

wall monitor_due(const struct task *task, wall effective)
{
    bool monitor = task->target.kind == TARGET_MONITOR;
    return monitor ? wall_plus(effective, task->target.monitor.grace_us) : effective;
}

// The next occurrence that is not to be skipped.
static bool next_wanted(struct upcoming *coming, struct upcoming_item *ret)
{
    for (int i = 0; i < SKIPPED_MOST && upcoming_next(coming, ret); i++)
        if (ret->dst != DST_SKIPPED)
            return true;
    return false;
}

bool monitor_is_early(const struct task *task, wall now, struct upcoming_item *ret)
{
    struct upcoming coming;
    struct upcoming_item first, second;
    upcoming_begin(&coming, task, now);
    if (!next_wanted(&coming, &first))
        return false;
    int64_t early =
        task->target.monitor.grace_us < EARLY_US ? task->target.monitor.grace_us : EARLY_US;
    if (next_wanted(&coming, &second)) {
        int64_t half = (second.nominal.us - first.nominal.us) / 2;
        early = half < early ? half : early;
    }
    if (first.nominal.us - now.us > early)
        return false;
    *ret = first;
    return true;
}
