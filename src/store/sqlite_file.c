// The store's file as the system sees it: who may have it open, and that it is there after a power
// cut.
#include "store/sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/memory.h"

// A new name in a folder is on the disk only once the folder is synced.
static bool sync_folder(const char *folder)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool well = fd >= 0 && fsync(fd) == 0;
    if (fd >= 0)
        close(fd);
    return well;
}

// The lock lies beside the store's file and not on it, since SQLite's own locks do and closing any
// descriptor of a file lets go of those.
static enum status take_lock(const char *path, int *ret_lock, char *why, size_t size)
{
    char name[PATH_MAX + sizeof ".lock"];
    snprintf(name, sizeof name, "%s.lock", path);
    int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        snprintf(why, size, "%s cannot be made: %s", name, strerror(errno));
        return STATUS_FAILED;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
        *ret_lock = fd;
        return STATUS_OK;
    }
    bool taken = errno == EWOULDBLOCK;
    if (taken)
        snprintf(why, size, "another punctual has %s open", path);
    else
        snprintf(why, size, "%s cannot be locked: %s", name, strerror(errno));
    close(fd);
    return taken ? STATUS_CONFLICT : STATUS_FAILED;
}

// SQLite would make the file readable for others; a store holds payloads and secrets. Its log takes
// the file's mode.
static enum status make_file(const char *path, const char *folder, char *why, size_t size)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 && errno == EEXIST)
        return STATUS_OK;
    bool well = fd >= 0 && sync_folder(folder);
    if (!well)
        snprintf(why, size, "%s cannot be made: %s", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    return well ? STATUS_OK : STATUS_FAILED;
}

enum status sqlite_file_take(const char *where, char **ret_path, int *ret_lock, char *why,
                             size_t size)
{
    char folder_copy[PATH_MAX], name_copy[PATH_MAX], folder[PATH_MAX], path[PATH_MAX];
    if (!*where || strlen(where) + NAME_MAX >= PATH_MAX || where[strlen(where) - 1] == '/') {
        snprintf(why, size, "\"%.100s\" is not the path of a file; write for example punctual.db",
                 where);
        return STATUS_INVALID;
    }
    strcpy(folder_copy, where);
    strcpy(name_copy, where);
    const char *parent = dirname(folder_copy), *name = basename(name_copy);
    if (!realpath(parent, folder)) {
        snprintf(why, size, "the folder %s of the store cannot be used: %s", parent,
                 strerror(errno));
        return STATUS_FAILED;
    }
    // Absolute: a name such as ":memory:" or "file:x" means something else to SQLite.
    if (snprintf(path, sizeof path, "%s/%s", strcmp(folder, "/") ? folder : "", name) + 10 >=
        (int)sizeof path) {
        snprintf(why, size, "the path of the store is too long");
        return STATUS_INVALID;
    }
    // Through a link the file has two names, and the lock must be one.
    char linked[PATH_MAX];
    if (realpath(path, linked))
        strcpy(path, linked);
    int lock = -1;
    enum status status = take_lock(path, &lock, why, size);
    if (status != STATUS_OK)
        return status;
    status = make_file(path, folder, why, size);
    if (status == STATUS_OK) {
        *ret_path = memory_text(path);
        *ret_lock = lock;
    } else {
        close(lock);
    }
    return status;
}
