/*
 * backup - a copy of the store, and the store made of a copy
 *
 * A backup is taken while the server runs, through a reader's connection: of one moment, without
 * writing to the store and without a checkpoint, which are the writer's alone. It is one file, held
 * against what it was copied from, synced, and only then given its name.
 *
 * After a restore the time since the backup has happened, and the store does not know: runs that
 * ran then count as lost at the next start, and every fence that is given out from now on is higher
 * than any that could have been given out before, so that a worker from that time is refused.
 *
 * Used by server/backup.c, in a process of its own.
 */
#pragma once

#include "base/moment.h"

struct backup_result {
    int64_t tasks, runs, attempts;
    int64_t bytes; // of the file
    int schema;
};

// Copies the store at `where` to `to`, where nothing may be yet. STATUS_CONFLICT: something is.
// STATUS_INVALID: `where` is no store, or of a newer version. STATUS_FAILED: the disk, or the copy
// is not what it should be; nothing is left at `to`. `why` (size bytes) says it in words.
enum status backup_make(const char *where, const char *to, struct backup_result *ret, char *why,
                        size_t size);

#define ASIDE_TEXT 4200
struct restore_result {
    struct backup_result copied;
    int64_t running;        // runs that count as lost at the next start
    int64_t fence_base;     // all fences from now on are higher
    char aside[ASIDE_TEXT]; // where the store that was there has gone; "" for none
};

// Makes the store at `where` of the backup `from`. STATUS_CONFLICT: a server has it, or there is a
// store already and not `force`: with it that one is moved aside. Otherwise as backup_make.
enum status backup_restore(const char *from, const char *where, bool force, wall now,
                           struct restore_result *ret, char *why, size_t size);
