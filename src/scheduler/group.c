#include "scheduler/group.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "scheduler/state.h"

#define CHUNK 100
#define DUE_A_TURN 500
#define BODY_MAX (64 << 10)
#define NAMED_MAX 20

// One of the tasks that a notice names.
struct named {
    int64_t task, failed, missed;
    run_id first, last, success;
    struct standing standing;
    char reason[REASON_TEXT]; // of its first run that failed; "" where none did
};

struct group {
    struct webhook webhook; // its texts are below instead, but for the URL
    struct reasons reasons;
    struct named *named; // NAMED_MAX; NULL while nothing is to be told
    size_t named_count;
    uint64_t key; // in the map of all groups
    wall due_at;  // WALL_NONE: nothing is to be told
    bool changed; // this turn, so it is in the list
    struct group *next_changed;
};

// --- keeping ---

static const char *text_of(const json_t *item, const char *name)
{
    const char *text = json_string_value(json_object_get(item, name));
    return text ? text : "";
}

static int64_t number_of(const json_t *item, const char *name)
{
    return json_integer_value(json_object_get(item, name));
}

static bool is_true(const json_t *item, const char *name)
{
    return json_is_true(json_object_get(item, name));
}

static struct named *add_named(struct group *group)
{
    if (!group->named)
        group->named = memory_array(NAMED_MAX, sizeof *group->named);
    struct named *named = &group->named[group->named_count++];
    *named = (struct named){0};
    return named;
}

static void read_named(struct group *group, const char *text)
{
    json_t *list, *item;
    struct json_place place;
    size_t i;
    if (!text || json_read(text, strlen(text), &list, &place) != STATUS_OK)
        return;
    json_array_foreach(list, i, item)
    {
        if (group->named_count == NAMED_MAX)
            break;
        struct named *named = add_named(group);
        *named = (struct named){
            .task = number_of(item, "task"),
            .failed = number_of(item, "failed"),
            .missed = number_of(item, "missed"),
            .first = {number_of(item, "first")},
            .last = {number_of(item, "last")},
            .success = {number_of(item, "success")},
            .standing = {is_true(item, "well"), is_true(item, "recovered")},
        };
        snprintf(named->reason, sizeof named->reason, "%s", text_of(item, "reason"));
    }
    json_decref(list);
}

static void write_named(struct writer *w, const struct group *group)
{
    writer_array(w);
    for (size_t i = 0; i < group->named_count; i++) {
        const struct named *named = &group->named[i];
        writer_object(w);
        member_int(w, "task", named->task);
        member_int(w, "failed", named->failed);
        member_int(w, "missed", named->missed);
        member_int(w, "first", named->first.value);
        member_int(w, "last", named->last.value);
        member_int(w, "success", named->success.value);
        member_bool(w, "well", named->standing.well);
        member_bool(w, "recovered", named->standing.recovered);
        member_text(w, "reason", named->reason);
        writer_end_object(w);
    }
    writer_end_array(w);
}

static void keep(struct scheduler *s, struct group *group)
{
    struct buffer reasons, named;
    buffer_init(&reasons, BODY_MAX);
    buffer_init(&named, BODY_MAX);
    struct writer w = writer_on(&reasons);
    reasons_write(&w, &group->reasons);
    w = writer_on(&named);
    write_named(&w, group);
    group->webhook.reasons = reasons.data;
    group->webhook.named = named.data;
    went_well(s, store_put_webhook(s->store, &group->webhook));
    group->webhook.reasons = group->webhook.named = NULL;
    buffer_done(&reasons);
    buffer_done(&named);
}

static void wait_until(struct scheduler *s, struct group *group, wall due_at)
{
    if (group->due_at.us == due_at.us)
        return;
    group->due_at = due_at;
    heap_add(&s->groups_due, (struct heap_entry){.key = due_at.us, .order = group->key});
}

static void mark(struct scheduler *s, struct group *group)
{
    if (group->changed)
        return;
    group->changed = true;
    group->next_changed = NULL;
    *s->groups_changed_end = group;
    s->groups_changed_end = &group->next_changed;
}

static void empty(struct group *group)
{
    struct webhook *webhook = &group->webhook;
    *webhook = (struct webhook){.id = webhook->id,
                                .url = webhook->url,
                                .told_at = webhook->told_at,
                                .recovered_at = webhook->recovered_at};
    reasons_done(&group->reasons);
    free(group->named);
    group->named = NULL;
    group->named_count = 0;
    group->due_at = WALL_NONE;
}

