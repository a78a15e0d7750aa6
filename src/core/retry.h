/*
 * retry - how long to wait before the next attempt
 *
 * Exponential: initial * 2^(n-1), linear: initial * n, fixed: initial; never more than max. The
 * wait is drawn uniformly from the upper half of that ("equal jitter": Brooker, "Exponential
 * Backoff And Jitter", AWS 2015), so that it is never near 0 and runs that failed together do not
 * return together. Retry-After is honoured as the least wait, capped at RETRY_AFTER_MAX.
 */
#pragma once

#include "base/random.h"
#include "core/task.h"

#define RETRY_AFTER_MAX (24 * HOUR)

// The bounds of the wait after attempt `number` (from 1): [half, full].
int64_t retry_full_wait(const struct retry *retry, int number);
// retry_after_us: -1 where the endpoint did not say.
int64_t retry_wait(const struct retry *retry, int number, int64_t retry_after_us,
                   struct random *chance);
