/*
 * memory - allocation for our own small structs
 *
 * These abort when memory is out: a restart is safe (everything acknowledged is in the store). What
 * an outsider sizes (bodies, batches, responses) lives in a buffer or arena made with its limit
 * instead.
 */
#pragma once

#include <stddef.h>

// Zeroed. Free with free().
void *memory_new(size_t size) __attribute__((malloc, returns_nonnull));
void *memory_array(size_t count, size_t size) __attribute__((malloc, returns_nonnull));
void *memory_resize(void *old, size_t count, size_t size) __attribute__((returns_nonnull));
char *memory_text(const char *text) __attribute__((malloc)); // NULL stays NULL
char *memory_copy(const void *bytes, size_t size)
    __attribute__((malloc, returns_nonnull)); // NUL added