// None is ever taken out, so one whose place another has is found behind it.
static struct group *find(const struct scheduler *s, const char *url, uint64_t *ret_key)
{
    struct group *group;
    *ret_key = hash_bytes(url, strlen(url));
    while ((group = map_get(&s->groups, *ret_key)) && strcmp(group->webhook.url, url) != 0)
        (*ret_key)++;
    return group;
}

static struct group *add_group(struct scheduler *s, uint64_t key, const struct webhook *webhook)
{
    struct group *group = memory_new(sizeof *group);
    group->webhook = *webhook;
    group->key = key;
    group->due_at = WALL_NONE;
    map_put(&s->groups, key, group);
    if (webhook->id > s->last_webhook)
        s->last_webhook = webhook->id;
    return group;
}

struct group *group_of(struct scheduler *s, const char *url)
{
    uint64_t key;
    struct group *group = find(s, url, &key);
    if (group)
        return group;
    return add_group(s, key,
                     &(struct webhook){.id = s->last_webhook + 1,
                                       .url = memory_text(url),
                                       .told_at = WALL_NONE,
                                       .recovered_at = WALL_NONE});
}

static void hold(struct scheduler *s, struct webhook *webhook)
{
    uint64_t key;
    char *reasons = webhook->reasons, *named = webhook->named;
    webhook->reasons = webhook->named = NULL;
    find(s, webhook->url, &key);
    struct group *group = add_group(s, key, webhook);
    reasons_read(&group->reasons, reasons);
    read_named(group, named);
    free(reasons);
    free(named);
    if (webhook->group > s->ids.last)
        s->ids.last = webhook->group;
    if (webhook->group)
        wait_until(s, group, (wall){0}); // the first turn sees when it is really due
}

enum status load_groups(struct scheduler *s)
{
    struct webhook rows[CHUNK];
    size_t count = CHUNK;
    s->groups_changed_end = &s->groups_changed;
    while (count == CHUNK) {
        enum status status = store_load_webhooks(s->store, s->last_webhook, CHUNK, rows, &count);
        if (status != STATUS_OK)
            return status;
        for (size_t i = 0; i < count; i++)
            hold(s, &rows[i]);
    }
    return STATUS_OK;
}

void groups_done(struct scheduler *s)
{
    uint64_t key;
    void *value;
    for (size_t at = 0; map_each(&s->groups, &at, &key, &value);) {
        struct group *group = value;
        empty(group);
        free(group->webhook.url);
        free(group);
    }
    map_done(&s->groups);
    heap_done(&s->groups_due);
}

// --- joining ---

bool group_has(const struct group *group, int64_t number)
{
    return number && group->webhook.group == number;
}

static struct named *find_named(const struct group *group, int64_t task)
{
    for (size_t i = 0; i < group->named_count; i++)
        if (group->named[i].task == task)
            return &group->named[i];
    return NULL;
}

// Where all places are taken, one that fails gets that of one that has recovered.
static struct named *place_for(struct group *group, int64_t task, bool fails)
{
    struct named *named = find_named(group, task);
    if (named)
        return named;
    if (group->named_count < NAMED_MAX)
        return add_named(group);
    for (size_t i = 0; fails && i < group->named_count; i++)
        if (group->named[i].standing.recovered) {
            group->named[i] = (struct named){0};
            return &group->named[i];
        }
    return NULL;
}

static void name(struct group *group, const struct news *news)
{
    const struct notice *notice = news->notice;
    struct named *named = place_for(group, notice->task, !news->is.recovered);
    if (!named)
        return;
    named->task = notice->task;
    named->failed += notice->failed;
    named->missed += notice->missed;
    named->first = named->first.value ? named->first : notice->first;
    named->last = notice->last.value ? notice->last : named->last;
    named->success = news->is.well ? news->success : (run_id){0};
    named->standing = news->is;
    if (!named->reason[0] && news->reasons->count)
        snprintf(named->reason, sizeof named->reason, "%s", news->reasons->list[0].text);
}

