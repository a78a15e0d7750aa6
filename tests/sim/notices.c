// Notices, against what docs/operate/failures.md says of them.
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/memory.h"
#include "sim/world.h"
#include "store/verbs.h"

#define NAME "notices" // the promise
#define ATTEMPTS 24    // docs/operate/failures.md

static bool odds(struct random *chance, int in_hundred)
{
    return random_below(chance, 100) < in_hundred;
}

// --- a life, and its definitions ---

static void make_webhook(struct world *w, int n)
{
    static const char format[] = "{\"http\":{\"url\":\"http://10.0.0.%d/tell/%d\"},"
                                 "\"retry\":{\"max_attempts\":%d,\"max\":\"PT1H\"}}";
    struct spec *spec = &w->specs[w->spec_count];
    char text[300];
    struct told_webhook *webhook = &w->notices.webhooks[n];
    *webhook = (struct told_webhook){
        .spec = w->spec_count++, .failed_at = WALL_NONE, .recovered_at = WALL_NONE};
    *spec = (struct spec){
        .max_attempts = ATTEMPTS,
        .initial_us = 5 * SECOND,
        .max_us = HOUR,
        .timeout_us = 30 * SECOND,
        .endpoint = (int)random_below(&w->notices.chance, ENDPOINTS),
        .policy = {.priority = PRIORITY_PLAIN, .catch_up = CATCH_UP_LATEST, .catch_up_max = 100}};
    snprintf(text, sizeof text, format, spec->endpoint + 1, n, ATTEMPTS);
    spec->text = memory_text(text);
    if (task_decode_text(NULL, text, strlen(text), &spec->task) != STATUS_OK)
        broken(w, "sim", "the definition of a notice was not understood: %s", text);
}

void notices_choose(struct world *w)
{
    struct notices *notices = &w->notices;
    random_seed(&notices->chance, w->settings.seed * 43 + 17);
    notices->on = odds(&notices->chance, 35);
    for (int i = 0; i < TASKS; i++)
        notices->tasks[i] = (struct told_task){.well = true, .rested_from = WALL_NONE};
    for (int i = 0; i < WEBHOOKS && notices->on; i++)
        make_webhook(w, i);
}

void notices_draw(struct world *w, struct spec *spec, const struct spec *old)
{
    static const int64_t cooldowns[] = {5 * SECOND, MINUTE, 15 * MINUTE, 2 * HOUR, 6 * HOUR};
    static const unsigned kinds[] = {TELL_ALL,    TELL_ALL,
                                     TELL_ALL,    TELL_FAILED | TELL_RECOVERED,
                                     TELL_FAILED, TELL_MISSED | TELL_RECOVERED};
    struct random *chance = &w->notices.chance;
    if (!w->notices.on)
        return;
    if (old && odds(chance, 60)) {
        spec->notify = old->notify;
        return;
    }
    spec->notify =
        (struct wish_to_know){.on = odds(chance, 75),
                              .webhook = odds(chance, 60) ? 0 : (int)random_below(chance, WEBHOOKS),
                              .kinds = kinds[random_below(chance, 6)],
                              .cooldown_us = cooldowns[random_below(chance, 5)]};
}

void notices_write(const struct world *w, const struct wish_to_know *wish, char *text, size_t size)
{
    *text = '\0';
    if (!wish->on)
        return;
    int n = wish->webhook, endpoint = w->specs[w->notices.webhooks[n].spec].endpoint;
    snprintf(
        text, size,
        ",\"notify\":{\"url\":\"http://10.0.0.%d/tell/%d\",\"cooldown\":\"PT%dS\",\"on\":[%s%s%s]}",
        endpoint + 1, n, (int)(wish->cooldown_us / SECOND),
        wish->kinds & TELL_FAILED ? "\"failed\"" : "",
        wish->kinds & TELL_MISSED ? &",\"missed\""[!(wish->kinds & TELL_FAILED)] : "",
        wish->kinds & TELL_RECOVERED ? ",\"recovered\"" : "");
}

