/*
 * buffer - bytes that grow up to a limit
 *
 * Created with its maximum. Adding beyond it sets `overflow` and drops what does not fit whole; the
 * flag stays, so a writer checks once at the end. Always NUL-terminated behind `size` once anything
 * was added.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buffer {
    char *data; // NULL while empty and never added to
    size_t size, capacity, limit;
    bool overflow;
    bool may_starve; // set by the owner: where memory is out, it overflows instead of aborting
    bool starved;    // it did, and takes nothing more
};

void buffer_init(struct buffer *b, size_t limit);
void buffer_done(struct buffer *b);
void buffer_clear(struct buffer *b); // keeps the memory

// Adds `size` bytes for the caller to write, before anything else is added. NULL beyond the limit.
static inline char *buffer_space(struct buffer *b, size_t size);
void buffer_add(struct buffer *b, const void *bytes, size_t size);
static inline void buffer_byte(struct buffer *b, char c);
void buffer_text(struct buffer *b, const char *text);
void buffer_int(struct buffer *b, int64_t n);
void buffer_format(struct buffer *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

// The text so far, never NULL.
const char *buffer_string(const struct buffer *b);
// Hands over the memory (free() it); the buffer is empty again. Never NULL; NUL-terminated.
char *buffer_take(struct buffer *b, size_t *ret_size);

// --- inside ---

// buffer_space where it has to grow, or may not.
char *buffer_more_space(struct buffer *b, size_t size);

static inline char *buffer_space(struct buffer *b, size_t size)
{
    // Both differences are of numbers that are never below the size. Where memory is out, it takes
    // nothing more.
    if (b->starved || size >= b->capacity - b->size || size > b->limit - b->size)
        return buffer_more_space(b, size);
    char *space = b->data + b->size;
    b->size += size;
    b->data[b->size] = '\0';
    return space;
}

static inline void buffer_byte(struct buffer *b, char c)
{
    char *space = buffer_space(b, 1);
    if (space)
        *space = c;
}
