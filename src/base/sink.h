/*
 * sink - writes to a descriptor for those who must not wait for its reader
 *
 * What is put here is kept, up to a limit, and a thread of its own writes it: only that thread
 * waits where a pipe is full. A plain file has no reader to wait for and is written at once,
 * without the thread; so is anything before sink_start.
 *
 * Used by logline.c, on any thread.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>

#include "base/buffer.h"

struct sink {
    int fd;
    pthread_mutex_t lock;
    pthread_cond_t change;
    bool threaded;
    bool writing;          // the thread has taken something and is not done with it
    struct buffer waiting; // for the thread
};

#define SINK_LIMIT (4 << 20)
#define SINK_TO(descriptor)                                                                        \
    {                                                                                              \
        .fd = (descriptor), .lock = PTHREAD_MUTEX_INITIALIZER, .change = PTHREAD_COND_INITIALIZER, \
        .waiting = {                                                                               \
            .limit = SINK_LIMIT                                                                    \
        }                                                                                          \
    }

// Before other threads use it. Where no thread can be had, writes go on to wait.
void sink_start(struct sink *sink);
// All of it or nothing. False: too much waits already.
bool sink_put(struct sink *sink, const struct buffer *bytes);
// Gives a slow reader a last second. The thread stays: it may be waiting for ever.
void sink_finish(struct sink *sink);