// --- what is written, heard at the store ---

struct told {
    enum { TOLD_ENDED, TOLD_DEFINED, TOLD_REMOVED, TOLD_NOTICE } kind;
    int64_t row; // of the task; a notice: of its definition
    run_id run;
    enum run_state state;
    char *text; // a definition, the body of a notice
    wall due_at;
};

static struct {
    struct world *world;
    struct store_verbs before;
    struct told *list;
    size_t count, room, committed;
} heard;

static struct told *note(struct told told)
{
    if (heard.count == heard.room) {
        heard.room = heard.room ? heard.room * 2 : 256;
        heard.list = memory_resize(heard.list, heard.room, sizeof *heard.list);
    }
    heard.list[heard.count] = told;
    return &heard.list[heard.count++];
}

static void forget_from(size_t count)
{
    while (heard.count > count)
        free(heard.list[--heard.count].text);
}

static int64_t row_of(run_id run)
{
    return (int64_t)(intptr_t)map_get(&heard.world->notices.rows, (uint64_t)run.value);
}

static void note_end(run_id run, enum run_state state)
{
    bool tells = state == RUN_FAILED || state == RUN_MISSED || state == RUN_SUCCEEDED;
    if (tells && row_of(run))
        note((struct told){.kind = TOLD_ENDED, .row = row_of(run), .run = run, .state = state});
}

static char *body_of(const struct run *run)
{
    char *text = memory_new(run->payload_size + 1);
    memcpy(text, run->payload, run->payload_size);
    return text;
}

static enum status hear_add(struct store *s, const struct run *run)
{
    enum status status = heard.before.add_run(s, run);
    if (status != STATUS_OK)
        return status;
    if (run->task)
        map_put(&heard.world->notices.rows, (uint64_t)run->id.value, (void *)(intptr_t)run->task);
    if (run->trigger == TRIGGER_NOTICE)
        note((struct told){.kind = TOLD_NOTICE,
                           .row = run->revision_id,
                           .run = run->id,
                           .text = body_of(run),
                           .due_at = run->due_at});
    note_end(run->id, run->state);
    return status;
}

static enum status hear_end(struct store *s, run_id id, enum run_state state, const char *reason,
                            wall now)
{
    enum status status = heard.before.end_run(s, id, state, reason, now);
    if (status == STATUS_OK)
        note_end(id, state);
    return status;
}

static enum status hear_attempt(struct store *s, const struct attempt *attempt,
                                const struct verdict *verdict, wall now)
{
    enum status status = heard.before.finish_attempt(s, attempt, verdict, now);
    if (status == STATUS_OK)
        note_end(attempt->run, verdict->state);
    return status;
}

static enum status hear_save(struct store *s, struct task_record *record, const struct edit *edit)
{
    enum status status = heard.before.save_task(s, record, edit);
    if (status == STATUS_OK)
        note((struct told){
            .kind = TOLD_DEFINED, .row = record->id, .text = memory_text(record->definition)});
    return status;
}

static enum status hear_mark(struct store *s, const struct task_record *record, const char *what,
                             const struct edit *edit)
{
    enum status status = heard.before.mark_task(s, record, what, edit);
    if (status == STATUS_OK && record->deleted)
        note((struct told){.kind = TOLD_REMOVED, .row = record->id});
    return status;
}

static enum status hear_commit(struct store *s)
{
    enum status status = heard.before.commit(s);
    if (disk_committed())
        heard.committed = heard.count;
    else
        forget_from(heard.committed);
    return status;
}

static void hear_rollback(struct store *s)
{
    heard.before.rollback(s);
    forget_from(heard.committed);
}

void notices_watch(struct world *w, struct store_verbs *verbs)
{
    if (!w->notices.on)
        return;
    heard.world = w;
    heard.before = *verbs;
    verbs->add_run = hear_add;
    verbs->end_run = hear_end;
    verbs->finish_attempt = hear_attempt;
    verbs->save_task = hear_save;
    verbs->mark_task = hear_mark;
    verbs->commit = hear_commit;
    verbs->rollback = hear_rollback;
}

