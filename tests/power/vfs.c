#include "vfs.h"

#include <assert.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/random.h"

struct handle {
    sqlite3_file file; // first, so that a sqlite3_file * is a struct handle *
    struct disk *disk;
    struct handle *next; // of the disk's open files
    enum file_name name;
    int inode;
    bool makes_name;                  // may have made its name: its first sync is the folder's, too
    int level;                        // SQLITE_LOCK_*
    bool mapped;                      // uses the shared memory
    unsigned shared_slots, own_slots; // of the shared memory's locks, a bit each
};

static struct disk *mounted;
static const char *mounted_path;
static struct random chance;

static struct handle *handle_of(sqlite3_file *file)
{
    return (struct handle *)file;
}

// What a call must answer before it does anything; 0: go on.
static int stopped(struct disk *disk, enum call call, int code)
{
    return disk->dead ? code : disk_strike(disk, call);
}

// --- reading and writing ---

static int close_file(sqlite3_file *file)
{
    struct handle *h = handle_of(file), **at = &h->disk->handles;
    while (*at != h)
        at = &(*at)->next;
    *at = h->next;
    return SQLITE_OK;
}

static int read_file(sqlite3_file *file, void *to, int size, sqlite3_int64 at)
{
    struct handle *h = handle_of(file);
    const struct inode *inode = &h->disk->inodes[h->inode];
    int stop = stopped(h->disk, CALL_READ, SQLITE_IOERR_READ);
    if (stop)
        return stop;
    size_t there = (size_t)at < inode->size ? inode->size - (size_t)at : 0;
    size_t count = there < (size_t)size ? there : (size_t)size;
    if (count)
        memcpy(to, inode->bytes + at, count);
    // Only at the end of the file: elsewhere SQLite's layer for Linux reads on.
    memset((char *)to + count, 0, (size_t)size - count);
    return count < (size_t)size ? SQLITE_IOERR_SHORT_READ : SQLITE_OK;
}

static int write_file(sqlite3_file *file, const void *from, int size, sqlite3_int64 at)
{
    struct handle *h = handle_of(file);
    int stop = stopped(h->disk, CALL_WRITE, SQLITE_IOERR_WRITE);
    // A full disk takes what still fits.
    size_t count = (size_t)size / (stop ? 2 : 1);
    if (stop && stop != SQLITE_FULL)
        return stop;
    if (!disk_write(h->disk, h->inode, h->name, at, from, count))
        return SQLITE_IOERR_WRITE;
    return stop;
}

static int truncate_file(sqlite3_file *file, sqlite3_int64 size)
{
    struct handle *h = handle_of(file);
    int stop = stopped(h->disk, CALL_TRUNCATE, SQLITE_IOERR_TRUNCATE);
    if (stop)
        return stop;
    return disk_truncate(h->disk, h->inode, h->name, size) ? SQLITE_OK : SQLITE_IOERR_TRUNCATE;
}

static int sync_file(sqlite3_file *file, int flags)
{
    struct handle *h = handle_of(file);
    (void)flags;
    int stop = stopped(h->disk, CALL_SYNC, SQLITE_IOERR_FSYNC);
    if (stop) {
        // Linux marks the pages as written all the same: they are lost, and the next sync is fine.
        disk_lose(h->disk, h->inode, h->name);
        return stop;
    }
    if (!disk_sync(h->disk, h->inode, h->name))
        return SQLITE_IOERR_FSYNC;
    if (h->makes_name && !disk_sync_folder(h->disk))
        return SQLITE_IOERR_DIR_FSYNC;
    h->makes_name = false;
    return SQLITE_OK;
}

static int size_of_file(sqlite3_file *file, sqlite3_int64 *ret)
{
    struct handle *h = handle_of(file);
    int stop = stopped(h->disk, CALL_FILE_SIZE, SQLITE_IOERR_FSTAT);
    if (stop)
        return stop;
    *ret = (sqlite3_int64)h->disk->inodes[h->inode].size;
    return SQLITE_OK;
}

// --- locks of the file ---

// The highest level that another open handle of the same file has.
static int level_of_others(const struct handle *h)
{
    int level = SQLITE_LOCK_NONE;
    for (const struct handle *other = h->disk->handles; other; other = other->next)
        if (other != h && other->inode == h->inode && other->level > level)
            level = other->level;
    return level;
}

