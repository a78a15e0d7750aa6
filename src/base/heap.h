/*
 * heap - what comes first
 *
 * A 4-ary min-heap of (key, order, item): smallest key first, equal keys in the order given. Values
 * are copied; `item` is the caller's. One thread at a time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct heap_entry {
    int64_t key;
    uint64_t order;
    uint64_t item;
};

struct heap {
    struct heap_entry *entries;
    size_t count, capacity;
};

void heap_done(struct heap *h);
void heap_add(struct heap *h, struct heap_entry entry);
// NULL when empty. Valid until the next call.
const struct heap_entry *heap_first(const struct heap *h);
bool heap_take(struct heap *h, struct heap_entry *ret);
