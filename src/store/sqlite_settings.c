#include <string.h>

#include "store/sqlite.h"

enum { LAST_RUN, LAST_TURN, GET, PUT, STATEMENTS };

static const char *const texts[STATEMENTS] = {
    [LAST_RUN] = "SELECT coalesce(max(id), 0) FROM runs",
    [LAST_TURN] = "SELECT coalesce(max(turn), 0) FROM journal",
    [GET] = "SELECT value FROM settings WHERE name = ?1",
    [PUT] = ("INSERT INTO settings (name, value) VALUES (?1, ?2)"
             " ON CONFLICT (name) DO UPDATE SET value = excluded.value"),
};

enum status sqlite_prepare_settings(struct sqlite *s)
{
    return database_prepare(&s->database, texts, STATEMENTS, &s->settings);
}

static enum status ask(struct sqlite *s, sqlite3_stmt *q, int64_t *ret)
{
    enum status status = database_one(&s->database, q);
    if (status == STATUS_OK)
        *ret = sqlite3_column_int64(q, 0);
    sqlite3_reset(q);
    return status;
}

enum status sqlite_start(struct store *store, struct store_start *ret)
{
    struct sqlite *s = sqlite_of(store);
    struct store_start start = {0};
    enum status status = ask(s, s->settings[LAST_RUN], &start.last_run.value);
    if (status == STATUS_OK)
        status = ask(s, s->settings[LAST_TURN], &start.last_turn);
    if (status == STATUS_OK)
        *ret = start;
    return status;
}

enum status sqlite_get_setting(struct store *store, const char *name, char *value, size_t size)
{
    struct sqlite *s = sqlite_of(store);
    sqlite3_stmt *q = s->settings[GET];
    bind_text(q, 1, name);
    enum status status = database_one(&s->database, q);
    if (status != STATUS_OK)
        return status;
    const char *kept = (const char *)sqlite3_column_text(q, 0);
    if (strlen(kept) < size)
        strcpy(value, kept);
    else
        status = STATUS_TOO_LARGE;
    sqlite3_reset(q);
    return status;
}

enum status sqlite_put_setting(struct store *store, const char *name, const char *value)
{
    struct sqlite *s = sqlite_of(store);
    sqlite3_stmt *q = s->settings[PUT];
    bind_text(q, 1, name);
    bind_text(q, 2, value);
    return database_do(&s->database, q);
}
