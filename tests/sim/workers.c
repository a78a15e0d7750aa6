// Workers: they wait for runs, and say what becomes of them; some are late, some forget, some are
// wrong.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "sim/world.h"

#define ROWS_MOST 20 // of one message

static char *const queue_names[QUEUES] = {"q0", "q1"};

static bool odds(struct random *chance, int in_hundred)
{
    return random_below(chance, 100) < in_hundred;
}

// --- a life, and its definitions ---

static void set_rate(struct world *w, int queue)
{
    static const struct rule rules[] = {{1, 10 * SECOND}, {2, MINUTE}, {1, 5 * MINUTE},
                                        {5, 10 * MINUTE}, {20, HOUR},  {2, 2 * HOUR}};
    struct workers *workers = &w->workers;
    struct rule rule = rules[random_below(&workers->writing, sizeof rules / sizeof *rules)];
    workers->rules[queue] = rule;
    workers->limits[queue].rate = (struct rate_rule){rule.limit, rule.per_us};
}

// Chance of its own, so that lives without are what they were.
static void choose_rates(struct world *w)
{
    struct workers *workers = &w->workers;
    random_seed(&workers->writing, w->settings.seed * 41 + 13);
    bool some = odds(&workers->writing, 45);
    for (int i = 0; i < QUEUES; i++)
        if (odds(&workers->writing, 65) && some)
            set_rate(w, i);
}

void workers_configured(struct world *w)
{
    for (int i = 0; i < QUEUES && w->start_count; i++) {
        struct rule from = w->workers.rules[i];
        if (!from.limit || !odds(&w->workers.writing, 60))
            continue;
        set_rate(w, i);
        rate_configured(w, &w->workers.rates[i], from, w->workers.rules[i]);
    }
}

void workers_choose(struct world *w)
{
    static const int most[] = {0, 0, 1, 3};
    struct workers *workers = &w->workers;
    random_seed(&workers->chance, w->settings.seed * 31 + 7);
    workers->on = odds(&workers->chance, 40);
    workers->boot = 1;
    for (int i = 0; i < QUEUES; i++)
        workers->limits[i] =
            (struct queue_limit){queue_names[i], most[random_below(&workers->chance, 4)]};
    if (!workers->on)
        return;
    w->options.queues = workers->limits;
    w->options.queue_count = QUEUES;
    choose_rates(w);
}

void workers_draw(struct world *w, struct spec *spec)
{
    struct random *chance = &w->workers.chance;
    spec->callback = false;
    if (!w->workers.on)
        return;
    if (!odds(chance, 45)) {
        spec->callback = odds(chance, 30);
        return;
    }
    spec->endpoint = ENDPOINTS + (int)random_below(chance, QUEUES);
    if (odds(chance, 50))
        spec->timeout_us = 0;
}

// Where a line has room for few, what catches up and finds it full looks again ten times a second.
// That takes no time where endpoints empty it, and days where workers do.
void workers_spare(const struct world *w, struct spec *spec)
{
    if (spec->endpoint < ENDPOINTS || w->options.due_limit > 10)
        return;
    spec->policy.catch_up = CATCH_UP_SKIP;
    spec->policy.window_us = 0;
}

int64_t steady_of_server(const struct world *w)
{
    return w->now_us - w->workers.booted_us;
}

void workers_done(struct world *w)
{
    free(w->workers.polls);
    free(w->workers.leased);
    free(w->workers.deeds);
    for (int i = 0; i < QUEUES; i++)
        free(w->workers.rates[i].starts);
}

// --- what a worker is going to say ---

void workers_intend(struct world *w, struct deed deed)
{
    struct workers *workers = &w->workers;
    if (workers->deed_count == workers->deed_room) {
        workers->deed_room = workers->deed_room ? workers->deed_room * 2 : 64;
        workers->deeds = memory_resize(workers->deeds, workers->deed_room, sizeof *workers->deeds);
    }
    workers->deeds[workers->deed_count++] = deed;
}

