#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "store/copy.h"
#include "store/sqlite.h"

// Between two restores no run is given as many fences.
#define FENCES_APART (INT64_C(1) << 20)

// What was restored before is in the fences; events of the time after the backup had numbers, too,
// and whoever saw them must not take new ones for them.
#define TURNS_APART INT64_C(1000000000)

struct restore {
    const char *from;
    char *path; // absolute
    int lock;
    char part[PATH_MAX];
    bool replaces; // a store is there
    int64_t least; // the fence base must be higher
};

static enum status say(char *why, size_t size, enum status status, const char *format,
                       const char *path)
{
    snprintf(why, size, format, path);
    return status;
}

// --- fences ---

static int64_t fence_base_of(struct database *d)
{
    int64_t base = 0;
    if (copy_ask(d, "SELECT CAST(value AS INTEGER) FROM settings WHERE name = 'fence_base'",
                 &base) != STATUS_OK)
        base = 0;
    return base;
}

// The store that is replaced may have been restored, too: its fences are passed as well. It may be
// damaged, which is no reason to stop.
static void look_at_replaced(struct restore *r)
{
    struct copy_source old;
    char why[300];
    if (r->replaces && copy_source_open(r->path, &old, why, sizeof why) == STATUS_OK) {
        r->least = fence_base_of(&old.database);
        copy_source_done(&old);
    }
}

// Milliseconds leave room for 1024 fences each and stay below 2^53, which every JSON reader holds.
static int64_t choose_base(const struct restore *r, int64_t base_of_backup, wall now)
{
    int64_t base = (now.us / MILLISECOND) << 10;
    int64_t least = r->least > base_of_backup ? r->least : base_of_backup;
    return base > least + FENCES_APART ? base : least + FENCES_APART;
}

// All runs that live go on from the base, running ones too: a report of an attempt from before has
// a fence that is no longer theirs.
static enum status move_on(struct database *d, int64_t base, wall now)
{
    char sql[1200];
    snprintf(sql, sizeof sql,
             "BEGIN;"
             "DELETE FROM leases;" // nobody works on anything any more
             "UPDATE runs SET fence = max(fence, %lld) WHERE state IN (0, 2, 3);"
             "INSERT INTO settings (name, value) VALUES ('fence_base', '%lld'),"
             " ('restored_at', '%lld')"
             " ON CONFLICT (name) DO UPDATE SET value = excluded.value;"
             "INSERT INTO journal (turn, at, bytes, total, events)"
             " SELECT coalesce(max(turn), 0) + %lld, %lld, 26,"
             " coalesce((SELECT total FROM journal ORDER BY turn DESC LIMIT 1), 0) + 26,"
             " '{\"type\":\"store.restored\"}' || char(10) FROM journal;"
             "COMMIT;",
             (long long)base, (long long)base, (long long)now.us, (long long)TURNS_APART,
             (long long)now.us);
    return sqlite3_exec(d->handle, sql, NULL, NULL, NULL) == SQLITE_OK ? STATUS_OK : STATUS_FAILED;
}

static enum status fence_off(struct restore *r, wall now, struct restore_result *ret, char *why,
                             size_t size)
{
    struct database copy;
    enum status status = copy_open(r->part, &copy, why, size);
    if (status != STATUS_OK)
        return status;
    ret->fence_base = choose_base(r, fence_base_of(&copy), now);
    status = copy_ask(&copy, "SELECT count(*) FROM runs WHERE state = 2", &ret->running);
    if (status == STATUS_OK)
        status = move_on(&copy, ret->fence_base, now);
    if (status != STATUS_OK)
        snprintf(why, size, "%s cannot be written: %s", r->part, sqlite3_errmsg(copy.handle));
    database_close(&copy);
    return status;
}

// --- the place ---

// Moves what the log of the replaced store holds into its file, so that it is one file to move.
static void fold_log(const char *path)
{
    struct database old = {0};
    if (database_open(&old, path, SQLITE_OPEN_READWRITE, NULL) == STATUS_OK)
        sqlite3_exec(old.handle, "PRAGMA wal_checkpoint(TRUNCATE)", NULL, NULL, NULL);
    database_close(&old);
}

// What stands beside a store, from one name to another.
static enum status move_end(const char *path, const char *to, const char *end, char *why,
                            size_t size)
{
    char from[ASIDE_TEXT + 8], ended[ASIDE_TEXT + 8];
    snprintf(from, sizeof from, "%s%s", path, end);
    snprintf(ended, sizeof ended, "%s%s", to, end);
    if (rename(from, ended) == 0 || errno == ENOENT)
        return STATUS_OK;
    snprintf(why, size, "%s cannot be moved to %s: %s", from, ended, strerror(errno));
    return STATUS_FAILED;
}

