#include "store/database.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>

#include "base/memory.h"

// SQLite counts every allocation under a lock that all connections share, for statistics that
// nobody asks for.
static void configure(void)
{
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

void database_start(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, configure);
}

enum status database_open(struct database *d, const char *path, int flags, const char *vfs)
{
    database_start();
    flags |= SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    if (sqlite3_open_v2(path, &d->handle, flags, vfs) != SQLITE_OK)
        return database_fail(d);
    return STATUS_OK;
}

enum status database_prepare(struct database *d, const char *const *texts, size_t count,
                             sqlite3_stmt ***ret)
{
    sqlite3_stmt **statements = memory_array(count, sizeof *statements);
    *ret = statements;
    for (size_t i = 0; i < count; i++)
        if (sqlite3_prepare_v3(d->handle, texts[i], -1, SQLITE_PREPARE_PERSISTENT, &statements[i],
                               NULL) != SQLITE_OK)
            return database_fail(d);
    return STATUS_OK;
}

void database_close(struct database *d)
{
    sqlite3_stmt *q;
    while (d->handle && (q = sqlite3_next_stmt(d->handle, NULL)))
        sqlite3_finalize(q);
    sqlite3_close(d->handle); // NULL is fine
    d->handle = NULL;
}

enum status database_fail(struct database *d)
{
    // The first failure is the one to know; what follows comes from it.
    if (!d->broken)
        snprintf(d->problem, sizeof d->problem, "%s (SQLite %d, system error %d)",
                 sqlite3_errmsg(d->handle), sqlite3_extended_errcode(d->handle),
                 sqlite3_system_errno(d->handle));
    d->broken = !d->forgives;
    return STATUS_FAILED;
}

enum status database_step(struct database *d, sqlite3_stmt *q)
{
    enum status status = STATUS_FAILED;
    if (d->broken || (d->holds_back && d->write_held_back(d) != STATUS_OK))
        return status;
    int code = sqlite3_step(q);
    if (code == SQLITE_ROW)
        return STATUS_OK;
    status = code == SQLITE_DONE ? STATUS_END : database_fail(d);
    sqlite3_reset(q);
    return status;
}

enum status database_do(struct database *d, sqlite3_stmt *q)
{
    enum status status = database_step(d, q);
    assert(status != STATUS_OK);
    return status == STATUS_END ? STATUS_OK : status;
}

enum status database_change(struct database *d, sqlite3_stmt *q, int *ret_changes)
{
    enum status status = database_do(d, q);
    if (status == STATUS_OK)
        *ret_changes = sqlite3_changes(d->handle);
    return status;
}

enum status database_one(struct database *d, sqlite3_stmt *q)
{
    enum status status = database_step(d, q);
    return status == STATUS_END ? STATUS_NOT_FOUND : status;
}

enum status database_walked(sqlite3_stmt *q, enum status status)
{
    sqlite3_reset(q);
    return status == STATUS_END ? STATUS_OK : status;
}

// Binding fails only for a parameter that does not exist or a statement under way: bugs of ours.
static void must(int code)
{
    assert(code == SQLITE_OK);
    (void)code;
}

void bind_int(sqlite3_stmt *q, int at, int64_t n)
{
    must(sqlite3_bind_int64(q, at, n));
}

void bind_id(sqlite3_stmt *q, int at, int64_t id)
{
    must(id ? sqlite3_bind_int64(q, at, id) : sqlite3_bind_null(q, at));
}

void bind_known(sqlite3_stmt *q, int at, int64_t n)
{
    must(n >= 0 ? sqlite3_bind_int64(q, at, n) : sqlite3_bind_null(q, at));
}

void bind_wall(sqlite3_stmt *q, int at, wall t)
{
    must(wall_is_set(t) ? sqlite3_bind_int64(q, at, t.us) : sqlite3_bind_null(q, at));
}

void bind_text(sqlite3_stmt *q, int at, const char *text)
{
    must(sqlite3_bind_text(q, at, text, -1, SQLITE_STATIC));
}

void bind_bytes(sqlite3_stmt *q, int at, const char *bytes, size_t size)
{
    must(sqlite3_bind_text64(q, at, bytes, size, SQLITE_STATIC, SQLITE_UTF8));
}

void bind_blob(sqlite3_stmt *q, int at, const void *bytes, size_t size)
{
    must(sqlite3_bind_blob64(q, at, bytes, size, SQLITE_STATIC));
}

int64_t column_known(sqlite3_stmt *q, int at)
{
    return sqlite3_column_type(q, at) == SQLITE_NULL ? -1 : sqlite3_column_int64(q, at);
}

int column_int(sqlite3_stmt *q, int at)
{
    return sqlite3_column_int(q, at);
}

wall column_wall(sqlite3_stmt *q, int at, wall unset)
{
    if (sqlite3_column_type(q, at) == SQLITE_NULL)
        return unset;
    return (wall){sqlite3_column_int64(q, at)};
}

char *column_text(sqlite3_stmt *q, int at)
{
    size_t size;
    return column_bytes(q, at, &size);
}

char *column_bytes(sqlite3_stmt *q, int at, size_t *ret_size)
{
    // An empty blob reads as a NULL pointer, so the type decides.
    bool there = sqlite3_column_type(q, at) != SQLITE_NULL;
    const void *bytes = there ? sqlite3_column_blob(q, at) : NULL;
    *ret_size = there ? (size_t)sqlite3_column_bytes(q, at) : 0;
    return there ? memory_copy(bytes, *ret_size) : NULL;
}
