#include "base/buffer.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

#define FIRST_CAPACITY 512 // a run as JSON fits

void buffer_init(struct buffer *b, size_t limit)
{
    *b = (struct buffer){.limit = limit};
}

void buffer_done(struct buffer *b)
{
    free(b->data);
    *b = (struct buffer){.limit = b->limit, .may_starve = b->may_starve};
}

void buffer_clear(struct buffer *b)
{
    b->size = 0;
    b->overflow = b->starved = false;
    if (b->data)
        b->data[0] = '\0';
}

// False where memory is out and the buffer may say so.
static bool grow(struct buffer *b, size_t more)
{
    size_t capacity = b->capacity ? b->capacity * 2 : FIRST_CAPACITY;
    while (capacity < b->size + more + 1)
        capacity *= 2;
    char *data = b->may_starve ? realloc(b->data, capacity) : memory_resize(b->data, capacity, 1);
    if (!data)
        return false;
    b->data = data;
    b->capacity = capacity;
    return true;
}

// Makes room for `more` bytes and a NUL. False beyond the limit.
static inline bool make_room(struct buffer *b, size_t more)
{
    if (b->starved || more > b->limit - b->size) {
        b->overflow = true;
        return false;
    }
    if (b->size + more + 1 > b->capacity && !grow(b, more))
        b->starved = b->overflow = true;
    return !b->starved;
}

char *buffer_more_space(struct buffer *b, size_t size)
{
    if (!make_room(b, size))
        return NULL;
    char *space = b->data + b->size;
    b->size += size;
    b->data[b->size] = '\0';
    return space;
}

void buffer_add(struct buffer *b, const void *bytes, size_t size)
{
    char *space = buffer_space(b, size);
    if (space && size)
        memcpy(space, bytes, size);
}

void buffer_text(struct buffer *b, const char *text)
{
    buffer_add(b, text, strlen(text));
}

void buffer_int(struct buffer *b, int64_t n)
{
    char digits[24];
    char *end = digits + sizeof digits, *p = end;
    uint64_t rest = n < 0 ? 0 - (uint64_t)n : (uint64_t)n;
    do
        *--p = (char)('0' + rest % 10);
    while (rest /= 10);
    if (n < 0)
        *--p = '-';
    buffer_add(b, p, (size_t)(end - p));
}

void buffer_format(struct buffer *b, const char *format, ...)
{
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int size = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    assert(size >= 0);
    if (make_room(b, (size_t)size)) {
        vsnprintf(b->data + b->size, (size_t)size + 1, format, again);
        b->size += (size_t)size;
    }
    va_end(again);
}

const char *buffer_string(const struct buffer *b)
{
    return b->data ? b->data : "";
}

char *buffer_take(struct buffer *b, size_t *ret_size)
{
    char *data = b->data ? b->data : memory_copy("", 0);
    if (ret_size)
        *ret_size = b->size;
    *b = (struct buffer){.limit = b->limit, .may_starve = b->may_starve};
    return data;
}
