// Runs that somebody asks for, cancels, or wants once more.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "scheduler/state.h"

enum status add_run(struct scheduler *s, const struct run *run)
{
    enum status status = store_add_run(s->store, run);
    if (status == STATUS_OK && run->state == RUN_SCHEDULED)
        due_add(&s->due, &(struct due_row){.run = run->id,
                                           .due_at = run->due_at,
                                           .lane = run->lane,
                                           .task = run->task,
                                           .priority = run->priority,
                                           .catch_up = run->trigger == TRIGGER_CATCH_UP});
    if (status == STATUS_OK && run->state == RUN_SCHEDULED)
        watch_deadline(s, run);
    return status;
}

void reply_with_run(struct message *m, wall now, const struct run *run)
{
    struct writer w = writer_on(&m->reply.body);
    run_write(&w, run, now, NULL, 0);
    m->reply.run = run->id;
}

// --- idempotency ---

// Every single run's answer begins with its id, so a repeated one can name it again.
static run_id run_in(const char *body, size_t size)
{
    static const char head[] = "{\"id\":\"";
    char id[RUN_ID_TEXT] = "";
    run_id run = {0};
    if (size > sizeof head + RUN_ID_TEXT && memcmp(body, head, sizeof head - 1) == 0) {
        memcpy(id, body + sizeof head - 1, RUN_ID_TEXT - 1);
        run_id_parse(id, &run);
    }
    return run;
}

// True when the message is answered already: its key has been seen.
bool answered_before(struct scheduler *s, wall now, struct message *m)
{
    if (!m->key)
        return false;
    uint64_t fingerprint;
    char *body;
    size_t size;
    enum status status = store_find_key(s->store, m->key, now, &fingerprint, &body, &size);
    if (status == STATUS_NOT_FOUND)
        return false;
    if (!went_well(s, status))
        return true;
    if (fingerprint != m->fingerprint) {
        refuse(
            m, STATUS_MISMATCH,
            "this Idempotency-Key came before with another request: use a new key for a new one");
    } else {
        buffer_add(&m->reply.body, body, size);
        m->reply.created = m->reply.replayed = true;
        m->reply.run = run_in(body, size);
    }
    free(body);
    return true;
}

void remember_answer(struct scheduler *s, wall now, const struct message *m)
{
    if (m->key && !s->broken && m->reply.status == STATUS_OK)
        went_well(s, store_keep_key(s->store, m->key, m->fingerprint, m->reply.body.data,
                                    m->reply.body.size, wall_plus(now, s->options.key_life_us)));
}

// --- creating ---

// Whether a new run of this task may be made. Otherwise the message is answered.
bool may_run(struct message *m, const struct known_task *known, const char *name)
{
    if (!known || known->record.deleted)
        refuse(m, STATUS_NOT_FOUND, "there is no task named \"%s\"", name);
    else if (wall_is_set(known->record.paused_at))
        refuse(m, STATUS_CONFLICT, "task \"%s\" is paused by %.60s (%.140s): resume it first", name,
               known->record.paused_by ? known->record.paused_by : "somebody",
               known->record.paused_why ? known->record.paused_why : "no reason given");
    else if (known->task->target.kind == TARGET_MONITOR)
        refuse(m, STATUS_CONFLICT,
               "task \"%s\" is a monitor: its job runs elsewhere and checks in with POST "
               "/v1/checkins/%s",
               name, name);
    else
        return true;
    return false;
}

// All wishes can be granted: a batch is all or nothing, so this is asked before anything is
// written.
static bool can_grant(struct scheduler *s, struct message *m)
{
    for (size_t i = 0; i < m->wish_count; i++) {
        const char *name = m->wishes[i].task_name;
        struct known_task *known = NULL;
        if (!name)
            continue;
        enum status status = known_task(&s->known, name, &known);
        if (status != STATUS_NOT_FOUND && !went_well(s, status))
            return false;
        if (!may_run(m, known, name)) {
            if (m->batch)
                snprintf(m->reply.pointer, sizeof m->reply.pointer, "/%zu/task", i);
            return false;
        }
    }
    return true;
}