int64_t group_join(struct scheduler *s, wall now, struct group *group, const struct news *news)
{
    struct webhook *webhook = &group->webhook;
    const struct notice *notice = news->notice;
    // It is here already also where it has joined another one since, or was deleted.
    const struct named *named = find_named(group, notice->task);
    bool comes = !named && !group_has(group, notice->told_in);
    struct standing before = named ? named->standing : news->before;
    if (!webhook->group)
        webhook->group = id_next(&s->ids, now).value; // never the same twice
    if (!webhook->cooldown_us || news->cooldown_us < webhook->cooldown_us)
        webhook->cooldown_us = news->cooldown_us;
    webhook->tasks += comes;
    webhook->well += news->is.well - (!comes && before.well);
    webhook->recovered += news->is.recovered - (!comes && before.recovered);
    webhook->failed += notice->failed;
    webhook->missed += notice->missed;
    webhook->first = webhook->first.value ? webhook->first : notice->first;
    webhook->last = notice->last.value ? notice->last : webhook->last;
    for (size_t i = 0; i < news->reasons->count; i++)
        reasons_count(&group->reasons, news->reasons->list[i].text, news->reasons->list[i].count);
    name(group, news);
    mark(s, group);
    return webhook->group;
}

// --- the notice ---

static void write_run(struct writer *w, const char *key, run_id run)
{
    char id[RUN_ID_TEXT];
    if (run.value)
        run_id_format(run, id);
    member_text(w, key, run.value ? id : NULL);
}

static void write_link(struct writer *w, run_id run)
{
    char id[RUN_ID_TEXT], link[RUN_ID_TEXT + 16];
    run_id_format(run, id);
    snprintf(link, sizeof link, "/v1/runs/%s", id);
    member_text(w, "link", link);
}

static void write_counts(struct writer *w, int64_t failed, int64_t missed, run_id first,
                         run_id last)
{
    member_int(w, "count", failed + missed);
    member_int(w, "failed", failed);
    member_int(w, "missed", missed);
    write_run(w, "first_run", first);
    write_run(w, "last_run", last);
}

static void write_well(struct writer *w, const struct named *named)
{
    member_bool(w, "well", named->standing.well);
    write_run(w, "success", named->success);
}

static const char *kind_of(const struct named *named)
{
    if (named->standing.recovered)
        return "task.recovered";
    return named->failed ? "task.failing" : "task.missed";
}

static run_id run_to_see(const struct named *named)
{
    return named->last.value ? named->last : named->success;
}

// About one task, with all that is known of it.
static void write_one(struct writer *w, wall now, const struct group *group,
                      const struct known_task *known)
{
    const struct named *named = &group->named[0];
    member_text(w, "type", kind_of(named));
    member_text(w, "task", known->record.name);
    writer_key(w, "at");
    writer_moment(w, now);
    write_counts(w, named->failed, named->missed, named->first, named->last);
    writer_key(w, "reasons");
    reasons_write(w, &group->reasons);
    write_well(w, named);
    member_text(w, "owner", known->task->runbook.owner);
    member_text(w, "noticed_at", known->task->runbook.noticed_at);
    write_link(w, run_to_see(named));
}

static void write_named_task(struct writer *w, const struct named *named,
                             const struct known_task *known)
{
    writer_object(w);
    member_text(w, "type", kind_of(named));
    member_text(w, "task", known->record.name);
    write_counts(w, named->failed, named->missed, named->first, named->last);
    member_text(w, "reason", named->reason[0] ? named->reason : NULL);
    write_well(w, named);
    write_link(w, run_to_see(named));
    writer_end_object(w);
}

static const char *kind_of_all(const struct webhook *webhook)
{
    if (webhook->recovered == webhook->tasks)
        return "tasks.recovered";
    return webhook->failed ? "tasks.failing" : "tasks.missed";
}

// About several. `known`: of those named, in their order.
static void write_several(struct writer *w, wall now, const struct group *group,
                          struct known_task *const *known)
{
    const struct webhook *webhook = &group->webhook;
    member_text(w, "type", kind_of_all(webhook));
    writer_key(w, "at");
    writer_moment(w, now);
    write_counts(w, webhook->failed, webhook->missed, webhook->first, webhook->last);
    writer_key(w, "reasons");
    reasons_write(w, &group->reasons);
    member_bool(w, "well", webhook->well == webhook->tasks);
    member_int(w, "task_count", webhook->tasks);
    member_int(w, "recovered", webhook->recovered);
    member_array(w, "tasks");
    for (int recovered = 0; recovered <= 1; recovered++)
        for (size_t i = 0; i < group->named_count; i++)
            if (group->named[i].standing.recovered == recovered)
                write_named_task(w, &group->named[i], known[i]);
    writer_end_array(w);
}

