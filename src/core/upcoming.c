#include "core/upcoming.h"

void upcoming_begin(struct upcoming *u, const struct task *task, wall after)
{
    *u = (struct upcoming){.task = task};
    for (size_t i = 0; i < task->schedule_count && i < TASK_SCHEDULES_MAX; i++)
        u->left[i] = schedule_next(&task->schedules[i], after, &u->heads[i]);
}

bool upcoming_next(struct upcoming *u, struct upcoming_item *ret)
{
    int first = -1;
    for (int i = 0; i < TASK_SCHEDULES_MAX; i++)
        if (u->left[i] && (first < 0 || u->heads[i].nominal.us < u->heads[first].nominal.us))
            first = i;
    if (first < 0)
        return false;
    const struct schedule *schedule = &u->task->schedules[first];
    struct occurrence at = u->heads[first];
    *ret = (struct upcoming_item){
        .nominal = at.nominal,
        .effective = schedule_effective(schedule, u->task->name, at.nominal),
        .schedule = first,
        .dst = at.dst,
    };
    u->left[first] = schedule_next(schedule, at.nominal, &u->heads[first]);
    return true;
}
