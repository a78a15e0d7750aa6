// Whether an endpoint is taken to be down, as docs/operate/limits.md tells it.
#include <string.h>

#include "sim/world.h"

#define OPEN_MOST (5 * MINUTE)

static struct breaker *breaker_of(struct world *w, int endpoint)
{
    return &w->policies.breakers[endpoint];
}

// Nothing goes to an endpoint that is down but one probe, when its time has come.
void breaker_ordered(struct world *w, const struct owed *run, int endpoint)
{
    struct breaker *b = breaker_of(w, endpoint);
    if (b->state == BREAKER_CLOSED)
        return;
    if (b->state == BREAKER_OPEN && w->now_us < b->until_us - EPSILON_US)
        broken(w, "P17", "run %s goes to endpoint %d, which is down for %lld ms more",
               id_text(run->id), endpoint + 1,
               (long long)((b->until_us - w->now_us) / MILLISECOND));
    if (b->state == BREAKER_HALF_OPEN && b->probe.value)
        broken(w, "P17", "run %s goes to endpoint %d beside its probe %s", id_text(run->id),
               endpoint + 1, id_text(b->probe));
    b->state = BREAKER_HALF_OPEN;
    b->probe = run->id;
    trace(w, "it is the probe of endpoint %d", endpoint + 1);
}

// 1: the endpoint lives, -1: it is in trouble, 0: that tells nothing.
static int sign_of(const struct attempt *attempt)
{
    switch (attempt->outcome) {
    case ATTEMPT_SUCCEEDED:
        return 1;
    case ATTEMPT_FAILED:
        if (attempt->status == 429)
            return 0;
        return attempt->status >= 500 && attempt->status != 501 && attempt->status != 505 ? -1 : 1;
    case ATTEMPT_TIMED_OUT:
    case ATTEMPT_UNREACHABLE:
    case ATTEMPT_BROKEN:
        return -1;
    default:
        return 0;
    }
}

static void take_down(struct world *w, struct breaker *b, int64_t for_us)
{
    b->state = BREAKER_OPEN;
    b->open_for_us = for_us < OPEN_MOST ? for_us : OPEN_MOST;
    b->until_us = w->now_us + b->open_for_us;
    b->probe = (run_id){0};
    trace(w, "endpoint %d is down", (int)(b - w->policies.breakers) + 1);
}

void breaker_reported(struct world *w, const struct attempt *attempt, int endpoint)
{
    struct breaker *b = breaker_of(w, endpoint);
    int sign = sign_of(attempt);
    bool probe = b->state == BREAKER_HALF_OPEN && b->probe.value == attempt->run.value;
    if (!w->options.breaker_failures)
        return;
    if (sign > 0) {
        *b = (struct breaker){0};
    } else if (sign == 0 && probe) {
        b->probe = (run_id){0};
    } else if (sign < 0) {
        b->failures++;
        if (probe)
            take_down(w, b, 2 * b->open_for_us);
        else if (b->state == BREAKER_CLOSED && b->failures >= w->options.breaker_failures)
            take_down(w, b, w->options.breaker_open_us);
    }
}

void breakers_mark(struct world *w)
{
    for (int i = 0; i < ENDPOINTS; i++) {
        const struct breaker *b = breaker_of(w, i);
        int64_t held = INT64_MIN;
        if (b->state == BREAKER_OPEN)
            held = w->now_us < b->until_us ? w->now_us : b->until_us;
        else if (b->state == BREAKER_HALF_OPEN && b->probe.value)
            held = w->now_us;
        if (held > w->endpoint_disturbed_us[i])
            w->endpoint_disturbed_us[i] = held;
    }
}

void breakers_forget(struct world *w)
{
    memset(w->policies.breakers, 0, sizeof w->policies.breakers);
}
