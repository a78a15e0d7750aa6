#include "store/migrate.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

// A number that SQLite answers to a question without parameters.
static int ask(sqlite3 *handle, const char *sql, int64_t *ret)
{
    sqlite3_stmt *q = NULL;
    int code = sqlite3_prepare_v2(handle, sql, -1, &q, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_step(q);
    if (code == SQLITE_ROW) {
        *ret = sqlite3_column_int64(q, 0);
        code = SQLITE_OK;
    }
    sqlite3_finalize(q);
    return code;
}

enum status migrate_check(sqlite3 *handle, const char *where, int *ret_version, char *why,
                          size_t size)
{
    int64_t application = 0, version = 0, tables = 0;
    int newest = migrations[migration_count - 1].number;
    int code = ask(handle, "SELECT count(*) FROM sqlite_schema", &tables);
    if (code == SQLITE_OK)
        code = ask(handle, "PRAGMA application_id", &application);
    if (code == SQLITE_OK)
        code = ask(handle, "PRAGMA user_version", &version);
    if ((code & 0xff) == SQLITE_NOTADB) {
        snprintf(why, size, "%s is no database of punctual: %s", where, sqlite3_errmsg(handle));
        return STATUS_INVALID;
    }
    // SQLite says "malformed" of a sector that the disk cannot read, too.
    if ((code & 0xff) == SQLITE_CORRUPT) {
        snprintf(why, size, "%s is damaged, or its disk cannot be read: %s", where,
                 sqlite3_errmsg(handle));
        return STATUS_FAILED;
    }
    if (code != SQLITE_OK) {
        snprintf(why, size, "%s cannot be read: %s", where, sqlite3_errmsg(handle));
        return STATUS_FAILED;
    }
    bool empty = tables == 0 && application == 0 && version == 0;
    if (!empty && application != STORE_APPLICATION_ID) {
        snprintf(why, size, "%s is the database of another program", where);
        return STATUS_INVALID;
    }
    if (version > newest) {
        snprintf(why, size, "%s was written by a newer version (schema %d; this one knows %d)",
                 where, (int)version, newest);
        return STATUS_INVALID;
    }
    *ret_version = (int)version;
    return STATUS_OK;
}

static int apply(sqlite3 *handle, const struct migration *migration)
{
    char mark[100];
    snprintf(mark, sizeof mark, "PRAGMA application_id = %d; PRAGMA user_version = %d;",
             STORE_APPLICATION_ID, migration->number);
    int code = sqlite3_exec(handle, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_exec(handle, migration->sql, NULL, NULL, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_exec(handle, mark, NULL, NULL, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_exec(handle, "COMMIT", NULL, NULL, NULL);
    return code;
}

enum status migrate_up(sqlite3 *handle, const char *where, int version, char *why, size_t size)
{
    for (size_t i = 0; i < migration_count; i++) {
        if (migrations[i].number <= version)
            continue;
        if (apply(handle, &migrations[i]) != SQLITE_OK) {
            snprintf(why, size, "%s: migration %s failed: %s", where, migrations[i].name,
                     sqlite3_errmsg(handle));
            if (!sqlite3_get_autocommit(handle))
                sqlite3_exec(handle, "ROLLBACK", NULL, NULL, NULL);
            return STATUS_FAILED;
        }
    }
    return STATUS_OK;
}
