#include "dispatch/hand.h"

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

struct hand {
    pthread_t thread;
    atomic_bool stop;
    struct mailbox orders;
    struct mailbox *reports;
    atomic_int *busy; // hands that are not drained yet
    struct efforts efforts;
    struct webhooks *webhooks;
    struct commands *commands; // NULL: this one takes none
    int epoll;
    int due_timer;        // wall time: due instants are
    struct heap due;      // item: the run; entries that are no longer true are passed over
    uint64_t due_count;   // of all ever added, for the order among equals
    int64_t due_armed_us; // what the timer is set to; 0: nothing
    bool due_missed;      // the timer could not be set: each round looks, and rounds are short
    bool draining, drained;
    steady drain_until;
};

static void start_effort(struct hand *h, struct effort *effort)
{
    if (effort->order->task->target.kind == TARGET_HTTP)
        webhook_start(h->webhooks, effort);
    else
        command_start(h->commands, effort);
}

// Not started before its time.
static bool is_waiting(const struct effort *effort)
{
    return !effort->transfer && !effort->child;
}

static void abort_effort(struct hand *h, struct effort *effort, const char *why)
{
    if (effort->transfer)
        webhook_abort(h->webhooks, effort, why);
    else if (effort->child)
        command_abort(h->commands, effort, why);
    else
        effort_end(&h->efforts, effort, ATTEMPT_CANCELED, "%s", why);
}

static void take_attempt(struct hand *h, struct order *order)
{
    struct effort *effort = effort_new(&h->efforts, order);
    if (!effort)
        return;
    if (order->due_at.us <= wall_now().us)
        start_effort(h, effort);
    else
        heap_add(&h->due, (struct heap_entry){.key = order->due_at.us,
                                              .order = h->due_count++,
                                              .item = (uint64_t)order->run.value});
}

// An abort of what is not under way (any more) is nothing.
static void take_abort(struct hand *h, struct order *order)
{
    struct effort *effort = effort_find(&h->efforts, order->run);
    if (effort)
        abort_effort(h, effort, WORDS_ABORTED);
    order_free(order);
}

static void take_drain(struct hand *h, struct order *order)
{
    h->draining = true;
    h->drain_until = steady_plus(steady_now(), order->max_wait_us > 0 ? order->max_wait_us : 0);
    order_free(order);
}

static void take_orders(struct hand *h, int fd, uint32_t events)
{
    static void (*const take[])(struct hand *, struct order *) = {
        [ORDER_ATTEMPT] = take_attempt,
        [ORDER_ABORT] = take_abort,
        [ORDER_DRAIN] = take_drain,
    };
    struct letter *letter = mailbox_take(&h->orders);
    while (letter) {
        struct order *order = (struct order *)letter; // its first member
        letter = letter->next;
        take[order->kind](h, order);
    }
    (void)fd, (void)events;
}

// The timer only wakes the loop: each round looks what is due anyway.
static void due_woke(struct hand *h, int fd, uint32_t events)
{
    uint64_t count;
    (void)!read(fd, &count, sizeof count);
    h->due_armed_us = 0;
    (void)events;
}

static void socket_ready(struct hand *h, int fd, uint32_t events)
{
    webhooks_ready(h->webhooks, fd, events);
}

static void child_exited(struct hand *h, int fd, uint32_t events)
{
    commands_exited(h->commands, fd, events);
}

static void child_wrote(struct hand *h, int fd, uint32_t events)
{
    commands_output(h->commands, fd, events);
}

static void child_reads(struct hand *h, int fd, uint32_t events)
{
    commands_input(h->commands, fd, events);
}

// Never early: started once the wall clock says so, whatever the timer says.
static void start_due(struct hand *h)
{
    const struct heap_entry *first;
    struct heap_entry entry;
    while ((first = heap_first(&h->due)) && first->key <= wall_now().us) {
        heap_take(&h->due, &entry);
        struct effort *effort = effort_find(&h->efforts, (run_id){(int64_t)entry.item});
        if (effort && is_waiting(effort) && effort->order->due_at.us == entry.key)
            start_effort(h, effort);
    }
}

// A timer on the wall clock itself: exact to well under a millisecond, and it follows when the
// clock is set.
static void arm_due_timer(struct hand *h)
{
    const struct heap_entry *first = heap_first(&h->due);
    int64_t at_us = first ? first->key : 0;
    if (at_us == h->due_armed_us) {
        h->due_missed = false;
        return;
    }
    struct itimerspec when = {
        .it_value = {.tv_sec = at_us / SECOND, .tv_nsec = at_us % SECOND * 1000}};
    h->due_missed = timerfd_settime(h->due_timer, TFD_TIMER_ABSTIME, &when, NULL) != 0;
    h->due_armed_us = h->due_missed ? 0 : at_us;
}

static void abort_all(struct hand *h)
{
    size_t count;
    struct effort **list = efforts_list(&h->efforts, &count);
    for (size_t i = 0; i < count; i++)
        abort_effort(h, list[i], WORDS_STOPPED);
    free(list);
}

// What still runs at the end of the wait is asked to stop, and so is what comes after it.
static void drain(struct hand *h, steady now)
{
    if (!h->draining)
        return;
    if (now.us >= h->drain_until.us)
        abort_all(h);
    if (h->efforts.by_run.count == 0 && !h->drained) {
        mailbox_post_all(h->reports, efforts_take_reports(&h->efforts));
        if (atomic_fetch_sub(h->busy, 1) == 1) // the last one: the others' reports are posted, too
            mailbox_post(h->reports, &message_new(MESSAGE_DRAINED)->letter);
        h->drained = true;
    }
}

