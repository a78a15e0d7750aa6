/*
 * migrate - bringing a store's file to the schema that this program knows
 *
 * The files of sql/ are part of the program (tools/embed). Their numbers count 1, 2, 3; PRAGMA
 * user_version says which was the last one applied. Each is applied in one transaction of its own,
 * so a crash leaves one version or the next.
 *
 * A file is touched only after it is known to be ours: application_id tells. Used by sqlite.c and
 * reader.c.
 */
#pragma once

#include <sqlite3.h>
#include <stddef.h>

#include "base/status.h"

#define STORE_APPLICATION_ID 0x50756e63 // "Punc"

struct migration {
    int number;
    const char *name, *sql;
};
extern const struct migration migrations[];
extern const size_t migration_count;

// What the file is. STATUS_OK: ours or empty, at *ret_version (0: empty). STATUS_INVALID: another
// program's, no database, or written by a newer version. STATUS_FAILED: it cannot be read.
enum status migrate_check(sqlite3 *handle, const char *where, int *ret_version, char *why,
                          size_t size);
// Applies what is missing after `version`.
enum status migrate_up(sqlite3 *handle, const char *where, int version, char *why, size_t size);
