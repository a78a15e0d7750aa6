// Stands in for the allocation of memory. Each fails as strike.h says, else it is libc's own. Not
// for a server with sanitizers, which has an allocator of its own.
#include <errno.h>
#include <stdlib.h>

#include "strike.h"

// glibc's own names of them: dlsym allocates.
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
    return fails(size) ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    return size && count <= SIZE_MAX / size && fails(count * size) ? NULL
                                                                   : __libc_calloc(count, size);
}

void *realloc(void *old, size_t size)
{
    return fails(size) ? NULL : __libc_realloc(old, size);
}

void *reallocarray(void *old, size_t count, size_t size)
{
    if (size && count > SIZE_MAX / size) {
        errno = ENOMEM;
        return NULL;
    }
    return realloc(old, count * size);
}
