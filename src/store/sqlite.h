/*
 * sqlite - the embedded store
 *
 * One file, one connection that writes and is also the only one that checkpoints (Debian's
 * SQLite 3.40.1 can corrupt a log that two connections write or checkpoint at once).
 * docs/internals/store.md explains the tables and their costs.
 *
 * sqlite.c opens, takes turns and closes; each sqlite_*.c holds the verbs of one concept beside
 * their SQL. This header is for those files only.
 */
#pragma once

#include "base/map.h"
#include "store/database.h"
#include "store/verbs.h"

#define NEW_RUNS_HELD 16

struct sqlite {
    struct store store; // first, so that a struct store * is a struct sqlite *
    struct database database;
    int lock; // the descriptor that keeps other processes out
    // What the turn has added to the books and not yet written (sqlite_books.c).
    int64_t entered[RUN_STATE_COUNT], cleared[RUN_STATE_COUNT];
    struct map uses; // inline definition -> struct definition_use
    sqlite3_stmt **books, **history, **new_runs;
    // Runs of this turn that are still to be written (sqlite_new_runs.c), with texts of their own.
    struct run held[NEW_RUNS_HELD];
    size_t held_count;
    int64_t log_bytes;     // what the log holds since it last began anew
    int64_t checkpoint_at; // how much it must hold for the next checkpoint
    // The prepared statements of each part.
    sqlite3_stmt **turns, **settings, **tasks, **revisions, **cursors, **runs, **moves, **sweeps,
        **keys, **journal, **rates, **leases, **policies, **letters;
};

static inline struct sqlite *sqlite_of(struct store *store)
{
    return (struct sqlite *)store;
}

// Takes the store at `where` for this process and makes the file where there is none, mode 0600.
// *ret_path is absolute, to be freed; *ret_lock a descriptor: closing it lets go.
enum status sqlite_file_take(const char *where, char **ret_path, int *ret_lock, char *why,
                             size_t size);

// Each part prepares its statements at the opening.
enum status sqlite_prepare_settings(struct sqlite *s);
enum status sqlite_prepare_tasks(struct sqlite *s);
enum status sqlite_prepare_revisions(struct sqlite *s);
enum status sqlite_prepare_cursors(struct sqlite *s);
enum status sqlite_prepare_runs(struct sqlite *s);
enum status sqlite_prepare_moves(struct sqlite *s);
enum status sqlite_prepare_sweeps(struct sqlite *s);
enum status sqlite_prepare_keys(struct sqlite *s);
enum status sqlite_prepare_journal(struct sqlite *s);
enum status sqlite_prepare_books(struct sqlite *s);
enum status sqlite_prepare_history(struct sqlite *s);

// sqlite_new_runs.c: what add_run has held back.
enum status sqlite_prepare_new_runs(struct sqlite *s);
enum status new_runs_write(struct sqlite *s);
void new_runs_forget(struct sqlite *s); // the turn was undone

// sqlite_books.c: every verb that makes, ends or clears runs says so; the commit writes it down.
void books_entered(struct sqlite *s, enum run_state state);
void books_cleared(struct sqlite *s, enum run_state state);
void books_use(struct sqlite *s, int64_t revision_id, int64_t by); // of an inline definition
enum status books_write(struct sqlite *s);
void books_forget(struct sqlite *s); // the turn was undone
enum status sqlite_prepare_rates(struct sqlite *s);
enum status sqlite_prepare_leases(struct sqlite *s);
enum status sqlite_prepare_policies(struct sqlite *s);
enum status sqlite_prepare_letters(struct sqlite *s);

// The verbs, as in store.h.
enum status sqlite_start(struct store *store, struct store_start *ret);
enum status sqlite_get_setting(struct store *store, const char *name, char *value, size_t size);
enum status sqlite_put_setting(struct store *store, const char *name, const char *value);

enum status sqlite_find_task(struct store *store, const char *name, struct task_record *ret);
enum status sqlite_find_task_by_id(struct store *store, int64_t id, struct task_record *ret);
enum status sqlite_next_task(struct store *store, const char *after, struct task_record *ret);
enum status sqlite_save_task(struct store *store, struct task_record *record,
                             const struct edit *edit);
enum status sqlite_mark_task(struct store *store, const struct task_record *record,
                             const char *what, const struct edit *edit);

enum status sqlite_find_revision(struct store *store, int64_t task, int number,
                                 char **ret_definition, size_t *ret_size);
enum status sqlite_keep_definition(struct store *store, const char *definition, size_t size,
                                   wall now, int64_t *ret_revision_id);
enum status sqlite_load_definition(struct store *store, int64_t revision_id, char **ret_name,
                                   char **ret_definition, size_t *ret_size);

enum status sqlite_put_cursor(struct store *store, const struct cursor *cursor);
enum status sqlite_drop_cursors(struct store *store, int64_t task);
enum status sqlite_load_cursors(struct store *store, const struct cursor *after, wall until,
                                size_t max, struct cursor *ret, size_t *ret_count);

enum status sqlite_add_run(struct store *store, const struct run *run);
enum status sqlite_load_due(struct store *store, wall after, run_id after_id, wall until,
                            size_t max, struct due_row *ret, size_t *ret_count);
