#include "base/memory.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *checked(void *p)
{
    if (!p) {
        fputs("punctual: out of memory\n", stderr);
        abort();
    }
    return p;
}

void *memory_new(size_t size)
{
    // Not calloc: glibc's passes by the small pieces that each thread keeps for its next malloc.
    return memset(checked(malloc(size)), 0, size);
}

void *memory_array(size_t count, size_t size)
{
    return checked(calloc(count ? count : 1, size));
}

void *memory_resize(void *old, size_t count, size_t size)
{
    return checked(reallocarray(old, count ? count : 1, size));
}

char *memory_text(const char *text)
{
    return text ? checked(strdup(text)) : NULL;
}

char *memory_copy(const void *bytes, size_t size)
{
    char *copy = checked(malloc(size + 1));
    if (size)
        memcpy(copy, bytes, size);
    copy[size] = '\0';
    return copy;
}
