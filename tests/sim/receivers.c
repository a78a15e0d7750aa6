// The dispatcher and the endpoints behind it. An attempt starts at its instant, never before; what
// comes of it is the endpoint's mood and chance. What endpoints saw is written down: the auditor
// asks them, not the server.
#include <string.h>

#include "base/memory.h"
#include "sim/world.h"

// --- what an attempt comes to ---

struct answer {
    enum attempt_outcome outcome;
    int status;
    bool reaches; // the endpoint saw the request
};

static const struct answer answers[MOOD_COUNT][5] = {
    [MOOD_WELL] = {{ATTEMPT_SUCCEEDED, 200, true},
                   {ATTEMPT_SUCCEEDED, 204, true},
                   {ATTEMPT_SUCCEEDED, 200, true},
                   {ATTEMPT_SUCCEEDED, 200, true},
                   {ATTEMPT_FAILED, 500, true}},
    [MOOD_ERRORS] = {{ATTEMPT_FAILED, 500, true},
                     {ATTEMPT_FAILED, 404, true},
                     {ATTEMPT_BROKEN, -1, true},
                     {ATTEMPT_REFUSED, -1, false},
                     {ATTEMPT_SUCCEEDED, 200, true}},
    [MOOD_SLOW] = {{ATTEMPT_TIMED_OUT, -1, true},
                   {ATTEMPT_TIMED_OUT, -1, true},
                   {ATTEMPT_SUCCEEDED, 200, true},
                   {ATTEMPT_BROKEN, -1, true},
                   {ATTEMPT_SUCCEEDED, 200, true}},
    [MOOD_GONE] = {{ATTEMPT_FAILED, 410, true},
                   {ATTEMPT_SUCCEEDED, 200, true},
                   {ATTEMPT_SUCCEEDED, 200, true},
                   {ATTEMPT_FAILED, 410, true},
                   {ATTEMPT_SUCCEEDED, 200, true}},
    [MOOD_DEAD] = {{ATTEMPT_UNREACHABLE, -1, false},
                   {ATTEMPT_UNREACHABLE, -1, false},
                   {ATTEMPT_UNREACHABLE, -1, false},
                   {ATTEMPT_BROKEN, -1, false},
                   {ATTEMPT_TIMED_OUT, -1, false}},
    [MOOD_BUSY] = {{ATTEMPT_FAILED, 503, true},
                   {ATTEMPT_FAILED, 429, true},
                   {ATTEMPT_SUCCEEDED, 200, true},
                   {ATTEMPT_FAILED, 503, true},
                   {ATTEMPT_SUCCEEDED, 202, true}},
};

static int endpoint_of(const struct order *order)
{
    return order->task->target.http.url[strlen("http://10.0.0.")] - '1';
}

static int64_t duration_of(struct world *w, const struct try *try, bool slow)
{
    int64_t limit = try->order->task->timeout_us;
    if (try->outcome == ATTEMPT_TIMED_OUT)
        return limit;
    int64_t most = slow ? limit : 300 * MILLISECOND;
    return 1 + random_below(&w->network, most < limit ? most : limit);
}

static void saw(struct world *w, const struct try *try)
{
    if (w->effect_count == w->effect_room) {
        w->effect_room = w->effect_room ? w->effect_room * 2 : 256;
        w->effects = memory_resize(w->effects, w->effect_room, sizeof *w->effects);
    }
    w->effects[w->effect_count++] = (struct seen){
        try->order->run, try->order->number, try->order->fence, try->outcome == ATTEMPT_SUCCEEDED};
    w->verdict->figures.effects++;
    struct owed *run = owed_find(w, try->order->run);
    if (run && run->delivered_well)
        broken(w, "P12", "run %s was delivered again after its success was recorded",
               id_text(try->order->run));
    if (run)
        policies_sent(w, run, try->order);
}

// The instant has come.
static void start(struct world *w, struct try *try)
{
    enum mood mood = w->moods[endpoint_of(try->order)];
    const struct answer *answer = &answers[mood][random_below(&w->network, 5)];
    try->started = true;
    try->started_at = wall_of(w);
    try->outcome = answer->outcome;
    try->status = answer->status;
    try->gone = answer->status == 410;
    try->retry_after_us = -1;
    if (mood == MOOD_BUSY && answer->outcome == ATTEMPT_FAILED)
        try->retry_after_us = random_below(&w->network, 2) ? random_below(&w->network, 2 * HOUR)
                                                           : random_below(&w->network, 3 * DAY);
    try->end_us = w->now_us + duration_of(w, try, mood == MOOD_SLOW);
    if (answer->reaches) {
        saw(w, try);
        callbacks_seen(w, try);
    }
    trace(w, "endpoint %d: %s attempt %d, will be %s", endpoint_of(try->order) + 1,
          id_text(try->order->run), try->order->number, attempt_outcome_text(try->outcome));
}

