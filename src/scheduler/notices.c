// Notices: a task's webhook is told of failures, misses and the recovery. A notice is a one-off run
// of its own, made in the transaction of what it tells, so it is signed, tried again and on record;
// having no task, it never causes another. Here is one task's part: its first failure joins what
// its webhook is told next (group.h) at the end of the turn; what follows within the task's
// cool-down is counted and joins at the cool-down's end. While the webhook has not been told, what
// follows joins at once: the task is named there anyway.
#include <stdlib.h>

#include "base/memory.h"
#include "scheduler/group.h"
#include "scheduler/state.h"

#define CHUNK 500
#define DUE_A_TURN 500
#define REASONS_BYTES_MAX (16 << 10)

// One row of the store as it is held: all of them, since there is one for each task that ever told.
struct teller {
    struct notice notice;   // its reasons are in the list below instead
    struct reasons reasons; // of what is counted
    run_id success;         // the last one
    struct standing joined; // how it stood when it last joined
    bool changed;           // this turn, so it is in the list
    bool edited;            // this turn: its task names another webhook, perhaps, or none
    struct teller *next_changed;
};

// --- keeping ---

static struct standing standing_of(const struct notice *notice)
{
    return (struct standing){notice->well, notice->well && notice->failing};
}

static void keep(struct scheduler *s, struct teller *teller)
{
    struct buffer reasons;
    buffer_init(&reasons, REASONS_BYTES_MAX);
    struct writer w = writer_on(&reasons);
    reasons_write(&w, &teller->reasons);
    teller->notice.reasons = reasons.data;
    went_well(s, store_put_notice(s->store, &teller->notice));
    teller->notice.reasons = NULL;
    buffer_done(&reasons);
}

static void wait_until(struct scheduler *s, struct teller *teller, wall due_at)
{
    teller->notice.due_at = due_at;
    heap_add(&s->notices_due,
             (struct heap_entry){.key = due_at.us, .order = (uint64_t)teller->notice.task});
}

static void hold(struct scheduler *s, struct notice *notice)
{
    struct teller *teller = memory_new(sizeof *teller);
    reasons_read(&teller->reasons, notice->reasons);
    free(notice->reasons);
    notice->reasons = NULL;
    teller->notice = *notice;
    teller->joined = standing_of(notice);
    map_put(&s->tellers, (uint64_t)notice->task, teller);
    if (wall_is_set(notice->due_at))
        wait_until(s, teller, notice->due_at);
}

enum status load_notices(struct scheduler *s)
{
    struct notice rows[CHUNK];
    int64_t after = 0;
    size_t count = CHUNK;
    enum status status = load_groups(s);
    s->tellers_changed_end = &s->tellers_changed;
    while (status == STATUS_OK && count == CHUNK) {
        status = store_load_notices(s->store, after, CHUNK, rows, &count);
        for (size_t i = 0; status == STATUS_OK && i < count; i++) {
            after = rows[i].task;
            hold(s, &rows[i]);
        }
    }
    return status;
}

// Those that are due come with all that is due (due.c).
enum status load_waiting_notices(struct scheduler *s)
{
    run_id runs[CHUNK], after = {0};
    size_t count = CHUNK;
    while (count == CHUNK) {
        enum status status = store_load_waiting_notices(s->store, after, CHUNK, runs, &count);
        if (status != STATUS_OK)
            return status;
        for (size_t i = 0; i < count; i++)
            map_put(&s->notices_pending, (uint64_t)runs[i].value, s);
        if (count)
            after = runs[count - 1];
    }
    return STATUS_OK;
}

void notices_done(struct scheduler *s)
{
    uint64_t key;
    void *value;
    for (size_t at = 0; map_each(&s->tellers, &at, &key, &value);) {
        reasons_done(&((struct teller *)value)->reasons);
        free(value);
    }
    map_done(&s->tellers);
    map_done(&s->notices_pending);
    heap_done(&s->notices_due);
    groups_done(s);
}

// --- noting ---

static void mark(struct scheduler *s, struct teller *teller)
{
    if (teller->changed)
        return;
    teller->changed = true;
    teller->next_changed = NULL;
    *s->tellers_changed_end = teller;
    s->tellers_changed_end = &teller->next_changed;
}

static struct teller *teller_of(struct scheduler *s, int64_t task)
{
    struct teller *teller = map_get(&s->tellers, (uint64_t)task);
    if (!teller) {
        teller = memory_new(sizeof *teller);
        teller->notice =
            (struct notice){.task = task, .told_at = WALL_NONE, .due_at = WALL_NONE, .well = true};
        map_put(&s->tellers, (uint64_t)task, teller);
    }
    return teller;
}

// Before anything new is noted: where the group that it joined has been told since, the webhook
// knows how it stood.
static void note_told(struct scheduler *s, struct notice *notice, const char *url)
{
    if (!notice->told_in || (url && group_has(group_of(s, url), notice->told_in)))
        return;
    notice->failing = !notice->well;
    notice->told_in = 0;
}

static void note_trouble(struct scheduler *s, const struct event_run *event,
                         const struct known_task *known, struct teller *teller)
{
    struct notice *notice = &teller->notice;
    bool missed = event->state == RUN_MISSED;
    note_told(s, notice, known->task->notify.url);
    notice->failed += !missed;
    notice->missed += missed;
    notice->first = notice->first.value ? notice->first : event->run;
    notice->last = event->run;
    notice->well = false;
    reasons_count(&teller->reasons, event->reason, 1);
    mark(s, teller);
}

