// Dead letters that are dealt with, the open runs of a task, and what is still to be told.
#include <stdlib.h>

#include "store/sqlite.h"

enum {
    HANDLE,
    ADD_DEAD,
    DROP_DEAD,
    NEWEST_OPEN,
    LOAD_NOTICES,
    PUT_NOTICE,
    LOAD_WEBHOOKS,
    PUT_WEBHOOK,
    STATEMENTS
};

static const char *const texts[STATEMENTS] = {
    [HANDLE] = "UPDATE runs SET handled = ?2 WHERE id = ?1 AND state = 5 AND handled IS NULL",
    [ADD_DEAD] = "INSERT INTO dead_letters (run_id, task_id) SELECT id, task_id FROM runs"
                 " WHERE id = ?1",
    [DROP_DEAD] = "DELETE FROM dead_letters WHERE run_id = ?1",
    [NEWEST_OPEN] = ("SELECT id FROM runs INDEXED BY runs_live_of_task"
                     " WHERE task_id = ?1 AND state <= 3 AND state = ?2 ORDER BY id DESC LIMIT 1"),
    [LOAD_NOTICES] = ("SELECT task_id, told_at, due_at, failing, well, failed, missed, first_run,"
                      " last_run, reasons, told_in FROM notices WHERE task_id > ?1"
                      " ORDER BY task_id LIMIT ?2"),
    [PUT_NOTICE] =
        ("INSERT INTO notices (task_id, told_at, due_at, failing, well, failed, missed, first_run,"
         " last_run, reasons, told_in) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)"
         " ON CONFLICT (task_id) DO UPDATE SET told_at = excluded.told_at,"
         " due_at = excluded.due_at, failing = excluded.failing, well = excluded.well,"
         " failed = excluded.failed, missed = excluded.missed, first_run = excluded.first_run,"
         " last_run = excluded.last_run, reasons = excluded.reasons, told_in = excluded.told_in"),
    [LOAD_WEBHOOKS] = ("SELECT id, url, told_at, recovered_at, open_group, cooldown, tasks, well,"
                       " recovered, failed, missed, first_run, last_run, reasons, named"
                       " FROM webhooks WHERE id > ?1 ORDER BY id LIMIT ?2"),
    [PUT_WEBHOOK] =
        ("INSERT INTO webhooks (id, url, told_at, recovered_at, open_group, cooldown, tasks, well,"
         " recovered, failed, missed, first_run, last_run, reasons, named)"
         " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)"
         " ON CONFLICT (id) DO UPDATE SET told_at = excluded.told_at,"
         " recovered_at = excluded.recovered_at, open_group = excluded.open_group,"
         " cooldown = excluded.cooldown, tasks = excluded.tasks, well = excluded.well,"
         " recovered = excluded.recovered, failed = excluded.failed, missed = excluded.missed,"
         " first_run = excluded.first_run, last_run = excluded.last_run,"
         " reasons = excluded.reasons, named = excluded.named"),
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
            .told_in = sqlite3_column_int64(q, 10),
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
    bind_int(q, 11, notice->told_in);
    return database_do(&s->database, q);
}

static void free_webhook(struct webhook *webhook)
{
    free(webhook->url);
    free(webhook->reasons);
    free(webhook->named);
}

enum status sqlite_load_webhooks(struct store *store, int64_t after, size_t max,
                                 struct webhook *ret, size_t *ret_count)
{
    struct sqlite *s = sqlite_of(store);
    sqlite3_stmt *q = s->letters[LOAD_WEBHOOKS];
    size_t count = 0;
    enum status status;
    bind_int(q, 1, after);
    bind_int(q, 2, (int64_t)max);
    while ((status = database_step(&s->database, q)) == STATUS_OK)
        ret[count++] = (struct webhook){
            .id = sqlite3_column_int64(q, 0),
            .url = column_text(q, 1),
            .told_at = column_wall(q, 2, WALL_NONE),
            .recovered_at = column_wall(q, 3, WALL_NONE),
            .group = sqlite3_column_int64(q, 4),
            .cooldown_us = sqlite3_column_int64(q, 5),
            .tasks = sqlite3_column_int64(q, 6),
            .well = sqlite3_column_int64(q, 7),
            .recovered = sqlite3_column_int64(q, 8),
            .failed = sqlite3_column_int64(q, 9),
            .missed = sqlite3_column_int64(q, 10),
            .first = {sqlite3_column_int64(q, 11)},
            .last = {sqlite3_column_int64(q, 12)},
            .reasons = column_text(q, 13),
            .named = column_text(q, 14),
        };
    status = database_walked(q, status);
    while (status != STATUS_OK && count > 0)
        free_webhook(&ret[--count]);
    *ret_count = count;
    return status;
}

enum status sqlite_put_webhook(struct store *store, const struct webhook *webhook)
{
    struct sqlite *s = sqlite_of(store);
    sqlite3_stmt *q = s->letters[PUT_WEBHOOK];
    bind_int(q, 1, webhook->id);
    bind_text(q, 2, webhook->url);
    bind_wall(q, 3, webhook->told_at);
    bind_wall(q, 4, webhook->recovered_at);
    bind_int(q, 5, webhook->group);
    bind_int(q, 6, webhook->cooldown_us);
    bind_int(q, 7, webhook->tasks);
    bind_int(q, 8, webhook->well);
    bind_int(q, 9, webhook->recovered);
    bind_int(q, 10, webhook->failed);
    bind_int(q, 11, webhook->missed);
    bind_id(q, 12, webhook->first.value);
    bind_id(q, 13, webhook->last.value);
    bind_text(q, 14, webhook->reasons ? webhook->reasons : "[]");
    bind_text(q, 15, webhook->named ? webhook->named : "[]");
    return database_do(&s->database, q);
}
