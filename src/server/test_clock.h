/*
 * test_clock - which stores a test clock may touch, and where it starts
 *
 * A store made under a test clock says so for ever, with where the clock stood: so a real server
 * never takes up moments that were none. That a test clock touches no store of a real server is the
 * store's own to see to (store_open_sqlite_unsynced).
 *
 * Used by serve.c before any thread starts, and by travel.c.
 */
#pragma once

#include "store/store.h"

// With a test clock: where it starts, which is written down. That is `wanted`, else (WALL_NONE)
// where it stood when this store was used last, else the full second that it is. STATUS_CONFLICT
// with why in words: it stood at a later moment already.
enum status test_clock_start(struct store *store, wall wanted, wall *ret, char *why, size_t size);
// Without one. STATUS_CONFLICT: the store was made under a test clock.
enum status test_clock_refuse(struct store *store, char *why, size_t size);
// Writes down where the clock stands: a transaction of its own, between two turns.
enum status test_clock_keep(struct store *store, wall now);
