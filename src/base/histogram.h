/*
 * histogram - how long things took, for /metrics
 *
 * Fixed bounds in microseconds, chosen once for all families: 100 us to 5 min, roughly three to a
 * decade. One thread writes and reads.
 */
#pragma once

#include <stdint.h>

#include "base/buffer.h"

#define HISTOGRAM_BOUNDS 20

struct histogram {
    uint64_t counts[HISTOGRAM_BOUNDS + 1]; // the last one: beyond every bound
    uint64_t count;
    int64_t sum_us;
};

void histogram_add(struct histogram *h, int64_t us); // below 0 counts as 0
// Prometheus text: `name_bucket{le="..."}`, `_sum`, `_count` in seconds, cumulative.
void histogram_write(const struct histogram *h, const char *name, const char *help,
                     struct buffer *to);