void notices_end(struct world *w)
{
    forget_from(0);
    free(heard.list);
    heard.list = NULL;
    heard.room = heard.committed = 0;
    for (int i = 0; i < TASKS; i++)
        free(w->notices.tasks[i].troubles);
    for (size_t i = 0; i < w->notices.body_count; i++)
        free(w->notices.bodies[i]);
    free(w->notices.bodies);
    map_done(&w->notices.rows);
}

const char *notice_of(const struct world *w, const struct owed *run)
{
    return run->notice ? w->notices.bodies[run->notice - 1] : NULL;
}

// --- what a task has to tell ---

static const struct wish_to_know *wish_of(const struct world *w, const struct told_task *t)
{
    const struct wish_to_know *wish = t->alive ? &w->specs[t->spec].notify : NULL;
    return wish && wish->on ? wish : NULL;
}

static bool is_asked_for(const struct wish_to_know *wish, enum run_state state)
{
    return wish->kinds & (state == RUN_MISSED ? TELL_MISSED : TELL_FAILED);
}

static void went_wrong(struct world *w, struct told_task *t, const struct told *told)
{
    const struct wish_to_know *wish = wish_of(w, t);
    if (!t->alive)
        t->unsure = true; // it may come again, and what was counted of it is forgotten
    if (!wish || !is_asked_for(wish, told->state))
        return;
    if (t->count == t->room) {
        t->room = t->room ? t->room * 2 : 32;
        t->troubles = memory_resize(t->troubles, t->room, sizeof *t->troubles);
    }
    t->troubles[t->count++] = (struct trouble){
        .run = told->run, .missed = told->state == RUN_MISSED, .since = wall_of(w)};
    t->well = t->unsure = false;
    trace(w, "%s of t%d is to be told of", id_text(told->run), (int)(t - w->notices.tasks));
    w->verdict->figures.troubles++;
}

static void went_well(struct world *w, struct told_task *t, const struct told *told)
{
    const struct wish_to_know *wish = wish_of(w, t);
    if (!t->well) {
        t->success = told->run;
        t->success_start = w->start_count;
        t->well_since = wall_of(w);
        if (!wish || !(wish->kinds & TELL_RECOVERED))
            t->believed = t->believed == FAILING ? PERHAPS_FAILING : t->believed;
    }
    t->well = true;
}

static void has_ended(struct world *w, struct told_task *t, const struct told *told)
{
    if (told->state == RUN_SUCCEEDED)
        went_well(w, t, told);
    else
        went_wrong(w, t, told);
}

// --- definitions ---

static void leave(struct world *w, struct told_task *t, const struct wish_to_know *wish)
{
    struct told_webhook *webhook = &w->notices.webhooks[wish->webhook];
    if (!webhook->strangers || t->least_us < webhook->least_us)
        webhook->least_us = t->least_us;
    webhook->strangers = true;
    t->rested_from = wall_of(w);
}

static void forget(struct told_task *t)
{
    for (size_t i = 0; i < t->count; i++)
        t->troubles[i].may_be_forgotten = true;
    if (t->believed == FAILING)
        t->believed = PERHAPS_FAILING;
    t->unsure = true;
}

static void was_removed(struct world *w, struct told_task *t)
{
    const struct wish_to_know *wish = wish_of(w, t);
    if (wish)
        leave(w, t, wish);
    forget(t);
    t->alive = false;
}

static void has_moved(struct told_task *t)
{
    for (size_t i = 0; i < t->count; i++) {
        struct trouble *trouble = &t->troubles[i];
        trouble->moved = true;
        trouble->most_us = t->most_us > trouble->most_us ? t->most_us : trouble->most_us;
    }
    t->moved = true;
    // What has joined the other webhook's next notice is told there.
    if (t->count || (t->well && t->believed == FAILING))
        t->believed = PERHAPS_FAILING;
}

