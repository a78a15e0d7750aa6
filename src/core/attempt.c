#include "core/attempt.h"

#include <stdlib.h>
#include <string.h>

static const char *const outcomes[ATTEMPT_OUTCOME_COUNT] = {
    [ATTEMPT_SUCCEEDED] = "succeeded", [ATTEMPT_FAILED] = "failed",
    [ATTEMPT_TIMED_OUT] = "timed_out", [ATTEMPT_UNREACHABLE] = "unreachable",
    [ATTEMPT_BROKEN] = "broken",       [ATTEMPT_REFUSED] = "refused",
    [ATTEMPT_CANCELED] = "canceled",   [ATTEMPT_LOST] = "lost",
};

static const char *const caches[CACHE_STATUS_COUNT] = {
    [CACHE_UNKNOWN] = "unknown",
    [CACHE_WARM] = "warm",
    [CACHE_COLD] = "cold",
};

const char *attempt_outcome_text(enum attempt_outcome outcome)
{
    return outcomes[outcome];
}

const char *cache_status_text(enum cache_status status)
{
    return caches[status];
}

void attempt_init(struct attempt *a)
{
    *a = (struct attempt){.started_at = WALL_NONE,
                          .lateness_us = -1,
                          .response_time_us = -1,
                          .dns_us = -1,
                          .connect_us = -1,
                          .tls_us = -1,
                          .first_byte_us = -1,
                          .status = -1,
                          .db_calls = -1,
                          .db_time_us = -1,
                          .retry_after_us = -1};
}

void attempt_started(struct attempt *a, wall at, wall due_at)
{
    bool known = wall_is_set(at) && wall_is_set(due_at);
    a->started_at = at;
    if (known)
        a->lateness_us = at.us > due_at.us ? at.us - due_at.us : 0;
}

void attempt_done(struct attempt *a)
{
    free(a->node);
    free(a->error);
    free(a->response);
    free(a->report_fault);
    a->node = a->error = a->response = a->report_fault = NULL;
    a->response_size = 0;
}

void order_free(struct order *order)
{
    if (!order)
        return;
    task_drop(order->task);
    free(order->payload);
    free(order);
}
