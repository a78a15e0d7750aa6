#include "verbs.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define T0 (INT64_C(1774746000) * SECOND)
#define KEYS 3
#define CLEARED_AT_ONCE 40

static int64_t below(struct history *h, int64_t bound)
{
    return random_below(&h->chance, bound);
}

static wall moment(struct history *h)
{
    return (wall){T0 + h->serial * SECOND + below(h, SECOND)};
}

// As in turns.c: only a failure is handed on.
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

static struct model_run *any_run(struct history *h, enum run_state state)
{
    int first = h->now.run_count ? (int)below(h, h->now.run_count) : 0;
    for (int i = 0; i < h->now.run_count; i++) {
        struct model_run *m = &h->now.runs[(first + i) % h->now.run_count];
        if (m->state == (int)state)
            return m;
    }
    return NULL;
}

static const struct model_task *any_task(struct history *h)
{
    const struct model_task *task = &h->now.tasks[below(h, MODEL_TASKS)];
    return task->there ? task : NULL;
}

// --- leases ---

static enum status put_lease(struct history *h)
{
    const struct model_run *m = any_run(h, RUN_RUNNING);
    wall at = moment(h);
    if (!m)
        return STATUS_OK;
    struct lease_record lease = {
        .run = {m->id},
        .kind = below(h, 2) ? LEASE_WORKER : LEASE_CALLBACK,
        .length_us = below(h, HOUR),
        .until = at,
        .most = below(h, 2) ? WALL_NEVER : at,
        .steady_until = {at.us - T0},
        .steady_most = {below(h, 2) ? INT64_MAX : at.us - T0},
        .boot = below(h, 3),
        .worker = below(h, 2) ? "a worker" : NULL,
    };
    return answer(h, "store_put_lease", STATUS_OK, store_put_lease(h->store, &lease));
}

static enum status drop_lease(struct history *h)
{
    const struct model_run *m = any_run(h, RUN_RUNNING);
    return m ? answer(h, "store_drop_lease", STATUS_OK, store_drop_lease(h->store, (run_id){m->id}))
             : STATUS_OK;
}

// For inspect.c: by how much the fences are ahead of the attempts.
static enum status keep_released(struct history *h)
{
    char value[24];
    int64_t released = 0;
    for (int i = 0; i < h->now.run_count; i++)
        released += h->now.runs[i].fence - h->now.runs[i].attempts;
    snprintf(value, sizeof value, "%" PRId64, released);
    return store_put_setting(h->store, "released", value);
}

static enum status release_run(struct history *h)
{
    struct model_run *m = any_run(h, below(h, 6) ? RUN_RUNNING : RUN_WAITING);
    if (!m)
        return STATUS_OK;
    bool stale = below(h, 6) == 0, may = m->state == RUN_RUNNING && !stale;
    enum status status = answer(h, "store_release_run", may ? STATUS_OK : STATUS_CONFLICT,
                                store_release_run(h->store, (run_id){m->id}, m->fence - stale));
    if (status != STATUS_OK || !may)
        return status;
    m->state = RUN_WAITING;
    if (--m->attempts == 0)
        m->started_at = WALL_NONE.us;
    return keep_released(h);
}

static enum status move_runs(struct history *h)
{
    const struct model_task *task = any_task(h);
    uint64_t lane = (uint64_t)below(h, 5);
    return task ? answer(h, "store_move_runs", STATUS_OK, store_move_runs(h->store, task->id, lane))
                : STATUS_OK;
}

// --- sweeps ---

static enum status add_sweep(struct history *h)
{
    const struct model_task *task = any_task(h);
    struct sweep sweep = {.until = {h->now.last_run}, .only_occurrences = below(h, 2)};
    if (!task)
        return STATUS_OK;
    sweep.task = task->id;
    snprintf(sweep.reason, sizeof sweep.reason, "reason %" PRId64, below(h, 100));
    return answer(h, "store_add_sweep", STATUS_OK, store_add_sweep(h->store, &sweep));
}