static void was_defined(struct world *w, struct told_task *t, int spec)
{
    const struct wish_to_know *old = wish_of(w, t);
    t->alive = true;
    t->spec = spec;
    const struct wish_to_know *wish = wish_of(w, t);
    if (wish)
        trace(w, "t%d tells webhook %d of %u, at most every %lld s", (int)(t - w->notices.tasks),
              wish->webhook, wish->kinds, (long long)(wish->cooldown_us / SECOND));
    if (old && (!wish || wish->webhook != old->webhook))
        leave(w, t, old);
    if (!wish)
        forget(t);
    else if (old && wish->webhook != old->webhook)
        has_moved(t);
    if (!wish)
        return;
    bool waits = t->count || (t->well && t->believed != NOT_FAILING);
    if (!waits || !t->least_us || wish->cooldown_us < t->least_us)
        t->least_us = wish->cooldown_us;
    if (!waits || wish->cooldown_us > t->most_us)
        t->most_us = wish->cooldown_us;
    if (!(wish->kinds & TELL_RECOVERED) && t->believed == FAILING)
        t->believed = PERHAPS_FAILING;
}

// --- a notice ---

struct entry { // a task in it
    int task;
    const json_t *said;
    int64_t failed, missed;
    bool recovered, well;
};

struct notice_read {
    int webhook;
    wall now;
    const json_t *said;
    struct entry entries[TASKS];
    size_t count, recovered;
};

static const char *text_in(const json_t *said, const char *key)
{
    const char *text = json_string_value(json_object_get(said, key));
    return text ? text : "";
}

static int64_t number_in(const json_t *said, const char *key)
{
    return json_integer_value(json_object_get(said, key));
}

static run_id run_in(const json_t *said, const char *key)
{
    run_id run = {0};
    const char *text = text_in(said, key);
    if (*text && run_id_parse(text, &run) != STATUS_OK)
        run.value = -1;
    return run;
}

static struct told_task *task_in(struct world *w, const struct entry *entry)
{
    return &w->notices.tasks[entry->task];
}

static bool still_tells(struct world *w, const struct entry *entry, int webhook)
{
    const struct wish_to_know *wish = wish_of(w, task_in(w, entry));
    return wish && wish->webhook == webhook;
}

static bool has_entry(const struct notice_read *notice, int task)
{
    for (size_t i = 0; i < notice->count; i++)
        if (notice->entries[i].task == task)
            return true;
    return false;
}

static void read_entry(struct world *w, struct notice_read *notice, const json_t *said)
{
    int task = task_of(text_in(said, "task"));
    const char *type = text_in(said, "type");
    if (task < 0 || task >= TASKS || has_entry(notice, task))
        broken(w, NAME, "a notice is about %s, which is no task or stands there twice",
               text_in(said, "task"));
    struct entry *entry = &notice->entries[notice->count++];
    *entry = (struct entry){.task = task,
                            .said = said,
                            .failed = number_in(said, "failed"),
                            .missed = number_in(said, "missed"),
                            .well = json_is_true(json_object_get(said, "well")),
                            .recovered = strcmp(type, "task.recovered") == 0};
    notice->recovered += entry->recovered;
    if (number_in(said, "count") != entry->failed + entry->missed)
        broken(w, NAME, "of t%d %lld runs are told, which are not those that failed and missed",
               task, (long long)number_in(said, "count"));
    if (!entry->recovered && strcmp(type, entry->failed ? "task.failing" : "task.missed") != 0)
        broken(w, NAME, "of t%d %lld failed runs are told as %s", task, (long long)entry->failed,
               type);
}