static int lock_file(sqlite3_file *file, int level)
{
    struct handle *h = handle_of(file);
    int stop = stopped(h->disk, CALL_LOCK, SQLITE_IOERR_LOCK);
    if (stop)
        return stop;
    int others = level_of_others(h);
    if (h->level >= level)
        return SQLITE_OK;
    if (level == SQLITE_LOCK_SHARED ? others >= SQLITE_LOCK_PENDING
                                    : others >= SQLITE_LOCK_RESERVED)
        return SQLITE_BUSY;
    if (level == SQLITE_LOCK_EXCLUSIVE && others >= SQLITE_LOCK_SHARED) {
        h->level = SQLITE_LOCK_PENDING; // no new reader comes in between
        return SQLITE_BUSY;
    }
    h->level = level;
    return SQLITE_OK;
}

static int unlock_file(sqlite3_file *file, int level)
{
    struct handle *h = handle_of(file);
    if (h->level > level)
        h->level = level;
    return SQLITE_OK;
}

static int check_reserved(sqlite3_file *file, int *ret)
{
    struct handle *h = handle_of(file);
    *ret = h->level >= SQLITE_LOCK_RESERVED || level_of_others(h) >= SQLITE_LOCK_RESERVED;
    return SQLITE_OK;
}

// --- shared memory of the log's index ---

static int map_shared(sqlite3_file *file, int region, int size, int extend, void volatile **ret)
{
    struct handle *h = handle_of(file);
    *ret = NULL;
    int stop = stopped(h->disk, CALL_SHM_MAP, SQLITE_IOERR_SHMMAP);
    if (stop)
        return stop;
    assert(region < DISK_REGIONS && size == DISK_REGION_BYTES);
    h->mapped = true;
    if (!h->disk->regions[region] && extend)
        h->disk->regions[region] = memory_new((size_t)size);
    *ret = h->disk->regions[region];
    return SQLITE_OK;
}

static int lock_shared(sqlite3_file *file, int first, int count, int flags)
{
    struct handle *h = handle_of(file);
    unsigned slots = ((1u << count) - 1) << first;
    if (flags & SQLITE_SHM_UNLOCK) { // never fails: the process may die but not keep its locks
        h->shared_slots &= ~slots;
        h->own_slots &= ~slots;
        return SQLITE_OK;
    }
    int stop = stopped(h->disk, CALL_SHM_LOCK, SQLITE_IOERR_SHMLOCK);
    if (stop)
        return stop;
    bool own = flags & SQLITE_SHM_EXCLUSIVE;
    for (const struct handle *other = h->disk->handles; other; other = other->next)
        if (other != h && (other->own_slots | (own ? other->shared_slots : 0)) & slots)
            return SQLITE_BUSY;
    if (own)
        h->own_slots |= slots;
    else
        h->shared_slots |= slots;
    return SQLITE_OK;
}

static void shared_barrier(sqlite3_file *file)
{
    (void)file;
}

// The first to come finds it empty: on a system, too, it is made anew where nobody uses it.
static int unmap_shared(sqlite3_file *file, int delete)
{
    struct handle *h = handle_of(file);
    (void)delete;
    h->mapped = false;
    h->shared_slots = h->own_slots = 0;
    for (const struct handle *other = h->disk->handles; other; other = other->next)
        if (other->mapped)
            return SQLITE_OK;
    for (int i = 0; i < DISK_REGIONS; i++) {
        free(h->disk->regions[i]);
        h->disk->regions[i] = NULL;
    }
    return SQLITE_OK;
}

// --- what else SQLite asks of a file ---

static int control(sqlite3_file *file, int what, void *argument)
{
    (void)file;
    (void)what;
    (void)argument;
    return SQLITE_NOTFOUND;
}

// As SQLite answers for Linux.
static int sector_size(sqlite3_file *file)
{
    (void)file;
    return 4096;
}

