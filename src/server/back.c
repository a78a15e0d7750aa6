#include "server/back.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "base/logline.h"
#include "base/memory.h"
#include "base/now.h"
#include "server/attempt_log.h"
#include "server/travel.h"

#define PULSE_US SECOND
#define POLL_AGAIN_US 1000
#define CLOCK_STEP_MIN_US (100 * MILLISECOND) // less is the clock being disciplined

struct back {
    struct back_parts parts;
    pthread_t thread;
    int timer;      // wall clock: wakes for the next turn, and when the clock is set
    int drained_fd; // an eventfd: the dispatcher has nothing left
    int64_t drain_us;
    atomic_bool ending;
    bool failed;
    int64_t wall_minus_steady; // to see steps of the wall clock
    struct pulse_values pulse;
    struct travel travel; // with a test clock
};

static void raise_fd(int fd)
{
    uint64_t one = 1;
    (void)!write(fd, &one, sizeof one);
}

// --- the clock ---

static void fail(struct back *back, wall now);

// False where this thread was held up between the two: that would look like a step.
static bool compare_clocks(wall *ret_now, int64_t *ret_difference)
{
    steady before = steady_now();
    wall now = wall_now();
    if (steady_now().us - before.us > CLOCK_STEP_MIN_US / 4)
        return false;
    *ret_now = now;
    *ret_difference = now.us - before.us;
    return true;
}

static void notice_step(struct back *back)
{
    if (wall_is_stopped()) // it only goes where the scheduler has been asked to follow
        return;
    wall now;
    int64_t difference;
    if (!compare_clocks(&now, &difference))
        return; // the next turn will see it
    int64_t step = difference - back->wall_minus_steady;
    back->wall_minus_steady = difference;
    if (llabs(step) < CLOCK_STEP_MIN_US)
        return;
    back->pulse.clock_step_us = step;
    back->pulse.clock_stepped = steady_now();
    logline_say(now, LEVEL_WARNING, "clock_step",
                "the wall clock was set %s by %.3f s; nothing fires again, and what was skipped "
                "follows the catch-up rule",
                step > 0 ? "forward" : "back", (double)llabs(step) / 1e6);
    if (!back->failed && scheduler_clock_stepped(back->parts.scheduler, now, step) != STATUS_OK)
        fail(back, now);
}

static void sleep_until(struct back *back, wall next)
{
    wall now = wall_now();
    wall latest = wall_plus(now, PULSE_US);
    if (next.us > latest.us)
        next = latest;
    if (next.us <= now.us)
        return;
    struct itimerspec at = {
        .it_value = {.tv_sec = next.us / SECOND, .tv_nsec = next.us % SECOND * 1000}};
    timerfd_settime(back->timer, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &at, NULL);
    struct pollfd fds[] = {{.fd = back->parts.messages->fd, .events = POLLIN},
                           {.fd = back->timer, .events = POLLIN}};
    if (poll(fds, 2, (int)(PULSE_US / MILLISECOND) + 100) < 0)
        usleep(POLL_AGAIN_US); // turns go on, and not in a circle
    uint64_t count;
    (void)!read(back->timer, &count,
                sizeof count); // ECANCELED: the clock was set; notice_step sees it
}

// In place of sleep_until: the clock goes on from here, and only here.
static void stand_still(struct back *back)
{
    int64_t rest_us;
    wall next = scheduler_next_turn(back->parts.scheduler, wall_now());
    if (travel_on(&back->travel, next, &rest_us) != STATUS_OK)
        fail(back, wall_now());
    struct pollfd fd = {.fd = back->parts.messages->fd, .events = POLLIN};
    int64_t rest_ms = (rest_us + MILLISECOND - 1) / MILLISECOND;
    if (rest_us > 0 && poll(&fd, 1, (int)rest_ms) < 0)
        usleep(POLL_AGAIN_US); // turns go on, and not in a circle
}

// --- what leaves a turn ---

static void hand_on(struct back *back, wall now, const struct outbox *out)
{
    dispatcher_post_all(back->parts.dispatcher, out->orders);
    front_reply(back->parts.front, out->replies);
    front_events(back->parts.front, out->journal_turn);
    attempts_log(now, out->attempts);
}

static void fail(struct back *back, wall now)
{
    if (back->failed)
        return;
    back->failed = true;
    snprintf(back->pulse.store_problem, sizeof back->pulse.store_problem, "%s",
             store_problem(back->parts.store));
    logline_say(now, LEVEL_ERROR, "store_failed",
                "%s; nothing more is accepted and the server stops",
                store_problem(back->parts.store));
    travel_end(&back->travel);
    raise_fd(back->parts.failed_fd);
}