enum status sqlite_load_due_of_task(struct store *store, int64_t task, run_id after_id, size_t max,
                                    struct due_row *ret, size_t *ret_count);
enum status sqlite_find_run(struct store *store, run_id id, struct run *ret);
enum status sqlite_load_running(struct store *store, run_id after, size_t max, struct run *ret,
                                size_t *ret_count);

enum status sqlite_start_run(struct store *store, run_id id, wall at, int64_t revision_id,
                             uint64_t lane);
enum status sqlite_finish_attempt(struct store *store, const struct attempt *attempt,
                                  const struct verdict *verdict, wall now);
enum status sqlite_end_run(struct store *store, run_id id, enum run_state state, const char *reason,
                           wall now);
enum status sqlite_cancel_pending(struct store *store, int64_t task, run_id until,
                                  bool only_occurrences, const char *reason, wall now, size_t max,
                                  run_id *ret, size_t *ret_count);

enum status sqlite_add_sweep(struct store *store, struct sweep *sweep);
enum status sqlite_load_sweeps(struct store *store, int64_t after, size_t max, struct sweep *ret,
                               size_t *ret_count);
enum status sqlite_drop_sweep(struct store *store, int64_t id);

enum status sqlite_add_start(struct store *store, uint64_t key, const struct store_start_row *row);
enum status sqlite_load_starts(struct store *store, uint64_t key, wall after, size_t max,
                               struct store_start_row *ret, size_t *ret_count);
enum status sqlite_change_starts(struct store *store, uint64_t key, int most, int64_t per_us,
                                 int new_most, int64_t new_per_us);
enum status sqlite_trim_starts(struct store *store, uint64_t key, wall before, wall rules_before);
enum status sqlite_shift_clock(struct store *store, wall now, int64_t step_us);

enum status sqlite_put_lease(struct store *store, const struct lease_record *record);
enum status sqlite_drop_lease(struct store *store, run_id run);
enum status sqlite_find_lease(struct store *store, run_id run, struct lease_record *ret);
enum status sqlite_release_run(struct store *store, run_id run, int64_t fence);
enum status sqlite_move_runs(struct store *store, int64_t task, uint64_t lane);

enum status sqlite_add_backlog(struct store *store, const struct backlog *backlog);
enum status sqlite_move_backlog(struct store *store, int64_t id, wall next_at);
enum status sqlite_drop_backlog(struct store *store, int64_t id);
enum status sqlite_give_up_backlogs(struct store *store, int64_t task, const char *reason);
enum status sqlite_load_backlogs(struct store *store, int64_t after_task, size_t max,
                                 struct backlog *ret, size_t *ret_count);
enum status sqlite_load_cursors_of_task(struct store *store, int64_t task, size_t max,
                                        struct cursor *ret, size_t *ret_count);
enum status sqlite_load_waiting_notices(struct store *store, run_id after, size_t max, run_id *ret,
                                        size_t *ret_count);
enum status sqlite_load_waiting_of_task(struct store *store, int64_t task, run_id after, size_t max,
                                        run_id *ret, size_t *ret_count);
enum status sqlite_load_deadlines(struct store *store, size_t max, struct deadline *ret,
                                  size_t *ret_count);
enum status sqlite_drop_deadline(struct store *store, const struct deadline *deadline);
// By when a run that is scheduled must have started.
enum status sqlite_add_deadline(struct sqlite *s, const struct run *run);

enum status sqlite_newest_open(struct store *store, int64_t task, enum run_state state,
                               run_id *ret);
// A failed run becomes a dead letter; it was handled, or is cleared.
enum status sqlite_add_dead(struct sqlite *s, run_id id);
enum status sqlite_drop_dead(struct sqlite *s, run_id id);
enum status sqlite_handle_run(struct store *store, run_id id, const char *handled);
enum status sqlite_load_notices(struct store *store, int64_t after, size_t max, struct notice *ret,
                                size_t *ret_count);
enum status sqlite_put_notice(struct store *store, const struct notice *notice);
enum status sqlite_load_webhooks(struct store *store, int64_t after, size_t max,
                                 struct webhook *ret, size_t *ret_count);
enum status sqlite_put_webhook(struct store *store, const struct webhook *webhook);

enum status sqlite_find_key(struct store *store, const char *key, wall now,
                            uint64_t *ret_fingerprint, char **ret_body, size_t *ret_size);
enum status sqlite_keep_key(struct store *store, const char *key, uint64_t fingerprint,
                            const char *body, size_t size, wall expires_at);
enum status sqlite_clear_keys(struct store *store, wall now, size_t max);

enum status sqlite_add_journal(struct store *store, int64_t turn, wall at, const char *events,
                               size_t size);
enum status sqlite_clear_history(struct store *store, const struct history_limits *limits,
                                 struct history_place *place, size_t max,
                                 struct history_cleared *ret);
enum status sqlite_history_size(struct store *store, struct history_size *ret);
enum status sqlite_trim_journal(struct store *store, size_t keep_bytes, size_t max);
