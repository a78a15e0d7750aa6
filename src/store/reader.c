#include "store/reader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "store/migrate.h"
#include "store/reader_internal.h"
#include "store/rows.h"

// How long to wait for the writer where the two meet: only while it opens after a crash.
#define BUSY_MS 1000

enum { FIND, ROW, LIST, REVISIONS, REVISION, JOURNAL, RANGE, SETTING, STATEMENTS };

static const char *const texts[STATEMENTS] = {
    [FIND] = ("SELECT " TASK_COLUMNS " FROM " TASK_TABLES " WHERE t.name = ?1 AND NOT t.deleted"),
    [ROW] = "SELECT id FROM tasks WHERE name = ?1",
    [LIST] = ("SELECT " TASK_COLUMNS " FROM " TASK_TABLES
              " WHERE t.name > ?1 AND NOT t.deleted ORDER BY t.name LIMIT ?2"),
    [REVISIONS] =
        ("SELECT a.revision, a.at, a.author, a.note, a.what, a.changed, v.definition, a.id"
         " FROM audit a INDEXED BY audit_of_task"
         " LEFT JOIN revisions v ON v.task_id = a.task_id AND v.number = a.revision"
         " WHERE a.task_id = ?1 AND a.id < ?2 ORDER BY a.id DESC LIMIT ?3"),
    [REVISION] = "SELECT definition FROM revisions WHERE task_id = ?1 AND number = ?2",
    [JOURNAL] = "SELECT turn, at, events FROM journal WHERE turn > ?1 ORDER BY turn LIMIT ?2",
    [RANGE] = ("SELECT coalesce((SELECT min(turn) FROM journal), 0),"
               " coalesce((SELECT max(turn) FROM journal), 0)"),
    [SETTING] = "SELECT value FROM settings WHERE name = ?1",
};

// --- opening ---