static enum status grant(struct scheduler *s, wall now, struct wish *wish, struct run *run)
{
    *run = (struct run){.id = id_next(&s->ids, now),
                        .state = RUN_SCHEDULED,
                        .trigger = TRIGGER_API,
                        .started_at = WALL_NONE,
                        .finished_at = WALL_NONE,
                        .attempt_started_at = WALL_NONE,
                        .payload = wish->payload,
                        .payload_size = wish->payload_size};
    run->due_at = run->scheduled_for = wall_is_set(wish->due_at) ? wish->due_at : now;
    enum status status;
    if (wish->task_name) {
        struct known_task *known;
        status = known_task(&s->known, wish->task_name, &known);
        if (status != STATUS_OK)
            return status;
        run->task = known->record.id;
        run->task_name = known->record.name;
        run->revision = known->record.revision;
        run->revision_id = known->record.revision_id;
        run->lane = known->task->lane;
        run->priority = known->task->priority;
        run->deadline_at = run_deadline(known->task, run->due_at);
    } else {
        status = known_definition_row(&s->known, wish->target, now, &run->revision_id);
        run->lane = wish->target->lane;
        run->priority = wish->target->priority;
        run->deadline_at = run_deadline(wish->target, run->due_at);
    }
    if (wish->has_priority)
        run->priority = wish->priority;
    return status == STATUS_OK ? add_run(s, run) : status;
}

static void create_one(struct scheduler *s, wall now, struct message *m)
{
    struct run run;
    if (!went_well(s, grant(s, now, &m->wishes[0], &run)))
        return;
    note_run(s,
             &(struct event_run){.task = run.task_name,
                                 .run = run.id,
                                 .state = RUN_SCHEDULED,
                                 .due_at = run.due_at,
                                 .at = WALL_NONE},
             run.task);
    reply_with_run(m, now, &run);
}

static void create_batch(struct scheduler *s, wall now, struct message *m)
{
    struct writer w = writer_on(&m->reply.body);
    run_id first = {0}, last = {0};
    writer_object(&w);
    writer_key(&w, "count");
    writer_int(&w, (int64_t)m->wish_count);
    writer_key(&w, "ids");
    writer_array(&w);
    for (size_t i = 0; i < m->wish_count; i++) {
        struct run run;
        char id[RUN_ID_TEXT];
        if (!went_well(s, grant(s, now, &m->wishes[i], &run)))
            return;
        count_run(&s->metrics, run.task, run.task_name, RUN_SCHEDULED);
        first = first.value ? first : run.id;
        last = run.id;
        run_id_format(run.id, id);
        writer_text(&w, id);
    }
    writer_end_array(&w);
    writer_end_object(&w);
    event_batch(&s->journal, first, last, m->wish_count);
}

void answer_create_runs(struct scheduler *s, wall now, struct message *m)
{
    if (answered_before(s, now, m) || !can_grant(s, m))
        return;
    m->reply.created = true;
    if (m->batch)
        create_batch(s, now, m);
    else
        create_one(s, now, m);
    remember_answer(s, now, m);
}

// --- cancel and retry ---

static bool find_run(struct scheduler *s, struct message *m, struct run *ret)
{
    enum status status = store_find_run(s->store, m->run, ret);
    char id[RUN_ID_TEXT];
    run_id_format(m->run, id);
    if (status == STATUS_NOT_FOUND)
        refuse(m, STATUS_NOT_FOUND, "there is no run %s", id);
    return went_well(s, status);
}

// The attempt under way is recorded at once: where the server dies before its report, no number is
// missing. The report says more and takes this row's place.
static enum status cancel_running(struct scheduler *s, wall now, const struct run *run,
                                  const struct verdict *verdict)
{
    struct flight *flight = map_get(&s->flights, (uint64_t)run->id.value);
    if (flight && flight->lease)
        return cancel_lease(s, now, flight, verdict);
    struct attempt attempt;
    attempt_init(&attempt);
    attempt.run = run->id;
    attempt.number = run->attempts;
    attempt.fence = run->fence;
    attempt_started(&attempt, run->attempt_started_at, run->due_at);
    attempt.outcome = ATTEMPT_CANCELED;
    attempt.error = memory_text("canceled while it was under way");
    struct verdict awaited = *verdict;
    awaited.reported_later = flight != NULL;
    enum status status = store_finish_attempt(s->store, &attempt, &awaited, now);
    attempt_done(&attempt);
    struct order *order = memory_new(sizeof *order);
    order->kind = ORDER_ABORT;
    order->run = run->id;
    send_order(s, order);
    return status;
}

