// Dead letters: failed runs that somebody retries or discards. The old run stays failed; who dealt
// with it, how and why is written on it, once.
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "scheduler/state.h"

#define HANDLED_MAX (256 << 10) // more than headers and notes can fill, each byte escaped
#define REFUSED_SHOWN 100

// One way of dealing with dead letters.
struct dealing {
    const char *event, *how; // "dead.retried", "retried"
    bool retries;
};
static const struct dealing retrying = {"dead.retried", "retried", true};
static const struct dealing discarding = {"dead.discarded", "discarded", false};

// {"how": "retried", "run": "run_...", "by": ..., "note": ..., "at": ...}
static char *handled_text(const struct dealing *dealing, run_id retried_as, const struct message *m,
                          wall now)
{
    struct buffer text;
    char id[RUN_ID_TEXT];
    buffer_init(&text, HANDLED_MAX);
    struct writer w = writer_on(&text);
    writer_object(&w);
    writer_key(&w, "how");
    writer_text(&w, dealing->how);
    if (retried_as.value) {
        run_id_format(retried_as, id);
        writer_key(&w, "run");
        writer_text(&w, id);
    }
    writer_key(&w, "by");
    writer_text(&w, m->author);
    writer_key(&w, "note");
    writer_text(&w, m->note);
    writer_key(&w, "at");
    writer_moment(&w, now);
    writer_end_object(&w);
    return buffer_take(&text, NULL);
}

// Writes on the old run what became of it.
static void handle(struct scheduler *s, wall now, const struct message *m,
                   const struct dealing *dealing, const struct run *old, run_id retried_as)
{
    char *text = handled_text(dealing, retried_as, m, now);
    if (went_well(s, store_handle_run(s->store, old->id, text)))
        event_dead(&s->journal, dealing->event, old->task_name, old->id, m->author, m->note);
    free(text);
}

void retried_once_more(struct scheduler *s, wall now, const struct message *m,
                       const struct run *old, run_id retried_as)
{
    if (old->state == RUN_FAILED && !old->handled)
        handle(s, now, m, &retrying, old, retried_as);
}

// --- one dead letter of many ---

// STATUS_OK where it can be dealt with; otherwise the reply says why not. Such a reply is this
// run's, not yet the message's.
static enum status can_deal(struct scheduler *s, struct message *m, const struct dealing *dealing,
                            run_id id, struct run *ret)
{
    char text[RUN_ID_TEXT];
    run_id_format(id, text);
    enum status status = store_find_run(s->store, id, ret);
    if (status == STATUS_NOT_FOUND) {
        refuse(m, status, "there is no run %s", text);
        return status;
    }
    if (!went_well(s, status))
        return status;
    struct known_task *known = NULL;
    if (ret->state != RUN_FAILED)
        refuse(m, STATUS_CONFLICT, "run %s is no dead letter: it is %s", text,
               run_state_text(ret->state));
    else if (ret->handled)
        refuse(m, STATUS_CONFLICT, "run %s has been dealt with already: %.300s", text,
               ret->handled);
    else if (dealing->retries && ret->task &&
             !went_well(s, known_task_by_id(&s->known, ret->task, &known)))
        m->reply.status = STATUS_FAILED;
    else if (dealing->retries && ret->task)
        may_run(m, known, ret->task_name);
    status = m->reply.status;
    if (status != STATUS_OK)
        run_done(ret);
    return status;
}

struct answer {
    struct writer dealt, refused; // the two lists, each in a buffer of its own
    size_t dealt_count, refused_count;
};

static void write_dealt(struct answer *a, const struct run *old, run_id retried_as)
{
    char id[RUN_ID_TEXT];
    run_id_format(old->id, id);
    a->dealt_count++;
    writer_object(&a->dealt);
    writer_key(&a->dealt, "run");
    writer_text(&a->dealt, id);
    writer_key(&a->dealt, "task");
    writer_text(&a->dealt, old->task_name);
    if (retried_as.value) {
        run_id_format(retried_as, id);
        writer_key(&a->dealt, "retried_as");
        writer_text(&a->dealt, id);
    }
    writer_end_object(&a->dealt);
}

