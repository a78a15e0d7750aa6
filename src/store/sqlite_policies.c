// What overlap, catch_up and deadline ask: backlogs of outages, runs between two attempts,
// deadlines.
#include <stdio.h>
#include <string.h>

#include "store/sqlite.h"

enum {
    ADD,
    MOVE,
    DROP,
    GIVE_UP,
    LOAD,
    CURSORS,
    WAITING,
    WAITING_NOTICES,
    ADD_DEADLINE,
    DEADLINES,
    DROP_DEADLINE,
    STATEMENTS
};

static const char *const texts[STATEMENTS] = {
    [ADD] = ("INSERT INTO backlogs (task_id, generation, revision_id, next_at, run_from, until_at,"
             " reason) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)"),
    [MOVE] = "UPDATE backlogs SET next_at = ?2 WHERE id = ?1",
    [DROP] = "DELETE FROM backlogs WHERE id = ?1",
    [GIVE_UP] = "UPDATE backlogs SET reason = ?2 WHERE task_id = ?1 AND reason IS NULL",
    // With min() the other columns are those of the row that has it: the oldest of each task.
    [LOAD] =
        ("SELECT min(id), task_id, generation, revision_id, next_at, run_from, until_at, reason"
         " FROM backlogs WHERE task_id > ?1 GROUP BY task_id ORDER BY task_id LIMIT ?2"),
    [CURSORS] = "SELECT task_id, schedule, generation, next_at, dst FROM cursors WHERE task_id = ?1"
                " ORDER BY schedule LIMIT ?2",
    [WAITING] = ("SELECT id FROM runs INDEXED BY runs_waiting_of_task"
                 " WHERE task_id = ?1 AND state = 3 AND id > ?2 ORDER BY id LIMIT ?3"),
    // Few runs are between two attempts, and notices are among them only while one fails.
    [WAITING_NOTICES] = ("SELECT id FROM runs INDEXED BY runs_by_state"
                         " WHERE state >= 2 AND state <> 4 AND state = 3 AND id > ?1"
                         " AND trigger = 5 ORDER BY id LIMIT ?2"),
    [ADD_DEADLINE] = "INSERT INTO deadlines (at, run_id) VALUES (?1, ?2)",
    [DEADLINES] = "SELECT run_id, at FROM deadlines ORDER BY at, run_id LIMIT ?1",
    [DROP_DEADLINE] = "DELETE FROM deadlines WHERE at = ?1 AND run_id = ?2",
};

enum status sqlite_prepare_policies(struct sqlite *s)
{
    return database_prepare(&s->database, texts, STATEMENTS, &s->policies);
}

// --- backlogs ---

enum status sqlite_add_backlog(struct store *store, const struct backlog *backlog)
{
    struct sqlite *s = sqlite_of(store);
    sqlite3_stmt *q = s->policies[ADD];
    bind_int(q, 1, backlog->task);
    bind_int(q, 2, backlog->generation);
    bind_int(q, 3, backlog->revision_id);
    bind_int(q, 4, backlog->next_at.us);
    bind_int(q, 5, backlog->run_from.us);
    bind_int(q, 6, backlog->until.us);
    bind_text(q, 7, *backlog->reason ? backlog->reason : NULL);
    return database_do(&s->database, q);
}

enum status sqlite_move_backlog(struct store *store, int64_t id, wall next_at)
{
    struct sqlite *s = sqlite_of(store);
    bind_int(s->policies[MOVE], 1, id);
    bind_int(s->policies[MOVE], 2, next_at.us);
    return database_do(&s->database, s->policies[MOVE]);
}

enum status sqlite_drop_backlog(struct store *store, int64_t id)
{
    struct sqlite *s = sqlite_of(store);
    bind_int(s->policies[DROP], 1, id);
    return database_do(&s->database, s->policies[DROP]);
}

enum status sqlite_give_up_backlogs(struct store *store, int64_t task, const char *reason)
{
    struct sqlite *s = sqlite_of(store);
    bind_int(s->policies[GIVE_UP], 1, task);
    bind_text(s->policies[GIVE_UP], 2, reason);
    return database_do(&s->database, s->policies[GIVE_UP]);
}

