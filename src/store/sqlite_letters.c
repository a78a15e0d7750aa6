// Dead letters that are dealt with, the open runs of a task, and notices still to be told.
#include <stdlib.h>

#include "store/sqlite.h"

enum { HANDLE, ADD_DEAD, DROP_DEAD, NEWEST_OPEN, LOAD_NOTICES, PUT_NOTICE, STATEMENTS };

static const char *const texts[STATEMENTS] = {
    [HANDLE] = "UPDATE runs SET handled = ?2 WHERE id = ?1 AND state = 5 AND handled IS NULL",
    [ADD_DEAD] = "INSERT INTO dead_letters (run_id, task_id) SELECT id, task_id FROM runs"
                 " WHERE id = ?1",
    [DROP_DEAD] = "DELETE FROM dead_letters WHERE run_id = ?1",
    [NEWEST_OPEN] = ("SELECT id FROM runs INDEXED BY runs_live_of_task"
                     " WHERE task_id = ?1 AND state <= 3 AND state = ?2 ORDER BY id DESC LIMIT 1"),
    [LOAD_NOTICES] = ("SELECT task_id, told_at, due_at, failing, well, failed, missed, first_run,"
                      " last_run, reasons FROM notices WHERE task_id > ?1 ORDER BY task_id"
                      " LIMIT ?2"),
    [PUT_NOTICE] =
        ("INSERT INTO notices (task_id, told_at, due_at, failing, well, failed, missed, first_run,"
         " last_run, reasons) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"
         " ON CONFLICT (task_id) DO UPDATE SET told_at = excluded.told_at,"
         " due_at = excluded.due_at, failing = excluded.failing, well = excluded.well,"
         " failed = excluded.failed, missed = excluded.missed, first_run = excluded.first_run,"
         " last_run = excluded.last_run, reasons = excluded.reasons"),
};

enum status sqlite_prepare_letters(struct sqlite *s)
{
    return database_prepare(&s->database, texts, STATEMENTS, &s->letters);
}

enum status sqlite_add_dead(struct sqlite *s, run_id id)
{
    bind_int(s->letters[ADD_DEAD], 1, id.value);
    return database_do(&s->database, s->letters[ADD_DEAD]);
}

enum status sqlite_drop_dead(struct sqlite *s, run_id id)
{
    bind_int(s->letters[DROP_DEAD], 1, id.value);
    return database_do(&s->database, s->letters[DROP_DEAD]);
}

enum status sqlite_handle_run(struct store *store, run_id id, const char *handled)
{
    struct sqlite *s = sqlite_of(store);
    int changes = 0;
    bind_int(s->letters[HANDLE], 1, id.value);
    bind_text(s->letters[HANDLE], 2, handled);
    enum status status = database_change(&s->database, s->letters[HANDLE], &changes);
    if (status != STATUS_OK || changes == 0)
        return status == STATUS_OK ? STATUS_CONFLICT : status;
    return sqlite_drop_dead(s, id);
}

enum status sqlite_newest_open(struct store *store, int64_t task, enum run_state state, run_id *ret)
{
    struct sqlite *s = sqlite_of(store);
    sqlite3_stmt *q = s->letters[NEWEST_OPEN];
    bind_int(q, 1, task);
    bind_int(q, 2, state);
    enum status status = database_one(&s->database, q);
    if (status == STATUS_OK)
        *ret = (run_id){sqlite3_column_int64(q, 0)};
    sqlite3_reset(q);
    return status;
}

enum status sqlite_load_notices(struct store *store, int64_t after, size_t max, struct notice *ret,
                                size_t *ret_count)
{
    struct sqlite *s = sqlite_of(store);
    sqlite3_stmt *q = s->letters[LOAD_NOTICES];
    size_t count = 0;
    enum status status;
    bind_int(q, 1, after);
    bind_int(q, 2, (int64_t)max);
    while ((status = database_step(&s->database, q)) == STATUS_OK)
        ret[count++] = (struct notice){
            .task = sqlite3_column_int64(q, 0),
            .told_at = column_wall(q, 1, WALL_NONE),
            .due_at = column_wall(q, 2, WALL_NONE),
            .failing = column_int(q, 3) != 0,
            .well = column_int(q, 4) != 0,
            .failed = sqlite3_column_int64(q, 5),
            .missed = sqlite3_column_int64(q, 6),
            .first = {sqlite3_column_int64(q, 7)},
            .last = {sqlite3_column_int64(q, 8)},
            .reasons = column_text(q, 9),
        };
    status = database_walked(q, status);
    while (status != STATUS_OK && count > 0)
        free(ret[--count].reasons);
    *ret_count = count;
    return status;
}

enum status sqlite_put_notice(struct store *store, const struct notice *notice)
{
    struct sqlite *s = sqlite_of(store);
    sqlite3_stmt *q = s->letters[PUT_NOTICE];
    bind_int(q, 1, notice->task);
    bind_wall(q, 2, notice->told_at);
    bind_wall(q, 3, notice->due_at);
    bind_int(q, 4, notice->failing);
    bind_int(q, 5, notice->well);
    bind_int(q, 6, notice->failed);
    bind_int(q, 7, notice->missed);
    bind_id(q, 8, notice->first.value);
    bind_id(q, 9, notice->last.value);
    bind_text(q, 10, notice->reasons ? notice->reasons : "[]");
    return database_do(&s->database, q);
}
