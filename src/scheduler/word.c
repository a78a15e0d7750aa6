// What those who hold leases say: a heartbeat, done, failed, given back. Each is answered on its
// own; a word without the current fence changes nothing.
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "core/expect.h"
#include "scheduler/state.h"

struct verdict_of_row { // what a row is answered with
    enum status status;
    char detail[200];
    bool repeated; // this very completion is recorded already
    wall until;    // of a heartbeat
};

static void say(struct verdict_of_row *v, enum status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void say(struct verdict_of_row *v, enum status status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(v->detail, sizeof v->detail, format, arguments);
    va_end(arguments);
    v->status = status;
}

// --- the words ---

static void heartbeat(struct scheduler *s, wall now, struct flight *flight, struct lease_row *row,
                      struct verdict_of_row *v)
{
    prolong_lease(s, now, flight, row->extend_us >= 0 ? row->extend_us : flight->lease->length_us);
    v->until = lease_until(s, flight->lease);
}

// What is said of the attempt becomes part of it.
static void take_over(struct lease *lease, struct attempt *said)
{
    struct attempt *a = &lease->attempt;
    free(a->response);
    free(a->error);
    a->response = said->response;
    a->response_size = said->response_size;
    a->error = said->error;
    said->response = said->error = NULL;
    said->response_size = 0;
    if (said->cache != CACHE_UNKNOWN)
        a->cache = said->cache;
    if (said->db_calls >= 0)
        a->db_calls = said->db_calls;
    if (said->db_time_us >= 0)
        a->db_time_us = said->db_time_us;
    a->retry_after_us = said->retry_after_us;
    a->final = said->final;
}

static void complete(struct scheduler *s, wall now, struct flight *flight, struct lease_row *row,
                     struct verdict_of_row *v)
{
    (void)v;
    struct lease *lease = flight->lease;
    char why[400];
    take_over(lease, &row->attempt);
    struct response response = {.status = -1,
                                .body = lease->attempt.response,
                                .body_size = lease->attempt.response_size,
                                .duration_us = steady_at(s, now).us - lease->started.us};
    bool met =
        expect_met(&flight->task->expect, TARGET_QUEUE, &response, why, sizeof why); // the result
    if (!met)
        lease->attempt.error = memory_text(why);
    finish_lease(s, now, flight, met ? ATTEMPT_SUCCEEDED : ATTEMPT_FAILED);
}

static void give_up(struct scheduler *s, wall now, struct flight *flight, struct lease_row *row,
                    struct verdict_of_row *v)
{
    (void)v;
    take_over(flight->lease, &row->attempt);
    finish_lease(s, now, flight, ATTEMPT_FAILED);
}

static void give_back(struct scheduler *s, wall now, struct flight *flight, struct lease_row *row,
                      struct verdict_of_row *v)
{
    (void)row;
    if (flight->lease->kind == LEASE_WORKER)
        release_lease(s, now, flight);
    else
        say(v, STATUS_CONFLICT, "only a worker gives a run back: complete it, or let it fail");
}

// --- who may say them ---

// Why a word about this run counts for nothing.
static void explain(struct scheduler *s, const struct flight *flight, const struct attempt *said,
                    enum lease_word word, struct verdict_of_row *v)
{
    struct run run;
    char id[RUN_ID_TEXT];
    run_id_format(said->run, id);
    enum status status = store_find_run(s->store, said->run, &run);
    if (status == STATUS_NOT_FOUND) {
        say(v, STATUS_NOT_FOUND, "there is no run %s", id);
        return;
    }
    if (!went_well(s, status))
        return;
    bool current = run.fence == said->fence;
    if (run_state_is_final(run.state)) {
        v->repeated = current && run.state == RUN_SUCCEEDED && word == WORD_COMPLETE;
        say(v, STATUS_STALE, "the run has %s already%s: nothing was changed",
            run_state_text(run.state), v->repeated ? ", completed under this fence" : "");
    } else if (said->fence > run.fence) {
        say(v, STATUS_STALE, "fence %lld was never given out: the newest is %lld",
            (long long)said->fence, (long long)run.fence);
    } else if (!current) {
        say(v, STATUS_STALE, "fence %lld is stale: the newest is %lld", (long long)said->fence,
            (long long)run.fence);
    } else if (flight && !flight->lease && flight->task->completion == COMPLETION_CALLBACK) {
        say(v, STATUS_STALE, "the run is not open yet: its endpoint has not answered 202");
    } else if (flight && !flight->lease) {
        say(v, STATUS_STALE, "nobody has a lease of this run: the server itself carries it out");
    } else {
        say(v, STATUS_STALE,
            "the lease under fence %lld has ended: the run waits to be tried again",
            (long long)said->fence);
    }
    run_done(&run);
}

// The endpoint calls back before the server has seen its 202, which is then not waited for.
static struct flight *open_early(struct scheduler *s, wall now, struct flight *flight,
                                 enum lease_word word)
{
    struct run run;
    if ((word != WORD_COMPLETE && word != WORD_FAIL) ||
        flight->task->completion != COMPLETION_CALLBACK ||
        !went_well(s, store_find_run(s->store, flight->run, &run)))
        return NULL;
    bool runs = run.state == RUN_RUNNING;
    if (runs) {
        struct attempt attempt;
        attempt_init(&attempt);
        attempt.run = run.id;
        attempt.number = run.attempts;
        attempt.fence = run.fence;
        attempt.started_at = run.attempt_started_at;
        int64_t took = now.us - run.attempt_started_at.us;
        attempt.response_time_us = took > 0 ? took : 0;
        runs = keep_open(s, now, flight, &attempt);
    }
    run_done(&run);
    if (runs && word == WORD_FAIL) { // it may be tried again while the request still hangs
        struct order *order = memory_new(sizeof *order);
        order->kind = ORDER_ABORT;
        order->run = flight->run;
        send_order(s, order);
    }
    return runs ? flight : NULL;
}

static void carry_out(struct scheduler *s, wall now, enum lease_word word, struct lease_row *row,
                      struct verdict_of_row *v)
{
    static void (*const words[LEASE_WORD_COUNT])(struct scheduler *, wall, struct flight *,
                                                 struct lease_row *, struct verdict_of_row *) = {
        [WORD_HEARTBEAT] = heartbeat,
        [WORD_COMPLETE] = complete,
        [WORD_FAIL] = give_up,
        [WORD_RELEASE] = give_back,
    };
    struct flight *flight = map_get(&s->flights, (uint64_t)row->attempt.run.value);
    *v = (struct verdict_of_row){.until = WALL_NONE};
    struct flight *held = flight && flight->fence == row->attempt.fence ? flight : NULL;
    if (held && !held->lease)
        held = open_early(s, now, held, word);
    if (held)
        words[word](s, now, held, row, v);
    else
        explain(s, flight, &row->attempt, word, v);
}

// --- answers ---

static void write_row(struct writer *w, const struct lease_row *row, const struct verdict_of_row *v)
{
    static const int codes[STATUS_COUNT] = {
        [STATUS_OK] = 200, [STATUS_NOT_FOUND] = 404, [STATUS_STALE] = 409, [STATUS_CONFLICT] = 409};
    char id[RUN_ID_TEXT];
    run_id_format(row->attempt.run, id);
    writer_object(w);
    writer_key(w, "run");
    writer_text(w, id);
    writer_key(w, "status");
    writer_int(w, codes[v->status]);
    if (wall_is_set(v->until)) {
        writer_key(w, "lease_until");
        writer_moment(w, v->until);
    }
    if (v->status != STATUS_OK) {
        writer_key(w, "error");
        writer_text(w, v->detail);
    }
    if (v->repeated) {
        writer_key(w, "repeated");
        writer_bool(w, true);
    }
    writer_end_object(w);
}

static void answer_rows(struct scheduler *s, wall now, struct message *m)
{
    struct writer w = writer_on(&m->reply.body);
    writer_object(&w);
    writer_key(&w, "leases");
    writer_array(&w);
    for (size_t i = 0; i < m->lease_count && !s->broken; i++) {
        struct verdict_of_row v;
        carry_out(s, now, m->word, &m->leases[i], &v);
        write_row(&w, &m->leases[i], &v);
    }
    writer_end_array(&w);
    writer_end_object(&w);
}

// One run, named in the path: the answer is the run, or a heartbeat's new deadline.
static void answer_single(struct scheduler *s, wall now, struct message *m)
{
    struct verdict_of_row v;
    struct writer w = writer_on(&m->reply.body);
    struct run run;
    carry_out(s, now, m->word, &m->leases[0], &v);
    if (v.status != STATUS_OK) {
        refuse(m, v.status == STATUS_STALE ? STATUS_CONFLICT : v.status, "%s", v.detail);
    } else if (m->word == WORD_HEARTBEAT) {
        write_row(&w, &m->leases[0], &v);
    } else if (went_well(s, store_find_run(s->store, m->leases[0].attempt.run, &run))) {
        run_write(&w, &run, now, NULL, 0);
        run_done(&run);
    }
}

void answer_lease_word(struct scheduler *s, wall now, struct message *m)
{
    if (m->single)
        answer_single(s, now, m);
    else
        answer_rows(s, now, m);
}
