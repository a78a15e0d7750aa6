#include "store/sqlite.h"

enum { PUT, FIND, DROP, LOAD, STATEMENTS };

static const char *const texts[STATEMENTS] = {
    [PUT] =
        ("INSERT INTO cursors (task_id, schedule, generation, next_at, dst) VALUES (?1, ?2, ?3, "
         "?4, ?5)"
         " ON CONFLICT (task_id, schedule) DO UPDATE SET generation = excluded.generation,"
         " next_at = excluded.next_at, dst = excluded.dst"),
    [FIND] = "SELECT generation, next_at, dst FROM cursors WHERE task_id = ?1 AND schedule = ?2",
    [DROP] = "DELETE FROM cursors WHERE task_id = ?1",
    [LOAD] =
        ("SELECT task_id, schedule, generation, next_at, dst FROM cursors INDEXED BY cursors_next"
         " WHERE next_at IS NOT NULL AND next_at <= ?4 AND (next_at, task_id, schedule) > (?1, ?2, "
         "?3)"
         " ORDER BY next_at, task_id, schedule LIMIT ?5"),
};

enum status sqlite_prepare_cursors(struct sqlite *s)
{
    return database_prepare(&s->database, texts, STATEMENTS, &s->cursors);
}

enum status sqlite_put_cursor(struct store *store, const struct cursor *cursor)
{
    struct sqlite *s = sqlite_of(store);
    sqlite3_stmt *q = s->cursors[PUT];
    bind_int(q, 1, cursor->task);
    bind_int(q, 2, cursor->schedule);
    bind_int(q, 3, cursor->generation);
    bind_wall(q, 4, cursor->next_at);
    bind_int(q, 5, cursor->dst);
    return database_do(&s->database, q);
}

enum status sqlite_find_cursor(struct store *store, int64_t task, int schedule, struct cursor *ret)
{
    struct sqlite *s = sqlite_of(store);
    sqlite3_stmt *q = s->cursors[FIND];
    bind_int(q, 1, task);
    bind_int(q, 2, schedule);
    enum status status = database_one(&s->database, q);
    if (status == STATUS_OK)
        *ret = (struct cursor){.task = task,
                               .schedule = schedule,
                               .generation = column_int(q, 0),
                               .next_at = column_wall(q, 1, WALL_NEVER),
                               .dst = column_int(q, 2)};
    sqlite3_reset(q);
    return status;
}

enum status sqlite_drop_cursors(struct store *store, int64_t task)
{
    struct sqlite *s = sqlite_of(store);
    bind_int(s->cursors[DROP], 1, task);
    return database_do(&s->database, s->cursors[DROP]);
}

enum status sqlite_load_cursors(struct store *store, const struct cursor *after, wall until,
                                size_t max, struct cursor *ret, size_t *ret_count)
{
    struct sqlite *s = sqlite_of(store);
    sqlite3_stmt *q = s->cursors[LOAD];
    bind_int(q, 1, after->next_at.us);
    bind_int(q, 2, after->task);
    bind_int(q, 3, after->schedule);
    bind_int(q, 4, until.us);
    bind_int(q, 5, (int64_t)max);
    size_t count = 0;
    enum status status;
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
