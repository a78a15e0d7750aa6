/*
 * memory - SQLite's own allocations, of which one can be made to fail
 *
 * Stands in for SQLite's allocator in this program. Small pieces that a connection would keep for
 * itself are allocated, too, so that each can be the one that is refused.
 *
 * For faults.c.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

void memory_register(void); // before anything else of SQLite
// The n-th allocation from now on is refused, or all from it on. Sets *struck when it has come to
// that; `struck` must live until memory_disarm.
void memory_arm(int64_t nth, bool forever, bool *struck);
void memory_disarm(void);
