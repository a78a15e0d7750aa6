#include "base/sink.h"

#include <errno.h>
#include <signal.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define FINISH_S 1

// What cannot be written is lost: nobody is left to be told.
static void write_out(int fd, const struct buffer *bytes)
{
    size_t done = 0;
    while (done < bytes->size) {
        ssize_t put = write(fd, bytes->data + done, bytes->size - done);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return;
        done += (size_t)put;
    }
}

static void *sink_main(void *context)
{
    struct sink *sink = context;
    struct buffer taken;
    buffer_init(&taken, SINK_LIMIT);
    pthread_mutex_lock(&sink->lock);
    for (;;) {
        while (sink->waiting.size == 0)
            pthread_cond_wait(&sink->change, &sink->lock);
        struct buffer empty = taken;
        taken = sink->waiting;
        sink->waiting = empty;
        sink->writing = true;
        pthread_mutex_unlock(&sink->lock);
        write_out(sink->fd, &taken);
        buffer_clear(&taken);
        pthread_mutex_lock(&sink->lock);
        sink->writing = false;
        pthread_cond_broadcast(&sink->change);
    }
    return NULL;
}

void sink_start(struct sink *sink)
{
    struct stat is;
    sigset_t all, before;
    pthread_t thread;
    if (sink->threaded || fstat(sink->fd, &is) < 0 || S_ISREG(is.st_mode))
        return;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    sink->threaded = pthread_create(&thread, NULL, sink_main, sink) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!sink->threaded)
        return;
    pthread_setname_np(thread, "log");
    pthread_detach(thread);
}

bool sink_put(struct sink *sink, const struct buffer *bytes)
{
    if (!sink->threaded) {
        write_out(sink->fd, bytes);
        return true;
    }
    pthread_mutex_lock(&sink->lock);
    bool room = bytes->size <= sink->waiting.limit - sink->waiting.size;
    if (room)
        buffer_add(&sink->waiting, bytes->data, bytes->size);
    pthread_cond_broadcast(&sink->change);
    pthread_mutex_unlock(&sink->lock);
    return room;
}

void sink_finish(struct sink *sink)
{
    struct timespec until;
    int late = 0;
    if (!sink->threaded)
        return;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += FINISH_S;
    pthread_mutex_lock(&sink->lock);
    while ((sink->waiting.size || sink->writing) && !late)
        late = pthread_cond_timedwait(&sink->change, &sink->lock, &until);
    pthread_mutex_unlock(&sink->lock);
}
