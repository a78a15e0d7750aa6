#include "scheduler/scheduler.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "scheduler/state.h"

// Keeping house is small work, and not worth two statements in every turn.
#define TURNS_BETWEEN_CLEARINGS 16
#define KEYS_CLEARED 320 // and two for each message since: faster than they can come
#define JOURNAL_ROWS_TRIMMED 64
#define JOURNAL_OF_A_TURN_MAX (256 << 20)

const struct scheduler_options scheduler_defaults = {
    .seed = 1,
    .claim_ahead_us = 20 * MILLISECOND,
    .lane_limit = 64,
    .total_limit = 4096,
    .due_limit = 1000000,
    .horizon_us = 60 * SECOND,
    .journal_bytes = 64 << 20,
    .key_life_us = DAY,
    .breaker_failures = 10,
    .breaker_open_us = 30 * SECOND,
    .catch_up_per_s = 100,
};

static void (*const answers[MESSAGE_KIND_COUNT])(struct scheduler *, wall, struct message *) = {
    [MESSAGE_PUT_TASK] = answer_put_task,
    [MESSAGE_DELETE_TASK] = answer_delete_task,
    [MESSAGE_ROLLBACK] = answer_rollback,
    [MESSAGE_APPLY] = answer_apply,
    [MESSAGE_PAUSE] = answer_pause,
    [MESSAGE_RESUME] = answer_resume,
    [MESSAGE_CREATE_RUNS] = answer_create_runs,
    [MESSAGE_CANCEL_RUN] = answer_cancel_run,
    [MESSAGE_RETRY_RUN] = answer_retry_run,
    [MESSAGE_LEASE_WORD] = answer_lease_word,
    [MESSAGE_QUEUES] = answer_queues,
    [MESSAGE_RETRY_DEAD] = answer_retry_dead,
    [MESSAGE_DISCARD_DEAD] = answer_discard_dead,
    [MESSAGE_CHECKIN] = answer_checkin,
    [MESSAGE_METRICS] = answer_metrics,
};

enum status scheduler_new(const struct scheduler_options *options, struct store *store, wall now,
                          struct scheduler **ret)
{
    struct store_start start;
    enum status status = store_start(store, &start);
    if (status != STATUS_OK)
        return status;
    struct scheduler *s = memory_new(sizeof *s);
    s->options = *options;
    s->store = store;
    random_seed(&s->chance, options->seed);
    s->ids.last = start.last_run.value;
    s->turn = start.last_turn;
    s->started = s->up_since = now;
    s->backlogs_left = true;
    s->next_deadline = WALL_NONE;
    pace_init(&s->pace, options->catch_up_per_s);
    s->wall_minus_steady_us = options->wall_minus_steady_us;
    due_init(&s->due, options->horizon_us, options->due_limit, &s->notices_pending);
    lanes_init(&s->lanes, options->lane_limit);
    s->limits.next = WALL_NEVER;
    s->lanes.held_most = s->limits.held_most = options->due_limit / 2;
    endpoints_init(&s->endpoints);
    s->cursor_edge = (struct cursor){.next_at = WALL_NONE};
    s->cursors_covered = WALL_NONE;
    s->history.began = s->history.looked = WALL_NONE;
    known_init(&s->known, store);
    buffer_init(&s->journal, JOURNAL_OF_A_TURN_MAX);
    status = load_sweeps(s);
    if (status == STATUS_OK)
        status = load_notices(s);
    if (status == STATUS_OK)
        status = recover_lost_runs(s, now);
    if (status == STATUS_OK)
        status = load_waiting_notices(s);
    if (status == STATUS_OK)
        *ret = s;
    else
        scheduler_free(s);
    return status;
}

static void free_chain(struct letter **chain, void (*let_go)(struct letter *))
{
    while (*chain) {
        struct letter *letter = *chain;
        *chain = letter->next;
        let_go(letter);
    }
}

static void free_order_letter(struct letter *letter)
{
    order_free((struct order *)letter);
}

static void free_report_letter(struct letter *letter)
{
    message_free((struct message *)letter);
}