static void read_notice(struct world *w, struct notice_read *notice)
{
    const char *type = text_in(notice->said, "type");
    const json_t *list = json_object_get(notice->said, "tasks");
    char moment[MOMENT_TEXT];
    if (!list)
        read_entry(w, notice, notice->said);
    for (size_t i = 0; i < json_array_size(list) && i < TASKS; i++)
        read_entry(w, notice, json_array_get(list, i));
    wall_format(notice->now, moment);
    if (strcmp(text_in(notice->said, "at"), moment) != 0 || notice->count == 0)
        broken(w, NAME, "a notice of %s is made at %s, about %zu tasks",
               text_in(notice->said, "at"), moment, notice->count);
    if (!list)
        return;
    int64_t failed = 0, missed = 0, well = 0;
    for (size_t i = 0; i < notice->count; i++) {
        failed += notice->entries[i].failed;
        missed += notice->entries[i].missed;
        well += notice->entries[i].well;
    }
    if (failed != number_in(notice->said, "failed") ||
        missed != number_in(notice->said, "missed") ||
        failed + missed != number_in(notice->said, "count") ||
        (int64_t)notice->count != number_in(notice->said, "task_count") ||
        (int64_t)notice->recovered != number_in(notice->said, "recovered") ||
        (well == (int64_t)notice->count) != json_is_true(json_object_get(notice->said, "well")))
        broken(w, NAME, "a notice counts otherwise than its tasks do: %.300s",
               notice_of(w, &w->runs[w->run_count - 1]));
    const char *right = notice->recovered == notice->count ? "tasks.recovered"
                        : failed                           ? "tasks.failing"
                                                           : "tasks.missed";
    if (strcmp(type, right) != 0)
        broken(w, NAME, "a notice is of the type %s, and should be %s", type, right);
}

// The reasons are of the runs that are told, and of those of tasks that have gone.
static void check_reasons(struct world *w, const struct notice_read *notice)
{
    int64_t count = 0, told = number_in(notice->said, "count");
    const json_t *list = json_object_get(notice->said, "reasons");
    for (size_t i = 0; i < json_array_size(list); i++)
        count += number_in(json_array_get(list, i), "count");
    if (count < told || (count > told && !w->notices.webhooks[notice->webhook].strangers))
        broken(w, NAME, "a notice tells of %lld runs, and of %lld reasons", (long long)told,
               (long long)count);
}

// No storm: each kind rests for the shortest cool-down of the tasks that are told of, unless the
// other kind has rested and takes it along.
static void check_rest(struct world *w, const struct notice_read *notice)
{
    struct told_webhook *webhook = &w->notices.webhooks[notice->webhook];
    int64_t least = webhook->strangers ? webhook->least_us : INT64_MAX;
    for (size_t i = 0; i < notice->count; i++) {
        int64_t of_task = task_in(w, &notice->entries[i])->least_us;
        least = of_task < least ? of_task : least;
    }
    wall now = notice->now, failed = webhook->failed_at, recovered = webhook->recovered_at;
    bool may_fail = notice->recovered < notice->count &&
                    (!wall_is_set(failed) || failed.us > now.us || now.us - failed.us >= least);
    bool may_recover = notice->recovered && (!wall_is_set(recovered) || recovered.us > now.us ||
                                             now.us - recovered.us >= least);
    if (!may_fail && !may_recover)
        broken(w, NAME, "webhook %d is told again within the cool-down of %lld s", notice->webhook,
               (long long)(least / SECOND));
}

// The first trouble that is told here; all before it have been forgotten, or are told elsewhere.
static size_t first_told(struct world *w, const struct entry *entry, bool here)
{
    const struct told_task *t = task_in(w, entry);
    run_id first = run_in(entry->said, "first_run");
    size_t at = 0;
    while (at < t->count && t->troubles[at].run.value != first.value)
        at++;
    if (at == t->count)
        broken(w, NAME, "of t%d %s is told, which has not failed or was told of before",
               entry->task, id_text(first));
    for (size_t i = 0; i < at && here; i++)
        if (!t->troubles[i].may_be_forgotten && !t->troubles[i].moved)
            broken(w, NAME, "of t%d %s is told, and %s is not", entry->task, id_text(first),
                   id_text(t->troubles[i].run));
    return at;
}

