/*
 * capture - the first bytes of something long
 *
 * What fits is kept, the rest is counted and dropped.
 */
#pragma once

#include "base/buffer.h"

struct capture {
    struct buffer kept;
    size_t total; // bytes that came
};

static inline void capture_init(struct capture *c, size_t limit)
{
    buffer_init(&c->kept, limit);
    c->kept.may_starve = true; // somebody else sizes it: it is cut where memory is out
    c->total = 0;
}

static inline void capture_done(struct capture *c)
{
    buffer_done(&c->kept);
}

// Starts anew with another limit and the same memory.
static inline void capture_restart(struct capture *c, size_t limit)
{
    buffer_clear(&c->kept);
    c->kept.limit = limit;
    c->total = 0;
}

static inline void capture_add(struct capture *c, const void *bytes, size_t size)
{
    size_t room = c->kept.limit - c->kept.size;
    buffer_add(&c->kept, bytes, size < room ? size : room);
    c->total += size;
}

static inline bool capture_is_cut(const struct capture *c)
{
    return c->total > c->kept.size;
}
