#include "store/copy.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/migrate.h"

#define BUSY_MS 10000
#define PAGES_A_STEP 2048

static enum status fail(struct database *d, const char *path, const char *what, char *why,
                        size_t size)
{
    snprintf(why, size, "%s cannot be %s: %s", path, what, sqlite3_errmsg(d->handle));
    return STATUS_FAILED;
}

enum status copy_ask(struct database *d, const char *sql, int64_t *ret)
{
    sqlite3_stmt *q = NULL;
    bool well = sqlite3_prepare_v2(d->handle, sql, -1, &q, NULL) == SQLITE_OK &&
                sqlite3_step(q) == SQLITE_ROW;
    if (well)
        *ret = sqlite3_column_int64(q, 0);
    sqlite3_finalize(q);
    return well ? STATUS_OK : STATUS_FAILED;
}

// What a copy must have, too.
static enum status read_facts(struct database *d, struct backup_result *ret)
{
    int64_t schema = 0;
    struct backup_result facts = {0};
    enum status status = copy_ask(d, "PRAGMA user_version", &schema);
    if (status == STATUS_OK)
        status = copy_ask(d, "SELECT count(*) FROM tasks", &facts.tasks);
    if (status == STATUS_OK)
        status = copy_ask(d, "SELECT count(*) FROM runs", &facts.runs);
    if (status == STATUS_OK)
        status = copy_ask(d, "SELECT count(*) FROM attempts", &facts.attempts);
    facts.schema = (int)schema;
    if (status == STATUS_OK)
        *ret = facts;
    return status;
}

// --- the source ---

static enum status open_source(const char *path, struct copy_source *s, char *why, size_t size)
{
    struct database *d = &s->database;
    int version = 0;
    if (database_open(d, path, SQLITE_OPEN_READONLY, NULL) != STATUS_OK)
        return fail(d, path, "opened", why, size);
    sqlite3_busy_timeout(d->handle, BUSY_MS);
    // Never a checkpoint: that is the writer's alone (sqlite.h).
    sqlite3_db_config(d->handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    enum status status = migrate_check(d->handle, path, &version, why, size);
    if (status != STATUS_OK)
        return status;
    if (version == 0) {
        snprintf(why, size, "%s is empty: a server has never used it", path);
        return STATUS_INVALID;
    }
    // All that is read from here on is of one moment.
    if (sqlite3_exec(d->handle, "PRAGMA query_only = ON; PRAGMA wal_autocheckpoint = 0; BEGIN;",
                     NULL, NULL, NULL) != SQLITE_OK ||
        read_facts(d, &s->facts) != STATUS_OK)
        return fail(d, path, "read", why, size);
    return STATUS_OK;
}

enum status copy_source_open(const char *where, struct copy_source *ret, char *why, size_t size)
{
    *ret = (struct copy_source){0};
    // Absolute: a name such as ":memory:" or "file:x" means something else to SQLite.
    char *path = realpath(where, NULL);
    if (!path) {
        snprintf(why, size, "%s cannot be opened: %s", where, strerror(errno));
        return STATUS_FAILED;
    }
    enum status status = open_source(path, ret, why, size);
    free(path);
    if (status != STATUS_OK)
        copy_source_done(ret);
    return status;
}

void copy_source_done(struct copy_source *source)
{
    database_close(&source->database);
}

// --- the copy ---

static enum status make_empty(const char *path, char *why, size_t size)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd >= 0) {
        close(fd);
        return STATUS_OK;
    }
    snprintf(why, size, "%s cannot be made: %s", path, strerror(errno));
    return errno == EEXIST ? STATUS_CONFLICT : STATUS_FAILED;
}

enum status copy_open(const char *path, struct database *ret, char *why, size_t size)
{
    *ret = (struct database){0};
    // It is synced as a whole, before it gets its name.
    if (database_open(ret, path, SQLITE_OPEN_READWRITE, NULL) != STATUS_OK ||
        sqlite3_exec(ret->handle, "PRAGMA synchronous = OFF", NULL, NULL, NULL) != SQLITE_OK) {
        fail(ret, path, "opened", why, size);
        database_close(ret);
        return STATUS_FAILED;
    }
    return STATUS_OK;
}

// Many small steps leave the disk to the server in between. The source's moment is held, so none
// begins anew.
static int copy_pages(struct database *from, struct database *to)
{
    sqlite3_backup *copying = sqlite3_backup_init(to->handle, "main", from->handle, "main");
    if (!copying)
        return sqlite3_errcode(to->handle);
    while (sqlite3_backup_step(copying, PAGES_A_STEP) == SQLITE_OK)
        ;
    return sqlite3_backup_finish(copying);
}