static void take_told(struct world *w, const struct entry *entry, bool here)
{
    struct told_task *t = task_in(w, entry);
    size_t count = (size_t)(entry->failed + entry->missed), missed = 0, kept = 0;
    size_t first = count ? first_told(w, entry, here) : t->count, end = first + count;
    run_id last = run_in(entry->said, "last_run");
    if (end > t->count || (count && t->troubles[end - 1].run.value != last.value))
        broken(w, NAME, "of t%d %zu runs are told up to %s, and there are others", entry->task,
               count, id_text(last));
    for (size_t i = first; i < end; i++)
        missed += t->troubles[i].missed;
    if ((int64_t)missed != entry->missed)
        broken(w, NAME, "of t%d %lld are told as missed, and %zu were", entry->task,
               (long long)entry->missed, missed);
    w->verdict->figures.told += count;
    for (size_t i = 0; i < t->count; i++) {
        const struct trouble *trouble = &t->troubles[i];
        bool told = i >= first && i < end;
        if (!told && here && !trouble->may_be_forgotten && !trouble->moved)
            broken(w, NAME, "t%d is told of, and %s of it is not", entry->task,
                   id_text(trouble->run));
        if (!told && !(here && trouble->may_be_forgotten && !trouble->moved))
            t->troubles[kept++] = *trouble;
    }
    t->count = kept;
}

static void check_standing(struct world *w, const struct entry *entry)
{
    const struct told_task *t = task_in(w, entry);
    run_id success = run_in(entry->said, "success");
    if (!t->unsure && entry->well != t->well)
        broken(w, NAME, "t%d is told of as %s, and it is not", entry->task,
               entry->well ? "well" : "failing");
    // A start forgets which success it was.
    bool right = success.value == (entry->well ? t->success.value : 0) ||
                 (!success.value && t->success_start != w->start_count);
    if (!t->unsure && !right)
        broken(w, NAME, "t%d is told of with the success %s", entry->task, id_text(success));
    if (entry->recovered && (!entry->well || t->believed == NOT_FAILING))
        broken(w, NAME, "t%d is told of as recovered, and was not told of as failing", entry->task);
    if (!entry->recovered && entry->failed + entry->missed == 0)
        broken(w, NAME, "t%d is told of, and nothing has happened to it", entry->task);
}

// The first that is told here; NULL: none is, or it is not to be told.
static const struct trouble *first_in(struct world *w, const struct entry *entry)
{
    const struct told_task *t = task_in(w, entry);
    run_id first = run_in(entry->said, "first_run");
    for (size_t i = 0; i < t->count; i++)
        if (t->troubles[i].run.value == first.value)
            return &t->troubles[i];
    return NULL;
}

// What a task told before it told another webhook, also where it has come back since.
static bool is_of_before(struct world *w, const struct entry *entry)
{
    const struct trouble *first = first_in(w, entry);
    return first ? first->moved
                 : task_in(w, entry)->moved && !run_in(entry->said, "first_run").value;
}

// A task that has told another webhook since is told of by what was known then.
static void take_entry(struct world *w, const struct notice_read *notice, const struct entry *entry)
{
    struct told_task *t = task_in(w, entry);
    bool here = still_tells(w, entry, notice->webhook) && !is_of_before(w, entry);
    if (!wish_of(w, t))
        broken(w, NAME, "t%d is told of, and %s", entry->task,
               t->alive ? "wants nobody told" : "is deleted");
    if (here)
        check_standing(w, entry);
    const struct trouble *first = first_in(w, entry);
    bool forgotten = first && first->may_be_forgotten;
    take_told(w, entry, here);
    if (!here) {
        t->believed = PERHAPS_FAILING;
        return;
    }
    t->believed = entry->well ? NOT_FAILING : forgotten ? PERHAPS_FAILING : FAILING;
    t->unsure = t->moved = false;
    t->well = entry->well;
    t->rested_from = notice->now;
    t->least_us = t->most_us = wish_of(w, t)->cooldown_us;
}

