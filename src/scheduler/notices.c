// Notices: a task's webhook is told of failures, misses and the recovery. A notice is a one-off run
// of its own, made in the transaction of what it tells, so it is signed, tried again and on record;
// having no task, it never causes another. The first failure is told at the end of its turn; what
// follows within the cool-down is counted and told in one notice at the cool-down's end.
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "scheduler/state.h"

#define CHUNK 500
#define DUE_A_TURN 500
#define BODY_MAX (64 << 10)
#define REASONS_MAX 5
#define REASON_TEXT 240
#define OTHERS "other reasons"

struct counted {
    char text[REASON_TEXT];
    int64_t count;
};

// One row of the store as it is held: all of them, since there is one for each task that ever told.
struct teller {
    struct notice notice;    // its reasons are in the list below instead
    struct counted *reasons; // REASONS_MAX + 1, the last for what found no place of its own
    size_t reason_count;     // NULL and 0 while nothing is counted
    bool recovers;           // this turn, by the run below
    run_id success;          // the last one
    bool changed;            // this turn, so it is in the list
    struct teller *next_changed;
};

// --- keeping ---

static void make_room(struct teller *teller)
{
    if (!teller->reasons)
        teller->reasons = memory_array(REASONS_MAX + 1, sizeof *teller->reasons);
}

static void read_reasons(struct teller *teller, const char *text)
{
    json_t *list, *item;
    struct json_place place;
    size_t i;
    if (!text || json_read(text, strlen(text), &list, &place) != STATUS_OK)
        return;
    json_array_foreach(list, i, item)
    {
        const char *reason = json_string_value(json_object_get(item, "reason"));
        if (!reason || teller->reason_count > REASONS_MAX)
            continue;
        make_room(teller);
        snprintf(teller->reasons[teller->reason_count].text, REASON_TEXT, "%s", reason);
        teller->reasons[teller->reason_count++].count =
            json_integer_value(json_object_get(item, "count"));
    }
    json_decref(list);
}

static void write_reasons(struct writer *w, const struct teller *teller)
{
    writer_array(w);
    for (size_t i = 0; i < teller->reason_count; i++) {
        writer_object(w);
        writer_key(w, "reason");
        writer_text_sized(w, teller->reasons[i].text, strlen(teller->reasons[i].text));
        writer_key(w, "count");
        writer_int(w, teller->reasons[i].count);
        writer_end_object(w);
    }
    writer_end_array(w);
}

static void keep(struct scheduler *s, struct teller *teller)
{
    struct buffer reasons;
    buffer_init(&reasons, BODY_MAX);
    struct writer w = writer_on(&reasons);
    write_reasons(&w, teller);
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
    read_reasons(teller, notice->reasons);
    free(notice->reasons);
    notice->reasons = NULL;
    teller->notice = *notice;
    map_put(&s->tellers, (uint64_t)notice->task, teller);
    if (wall_is_set(notice->due_at))
        wait_until(s, teller, notice->due_at);
}

enum status load_notices(struct scheduler *s)
{
    struct notice rows[CHUNK];
    int64_t after = 0;
    size_t count = CHUNK;
    s->tellers_changed_end = &s->tellers_changed;
    while (count == CHUNK) {
        enum status status = store_load_notices(s->store, after, CHUNK, rows, &count);
        if (status != STATUS_OK)
            return status;
        for (size_t i = 0; i < count; i++) {
            after = rows[i].task;
            hold(s, &rows[i]);
        }
    }
    return STATUS_OK;
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
        free(((struct teller *)value)->reasons);
        free(value);
    }
    map_done(&s->tellers);
    map_done(&s->notices_pending);
    heap_done(&s->notices_due);
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

