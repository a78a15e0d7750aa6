#include "store/sqlite.h"

#include <assert.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "store/log_file.h"
#include "store/migrate.h"

// A checkpoint syncs the log, writes each changed page once and syncs the main file: the longer the
// log, the less often the same page is written, and the longer one checkpoint holds up the turn
// behind it.
#define CHECKPOINT_BYTES (INT64_C(16) << 20)
// A reader that stays on an old page keeps the log from beginning anew; when it is gone, this is
// cut off.
#define TRUNCATE_BYTES (INT64_C(256) << 20)

// Somebody looks into the file with another program, which may lock it for a moment: waited for,
// then it counts as a failure. Less than the watchdog's and a lease's time.
#define BUSY_MS 3000

#define PAGE_BYTES 4096

enum { BEGIN, COMMIT, ROLLBACK, TURN_STATEMENTS };

static const char *const texts[TURN_STATEMENTS] = {
    [BEGIN] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
    [ROLLBACK] = "ROLLBACK",
};

// Closing the last connection, SQLite moves the log into the file and syncs both. A store that is
// broken, or that could not be opened, must write nothing more and sync nothing again: the log
// stays as it is for the next start.
static void leave_log(struct sqlite *s, bool leave)
{
    if (s->database.handle)
        sqlite3_db_config(s->database.handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, leave, NULL);
}

static void close_store(struct store *store)
{
    struct sqlite *s = sqlite_of(store);
    if (s->database.broken)
        leave_log(s, true);
    database_close(&s->database);
    if (s->lock >= 0)
        close(s->lock);
    free(s->turns);
    free(s->settings);
    free(s->tasks);
    free(s->revisions);
    free(s->cursors);
    free(s->runs);
    free(s->moves);
    free(s->sweeps);
    free(s->keys);
    free(s->journal);
    free(s->books);
    new_runs_forget(s);
    free(s->new_runs);
    free(s->history);
    books_forget(s);
    free(s->rates);
    free(s->leases);
    free(s->policies);
    free(s->letters);
    free(s);
}

static enum status begin(struct store *store)
{
    struct sqlite *s = sqlite_of(store);
    return database_do(&s->database, s->turns[BEGIN]);
}

static void rollback(struct store *store)
{
    struct sqlite *s = sqlite_of(store);
    new_runs_forget(s);
    books_forget(s);
    // SQLite rolls back by itself after some failures. Not through database_do: a broken store
    // rolls back, too.
    if (sqlite3_get_autocommit(s->database.handle))
        return;
    sqlite3_step(s->turns[ROLLBACK]);
    sqlite3_reset(s->turns[ROLLBACK]);
}

static enum status commit(struct store *store)
{
    struct sqlite *s = sqlite_of(store);
    enum status status = books_write(s);
    if (status == STATUS_OK)
        status = database_do(&s->database, s->turns[COMMIT]);
    if (status != STATUS_OK)
        rollback(store);
    return status;
}

static enum status checkpoint(struct store *store)
{
    struct sqlite *s = sqlite_of(store);
    if (s->database.broken)
        return STATUS_FAILED;
    if (s->log_bytes < s->checkpoint_at)
        return STATUS_OK;
    int mode =
        s->log_bytes < TRUNCATE_BYTES ? SQLITE_CHECKPOINT_PASSIVE : SQLITE_CHECKPOINT_TRUNCATE;
    int in_log = 0, moved = 0;
    // A reader on an older page is no reason to wait: only a checkpoint would wait for that.
    sqlite3_busy_timeout(s->database.handle, 0);
    int code = sqlite3_wal_checkpoint_v2(s->database.handle, NULL, mode, &in_log, &moved);
    sqlite3_busy_timeout(s->database.handle, BUSY_MS);
    // Busy: a reader is on an older page. What could be moved has been, and the rest comes next
    // time.
    if (code != SQLITE_OK && (code & 0xff) != SQLITE_BUSY)
        return database_fail(&s->database);
    // Moved whole, the log begins anew with the next commit; else it goes on growing, and the next
    // try waits for as much again.
    if (in_log == moved)
        s->log_bytes = 0;
    s->checkpoint_at = s->log_bytes + CHECKPOINT_BYTES;
    return STATUS_OK;
}

