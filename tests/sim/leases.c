// Leases as the model follows them: who holds which run, under which fence and until when; what
// every word about one has to be answered; and what is left of them when the server is back.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/memory.h"
#include "sim/world.h"

#define GRACE_US (10 * SECOND) // docs/guides/workers.md: what a restart leaves at least
#define MUCH 400 // runs: a turn looks at no more than a thousand, and some are noted twice

bool goes_to_queue(const struct world *w, int spec)
{
    return spec >= 0 && w->specs[spec].endpoint >= ENDPOINTS && w->specs[spec].endpoint < MONITORS;
}

static int64_t least_of(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t most_of(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int queue_of(const struct world *w, const struct owed *run)
{
    return w->specs[run->spec].endpoint - ENDPOINTS;
}

int64_t queue_opens_us(const struct world *w, int spec)
{
    if (!goes_to_queue(w, spec))
        return INT64_MIN;
    int queue = w->specs[spec].endpoint - ENDPOINTS;
    const struct rule *rule = &w->workers.rules[queue];
    return rule->limit ? rate_opens_us(w, &w->workers.rates[queue], *rule) : INT64_MIN;
}

void queue_start_unseen(struct world *w, int spec)
{
    if (!goes_to_queue(w, spec))
        return;
    int queue = w->specs[spec].endpoint - ENDPOINTS;
    if (w->workers.rules[queue].limit)
        rate_start_unseen(w, &w->workers.rates[queue], w->workers.rules[queue]);
}

static int held_at(const struct world *w, int queue)
{
    int count = 0;
    for (size_t i = 0; i < w->workers.leased_count; i++)
        count += queue_of(w, &w->runs[w->workers.leased[i]]) == queue;
    return count;
}

// --- leases begin and end ---

static wall wall_then(const struct world *w, int64_t us)
{
    return us == INT64_MAX ? WALL_NEVER : wall_plus(wall_of(w), us - w->now_us);
}

static void written(const struct world *w, struct lease_known *lease)
{
    lease->boot = w->workers.boot;
    lease->until = wall_then(w, lease->until_us);
    lease->most = wall_then(w, lease->most_us);
}

void lease_begin(struct world *w, struct owed *run, struct lease_known lease)
{
    struct workers *workers = &w->workers;
    if (workers->leased_count == workers->leased_room) {
        workers->leased_room = workers->leased_room ? workers->leased_room * 2 : 64;
        workers->leased =
            memory_resize(workers->leased, workers->leased_room, sizeof *workers->leased);
    }
    workers->leased[workers->leased_count++] = (size_t)(run - w->runs);
    run->leased = run->flying = true;
    run->lease = lease;
    written(w, &run->lease);
}

void lease_end(struct world *w, struct owed *run)
{
    struct workers *workers = &w->workers;
    size_t kept = 0;
    if (!run->leased)
        return;
    for (size_t i = 0; i < workers->leased_count; i++)
        if (&w->runs[workers->leased[i]] != run)
            workers->leased[kept++] = workers->leased[i];
    workers->leased_count = kept;
    run->leased = run->flying = false;
}

void lease_unseen(struct world *w, struct owed *run)
{
    lease_begin(w, run, (struct lease_known){.unseen = true});
}

// --- a turn ---

// What has run out, or waited to the end, has been looked at in time.
static void check_late(struct world *w, int64_t until_us, const char *what)
{
    int64_t late = w->now_us - until_us;
    int64_t slack = EPSILON_US + (w->now_us - w->workers.turned_us) / 1000; // the clock may drift
    if (late > slack && w->now_us - w->disturbed_us > slack)
        broken(w, "P7", "%s is over for %lld ms, and no turn came", what,
               (long long)(late / MILLISECOND));
}

void leases_turn(struct world *w, struct message **asked, size_t count)
{
    struct workers *workers = &w->workers;
    for (size_t i = 0; i < workers->leased_count; i++)
        check_late(w, w->runs[workers->leased[i]].lease.until_us, "a lease");
    for (size_t i = 0; i < workers->poll_count; i++)
        check_late(w, ((struct poll *)workers->polls[i]->sender)->until_us, "a worker's wait");
    for (size_t i = 0; i < count; i++) {
        if (asked[i]->kind != MESSAGE_LEASE)
            continue;
        if (workers->poll_count == workers->poll_room) {
            workers->poll_room = workers->poll_room ? workers->poll_room * 2 : 16;
            workers->polls =
                memory_resize(workers->polls, workers->poll_room, sizeof *workers->polls);
        }
        struct poll *poll = asked[i]->sender;
        poll->since_us = w->now_us;
        poll->until_us = w->now_us + asked[i]->lease.wait_us;
        workers->polls[workers->poll_count++] = asked[i];
    }
    workers->turned_us = w->now_us;
}

// All that has run out ends in the very turn: it counts as an attempt.
void leases_reap(struct world *w)
{
    struct workers *workers = &w->workers;
    for (size_t i = workers->leased_count; i-- > 0;) {
        struct owed *run = &w->runs[workers->leased[i]];
        const struct lease_known *lease = &run->lease;
        if (lease->until_us > w->now_us)
            continue;
        bool timed_out = lease->callback || lease->until_us == lease->most_us;
        struct attempt attempt = {.run = run->id,
                                  .number = run->attempts,
                                  .outcome = timed_out ? ATTEMPT_TIMED_OUT : ATTEMPT_LOST,
                                  .retry_after_us = -1};
        trace(w, "the lease of %s runs out", id_text(run->id));
        w->verdict->figures.expired++;
        run->lost += !timed_out;
        lease_end(w, run);
        model_over(w, run, &attempt);
    }
}

// As long as nobody waits at a queue, or it is full, lateness is explained.
void leases_mark(struct world *w)
{
    bool waits[QUEUES] = {false};
    for (size_t i = 0; i < w->workers.poll_count; i++)
        waits[((struct poll *)w->workers.polls[i]->sender)->queue] = true;
    for (int i = 0; i < QUEUES; i++) {
        int most = w->workers.limits[i].max_running;
        if (most && held_at(w, i) >= most)
            w->workers.full_us[i] = w->endpoint_disturbed_us[ENDPOINTS + i] = w->now_us;
        if (!waits[i])
            w->endpoint_disturbed_us[ENDPOINTS + i] = w->now_us;
    }
}

// --- words ---

static void prolong(struct world *w, struct owed *run, int64_t extend_us)
{
    struct lease_known *lease = &run->lease;
    int64_t length_us = extend_us >= 0 ? extend_us : lease->length_us;
    int64_t until_us = least_of(w->now_us + length_us, lease->most_us);
    if (until_us <= lease->until_us)
        return; // never shortened
    lease->length_us = length_us;
    lease->until_us = until_us;
    written(w, lease);
}

// As if it had not been handed out. A task that is gone, or is a monitor now, has no use for it.
static void give_back(struct world *w, struct owed *run)
{
    lease_end(w, run);
    if (run->task >= 0 && (!w->tasks[run->task].alive || is_monitor(w, run->task))) {
        run->state = RUN_CANCELED;
        return;
    }
    run->state = RUN_WAITING;
    run->attempts--;
    run->made_us = w->now_us; // it is late already
}

static void count_word(struct world *w, struct owed *run, enum lease_word word,
                       const struct lease_row *row)
{
    struct attempt attempt = row->attempt;
    w->verdict->figures.words++;
    if (word == WORD_HEARTBEAT) {
        prolong(w, run, row->extend_us);
        return;
    }
    if (word == WORD_RELEASE) {
        give_back(w, run);
        return;
    }
    attempt.number = run->attempts;
    attempt.outcome = word == WORD_COMPLETE ? ATTEMPT_SUCCEEDED : ATTEMPT_FAILED;
    lease_end(w, run);
    model_over(w, run, &attempt);
}

// What a row must be answered with; where it counts, the model has followed.
static int judge(struct world *w, enum lease_word word, const struct lease_row *row)
{
    struct owed *run = owed_shown(w, row->attempt.run);
    if (!run)
        return 404;
    if (!callback_comes_early(w, run, row->attempt.fence, word) &&
        (!run->leased || run->fence != row->attempt.fence))
        return 409;
    if (run->lease.callback && word == WORD_RELEASE)
        return 409; // only a worker gives a run back
    count_word(w, run, word, row);
    return 200;
}

static void check_row(struct world *w, const struct lease_row *row, enum lease_word word,
                      int expected, const json_t *said)
{
    const struct owed *run = owed_find(w, row->attempt.run);
    const char *until = json_string_value(json_object_get(said, "lease_until"));
    int status = (int)json_integer_value(json_object_get(said, "status"));
    char moment[MOMENT_TEXT];
    if (status != expected)
        broken(w, "P7", "word %d about %s under fence %lld was answered %d, and %d is right", word,
               id_text(row->attempt.run), (long long)row->attempt.fence, status, expected);
    bool beats = expected == 200 && word == WORD_HEARTBEAT;
    if (beats)
        wall_format(wall_then(w, run->lease.until_us), moment);
    if (beats != (until != NULL) || (beats && strcmp(until, moment) != 0))
        broken(w, "P7", "a heartbeat of %s is answered with %s", id_text(row->attempt.run),
               until ? until : "nothing");
}

static void check_single(struct world *w, const struct message *m, int expected, const json_t *said)
{
    static const struct {
        int code;
        enum status status;
    } rows[] = {{200, STATUS_OK}, {404, STATUS_NOT_FOUND}, {409, STATUS_CONFLICT}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].code == expected && m->reply.status != rows[i].status)
            broken(w, "P7", "word %d about %s under fence %lld was answered \"%s\" (%s), not %d",
                   m->word, id_text(m->leases->attempt.run), (long long)m->leases->attempt.fence,
                   status_text(m->reply.status), m->reply.detail, expected);
    if (expected == 200 && m->word == WORD_HEARTBEAT)
        check_row(w, m->leases, m->word, expected, said);
}

void took_words(struct world *w, struct message *m, bool heard)
{
    const struct buffer *body = &m->reply.body;
    struct json_place place;
    json_t *said = NULL;
    if (heard && body->size && json_read(body->data, body->size, &said, &place) != STATUS_OK)
        broken(w, "P7", "a word is answered with what is no JSON");
    const json_t *list = json_object_get(said, "leases");
    if (heard && !m->single && json_array_size(list) != m->lease_count)
        broken(w, "P7", "%zu words are answered with %zu rows", m->lease_count,
               json_array_size(list));
    for (size_t i = 0; i < m->lease_count; i++) {
        const struct lease_row *row = &m->leases[i];
        int expected = judge(w, m->word, row);
        trace(w, "word %d about %s under fence %lld: %d", m->word, id_text(row->attempt.run),
              (long long)row->attempt.fence, expected);
        if (heard && m->single)
            check_single(w, m, expected, said);
        else if (heard)
            check_row(w, row, m->word, expected, json_array_get(list, i));
    }
    json_decref(said);
}

// --- handing out ---

static void check_lease(struct world *w, const struct owed *run, const json_t *said)
{
    const char *until = json_string_value(json_object_get(said, "lease_until"));
    char moment[MOMENT_TEXT];
    wall_format(wall_then(w, run->lease.until_us), moment);
    if (!until || strcmp(until, moment) != 0)
        broken(w, "P7", "%s is leased until %s, and it is until %s", id_text(run->id), until,
               moment);
}

// It may be handed out, replaced and cleared in one turn.
static wall due_stored(struct world *w, run_id run)
{
    wall gone;
    if (history_going(w, run, &gone))
        return gone;
    sqlite3_stmt *q = ask_about(w, "SELECT due_at FROM runs WHERE id = ?1", run.value);
    wall due = {sqlite3_column_int64(q, 0)};
    question_end(q);
    return due;
}

// One run of an answer, as an order to the worker.
static struct owed *hand(struct world *w, const struct message *m, const json_t *said)
{
    struct order order = {.number = (int)json_integer_value(json_object_get(said, "attempt")),
                          .fence = json_integer_value(json_object_get(said, "fence"))};
    const char *id = json_string_value(json_object_get(said, "run"));
    const json_t *n = json_object_get(json_object_get(said, "payload"), "n");
    char payload[40];
    if (!id || run_id_parse(id, &order.run) != STATUS_OK || !owed_find(w, order.run))
        broken(w, "P3", "a worker is given %s, which is of nothing that is known", id);
    struct owed *run = owed_find(w, order.run);
    int spec = run->task >= 0 ? w->tasks[run->task].spec : run->spec;
    int queue = ((struct poll *)m->sender)->queue;
    if (!goes_to_queue(w, spec) || w->specs[spec].endpoint - ENDPOINTS != queue)
        broken(w, "P5", "%s is handed out at queue %d, and does not go there", id, queue);
    snprintf(payload, sizeof payload, "{\"n\":%lld}", (long long)json_integer_value(n));
    order.payload = n ? payload : NULL;
    order.due_at = due_stored(w, order.run);
    order.task = w->specs[spec].task;
    if (run->leased)
        broken(w, "P7", "%s is handed out while somebody has its lease", id);
    model_order(w, &order);
    int64_t timeout_us = w->specs[spec].timeout_us;
    struct lease_known lease = {.length_us = m->lease.length_us,
                                .most_us = timeout_us ? w->now_us + timeout_us : INT64_MAX};
    lease.until_us = least_of(w->now_us + lease.length_us, lease.most_us);
    lease_begin(w, run, lease);
    check_lease(w, run, said);
    if (w->workers.rules[queue].limit)
        rate_start(w, &w->workers.rates[queue], w->workers.rules[queue], wall_of(w));
    int most = w->workers.limits[queue].max_running;
    if (most && held_at(w, queue) > most)
        broken(w, "P17", "%d runs of queue %d are under way, and %d may be", held_at(w, queue),
               queue, most);
    w->verdict->figures.leases++;
    return run;
}

static bool is_due_at(const struct world *w, const struct owed *run, int queue)
{
    const struct known *known = run->task >= 0 ? &w->tasks[run->task] : NULL;
    int spec = known ? known->spec : run->spec;
    return is_pending(run->state) && !run->swept && goes_to_queue(w, spec) &&
           w->specs[spec].endpoint - ENDPOINTS == queue &&
           run->due_most.us <= wall_of(w).us - model_patience(run) &&
           (!known || (known->alive && known->pause < 0));
}

// Until when something held back a run that is due at a queue. Who does not wait may come between
// two turns: what limits let go has ended meanwhile, a line that has room for few is not filled
// again, or so much is in it that a turn does not get to its end.
static int64_t held_until(const struct world *w, const struct owed *run, const struct poll *poll)
{
    const struct policy *policy = policy_of_run(w, run);
    bool between = w->run_count > MUCH || w->options.due_limit <= 10 || policy->max_running ||
                   policy->rate.limit;
    int64_t excuse = most_of(policies_excuse(w, run), most_of(run->made_us, w->disturbed_us));
    excuse = most_of(excuse, w->workers.full_us[poll->queue]);
    if (run->task >= 0)
        excuse = most_of(excuse, w->tasks[run->task].disturbed_us);
    return between ? most_of(excuse, poll->since_us) : excuse;
}

// Nothing that could have been handed out is left.
static void check_nothing_due(struct world *w, const struct poll *poll)
{
    for (size_t i = 0; i < w->run_count; i++) {
        const struct owed *run = &w->runs[i];
        if (!is_due_at(w, run, poll->queue))
            continue;
        int64_t since = w->now_us - held_until(w, run, poll);
        int64_t patience = model_patience(run);
        if (since > patience && since > patience + model_feeding_us(w, ENDPOINTS + poll->queue))
            broken(w, "P2", "a worker at queue %d goes away with nothing, and %s of t%d is due",
                   poll->queue, id_text(run->id), run->task);
    }
}

static void check_empty(struct world *w, const struct message *m)
{
    const struct poll *poll = m->sender;
    if (w->stopping)
        return;
    if (poll->until_us > w->now_us)
        broken(w, "P7", "a worker that would wait %lld ms more is sent away with nothing",
               (long long)((poll->until_us - w->now_us) / MILLISECOND));
    check_nothing_due(w, poll);
}

static void answered(struct world *w, const struct message *m, int *starts, bool heard)
{
    const struct buffer *body = &m->reply.body;
    struct json_place place;
    json_t *said;
    if (m->reply.status == STATUS_UNAVAILABLE && w->stopping)
        return;
    if (m->reply.status != STATUS_OK ||
        json_read(body->data, body->size, &said, &place) != STATUS_OK)
        broken(w, "P7", "a worker that asks for runs is answered \"%s\"",
               status_text(m->reply.status));
    const json_t *list = json_object_get(said, "runs");
    size_t count = json_array_size(list);
    if (count > (size_t)m->lease.max)
        broken(w, "P7", "a worker asks for %d runs and is given %zu", m->lease.max, count);
    for (size_t i = 0; i < count; i++) {
        policies_wrote(w, (*starts)++, false);
        const struct owed *run = hand(w, m, json_array_get(list, i));
        if (heard)
            workers_got(w, run);
    }
    json_decref(said);
    if (count)
        return;
    policies_wrote(w, *starts, false);
    check_empty(w, m);
}

// Takes it off the list. Whoever has waited longer at the same queue is served before.
static void leave(struct world *w, const struct message *m, bool well)
{
    struct workers *workers = &w->workers;
    size_t at = 0;
    while (at < workers->poll_count && workers->polls[at] != m)
        at++;
    if (at == workers->poll_count)
        broken(w, "P4", "a worker is answered that has not asked");
    for (size_t i = 0; i < at && well && m->lease_count; i++)
        if (strcmp(workers->polls[i]->name, m->name) == 0)
            broken(w, "P7", "a worker at %s is served before one that has waited longer", m->name);
    memmove(&workers->polls[at], &workers->polls[at + 1],
            (--workers->poll_count - at) * sizeof *workers->polls);
}

void leases_answer(struct world *w, struct letter *replies, int orders, bool well, bool heard)
{
    for (struct letter *letter = replies; letter; letter = letter->next) {
        struct message *m = (struct message *)letter;
        if (m->kind != MESSAGE_LEASE)
            continue;
        leave(w, m, well);
        if (well)
            answered(w, m, &orders, heard);
    }
    if (well)
        policies_wrote(w, orders, false);
    for (size_t i = 0; i < w->workers.poll_count && well; i++)
        if (((struct poll *)w->workers.polls[i]->sender)->until_us <= w->now_us || w->stopping)
            broken(w, "P7", "a worker's wait is over, and it is not answered");
}

// --- the server dies, and is back ---

void leases_crash(struct world *w, bool dies)
{
    struct workers *workers = &w->workers;
    while (workers->poll_count) {
        free(workers->polls[--workers->poll_count]->sender);
        message_free(workers->polls[workers->poll_count]);
    }
    // Now and then it is the machine.
    if (!dies || !workers->on || random_below(&workers->chance, 4))
        return;
    workers->boot++;
    workers->booted_us = w->now_us - random_below(&workers->chance, HOUR);
    trace(w, "the machine starts anew");
}

// What must be left of a lease. Time without a server is not the worker's fault.
static int64_t until_after_start(const struct world *w, struct lease_known *lease, bool same)
{
    int64_t left = same ? lease->until_us - w->now_us : lease->until.us - wall_of(w).us;
    int64_t least = least_of(lease->length_us, GRACE_US);
    left = least_of(left < least ? least : left, lease->length_us);
    if (!same && lease->most_us != INT64_MAX)
        lease->most_us = w->now_us + (lease->most.us - wall_of(w).us);
    return least_of(w->now_us + left, lease->most_us);
}

static void find_again(struct world *w, struct owed *run)
{
    struct lease_known *lease = &run->lease;
    sqlite3_stmt *q = ask_about(w,
                                "SELECT steady_until, steady_most, length_us, kind FROM leases"
                                " WHERE run_id = ?1",
                                run->id.value);
    bool bounded = sqlite3_column_type(q, 1) != SQLITE_NULL;
    int64_t base = w->workers.booted_us;
    int64_t until_us = sqlite3_column_int64(q, 0) + base;
    int64_t most_us = bounded ? sqlite3_column_int64(q, 1) + base : INT64_MAX;
    int64_t length_us = sqlite3_column_int64(q, 2);
    bool callback = sqlite3_column_int(q, 3) == LEASE_CALLBACK;
    question_end(q);
    bool same = lease->boot == w->workers.boot;
    int64_t expected = lease->unseen ? until_us : until_after_start(w, lease, same);
    if (!w->workers.start_failed && !lease->unseen &&
        (until_us != expected || most_us != lease->most_us))
        broken(w, "P18", "after the start %s is leased for %lld ms, and should be for %lld",
               id_text(run->id), (long long)((until_us - w->now_us) / MILLISECOND),
               (long long)((expected - w->now_us) / MILLISECOND));
    if (until_us > w->now_us + length_us ||
        until_us < least_of(w->now_us + least_of(length_us, GRACE_US), most_us))
        broken(w, "P18", "after the start %s is leased for %lld ms", id_text(run->id),
               (long long)((until_us - w->now_us) / MILLISECOND));
    *lease = (struct lease_known){
        .length_us = length_us, .until_us = until_us, .most_us = most_us, .callback = callback};
    written(w, lease);
}

void lease_learn(struct world *w, struct owed *run)
{
    lease_unseen(w, run);
    find_again(w, run);
}

void leases_recovered(struct world *w)
{
    for (size_t i = 0; i < w->workers.leased_count; i++)
        find_again(w, &w->runs[w->workers.leased[i]]);
    w->workers.start_failed = false;
}

// --- what is stored ---

void leases_audit(struct world *w, bool at_end)
{
    (void)at_end;
    size_t found = 0;
    sqlite3_stmt *q = ask_stored(w, "SELECT l.run_id, l.steady_until, r.fence FROM leases l"
                                    " LEFT JOIN runs r ON r.id = l.run_id");
    while (sqlite3_step(q) == SQLITE_ROW) {
        const struct owed *run = owed_find(w, (run_id){sqlite3_column_int64(q, 0)});
        if (!run || !run->leased || run->fence != sqlite3_column_int64(q, 2))
            broken(w, "P7", "a lease of %s is stored that nobody has",
                   id_text((run_id){sqlite3_column_int64(q, 0)}));
        if (sqlite3_column_int64(q, 1) + w->workers.booted_us != run->lease.until_us)
            broken(w, "P4", "the lease of %s is stored with another end", id_text(run->id));
        found++;
    }
    question_end(q);
    if (found != w->workers.leased_count)
        broken(w, "P4", "%zu leases are stored, and %zu were given", found,
               w->workers.leased_count);
}
