// What runs of the occurrences that fell into an outage, by the task's catch_up.
#include "sim/world.h"

// How many others come after the n-th and before `end`.
static int later_ones(const struct instants *list, size_t n, wall end)
{
    int count = 0;
    for (size_t i = n + 1; i < list->count && list->items[i].at.us < end.us; i++)
        count += !list->items[i].skipped;
    return count;
}

static int most_of(const struct policy *policy)
{
    return policy->catch_up == CATCH_UP_SKIP     ? 0
           : policy->catch_up == CATCH_UP_LATEST ? 1
                                                 : policy->catch_up_max;
}

static bool lets_run(const struct policy *policy, const struct instants *list, size_t n, wall end)
{
    if (policy->catch_up != CATCH_UP_SKIP && policy->window_us &&
        list->items[n].at.us < end.us - policy->window_us)
        return false;
    return later_ones(list, n, end) < most_of(policy);
}

// Whether a revision was in force when the outage was found, which is when it ended or after, and
// before the record was made. Edits keep the schedules and may change what is caught up with.
static bool in_force(const struct world *w, int task, int revision, wall end_least, wall made)
{
    const wall *since = w->policies.since[task];
    bool last = revision == w->tasks[task].revision;
    return since[revision].us <= made.us + EPSILON_US &&
           (last || since[revision + 1].us >= end_least.us - EPSILON_US);
}

static const struct policy *policy_of(const struct world *w, int task, int revision)
{
    return &w->specs[w->tasks[task].specs[revision]].policy;
}

bool outage_lets_run(const struct world *w, const struct span *span, const struct instants *list,
                     size_t n, wall end_least, wall made)
{
    bool lets = false;
    for (int r = 1; r <= w->tasks[span->task].revision; r++)
        if (in_force(w, span->task, r, end_least, made))
            lets = lets || lets_run(policy_of(w, span->task, r), list, n, end_least);
    return lets;
}

bool outage_lets_miss(const struct world *w, const struct span *span, const struct instants *list,
                      size_t n, wall end_least, wall end_most, wall made)
{
    bool lets = false;
    for (int r = 1; r <= w->tasks[span->task].revision; r++)
        if (in_force(w, span->task, r, end_least, made))
            lets = lets || !lets_run(policy_of(w, span->task, r), list, n, end_most);
    return lets;
}