static enum status drop_sweep(struct history *h)
{
    struct sweep sweep;
    size_t count = 0;
    enum status status = answer(h, "store_load_sweeps", STATUS_OK,
                                store_load_sweeps(h->store, 0, 1, &sweep, &count));
    if (status != STATUS_OK || count == 0)
        return status;
    return answer(h, "store_drop_sweep", STATUS_OK, store_drop_sweep(h->store, sweep.id));
}

// --- rate limits and the clock ---

static enum status add_start(struct history *h)
{
    const struct store_start_row row = {.run = {h->now.last_run},
                                        .attempt = (int)below(h, 1 << 30), // none comes twice
                                        .at = moment(h),
                                        .most = 1 + (int)below(h, 2),
                                        .per_us = MINUTE};
    return answer(h, "store_add_start", STATUS_OK,
                  store_add_start(h->store, (uint64_t)below(h, KEYS), &row));
}

static enum status change_starts(struct history *h)
{
    return answer(h, "store_change_starts", STATUS_OK,
                  store_change_starts(h->store, (uint64_t)below(h, KEYS), 1, MINUTE, 2, HOUR));
}

static enum status trim_starts(struct history *h)
{
    wall before = {moment(h).us - 20 * SECOND}, rules_before = wall_plus(before, -MINUTE);
    return answer(h, "store_trim_starts", STATUS_OK,
                  store_trim_starts(h->store, (uint64_t)below(h, KEYS), before, rules_before));
}

static enum status shift_clock(struct history *h)
{
    wall now = moment(h);
    int64_t step_us = below(h, 20 * SECOND) - 10 * SECOND;
    enum status status =
        answer(h, "store_shift_clock", STATUS_OK, store_shift_clock(h->store, now, step_us));
    for (int i = 0; i < h->now.run_count && status == STATUS_OK; i++) {
        struct model_run *m = &h->now.runs[i];
        if (m->state == RUN_WAITING && m->due_at > now.us)
            m->due_at += step_us;
    }
    return status;
}

// --- backlogs ---

static enum status add_backlog(struct history *h)
{
    const struct model_task *task = any_task(h);
    wall at = moment(h);
    if (!task)
        return STATUS_OK;
    struct backlog backlog = {.task = task->id,
                              .generation = task->generation,
                              .revision_id = 1 + below(h, 9),
                              .next_at = at,
                              .run_from = {at.us + below(h, MINUTE)},
                              .until = {at.us + MINUTE}};
    return answer(h, "store_add_backlog", STATUS_OK, store_add_backlog(h->store, &backlog));
}

// Goes on with the oldest of some task, ends it, or gives all of the task's up.
static enum status work_off_backlog(struct history *h)
{
    struct backlog found[MODEL_TASKS];
    size_t count = 0;
    enum status status = answer(h, "store_load_backlogs", STATUS_OK,
                                store_load_backlogs(h->store, 0, MODEL_TASKS, found, &count));
    if (status != STATUS_OK || count == 0)
        return status;
    const struct backlog *b = &found[below(h, (int64_t)count)];
    switch (below(h, 4)) {
    case 0:
        return answer(h, "store_drop_backlog", STATUS_OK, store_drop_backlog(h->store, b->id));
    case 1:
        return answer(h, "store_give_up_backlogs", STATUS_OK,
                      store_give_up_backlogs(h->store, b->task, "it was paused"));
    default:
        return answer(h, "store_move_backlog", STATUS_OK,
                      store_move_backlog(h->store, b->id, (wall){b->next_at.us + SECOND}));
    }
}

// --- dead letters and notices ---

