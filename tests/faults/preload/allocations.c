// Stands in for the allocation of memory. Each fails as strike.h says, else it is the server's own.
// Not for a server with sanitizers, which has an allocator of its own.
#include <errno.h>
#include <stdlib.h>

#include "strike.h"

// By their own names, since dlsym allocates: those of the allocator that the server is linked with,
// or glibc's where it has none.
void *mi_malloc(size_t size) __attribute__((weak));
void *mi_calloc(size_t count, size_t size) __attribute__((weak));
void *mi_realloc(void *old, size_t size) __attribute__((weak));
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);

static bool fails(size_t size)
{
    int error;
    if (!strike("malloc", size, &error))
        return false;
    errno = error;
    return true;
}

void *malloc(size_t size)
{
    if (fails(size))
        return NULL;
    return mi_malloc ? mi_malloc(size) : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    if (size && count <= SIZE_MAX / size && fails(count * size))
        return NULL;
    return mi_calloc ? mi_calloc(count, size) : __libc_calloc(count, size);
}

void *realloc(void *old, size_t size)
{
    if (fails(size))
        return NULL;
    return mi_realloc ? mi_realloc(old, size) : __libc_realloc(old, size);
}

void *reallocarray(void *old, size_t count, size_t size)
{
    if (size && count > SIZE_MAX / size) {
        errno = ENOMEM;
        return NULL;
    }
    return realloc(old, count * size);
}
