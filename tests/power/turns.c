#include "turns.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "verbs.h"

#define T0 (INT64_C(1774746000) * SECOND)
#define TEXT_MAX 20000

static int64_t below(struct history *h, int64_t bound)
{
    return random_below(&h->chance, bound);
}

static wall moment(struct history *h)
{
    return (wall){T0 + h->serial * SECOND + below(h, SECOND)};
}

// A text of random length: short as a rule, now and then of several pages.
static char *any_text(struct history *h, size_t *ret_size)
{
    size_t size = (size_t)(below(h, 14) ? below(h, 300) : 4000 + below(h, TEXT_MAX - 4000));
    char *text = memory_new(size + 1);
    uint64_t bits = 0;
    for (size_t i = 0; i < size; i++) {
        bits = i % 8 ? bits >> 8 : random_next(&h->chance);
        text[i] = (char)('a' + bits % 26);
    }
    *ret_size = size;
    return text;
}

// What a verb answered against what the model says that it must answer. Only a failure is handed
// on.
static enum status answer(struct history *h, const char *verb, enum status expected,
                          enum status found)
{
    if (found == STATUS_FAILED)
        return found;
    if (found != expected)
        history_violation(h, "%s answered \"%s\" and should have answered \"%s\"", verb,
                          status_text(found), status_text(expected));
    return STATUS_OK;
}

// --- tasks ---

static struct model_task *any_task(struct history *h, int *ret)
{
    *ret = (int)below(h, MODEL_TASKS);
    return &h->now.tasks[*ret];
}

static enum status save_task(struct history *h)
{
    int which;
    struct model_task *m = any_task(h, &which);
    char name[20];
    size_t size;
    model_task_name(which, name);
    struct edit edit = {.at = moment(h), .author = "someone", .changed = "[]"};
    struct task_record record = {.id = m->id,
                                 .name = memory_text(name),
                                 .revision = m->revision,
                                 .generation = m->generation + 1,
                                 .paused_at = WALL_NONE,
                                 .created_at = edit.at,
                                 .changed_at = edit.at};
    record.definition = any_text(h, &size);
    record.definition_size = size;
    enum status status =
        answer(h, "store_save_task", STATUS_OK, store_save_task(h->store, &record, &edit));
    if (status == STATUS_OK) {
        m->there = true;
        m->deleted = false;
        m->id = record.id;
        m->revision++;
        m->generation++;
        m->paused_at = WALL_NONE.us;
        m->definition = model_text_of(record.definition, size);
    }
    task_record_done(&record);
    return status;
}

static enum status mark_task(struct history *h)
{
    int which;
    struct model_task *m = any_task(h, &which);
    if (!m->there)
        return STATUS_OK;
    struct edit edit = {.at = moment(h), .author = "someone", .note = "why"};
    bool deleted = below(h, 4) == 0, paused = !deleted && below(h, 2);
    struct task_record record = {.id = m->id,
                                 .revision = m->revision,
                                 .generation = m->generation + deleted,
                                 .deleted = deleted,
                                 .paused_at = paused ? edit.at : WALL_NONE,
                                 .paused_by = paused ? "someone" : NULL,
                                 .paused_why = paused ? "because" : NULL};
    const char *what = deleted ? "deleted" : paused ? "paused" : "resumed";
    enum status status =
        answer(h, "store_mark_task", STATUS_OK, store_mark_task(h->store, &record, what, &edit));
    if (status == STATUS_OK) {
        m->deleted = deleted;
        m->generation += deleted;
        m->paused_at = record.paused_at.us;
    }
    return status;
}

static enum status put_cursor(struct history *h)
{
    int which;
    struct model_task *m = any_task(h, &which);
    int schedule = (int)below(h, MODEL_SCHEDULES);
    if (!m->there)
        return STATUS_OK;
    struct cursor cursor = {.task = m->id,
                            .schedule = schedule,
                            .generation = m->generation,
                            .next_at = moment(h),
                            .dst = (int)below(h, 3)};
    enum status status =
        answer(h, "store_put_cursor", STATUS_OK, store_put_cursor(h->store, &cursor));
    if (status == STATUS_OK) {
        m->cursors[schedule].there = true;
        m->cursors[schedule].generation = cursor.generation;
        m->cursors[schedule].dst = cursor.dst;
        m->cursors[schedule].next_at = cursor.next_at.us;
    }
    return status;
}

static enum status drop_cursors(struct history *h)
{
    int which;
    struct model_task *m = any_task(h, &which);
    if (!m->there)
        return STATUS_OK;
    enum status status =
        answer(h, "store_drop_cursors", STATUS_OK, store_drop_cursors(h->store, m->id));
    if (status == STATUS_OK)
        memset(m->cursors, 0, sizeof m->cursors);
    return status;
}

