#include "core/catch_up.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "core/upcoming.h"

// Walks [from, until) and keeps the latest `max` in a ring. Returns how many there are in all; the
// earliest one kept is in *ret where there is any.
static int64_t walk(const struct task *task, wall from, wall until, wall *ring, int max, wall *ret)
{
    struct upcoming upcoming;
    struct upcoming_item item;
    int64_t count = 0;
    upcoming_begin(&upcoming, task, wall_plus(from, -1));
    while (upcoming_next(&upcoming, &item) && item.nominal.us < until.us)
        if (item.dst != DST_SKIPPED)
            ring[count++ % max] = item.nominal;
    if (count)
        *ret = ring[count < max ? 0 : count % max];
    return count;
}

// No earlier one may run, however few there are.
static wall least(const struct catch_up *catch_up, wall first, wall until)
{
    wall edge = catch_up->window_us ? wall_plus(until, -catch_up->window_us) : first;
    return edge.us > first.us ? edge : first;
}

wall catch_up_from(const struct task *task, wall first, wall until)
{
    const struct catch_up *catch_up = &task->catch_up;
    if (catch_up->policy == CATCH_UP_SKIP)
        return until;
    int max = catch_up->policy == CATCH_UP_LATEST ? 1 : catch_up->max;
    wall *ring = memory_array((size_t)max, sizeof *ring);
    wall begin = least(catch_up, first, until), found = until, from;
    int64_t span = MINUTE;
    do { // twice as far back each time: what is walked in all is about twice what is found
        from = wall_plus(until, -span);
        if (from.us < begin.us)
            from = begin;
        span *= 2;
    } while (walk(task, from, until, ring, max, &found) < max && from.us > begin.us);
    free(ring);
    return found;
}

void catch_up_reason(const struct catch_up *catch_up, wall nominal, wall until, char *text,
                     size_t size)
{
    static const char outage[] = "the server was not running, or behind, when it was due";
    char window[DURATION_TEXT];
    duration_format(catch_up->window_us, window);
    if (catch_up->policy == CATCH_UP_SKIP)
        snprintf(text, size, "%s; catch_up is skip", outage);
    else if (catch_up->window_us && nominal.us < until.us - catch_up->window_us)
        snprintf(text, size, "%s; it lies outside the catch_up window of %s", outage, window);
    else if (catch_up->policy == CATCH_UP_LATEST)
        snprintf(text, size, "%s; of those missed only the latest runs", outage);
    else
        snprintf(text, size, "%s; of those missed only the latest %d run", outage, catch_up->max);
}
