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
    s->started = now;
    due_init(&s->due, options->horizon_us, options->due_limit);
    lanes_init(&s->lanes, options->lane_limit);
    s->cursor_edge = (struct cursor){.next_at = WALL_NONE};
    s->cursors_covered = WALL_NONE;
    s->history.began = WALL_NONE;
    known_init(&s->known, store);
    buffer_init(&s->journal, JOURNAL_OF_A_TURN_MAX);
    status = recover_lost_runs(s, now);
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
        free(value);
    }
    free_chain(&s->attempts, free_report_letter);
    map_done(&s->flights);
    heap_done(&s->cursors);
    due_done(&s->due);
    lanes_done(&s->lanes);
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

void note_run(struct scheduler *s, const struct event_run *event, int64_t task_id)
{
    event_run(&s->journal, event);
    count_run(&s->metrics, task_id, event->task, event->state);
}

static void take_messages(struct scheduler *s, wall now, struct letter *inbox)
{
    while (inbox) {
        struct message *m = (struct message *)inbox;
        inbox = inbox->next;
        s->metrics.messages++;
        if (m->kind == MESSAGE_REPORT) {
            take_report(s, now, m);
            send_attempt(s, m);
            continue;
        }
        if (!s->broken)
            answers[m->kind](s, now, m);
        chain(&s->replies_end, &m->letter);
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

    if (!s->broken)
        went_well(s, store_begin(s->store));
    take_messages(s, now, inbox);
    load_cursors(s, now);
    plan_due_occurrences(s, now);
    start_due_runs(s, now);
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
    wall next = due_load_at(&s->due, now);
    next = earlier(next, plan_next(s, now));
    next = earlier(next, history_next(s));
    if (s->stopping)
        return next;
    if (s->lanes.first && s->flights.count < (size_t)s->options.total_limit)
        return now;
    wall first = due_first(&s->due);
    return wall_is_set(first) ? earlier(next, wall_plus(first, -s->options.claim_ahead_us)) : next;
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
