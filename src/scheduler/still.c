// What a clock that stands still asks for: whether it may go on, and what it waits for otherwise.
#include "core/target.h"
#include "scheduler/state.h"

void scheduler_waits(struct scheduler *s, steady real)
{
    s->waits = real;
}

steady scheduler_next_wait(const struct scheduler *s)
{
    return s->queues.waiting ? s->queues.expires : (steady){INT64_MAX};
}

bool scheduler_is_busy(struct scheduler *s, wall now, bool past_leases)
{
    size_t waited_for = s->flights.count - (past_leases ? s->leases.count : 0);
    return waited_for > 0 || worker_comes_back(s, now);
}

static const char *who_has(const struct flight *flight)
{
    if (flight->lease)
        return flight->lease->kind == LEASE_WORKER ? "worker" : "callback";
    return flight->task->target.kind == TARGET_COMMAND ? "command" : "endpoint";
}

size_t scheduler_under_way(const struct scheduler *s, struct under_way *ret, size_t max)
{
    uint64_t key;
    void *value;
    size_t count = 0;
    for (size_t at = 0; count < max && map_each(&s->flights, &at, &key, &value); count++) {
        const struct flight *flight = value;
        ret[count] = (struct under_way){flight->run, flight->task->name, who_has(flight)};
    }
    return s->flights.count;
}

uint64_t scheduler_ended(const struct scheduler *s)
{
    return count_ended(&s->metrics);
}