static void turn(struct back *back, struct letter *inbox)
{
    struct outbox out;
    wall now = wall_now();
    steady before = steady_now();
    if (wall_is_stopped()) // leases last as long by the clock that stands still as by any other
        scheduler_waits(back->parts.scheduler, before);
    else
        scheduler_clock(back->parts.scheduler, now.us - before.us);
    enum status status = scheduler_turn(back->parts.scheduler, now, inbox, &out);
    steady after = steady_now();
    hand_on(back, now, &out);
    if (status != STATUS_OK) {
        fail(back, now);
    } else {
        scheduler_commit_took(back->parts.scheduler, after.us - before.us);
        if (store_checkpoint(back->parts.store) == STATUS_FAILED)
            fail(back, now);
    }
    struct audit_pulse audit = pulse_read_audit(back->parts.pulse);
    scheduler_audited(back->parts.scheduler, &audit);
    scheduler_pulse(back->parts.scheduler, wall_now(), &back->pulse);
    back->pulse.store_ok = !back->failed;
    back->pulse.last_turn = steady_now();
    pulse_publish(back->parts.pulse, &back->pulse);
}

// --- what arrives ---

// Orders of earlier turns have been posted before this, and no later turn has any: the dispatcher
// sees it last.
static void start_draining(struct back *back)
{
    scheduler_stop_starting(back->parts.scheduler);
    travel_end(&back->travel);
    struct order *order = memory_new(sizeof *order);
    order->kind = ORDER_DRAIN;
    order->max_wait_us = back->drain_us;
    dispatcher_post(back->parts.dispatcher, order);
}

// Keeps the roof's own messages from the scheduler. Returns the rest.
static struct letter *sort_out(struct back *back, struct letter *inbox)
{
    struct letter *rest = NULL, **end = &rest;
    while (inbox) {
        struct message *m = (struct message *)inbox;
        inbox = inbox->next;
        if (m->kind == MESSAGE_STOP) {
            start_draining(back);
            message_free(m);
        } else if (m->kind == MESSAGE_TEST_CLOCK) {
            travel_begin(&back->travel, m);
        } else if (m->kind == MESSAGE_DRAINED) {
            raise_fd(back->drained_fd);
            message_free(m);
        } else {
            m->letter.next = NULL;
            *end = &m->letter;
            end = &m->letter.next;
        }
    }
    return rest;
}

// What has arrived; where nothing has, sleeps until the scheduler wants a turn.
static struct letter *next_inbox(struct back *back)
{
    struct letter *inbox = mailbox_take(back->parts.messages);
    if (inbox)
        return inbox;
    if (wall_is_stopped())
        stand_still(back);
    else
        sleep_until(back, scheduler_next_turn(back->parts.scheduler, wall_now()));
    return mailbox_take(back->parts.messages);
}

static void *run(void *context)
{
    struct back *back = context;
    steady last_watchdog = {0};
    // Where every core is busy, it lets the others finish what they do instead of breaking in: what
    // they bring meanwhile shares its next commit. What must be prompt, the send at the due
    // instant, is the dispatcher's, claimed ahead.
    sched_setscheduler(0, SCHED_BATCH, &(struct sched_param){0});
    while (!atomic_load(&back->ending)) {
        struct letter *inbox = next_inbox(back);
        notice_step(back);
        turn(back, sort_out(back, inbox));
        if (steady_now().us - last_watchdog.us >= PULSE_US) {
            last_watchdog = steady_now();
            sd_notify(0, "WATCHDOG=1");
        }
    }
    turn(back, sort_out(back, mailbox_take(back->parts.messages)));
    travel_end(&back->travel);
    return NULL;
}

struct back *back_start(const struct back_parts *parts)
{
    struct back *back = memory_new(sizeof *back);
    back->parts = *parts;
    back->timer = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    back->drained_fd = eventfd(0, EFD_CLOEXEC);
    back->travel = (struct travel){
        .scheduler = parts->scheduler, .store = parts->store, .front = parts->front};
    wall now;
    while (!compare_clocks(&now, &back->wall_minus_steady))
        ;
    back->pulse = (struct pulse_values){.store_ok = true, .last_turn = steady_now()};
    pulse_publish(parts->pulse, &back->pulse);
    if (back->timer >= 0 && back->drained_fd >= 0 &&
        pthread_create(&back->thread, NULL, run, back) == 0)
        return back;
    close(back->timer);
    close(back->drained_fd);
    free(back);
    return NULL;
}

void back_drain(struct back *back, int64_t max_wait_us)
{
    back->drain_us = max_wait_us; // read by the thread only after it has taken the message
    mailbox_post(back->parts.messages, &message_new(MESSAGE_STOP)->letter);
    // The dispatcher ends what is left at the limit; the rest of the wait is for children that need
    // the second signal.
    struct pollfd fd = {.fd = back->drained_fd, .events = POLLIN};
    (void)poll(&fd, 1, (int)(max_wait_us / MILLISECOND) + 15000);
}

void back_stop(struct back *back)
{
    atomic_store(&back->ending, true);
    raise_fd(back->parts.messages->fd);
    pthread_join(back->thread, NULL);
    close(back->timer);
    close(back->drained_fd);
    free(back);
}
