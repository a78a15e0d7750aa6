#include "base/now.h"

#include <time.h>

static int64_t fetch(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t); // cannot fail for these clocks on Linux
    return (int64_t)t.tv_sec * SECOND + t.tv_nsec / 1000;
}

wall wall_now(void)
{
    return (wall){fetch(CLOCK_REALTIME)};
}

steady steady_now(void)
{
    return (steady){fetch(CLOCK_BOOTTIME)};
}
