// Starts that rate limits count, and what a step of the wall clock moves.
#include "store/sqlite.h"

enum { ADD, LOAD, CHANGE, TRIM, SHIFT_STARTS, SHIFT_WAITING, STATEMENTS };

static const char *const texts[STATEMENTS] = {
    [ADD] = ("INSERT INTO rate_starts (key, at, run_id, attempt, most, per_us)"
             " VALUES (?1, ?2, ?3, ?4, ?5, ?6)"),
    [LOAD] = ("SELECT run_id, attempt, at, most, per_us FROM rate_starts"
              " WHERE key = ?1 AND at > ?2 ORDER BY at DESC, run_id DESC, attempt DESC LIMIT ?3"),
    [CHANGE] = ("UPDATE rate_starts SET most = ?4, per_us = ?5"
                " WHERE key = ?1 AND most = ?2 AND per_us = ?3"),
    [TRIM] = ("DELETE FROM rate_starts WHERE key = ?1 AND at < ?2 AND (at < ?3 OR EXISTS"
              " (SELECT 1 FROM rate_starts later WHERE later.key = ?1"
              " AND (later.at, later.run_id, later.attempt)"
              " > (rate_starts.at, rate_starts.run_id, rate_starts.attempt)"
              " AND later.most = rate_starts.most AND later.per_us = rate_starts.per_us))"),
    // A run and its attempt come once in a key, so rows that move past each other do not meet.
    [SHIFT_STARTS] = "UPDATE rate_starts SET at = at + ?1",
    [SHIFT_WAITING] = ("UPDATE runs INDEXED BY runs_by_state SET due_at = due_at + ?2"
                       " WHERE state >= 2 AND state <> 4 AND state = 3 AND due_at > ?1"),
};

enum status sqlite_prepare_rates(struct sqlite *s)
{
    return database_prepare(&s->database, texts, STATEMENTS, &s->rates);
}

enum status sqlite_add_start(struct store *store, uint64_t key, const struct store_start_row *row)
{
    struct sqlite *s = sqlite_of(store);
    sqlite3_stmt *q = s->rates[ADD];
    bind_int(q, 1, (int64_t)key);
    bind_int(q, 2, row->at.us);
    bind_int(q, 3, row->run.value);
    bind_int(q, 4, row->attempt);
    bind_int(q, 5, row->most);
    bind_int(q, 6, row->per_us);
    return database_do(&s->database, q);
}

static void turn_round(struct store_start_row *rows, size_t count)
{
    for (size_t i = 0; i < count / 2; i++) {
        struct store_start_row row = rows[i];
        rows[i] = rows[count - 1 - i];
        rows[count - 1 - i] = row;
    }
}

enum status sqlite_load_starts(struct store *store, uint64_t key, wall after, size_t max,
                               struct store_start_row *ret, size_t *ret_count)
{
    struct sqlite *s = sqlite_of(store);
    sqlite3_stmt *q = s->rates[LOAD];
    size_t count = 0;
    enum status status;
    bind_int(q, 1, (int64_t)key);
    bind_int(q, 2, after.us);
    bind_int(q, 3, (int64_t)max);
    while ((status = database_step(&s->database, q)) == STATUS_OK)
        ret[count++] = (struct store_start_row){
            .run = {sqlite3_column_int64(q, 0)},
            .attempt = column_int(q, 1),
            .at = column_wall(q, 2, WALL_NONE),
            .most = column_int(q, 3),
            .per_us = sqlite3_column_int64(q, 4),
        };
    status = database_walked(q, status);
    if (status != STATUS_OK)
        return status;
    turn_round(ret, count);
    *ret_count = count;
    return STATUS_OK;
}

enum status sqlite_change_starts(struct store *store, uint64_t key, int most, int64_t per_us,
                                 int new_most, int64_t new_per_us)
{
    struct sqlite *s = sqlite_of(store);
    sqlite3_stmt *q = s->rates[CHANGE];
    bind_int(q, 1, (int64_t)key);
    bind_int(q, 2, most);
    bind_int(q, 3, per_us);
    bind_int(q, 4, new_most);
    bind_int(q, 5, new_per_us);
    return database_do(&s->database, q);
}

enum status sqlite_trim_starts(struct store *store, uint64_t key, wall before, wall rules_before)
{
    struct sqlite *s = sqlite_of(store);
    sqlite3_stmt *q = s->rates[TRIM];
    bind_int(q, 1, (int64_t)key);
    bind_int(q, 2, before.us);
    bind_int(q, 3, rules_before.us);
    return database_do(&s->database, q);
}

enum status sqlite_shift_clock(struct store *store, wall now, int64_t step_us)
{
    struct sqlite *s = sqlite_of(store);
    bind_int(s->rates[SHIFT_STARTS], 1, step_us);
    enum status status = database_do(&s->database, s->rates[SHIFT_STARTS]);
    if (status != STATUS_OK)
        return status;
    bind_int(s->rates[SHIFT_WAITING], 1, now.us);
    bind_int(s->rates[SHIFT_WAITING], 2, step_us);
    return database_do(&s->database, s->rates[SHIFT_WAITING]);
}
