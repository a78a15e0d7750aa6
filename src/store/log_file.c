#include "store/log_file.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "store/database.h"

// More is written on the way. SQLite's own VFS takes less than 128 KiB at once.
#define GATHER_MAX (120 << 10)

struct log_file {
    sqlite3_file base;
    char *gathered; // bytes that belong at `offset`; NULL until there are some
    int size;
    sqlite3_int64 offset;
    // The system's own file follows it.
};

static sqlite3_vfs vfs, *below; // ours, and the one it sits on

// Keeps the file behind it aligned.
#define HEAD ((sizeof(struct log_file) + 15) / 16 * 16)

static struct log_file *log_of(sqlite3_file *file)
{
    return (struct log_file *)file;
}

static sqlite3_file *real(sqlite3_file *file)
{
    return (sqlite3_file *)((char *)file + HEAD);
}

// Also where it fails nothing is left: a commit that failed is not tried again.
static int write_gathered(sqlite3_file *file)
{
    struct log_file *log = log_of(file);
    int size = log->size;
    log->size = 0;
    if (size == 0)
        return SQLITE_OK;
    return real(file)->pMethods->xWrite(real(file), log->gathered, size, log->offset);
}

static int log_write(sqlite3_file *file, const void *bytes, int size, sqlite3_int64 offset)
{
    struct log_file *log = log_of(file);
    int code = SQLITE_OK;
    if (log->size > 0 && (offset != log->offset + log->size || size > GATHER_MAX - log->size))
        code = write_gathered(file);
    if (code == SQLITE_OK && size > GATHER_MAX)
        return real(file)->pMethods->xWrite(real(file), bytes, size, offset);
    if (code == SQLITE_OK && !log->gathered && !(log->gathered = malloc(GATHER_MAX)))
        code = SQLITE_IOERR_NOMEM;
    if (code != SQLITE_OK)
        return code;
    if (log->size == 0)
        log->offset = offset;
    memcpy(log->gathered + log->size, bytes, (size_t)size);
    log->size += size;
    return SQLITE_OK;
}

// What was not synced is of a turn that failed: a broken store writes nothing more.
static int log_close(sqlite3_file *file)
{
    free(log_of(file)->gathered);
    return real(file)->pMethods->xClose(real(file));
}

static int log_read(sqlite3_file *file, void *bytes, int size, sqlite3_int64 offset)
{
    int code = write_gathered(file);
    return code == SQLITE_OK ? real(file)->pMethods->xRead(real(file), bytes, size, offset) : code;
}

static int log_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    int code = write_gathered(file);
    return code == SQLITE_OK ? real(file)->pMethods->xTruncate(real(file), size) : code;
}

static int log_sync(sqlite3_file *file, int flags)
{
    int code = write_gathered(file);
    return code == SQLITE_OK ? real(file)->pMethods->xSync(real(file), flags) : code;
}

static int log_size(sqlite3_file *file, sqlite3_int64 *ret_size)
{
    int code = write_gathered(file);
    return code == SQLITE_OK ? real(file)->pMethods->xFileSize(real(file), ret_size) : code;
}

static int log_lock(sqlite3_file *file, int level)
{
    return real(file)->pMethods->xLock(real(file), level);
}

static int log_unlock(sqlite3_file *file, int level)
{
    return real(file)->pMethods->xUnlock(real(file), level);
}

static int log_check_lock(sqlite3_file *file, int *ret)
{
    return real(file)->pMethods->xCheckReservedLock(real(file), ret);
}

static int log_control(sqlite3_file *file, int what, void *argument)
{
    return real(file)->pMethods->xFileControl(real(file), what, argument);
}

static int log_sector_size(sqlite3_file *file)
{
    return real(file)->pMethods->xSectorSize(real(file));
}

static int log_characteristics(sqlite3_file *file)
{
    return real(file)->pMethods->xDeviceCharacteristics(real(file));
}

static const sqlite3_io_methods methods = {
    .iVersion = 1,
    .xClose = log_close,
    .xRead = log_read,
    .xWrite = log_write,
    .xTruncate = log_truncate,
    .xSync = log_sync,
    .xFileSize = log_size,
    .xLock = log_lock,
    .xUnlock = log_unlock,
    .xCheckReservedLock = log_check_lock,
    .xFileControl = log_control,
    .xSectorSize = log_sector_size,
    .xDeviceCharacteristics = log_characteristics,
};

static int open_file(sqlite3_vfs *self, const char *name, sqlite3_file *file, int flags,
                     int *ret_flags)
{
    (void)self;
    if (!(flags & SQLITE_OPEN_WAL))
        return below->xOpen(below, name, file, flags, ret_flags);
    memset(file, 0, sizeof(struct log_file));
    real(file)->pMethods = NULL;
    int code = below->xOpen(below, name, real(file), flags, ret_flags);
    if (code == SQLITE_OK)
        file->pMethods = &methods;
    else if (real(file)->pMethods) // to be closed also where it could not be opened
        real(file)->pMethods->xClose(real(file));
    return code;
}

// All else is the default's own functions.
static void set_up(void)
{
    database_start();
    below = sqlite3_vfs_find(NULL);
    if (!below)
        return;
    vfs = *below;
    vfs.pNext = NULL;
    vfs.zName = "punctual-log";
    vfs.szOsFile = below->szOsFile + (int)HEAD;
    vfs.xOpen = open_file;
    if (sqlite3_vfs_register(&vfs, 0) != SQLITE_OK)
        vfs.zName = NULL;
}

const char *log_file_vfs(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, set_up);
    return vfs.zName;
}
