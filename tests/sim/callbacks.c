// Endpoints that answer 202 and call back: what they say and when, and what the model makes of the
// answer. The lease that follows is like a worker's (leases.c).
#include "base/memory.h"
#include "sim/world.h"

static bool odds(struct random *chance, int in_hundred)
{
    return random_below(chance, 100) < in_hundred;
}

// --- the endpoint ---

static void call_back(struct world *w, const struct order *order, enum lease_word word,
                      int64_t in_us)
{
    struct random *chance = &w->workers.chance;
    int64_t timeout_us = order->task->timeout_us;
    struct deed deed = {.at_us = w->now_us + in_us,
                        .run = order->run,
                        .fence = order->fence,
                        .word = word,
                        .extend_us = -1,
                        .retry_after_us = -1};
    if (word == WORD_HEARTBEAT && odds(chance, 50))
        deed.extend_us = SECOND + random_below(chance, 3 * timeout_us);
    if (word == WORD_FAIL && odds(chance, 30))
        deed.retry_after_us = random_below(chance, HOUR);
    deed.final = word == WORD_FAIL && odds(chance, 15);
    workers_intend(w, deed);
    if (!odds(chance, 20))
        return;
    deed.at_us += random_below(chance, odds(chance, 50) ? 20 * MILLISECOND : 2 * MINUTE);
    workers_intend(w, deed); // it has not heard the answer
}

// It has seen the request, and what it answers is known. Some call back before they have answered,
// some when nobody waits for it any more, and some never.
void callbacks_seen(struct world *w, struct try *try)
{
    static const enum lease_word words[] = {WORD_COMPLETE, WORD_COMPLETE, WORD_COMPLETE,
                                            WORD_COMPLETE, WORD_FAIL,     WORD_FAIL,
                                            WORD_FAIL,     WORD_RELEASE};
    struct random *chance = &w->workers.chance;
    const struct order *order = try->order;
    if (order->task->completion != COMPLETION_CALLBACK)
        return;
    int64_t answer_us = try->end_us - w->now_us, timeout_us = order->task->timeout_us;
    if (try->outcome == ATTEMPT_SUCCEEDED && odds(chance, 80)) {
        try->status = 202;
        try->open = true;
    }
    if (odds(chance, try->open ? 12 : 70))
        return;
    bool early = odds(chance, 30);
    int64_t at_us = early ? random_below(chance, answer_us) : answer_us;
    for (int i = 0; odds(chance, 40) && i < 5; i++) {
        at_us += random_below(chance, timeout_us);
        call_back(w, order, WORD_HEARTBEAT, at_us);
    }
    if (!early)
        at_us += random_below(chance, timeout_us + timeout_us / 4);
    call_back(w, order, words[random_below(chance, 8)], at_us);
}

// --- the model ---

// It is there, whatever will come of the run.
static void answered_202(struct world *w, struct owed *run)
{
    struct attempt answer = {.run = run->id, .outcome = ATTEMPT_SUCCEEDED, .status = 202};
    breaker_reported(w, &answer, w->specs[run->spec].endpoint);
}

// A report: the run stays open. The timeout counts from the request.
void callback_opened(struct world *w, struct owed *run, const struct attempt *attempt)
{
    if (run->state != RUN_RUNNING) { // canceled meanwhile
        struct attempt nothing = {.run = run->id, .outcome = ATTEMPT_CANCELED};
        breaker_reported(w, &nothing, w->specs[run->spec].endpoint);
        return;
    }
    int64_t began_us = w->now_us - attempt->response_time_us;
    int64_t left_us = w->specs[run->spec].timeout_us - attempt->response_time_us;
    struct lease_known lease = {.callback = true,
                                .length_us = left_us > SECOND ? left_us : SECOND,
                                .most_us = began_us + DAY};
    lease.until_us = w->now_us + lease.length_us;
    if (lease.until_us > lease.most_us)
        lease.until_us = lease.most_us;
    answered_202(w, run);
    trace(w, "%s is open for %lld ms", id_text(run->id),
          (long long)(lease.length_us / MILLISECOND));
    lease_begin(w, run, lease);
    w->verdict->figures.callbacks++;
}

// Who says how it ended before the 202 has been seen need not be waited for.
bool callback_comes_early(struct world *w, struct owed *run, int64_t fence, enum lease_word word)
{
    if (!run->flying || run->leased || run->state != RUN_RUNNING || run->fence != fence ||
        !w->specs[run->spec].callback || (word != WORD_COMPLETE && word != WORD_FAIL))
        return false;
    trace(w, "%s is called back about early", id_text(run->id));
    model_landed(w, run);
    answered_202(w, run);
    run->early_fence = fence;
    lease_begin(w, run, (struct lease_known){.callback = true});
    w->verdict->figures.callbacks++;
    return true;
}
