#include "store/backup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/copy.h"

// A name that is taken already is never written over.
static enum status check_free(const char *to, char *why, size_t size)
{
    struct stat stat_;
    if (lstat(to, &stat_) == 0) {
        snprintf(why, size, "%s is there already: a backup never writes over anything", to);
        return STATUS_CONFLICT;
    }
    if (errno == ENOENT)
        return STATUS_OK;
    snprintf(why, size, "%s cannot be made: %s", to, strerror(errno));
    return STATUS_FAILED;
}

// Fails where somebody has taken the name meanwhile.
static enum status give_name(const char *part, const char *to, char *why, size_t size)
{
    if (renameat2(AT_FDCWD, part, AT_FDCWD, to, RENAME_NOREPLACE) != 0) {
        snprintf(why, size, "%s cannot be made: %s", to, strerror(errno));
        return errno == EEXIST ? STATUS_CONFLICT : STATUS_FAILED;
    }
    enum status status = sync_folder_of(to, why, size);
    if (status != STATUS_OK)
        unlink(to); // it would be gone after a power cut, so it is gone now
    return status;
}

enum status backup_make(const char *where, const char *to, struct backup_result *ret, char *why,
                        size_t size)
{
    struct copy_source source;
    char part[PATH_MAX];
    if (!*to || snprintf(part, sizeof part, "%s.%ld.part", to, (long)getpid()) + 20 > PATH_MAX) {
        snprintf(why, size, "\"%.100s\" is not the path of a file", to);
        return STATUS_INVALID;
    }
    enum status status = check_free(to, why, size);
    if (status == STATUS_OK)
        status = copy_source_open(where, &source, why, size);
    if (status != STATUS_OK)
        return status;
    status = copy_make(&source, part, why, size);
    if (status == STATUS_OK)
        status = copy_verify(&source, part, ret, why, size);
    copy_source_done(&source);
    if (status == STATUS_OK)
        status = give_name(part, to, why, size);
    if (status != STATUS_OK)
        copy_remove(part);
    return status;
}
