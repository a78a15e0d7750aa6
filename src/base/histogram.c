#include "base/histogram.h"

#include <stddef.h>

#include "base/moment.h"

static const int64_t bounds_us[HISTOGRAM_BOUNDS] = {
    100,
    250,
    500,
    1 * MILLISECOND,
    2500,
    5 * MILLISECOND,
    10 * MILLISECOND,
    25 * MILLISECOND,
    50 * MILLISECOND,
    100 * MILLISECOND,
    250 * MILLISECOND,
    500 * MILLISECOND,
    1 * SECOND,
    2500 * MILLISECOND,
    5 * SECOND,
    10 * SECOND,
    30 * SECOND,
    60 * SECOND,
    120 * SECOND,
    300 * SECOND,
};

void histogram_add(struct histogram *h, int64_t us)
{
    if (us < 0)
        us = 0;
    size_t at = 0;
    while (at < HISTOGRAM_BOUNDS && us > bounds_us[at])
        at++;
    h->counts[at]++;
    h->count++;
    h->sum_us += us;
}

void histogram_write(const struct histogram *h, const char *name, const char *help,
                     struct buffer *to)
{
    buffer_format(to, "# HELP %s %s\n# TYPE %s histogram\n", name, help, name);
    uint64_t below = 0;
    for (size_t i = 0; i < HISTOGRAM_BOUNDS; i++) {
        below += h->counts[i];
        buffer_format(to, "%s_bucket{le=\"%g\"} %llu\n", name, (double)bounds_us[i] / 1e6,
                      (unsigned long long)below);
    }
    buffer_format(to, "%s_bucket{le=\"+Inf\"} %llu\n", name, (unsigned long long)h->count);
    buffer_format(to, "%s_sum %.6f\n%s_count %llu\n", name, (double)h->sum_us / 1e6, name,
                  (unsigned long long)h->count);
}
