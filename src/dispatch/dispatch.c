#include "dispatch/dispatch.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/heap.h"
#include "base/memory.h"
#include "dispatch/command.h"
#include "dispatch/effort.h"
#include "dispatch/watch.h"
#include "dispatch/webhook.h"

#define NEVER ((steady){INT64_MAX})
#define EVENTS_MAX 256
#define DUE_LOOK_MS 1
#define WORDS_ABORTED "stopped on request"
#define WORDS_STOPPED "the server stopped"

struct dispatcher {
    pthread_t thread;
    atomic_bool stop;
    struct mailbox orders;
    struct mailbox *reports;
    struct efforts efforts;
    struct webhooks *webhooks;
    struct commands *commands;
    int epoll;
    int due_timer;        // wall time: due instants are
    struct heap due;      // item: the run; entries that are no longer true are passed over
    uint64_t due_count;   // of all ever added, for the order among equals
    int64_t due_armed_us; // what the timer is set to; 0: nothing
    bool due_missed;      // the timer could not be set: each round looks, and rounds are short
    bool draining, drained;
    steady drain_until;
};

static void start_effort(struct dispatcher *d, struct effort *effort)
{
    if (effort->order->task->target.kind == TARGET_HTTP)
        webhook_start(d->webhooks, effort);
    else
        command_start(d->commands, effort);
}

// Not started before its time.
static bool is_waiting(const struct effort *effort)
{
    return !effort->transfer && !effort->child;
}

static void abort_effort(struct dispatcher *d, struct effort *effort, const char *why)
{
    if (effort->transfer)
        webhook_abort(d->webhooks, effort, why);
    else if (effort->child)
        command_abort(d->commands, effort, why);
    else
        effort_end(&d->efforts, effort, ATTEMPT_CANCELED, "%s", why);
}

static void take_attempt(struct dispatcher *d, struct order *order)
{
    struct effort *effort = effort_new(&d->efforts, order);
    if (!effort)
        return;
    if (order->due_at.us <= wall_now().us)
        start_effort(d, effort);
    else
        heap_add(&d->due, (struct heap_entry){.key = order->due_at.us,
                                              .order = d->due_count++,
                                              .item = (uint64_t)order->run.value});
}

// An abort of what is not under way (any more) is nothing.
static void take_abort(struct dispatcher *d, struct order *order)
{
    struct effort *effort = effort_find(&d->efforts, order->run);
    if (effort)
        abort_effort(d, effort, WORDS_ABORTED);
    order_free(order);
}

static void take_drain(struct dispatcher *d, struct order *order)
{
    d->draining = true;
    d->drain_until = steady_plus(steady_now(), order->max_wait_us > 0 ? order->max_wait_us : 0);
    order_free(order);
}

static void take_orders(struct dispatcher *d, int fd, uint32_t events)
{
    static void (*const take[])(struct dispatcher *, struct order *) = {
        [ORDER_ATTEMPT] = take_attempt,
        [ORDER_ABORT] = take_abort,
        [ORDER_DRAIN] = take_drain,
    };
    struct letter *letter = mailbox_take(&d->orders);
    while (letter) {
        struct order *order = (struct order *)letter; // its first member
        letter = letter->next;
        take[order->kind](d, order);
    }
    (void)fd, (void)events;
}

// The timer only wakes the loop: each round looks what is due anyway.
static void due_woke(struct dispatcher *d, int fd, uint32_t events)
{
    uint64_t count;
    (void)!read(fd, &count, sizeof count);
    d->due_armed_us = 0;
    (void)events;
}

static void socket_ready(struct dispatcher *d, int fd, uint32_t events)
{
    webhooks_ready(d->webhooks, fd, events);
}

static void child_exited(struct dispatcher *d, int fd, uint32_t events)
{
    commands_exited(d->commands, fd, events);
}

static void child_wrote(struct dispatcher *d, int fd, uint32_t events)
{
    commands_output(d->commands, fd, events);
}

static void child_reads(struct dispatcher *d, int fd, uint32_t events)
{
    commands_input(d->commands, fd, events);
}

// Never early: started once the wall clock says so, whatever the timer says.
static void start_due(struct dispatcher *d)
{
    const struct heap_entry *first;
    struct heap_entry entry;
    while ((first = heap_first(&d->due)) && first->key <= wall_now().us) {
        heap_take(&d->due, &entry);
        struct effort *effort = effort_find(&d->efforts, (run_id){(int64_t)entry.item});
        if (effort && is_waiting(effort) && effort->order->due_at.us == entry.key)
            start_effort(d, effort);
    }
}

// A timer on the wall clock itself: exact to well under a millisecond, and it follows when the
// clock is set.
static void arm_due_timer(struct dispatcher *d)
{
    const struct heap_entry *first = heap_first(&d->due);
    int64_t at_us = first ? first->key : 0;
    if (at_us == d->due_armed_us) {
        d->due_missed = false;
        return;
    }
    struct itimerspec when = {
        .it_value = {.tv_sec = at_us / SECOND, .tv_nsec = at_us % SECOND * 1000}};
    d->due_missed = timerfd_settime(d->due_timer, TFD_TIMER_ABSTIME, &when, NULL) != 0;
    d->due_armed_us = d->due_missed ? 0 : at_us;
}

static void abort_all(struct dispatcher *d)
{
    size_t count;
    struct effort **list = efforts_list(&d->efforts, &count);
    for (size_t i = 0; i < count; i++)
        abort_effort(d, list[i], WORDS_STOPPED);
    free(list);
}

