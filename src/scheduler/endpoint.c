#include "scheduler/endpoint.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "core/url.h"
#include "scheduler/state.h"

#define ENDPOINTS_MAX 10000 // in trouble at once; what is beyond is not watched
#define LABELS_MAX 100      // of /metrics

struct endpoint {
    uint64_t lane;
    char *name;   // scheme://host:port
    int failures; // in a row
    enum { CLOSED, OPEN, HALF_OPEN } state;
    wall until; // open
    int64_t open_for_us;
    run_id probe; // half-open: 0 until a run is due
};

enum sign { SIGN_NONE, SIGN_ALIVE, SIGN_DOWN };

static enum sign sign_of(const struct attempt *attempt)
{
    static const enum sign signs[ATTEMPT_OUTCOME_COUNT] = {
        [ATTEMPT_SUCCEEDED] = SIGN_ALIVE, [ATTEMPT_FAILED] = SIGN_ALIVE,
        [ATTEMPT_TIMED_OUT] = SIGN_DOWN,  [ATTEMPT_UNREACHABLE] = SIGN_DOWN,
        [ATTEMPT_BROKEN] = SIGN_DOWN,     [ATTEMPT_REFUSED] = SIGN_NONE,
        [ATTEMPT_CANCELED] = SIGN_NONE,   [ATTEMPT_LOST] = SIGN_NONE,
    };
    int status = attempt->status;
    if (attempt->outcome != ATTEMPT_FAILED)
        return signs[attempt->outcome];
    if (attempt->explained)
        return SIGN_ALIVE;
    if (status == 429) // RFC 6585, 4: it asks for less, of this sender or of this kind
        return SIGN_NONE;
    // RFC 9110, 15.6: 501 and 505 are about the request.
    return status >= 500 && status != 501 && status != 505 ? SIGN_DOWN : SIGN_ALIVE;
}

static void endpoint_free(struct endpoint *endpoint)
{
    free(endpoint->name);
    free(endpoint);
}

void endpoints_init(struct endpoints *endpoints)
{
    *endpoints = (struct endpoints){.next = WALL_NEVER};
}

void endpoints_done(struct endpoints *endpoints)
{
    uint64_t key;
    void *value;
    for (size_t at = 0; map_each(&endpoints->by_lane, &at, &key, &value);)
        endpoint_free(value);
    map_done(&endpoints->by_lane);
}

static struct endpoint *watch(struct endpoints *endpoints, const struct flight *flight)
{
    char origin[ORIGIN_TEXT], why[160];
    if (endpoints->by_lane.count >= ENDPOINTS_MAX ||
        url_origin(flight->task->target.http.url, origin, why, sizeof why) != STATUS_OK)
        return NULL;
    struct endpoint *endpoint = memory_new(sizeof *endpoint);
    endpoint->lane = flight->lane;
    endpoint->name = memory_text(origin);
    map_put(&endpoints->by_lane, flight->lane, endpoint);
    return endpoint;
}

static void find_next(struct endpoints *endpoints)
{
    uint64_t key;
    void *value;
    endpoints->next = WALL_NEVER;
    for (size_t at = 0; map_each(&endpoints->by_lane, &at, &key, &value);) {
        const struct endpoint *endpoint = value;
        if (endpoint->state == OPEN && endpoint->until.us < endpoints->next.us)
            endpoints->next = endpoint->until;
    }
}

static void open_for(struct scheduler *s, wall now, struct endpoint *endpoint, int64_t us)
{
    endpoint->open_for_us = us < ENDPOINT_OPEN_MOST ? us : ENDPOINT_OPEN_MOST;
    endpoint->until = wall_plus(now, endpoint->open_for_us);
    endpoint->state = OPEN;
    endpoint->probe = (run_id){0};
    lane_allow(&s->lanes, endpoint->lane, 0);
    find_next(&s->endpoints);
}

static void note_down(struct scheduler *s, wall now, struct endpoint *endpoint,
                      const struct attempt *attempt)
{
    endpoint->failures++;
    if (endpoint->state == HALF_OPEN && endpoint->probe.value == attempt->run.value) {
        open_for(s, now, endpoint, 2 * endpoint->open_for_us);
    } else if (endpoint->state == CLOSED && endpoint->failures >= s->options.breaker_failures) {
        s->endpoints.open++;
        open_for(s, now, endpoint, s->options.breaker_open_us);
        event_endpoint(&s->journal, "endpoint.opened", endpoint->name, endpoint->failures,
                       endpoint->until,
                       attempt->error ? attempt->error : attempt_outcome_text(attempt->outcome));
    }
}

