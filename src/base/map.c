#include "base/map.h"

#include <stdlib.h>

#include "base/memory.h"

// The finaliser of splitmix64 (Steele, Lea, Flood 2014).
static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

uint64_t hash_bytes(const void *bytes, size_t size)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (const unsigned char *p = bytes, *end = p + size; p < end; p++)
        hash = (hash ^ *p) * UINT64_C(0x100000001b3);
    return mix(hash);
}

void map_done(struct map *m)
{
    free(m->slots);
    *m = (struct map){0};
}

// The slot of `key`, or the free slot where it would go. The table is never full.
static size_t find(const struct map *m, uint64_t key)
{
    size_t at = mix(key) & (m->capacity - 1);
    while (m->slots[at].value && m->slots[at].key != key)
        at = (at + 1) & (m->capacity - 1);
    return at;
}

static void grow(struct map *m)
{
    struct map old = *m;
    m->capacity = old.capacity ? old.capacity * 2 : 16;
    m->slots = memory_array(m->capacity, sizeof *m->slots);
    for (size_t i = 0; i < old.capacity; i++)
        if (old.slots[i].value)
            m->slots[find(m, old.slots[i].key)] = old.slots[i];
    free(old.slots);
}

void *map_get(const struct map *m, uint64_t key)
{
    return m->capacity ? m->slots[find(m, key)].value : NULL;
}

void map_put(struct map *m, uint64_t key, void *value)
{
    if ((m->count + 1) * 4 > m->capacity * 3)
        grow(m);
    struct map_slot *slot = &m->slots[find(m, key)];
    m->count += slot->value == NULL;
    *slot = (struct map_slot){key, value};
}

void *map_remove(struct map *m, uint64_t key)
{
    if (!m->capacity)
        return NULL;
    size_t hole = find(m, key), mask = m->capacity - 1;
    void *value = m->slots[hole].value;
    if (!value)
        return NULL;
    for (size_t at = (hole + 1) & mask; m->slots[at].value; at = (at + 1) & mask) {
        size_t home = mix(m->slots[at].key) & mask;
        if (((at - home) & mask) >= ((at - hole) & mask)) {
            m->slots[hole] = m->slots[at];
            hole = at;
        }
    }
    m->slots[hole] = (struct map_slot){0};
    m->count--;
    return value;
}

bool map_each(const struct map *m, size_t *at, uint64_t *ret_key, void **ret_value)
{
    for (; *at < m->capacity; (*at)++)
        if (m->slots[*at].value) {
            *ret_key = m->slots[*at].key;
            *ret_value = m->slots[*at].value;
            (*at)++;
            return true;
        }
    return false;
}