// What still runs at the end of the wait is asked to stop, and so is what comes after it.
static void drain(struct dispatcher *d, steady now)
{
    if (!d->draining)
        return;
    if (now.us >= d->drain_until.us)
        abort_all(d);
    if (d->efforts.by_run.count == 0 && !d->drained) {
        mailbox_post_all(d->reports, efforts_take_reports(&d->efforts));
        mailbox_post(d->reports, &message_new(MESSAGE_DRAINED)->letter);
        d->drained = true;
    }
}

// For epoll: until the next deadline, rounded up.
static int wait_ms(const struct dispatcher *d)
{
    int64_t next = webhooks_deadline(d->webhooks).us, other = commands_deadline(d->commands).us;
    next = other < next ? other : next;
    bool waits = d->draining && d->efforts.by_run.count && steady_now().us < d->drain_until.us;
    if (waits && d->drain_until.us < next)
        next = d->drain_until.us;
    if (d->due_missed)
        return DUE_LOOK_MS;
    if (next == INT64_MAX)
        return -1;
    int64_t ms = (next - steady_now().us + MILLISECOND - 1) / MILLISECOND;
    return ms < 0 ? 0 : ms > 60000 ? 60000 : (int)ms;
}

// One round: what has become ready, what has fallen due, what is over its time; then all reports at
// once.
static void dispatch_round(struct dispatcher *d)
{
    static void (*const ready[WATCH_COUNT])(struct dispatcher *, int, uint32_t) = {
        [WATCH_ORDERS] = take_orders, [WATCH_DUE] = due_woke,       [WATCH_SOCKET] = socket_ready,
        [WATCH_EXIT] = child_exited,  [WATCH_OUTPUT] = child_wrote, [WATCH_INPUT] = child_reads,
    };
    struct epoll_event events[EVENTS_MAX];
    arm_due_timer(d);
    int count = epoll_wait(d->epoll, events, EVENTS_MAX, wait_ms(d));
    for (int i = 0; i < count; i++)
        ready[watch_kind(events[i].data.u64)](d, watch_fd(events[i].data.u64), events[i].events);
    start_due(d);
    steady now = steady_now();
    webhooks_turn(d->webhooks, now);
    commands_turn(d->commands, now);
    drain(d, now);
    mailbox_post_all(d->reports, efforts_take_reports(&d->efforts));
}

// Nothing is left without a report, also what was ordered in the last moment.
static void stop_all(struct dispatcher *d)
{
    size_t count;
    take_orders(d, d->orders.fd, 0);
    struct effort **list = efforts_list(&d->efforts, &count);
    for (size_t i = 0; i < count; i++)
        if (list[i]->child)
            command_kill(d->commands, list[i], WORDS_STOPPED);
        else
            abort_effort(d, list[i], WORDS_STOPPED);
    free(list);
    mailbox_post_all(d->reports, efforts_take_reports(&d->efforts));
}

static void *dispatcher_main(void *context)
{
    struct dispatcher *d = context;
    while (!atomic_load(&d->stop))
        dispatch_round(d);
    stop_all(d);
    return NULL;
}

static bool watch(struct dispatcher *d, enum watch kind, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = watch_tag(kind, fd)};
    return epoll_ctl(d->epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

// Children get pipes as 0 to 2: these numbers must not be free here, or a pipe could be one of
// them.
static void occupy_standard_descriptors(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    while (fd >= 0 && fd <= 2);
    if (fd > 2)
        close(fd);
}

static bool open_all(struct dispatcher *d)
{
    occupy_standard_descriptors();
    d->epoll = epoll_create1(EPOLL_CLOEXEC);
    d->due_timer = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    if (d->epoll < 0 || d->due_timer < 0 || !watch(d, WATCH_DUE, d->due_timer) ||
        !watch(d, WATCH_ORDERS, d->orders.fd))
        return false;
    d->commands = commands_new(&d->efforts, d->epoll);
    if (!d->commands)
        return false;
    d->webhooks = webhooks_new(&d->efforts, d->epoll);
    return d->webhooks != NULL;
}

// The thread takes no signals: they are the roof's, and a broken pipe is an error of write, not a
// signal.
static bool start_thread(struct dispatcher *d)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool started = pthread_create(&d->thread, NULL, dispatcher_main, d) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (started)
        pthread_setname_np(d->thread, "dispatcher");
    return started;
}

static void dispatcher_free(struct dispatcher *d)
{
    webhooks_free(d->webhooks);
    commands_free(d->commands);
    efforts_done(&d->efforts);
    heap_done(&d->due);
    mailbox_done(&d->orders);
    if (d->due_timer >= 0)
        close(d->due_timer);
    if (d->epoll >= 0)
        close(d->epoll);
    free(d);
}

struct dispatcher *dispatcher_start(const struct dispatch_options *options, struct mailbox *reports)
{
    struct dispatcher *d = memory_new(sizeof *d);
    d->reports = reports;
    d->epoll = d->due_timer = -1;
    efforts_init(&d->efforts, options);
    mailbox_init(&d->orders);
    if (!open_all(d) || !start_thread(d)) {
        dispatcher_free(d);
        return NULL;
    }
    return d;
}

struct mailbox *dispatcher_orders(struct dispatcher *d)
{
    return &d->orders;
}

void dispatcher_stop(struct dispatcher *d)
{
    if (!d)
        return;
    struct order *nudge = memory_new(sizeof *nudge); // an abort of no run: it only wakes the loop
    nudge->kind = ORDER_ABORT;
    atomic_store(&d->stop, true);
    mailbox_post(&d->orders, &nudge->letter);
    pthread_join(d->thread, NULL);
    stop_all(d); // the nudge itself, where the thread had seen `stop` before it came
    dispatcher_free(d);
}
