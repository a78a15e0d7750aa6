/*
 * patience - how long a connection may take
 *
 * libmicrohttpd ends a connection that does nothing for a minute, but one that sends a byte now and
 * then may hold its place for ever, and the places are counted. Here the whole of a header, of a
 * body and of an answer has a limit, and a shorter one while most places are taken, so those who
 * come later get theirs. A request that the server itself takes its time for (a long poll, an event
 * stream) has none.
 *
 * Used by front.c: the callers by libmicrohttpd's threads, the look at them by a thread of its own.
 */
#pragma once

#include "base/moment.h"

struct patience;
struct caller; // one connection

struct patience_limits { // 0: the usual
    int64_t header_us, body_us, crowded_us;
};

// NULL where the system refuses. places: how many connections there may be.
struct patience *patience_new(int places, const struct patience_limits *limits);
// Looks also after this listener: where somebody waits at it and nobody has come in between two
// looks, libmicrohttpd has run out of descriptors and accepts nobody until a connection ends. So
// the one that has been idle for longest ends. Call it once, right after patience_new.
void patience_watch(struct patience *patience, int listener);
void patience_free(struct patience *patience); // all callers must have left; NULL is fine

struct caller *patience_arrive(struct patience *patience, int fd);
void patience_leave(struct patience *patience, struct caller *caller); // before the fd is closed

// What is waited for from here on. Each is one store to memory.
void caller_owes_header(struct caller *caller);
void caller_owes_body(struct caller *caller); // also: owes to read its answer
void caller_owes_nothing(struct caller *caller);