static const struct store_verbs verbs = {
    .close = close_store,
    .begin = begin,
    .commit = commit,
    .rollback = rollback,
    .checkpoint = checkpoint,
    .start = sqlite_start,
    .get_setting = sqlite_get_setting,
    .put_setting = sqlite_put_setting,
    .find_task = sqlite_find_task,
    .find_task_by_id = sqlite_find_task_by_id,
    .next_task = sqlite_next_task,
    .save_task = sqlite_save_task,
    .mark_task = sqlite_mark_task,
    .find_revision = sqlite_find_revision,
    .keep_definition = sqlite_keep_definition,
    .load_definition = sqlite_load_definition,
    .put_cursor = sqlite_put_cursor,
    .drop_cursors = sqlite_drop_cursors,
    .load_cursors = sqlite_load_cursors,
    .add_run = sqlite_add_run,
    .load_due = sqlite_load_due,
    .load_due_of_task = sqlite_load_due_of_task,
    .find_run = sqlite_find_run,
    .start_run = sqlite_start_run,
    .finish_attempt = sqlite_finish_attempt,
    .end_run = sqlite_end_run,
    .cancel_pending = sqlite_cancel_pending,
    .load_running = sqlite_load_running,
    .add_sweep = sqlite_add_sweep,
    .load_sweeps = sqlite_load_sweeps,
    .drop_sweep = sqlite_drop_sweep,
    .add_start = sqlite_add_start,
    .load_starts = sqlite_load_starts,
    .change_starts = sqlite_change_starts,
    .trim_starts = sqlite_trim_starts,
    .shift_clock = sqlite_shift_clock,
    .put_lease = sqlite_put_lease,
    .drop_lease = sqlite_drop_lease,
    .find_lease = sqlite_find_lease,
    .release_run = sqlite_release_run,
    .move_runs = sqlite_move_runs,
    .add_backlog = sqlite_add_backlog,
    .move_backlog = sqlite_move_backlog,
    .drop_backlog = sqlite_drop_backlog,
    .give_up_backlogs = sqlite_give_up_backlogs,
    .load_backlogs = sqlite_load_backlogs,
    .load_cursors_of_task = sqlite_load_cursors_of_task,
    .load_waiting_notices = sqlite_load_waiting_notices,
    .load_waiting_of_task = sqlite_load_waiting_of_task,
    .load_deadlines = sqlite_load_deadlines,
    .drop_deadline = sqlite_drop_deadline,
    .find_key = sqlite_find_key,
    .keep_key = sqlite_keep_key,
    .clear_keys = sqlite_clear_keys,
    .add_journal = sqlite_add_journal,
    .trim_journal = sqlite_trim_journal,
    .clear_history = sqlite_clear_history,
    .history_size = sqlite_history_size,
    .newest_open = sqlite_newest_open,
    .handle_run = sqlite_handle_run,
    .load_notices = sqlite_load_notices,
    .put_notice = sqlite_put_notice,
    .load_webhooks = sqlite_load_webhooks,
    .put_webhook = sqlite_put_webhook,
};

// --- opening ---

// SQLite calls it after each commit with the number of pages that the log holds.
static int after_commit(void *context, sqlite3 *handle, const char *name, int pages)
{
    (void)handle;
    (void)name;
    struct sqlite *s = context;
    s->log_bytes = (int64_t)pages * PAGE_BYTES;
    if (s->log_bytes < s->checkpoint_at - CHECKPOINT_BYTES)
        s->checkpoint_at = CHECKPOINT_BYTES; // it has begun anew
    return SQLITE_OK;
}

// What must be said before the file is first written.
static const char before[] =
    "PRAGMA page_size = 4096;" // PAGE_BYTES
    "PRAGMA journal_mode = WAL;"
    "PRAGMA wal_autocheckpoint = 0;"
    // The log is synced at each commit: what is answered with 2xx survives a power cut.
    "PRAGMA synchronous = FULL;"
    "PRAGMA cache_size = -65536;" // KiB
    "PRAGMA temp_store = MEMORY;"
    // References are made only by this program, from rows it has just read or written.
    "PRAGMA foreign_keys = OFF;"
    // Debian's SQLite overwrites what is deleted with zeros unless told not to.
    "PRAGMA secure_delete = OFF;";

// Where the system cannot share memory with SQLite (some network file systems), the mode stays what
// it was.
static bool has_log(struct sqlite *s)
{
    sqlite3_stmt *q = NULL;
    bool yes =
        sqlite3_prepare_v2(s->database.handle, "PRAGMA journal_mode", -1, &q, NULL) == SQLITE_OK &&
        sqlite3_step(q) == SQLITE_ROW &&
        strcmp((const char *)sqlite3_column_text(q, 0), "wal") == 0;
    sqlite3_finalize(q);
    return yes;
}

static enum status write_held_back(struct database *d)
{
    return new_runs_write((struct sqlite *)((char *)d - offsetof(struct sqlite, database)));
}

static enum status prepare(struct sqlite *s)
{
    static enum status (*const parts[])(struct sqlite *) = {
        sqlite_prepare_settings, sqlite_prepare_tasks,  sqlite_prepare_revisions,
        sqlite_prepare_cursors,  sqlite_prepare_runs,   sqlite_prepare_moves,
        sqlite_prepare_sweeps,   sqlite_prepare_keys,   sqlite_prepare_journal,
        sqlite_prepare_rates,    sqlite_prepare_leases, sqlite_prepare_policies,
        sqlite_prepare_letters,
    };
    enum status status = database_prepare(&s->database, texts, TURN_STATEMENTS, &s->turns);
    for (size_t i = 0; i < sizeof parts / sizeof *parts && status == STATUS_OK; i++)
        status = parts[i](s);
    if (status == STATUS_OK)
        status = sqlite_prepare_new_runs(s);
    if (status == STATUS_OK)
        status = sqlite_prepare_books(s);
    if (status == STATUS_OK)
        status = sqlite_prepare_history(s);
    return status;
}

