/*
 * sse - reads server-sent events
 *
 * The event stream of the HTML standard (9.2.6): pieces in, whole events out, wherever the pieces
 * were cut. Knows `id`, `data` and `retry`; comments, `event` and what is unknown are passed over.
 */
#pragma once

#include <stdbool.h>

#include "base/buffer.h"

#define SSE_LINE_MAX ((size_t)4 << 20)

struct sse {
    struct buffer line; // the line begun
    struct buffer data;
    struct buffer id;  // the last one heard, kept for Last-Event-ID
    int retry_ms;      // what the server asked for; -1: nothing
    bool after_return; // the last byte was a CR: an LF now belongs to it
    bool (*event)(void *context, const char *id, const char *data); // false: no more
    void *context;
};

void sse_init(struct sse *sse, bool (*event)(void *context, const char *id, const char *data),
              void *context);
void sse_done(struct sse *sse);
// A new connection: what was begun is forgotten, the last id stays.
void sse_restart(struct sse *sse);
// Takes the next bytes in. False as soon as `event` said so.
bool sse_take(struct sse *sse, const char *bytes, size_t size);