static void owe_notice(struct world *w, const struct told *told, int spec)
{
    struct notices *notices = &w->notices;
    if (notices->body_count == notices->body_room) {
        notices->body_room = notices->body_room ? notices->body_room * 2 : 64;
        notices->bodies = memory_resize(notices->bodies, notices->body_room, sizeof(char *));
    }
    notices->bodies[notices->body_count++] = memory_text(told->text);
    struct owed *run = owed_add(w, told->run);
    run->spec = spec;
    run->trigger = TRIGGER_NOTICE;
    run->due_least = run->due_most = run->nominal = wall_of(w);
    run->priority = PRIORITY_PLAIN;
    run->notice = notices->body_count;
    if (told->due_at.us != run->due_least.us)
        broken(w, NAME, "a notice is not due at once");
    trace(w, "notice %s: %s", id_text(run->id), told->text);
    w->verdict->figures.notices++;
}

static int webhook_told(struct world *w, const struct told *told)
{
    sqlite3_stmt *q = ask_about(w, "SELECT definition FROM revisions WHERE id = ?1", told->row);
    int found = -1;
    for (int i = 0; i < WEBHOOKS; i++)
        if (strcmp((const char *)sqlite3_column_text(q, 0),
                   w->specs[w->notices.webhooks[i].spec].task->definition) == 0)
            found = i;
    question_end(q);
    if (found < 0)
        broken(w, NAME, "a notice goes to nobody who was named");
    return found;
}

// What has joined before goes along, also where the other kind is what makes the notice.
static void check_complete(struct world *w, const struct notice_read *notice);

static void take_notice(struct world *w, const struct told *told)
{
    struct json_place place;
    json_t *said;
    struct notice_read notice = {.webhook = webhook_told(w, told), .now = wall_of(w)};
    struct told_webhook *webhook = &w->notices.webhooks[notice.webhook];
    owe_notice(w, told, webhook->spec);
    if (json_read(told->text, strlen(told->text), &said, &place) != STATUS_OK)
        broken(w, NAME, "a notice is no JSON");
    notice.said = said;
    read_notice(w, &notice);
    check_reasons(w, &notice);
    check_rest(w, &notice);
    check_complete(w, &notice);
    for (size_t i = 0; i < notice.count; i++)
        take_entry(w, &notice, &notice.entries[i]);
    json_decref(said);
    if (notice.recovered < notice.count)
        webhook->failed_at = notice.now;
    if (notice.recovered)
        webhook->recovered_at = notice.now;
    webhook->strangers = false;
}

// --- when ---

static wall later(wall a, wall b)
{
    return a.us > b.us ? a : b;
}

static wall rested(wall since, int64_t cooldown_us)
{
    return wall_is_set(since) ? wall_plus(since, cooldown_us) : (wall){INT64_MIN};
}

// The first trouble that must be told by the webhook that the task names now.
static const struct trouble *first_trouble(const struct told_task *t)
{
    for (size_t i = 0; i < t->count; i++)
        if (!t->troubles[i].may_be_forgotten && !t->troubles[i].moved)
            return &t->troubles[i];
    return NULL;
}

static bool recovery_waits(const struct world *w, const struct told_task *t)
{
    const struct wish_to_know *wish = wish_of(w, t);
    return wish && wish->kinds & TELL_RECOVERED && t->well && !t->unsure && t->believed == FAILING;
}

