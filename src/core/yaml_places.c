#include "core/yaml_places.h"

#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/memory.h"

#define DEPTH_MAX 70 // more than a file may have

struct node {
    size_t parent;
    char *token; // NULL for the root
    int line, column;
    int key_line; // where its key stands
    size_t next;  // another node with the same hash; 0: none (the root is nobody's next)
};

struct yaml_places {
    struct node *nodes;
    size_t count, capacity;
    struct map by_token; // hash of (parent, token) to number, never the root's
};

struct yaml_places *places_new(void)
{
    struct yaml_places *places = memory_new(sizeof *places);
    places->capacity = 64;
    places->nodes = memory_array(places->capacity, sizeof *places->nodes);
    places->count = 1;
    return places;
}

void yaml_places_free(struct yaml_places *places)
{
    if (!places)
        return;
    for (size_t i = 0; i < places->count; i++)
        free(places->nodes[i].token);
    free(places->nodes);
    map_done(&places->by_token);
    free(places);
}

void places_set(struct yaml_places *places, size_t place, int line, int column)
{
    places->nodes[place].line = line;
    places->nodes[place].column = column;
}

static uint64_t key_of(size_t parent, const char *token)
{
    return hash_bytes(token, strlen(token)) + parent * UINT64_C(0x9e3779b97f4a7c15);
}

// 0: none.
static size_t find(const struct yaml_places *places, size_t parent, const char *token)
{
    size_t at = (size_t)(uintptr_t)map_get(&places->by_token, key_of(parent, token));
    while (at &&
           (places->nodes[at].parent != parent || strcmp(places->nodes[at].token, token) != 0))
        at = places->nodes[at].next;
    return at;
}

size_t places_add(struct yaml_places *places, size_t parent, const char *token, int line,
                  int column, int *ret_line)
{
    size_t at = find(places, parent, token);
    *ret_line = at ? places->nodes[at].key_line : 0;
    if (at)
        return at;
    if (places->count == places->capacity) {
        places->capacity *= 2;
        places->nodes = memory_resize(places->nodes, places->capacity, sizeof *places->nodes);
    }
    at = places->count++;
    uint64_t key = key_of(parent, token);
    size_t next = (size_t)(uintptr_t)map_get(&places->by_token, key);
    places->nodes[at] = (struct node){parent, memory_text(token), line, column, line, next};
    map_put(&places->by_token, key, (void *)(uintptr_t)at);
    return at;
}

void places_pointer(const struct yaml_places *places, size_t place, char *pointer, size_t size)
{
    size_t way[DEPTH_MAX], depth = 0;
    for (; place != PLACE_ROOT && depth < DEPTH_MAX; place = places->nodes[place].parent)
        way[depth++] = place;
    pointer[0] = '\0';
    while (depth--)
        pointer_join(pointer, size, pointer, places->nodes[way[depth]].token);
}

// Takes the next reference token off a pointer (RFC 6901, 3 and 4). False at its end.
static bool take_token(const char **pointer, char *token, size_t size)
{
    size_t at = 0;
    const char *p = *pointer;
    if (*p != '/')
        return false;
    for (p++; *p && *p != '/'; p++) {
        char c = *p;
        if (c == '~' && (p[1] == '0' || p[1] == '1'))
            c = *++p == '0' ? '~' : '/';
        if (at + 1 < size)
            token[at++] = c;
    }
    token[at] = '\0';
    *pointer = p;
    return true;
}

void yaml_place_faults(const struct yaml_places *places, struct faults *faults)
{
    for (size_t i = 0; i < faults_kept(faults); i++) {
        struct fault *fault = &faults->items[i];
        const char *rest = fault->pointer;
        size_t at = PLACE_ROOT, below;
        char token[1024];
        if (fault->line)
            continue;
        while (take_token(&rest, token, sizeof token) && (below = find(places, at, token)))
            at = below;
        fault->line = places->nodes[at].line;
        fault->column = places->nodes[at].column;
    }
}