static void row_backlog(sqlite3_stmt *q, struct backlog *ret)
{
    const char *reason = (const char *)sqlite3_column_text(q, 7);
    *ret = (struct backlog){
        .id = sqlite3_column_int64(q, 0),
        .task = sqlite3_column_int64(q, 1),
        .generation = column_int(q, 2),
        .revision_id = sqlite3_column_int64(q, 3),
        .next_at = {sqlite3_column_int64(q, 4)},
        .run_from = {sqlite3_column_int64(q, 5)},
        .until = {sqlite3_column_int64(q, 6)},
    };
    snprintf(ret->reason, sizeof ret->reason, "%s", reason ? reason : "");
}

enum status sqlite_load_backlogs(struct store *store, int64_t after_task, size_t max,
                                 struct backlog *ret, size_t *ret_count)
{
    struct sqlite *s = sqlite_of(store);
    sqlite3_stmt *q = s->policies[LOAD];
    size_t count = 0;
    enum status status;
    bind_int(q, 1, after_task);
    bind_int(q, 2, (int64_t)max);
    while ((status = database_step(&s->database, q)) == STATUS_OK)
        row_backlog(q, &ret[count++]);
    *ret_count = count;
    return database_walked(q, status);
}

// --- the rest ---

enum status sqlite_load_cursors_of_task(struct store *store, int64_t task, size_t max,
                                        struct cursor *ret, size_t *ret_count)
{
    struct sqlite *s = sqlite_of(store);
    sqlite3_stmt *q = s->policies[CURSORS];
    size_t count = 0;
    enum status status;
    bind_int(q, 1, task);
    bind_int(q, 2, (int64_t)max);
    while ((status = database_step(&s->database, q)) == STATUS_OK)
        ret[count++] = (struct cursor){
            .task = sqlite3_column_int64(q, 0),
            .schedule = column_int(q, 1),
            .generation = column_int(q, 2),
            .next_at = column_wall(q, 3, WALL_NEVER),
            .dst = column_int(q, 4),
        };
    *ret_count = count;
    return database_walked(q, status);
}

enum status sqlite_load_waiting_of_task(struct store *store, int64_t task, run_id after, size_t max,
                                        run_id *ret, size_t *ret_count)
{
    struct sqlite *s = sqlite_of(store);
    sqlite3_stmt *q = s->policies[WAITING];
    size_t count = 0;
    enum status status;
    bind_int(q, 1, task);
    bind_int(q, 2, after.value);
    bind_int(q, 3, (int64_t)max);
    while ((status = database_step(&s->database, q)) == STATUS_OK)
        ret[count++] = (run_id){sqlite3_column_int64(q, 0)};
    *ret_count = count;
    return database_walked(q, status);
}

enum status sqlite_load_waiting_notices(struct store *store, run_id after, size_t max, run_id *ret,
                                        size_t *ret_count)
{
    struct sqlite *s = sqlite_of(store);
    sqlite3_stmt *q = s->policies[WAITING_NOTICES];
    size_t count = 0;
    enum status status;
    bind_int(q, 1, after.value);
    bind_int(q, 2, (int64_t)max);
    while ((status = database_step(&s->database, q)) == STATUS_OK)
        ret[count++] = (run_id){sqlite3_column_int64(q, 0)};
    *ret_count = count;
    return database_walked(q, status);
}

enum status sqlite_add_deadline(struct sqlite *s, const struct run *run)
{
    if (run->deadline_at.us <= 0 || run->state != RUN_SCHEDULED)
        return STATUS_OK;
    bind_int(s->policies[ADD_DEADLINE], 1, run->deadline_at.us);
    bind_int(s->policies[ADD_DEADLINE], 2, run->id.value);
    return database_do(&s->database, s->policies[ADD_DEADLINE]);
}

enum status sqlite_drop_deadline(struct store *store, const struct deadline *deadline)
{
    struct sqlite *s = sqlite_of(store);
    bind_int(s->policies[DROP_DEADLINE], 1, deadline->at.us);
    bind_int(s->policies[DROP_DEADLINE], 2, deadline->run.value);
    return database_do(&s->database, s->policies[DROP_DEADLINE]);
}

enum status sqlite_load_deadlines(struct store *store, size_t max, struct deadline *ret,
                                  size_t *ret_count)
{
    struct sqlite *s = sqlite_of(store);
    sqlite3_stmt *q = s->policies[DEADLINES];
    size_t count = 0;
    enum status status;
    bind_int(q, 1, (int64_t)max);
    while ((status = database_step(&s->database, q)) == STATUS_OK)
        ret[count++] = (struct deadline){.run = {sqlite3_column_int64(q, 0)},
                                         .at = {sqlite3_column_int64(q, 1)}};
    *ret_count = count;
    return database_walked(q, status);
}