static struct deed word_about(struct world *w, const struct owed *run, enum lease_word word,
                              int64_t in_us)
{
    struct random *chance = &w->workers.chance;
    struct deed deed = {.at_us = w->now_us + in_us,
                        .run = run->id,
                        .fence = run->fence,
                        .word = word,
                        .extend_us = -1,
                        .retry_after_us = -1};
    if (word == WORD_HEARTBEAT && odds(chance, 40))
        deed.extend_us = SECOND + random_below(chance, 2 * run->lease.length_us);
    if (word == WORD_FAIL && odds(chance, 30))
        deed.retry_after_us = random_below(chance, HOUR);
    deed.final = word == WORD_FAIL && odds(chance, 15);
    return deed;
}

// Some come too late for it, and some say it twice.
static void end_with(struct world *w, const struct owed *run, enum lease_word word, int64_t in_us)
{
    struct random *chance = &w->workers.chance;
    struct deed deed = word_about(w, run, word, in_us);
    workers_intend(w, deed);
    if (!odds(chance, 20))
        return;
    deed.at_us += random_below(chance, odds(chance, 50) ? 20 * MILLISECOND : 2 * MINUTE);
    if (odds(chance, 30))
        deed.word = (enum lease_word)random_below(chance, LEASE_WORD_COUNT);
    workers_intend(w, deed);
}

void workers_got(struct world *w, const struct owed *run)
{
    static const enum lease_word words[] = {WORD_COMPLETE, WORD_COMPLETE, WORD_COMPLETE,
                                            WORD_FAIL,     WORD_FAIL,     WORD_RELEASE};
    struct random *chance = &w->workers.chance;
    int64_t length_us = run->lease.length_us, at_us = 0;
    enum lease_word word = words[random_below(chance, 6)];
    if (odds(chance, 12))
        return;             // it vanishes
    if (odds(chance, 10)) { // it comes when its lease may be over
        end_with(w, run, word, length_us / 2 + random_below(chance, 2 * length_us));
        return;
    }
    while (odds(chance, 35)) {
        at_us += random_below(chance, length_us);
        workers_intend(w, word_about(w, run, WORD_HEARTBEAT, at_us));
    }
    end_with(w, run, word, at_us + random_below(chance, length_us));
}

// --- saying it ---

static void say_of(struct lease_row *row, const struct deed *deed)
{
    attempt_init(&row->attempt);
    row->attempt.run = deed->run;
    row->attempt.fence = deed->fence;
    row->attempt.retry_after_us = deed->retry_after_us;
    row->attempt.final = deed->final;
    row->extend_us = deed->extend_us;
    if (deed->word == WORD_FAIL)
        row->attempt.error = memory_text("the worker gives up");
}

static void say(struct world *w, const struct deed *deeds, size_t count, bool single)
{
    struct message *m = message_new(MESSAGE_LEASE_WORD);
    m->word = deeds->word;
    m->single = single && count == 1;
    m->leases = memory_array(count, sizeof *m->leases);
    m->lease_count = count;
    for (size_t i = 0; i < count; i++)
        say_of(&m->leases[i], &deeds[i]);
    post(w, m);
}

// Nobody listens: most try once more.
static void say_later(struct world *w, struct deed deed)
{
    struct random *chance = &w->workers.chance;
    if (odds(chance, 30))
        return;
    deed.at_us = w->now_us + 1 + random_below(chance, 30 * SECOND);
    workers_intend(w, deed);
}

int64_t workers_next(const struct world *w)
{
    int64_t next = INT64_MAX;
    for (size_t i = 0; i < w->workers.deed_count; i++)
        if (w->workers.deeds[i].at_us < next)
            next = w->workers.deeds[i].at_us;
    return next;
}

