/*
 * waiting - due runs that stand in line, the most urgent first
 *
 * Not more than a number of each priority are held: what is beyond stays in the store alone and is
 * remembered as left out. When all that were held of that priority are gone, the line is hungry:
 * start.c then reads what is due once more. So an endpoint that is down for a week costs no memory,
 * and an urgent run never stands behind a full line of others.
 *
 * Used by lane.c and limits.c, on the scheduler's thread.
 */
#pragma once

#include "base/heap.h"
#include "base/id.h"
#include "base/moment.h"

#define PRIORITIES 10

struct waiting {
    struct heap heap;          // key: waiting_order, order: id
    uint32_t held[PRIORITIES]; // how many of each
    uint16_t left_out;         // a bit for each priority of which the store has more
    uint16_t feeding;          // ... that is being read again
};

static inline int64_t waiting_order(wall due_at, int priority)
{
    int64_t most = (INT64_C(1) << 56) - 1; // instants of the year 2200 have 53 bits
    int64_t us = due_at.us < 0 ? 0 : due_at.us < most ? due_at.us : most;
    return (int64_t)(9 - priority) << 56 | us;
}
static inline int waiting_priority(int64_t order)
{
    return 9 - (int)(order >> 56);
}
static inline wall waiting_due(int64_t order)
{
    return (wall){order & ((INT64_C(1) << 56) - 1)};
}

void waiting_done(struct waiting *waiting);
// False where `most` of its priority are held: it is left out.
bool waiting_add(struct waiting *waiting, wall due_at, run_id run, int priority, size_t most);
bool waiting_take(struct waiting *waiting, struct heap_entry *ret);
// A bit for each priority of which none is held and the store has more.
unsigned waiting_hungry(const struct waiting *waiting);
// What is hungry wants what is read again, until `feeding` is cleared or it is full.
void waiting_feed(struct waiting *waiting);
