/*
 * vfs - puts a disk in memory under SQLite
 *
 * A VFS of SQLite ("power"), registered as the default, so that store_open_sqlite and the readers
 * use it without knowing. Locks and shared memory are real ones, between the connections of this
 * process: a log with readers works as on a system. Time stands still, waiting returns at once, and
 * chance comes from a seed, so the same calls lead to the same bytes.
 *
 * One disk is mounted at a time, for one path; any other path is refused. Not for threads.
 */
#pragma once

#include "disk.h"

void vfs_register(void);
// From now on `path` (and its -wal and -journal) is on `disk`. Seeds SQLite's own chance anew.
void vfs_mount(struct disk *disk, const char *path, uint64_t seed);
