#include "core/upcoming.h"

void upcoming_begin(struct upcoming *u, const struct task *task, wall after)
{
    *u = (struct upcoming){.task = task};
    for (size_t i = 0; i < task->schedule_count && i < TASK_SCHEDULES_MAX; i++)
        u->left[i] = schedule_next(&task->schedules[i], after, &u->heads[i]);
}

// Where several mean the same instant that is one occurrence: the first in the list that does not
// skip it.
static bool comes_before(const struct occurrence *a, const struct occurrence *b)
{
    if (a->nominal.us != b->nominal.us)
        return a->nominal.us < b->nominal.us;
    return a->dst != DST_SKIPPED && b->dst == DST_SKIPPED;
}

bool upcoming_next(struct upcoming *u, struct upcoming_item *ret)
{
    int first = -1;
    for (int i = 0; i < TASK_SCHEDULES_MAX; i++)
        if (u->left[i] && (first < 0 || comes_before(&u->heads[i], &u->heads[first])))
            first = i;
    if (first < 0)
        return false;
    struct occurrence at = u->heads[first];
    *ret = (struct upcoming_item){
        .nominal = at.nominal,
        .effective = schedule_effective(&u->task->schedules[first], u->task->name, at.nominal),
        .schedule = first,
        .dst = at.dst,
    };
    for (int i = 0; i < TASK_SCHEDULES_MAX; i++)
        if (u->left[i] && u->heads[i].nominal.us == at.nominal.us)
            u->left[i] = schedule_next(&u->task->schedules[i], at.nominal, &u->heads[i]);
    return true;
}

bool upcoming_never(const struct task *task, wall after)
{
    struct occurrence next;
    for (size_t i = 0; i < task->schedule_count; i++)
        if (schedule_next(&task->schedules[i], after, &next))
            return false;
    return task->schedule_count > 0;
}