static void count_reason(struct teller *teller, const char *reason)
{
    char text[REASON_TEXT];
    snprintf(text, sizeof text, "%s", reason && *reason ? reason : "no reason given");
    size_t at = 0;
    make_room(teller);
    while (at < teller->reason_count && strcmp(teller->reasons[at].text, text) != 0)
        at++;
    if (at >= REASONS_MAX) {
        at = REASONS_MAX;
        snprintf(text, sizeof text, "%s", OTHERS);
    }
    if (at >= teller->reason_count) {
        teller->reason_count = at + 1;
        memcpy(teller->reasons[at].text, text, sizeof text);
        teller->reasons[at].count = 0;
    }
    teller->reasons[at].count++;
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

static void note_trouble(struct scheduler *s, const struct event_run *event, int64_t task)
{
    struct known_task *known;
    if (!went_well(s, known_task_by_id(&s->known, task, &known)))
        return;
    const struct notify *notify = &known->task->notify;
    bool missed = event->state == RUN_MISSED;
    if (!notify->url || !(notify->on >> (missed ? NOTICE_MISSED : NOTICE_FAILED) & 1))
        return;
    struct teller *teller = teller_of(s, task);
    struct notice *notice = &teller->notice;
    notice->failed += !missed;
    notice->missed += missed;
    notice->first = notice->first.value ? notice->first : event->run;
    notice->last = event->run;
    notice->well = false;
    teller->recovers = false;
    count_reason(teller, event->reason);
    mark(s, teller);
}

void note_outcome(struct scheduler *s, const struct event_run *event, int64_t task)
{
    if (!task || s->broken)
        return;
    if (event->state == RUN_FAILED || event->state == RUN_MISSED)
        note_trouble(s, event, task);
    struct teller *teller =
        event->state == RUN_SUCCEEDED ? map_get(&s->tellers, (uint64_t)task) : NULL;
    if (!teller || teller->notice.well)
        return;
    teller->notice.well = true;
    teller->recovers = teller->notice.failing;
    teller->success = event->run;
    mark(s, teller);
}

// --- telling ---

static void write_run(struct writer *w, const char *key, run_id run)
{
    char id[RUN_ID_TEXT];
    if (run.value)
        run_id_format(run, id);
    writer_key(w, key);
    writer_text(w, run.value ? id : NULL);
}

static void write_link(struct writer *w, run_id run)
{
    char id[RUN_ID_TEXT], link[RUN_ID_TEXT + 16];
    run_id_format(run, id);
    snprintf(link, sizeof link, "/v1/runs/%s", id);
    writer_key(w, "link");
    writer_text(w, link);
}

static void write_body(struct buffer *to, const char *type, const struct known_task *known,
                       const struct teller *teller, wall now)
{
    const struct notice *notice = &teller->notice;
    struct writer w = writer_on(to);
    writer_object(&w);
    writer_key(&w, "type");
    writer_text(&w, type);
    writer_key(&w, "task");
    writer_text(&w, known->record.name);
    writer_key(&w, "at");
    writer_moment(&w, now);
    writer_key(&w, "count");
    writer_int(&w, notice->failed + notice->missed);
    writer_key(&w, "failed");
    writer_int(&w, notice->failed);
    writer_key(&w, "missed");
    writer_int(&w, notice->missed);
    write_run(&w, "first_run", notice->first);
    write_run(&w, "last_run", notice->last);
    writer_key(&w, "reasons");
    write_reasons(&w, teller);
    writer_key(&w, "well");
    writer_bool(&w, notice->well);
    write_run(&w, "success", notice->well ? teller->success : (run_id){0});
    writer_key(&w, "owner");
    writer_text(&w, known->task->runbook.owner);
    writer_key(&w, "noticed_at");
    writer_text(&w, known->task->runbook.noticed_at);
    write_link(&w, notice->last.value ? notice->last : teller->success);
    writer_end_object(&w);
}

// The definition that all notices to one URL share.
static struct task *definition_for(const struct notify *notify)
{
    struct buffer text;
    struct task *task = NULL;
    buffer_init(&text, BODY_MAX);
    struct writer w = writer_on(&text);
    writer_object(&w);
    writer_key(&w, "http");
    writer_object(&w);
    writer_key(&w, "url");
    writer_text(&w, notify->url);
    writer_end_object(&w);
    writer_key(&w, "retry");
    writer_object(&w);
    writer_key(&w, "max_attempts");
    writer_int(&w, 24); // with the waits between: for about twelve hours
    writer_key(&w, "max");
    writer_text(&w, "1h");
    writer_end_object(&w);
    writer_end_object(&w);
    if (task_decode_text(NULL, text.data, text.size, &task) != STATUS_OK)
        task = NULL; // never: the URL was checked with its task
    buffer_done(&text);
    return task;
}

static void send_notice(struct scheduler *s, wall now, struct task *task, struct buffer *body)
{
    struct run run = {
        .id = id_next(&s->ids, now),
        .state = RUN_SCHEDULED,
        .trigger = TRIGGER_NOTICE,
        .scheduled_for = now,
        .due_at = now,
        .started_at = WALL_NONE,
        .finished_at = WALL_NONE,
        .attempt_started_at = WALL_NONE,
        .lane = task->lane,
        .payload = body->data,
        .payload_size = body->size,
        .priority = PRIORITY_PLAIN,
    };
    enum status status = known_definition_row(&s->known, task, now, &run.revision_id);
    if (status == STATUS_OK)
        status = add_run(s, &run);
    if (!went_well(s, status))
        return;
    map_put(&s->notices_pending, (uint64_t)run.id.value, s);
    note_run(s, &(struct event_run){NULL, run.id, RUN_SCHEDULED, now, NULL, WALL_NONE}, 0);
}

static void tell(struct scheduler *s, wall now, const char *type, const struct known_task *known,
                 const struct teller *teller)
{
    struct buffer body;
    struct task *task = definition_for(&known->task->notify);
    buffer_init(&body, BODY_MAX);
    write_body(&body, type, known, teller, now);
    if (task)
        send_notice(s, now, task, &body);
    task_drop(task);
    buffer_done(&body);
}

static void forget_counted(struct teller *teller)
{
    struct notice *notice = &teller->notice;
    notice->failed = notice->missed = 0;
    notice->first = notice->last = (run_id){0};
    notice->due_at = WALL_NONE;
    free(teller->reasons);
    teller->reasons = NULL;
    teller->reason_count = 0;
}

// The first success after a failure that was told of. It takes along what was counted since, so a
// task that fails and recovers in turns tells at most twice in one cool-down.
static void tell_recovery(struct scheduler *s, wall now, const struct known_task *known,
                          struct teller *teller)
{
    teller->recovers = false;
    teller->notice.failing = false;
    if (!(known->task->notify.on >> NOTICE_RECOVERED & 1))
        return;
    tell(s, now, "task.recovered", known, teller);
    forget_counted(teller);
}

static void tell_trouble(struct scheduler *s, wall now, const struct known_task *known,
                         struct teller *teller)
{
    struct notice *notice = &teller->notice;
    wall until = wall_is_set(notice->told_at)
                     ? wall_plus(notice->told_at, known->task->notify.cooldown_us)
                     : now;
    if (until.us > now.us && notice->told_at.us <= now.us) {
        if (notice->due_at.us != until.us)
            wait_until(s, teller, until);
        return;
    }
    tell(s, now, notice->failed ? "task.failing" : "task.missed", known, teller);
    notice->told_at = now;
    notice->failing = !notice->well;
    forget_counted(teller);
}

static void settle(struct scheduler *s, wall now, struct teller *teller)
{
    struct known_task *known;
    if (!went_well(s, known_task_by_id(&s->known, teller->notice.task, &known)))
        return;
    if (known->record.deleted || !known->task->notify.url) {
        teller->notice.failing = teller->recovers = false; // nobody wants to hear of it any more
        forget_counted(teller);
    }
    if (teller->recovers)
        tell_recovery(s, now, known, teller);
    if (teller->notice.failed + teller->notice.missed > 0)
        tell_trouble(s, now, known, teller);
    keep(s, teller);
}

// Those whose cool-down has passed are looked at like those of which something has happened.
static void mark_due(struct scheduler *s, wall now)
{
    for (int i = 0; i < DUE_A_TURN; i++) {
        const struct heap_entry *first = heap_first(&s->notices_due);
        struct heap_entry entry;
        if (!first || first->key > now.us)
            return;
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
}

wall next_notice(const struct scheduler *s)
{
    const struct heap_entry *first = heap_first(&s->notices_due);
    return first ? (wall){first->key} : WALL_NEVER;
}