// --- runs ---

static enum status add_this_run(struct history *h, struct run *run, enum status expected)
{
    size_t size;
    run->payload = any_text(h, &size);
    run->payload_size = size;
    enum status status = answer(h, "store_add_run", expected, store_add_run(h->store, run));
    if (status == STATUS_OK && expected == STATUS_OK) {
        h->now.runs[h->now.run_count++] = (struct model_run){
            .id = run->id.value,
            .task = run->task,
            .revision_id = run->revision_id,
            .scheduled_for = run->scheduled_for.us,
            .due_at = run->due_at.us,
            .started_at = WALL_NONE.us,
            .finished_at = WALL_NONE.us,
            .state = (int)run->state,
            .trigger = (int)run->trigger,
            .generation = run->generation,
            .payload = model_text_of(run->payload, size),
        };
        h->now.last_run = run->id.value;
    }
    free(run->payload);
    return status;
}

static struct run new_run(struct history *h)
{
    wall due = moment(h);
    return (struct run){
        .id = {h->serial * 1000 + h->now.last_run % 1000 + 1},
        .state = RUN_SCHEDULED,
        .trigger = TRIGGER_API,
        .scheduled_for = due,
        .due_at = due,
        .deadline_at = {below(h, 4) ? 0 : due.us + SECOND},
        .started_at = WALL_NONE,
        .finished_at = WALL_NONE,
        .attempt_started_at = WALL_NONE,
        .lane = (uint64_t)below(h, 5),
    };
}

// A one-off with its definition kept beside it: the same text as another, now and then.
static enum status add_run(struct history *h)
{
    char definition[40];
    if (h->now.run_count == MODEL_RUNS)
        return STATUS_OK;
    struct run run = new_run(h);
    int size = snprintf(definition, sizeof definition, "{\"definition\":%d}", (int)below(h, 20));
    enum status status = answer(
        h, "store_keep_definition", STATUS_OK,
        store_keep_definition(h->store, definition, (size_t)size, run.due_at, &run.revision_id));
    return status == STATUS_OK ? add_this_run(h, &run, STATUS_OK) : status;
}

// What a schedule made. One instant of a generation comes twice now and then, and is refused.
static enum status add_occurrence(struct history *h)
{
    int which;
    struct model_task *task = any_task(h, &which);
    if (!task->there || h->now.run_count == MODEL_RUNS)
        return STATUS_OK;
    struct run run = new_run(h);
    enum status expected = STATUS_OK;
    run.task = task->id;
    run.generation = task->generation;
    run.trigger = below(h, 4) ? TRIGGER_SCHEDULE : TRIGGER_CATCH_UP;
    run.scheduled_for = (wall){T0 + below(h, 12) * MINUTE};
    for (int i = 0; i < h->now.run_count; i++) {
        const struct model_run *m = &h->now.runs[i];
        if (m->task == run.task && m->generation == run.generation && m->trigger != TRIGGER_API &&
            m->scheduled_for == run.scheduled_for.us)
            expected = STATUS_CONFLICT;
    }
    return add_this_run(h, &run, expected);
}

static struct model_run *any_run(struct history *h)
{
    return h->now.run_count ? &h->now.runs[below(h, h->now.run_count)] : NULL;
}

static enum status start_run(struct history *h)
{
    struct model_run *m = any_run(h);
    wall at = moment(h);
    if (!m)
        return STATUS_OK;
    bool may = m->state == RUN_SCHEDULED || m->state == RUN_WAITING;
    enum status status = answer(h, "store_start_run", may ? STATUS_OK : STATUS_CONFLICT,
                                store_start_run(h->store, (run_id){m->id}, at, m->revision_id, 3));
    if (status != STATUS_OK || !may)
        return status;
    m->state = RUN_RUNNING;
    m->attempts++;
    m->fence++;
    if (!wall_is_set((wall){m->started_at}))
        m->started_at = at.us;
    return status;
}

// The report of the attempt under way, or one with a fence that is not current.
static enum status finish_attempt(struct history *h)
{
    static const enum run_state ends[] = {RUN_SUCCEEDED, RUN_WAITING, RUN_FAILED};
    struct model_run *m = any_run(h);
    wall at = moment(h);
    if (!m || run_state_is_final((enum run_state)m->state))
        return STATUS_OK;
    bool stale = below(h, 8) == 0;
    struct verdict verdict = {.state = ends[below(h, 3)], .due_at = at};
    struct attempt attempt;
    attempt_init(&attempt);
    attempt.run = (run_id){m->id};
    attempt.number = m->attempts;
    attempt.fence = m->fence + stale;
    attempt.started_at = at;
    attempt.outcome = verdict.state == RUN_SUCCEEDED ? ATTEMPT_SUCCEEDED : ATTEMPT_FAILED;
    attempt.response = any_text(h, &attempt.response_size);
    bool may = m->state == RUN_RUNNING && !stale;
    enum status status = answer(h, "store_finish_attempt", may ? STATUS_OK : STATUS_CONFLICT,
                                store_finish_attempt(h->store, &attempt, &verdict, at));
    if (status == STATUS_OK && may) {
        m->state = (int)verdict.state;
        if (verdict.state == RUN_WAITING)
            m->due_at = at.us;
        else
            m->finished_at = at.us;
    }
    attempt_done(&attempt);
    return status;
}

