#include "store/store.h"

#include <stdlib.h>

#include "store/verbs.h"

const char *store_problem(const struct store *store)
{
    return store->problem;
}

void store_close(struct store *store)
{
    if (store)
        store->verbs->close(store);
}

void task_record_done(struct task_record *record)
{
    free(record->name);
    free(record->paused_by);
    free(record->paused_why);
    free(record->definition);
    *record = (struct task_record){0};
}

void lease_record_done(struct lease_record *record)
{
    free(record->worker);
    record->worker = NULL;
}

enum status store_begin(struct store *store)
{
    return store->verbs->begin(store);
}

enum status store_commit(struct store *store)
{
    return store->verbs->commit(store);
}

void store_rollback(struct store *store)
{
    store->verbs->rollback(store);
}

enum status store_checkpoint(struct store *store)
{
    return store->verbs->checkpoint(store);
}

enum status store_start(struct store *store, struct store_start *ret)
{
    return store->verbs->start(store, ret);
}

enum status store_get_setting(struct store *store, const char *name, char *value, size_t size)
{
    return store->verbs->get_setting(store, name, value, size);
}

enum status store_put_setting(struct store *store, const char *name, const char *value)
{
    return store->verbs->put_setting(store, name, value);
}

enum status store_keep_setting(struct store *store, const char *name, const char *value)
{
    enum status status = store_begin(store);
    if (status == STATUS_OK)
        status = store_put_setting(store, name, value);
    if (status == STATUS_OK)
        return store_commit(store);
    store_rollback(store);
    return status;
}

enum status store_find_task(struct store *store, const char *name, struct task_record *ret)
{
    return store->verbs->find_task(store, name, ret);
}

enum status store_find_task_by_id(struct store *store, int64_t id, struct task_record *ret)
{
    return store->verbs->find_task_by_id(store, id, ret);
}

enum status store_next_task(struct store *store, const char *after, struct task_record *ret)
{
    return store->verbs->next_task(store, after, ret);
}

enum status store_save_task(struct store *store, struct task_record *record,
                            const struct edit *edit)
{
    return store->verbs->save_task(store, record, edit);
}

enum status store_mark_task(struct store *store, const struct task_record *record, const char *what,
                            const struct edit *edit)
{
    return store->verbs->mark_task(store, record, what, edit);
}

enum status store_find_revision(struct store *store, int64_t task, int number,
                                char **ret_definition, size_t *ret_size)
{
    return store->verbs->find_revision(store, task, number, ret_definition, ret_size);
}

enum status store_keep_definition(struct store *store, const char *definition, size_t size,
                                  wall now, int64_t *ret_revision_id)
{
    return store->verbs->keep_definition(store, definition, size, now, ret_revision_id);
}

enum status store_load_definition(struct store *store, int64_t revision_id, char **ret_name,
                                  char **ret_definition, size_t *ret_size)
{
    return store->verbs->load_definition(store, revision_id, ret_name, ret_definition, ret_size);
}

enum status store_put_cursor(struct store *store, const struct cursor *cursor)
{
    return store->verbs->put_cursor(store, cursor);
}

enum status store_drop_cursors(struct store *store, int64_t task)
{
    return store->verbs->drop_cursors(store, task);
}

enum status store_load_cursors(struct store *store, const struct cursor *after, wall until,
                               size_t max, struct cursor *ret, size_t *ret_count)
{
    return store->verbs->load_cursors(store, after, until, max, ret, ret_count);
}

enum status store_add_run(struct store *store, const struct run *run)
{
    return store->verbs->add_run(store, run);
}

enum status store_load_due(struct store *store, wall after, run_id after_id, wall until, size_t max,
                           struct due_row *ret, size_t *ret_count)
{
    return store->verbs->load_due(store, after, after_id, until, max, ret, ret_count);
}

enum status store_load_due_of_task(struct store *store, int64_t task, run_id after_id, size_t max,
                                   struct due_row *ret, size_t *ret_count)
{
    return store->verbs->load_due_of_task(store, task, after_id, max, ret, ret_count);
}

enum status store_find_run(struct store *store, run_id id, struct run *ret)
{
    return store->verbs->find_run(store, id, ret);
}

enum status store_start_run(struct store *store, run_id id, wall at, int64_t revision_id,
                            uint64_t lane)
{
    return store->verbs->start_run(store, id, at, revision_id, lane);
}

enum status store_finish_attempt(struct store *store, const struct attempt *attempt,
                                 const struct verdict *verdict, wall now)
{
    return store->verbs->finish_attempt(store, attempt, verdict, now);
}

enum status store_end_run(struct store *store, run_id id, enum run_state state, const char *reason,
                          wall now)
{
    return store->verbs->end_run(store, id, state, reason, now);
}

enum status store_cancel_pending(struct store *store, int64_t task, run_id until,
                                 bool only_occurrences, const char *reason, wall now, size_t max,
                                 run_id *ret, size_t *ret_count)
{
    return store->verbs->cancel_pending(store, task, until, only_occurrences, reason, now, max, ret,
                                        ret_count);
}

enum status store_add_sweep(struct store *store, struct sweep *sweep)
{
    return store->verbs->add_sweep(store, sweep);
}

enum status store_load_sweeps(struct store *store, int64_t after, size_t max, struct sweep *ret,
                              size_t *ret_count)
{
    return store->verbs->load_sweeps(store, after, max, ret, ret_count);
}

enum status store_drop_sweep(struct store *store, int64_t id)
{
    return store->verbs->drop_sweep(store, id);
}

enum status store_load_running(struct store *store, run_id after, size_t max, struct run *ret,
                               size_t *ret_count)
{
    return store->verbs->load_running(store, after, max, ret, ret_count);
}