static void note_alive(struct scheduler *s, struct endpoint *endpoint)
{
    if (endpoint->state != CLOSED) {
        s->endpoints.open--;
        lane_allow(&s->lanes, endpoint->lane, s->lanes.limit);
        event_endpoint(&s->journal, "endpoint.closed", endpoint->name, endpoint->failures,
                       WALL_NONE, NULL);
    }
    map_remove(&s->endpoints.by_lane, endpoint->lane);
    endpoint_free(endpoint);
    find_next(&s->endpoints);
}

// Its probe told nothing: the next run is one.
static void note_nothing(struct scheduler *s, struct endpoint *endpoint,
                         const struct attempt *attempt)
{
    if (endpoint->state != HALF_OPEN || endpoint->probe.value != attempt->run.value)
        return;
    endpoint->probe = (run_id){0};
    lane_allow(&s->lanes, endpoint->lane, INT32_MAX);
}

void endpoint_saw(struct scheduler *s, wall now, const struct flight *flight,
                  const struct attempt *attempt)
{
    if (s->options.breaker_failures == 0 || flight->task->target.kind != TARGET_HTTP)
        return;
    struct endpoint *endpoint = map_get(&s->endpoints.by_lane, flight->lane);
    enum sign sign = sign_of(attempt);
    if (!endpoint && sign == SIGN_DOWN)
        endpoint = watch(&s->endpoints, flight);
    if (!endpoint)
        return;
    if (sign == SIGN_DOWN)
        note_down(s, now, endpoint, attempt);
    else if (sign == SIGN_ALIVE)
        note_alive(s, endpoint);
    else
        note_nothing(s, endpoint, attempt);
}

void endpoint_started(struct scheduler *s, uint64_t lane, run_id run)
{
    if (!s->endpoints.open)
        return;
    struct endpoint *endpoint = map_get(&s->endpoints.by_lane, lane);
    if (!endpoint || endpoint->state != HALF_OPEN || endpoint->probe.value)
        return;
    endpoint->probe = run;
    lane_allow(&s->lanes, lane, 0); // until it is known what came of it
}

void endpoints_probe(struct scheduler *s, wall now)
{
    uint64_t key;
    void *value;
    if (s->endpoints.next.us > now.us)
        return;
    for (size_t at = 0; map_each(&s->endpoints.by_lane, &at, &key, &value);) {
        struct endpoint *endpoint = value;
        if (endpoint->state != OPEN || endpoint->until.us > now.us)
            continue;
        endpoint->state = HALF_OPEN;
        lane_allow(&s->lanes, endpoint->lane, INT32_MAX); // the first to start is the probe
    }
    find_next(&s->endpoints);
}

void endpoints_shift(struct endpoints *endpoints, int64_t step_us)
{
    uint64_t key;
    void *value;
    for (size_t at = 0; map_each(&endpoints->by_lane, &at, &key, &value);)
        ((struct endpoint *)value)->until.us += step_us;
    find_next(endpoints);
}

void endpoints_pulse(const struct endpoints *endpoints, struct pulse_values *ret)
{
    uint64_t key;
    void *value;
    ret->down_count = 0;
    if (!endpoints->open)
        return;
    for (size_t at = 0;
         ret->down_count < PULSE_DOWN && map_each(&endpoints->by_lane, &at, &key, &value);) {
        const struct endpoint *endpoint = value;
        if (endpoint->state == CLOSED)
            continue;
        struct pulse_down *down = &ret->down[ret->down_count++];
        down->lane = endpoint->lane;
        down->until = endpoint->state == OPEN ? endpoint->until : WALL_NONE;
        snprintf(down->endpoint, sizeof down->endpoint, "%s", endpoint->name);
    }
}

void endpoints_write(const struct endpoints *endpoints, struct buffer *to)
{
    uint64_t key;
    void *value;
    int labels = 0;
    buffer_format(to,
                  "# HELP punctual_endpoints_open Endpoints that are taken to be down: their runs "
                  "wait.\n# TYPE punctual_endpoints_open gauge\npunctual_endpoints_open %zu\n",
                  endpoints->open);
    buffer_format(to,
                  "# HELP punctual_endpoint_open The first %d of them.\n"
                  "# TYPE punctual_endpoint_open gauge\n",
                  LABELS_MAX);
    for (size_t at = 0; labels < LABELS_MAX && map_each(&endpoints->by_lane, &at, &key, &value);) {
        const struct endpoint *endpoint = value;
        if (endpoint->state == CLOSED)
            continue;
        labels++; // a checked origin needs no escape
        buffer_format(to, "punctual_endpoint_open{endpoint=\"%s\"} 1\n", endpoint->name);
    }
}
