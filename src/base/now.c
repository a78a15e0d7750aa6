#include "base/now.h"

#include <assert.h>
#include <stdatomic.h>
#include <time.h>

static _Atomic int64_t stopped_at_us = INT64_MIN; // WALL_NONE: the system's clock is shown

static int64_t fetch(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t); // cannot fail for these clocks on Linux
    return (int64_t)t.tv_sec * SECOND + t.tv_nsec / 1000;
}

wall wall_now(void)
{
    int64_t us = atomic_load_explicit(&stopped_at_us, memory_order_acquire);
    return (wall){us == WALL_NONE.us ? fetch(CLOCK_REALTIME) : us};
}

steady steady_now(void)
{
    return (steady){fetch(CLOCK_BOOTTIME)};
}

void wall_stop(wall at)
{
    assert(wall_is_set(at));
    atomic_store_explicit(&stopped_at_us, at.us, memory_order_release);
}

bool wall_is_stopped(void)
{
    return atomic_load_explicit(&stopped_at_us, memory_order_acquire) != WALL_NONE.us;
}
