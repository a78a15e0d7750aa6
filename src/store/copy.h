/*
 * copy - a database file copied whole, and verified
 *
 * For backup.c and restore.c.
 */
#pragma once

#include <limits.h>

#include "store/backup.h"
#include "store/database.h"

// A store's file to be copied from, at one moment until copy_source_done.
struct copy_source {
    struct database database;
    struct backup_result facts; // bytes is not filled
};
enum status copy_source_open(const char *where, struct copy_source *ret, char *why, size_t size);
void copy_source_done(struct copy_source *source);

// Copies it to `path`, where nothing may be, mode 0600, as a file without a log beside it.
enum status copy_make(struct copy_source *source, const char *path, char *why, size_t size);
void copy_remove(const char *path); // with all that SQLite may have put beside it
// Whether the file holds what the source does and is sound all through. Synced afterwards.
enum status copy_verify(const struct copy_source *source, const char *path,
                        struct backup_result *ret, char *why, size_t size);
// Opens a copy for writing; for what a restore changes in it.
enum status copy_open(const char *path, struct database *ret, char *why, size_t size);
// One number that the file answers.
enum status copy_ask(struct database *d, const char *sql, int64_t *ret);

enum status sync_path(const char *path, char *why, size_t size);      // the file
enum status sync_folder_of(const char *path, char *why, size_t size); // the folder it is in
