#include "core/task.h"

#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "core/notify.h"
#include "core/target.h"
#include "core/task_definition.h"

struct task *task_hold(struct task *task)
{
    atomic_fetch_add_explicit(&task->references, 1, memory_order_relaxed);
    return task;
}

void task_drop(struct task *task)
{
    if (!task || atomic_fetch_sub_explicit(&task->references, 1, memory_order_acq_rel) > 1)
        return;
    task_clear(task);
    free(task);
}

void task_clear(struct task *task)
{
    free(task->name);
    free(task->definition);
    free(task->summary);
    for (size_t i = 0; i < task->schedule_count; i++)
        schedule_done(&task->schedules[i]);
    free(task->schedules);
    target_done(&task->target);
    free(task->payload);
    pairs_free(task->expect.headers, task->expect.header_count);
    json_decref(task->expect.json);
    free(task->runbook.owner);
    free(task->runbook.expected_input);
    free(task->runbook.expected_result);
    free(task->runbook.rollback);
    free(task->runbook.noticed_at);
    free(task->rate_limit.key);
    notify_done(&task->notify);
    free(task->signing_secret);
}

uint64_t task_rate_key(const struct task *task)
{
    const char *key = task->rate_limit.key ? task->rate_limit.key : task->name;
    return key ? hash_bytes(key, strlen(key)) : 0;
}

static bool name_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

enum status task_check_name(const char *name, const char *pointer, struct faults *faults)
{
    size_t length = strlen(name);
    bool ok = length >= 1 && length <= TASK_NAME_MAX && name_letter(name[0]);
    for (const char *p = name; *p && ok; p++)
        ok = name_letter(*p) || strchr("._-", *p);
    if (ok)
        return STATUS_OK;
    faults_add(
        faults, pointer,
        "\"%.60s\" is no task name: write 1 to %d of a-z, 0-9, '.', '_' and '-', a letter or "
        "digit first",
        name, TASK_NAME_MAX);
    return STATUS_INVALID;
}

bool task_same_schedules(const struct task *a, const struct task *b)
{
    if (a->schedule_count != b->schedule_count)
        return false;
    bool same = true;
    for (size_t i = 0; i < a->schedule_count && same; i++) {
        json_t *one = schedule_encode(&a->schedules[i]), *other = schedule_encode(&b->schedules[i]);
        same = json_equal(one, other);
        json_decref(one);
        json_decref(other);
    }
    return same;
}
