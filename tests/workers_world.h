/*
 * workers_world - a scheduler over a real store, with workers and a clock of the test's own
 *
 * Time passes when a test says so, and on both clocks: `ahead_us` is how far the wall clock has
 * been set before the steady one.
 */
#pragma once

#include <stdlib.h>
#include <unistd.h>

#include "base/memory.h"
#include "scheduler/scheduler.h"
#include "store/reader.h"
#include "test.h"

#define T0 (INT64_C(1767225600) * SECOND) // 2026-01-01T00:00:00Z
#define MAIL "{\"queue\":{\"name\":\"emails\"},\"retry\":{\"initial\":\"10s\",\"max_attempts\":3}"
#define LONG \
    "{\"http\":{\"url\":\"http://127.0.0.1:9/x\"},\"completion\":\"callback\",\"timeout\":\"1m\""

static char folder[64], path[96];
static struct store *store;
static struct scheduler *scheduler;
static struct scheduler_options options;
static wall now;
static int64_t ahead_us; // of the wall clock before the steady one
static struct order *orders[100];
static size_t order_count, abort_count;
static struct message *answered[100]; // in the last turn, in the order of their answers
static size_t answered_count;
static enum attempt_outcome last_outcome;

__attribute__((unused)) static void start(void)
{
    char why[256] = "";
    if (store_open_sqlite(path, &store, why, sizeof why) != STATUS_OK)
        TEST_FAIL("cannot open the store: %s", why);
    options.wall_minus_steady_us = ahead_us;
    options.boot = 1;
    CHECK_INT(STATUS_OK, scheduler_new(&options, store, now, &scheduler));
}

__attribute__((unused)) static void stop(void)
{
    while (order_count)
        order_free(orders[--order_count]);
    scheduler_free(scheduler);
    store_close(store);
}

__attribute__((unused)) static void begin_world(void)
{
    strcpy(folder, "/tmp/punctual-test-XXXXXX");
    CHECK(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/punctual.db", folder);
    now.us = T0;
    ahead_us = 0;
    options = scheduler_defaults;
    order_count = abort_count = answered_count = 0;
    start();
}

__attribute__((unused)) static void end_world(void)
{
    stop();
    char command[160];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    CHECK_INT(0, system(command));
}

__attribute__((unused)) static void turn(struct message *m)
{
    struct outbox out;
    if (m)
        m->letter.next = NULL;
    answered_count = 0;
    scheduler_clock(scheduler, ahead_us);
    CHECK_INT(STATUS_OK, scheduler_turn(scheduler, now, m ? &m->letter : NULL, &out));
    while (out.replies) {
        answered[answered_count] = (struct message *)out.replies;
        out.replies = answered[answered_count++]->letter.next;
    }
    while (out.orders) {
        struct order *order = (struct order *)out.orders;
        out.orders = order->letter.next;
        if (order->kind == ORDER_ATTEMPT) {
            orders[order_count++] = order;
        } else {
            abort_count++;
            order_free(order);
        }
    }
    while (out.attempts) {
        struct message *report = (struct message *)out.attempts;
        out.attempts = report->letter.next;
        last_outcome = report->attempt.outcome;
        message_free(report);
    }
}

__attribute__((unused)) static void pass_until(wall until)
{
    for (int turns = 0; turns < 10000; turns++) {
        scheduler_clock(scheduler, ahead_us);
        wall next = scheduler_next_turn(scheduler, now);
        if (next.us > until.us)
            break;
        if (next.us > now.us)
            now = next;
        turn(NULL);
    }
    now = until;
    turn(NULL);
}

__attribute__((unused)) static void pass(int64_t us)
{
    pass_until(wall_plus(now, us));
}

__attribute__((unused)) static struct task *definition(const char *name, const char *json)
{
    json_t *value;
    struct json_place place;
    struct faults faults = {0};
    struct task *task = NULL;
    CHECK_INT(STATUS_OK, json_read(json, strlen(json), &value, &place));
    if (task_decode(name, value, NULL, "", &faults, &task) != STATUS_OK)
        TEST_FAIL("%s: %s", faults.items[0].pointer, faults.items[0].detail);
    json_decref(value);
    return task;
}

// The message has been answered in the last turn.
__attribute__((unused)) static void expect_answer(const struct message *m)
{
    CHECK(answered_count > 0 && answered[answered_count - 1] == m);
}

__attribute__((unused)) static void put(const char *name, const char *json)
{
    struct message *m = message_new(MESSAGE_PUT_TASK);
    m->name = memory_text(name);
    m->task = definition(name, json);
    turn(m);
    CHECK_INT(STATUS_OK, m->reply.status);
    message_free(m);
}

__attribute__((unused)) static run_id ask(const char *task, const char *target, wall due_at)
{
    struct message *m = message_new(MESSAGE_CREATE_RUNS);
    m->wishes = memory_array(1, sizeof *m->wishes);
    m->wish_count = 1;
    m->wishes[0].task_name = memory_text(task);
    m->wishes[0].target = target ? definition(NULL, target) : NULL;
    m->wishes[0].due_at = due_at;
    turn(m);
    CHECK_INT(STATUS_OK, m->reply.status);
    run_id run = m->reply.run;
    message_free(m);
    return run;
}

__attribute__((unused)) static run_id mail(void)
{
    return ask(NULL, MAIL "}", WALL_NONE);
}

__attribute__((unused)) static struct message *poll_for(const char *queue, int max, int64_t wait_us,
                                                        int64_t lease_us)
{
    struct message *m = message_new(MESSAGE_LEASE);
    m->name = memory_text(queue);
    m->lease = (struct lease_wish){.max = max, .wait_us = wait_us, .length_us = lease_us};
    m->lease.worker = memory_text("w1");
    turn(m);
    return m;
}

// One run for half a minute. Its fence, 0 where there was none.
__attribute__((unused)) static int64_t take(run_id *ret)
{
    struct message *m = poll_for("emails", 1, 0, 30 * SECOND);
    expect_answer(m);
    int64_t fence = m->lease_count ? m->leases[0].attempt.fence : 0;
    if (fence && ret)
        *ret = m->leases[0].attempt.run;
    message_free(m);
    return fence;
}

__attribute__((unused)) static struct message *word_of(enum lease_word word, run_id run,
                                                       int64_t fence)
{
    struct message *m = message_new(MESSAGE_LEASE_WORD);
    m->word = word;
    m->leases = memory_array(1, sizeof *m->leases);
    m->lease_count = 1;
    attempt_init(&m->leases->attempt);
    m->leases->attempt.run = run;
    m->leases->attempt.fence = fence;
    m->leases->extend_us = -1;
    if (word == WORD_FAIL)
        m->leases->attempt.error = memory_text("no mail server");
    return m;
}

// Says it, and checks what the row is answered with.
__attribute__((unused)) static void say(enum lease_word word, run_id run, int64_t fence,
                                        const char *wanted)
{
    struct message *m = word_of(word, run, fence);
    turn(m);
    CHECK_INT(STATUS_OK, m->reply.status);
    CHECK_HAS(wanted, m->reply.body.data);
    message_free(m);
}

#define FINE "\"status\":200"
#define STALE "\"status\":409"

__attribute__((unused)) static struct run look(run_id id)
{
    struct run run;
    CHECK_INT(STATUS_OK, store_find_run(store, id, &run));
    run_done(&run);
    return run;
}