// Of a filter: it stays a dead letter, and the answer says why.
static void write_refused(struct answer *a, run_id run, const char *detail)
{
    char id[RUN_ID_TEXT];
    if (a->refused_count++ >= REFUSED_SHOWN)
        return;
    run_id_format(run, id);
    writer_object(&a->refused);
    writer_key(&a->refused, "run");
    writer_text(&a->refused, id);
    writer_key(&a->refused, "detail");
    writer_text(&a->refused, detail);
    writer_end_object(&a->refused);
}

static void deal_with(struct scheduler *s, wall now, struct message *m,
                      const struct dealing *dealing, const struct run *old, struct answer *a)
{
    struct run again = {.id = {0}};
    if (!m->dry_run && dealing->retries && !went_well(s, retry_as_new(s, now, old, &again)))
        return;
    if (!m->dry_run)
        handle(s, now, m, dealing, old, again.id);
    write_dealt(a, old, again.id);
}

// --- the whole ---

// Named runs: all of them or nothing.
static bool all_can(struct scheduler *s, struct message *m, const struct dealing *dealing)
{
    struct run run;
    for (size_t i = 0; i < m->run_count; i++) {
        if (can_deal(s, m, dealing, m->runs[i], &run) != STATUS_OK) {
            snprintf(m->reply.pointer, sizeof m->reply.pointer, "/runs/%zu", i);
            return false;
        }
        run_done(&run);
    }
    return true;
}

static void deal_with_all(struct scheduler *s, wall now, struct message *m,
                          const struct dealing *dealing, struct answer *a)
{
    struct run run;
    for (size_t i = 0; i < m->run_count && !s->broken; i++) {
        if (can_deal(s, m, dealing, m->runs[i], &run) == STATUS_OK) {
            deal_with(s, now, m, dealing, &run, a);
            run_done(&run);
        } else if (!s->broken) {
            // Of a filter: dealt with by another since it was read, or its task is paused.
            write_refused(a, m->runs[i], m->reply.detail);
            m->reply.status = STATUS_OK;
            m->reply.detail[0] = '\0';
        }
    }
}

static void write_answer(struct message *m, const struct dealing *dealing, const struct answer *a)
{
    struct writer w = writer_on(&m->reply.body);
    writer_object(&w);
    writer_key(&w, dealing->how);
    writer_int(&w, (int64_t)a->dealt_count);
    writer_key(&w, "runs");
    writer_raw(&w, a->dealt.to->data, a->dealt.to->size);
    writer_key(&w, "refused");
    writer_raw(&w, a->refused.to->data, a->refused.to->size);
    writer_key(&w, "left");
    writer_int(&w, (int64_t)(m->left + a->refused_count));
    writer_key(&w, "dry_run");
    writer_bool(&w, m->dry_run);
    writer_end_object(&w);
}

static void answer_dealing(struct scheduler *s, wall now, struct message *m,
                           const struct dealing *dealing)
{
    struct buffer dealt, refused;
    if (answered_before(s, now, m)) {
        m->reply.created &= dealing->retries; // as the first answer
        return;
    }
    if (!m->by_filter && !all_can(s, m, dealing))
        return;
    buffer_init(&dealt, REPLY_MAX / 2);
    buffer_init(&refused, REPLY_MAX / 4);
    struct answer a = {.dealt = writer_on(&dealt), .refused = writer_on(&refused)};
    writer_array(&a.dealt);
    writer_array(&a.refused);
    deal_with_all(s, now, m, dealing, &a);
    writer_end_array(&a.dealt);
    writer_end_array(&a.refused);
    if (!s->broken) {
        write_answer(m, dealing, &a);
        m->reply.created = dealing->retries && !m->dry_run && a.dealt_count > 0;
        if (!m->dry_run)
            remember_answer(s, now, m);
    }
    buffer_done(&dealt);
    buffer_done(&refused);
}

void answer_retry_dead(struct scheduler *s, wall now, struct message *m)
{
    answer_dealing(s, now, m, &retrying);
}

void answer_discard_dead(struct scheduler *s, wall now, struct message *m)
{
    answer_dealing(s, now, m, &discarding);
}
