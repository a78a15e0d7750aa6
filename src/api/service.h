/*
 * service - what all requests of one front share
 *
 * The options, the way to the scheduler, its pulse, the event streams; and for each of the front's
 * threads a desk: a reader of its own and the inline definitions it has seen lately. Nothing at a
 * desk is shared, so nothing there is locked.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "api/front.h"
#include "store/reader.h"

struct streams;

struct service {
    const struct front_options *options;
    struct mailbox *messages;
    struct pulse *pulse;
    struct streams *streams;
    pthread_key_t desks;
    pthread_mutex_t burst; // held while the connections of one turn are woken
    atomic_int under_way;  // messages posted and not yet replied to
    atomic_bool stopping;  // no message is posted any more
    size_t body_max;
};

#define DESK_TARGETS 64 // a power of two

struct desk {
    struct reader *reader; // NULL until the first read
    struct desk_target {
        char *text; // compact JSON as it came, NULL: free
        size_t size;
        struct task *task;
    } targets[DESK_TARGETS];
};

// Both STATUS_OK or the reason why the system has no key left.
enum status service_init(struct service *service);
void service_done(struct service *service); // after the front's threads have ended

// The calling thread's desk. Never NULL; freed when the thread ends.
struct desk *service_desk(struct service *service);
// The calling thread's reader, opened at the first call. STATUS_FAILED with why in words.
enum status service_reader(struct service *service, struct reader **ret, char *why, size_t size);

// The task an inline definition with this text decodes to, if this thread has seen it lately. A
// reference for the caller; NULL.
struct task *desk_find_target(struct desk *desk, const char *text, size_t size);
// Remembers it, instead of another one. Takes the text (free()), holds the task.
void desk_keep_target(struct desk *desk, char *text, size_t size, struct task *task);
