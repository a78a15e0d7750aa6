#include "api/patience.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

#include "base/memory.h"
#include "base/now.h"

#define HEADER_US (70 * SECOND) // longer than a connection may be idle
#define BODY_US (300 * SECOND)
#define CROWDED_US (5 * SECOND)
#define LOOK_S 1

enum owes { OWES_NOTHING, OWES_HEADER, OWES_BODY, OWES_COUNT };

struct caller {
    struct caller *next, **link;
    int fd;
    _Atomic int owes;
    _Atomic int64_t since_us; // steady
};

struct patience {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t change;
    struct caller *callers;
    int listener; // -1: not looked after
    int count, places;
    uint64_t arrived, arrived_before; // callers of all time: now, and at the last look
    bool waited_before;               // somebody stood at the listener at the last look
    int64_t limits_us[OWES_COUNT], crowded_us;
    bool stop;
};

static void set(struct caller *caller, enum owes owes)
{
    atomic_store_explicit(&caller->owes, OWES_NOTHING, memory_order_relaxed);
    if (owes != OWES_NOTHING)
        atomic_store_explicit(&caller->since_us, steady_now().us, memory_order_release);
    atomic_store_explicit(&caller->owes, owes, memory_order_release);
}

void caller_owes_header(struct caller *caller)
{
    set(caller, OWES_HEADER);
}

void caller_owes_body(struct caller *caller)
{
    set(caller, OWES_BODY);
}

void caller_owes_nothing(struct caller *caller)
{
    set(caller, OWES_NOTHING);
}

// Its thread then sees the end of the connection, as if the client had left.
static void look_at(const struct patience *p, struct caller *caller, int64_t now_us, bool crowded)
{
    int owes = atomic_load_explicit(&caller->owes, memory_order_acquire);
    int64_t limit_us = p->limits_us[owes];
    if (crowded && p->crowded_us < limit_us)
        limit_us = p->crowded_us;
    int64_t since_us = atomic_load_explicit(&caller->since_us, memory_order_acquire);
    if (owes == OWES_NOTHING || now_us - since_us <= limit_us)
        return;
    shutdown(caller->fd, SHUT_RDWR); // not closed: it has not left yet, and we have the lock
    set(caller, OWES_NOTHING);
}

// Nothing came in though there is room and somebody waits, at two looks in a row.
static bool is_stuck(struct patience *p)
{
    struct pollfd fd = {.fd = p->listener, .events = POLLIN};
    bool waits = p->listener >= 0 && p->count < p->places && poll(&fd, 1, 0) > 0 &&
                 fd.revents == POLLIN; // not one that is shut down
    bool stuck = waits && p->waited_before && p->arrived == p->arrived_before;
    p->waited_before = waits;
    p->arrived_before = p->arrived;
    return stuck;
}

// Idle: between two requests, or before its first. Clients know that such a connection may end.
static void end_idlest(struct patience *p)
{
    struct caller *idlest = NULL;
    int64_t since_us = INT64_MAX;
    for (struct caller *caller = p->callers; caller; caller = caller->next) {
        int64_t its_us = atomic_load_explicit(&caller->since_us, memory_order_acquire);
        int owes = atomic_load_explicit(&caller->owes, memory_order_acquire);
        if (owes == OWES_HEADER && its_us < since_us) {
            idlest = caller;
            since_us = its_us;
        }
    }
    if (!idlest)
        return;
    shutdown(idlest->fd, SHUT_RDWR); // not closed: it has not left yet, and we have the lock
    set(idlest, OWES_NOTHING);
}

static void *patience_main(void *context)
{
    struct patience *p = context;
    pthread_mutex_lock(&p->lock);
    while (!p->stop) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += LOOK_S;
        if (p->count)
            pthread_cond_timedwait(&p->change, &p->lock, &until);
        else
            pthread_cond_wait(&p->change, &p->lock);
        int64_t now_us = steady_now().us;
        bool crowded = p->count > p->places - p->places / 4;
        for (struct caller *caller = p->callers; caller && !p->stop; caller = caller->next)
            look_at(p, caller, now_us, crowded);
        if (!p->stop && is_stuck(p))
            end_idlest(p);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

struct patience *patience_new(int places, const struct patience_limits *limits)
{
    struct patience *p = memory_new(sizeof *p);
    sigset_t all, before;
    p->places = places;
    p->listener = -1;
    p->limits_us[OWES_HEADER] = limits->header_us ? limits->header_us : HEADER_US;
    p->limits_us[OWES_BODY] = limits->body_us ? limits->body_us : BODY_US;
    p->crowded_us = limits->crowded_us ? limits->crowded_us : CROWDED_US;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->change, NULL);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool started = pthread_create(&p->thread, NULL, patience_main, p) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (started) {
        pthread_setname_np(p->thread, "patience");
        return p;
    }
    free(p);
    return NULL;
}

void patience_watch(struct patience *p, int listener)
{
    pthread_mutex_lock(&p->lock);
    p->listener = listener;
    pthread_mutex_unlock(&p->lock);
}

void patience_free(struct patience *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->stop = true;
    pthread_cond_signal(&p->change);
    pthread_mutex_unlock(&p->lock);
    pthread_join(p->thread, NULL);
    pthread_cond_destroy(&p->change);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

struct caller *patience_arrive(struct patience *p, int fd)
{
    struct caller *caller = memory_new(sizeof *caller);
    caller->fd = fd;
    caller_owes_header(caller);
    pthread_mutex_lock(&p->lock);
    caller->next = p->callers;
    caller->link = &p->callers;
    if (caller->next)
        caller->next->link = &caller->next;
    p->callers = caller;
    p->arrived++;
    if (p->count++ == 0)
        pthread_cond_signal(&p->change); // it sleeps while nobody is there
    pthread_mutex_unlock(&p->lock);
    return caller;
}

void patience_leave(struct patience *p, struct caller *caller)
{
    pthread_mutex_lock(&p->lock);
    *caller->link = caller->next;
    if (caller->next)
        caller->next->link = caller->link;
    p->count--;
    pthread_mutex_unlock(&p->lock);
    free(caller);
}
