#include <stdio.h>

#include "store/sqlite.h"

enum { ADD, LOAD, DROP, STATEMENTS };

static const char *const texts[STATEMENTS] = {
    [ADD] = ("INSERT INTO sweeps (task_id, until, only_occurrences, reason) VALUES (?1, ?2, ?3, ?4)"
             " RETURNING id"),
    [LOAD] = "SELECT id, task_id, until, only_occurrences, reason FROM sweeps WHERE id > ?1"
             " ORDER BY id LIMIT ?2",
    [DROP] = "DELETE FROM sweeps WHERE id = ?1",
};

enum status sqlite_prepare_sweeps(struct sqlite *s)
{
    return database_prepare(&s->database, texts, STATEMENTS, &s->sweeps);
}

enum status sqlite_add_sweep(struct store *store, struct sweep *sweep)
{
    struct sqlite *s = sqlite_of(store);
    sqlite3_stmt *q = s->sweeps[ADD];
    bind_int(q, 1, sweep->task);
    bind_int(q, 2, sweep->until.value);
    bind_int(q, 3, sweep->only_occurrences);
    bind_text(q, 4, sweep->reason);
    enum status status = database_one(&s->database, q);
    if (status == STATUS_OK)
        sweep->id = sqlite3_column_int64(q, 0);
    sqlite3_reset(q);
    return status;
}

enum status sqlite_load_sweeps(struct store *store, int64_t after, size_t max, struct sweep *ret,
                               size_t *ret_count)
{
    struct sqlite *s = sqlite_of(store);
    sqlite3_stmt *q = s->sweeps[LOAD];
    bind_int(q, 1, after);
    bind_int(q, 2, (int64_t)max);
    size_t count = 0;
    enum status status;
    while ((status = database_step(&s->database, q)) == STATUS_OK) {
        struct sweep *sweep = &ret[count++];
        *sweep = (struct sweep){.id = sqlite3_column_int64(q, 0),
                                .task = sqlite3_column_int64(q, 1),
                                .until = {sqlite3_column_int64(q, 2)},
                                .only_occurrences = sqlite3_column_int(q, 3)};
        snprintf(sweep->reason, sizeof sweep->reason, "%s",
                 (const char *)sqlite3_column_text(q, 4));
    }
    *ret_count = count;
    return database_walked(q, status);
}

enum status sqlite_drop_sweep(struct store *store, int64_t id)
{
    struct sqlite *s = sqlite_of(store);
    bind_int(s->sweeps[DROP], 1, id);
    return database_do(&s->database, s->sweeps[DROP]);
}
