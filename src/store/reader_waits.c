// What a due run may wait for, as a reader sees it: other runs of its task, and starts under its
// rate limit.
#include "store/reader_internal.h"

enum { DEFINITION, RUNNING, BETWEEN, START, STATEMENTS };

static const char *const texts[STATEMENTS] = {
    [DEFINITION] = "SELECT definition FROM revisions WHERE id = ?1",
    // By what runs now, in all: of the live runs of one task most may be waiting to start.
    [RUNNING] = ("SELECT count(*), min(id) FROM (SELECT id FROM runs INDEXED BY runs_by_state"
                 " WHERE state >= 2 AND state <> 4 AND state = 2 AND task_id = ?1 AND id <> ?2"
                 " LIMIT ?3)"),
    [BETWEEN] = ("SELECT id FROM runs INDEXED BY runs_waiting_of_task"
                 " WHERE task_id = ?1 AND state = 3 AND id <> ?2 LIMIT 1"),
    [START] = ("SELECT at FROM rate_starts WHERE key = ?1"
               " ORDER BY at DESC, run_id DESC, attempt DESC LIMIT 1 OFFSET ?2"),
};

enum status reader_prepare_waits(struct reader *reader)
{
    return database_prepare(&reader->database, texts, STATEMENTS, &reader->waits);
}

enum status reader_find_definition(struct reader *reader, int64_t revision_id,
                                   char **ret_definition, size_t *ret_size)
{
    sqlite3_stmt *q = reader->waits[DEFINITION];
    bind_int(q, 1, revision_id);
    enum status status = database_one(&reader->database, q);
    if (status == STATUS_OK)
        *ret_definition = column_bytes(q, 0, ret_size);
    sqlite3_reset(q);
    return status;
}

static enum status find_between(struct reader *reader, int64_t task, run_id besides, run_id *ret)
{
    sqlite3_stmt *q = reader->waits[BETWEEN];
    bind_int(q, 1, task);
    bind_int(q, 2, besides.value);
    enum status status = database_one(&reader->database, q);
    if (status == STATUS_OK)
        *ret = (run_id){sqlite3_column_int64(q, 0)};
    else if (status == STATUS_NOT_FOUND)
        *ret = (run_id){0};
    sqlite3_reset(q);
    return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

enum status reader_find_live(struct reader *reader, int64_t task, run_id besides, size_t most,
                             size_t *ret_running, run_id *ret_live)
{
    sqlite3_stmt *q = reader->waits[RUNNING];
    size_t running = 0;
    run_id live = {0};
    bind_int(q, 1, task);
    bind_int(q, 2, besides.value);
    bind_int(q, 3, (int64_t)most);
    enum status status = database_one(&reader->database, q);
    if (status == STATUS_OK) {
        running = (size_t)sqlite3_column_int64(q, 0);
        live.value = sqlite3_column_int64(q, 1); // NULL reads as 0
    }
    sqlite3_reset(q);
    if (status == STATUS_OK && !live.value)
        status = find_between(reader, task, besides, &live);
    if (status != STATUS_OK)
        return status;
    *ret_running = running;
    *ret_live = live;
    return STATUS_OK;
}

enum status reader_find_start(struct reader *reader, uint64_t key, int back, wall *ret)
{
    sqlite3_stmt *q = reader->waits[START];
    bind_int(q, 1, (int64_t)key);
    bind_int(q, 2, back - 1);
    enum status status = database_one(&reader->database, q);
    if (status == STATUS_OK)
        *ret = column_wall(q, 0, WALL_NONE);
    sqlite3_reset(q);
    return status;
}