// For epoll: until the next deadline, rounded up.
static int wait_ms(const struct hand *h)
{
    int64_t next = webhooks_deadline(h->webhooks).us;
    if (h->commands && commands_deadline(h->commands).us < next)
        next = commands_deadline(h->commands).us;
    bool waits = h->draining && h->efforts.by_run.count && steady_now().us < h->drain_until.us;
    if (waits && h->drain_until.us < next)
        next = h->drain_until.us;
    if (h->due_missed)
        return DUE_LOOK_MS;
    if (next == INT64_MAX)
        return -1;
    int64_t ms = (next - steady_now().us + MILLISECOND - 1) / MILLISECOND;
    return ms < 0 ? 0 : ms > 60000 ? 60000 : (int)ms;
}

// One round: what has become ready, what has fallen due, what is over its time; then all reports at
// once.
static void dispatch_round(struct hand *h)
{
    static void (*const ready[WATCH_COUNT])(struct hand *, int, uint32_t) = {
        [WATCH_ORDERS] = take_orders, [WATCH_DUE] = due_woke,       [WATCH_SOCKET] = socket_ready,
        [WATCH_EXIT] = child_exited,  [WATCH_OUTPUT] = child_wrote, [WATCH_INPUT] = child_reads,
    };
    struct epoll_event events[EVENTS_MAX];
    arm_due_timer(h);
    int count = epoll_wait(h->epoll, events, EVENTS_MAX, wait_ms(h));
    for (int i = 0; i < count; i++)
        ready[watch_kind(events[i].data.u64)](h, watch_fd(events[i].data.u64), events[i].events);
    start_due(h);
    steady now = steady_now();
    webhooks_turn(h->webhooks, now);
    if (h->commands)
        commands_turn(h->commands, now);
    drain(h, now);
    mailbox_post_all(h->reports, efforts_take_reports(&h->efforts));
}

// Nothing is left without a report, also what was ordered in the last moment.
static void stop_all(struct hand *h)
{
    size_t count;
    take_orders(h, h->orders.fd, 0);
    struct effort **list = efforts_list(&h->efforts, &count);
    for (size_t i = 0; i < count; i++)
        if (list[i]->child)
            command_kill(h->commands, list[i], WORDS_STOPPED);
        else
            abort_effort(h, list[i], WORDS_STOPPED);
    free(list);
    mailbox_post_all(h->reports, efforts_take_reports(&h->efforts));
}

static void *hand_main(void *context)
{
    struct hand *h = context;
    while (!atomic_load(&h->stop))
        dispatch_round(h);
    stop_all(h);
    return NULL;
}

static bool watch(struct hand *h, enum watch kind, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = watch_tag(kind, fd)};
    return epoll_ctl(h->epoll, EPOLL_CTL_ADD, fd, &event) == 0;
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

static bool open_all(struct hand *h, bool commands)
{
    occupy_standard_descriptors();
    h->epoll = epoll_create1(EPOLL_CLOEXEC);
    h->due_timer = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    if (h->epoll < 0 || h->due_timer < 0 || !watch(h, WATCH_DUE, h->due_timer) ||
        !watch(h, WATCH_ORDERS, h->orders.fd))
        return false;
    if (commands && !(h->commands = commands_new(&h->efforts, h->epoll)))
        return false;
    h->webhooks = webhooks_new(&h->efforts, h->epoll);
    return h->webhooks != NULL;
}

// The thread takes no signals: they are the roof's, and a broken pipe is an error of write, not a
// signal.
static bool start_thread(struct hand *h)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool started = pthread_create(&h->thread, NULL, hand_main, h) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (started)
        pthread_setname_np(h->thread, "dispatcher");
    return started;
}

static void hand_free(struct hand *h)
{
    webhooks_free(h->webhooks);
    commands_free(h->commands);
    efforts_done(&h->efforts);
    heap_done(&h->due);
    mailbox_done(&h->orders);
    if (h->due_timer >= 0)
        close(h->due_timer);
    if (h->epoll >= 0)
        close(h->epoll);
    free(h);
}

struct hand *hand_start(const struct dispatch_options *options, bool commands,
                        struct mailbox *reports, atomic_int *busy)
{
    struct hand *h = memory_new(sizeof *h);
    h->reports = reports;
    h->busy = busy;
    h->epoll = h->due_timer = -1;
    efforts_init(&h->efforts, options);
    mailbox_init(&h->orders);
    if (!open_all(h, commands) || !start_thread(h)) {
        hand_free(h);
        return NULL;
    }
    return h;
}

struct mailbox *hand_orders(struct hand *h)
{
    return &h->orders;
}

void hand_stop(struct hand *h)
{
    if (!h)
        return;
    struct order *nudge = memory_new(sizeof *nudge); // an abort of no run: it only wakes the loop
    nudge->kind = ORDER_ABORT;
    atomic_store(&h->stop, true);
    mailbox_post(&h->orders, &nudge->letter);
    pthread_join(h->thread, NULL);
    stop_all(h); // the nudge itself, where the thread had seen `stop` before it came
    hand_free(h);
}