// The definition that all notices to one URL share.
static struct task *definition_for(const char *url)
{
    struct buffer text;
    struct task *task = NULL;
    buffer_init(&text, BODY_MAX);
    struct writer w = writer_on(&text);
    writer_object(&w);
    member_object(&w, "http");
    member_text(&w, "url", url);
    writer_end_object(&w);
    member_object(&w, "retry");
    member_int(&w, "max_attempts", 24); // with the waits between: for about twelve hours
    member_text(&w, "max", "1h");
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

// --- sending ---

// Of those named, who want nobody told any more are left out; what failed while a task named this
// webhook is told here, also when it names another one since. False where nobody is left.
static bool leave_out_strangers(struct scheduler *s, struct group *group, struct known_task **ret)
{
    struct webhook *webhook = &group->webhook;
    size_t kept = 0;
    for (size_t i = 0; i < group->named_count; i++) {
        const struct named *named = &group->named[i];
        enum status status = known_task_by_id(&s->known, named->task, &ret[kept]);
        if (status != STATUS_NOT_FOUND && !went_well(s, status))
            return false;
        if (status == STATUS_OK && !ret[kept]->record.deleted && ret[kept]->task->notify.url) {
            group->named[kept++] = *named;
            continue;
        }
        webhook->tasks--;
        webhook->well -= named->standing.well;
        webhook->recovered -= named->standing.recovered;
        webhook->failed -= named->failed;
        webhook->missed -= named->missed;
    }
    group->named_count = kept;
    return webhook->tasks > 0;
}

static void tell(struct scheduler *s, wall now, struct group *group)
{
    struct known_task *known[NAMED_MAX];
    bool is_one = group->webhook.tasks == 1 && group->named_count == 1;
    struct buffer body;
    struct task *task = NULL;
    buffer_init(&body, BODY_MAX);
    if (!leave_out_strangers(s, group, known))
        goto done;
    struct writer w = writer_on(&body);
    writer_object(&w);
    if (is_one)
        write_one(&w, now, group, known[0]);
    else
        write_several(&w, now, group, known);
    writer_end_object(&w);
    task = definition_for(group->webhook.url);
    if (task)
        send_notice(s, now, task, &body);
    if (group->webhook.tasks > group->webhook.recovered)
        group->webhook.told_at = now;
    if (group->webhook.recovered)
        group->webhook.recovered_at = now;
done:
    task_drop(task);
    buffer_done(&body);
    empty(group);
}

// When what was told at `told_at` may be followed by more of its kind.
static wall rested(const struct webhook *webhook, wall told_at, wall now)
{
    if (!wall_is_set(told_at) || told_at.us > now.us) // never, or the clock was set back
        return now;
    return wall_plus(told_at, webhook->cooldown_us);
}

static wall due_of(const struct webhook *webhook, wall now)
{
    wall due = WALL_NEVER;
    if (webhook->tasks > webhook->recovered)
        due = rested(webhook, webhook->told_at, now);
    if (webhook->recovered) {
        wall recovery = rested(webhook, webhook->recovered_at, now);
        due = recovery.us < due.us ? recovery : due;
    }
    return due;
}

static void mark_due(struct scheduler *s, wall now)
{
    for (int i = 0; i < DUE_A_TURN; i++) {
        const struct heap_entry *first = heap_first(&s->groups_due);
        struct heap_entry entry;
        if (!first || first->key > now.us)
            return;
        heap_take(&s->groups_due, &entry);
        struct group *group = map_get(&s->groups, entry.order);
        if (!group->webhook.group || group->due_at.us != entry.key)
            continue; // it was told sooner
        group->due_at = WALL_NONE;
        mark(s, group);
    }
}

void send_groups(struct scheduler *s, wall now, bool wait)
{
    mark_due(s, now);
    while (s->groups_changed && !s->broken) {
        struct group *group = s->groups_changed;
        s->groups_changed = group->next_changed;
        group->changed = false;
        wall due = due_of(&group->webhook, now);
        if (due.us <= now.us && !wait)
            tell(s, now, group);
        else
            wait_until(s, group, due);
        keep(s, group);
    }
    s->groups_changed_end = &s->groups_changed;
}

wall next_group(const struct scheduler *s)
{
    const struct heap_entry *first = heap_first(&s->groups_due);
    return first ? (wall){first->key} : WALL_NEVER;
}