// Whether it is new, empty or marked: only such a store is written without syncs.
static enum status check_for_tests(struct sqlite *s, int version, const char *path, char *why,
                                   size_t size)
{
    static const char text[] =
        "SELECT NOT EXISTS (SELECT 1 FROM journal)"
        " OR EXISTS (SELECT 1 FROM settings WHERE name = '" STORE_TEST_CLOCK "')";
    sqlite3_stmt *q = NULL;
    if (version == 0)
        return STATUS_OK;
    bool read = sqlite3_prepare_v2(s->database.handle, text, -1, &q, NULL) == SQLITE_OK &&
                sqlite3_step(q) == SQLITE_ROW;
    bool may = read && sqlite3_column_int(q, 0);
    sqlite3_finalize(q);
    if (!read)
        snprintf(why, size, "%s cannot be read: %s", path, sqlite3_errmsg(s->database.handle));
    else if (!may)
        snprintf(why, size,
                 "%s has tasks and runs of a real clock, and a test clock would let their time "
                 "pass: give --test-clock a store of its own with --store",
                 path);
    return may ? STATUS_OK : read ? STATUS_CONFLICT : STATUS_FAILED;
}

// The log may end with a turn whose process was killed between its write and its sync: whoever
// opens the file finds it, and a power cut would take it away again. This program answers from what
// it finds (a request that is repeated, an edit that changes nothing) without writing, so what it
// finds is synced first: a commit syncs the whole log, and this one changes nothing.
static enum status sync_log(struct sqlite *s)
{
    char sql[60];
    snprintf(sql, sizeof sql, "PRAGMA application_id = %d", STORE_APPLICATION_ID);
    return sqlite3_exec(s->database.handle, sql, NULL, NULL, NULL) == SQLITE_OK ? STATUS_OK
                                                                                : STATUS_FAILED;
}

// Opens the file at `path`, which this process has the lock of.
static enum status open_file(struct sqlite *s, const char *path, bool unsynced, char *why,
                             size_t size)
{
    sqlite3 **handle = &s->database.handle;
    int version = 0;
    if (database_open(&s->database, path, SQLITE_OPEN_READWRITE,
                      unsynced ? NULL : log_file_vfs()) != STATUS_OK) {
        snprintf(why, size, "%s cannot be opened: %s", path, s->database.problem);
        return STATUS_FAILED;
    }
    sqlite3_busy_timeout(*handle, BUSY_MS);
    leave_log(s, true);
    enum status status = migrate_check(*handle, path, &version, why, size);
    if (status == STATUS_OK && unsynced)
        status = check_for_tests(s, version, path, why, size);
    if (status != STATUS_OK)
        return status;
    if (sqlite3_exec(*handle, before, NULL, NULL, NULL) != SQLITE_OK ||
        (unsynced &&
         sqlite3_exec(*handle, "PRAGMA synchronous = OFF", NULL, NULL, NULL) != SQLITE_OK)) {
        snprintf(why, size, "%s cannot be written: %s", path, sqlite3_errmsg(*handle));
        return STATUS_FAILED;
    }
    if (!has_log(s)) {
        snprintf(why, size, "%s is on a file system without shared memory: use a local disk", path);
        return STATUS_FAILED;
    }
    status = migrate_up(*handle, path, version, why, size);
    if (status != STATUS_OK)
        return status;
    if (sync_log(s) != STATUS_OK) {
        snprintf(why, size, "%s cannot be written: %s", path, sqlite3_errmsg(*handle));
        return STATUS_FAILED;
    }
    s->database.write_held_back = write_held_back;
    sqlite3_wal_hook(*handle, after_commit, s);
    status = prepare(s);
    if (status == STATUS_OK)
        leave_log(s, false);
    else
        snprintf(why, size, "%s is damaged: %s", path, s->database.problem);
    return status;
}

static enum status open_store(const char *where, bool unsynced, struct store **ret, char *why,
                              size_t size)
{
    struct sqlite *s = memory_new(sizeof *s);
    s->store = (struct store){&verbs, s->database.problem};
    s->lock = -1;
    s->checkpoint_at = CHECKPOINT_BYTES;
    char *path = NULL;
    enum status status = sqlite_file_take(where, &path, &s->lock, why, size);
    if (status == STATUS_OK)
        status = open_file(s, path, unsynced, why, size);
    free(path);
    if (status == STATUS_OK)
        *ret = &s->store;
    else
        close_store(&s->store);
    return status;
}

enum status store_open_sqlite(const char *where, struct store **ret, char *why, size_t size)
{
    return open_store(where, false, ret, why, size);
}

enum status store_open_sqlite_unsynced(const char *where, struct store **ret, char *why,
                                       size_t size)
{
    return open_store(where, true, ret, why, size);
}