static enum status end_run(struct history *h)
{
    static const enum run_state ends[] = {RUN_CANCELED, RUN_MISSED, RUN_SKIPPED};
    struct model_run *m = any_run(h);
    wall at = moment(h);
    enum run_state state = ends[below(h, 3)];
    // A run that runs is ended by its report here, so that no number of an attempt is left out.
    if (!m || m->state == RUN_RUNNING)
        return STATUS_OK;
    bool may = run_state_may((enum run_state)m->state, state);
    enum status status = answer(h, "store_end_run", may ? STATUS_OK : STATUS_CONFLICT,
                                store_end_run(h->store, (run_id){m->id}, state, "so", at));
    if (status == STATUS_OK && may) {
        m->state = (int)state;
        m->finished_at = at.us;
    }
    return status;
}

static enum status cancel_pending(struct history *h)
{
    int which;
    struct model_task *task = any_task(h, &which);
    wall at = moment(h);
    run_id canceled[4];
    size_t count = 0;
    if (!task->there)
        return STATUS_OK;
    enum status status = answer(h, "store_cancel_pending", STATUS_OK,
                                store_cancel_pending(h->store, task->id, (run_id){INT64_MAX}, false,
                                                     "so", at, 4, canceled, &count));
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        struct model_run *m = model_find_run(&h->now, canceled[i].value);
        if (!m || m->task != task->id || !run_state_may((enum run_state)m->state, RUN_CANCELED)) {
            history_violation(h, "store_cancel_pending canceled a run that it must not");
            break;
        }
        m->state = RUN_CANCELED;
        m->finished_at = at.us;
    }
    return status;
}

// --- keys and settings ---

static enum status keep_key(struct history *h)
{
    int which = (int)below(h, MODEL_KEYS);
    char name[20];
    size_t size;
    model_key_name(which, name);
    char *body = any_text(h, &size);
    typeof(h->now.keys[0]) key = {true, random_next(&h->chance), moment(h).us,
                                  model_text_of(body, size)};
    enum status status =
        answer(h, "store_keep_key", STATUS_OK,
               store_keep_key(h->store, name, key.fingerprint, body, size, (wall){key.expires_at}));
    if (status == STATUS_OK)
        h->now.keys[which] = key;
    free(body);
    return status;
}

static enum status clear_keys(struct history *h)
{
    wall until = {moment(h).us - 20 * SECOND};
    enum status status =
        answer(h, "store_clear_keys", STATUS_OK, store_clear_keys(h->store, until, MODEL_KEYS));
    for (int i = 0; i < MODEL_KEYS && status == STATUS_OK; i++)
        if (h->now.keys[i].there && h->now.keys[i].expires_at <= until.us)
            h->now.keys[i].there = false;
    return status;
}

static enum status put_setting(struct history *h)
{
    int which = (int)below(h, MODEL_SETTINGS);
    char name[20], value[40];
    model_setting_name(which, name);
    snprintf(value, sizeof value, "%d", (int)below(h, 1000000));
    enum status status =
        answer(h, "store_put_setting", STATUS_OK, store_put_setting(h->store, name, value));
    if (status == STATUS_OK) {
        h->now.settings[which].there = true;
        h->now.settings[which].value = atoll(value);
    }
    return status;
}

static enum status trim_journal(struct history *h)
{
    return answer(h, "store_trim_journal", STATUS_OK,
                  store_trim_journal(h->store, (size_t)below(h, 3000), 3));
}

enum status turn_verb(struct history *h)
{
    static const struct {
        int weight;
        enum status (*verb)(struct history *);
    } rows[] = {
        {12, add_run},    {8, add_occurrence}, {14, start_run}, {14, finish_attempt},
        {3, end_run},     {1, cancel_pending}, {5, save_task},  {3, mark_task},
        {6, put_cursor},  {1, drop_cursors},   {5, keep_key},   {1, clear_keys},
        {2, put_setting}, {2, trim_journal},   {16, any_verb},
    };
    int total = 0, row = 0;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        total += rows[i].weight;
    for (int64_t at = below(h, total); at >= rows[row].weight; row++)
        at -= rows[row].weight;
    return rows[row].verb(h);
}