// One message: the first that is due, and what is of the same kind.
void workers_work(struct world *w)
{
    struct workers *workers = &w->workers;
    struct deed rows[ROWS_MOST];
    size_t count = 0, kept = 0;
    bool batch = odds(&workers->chance, 60);
    for (size_t i = 0; i < workers->deed_count; i++) {
        const struct deed *deed = &workers->deeds[i];
        bool due = deed->at_us <= w->now_us + (count ? 100 * MILLISECOND : 0);
        if (due && (count == 0 || (batch && count < ROWS_MOST && deed->word == rows[0].word)))
            rows[count++] = *deed;
        else
            workers->deeds[kept++] = *deed;
    }
    workers->deed_count = kept;
    if (w->store)
        say(w, rows, count, odds(&workers->chance, 50));
    else
        for (size_t i = 0; i < count; i++)
            say_later(w, rows[i]);
}

// --- what happens ---

static int64_t wait_of(const struct world *w, struct random *chance)
{
    const int64_t most[] = {1, 1, 10 * SECOND, 5 * MINUTE, w->end_us / 50};
    return random_below(chance, most[random_below(chance, 5)]);
}

static int64_t length_of(const struct world *w, struct random *chance)
{
    const int64_t most[] = {30 * SECOND, 10 * MINUTE, w->end_us / 50};
    return SECOND + random_below(chance, most[random_below(chance, 3)]);
}

static void take_work(struct world *w, struct random *chance)
{
    struct message *m = message_new(MESSAGE_LEASE);
    struct poll poll = {.queue = (int)random_below(chance, QUEUES)};
    m->name = memory_text(queue_names[poll.queue]);
    m->lease.max = 1 + (int)random_below(chance, odds(chance, 70) ? 4 : 40);
    m->lease.wait_us = wait_of(w, chance);
    m->lease.length_us = length_of(w, chance);
    m->lease.worker = odds(chance, 70) ? memory_text("dora") : NULL;
    m->sender = memory_copy(&poll, sizeof poll); // freed where the message is
    post(w, m);
}

// Only who has seen the request knows its fence, and that is not now.
static bool is_asked(const struct world *w, const struct owed *run)
{
    return run->flying && !run->leased && w->specs[run->spec].callback;
}

// About any run, with a fence from the past, the future, or now.
static void say_anything(struct world *w, struct random *chance)
{
    size_t back = w->run_count < 30 || odds(chance, 20) ? w->run_count : 30;
    struct deed deed = {.word = (enum lease_word)random_below(chance, LEASE_WORD_COUNT),
                        .run = {54321},
                        .fence = 1,
                        .extend_us = -1,
                        .retry_after_us = -1};
    if (back && !odds(chance, 5)) {
        const struct owed *run =
            &w->runs[w->run_count - 1 - (size_t)random_below(chance, (int64_t)back)];
        if (is_asked(w, run))
            return;
        deed.run = run->id;
        deed.fence = run->fence + (odds(chance, 30) ? 0 : random_below(chance, 5) - 2);
    }
    say(w, &deed, 1, odds(chance, 50));
}

// The same about those that are leased.
static void say_nonsense(struct world *w, struct random *chance)
{
    const struct workers *workers = &w->workers;
    struct deed rows[ROWS_MOST];
    size_t count = 0;
    enum lease_word word = (enum lease_word)random_below(chance, LEASE_WORD_COUNT);
    for (size_t i = 0; i < workers->leased_count && count < ROWS_MOST; i++) {
        const struct owed *run = &w->runs[workers->leased[i]];
        if (odds(chance, 50))
            rows[count++] = (struct deed){.run = run->id,
                                          .fence = run->fence + random_below(chance, 4) - 2,
                                          .word = word,
                                          .extend_us = -1,
                                          .retry_after_us = -1};
    }
    if (count)
        say(w, rows, count, odds(chance, 50));
}

static void cancel_leased(struct world *w, struct random *chance)
{
    if (!w->workers.leased_count)
        return;
    struct message *m = message_new(MESSAGE_CANCEL_RUN);
    m->run = w->runs[w->workers.leased[random_below(chance, (int64_t)w->workers.leased_count)]].id;
    post(w, m);
}

const struct event worker_events[] = {
    {"take_work", 120, take_work},
    {"say_anything", 15, say_anything},
    {"say_nonsense", 10, say_nonsense},
    {"cancel_leased", 5, cancel_leased},
};
const size_t worker_event_count = sizeof worker_events / sizeof *worker_events;