enum status end_as_canceled(struct scheduler *s, wall now, const struct run *run,
                            const char *reason)
{
    struct verdict verdict = {.state = RUN_CANCELED, .due_at = WALL_NONE};
    snprintf(verdict.reason, sizeof verdict.reason, "%s", reason);
    enum status status = run->state == RUN_RUNNING
                             ? cancel_running(s, now, run, &verdict)
                             : store_end_run(s->store, run->id, RUN_CANCELED, reason, now);
    if (went_well(s, status))
        note_run(s,
                 &(struct event_run){run->task_name, run->id, RUN_CANCELED, WALL_NONE, reason,
                                     WALL_NONE},
                 run->task);
    return status;
}

static void cancel(struct scheduler *s, wall now, struct message *m, struct run *run)
{
    char reason[200];
    snprintf(reason, sizeof reason, "canceled by %.60s%s%.120s", m->author ? m->author : "somebody",
             m->note ? ": " : "", m->note ? m->note : "");
    if (end_as_canceled(s, now, run, reason) != STATUS_OK)
        return;
    run->state = RUN_CANCELED;
    run->finished_at = now;
    free(run->reason);
    run->reason = memory_text(reason);
    reply_with_run(m, now, run);
}

void answer_cancel_run(struct scheduler *s, wall now, struct message *m)
{
    struct run run;
    if (!find_run(s, m, &run))
        return;
    if (run_state_is_final(run.state))
        refuse(m, STATUS_CONFLICT, "the run is over already: %s is final",
               run_state_text(run.state));
    else
        cancel(s, now, m, &run);
    run_done(&run);
}

enum status retry_as_new(struct scheduler *s, wall now, const struct run *old, struct run *ret)
{
    struct known_task *known = NULL;
    struct task *task = NULL;
    enum status status = old->task ? known_task_by_id(&s->known, old->task, &known)
                                   : known_definition(&s->known, old->revision_id, &task);
    if (status != STATUS_OK)
        return status;
    struct run run = *old; // borrows its texts
    run.id = id_next(&s->ids, now);
    run.generation = 0;
    run.state = RUN_SCHEDULED;
    run.trigger = TRIGGER_RETRY;
    run.reason = run.handled = NULL;
    run.scheduled_for = run.due_at = now;
    run.started_at = run.finished_at = run.attempt_started_at = WALL_NONE;
    run.attempts = 0;
    run.fence = 0;
    run.retry_of = old->id;
    if (known) {
        run.revision = known->record.revision;
        run.revision_id = known->record.revision_id;
        run.lane = known->task->lane;
    } else {
        run.lane = task->lane; // of its kind, whichever version made the old run
    }
    run.deadline_at = run_deadline(known ? known->task : task, now);
    status = add_run(s, &run);
    if (status != STATUS_OK)
        return status;
    note_run(s,
             &(struct event_run){.task = run.task_name,
                                 .run = run.id,
                                 .state = RUN_SCHEDULED,
                                 .due_at = run.due_at,
                                 .at = WALL_NONE},
             run.task);
    *ret = run;
    return STATUS_OK;
}

static void retry(struct scheduler *s, wall now, struct message *m, const struct run *old)
{
    struct known_task *known = NULL;
    struct run run;
    if (old->task) {
        if (!went_well(s, known_task_by_id(&s->known, old->task, &known)) ||
            !may_run(m, known, old->task_name))
            return;
    }
    if (!went_well(s, retry_as_new(s, now, old, &run)))
        return;
    retried_once_more(s, now, m, old, run.id);
    m->reply.created = true;
    reply_with_run(m, now, &run);
    remember_answer(s, now, m);
}

void answer_retry_run(struct scheduler *s, wall now, struct message *m)
{
    struct run old;
    if (answered_before(s, now, m) || !find_run(s, m, &old))
        return;
    if (run_state_is_final(old.state))
        retry(s, now, m, &old);
    else
        refuse(m, STATUS_CONFLICT, "the run is still %s: only one that has ended can be retried",
               run_state_text(run_state_at(old.state, old.due_at, now)));
    run_done(&old);
}
