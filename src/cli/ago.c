#include "cli/ago.h"

#include <inttypes.h>
#include <stdio.h>

static const struct {
    int64_t from_us, unit_us;
    const char *name;
} steps[] = {
    {2 * 365 * DAY, 365 * DAY, "years"},
    {2 * DAY, DAY, "d"},
    {HOUR, HOUR, "h"},
    {MINUTE, MINUTE, "min"},
    {SECOND, SECOND, "s"},
};

void ago_format(wall then, wall now, char text[static AGO_TEXT])
{
    int64_t us = then.us - now.us, size = us < 0 ? -us : us;
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        if (size < steps[i].from_us)
            continue;
        snprintf(text, AGO_TEXT, "%s%" PRId64 " %s%s", us > 0 ? "in " : "", size / steps[i].unit_us,
                 steps[i].name, us > 0 ? "" : " ago");
        return;
    }
    snprintf(text, AGO_TEXT, "now");
}

// Two units, the smaller left out where it is 0.
static void two_units(int64_t us, int64_t large_us, const char *large, int64_t small_us,
                      const char *small, char text[static AGO_TEXT])
{
    int64_t rest = us % large_us / small_us;
    if (rest)
        snprintf(text, AGO_TEXT, "%" PRId64 " %s %" PRId64 " %s", us / large_us, large, rest,
                 small);
    else
        snprintf(text, AGO_TEXT, "%" PRId64 " %s", us / large_us, large);
}

void span_format(int64_t us, char text[static AGO_TEXT])
{
    if (us < 0)
        snprintf(text, AGO_TEXT, "-");
    else if (us < MILLISECOND && us > 0)
        snprintf(text, AGO_TEXT, "%" PRId64 " us", us);
    else if (us < SECOND)
        snprintf(text, AGO_TEXT, "%" PRId64 " ms", us / MILLISECOND);
    else if (us < MINUTE)
        snprintf(text, AGO_TEXT, "%" PRId64 ".%" PRId64 " s", us / SECOND,
                 us % SECOND / (SECOND / 10));
    else if (us < HOUR)
        two_units(us, MINUTE, "min", SECOND, "s", text);
    else if (us < DAY)
        two_units(us, HOUR, "h", MINUTE, "min", text);
    else
        two_units(us, DAY, "d", HOUR, "h", text);
}
