/*
 * inspect - a store's file, looked at without the store
 *
 * Whether SQLite finds it whole, whether the rows make sense beside each other, and a hash of every
 * row of every table, whatever the schema: two files with the same hash hold the same.
 */
#pragma once

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The connection of a store that is open.
struct store;
sqlite3 *inspect_handle(struct store *store);

// 0 where it cannot be read.
uint64_t inspect_hash(sqlite3 *handle);
// PRAGMA integrity_check, and what must hold between rows whatever happened: P4, P7, P9.
bool inspect_check(sqlite3 *handle, char *why, size_t size);