static enum status move_log(const char *path, const char *to, char *why, size_t size)
{
    enum status status = move_end(path, to, "-wal", why, size);
    return status == STATUS_OK ? move_end(path, to, "-shm", why, size) : status;
}

static void name_aside(const struct restore *r, wall now, char *aside)
{
    time_t seconds = now.us / SECOND;
    struct tm tm;
    char stamp[32];
    gmtime_r(&seconds, &tm);
    strftime(stamp, sizeof stamp, "%Y%m%dT%H%M%SZ", &tm);
    snprintf(aside, ASIDE_TEXT, "%s.before-%s", r->path, stamp);
}

// The store that was there keeps all it had, under another name. A log without its file is moved,
// too: it must not be taken for the new one's. The file itself stays until the new one takes its
// name, so there is always one.
static enum status change_places(struct restore *r, const char *aside, char *why, size_t size)
{
    enum status status = move_log(r->path, aside, why, size);
    if (status == STATUS_OK)
        status = sync_folder_of(r->path, why, size);
    if (status == STATUS_OK && rename(r->part, r->path) != 0) {
        snprintf(why, size, "%s cannot be put in place: %s", r->path, strerror(errno));
        status = STATUS_FAILED;
    }
    if (status == STATUS_OK)
        return status;
    // Back to as it was: two names of one file, each with a log of its own, would ruin it.
    char more[3 * PATH_MAX], log[ASIDE_TEXT + 8];
    struct stat stat_;
    move_log(aside, r->path, more, sizeof more);
    snprintf(log, sizeof log, "%s-wal", aside);
    if (r->replaces && stat(log, &stat_) != 0)
        unlink(aside);
    return status;
}

static enum status put_in_place(struct restore *r, wall now, struct restore_result *ret, char *why,
                                size_t size)
{
    name_aside(r, now, ret->aside);
    if (r->replaces)
        fold_log(r->path);
    if (r->replaces && link(r->path, ret->aside) != 0) {
        snprintf(why, size, "%s cannot be made: %s", ret->aside, strerror(errno));
        return STATUS_FAILED;
    }
    enum status status = change_places(r, ret->aside, why, size);
    if (status != STATUS_OK)
        return status;
    if (!r->replaces)
        ret->aside[0] = '\0';
    return sync_folder_of(r->path, why, size);
}

// --- the whole ---

static enum status take_place(struct restore *r, bool force, char *why, size_t size)
{
    struct stat there, from;
    if (stat(r->path, &there) != 0)
        return say(why, size, STATUS_FAILED, "%s cannot be looked at", r->path);
    if (stat(r->from, &from) == 0 && from.st_dev == there.st_dev && from.st_ino == there.st_ino)
        return say(why, size, STATUS_INVALID, "%s is the store itself, not a backup", r->from);
    r->replaces = there.st_size > 0;
    if (r->replaces && !force)
        return say(why, size, STATUS_CONFLICT,
                   "%s holds a store already: --force moves it aside and restores", r->path);
    snprintf(r->part, sizeof r->part, "%s.restoring", r->path);
    copy_remove(r->part); // of a restore that was cut off: nobody else can be at it
    look_at_replaced(r);
    return STATUS_OK;
}

static enum status restore_from(struct restore *r, struct copy_source *source, wall now,
                                struct restore_result *ret, char *why, size_t size)
{
    enum status status = copy_make(source, r->part, why, size);
    if (status == STATUS_OK)
        status = fence_off(r, now, ret, why, size);
    if (status == STATUS_OK)
        status = copy_verify(source, r->part, &ret->copied, why, size);
    if (status == STATUS_OK)
        status = put_in_place(r, now, ret, why, size);
    if (status != STATUS_OK)
        copy_remove(r->part);
    return status;
}

// The empty file that taking the place has made.
static void leave_nothing(const char *path)
{
    struct stat stat_;
    if (stat(path, &stat_) == 0 && stat_.st_size == 0)
        unlink(path);
}

enum status backup_restore(const char *from, const char *where, bool force, wall now,
                           struct restore_result *ret, char *why, size_t size)
{
    struct restore r = {.from = from, .lock = -1};
    struct copy_source source;
    struct restore_result result = {0};
    // First the backup: where it is none, nothing is made at `where`.
    enum status status = copy_source_open(from, &source, why, size);
    if (status != STATUS_OK)
        return status;
    status = sqlite_file_take(where, &r.path, &r.lock, why, size);
    if (status == STATUS_OK)
        status = take_place(&r, force, why, size);
    if (status == STATUS_OK)
        status = restore_from(&r, &source, now, &result, why, size);
    copy_source_done(&source);
    if (status != STATUS_OK && r.lock >= 0)
        leave_nothing(r.path);
    if (r.lock >= 0)
        close(r.lock);
    free(r.path);
    if (status == STATUS_OK)
        *ret = result;
    return status;
}
