// Leases: who works on a run that this server does not carry out itself.
#include <assert.h>

#include "store/sqlite.h"

enum { PUT, DROP, FIND, RELEASE, MOVE, STATEMENTS };

static_assert(LEASE_WORKER == 0 && LEASE_CALLBACK == 1, "kinds are stored");

static const char *const texts[STATEMENTS] = {
    [PUT] = ("INSERT INTO leases (run_id, kind, length_us, until, steady_until, most, steady_most,"
             " boot, worker) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)"
             " ON CONFLICT (run_id) DO UPDATE SET kind = excluded.kind,"
             " length_us = excluded.length_us, until = excluded.until,"
             " steady_until = excluded.steady_until, most = excluded.most,"
             " steady_most = excluded.steady_most, boot = excluded.boot,"
             " worker = excluded.worker"),
    [DROP] = "DELETE FROM leases WHERE run_id = ?1",
    [FIND] = ("SELECT kind, length_us, until, steady_until, most, steady_most, boot, worker"
              " FROM leases WHERE run_id = ?1"),
    [RELEASE] = ("UPDATE runs SET state = 3, attempts = attempts - 1, attempt_started_at = NULL,"
                 " started_at = CASE attempts WHEN 1 THEN NULL ELSE started_at END"
                 " WHERE id = ?1 AND fence = ?2 AND state = 2 AND attempts > 0"),
    [MOVE] = ("UPDATE runs INDEXED BY runs_live_of_task SET lane = ?2"
              " WHERE task_id = ?1 AND state <= 3 AND state IN (0, 3)"),
};

enum status sqlite_prepare_leases(struct sqlite *s)
{
    return database_prepare(&s->database, texts, STATEMENTS, &s->leases);
}

enum status sqlite_put_lease(struct store *store, const struct lease_record *record)
{
    struct sqlite *s = sqlite_of(store);
    sqlite3_stmt *q = s->leases[PUT];
    bind_int(q, 1, record->run.value);
    bind_int(q, 2, record->kind);
    bind_int(q, 3, record->length_us);
    bind_int(q, 4, record->until.us);
    bind_int(q, 5, record->steady_until.us);
    bind_wall(q, 6, record->most);
    bind_wall(q, 7, (wall){record->steady_most.us});
    bind_int(q, 8, record->boot);
    bind_text(q, 9, record->worker);
    return database_do(&s->database, q);
}

enum status sqlite_drop_lease(struct store *store, run_id run)
{
    struct sqlite *s = sqlite_of(store);
    bind_int(s->leases[DROP], 1, run.value);
    return database_do(&s->database, s->leases[DROP]);
}

enum status sqlite_find_lease(struct store *store, run_id run, struct lease_record *ret)
{
    struct sqlite *s = sqlite_of(store);
    sqlite3_stmt *q = s->leases[FIND];
    bind_int(q, 1, run.value);
    enum status status = database_one(&s->database, q);
    if (status == STATUS_OK)
        *ret = (struct lease_record){
            .run = run,
            .kind = (enum lease_kind)column_int(q, 0),
            .length_us = sqlite3_column_int64(q, 1),
            .until = column_wall(q, 2, WALL_NONE),
            .steady_until = {sqlite3_column_int64(q, 3)},
            .most = column_wall(q, 4, WALL_NEVER),
            .steady_most = {column_wall(q, 5, WALL_NEVER).us},
            .boot = sqlite3_column_int64(q, 6),
            .worker = column_text(q, 7),
        };
    sqlite3_reset(q);
    return status;
}

enum status sqlite_release_run(struct store *store, run_id run, int64_t fence)
{
    struct sqlite *s = sqlite_of(store);
    sqlite3_stmt *q = s->leases[RELEASE];
    int changes = 0;
    bind_int(q, 1, run.value);
    bind_int(q, 2, fence);
    enum status status = database_change(&s->database, q, &changes);
    return status == STATUS_OK && changes == 0 ? STATUS_CONFLICT : status;
}

enum status sqlite_move_runs(struct store *store, int64_t task, uint64_t lane)
{
    struct sqlite *s = sqlite_of(store);
    bind_int(s->leases[MOVE], 1, task);
    bind_int(s->leases[MOVE], 2, (int64_t)lane);
    return database_do(&s->database, s->leases[MOVE]);
}