// --- what comes back ---

static void report(struct world *w, const struct try *try)
{
    struct message *m = message_new(MESSAGE_REPORT);
    struct attempt *a = &m->attempt;
    attempt_init(a);
    a->run = try->order->run;
    a->number = try->order->number;
    a->fence = try->order->fence;
    a->outcome =
        try->aborted && try->outcome != ATTEMPT_SUCCEEDED ? ATTEMPT_CANCELED : try->outcome;
    if (try->started) {
        int64_t late = try->started_at.us - try->order->due_at.us;
        a->started_at = try->started_at;
        a->lateness_us = late > 0 ? late : 0;
        a->response_time_us = 1 + random_below(&w->network, SECOND);
        a->status = try->status;
        a->gone = try->gone;
        a->open = try->open;
        a->retry_after_us = try->retry_after_us;
    } else {
        a->outcome = ATTEMPT_CANCELED;
    }
    if (a->outcome != ATTEMPT_SUCCEEDED)
        a->error = memory_text(attempt_outcome_text(a->outcome));
    post(w, m);
}

static void end(struct world *w, size_t place)
{
    report(w, &w->tries[place]);
    order_free(w->tries[place].order);
    memmove(&w->tries[place], &w->tries[place + 1], (--w->try_count - place) * sizeof *w->tries);
}

// --- what the scheduler wants ---

static void stop_try(struct world *w, run_id run)
{
    for (size_t i = 0; i < w->try_count; i++)
        if (w->tries[i].order->run.value == run.value) {
            w->tries[i].aborted = true;
            int64_t soon = w->now_us + random_below(&w->network, SECOND);
            if (!w->tries[i].started || w->tries[i].end_us > soon)
                w->tries[i].end_us = soon;
        }
}

// Its endpoint has called back already: the run may go on while the request still hangs.
static bool is_given_up(struct world *w, const struct try *try)
{
    const struct owed *run = owed_find(w, try->order->run);
    return run && try->order->fence <= run->early_fence;
}

void dispatcher_take(struct world *w, struct order *order)
{
    if (order->kind == ORDER_ABORT) {
        stop_try(w, order->run);
        order_free(order);
        return;
    }
    for (size_t i = 0; i < w->try_count; i++)
        if (w->tries[i].order->run.value == order->run.value && !is_given_up(w, &w->tries[i]))
            broken(w, "P12", "run %s was ordered while an attempt of it is under way",
                   id_text(order->run));
    if (w->try_count == w->try_room) {
        w->try_room = w->try_room ? w->try_room * 2 : 64;
        w->tries = memory_resize(w->tries, w->try_room, sizeof *w->tries);
    }
    w->tries[w->try_count++] = (struct try){.order = order};
}

// Steady instant at which a try wants something.
static int64_t wanted_at(const struct world *w, const struct try *try)
{
    if (try->started || try->aborted)
        return try->end_us;
    int64_t ahead = try->order->due_at.us - wall_of(w).us;
    // The clock may run slow: rather look once more than start early.
    return w->now_us + (ahead > 0 ? ahead + ahead / 1000 : 0);
}

int64_t dispatcher_next(const struct world *w)
{
    int64_t next = INT64_MAX;
    for (size_t i = 0; i < w->try_count; i++) {
        int64_t at = wanted_at(w, &w->tries[i]);
        next = at < next ? at : next;
    }
    return next;
}

void dispatcher_work(struct world *w)
{
    for (size_t i = 0; i < w->try_count;) {
        struct try *try = &w->tries[i];
        if (wanted_at(w, try) > w->now_us) {
            i++;
        } else if (try->started || try->aborted) {
            end(w, i);
        } else {
            start(w, try);
            i++;
        }
    }
}

// The process is gone: nothing is reported any more. What was sent has been sent.
void dispatcher_crash(struct world *w)
{
    while (w->try_count)
        order_free(w->tries[--w->try_count].order);
}

// Everything ends at once, as on an orderly stop.
void dispatcher_drain(struct world *w)
{
    while (w->try_count) {
        w->tries[0].aborted = w->tries[0].outcome != ATTEMPT_SUCCEEDED;
        end(w, 0);
    }
}
