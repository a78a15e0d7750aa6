/*
 * verbs - what a store is made of
 *
 * store.h's questions as a table of functions. A store is a struct that begins with `struct store`;
 * store.c hands every call on to its table, and that is all it does. What each verb promises stands
 * in store.h alone.
 *
 * Included by store.c and by each store, by nobody else.
 */
#pragma once

#include "store/store.h"

struct store {
    const struct store_verbs *verbs;
    const char *problem; // the last failure in words; lives as long as the store
};

struct store_verbs {
    void (*close)(struct store *store);

    enum status (*begin)(struct store *store);
    enum status (*commit)(struct store *store);
    void (*rollback)(struct store *store);
    enum status (*checkpoint)(struct store *store);

    enum status (*start)(struct store *store, struct store_start *ret);
    enum status (*get_setting)(struct store *store, const char *name, char *value, size_t size);
    enum status (*put_setting)(struct store *store, const char *name, const char *value);

    enum status (*find_task)(struct store *store, const char *name, struct task_record *ret);
    enum status (*find_task_by_id)(struct store *store, int64_t id, struct task_record *ret);
    enum status (*next_task)(struct store *store, const char *after, struct task_record *ret);
    enum status (*save_task)(struct store *store, struct task_record *record,
                             const struct edit *edit);
    enum status (*mark_task)(struct store *store, const struct task_record *record,
                             const char *what, const struct edit *edit);
    enum status (*find_revision)(struct store *store, int64_t task, int number,
                                 char **ret_definition, size_t *ret_size);
    enum status (*keep_definition)(struct store *store, const char *definition, size_t size,
                                   wall now, int64_t *ret_revision_id);
    enum status (*load_definition)(struct store *store, int64_t revision_id, char **ret_name,
                                   char **ret_definition, size_t *ret_size);

    enum status (*put_cursor)(struct store *store, const struct cursor *cursor);
    enum status (*drop_cursors)(struct store *store, int64_t task);
    enum status (*load_cursors)(struct store *store, const struct cursor *after, wall until,
                                size_t max, struct cursor *ret, size_t *ret_count);

    enum status (*add_run)(struct store *store, const struct run *run);
    enum status (*load_due)(struct store *store, wall after, run_id after_id, wall until,
                            size_t max, struct due_row *ret, size_t *ret_count);
    enum status (*load_due_of_task)(struct store *store, int64_t task, run_id after_id, size_t max,
                                    struct due_row *ret, size_t *ret_count);
    enum status (*find_run)(struct store *store, run_id id, struct run *ret);
    enum status (*start_run)(struct store *store, run_id id, wall at, int64_t revision_id,
                             uint64_t lane);
    enum status (*finish_attempt)(struct store *store, const struct attempt *attempt,
                                  const struct verdict *verdict, wall now);
    enum status (*end_run)(struct store *store, run_id id, enum run_state state, const char *reason,
                           wall now);
    enum status (*cancel_pending)(struct store *store, int64_t task, run_id until,
                                  bool only_occurrences, const char *reason, wall now, size_t max,
                                  run_id *ret, size_t *ret_count);
    enum status (*load_running)(struct store *store, run_id after, size_t max, struct run *ret,
                                size_t *ret_count);
    enum status (*newest_open)(struct store *store, int64_t task, enum run_state state,
                               run_id *ret);

    enum status (*handle_run)(struct store *store, run_id id, const char *handled);
    enum status (*load_notices)(struct store *store, int64_t after, size_t max, struct notice *ret,
                                size_t *ret_count);
    enum status (*put_notice)(struct store *store, const struct notice *notice);
    enum status (*load_webhooks)(struct store *store, int64_t after, size_t max,
                                 struct webhook *ret, size_t *ret_count);
    enum status (*put_webhook)(struct store *store, const struct webhook *webhook);

    enum status (*add_sweep)(struct store *store, struct sweep *sweep);
    enum status (*load_sweeps)(struct store *store, int64_t after, size_t max, struct sweep *ret,
                               size_t *ret_count);
    enum status (*drop_sweep)(struct store *store, int64_t id);
    enum status (*add_start)(struct store *store, uint64_t key, const struct store_start_row *row);
    enum status (*load_starts)(struct store *store, uint64_t key, wall after, size_t max,
                               struct store_start_row *ret, size_t *ret_count);
    enum status (*change_starts)(struct store *store, uint64_t key, int most, int64_t per_us,
                                 int new_most, int64_t new_per_us);
    enum status (*trim_starts)(struct store *store, uint64_t key, wall before, wall rules_before);
    enum status (*shift_clock)(struct store *store, wall now, int64_t step_us);
    enum status (*put_lease)(struct store *store, const struct lease_record *record);
    enum status (*drop_lease)(struct store *store, run_id run);
    enum status (*find_lease)(struct store *store, run_id run, struct lease_record *ret);
    enum status (*release_run)(struct store *store, run_id run, int64_t fence);
    enum status (*move_runs)(struct store *store, int64_t task, uint64_t lane);
    enum status (*add_backlog)(struct store *store, const struct backlog *backlog);
    enum status (*move_backlog)(struct store *store, int64_t id, wall next_at);
    enum status (*drop_backlog)(struct store *store, int64_t id);
    enum status (*give_up_backlogs)(struct store *store, int64_t task, const char *reason);
    enum status (*load_backlogs)(struct store *store, int64_t after_task, size_t max,
                                 struct backlog *ret, size_t *ret_count);
    enum status (*load_cursors_of_task)(struct store *store, int64_t task, size_t max,
                                        struct cursor *ret, size_t *ret_count);
    enum status (*load_waiting_notices)(struct store *store, run_id after, size_t max, run_id *ret,
                                        size_t *ret_count);
    enum status (*load_waiting_of_task)(struct store *store, int64_t task, run_id after, size_t max,
                                        run_id *ret, size_t *ret_count);
    enum status (*load_deadlines)(struct store *store, size_t max, struct deadline *ret,
                                  size_t *ret_count);
    enum status (*drop_deadline)(struct store *store, const struct deadline *deadline);

    enum status (*find_key)(struct store *store, const char *key, wall now,
                            uint64_t *ret_fingerprint, char **ret_body, size_t *ret_size);
    enum status (*keep_key)(struct store *store, const char *key, uint64_t fingerprint,
                            const char *body, size_t size, wall expires_at);
    enum status (*clear_keys)(struct store *store, wall now, size_t max);

    enum status (*add_journal)(struct store *store, int64_t turn, wall at, const char *events,
                               size_t size);
    enum status (*trim_journal)(struct store *store, size_t keep_bytes, size_t max);

    enum status (*clear_history)(struct store *store, const struct history_limits *limits,
                                 struct history_place *place, size_t max,
                                 struct history_cleared *ret);
    enum status (*history_size)(struct store *store, struct history_size *ret);
};