void scheduler_free(struct scheduler *s)
{
    if (!s)
        return;
    uint64_t key;
    void *value;
    for (size_t at = 0; map_each(&s->flights, &at, &key, &value);) {
        task_drop(((struct flight *)value)->task);
        lease_free(((struct flight *)value)->lease);
        free(value);
    }
    leases_done(&s->leases);
    queues_done(&s->queues);
    free_chain(&s->attempts, free_report_letter);
    free(s->sweeps);
    map_done(&s->flights);
    heap_done(&s->cursors);
    heap_done(&s->behind);
    overlaps_done(&s->overlaps);
    pace_done(&s->pace);
    heap_done(&s->expected);
    notices_done(s);
    due_done(&s->due);
    lanes_done(&s->lanes);
    limits_done(&s->limits);
    endpoints_done(&s->endpoints);
    feed_done(&s->feed);
    known_done(&s->known);
    buffer_done(&s->journal);
    metrics_done(&s->metrics);
    free(s);
}

bool went_well(struct scheduler *s, enum status status)
{
    if (status == STATUS_FAILED)
        s->broken = true;
    return status == STATUS_OK;
}

void refuse(struct message *m, enum status status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(m->reply.detail, sizeof m->reply.detail, format, arguments);
    va_end(arguments);
    m->reply.status = status;
    buffer_clear(&m->reply.body);
}

static void chain(struct letter ***end, struct letter *letter)
{
    letter->next = NULL;
    **end = letter;
    *end = &letter->next;
}

void send_order(struct scheduler *s, struct order *order)
{
    chain(&s->orders_end, &order->letter);
}

void send_attempt(struct scheduler *s, struct message *report)
{
    chain(&s->attempts_end, &report->letter);
}

void send_reply(struct scheduler *s, struct message *m)
{
    chain(&s->replies_end, &m->letter);
}

steady steady_at(const struct scheduler *s, wall now)
{
    return (steady){now.us - s->wall_minus_steady_us};
}

void scheduler_clock(struct scheduler *s, int64_t wall_minus_steady_us)
{
    s->wall_minus_steady_us = wall_minus_steady_us;
}

void note_run(struct scheduler *s, const struct event_run *event, int64_t task_id)
{
    event_run(&s->journal, event);
    count_run(&s->metrics, task_id, event->task, event->state);
    if (run_state_is_final(event->state)) {
        overlap_ended(s, task_id);
        if (s->notices_pending.count)
            map_remove(&s->notices_pending, (uint64_t)event->run.value);
    }
    note_outcome(s, event, task_id);
}

static void take_messages(struct scheduler *s, wall now, struct letter *inbox)
{
    while (inbox) {
        struct message *m = (struct message *)inbox;
        inbox = inbox->next;
        s->metrics.messages++;
        if (m->kind == MESSAGE_REPORT) {
            if (take_report(s, now, m))
                send_attempt(s, m);
            else
                message_free(m);
            continue;
        }
        if (m->kind == MESSAGE_LEASE && !s->broken) {
            take_poll(s, now, m);
            continue;
        }
        if (!s->broken)
            answers[m->kind](s, now, m);
        if (m->unanswered)
            message_free(m);
        else
            send_reply(s, m);
    }
}

static void keep_journal(struct scheduler *s, wall now)
{
    if (s->broken || s->journal.size == 0)
        return;
    went_well(s, store_add_journal(s->store, s->turn + 1, now, s->journal.data, s->journal.size));
}

// Forgets what is past its time, some of it at a time.
static void keep_house(struct scheduler *s, wall now)
{
    if (s->broken || s->metrics.turns % TURNS_BETWEEN_CLEARINGS)
        return;
    size_t keys = KEYS_CLEARED + 2 * (size_t)(s->metrics.messages - s->messages_at_clearing);
    s->messages_at_clearing = s->metrics.messages;
    if (went_well(s, store_clear_keys(s->store, now, keys)))
        went_well(s, store_trim_journal(s->store, s->options.journal_bytes, JOURNAL_ROWS_TRIMMED));
}

// Nothing of the turn has happened: everybody who asked is told so, and no order leaves.
static void undo(struct scheduler *s)
{
    store_rollback(s->store);
    free_chain(&s->orders, free_order_letter);
    give_up_polls(s);
    for (struct letter *letter = s->replies; letter; letter = letter->next)
        refuse((struct message *)letter, STATUS_UNAVAILABLE,
               "the store has failed, so nothing was changed; the server is stopping");
}