static int characteristics(sqlite3_file *file)
{
    (void)file;
    return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

static const sqlite3_io_methods methods = {
    .iVersion = 2,
    .xClose = close_file,
    .xRead = read_file,
    .xWrite = write_file,
    .xTruncate = truncate_file,
    .xSync = sync_file,
    .xFileSize = size_of_file,
    .xLock = lock_file,
    .xUnlock = unlock_file,
    .xCheckReservedLock = check_reserved,
    .xFileControl = control,
    .xSectorSize = sector_size,
    .xDeviceCharacteristics = characteristics,
    .xShmMap = map_shared,
    .xShmLock = lock_shared,
    .xShmBarrier = shared_barrier,
    .xShmUnmap = unmap_shared,
};

// --- the folder ---

static bool find_name(const char *path, enum file_name *ret)
{
    static const char *const ends[] = {"", "-wal", "-journal"};
    size_t length = mounted ? strlen(mounted_path) : 0;
    if (!mounted || !path || strncmp(path, mounted_path, length) != 0)
        return false;
    for (int i = 0; i < FILE_NAMES; i++) {
        if (strcmp(path + length, ends[i]) != 0)
            continue;
        *ret = (enum file_name)i;
        return true;
    }
    return false;
}

static int open_file(sqlite3_vfs *vfs, const char *path, sqlite3_file *file, int flags,
                     int *ret_flags)
{
    struct handle *h = handle_of(file);
    enum file_name name = FILE_MAIN;
    (void)vfs;
    file->pMethods = NULL;
    if (!find_name(path, &name))
        return SQLITE_CANTOPEN;
    int stop = stopped(mounted, CALL_OPEN, SQLITE_CANTOPEN);
    if (stop)
        return stop;
    bool is_new = mounted->names[name] < 0;
    if (is_new && (!(flags & SQLITE_OPEN_CREATE) || !disk_create(mounted, name)))
        return SQLITE_CANTOPEN;
    *h = (struct handle){
        .file = {&methods},
        .disk = mounted,
        .next = mounted->handles,
        .name = name,
        .inode = mounted->names[name],
        // As SQLite does on Linux for all but the main file, whether it was there or not.
        .makes_name = (flags & SQLITE_OPEN_CREATE) && name != FILE_MAIN};
    mounted->handles = h;
    if (ret_flags)
        *ret_flags = flags;
    return SQLITE_OK;
}

static int delete_file(sqlite3_vfs *vfs, const char *path, int sync_folder)
{
    enum file_name name;
    (void)vfs;
    if (!find_name(path, &name))
        return SQLITE_IOERR_DELETE;
    int stop = stopped(mounted, CALL_DELETE, SQLITE_IOERR_DELETE);
    if (stop)
        return stop;
    if (mounted->names[name] < 0)
        return SQLITE_IOERR_DELETE_NOENT;
    if (!disk_delete(mounted, name) || (sync_folder && !disk_sync_folder(mounted)))
        return SQLITE_IOERR_DELETE;
    return SQLITE_OK;
}

static int access_file(sqlite3_vfs *vfs, const char *path, int flags, int *ret)
{
    enum file_name name;
    (void)vfs;
    int stop = mounted ? stopped(mounted, CALL_ACCESS, SQLITE_IOERR_ACCESS) : 0;
    if (stop)
        return stop;
    *ret = find_name(path, &name) && mounted->names[name] >= 0;
    // An empty file counts as none where only its being there is asked, as on Linux.
    if (*ret && flags == SQLITE_ACCESS_EXISTS)
        *ret = mounted->inodes[mounted->names[name]].size > 0;
    return SQLITE_OK;
}

static int full_path(sqlite3_vfs *vfs, const char *path, int size, char *ret)
{
    (void)vfs;
    size_t length = strlen(path);
    if (length >= (size_t)size)
        return SQLITE_CANTOPEN;
    memcpy(ret, path, length + 1);
    return SQLITE_OK;
}

// --- the world ---

static int give_chance(sqlite3_vfs *vfs, int size, char *to)
{
    (void)vfs;
    for (int i = 0; i < size; i++)
        to[i] = (char)random_next(&chance);
    return size;
}

static int sleep_for(sqlite3_vfs *vfs, int us)
{
    (void)vfs;
    return us;
}

static int tell_time_ms(sqlite3_vfs *vfs, sqlite3_int64 *ret)
{
    (void)vfs;
    *ret = INT64_C(210866803200000); // the Julian day of 1970, in milliseconds
    return SQLITE_OK;
}

static int tell_time(sqlite3_vfs *vfs, double *ret)
{
    (void)vfs;
    *ret = 2440587.5;
    return SQLITE_OK;
}

static int last_error(sqlite3_vfs *vfs, int size, char *ret)
{
    (void)vfs;
    (void)size;
    (void)ret;
    return 0;
}

void vfs_register(void)
{
    static sqlite3_vfs vfs = {
        .iVersion = 2,
        .szOsFile = sizeof(struct handle),
        .mxPathname = 512,
        .zName = "power",
        .xOpen = open_file,
        .xDelete = delete_file,
        .xAccess = access_file,
        .xFullPathname = full_path,
        .xRandomness = give_chance,
        .xSleep = sleep_for,
        .xCurrentTime = tell_time,
        .xGetLastError = last_error,
        .xCurrentTimeInt64 = tell_time_ms,
    };
    sqlite3_vfs_register(&vfs, 1);
}

void vfs_mount(struct disk *disk, const char *path, uint64_t seed)
{
    mounted = disk;
    mounted_path = path;
    random_seed(&chance, seed);
    sqlite3_randomness(0, NULL);
}