static enum status handle_run(struct history *h)
{
    struct model_run *m = any_run(h, below(h, 6) ? RUN_FAILED : RUN_SUCCEEDED);
    if (!m)
        return STATUS_OK;
    bool may = m->state == RUN_FAILED && !m->handled;
    enum status status =
        answer(h, "store_handle_run", may ? STATUS_OK : STATUS_CONFLICT,
               store_handle_run(h->store, (run_id){m->id}, "{\"how\":\"discarded\"}"));
    if (status == STATUS_OK)
        m->handled |= may;
    return status;
}

static enum status put_notice(struct history *h)
{
    const struct model_task *task = any_task(h);
    if (!task)
        return STATUS_OK;
    struct notice notice = {.task = task->id,
                            .told_at = below(h, 2) ? moment(h) : WALL_NONE,
                            .due_at = below(h, 2) ? moment(h) : WALL_NONE,
                            .told_in = below(h, 3),
                            .failing = below(h, 2),
                            .well = below(h, 2),
                            .failed = below(h, 9),
                            .missed = below(h, 9),
                            .first = {below(h, 2)},
                            .last = {h->now.last_run},
                            .reasons = "[{\"reason\":\"so\",\"count\":1}]"};
    return answer(h, "store_put_notice", STATUS_OK, store_put_notice(h->store, &notice));
}

static enum status put_webhook(struct history *h)
{
    struct webhook webhook = {.id = 1 + below(h, 3),
                              .url = "http://127.0.0.1:9/alerts",
                              .told_at = below(h, 2) ? moment(h) : WALL_NONE,
                              .recovered_at = below(h, 2) ? moment(h) : WALL_NONE,
                              .group = below(h, 9),
                              .tasks = below(h, 9),
                              .failed = below(h, 9),
                              .last = {h->now.last_run},
                              .reasons = "[{\"reason\":\"so\",\"count\":1}]",
                              .named = "[]"};
    return answer(h, "store_put_webhook", STATUS_OK, store_put_webhook(h->store, &webhook));
}

// --- history ---

// Takes those that the store has no more out of the model: only ended ones may be gone, never the
// newest, and as many as it said.
static enum status forget_cleared(struct history *h, size_t cleared)
{
    int kept = 0;
    size_t gone = 0;
    for (int i = 0; i < h->now.run_count; i++) {
        const struct model_run m = h->now.runs[i];
        struct run run = {0};
        enum status status = store_find_run(h->store, (run_id){m.id}, &run);
        if (status == STATUS_FAILED)
            return status;
        if (status == STATUS_OK)
            h->now.runs[kept++] = m;
        else if (!run_state_is_final((enum run_state)m.state) || m.id == h->now.last_run)
            history_violation(h, "store_clear_history cleared a run that must stay");
        gone += status != STATUS_OK;
        run_done(&run);
    }
    while (h->now.run_count > kept)
        h->now.runs[--h->now.run_count] = (struct model_run){0};
    if (gone != cleared)
        history_violation(h, "store_clear_history cleared %zu runs and said %zu", gone, cleared);
    return keep_released(h);
}

static enum status clear_history(struct history *h)
{
    struct history_limits limits = {.before = WALL_NONE, .rows = 3 + below(h, 30)};
    struct history_place place = {0};
    struct history_cleared cleared;
    if (below(h, 3) == 0)
        limits.before = (wall){moment(h).us - 30 * SECOND};
    enum status status =
        answer(h, "store_clear_history", STATUS_OK,
               store_clear_history(h->store, &limits, &place, CLEARED_AT_ONCE, &cleared));
    return status == STATUS_OK && cleared.runs ? forget_cleared(h, cleared.runs) : status;
}

enum status any_verb(struct history *h)
{
    static enum status (*const verbs[])(struct history *) = {
        put_lease,        drop_lease, release_run, move_runs,   add_sweep,     drop_sweep,
        add_start,        add_start,  trim_starts, shift_clock, change_starts, add_backlog,
        work_off_backlog, handle_run, put_notice,  put_webhook, clear_history, clear_history,
    };
    return verbs[below(h, sizeof verbs / sizeof *verbs)](h);
}
