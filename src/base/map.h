/*
 * map - a number to a pointer
 *
 * An open-addressed hash table (linear probing, backward-shift deletion: Knuth 6.4, algorithm R)
 * over 64-bit keys. Does not own what it points to. One thread at a time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct map {
    struct map_slot {
        uint64_t key;
        void *value; // NULL: free
    } * slots;
    size_t count, capacity; // capacity is 0 or a power of two
};

void map_done(struct map *m);
void *map_get(const struct map *m, uint64_t key);       // NULL when absent
void map_put(struct map *m, uint64_t key, void *value); // value is not NULL; replaces
void *map_remove(struct map *m, uint64_t key);          // what was there, or NULL

// Walks all entries in no order: start with *at = 0; false at the end. No change of the map
// meanwhile.
bool map_each(const struct map *m, size_t *at, uint64_t *ret_key, void **ret_value);

// FNV-1a with a finishing mix: for table keys and stable spreading, not against an adversary.
uint64_t hash_bytes(const void *bytes, size_t size);