static enum status open_file(struct reader *reader, const char *path, char *why, size_t size)
{
    sqlite3 **handle = &reader->database.handle;
    int version = 0;
    reader->database.forgives = true;
    if (database_open(&reader->database, path, SQLITE_OPEN_READONLY, NULL) != STATUS_OK) {
        snprintf(why, size, "%s cannot be opened: %s", path, reader->database.problem);
        return STATUS_FAILED;
    }
    sqlite3_busy_timeout(*handle, BUSY_MS);
    // Never a checkpoint, whatever happens to this connection: that is the writer's alone
    // (sqlite.h).
    sqlite3_db_config(*handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    enum status status = migrate_check(*handle, path, &version, why, size);
    if (status != STATUS_OK)
        return status;
    if (version != migrations[migration_count - 1].number) {
        snprintf(why, size,
                 "%s has schema %d and this program knows %d: let the server open it first", path,
                 version, migrations[migration_count - 1].number);
        return STATUS_INVALID;
    }
    if (sqlite3_exec(
            *handle,
            "PRAGMA query_only = ON; PRAGMA wal_autocheckpoint = 0; PRAGMA temp_store = MEMORY;",
            NULL, NULL, NULL) != SQLITE_OK)
        status = database_fail(&reader->database);
    if (status == STATUS_OK)
        status = database_prepare(&reader->database, texts, STATEMENTS, &reader->tasks);
    if (status == STATUS_OK)
        status = reader_prepare_runs(reader);
    if (status == STATUS_OK)
        status = reader_prepare_audit(reader);
    if (status == STATUS_OK)
        status = reader_prepare_queues(reader);
    if (status == STATUS_OK)
        status = reader_prepare_dead(reader);
    if (status == STATUS_OK)
        status = reader_prepare_waits(reader);
    if (status != STATUS_OK)
        snprintf(why, size, "%s cannot be read: %s", path, reader->database.problem);
    return status;
}

enum status reader_open_sqlite(const char *where, struct reader **ret, char *why, size_t size)
{
    // Absolute: a name such as ":memory:" or "file:x" means something else to SQLite.
    char *path = realpath(where, NULL);
    if (!path) {
        snprintf(why, size, "%s cannot be opened: %m", where);
        return STATUS_FAILED;
    }
    struct reader *reader = memory_new(sizeof *reader);
    enum status status = open_file(reader, path, why, size);
    free(path);
    if (status == STATUS_OK)
        *ret = reader;
    else
        reader_close(reader);
    return status;
}

void reader_close(struct reader *reader)
{
    if (!reader)
        return;
    database_close(&reader->database);
    free(reader->tasks);
    free(reader->runs);
    free(reader->audit);
    free(reader->queues);
    free(reader->dead);
    free(reader->waits);
    free(reader);
}

// --- tasks ---

enum status reader_find_task(struct reader *reader, const char *name, struct task_record *ret)
{
    sqlite3_stmt *q = reader->tasks[FIND];
    bind_text(q, 1, name);
    enum status status = database_one(&reader->database, q);
    if (status == STATUS_OK)
        row_task(q, ret);
    sqlite3_reset(q);
    return status;
}

enum status reader_find_task_row(struct reader *reader, const char *name, int64_t *ret)
{
    sqlite3_stmt *q = reader->tasks[ROW];
    bind_text(q, 1, name);
    enum status status = database_one(&reader->database, q);
    if (status == STATUS_OK)
        *ret = sqlite3_column_int64(q, 0);
    sqlite3_reset(q);
    return status;
}

enum status reader_list_tasks(struct reader *reader, const char *after, size_t max,
                              struct task_record *ret, size_t *ret_count)
{
    sqlite3_stmt *q = reader->tasks[LIST];
    bind_text(q, 1, after);
    bind_int(q, 2, (int64_t)max);
    size_t count = 0, bytes = 0;
    enum status status;
    while ((status = database_step(&reader->database, q)) == STATUS_OK) {
        row_task(q, &ret[count]);
        bytes += ret[count++].definition_size;
        if (bytes > READER_LIST_MAX) {
            status = STATUS_TOO_LARGE;
            break;
        }
    }
    status = database_walked(q, status);
    while (status != STATUS_OK && count > 0)
        task_record_done(&ret[--count]);
    *ret_count = count;
    return status;
}

// --- revisions ---

void revision_record_done(struct revision_record *record)
{
    free(record->author);
    free(record->note);
    free(record->what);
    free(record->changed);
    free(record->definition);
    *record = (struct revision_record){0};
}

static void row_revision(sqlite3_stmt *q, struct revision_record *ret)
{
    *ret = (struct revision_record){
        .number = column_int(q, 0),
        .at = column_wall(q, 1, WALL_NONE),
        .author = column_text(q, 2),
        .note = column_text(q, 3),
        .what = column_text(q, 4),
        .changed = column_text(q, 5),
        .id = sqlite3_column_int64(q, 7),
    };
    ret->definition = column_bytes(q, 6, &ret->definition_size);
}

enum status reader_list_revisions(struct reader *reader, const char *task, int64_t before,
                                  size_t max, struct revision_record *ret, size_t *ret_count)
{
    int64_t row;
    enum status status = reader_find_task_row(reader, task, &row);
    if (status != STATUS_OK)
        return status;
    sqlite3_stmt *q = reader->tasks[REVISIONS];
    bind_int(q, 1, row);
    bind_int(q, 2, before);
    bind_int(q, 3, (int64_t)max);
    size_t count = 0;
    while ((status = database_step(&reader->database, q)) == STATUS_OK)
        row_revision(q, &ret[count++]);
    status = database_walked(q, status);
    while (status != STATUS_OK && count > 0)
        revision_record_done(&ret[--count]);
    *ret_count = count;
    return status;
}

enum status reader_find_revision(struct reader *reader, const char *task, int number,
                                 char **ret_definition, size_t *ret_size)
{
    int64_t row;
    enum status status = reader_find_task_row(reader, task, &row);
    if (status != STATUS_OK)
        return status;
    sqlite3_stmt *q = reader->tasks[REVISION];
    bind_int(q, 1, row);
    bind_int(q, 2, number);
    status = database_one(&reader->database, q);
    if (status == STATUS_OK)
        *ret_definition = column_bytes(q, 0, ret_size);
    sqlite3_reset(q);
    return status;
}

// --- journal ---

enum status reader_read_journal(struct reader *reader, int64_t after_turn, size_t max,
                                struct journal_row *ret, size_t *ret_count)
{
    sqlite3_stmt *q = reader->tasks[JOURNAL];
    bind_int(q, 1, after_turn);
    bind_int(q, 2, (int64_t)max);
    size_t count = 0;
    enum status status;
    while ((status = database_step(&reader->database, q)) == STATUS_OK) {
        ret[count].turn = sqlite3_column_int64(q, 0);
        ret[count].at.us = sqlite3_column_int64(q, 1);
        ret[count].events = column_bytes(q, 2, &ret[count].size);
        count++;
    }
    status = database_walked(q, status);
    while (status != STATUS_OK && count > 0)
        free(ret[--count].events);
    *ret_count = count;
    return status;
}

enum status reader_journal_range(struct reader *reader, int64_t *ret_oldest, int64_t *ret_newest)
{
    sqlite3_stmt *q = reader->tasks[RANGE];
    enum status status = database_one(&reader->database, q);
    if (status == STATUS_OK) {
        *ret_oldest = sqlite3_column_int64(q, 0);
        *ret_newest = sqlite3_column_int64(q, 1);
    }
    sqlite3_reset(q);
    return status;
}

// --- settings ---

enum status reader_get_setting(struct reader *reader, const char *name, char **ret)
{
    sqlite3_stmt *q = reader->tasks[SETTING];
    bind_text(q, 1, name);
    enum status status = database_one(&reader->database, q);
    if (status == STATUS_OK)
        *ret = column_text(q, 0);
    sqlite3_reset(q);
    return status;
}