// The pages say that there is a log beside them: in a copy there is none.
static enum status end_log(const char *path, char *why, size_t size)
{
    struct database copy;
    enum status status = copy_open(path, &copy, why, size);
    if (status != STATUS_OK)
        return status;
    if (sqlite3_exec(copy.handle, "PRAGMA journal_mode = DELETE", NULL, NULL, NULL) != SQLITE_OK)
        status = fail(&copy, path, "written", why, size);
    database_close(&copy);
    return status;
}

void copy_remove(const char *path)
{
    // A journal that is left would be played into the next file of this name.
    static const char *const ends[] = {"", "-journal", "-wal", "-shm"};
    char name[PATH_MAX + 16];
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        snprintf(name, sizeof name, "%s%s", path, ends[i]);
        unlink(name);
    }
}

enum status copy_make(struct copy_source *source, const char *path, char *why, size_t size)
{
    struct database copy;
    enum status status = make_empty(path, why, size);
    if (status != STATUS_OK)
        return status;
    status = copy_open(path, &copy, why, size);
    if (status == STATUS_OK) {
        int code = copy_pages(&source->database, &copy);
        if (code != SQLITE_OK) {
            snprintf(why, size, "%s cannot be written: %s", path, sqlite3_errstr(code));
            status = STATUS_FAILED;
        }
        database_close(&copy);
    }
    return status == STATUS_OK ? end_log(path, why, size) : status;
}

// --- verified ---

static enum status check_whole(struct database *d, const char *path, char *why, size_t size)
{
    sqlite3_stmt *q = NULL;
    enum status status = STATUS_FAILED;
    if (sqlite3_prepare_v2(d->handle, "PRAGMA integrity_check(1)", -1, &q, NULL) == SQLITE_OK &&
        sqlite3_step(q) == SQLITE_ROW) {
        const char *said = (const char *)sqlite3_column_text(q, 0);
        status = strcmp(said, "ok") == 0 ? STATUS_OK : STATUS_FAILED;
        if (status != STATUS_OK)
            snprintf(why, size, "%s is damaged: %.200s", path, said);
    } else {
        fail(d, path, "read", why, size);
    }
    sqlite3_finalize(q);
    return status;
}

static enum status compare(const struct backup_result *a, const struct backup_result *b,
                           const char *path, char *why, size_t size)
{
    if (a->tasks == b->tasks && a->runs == b->runs && a->attempts == b->attempts &&
        a->schema == b->schema)
        return STATUS_OK;
    snprintf(why, size,
             "%s has %lld tasks, %lld runs, %lld attempts, schema %d, and should have %lld, %lld, "
             "%lld, %d",
             path, (long long)b->tasks, (long long)b->runs, (long long)b->attempts, b->schema,
             (long long)a->tasks, (long long)a->runs, (long long)a->attempts, a->schema);
    return STATUS_FAILED;
}

enum status copy_verify(const struct copy_source *source, const char *path,
                        struct backup_result *ret, char *why, size_t size)
{
    struct database copy;
    struct backup_result facts;
    struct stat stat_;
    enum status status = copy_open(path, &copy, why, size);
    if (status != STATUS_OK)
        return status;
    status = check_whole(&copy, path, why, size);
    if (status == STATUS_OK && read_facts(&copy, &facts) != STATUS_OK)
        status = fail(&copy, path, "read", why, size);
    database_close(&copy);
    if (status == STATUS_OK)
        status = compare(&source->facts, &facts, path, why, size);
    if (status == STATUS_OK)
        status = sync_path(path, why, size);
    if (status != STATUS_OK)
        return status;
    facts.bytes = stat(path, &stat_) == 0 ? stat_.st_size : 0;
    *ret = facts;
    return STATUS_OK;
}

// --- on the disk ---

static enum status sync_opened(const char *path, int flags, char *why, size_t size)
{
    int fd = open(path, flags | O_CLOEXEC);
    bool well = fd >= 0 && fsync(fd) == 0;
    if (!well)
        snprintf(why, size, "%s cannot be synced: %s", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    return well ? STATUS_OK : STATUS_FAILED;
}

enum status sync_path(const char *path, char *why, size_t size)
{
    return sync_opened(path, O_RDONLY, why, size);
}

enum status sync_folder_of(const char *path, char *why, size_t size)
{
    char copy[PATH_MAX];
    snprintf(copy, sizeof copy, "%s", path);
    return sync_opened(dirname(copy), O_RDONLY | O_DIRECTORY, why, size);
}
