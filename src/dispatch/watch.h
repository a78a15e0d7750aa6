/*
 * watch - what a ready descriptor of the dispatcher's loop is
 *
 * Kept in the 64 bits that epoll hands back. A descriptor may have been closed and its number given
 * away within the same round, so every handler takes a false alarm calmly.
 */
#pragma once

#include <stdint.h>

enum watch {
    WATCH_ORDERS, // the mailbox
    WATCH_DUE,    // the timer of the next due instant
    WATCH_SOCKET, // one of libcurl's
    WATCH_EXIT,   // a child's keeper
    WATCH_OUTPUT, // what a child writes
    WATCH_INPUT,  // what a child reads
    WATCH_COUNT
};

static inline uint64_t watch_tag(enum watch watch, int fd)
{
    return (uint64_t)watch << 32 | (uint32_t)fd;
}

static inline enum watch watch_kind(uint64_t tag)
{
    return (enum watch)(tag >> 32);
}

static inline int watch_fd(uint64_t tag)
{
    return (int)(uint32_t)tag;
}
