// Runs: finding, loading. What makes them is in sqlite_new_runs.c, what moves them from state to
// state in sqlite_moves.c.
#include <assert.h>

#include "store/rows.h"
#include "store/sqlite.h"

enum { FIND, LOAD_DUE_THEN, LOAD_DUE_LATER, LOAD_DUE_OF_TASK, LOAD_RUNNING, STATEMENTS };

// The SQL of this folder names states by number, since the indexes do.
static_assert(RUN_SCHEDULED == 0 && RUN_RUNNING == 2 && RUN_WAITING == 3 && RUN_SUCCEEDED == 4 &&
                  RUN_FAILED == 5 && RUN_CANCELED == 6 && RUN_MISSED == 7 && RUN_SKIPPED == 8,
              "states are stored");
static_assert(TRIGGER_SCHEDULE == 0 && TRIGGER_CATCH_UP == 3, "triggers are stored");

// The last two: a run that catches up and has not started, and a notice.
#define DUE_COLUMNS "id, due_at, lane, task_id, priority, trigger = 3 AND state = 0, trigger = 5"

static const char *const texts[STATEMENTS] = {
    [FIND] = "SELECT " RUN_COLUMNS " FROM runs r" RUN_JOINS "WHERE r.id = ?1",
    // Two steps, so that each is one range of the index also where thousands are due in the same
    // instant.
    [LOAD_DUE_THEN] = ("SELECT " DUE_COLUMNS " FROM runs INDEXED BY runs_due"
                       " WHERE state IN (0, 3) AND due_at = ?1 AND id > ?2 ORDER BY id LIMIT ?3"),
    [LOAD_DUE_LATER] = ("SELECT " DUE_COLUMNS " FROM runs INDEXED BY runs_due"
                        " WHERE state IN (0, 3) AND due_at > ?1 AND due_at <= ?2"
                        " ORDER BY due_at, id LIMIT ?3"),
    [LOAD_DUE_OF_TASK] = ("SELECT " DUE_COLUMNS " FROM runs INDEXED BY runs_live_of_task"
                          " WHERE task_id = ?1 AND state <= 3 AND state IN (0, 3) AND id > ?2"
                          " ORDER BY id LIMIT ?3"),
    [LOAD_RUNNING] = ("SELECT " RUN_COLUMNS " FROM runs r INDEXED BY runs_by_state" RUN_JOINS
                      "WHERE r.state >= 2 AND r.state <> 4 AND r.state = 2 AND r.id > ?1"
                      " ORDER BY r.id LIMIT ?2"),
};

enum status sqlite_prepare_runs(struct sqlite *s)
{
    return database_prepare(&s->database, texts, STATEMENTS, &s->runs);
}

enum status sqlite_find_run(struct store *store, run_id id, struct run *ret)
{
    struct sqlite *s = sqlite_of(store);
    sqlite3_stmt *q = s->runs[FIND];
    bind_int(q, 1, id.value);
    enum status status = database_one(&s->database, q);
    if (status == STATUS_OK)
        row_run(q, ret);
    sqlite3_reset(q);
    return status;
}

static enum status load_rows(struct sqlite *s, sqlite3_stmt *q, struct due_row *ret,
                             size_t *ret_count)
{
    size_t count = 0;
    enum status status;
    while ((status = database_step(&s->database, q)) == STATUS_OK)
        ret[count++] = (struct due_row){
            .run = {sqlite3_column_int64(q, 0)},
            .due_at = column_wall(q, 1, WALL_NONE),
            .lane = (uint64_t)sqlite3_column_int64(q, 2),
            .task = sqlite3_column_int64(q, 3),
            .priority = column_int(q, 4),
            .catch_up = sqlite3_column_int(q, 5) != 0,
            .notice = sqlite3_column_int(q, 6) != 0,
        };
    *ret_count = count;
    return database_walked(q, status);
}

enum status sqlite_load_due(struct store *store, wall after, run_id after_id, wall until,
                            size_t max, struct due_row *ret, size_t *ret_count)
{
    struct sqlite *s = sqlite_of(store);
    size_t then = 0, later = 0;
    enum status status = STATUS_OK;
    if (wall_is_set(after) && after.us <= until.us) {
        sqlite3_stmt *q = s->runs[LOAD_DUE_THEN];
        bind_int(q, 1, after.us);
        bind_int(q, 2, after_id.value);
        bind_int(q, 3, (int64_t)max);
        status = load_rows(s, q, ret, &then);
    }
    if (status == STATUS_OK && then < max) {
        sqlite3_stmt *q = s->runs[LOAD_DUE_LATER];
        bind_int(q, 1, after.us);
        bind_int(q, 2, until.us);
        bind_int(q, 3, (int64_t)(max - then));
        status = load_rows(s, q, ret + then, &later);
    }
    if (status == STATUS_OK)
        *ret_count = then + later;
    return status;
}

enum status sqlite_load_due_of_task(struct store *store, int64_t task, run_id after_id, size_t max,
                                    struct due_row *ret, size_t *ret_count)
{
    struct sqlite *s = sqlite_of(store);
    sqlite3_stmt *q = s->runs[LOAD_DUE_OF_TASK];
    bind_int(q, 1, task);
    bind_int(q, 2, after_id.value);
    bind_int(q, 3, (int64_t)max);
    return load_rows(s, q, ret, ret_count);
}

enum status sqlite_load_running(struct store *store, run_id after, size_t max, struct run *ret,
                                size_t *ret_count)
{
    struct sqlite *s = sqlite_of(store);
    sqlite3_stmt *q = s->runs[LOAD_RUNNING];
    bind_int(q, 1, after.value);
    bind_int(q, 2, (int64_t)max);
    size_t count = 0;
    enum status status;
    while ((status = database_step(&s->database, q)) == STATUS_OK)
        row_run(q, &ret[count++]);
    status = database_walked(q, status);
    // Written only on STATUS_OK: what was read before a failure is let go.
    while (status != STATUS_OK && count > 0)
        run_done(&ret[--count]);
    *ret_count = count;
    return status;
}
