#include "core/retry.h"

int64_t retry_full_wait(const struct retry *retry, int number)
{
    int64_t wait = retry->initial_us;
    if (retry->backoff == BACKOFF_LINEAR)
        wait = wait > retry->max_us / number ? retry->max_us : wait * number;
    if (retry->backoff == BACKOFF_EXPONENTIAL)
        for (int i = 1; i < number && wait < retry->max_us; i++)
            wait *= 2; // below max before, and max is at most a day: no overflow
    return wait < retry->max_us ? wait : retry->max_us;
}

int64_t retry_wait(const struct retry *retry, int number, int64_t retry_after_us,
                   struct random *chance)
{
    int64_t full = retry_full_wait(retry, number);
    int64_t half = full / 2;
    int64_t wait = half + random_below(chance, full - half + 1);
    if (retry_after_us > RETRY_AFTER_MAX)
        retry_after_us = RETRY_AFTER_MAX;
    return retry_after_us > wait ? retry_after_us : wait; // RFC 9110, 10.2.3
}