static void note_success(struct scheduler *s, const struct event_run *event,
                         const struct known_task *known, struct teller *teller)
{
    note_told(s, &teller->notice, known->task->notify.url);
    teller->notice.well = true;
    teller->success = event->run;
    mark(s, teller);
}

void note_edit(struct scheduler *s, int64_t task)
{
    struct teller *teller = map_get(&s->tellers, (uint64_t)task);
    if (!teller)
        return;
    teller->edited = true;
    mark(s, teller);
}

static bool is_told(const struct notify *notify, enum notice_kind kind)
{
    return notify->url && notify->on >> kind & 1;
}

void note_outcome(struct scheduler *s, const struct event_run *event, int64_t task)
{
    bool trouble = event->state == RUN_FAILED || event->state == RUN_MISSED;
    struct known_task *known;
    if (!task || s->broken || (!trouble && event->state != RUN_SUCCEEDED))
        return;
    struct teller *teller = map_get(&s->tellers, (uint64_t)task);
    if (!trouble && (!teller || teller->notice.well))
        return; // as nearly always
    if (!went_well(s, known_task_by_id(&s->known, task, &known)))
        return;
    if (!trouble)
        note_success(s, event, known, teller);
    else if (is_told(&known->task->notify,
                     event->state == RUN_MISSED ? NOTICE_MISSED : NOTICE_FAILED))
        note_trouble(s, event, known, teller_of(s, task));
}

// --- telling ---

static void forget_counted(struct teller *teller)
{
    struct notice *notice = &teller->notice;
    notice->failed = notice->missed = 0;
    notice->first = notice->last = (run_id){0};
    notice->due_at = WALL_NONE;
    reasons_done(&teller->reasons);
}

static void join(struct scheduler *s, wall now, struct group *group, const struct notify *notify,
                 struct teller *teller)
{
    struct notice *notice = &teller->notice;
    struct news news = {
        .notice = notice,
        .reasons = &teller->reasons,
        .success = teller->success,
        .cooldown_us = notify->cooldown_us,
        .before = teller->joined,
        .is = standing_of(notice),
    };
    notice->told_in = group_join(s, now, group, &news);
    teller->joined = news.is;
    forget_counted(teller);
}

// What is counted, or that it has recovered: the first success after a failure that was told of.
// That takes along what was counted since.
static void settle_with(struct scheduler *s, wall now, struct group *group,
                        const struct notify *notify, struct teller *teller)
{
    struct notice *notice = &teller->notice;
    if (notice->well && !is_told(notify, NOTICE_RECOVERED))
        notice->failing = false;
    bool recovers = notice->well && notice->failing;
    if (recovers || group_has(group, notice->told_in)) {
        join(s, now, group, notify, teller);
        return;
    }
    if (notice->failed + notice->missed == 0)
        return;
    wall until =
        wall_is_set(notice->told_at) ? wall_plus(notice->told_at, notify->cooldown_us) : now;
    if (until.us > now.us && notice->told_at.us <= now.us) {
        if (notice->due_at.us != until.us)
            wait_until(s, teller, until);
        return;
    }
    join(s, now, group, notify, teller);
    notice->told_at = now;
}

static void settle(struct scheduler *s, wall now, struct teller *teller)
{
    struct known_task *known;
    if (!went_well(s, known_task_by_id(&s->known, teller->notice.task, &known)))
        return;
    const struct notify *notify = &known->task->notify;
    if (known->record.deleted || !notify->url) {
        teller->notice.failing = false; // nobody wants to hear of it any more
        teller->notice.told_in = 0;
        forget_counted(teller);
    } else {
        if (teller->edited)
            note_told(s, &teller->notice, notify->url); // another webhook's next notice tells it
        settle_with(s, now, group_of(s, notify->url), notify, teller);
    }
    teller->edited = false;
    keep(s, teller);
}

static bool is_due(const struct scheduler *s, wall now)
{
    const struct heap_entry *first = heap_first(&s->notices_due);
    return first && first->key <= now.us;
}

// Those whose cool-down has passed are looked at like those of which something has happened.
static void mark_due(struct scheduler *s, wall now)
{
    for (int i = 0; i < DUE_A_TURN && is_due(s, now); i++) {
        struct heap_entry entry;
        heap_take(&s->notices_due, &entry);
        struct teller *teller = map_get(&s->tellers, entry.order);
        if (teller && teller->notice.due_at.us == entry.key)
            mark(s, teller);
    }
}

void tell_notices(struct scheduler *s, wall now)
{
    if (s->broken)
        return;
    mark_due(s, now);
    while (s->tellers_changed && !s->broken) {
        struct teller *teller = s->tellers_changed;
        s->tellers_changed = teller->next_changed;
        teller->changed = false;
        settle(s, now, teller);
    }
    s->tellers_changed_end = &s->tellers_changed;
    send_groups(s, now, is_due(s, now)); // with those that are due now, where these are too many
}

wall next_notice(const struct scheduler *s)
{
    const struct heap_entry *first = heap_first(&s->notices_due);
    wall group = next_group(s);
    return first && first->key < group.us ? (wall){first->key} : group;
}