enum status store_add_start(struct store *store, uint64_t key, const struct store_start_row *row)
{
    return store->verbs->add_start(store, key, row);
}

enum status store_load_starts(struct store *store, uint64_t key, wall after, size_t max,
                              struct store_start_row *ret, size_t *ret_count)
{
    return store->verbs->load_starts(store, key, after, max, ret, ret_count);
}

enum status store_change_starts(struct store *store, uint64_t key, int most, int64_t per_us,
                                int new_most, int64_t new_per_us)
{
    return store->verbs->change_starts(store, key, most, per_us, new_most, new_per_us);
}

enum status store_trim_starts(struct store *store, uint64_t key, wall before, wall rules_before)
{
    return store->verbs->trim_starts(store, key, before, rules_before);
}

enum status store_shift_clock(struct store *store, wall now, int64_t step_us)
{
    return store->verbs->shift_clock(store, now, step_us);
}

enum status store_put_lease(struct store *store, const struct lease_record *record)
{
    return store->verbs->put_lease(store, record);
}

enum status store_drop_lease(struct store *store, run_id run)
{
    return store->verbs->drop_lease(store, run);
}

enum status store_find_lease(struct store *store, run_id run, struct lease_record *ret)
{
    return store->verbs->find_lease(store, run, ret);
}

enum status store_release_run(struct store *store, run_id run, int64_t fence)
{
    return store->verbs->release_run(store, run, fence);
}

enum status store_move_runs(struct store *store, int64_t task, uint64_t lane)
{
    return store->verbs->move_runs(store, task, lane);
}

enum status store_add_backlog(struct store *store, const struct backlog *backlog)
{
    return store->verbs->add_backlog(store, backlog);
}

enum status store_move_backlog(struct store *store, int64_t id, wall next_at)
{
    return store->verbs->move_backlog(store, id, next_at);
}

enum status store_drop_backlog(struct store *store, int64_t id)
{
    return store->verbs->drop_backlog(store, id);
}

enum status store_give_up_backlogs(struct store *store, int64_t task, const char *reason)
{
    return store->verbs->give_up_backlogs(store, task, reason);
}

enum status store_load_backlogs(struct store *store, int64_t after_task, size_t max,
                                struct backlog *ret, size_t *ret_count)
{
    return store->verbs->load_backlogs(store, after_task, max, ret, ret_count);
}

enum status store_load_cursors_of_task(struct store *store, int64_t task, size_t max,
                                       struct cursor *ret, size_t *ret_count)
{
    return store->verbs->load_cursors_of_task(store, task, max, ret, ret_count);
}

enum status store_load_waiting_of_task(struct store *store, int64_t task, run_id after, size_t max,
                                       run_id *ret, size_t *ret_count)
{
    return store->verbs->load_waiting_of_task(store, task, after, max, ret, ret_count);
}

enum status store_load_waiting_notices(struct store *store, run_id after, size_t max, run_id *ret,
                                       size_t *ret_count)
{
    return store->verbs->load_waiting_notices(store, after, max, ret, ret_count);
}

enum status store_load_deadlines(struct store *store, size_t max, struct deadline *ret,
                                 size_t *ret_count)
{
    return store->verbs->load_deadlines(store, max, ret, ret_count);
}

enum status store_drop_deadline(struct store *store, const struct deadline *deadline)
{
    return store->verbs->drop_deadline(store, deadline);
}

enum status store_newest_open(struct store *store, int64_t task, enum run_state state, run_id *ret)
{
    return store->verbs->newest_open(store, task, state, ret);
}

enum status store_handle_run(struct store *store, run_id id, const char *handled)
{
    return store->verbs->handle_run(store, id, handled);
}

enum status store_load_notices(struct store *store, int64_t after, size_t max, struct notice *ret,
                               size_t *ret_count)
{
    return store->verbs->load_notices(store, after, max, ret, ret_count);
}

enum status store_put_notice(struct store *store, const struct notice *notice)
{
    return store->verbs->put_notice(store, notice);
}

enum status store_load_webhooks(struct store *store, int64_t after, size_t max, struct webhook *ret,
                                size_t *ret_count)
{
    return store->verbs->load_webhooks(store, after, max, ret, ret_count);
}

enum status store_put_webhook(struct store *store, const struct webhook *webhook)
{
    return store->verbs->put_webhook(store, webhook);
}

enum status store_find_key(struct store *store, const char *key, wall now,
                           uint64_t *ret_fingerprint, char **ret_body, size_t *ret_size)
{
    return store->verbs->find_key(store, key, now, ret_fingerprint, ret_body, ret_size);
}

enum status store_keep_key(struct store *store, const char *key, uint64_t fingerprint,
                           const char *body, size_t size, wall expires_at)
{
    return store->verbs->keep_key(store, key, fingerprint, body, size, expires_at);
}

enum status store_clear_keys(struct store *store, wall now, size_t max)
{
    return store->verbs->clear_keys(store, now, max);
}

enum status store_add_journal(struct store *store, int64_t turn, wall at, const char *events,
                              size_t size)
{
    return store->verbs->add_journal(store, turn, at, events, size);
}

enum status store_trim_journal(struct store *store, size_t keep_bytes, size_t max)
{
    return store->verbs->trim_journal(store, keep_bytes, max);
}

enum status store_clear_history(struct store *store, const struct history_limits *limits,
                                struct history_place *place, size_t max,
                                struct history_cleared *ret)
{
    return store->verbs->clear_history(store, limits, place, max, ret);
}

enum status store_history_size(struct store *store, struct history_size *ret)
{
    return store->verbs->history_size(store, ret);
}