// One turn: everything that has come in is decided together and committed once. Nothing leaves
// before the commit, so no client ever hears of something that a crash could undo.
enum status scheduler_turn(struct scheduler *s, wall now, struct letter *inbox, struct outbox *ret)
{
    s->replies = s->orders = NULL;
    s->replies_end = &s->replies;
    s->orders_end = &s->orders;
    buffer_clear(&s->journal);
    s->metrics.turns++;

    if (now.us < s->up_since.us) // the clock was set back: what comes now is no outage
        s->up_since = now;
    if (!s->broken)
        went_well(s, store_begin(s->store));
    sweep_on(s, now);
    reap_leases(s, now);
    load_cursors(s, now);
    take_messages(s, now, inbox);
    plan_due_occurrences(s, now);
    catch_up(s, now);
    miss_late_runs(s, now);
    start_due_runs(s, now);
    hand_out_runs(s, now);
    end_waits(s, now);
    tell_notices(s, now);
    keep_journal(s, now);
    keep_house(s, now);
    keep_history(s, now, !inbox && !s->orders);
    if (!s->broken)
        went_well(s, store_commit(s->store));
    if (s->broken)
        undo(s);
    else if (s->journal.size)
        s->turn++;
    known_trim(&s->known);

    *ret = (struct outbox){.replies = s->replies,
                           .orders = s->orders,
                           .attempts = s->attempts,
                           .journal_turn = s->turn};
    s->attempts = NULL;
    s->attempts_end = &s->attempts;
    return s->broken ? STATUS_FAILED : STATUS_OK;
}

static wall earlier(wall a, wall b)
{
    return a.us < b.us ? a : b;
}

wall scheduler_next_turn(const struct scheduler *s, wall now)
{
    if (s->broken)
        return WALL_NEVER;
    if (s->sweep_count)
        return now;
    wall next = due_load_at(&s->due, now);
    next = earlier(next, plan_next(s, now));
    next = earlier(next, history_next(s));
    next = earlier(next, leases_next(s));
    next = earlier(next, pull_next(s, now));
    next = earlier(next, earlier(next_notice(s), next_wait(s)));
    if (s->stopping)
        return next;
    if (feed_is_wanted(s))
        return now;
    if (s->lanes.first && attempts_have_room(s))
        return now;
    next = earlier(next, overlap_next(s, now));
    next = earlier(next, pace_next(s, now));
    if (s->next_deadline.us == WALL_NONE.us) // the first turn looks
        return now;
    if (s->next_deadline.us < WALL_NEVER.us)
        next = earlier(next, wall_plus(s->next_deadline, 1));
    next = earlier(earlier(next, s->limits.next), s->endpoints.next);
    wall first = due_first(&s->due);
    return wall_is_set(first) ? earlier(next, wall_plus(first, -s->options.claim_ahead_us)) : next;
}

enum status scheduler_clock_stepped(struct scheduler *s, wall now, int64_t step_us)
{
    if (s->broken)
        return STATUS_FAILED;
    enum status status = store_begin(s->store);
    if (status == STATUS_OK)
        status = store_shift_clock(s->store, wall_plus(now, -step_us), step_us);
    if (status == STATUS_OK)
        status = store_commit(s->store);
    if (!went_well(s, status)) {
        store_rollback(s->store);
        s->broken = true;
        return STATUS_FAILED;
    }
    limits_shift(&s->limits, step_us);
    endpoints_shift(&s->endpoints, step_us);
    due_forget(s);
    return STATUS_OK;
}

void scheduler_stop_starting(struct scheduler *s)
{
    s->stopping = true;
}

void scheduler_pulse(const struct scheduler *s, wall now, struct pulse_values *ret)
{
    wall oldest = earlier(due_first(&s->due), lanes_oldest(&s->lanes));
    // Occurrences that have no run yet are due, too.
    const struct heap_entry *first = heap_first(&s->cursors);
    if (first)
        oldest = earlier(oldest, (wall){first->key});
    ret->lag_us = oldest.us < now.us ? now.us - oldest.us : 0;
    endpoints_pulse(&s->endpoints, ret);
    ret->store_ok = !s->broken;
    ret->stopping = s->stopping;
}

void scheduler_commit_took(struct scheduler *s, int64_t us)
{
    histogram_add(&s->metrics.commit, us);
}

void scheduler_audited(struct scheduler *s, const struct audit_pulse *audit)
{
    s->metrics.audit = *audit;
}
