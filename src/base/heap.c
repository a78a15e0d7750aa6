#include "base/heap.h"

#include <stdlib.h>

#include "base/memory.h"

#define CHILDREN 4

static bool before(const struct heap_entry *a, const struct heap_entry *b)
{
    return a->key != b->key ? a->key < b->key : a->order < b->order;
}

void heap_done(struct heap *h)
{
    free(h->entries);
    *h = (struct heap){0};
}

void heap_add(struct heap *h, struct heap_entry entry)
{
    if (h->count == h->capacity) {
        h->capacity = h->capacity ? h->capacity * 2 : 64;
        h->entries = memory_resize(h->entries, h->capacity, sizeof *h->entries);
    }
    size_t at = h->count++;
    while (at > 0) {
        size_t parent = (at - 1) / CHILDREN;
        if (!before(&entry, &h->entries[parent]))
            break;
        h->entries[at] = h->entries[parent];
        at = parent;
    }
    h->entries[at] = entry;
}

const struct heap_entry *heap_first(const struct heap *h)
{
    return h->count ? &h->entries[0] : NULL;
}

bool heap_take(struct heap *h, struct heap_entry *ret)
{
    if (!h->count)
        return false;
    *ret = h->entries[0];
    struct heap_entry last = h->entries[--h->count];
    size_t at = 0;
    for (;;) {
        size_t least = at, first = at * CHILDREN + 1;
        const struct heap_entry *smallest = &last;
        for (size_t child = first; child < first + CHILDREN && child < h->count; child++)
            if (before(&h->entries[child], smallest)) {
                smallest = &h->entries[child];
                least = child;
            }
        if (least == at)
            break;
        h->entries[at] = h->entries[least];
        at = least;
    }
    if (h->count)
        h->entries[at] = last;
    return true;
}