// When its webhook must be told of a task's troubles, or of its recovery; WALL_NEVER: nothing
// waits.
static wall troubles_due(const struct world *w, const struct told_task *t)
{
    const struct wish_to_know *wish = wish_of(w, t);
    const struct trouble *first = wish ? first_trouble(t) : NULL;
    if (!first)
        return WALL_NEVER;
    const struct told_webhook *webhook = &w->notices.webhooks[wish->webhook];
    bool recovered = (t->well || t->unsure) && t->believed != NOT_FAILING;
    wall due = later(first->since, rested(t->rested_from, t->most_us));
    due = later(due, rested(webhook->failed_at, t->most_us));
    if (recovered) // then they are told with that
        due = later(due, later(t->well_since, rested(webhook->recovered_at, t->most_us)));
    return due;
}

static wall recovery_due(const struct world *w, const struct told_task *t)
{
    const struct wish_to_know *wish = wish_of(w, t);
    if (!recovery_waits(w, t))
        return WALL_NEVER;
    return later(t->well_since,
                 rested(w->notices.webhooks[wish->webhook].recovered_at, t->most_us));
}

static void check_complete(struct world *w, const struct notice_read *notice)
{
    for (int i = 0; i < TASKS; i++) {
        const struct told_task *t = &w->notices.tasks[i];
        const struct wish_to_know *wish = wish_of(w, t);
        if (!wish || wish->webhook != notice->webhook || has_entry(notice, i))
            continue;
        bool joined = first_trouble(t) && rested(t->rested_from, t->most_us).us <= notice->now.us;
        if (joined || recovery_waits(w, t))
            broken(w, NAME, "webhook %d is told, and not of t%d, which waits for that",
                   wish->webhook, i);
    }
}

// Nothing that is due is left, and nothing waits for more than two cool-downs.
static void check_told(struct world *w)
{
    wall now = wall_of(w);
    for (int i = 0; i < TASKS; i++) {
        const struct told_task *t = &w->notices.tasks[i];
        if (troubles_due(w, t).us <= now.us)
            broken(w, NAME, "%s of t%d is to be told, and is not", id_text(first_trouble(t)->run),
                   i);
        if (recovery_due(w, t).us <= now.us)
            broken(w, NAME, "t%d has recovered, and nobody is told", i);
        for (size_t n = 0; n < t->count; n++) {
            const struct trouble *trouble = &t->troubles[n];
            int64_t most_us = trouble->most_us > t->most_us ? trouble->most_us : t->most_us;
            if (!trouble->may_be_forgotten && trouble->since.us + 2 * most_us < now.us)
                broken(w, NAME, "%s of t%d is told to nobody for %lld s", id_text(trouble->run), i,
                       (long long)((now.us - trouble->since.us) / SECOND));
        }
    }
}

void notices_turn(struct world *w)
{
    wall now = wall_of(w);
    forget_from(0);
    heard.committed = 0;
    for (int i = 0; i < TASKS && w->notices.on && w->scheduler; i++) {
        const struct told_task *t = &w->notices.tasks[i];
        wall a = troubles_due(w, t), b = recovery_due(w, t), due = a.us < b.us ? a : b;
        int64_t late = now.us - due.us;
        if (due.us < WALL_NEVER.us && late > EPSILON_US + t->most_us / 1000 &&
            w->now_us - w->disturbed_us > EPSILON_US)
            broken(w, NAME, "t%d is to be told of for %lld ms, and no turn came", i,
                   (long long)(late / MILLISECOND));
    }
}

void notices_wrote(struct world *w)
{
    for (size_t i = 0; i < heard.committed && w->notices.on; i++) {
        const struct told *told = &heard.list[i];
        if (told->kind == TOLD_NOTICE) {
            take_notice(w, told);
            continue;
        }
        struct told_task *t = &w->notices.tasks[task_of_row(w, told->row)];
        if (told->kind == TOLD_ENDED)
            has_ended(w, t, told);
        else if (told->kind == TOLD_DEFINED)
            was_defined(w, t, spec_by_text(w, told->text));
        else
            was_removed(w, t);
    }
    bool some = heard.committed > 0;
    forget_from(0);
    heard.committed = 0;
    if (w->notices.on && (some || w->scheduler))
        check_told(w);
}
