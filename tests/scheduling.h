/*
 * scheduling - a scheduler over a real store, with a clock of the test's own
 *
 * Days pass in milliseconds: the test says what time it is, takes the orders that leave, and
 * reports what came of them. A crash is what `stop` leaves: nothing of the memory.
 *
 * For the tests of what the scheduler decides; one thread.
 */
#pragma once

#include <stdlib.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/random.h"
#include "scheduler/scheduler.h"
#include "store/reader.h"
#include "test.h"

#define T0 (INT64_C(1767225600) * SECOND) // 2026-01-01T00:00:00Z
#define ORDERS_MAX 20000

static char folder[64], path[96];
static struct store *store;
static struct scheduler *scheduler;
static struct scheduler_options options;
static wall now;
static struct order *orders[ORDERS_MAX]; // what left the turns and is not yet reported
static wall claimed[ORDERS_MAX];         // in which turn
static size_t order_count, abort_count;

static inline void forget_orders(void)
{
    while (order_count)
        order_free(orders[--order_count]);
    abort_count = 0;
}

static inline void start(void)
{
    forget_orders(); // of a test that has failed
    char why[256] = "";
    if (store_open_sqlite(path, &store, why, sizeof why) != STATUS_OK)
        TEST_FAIL("cannot open the store: %s", why);
    CHECK_INT(STATUS_OK, scheduler_new(&options, store, now, &scheduler));
}

// What a crash leaves: nothing of the memory.
static inline void stop(void)
{
    forget_orders();
    scheduler_free(scheduler);
    store_close(store);
    scheduler = NULL;
    store = NULL;
}

static inline void begin_world(void)
{
    strcpy(folder, "/tmp/punctual-test-XXXXXX");
    CHECK(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/punctual.db", folder);
    now.us = T0;
    options = scheduler_defaults;
    start();
}

static inline void end_world(void)
{
    stop();
    char command[160];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    CHECK_INT(0, system(command));
}

static inline void take_orders(struct outbox *out)
{
    while (out->orders) {
        struct order *order = (struct order *)out->orders;
        out->orders = order->letter.next;
        if (order->kind == ORDER_ATTEMPT) {
            CHECK(order_count < ORDERS_MAX);
            claimed[order_count] = now;
            orders[order_count++] = order;
        } else {
            abort_count += order->kind == ORDER_ABORT;
            order_free(order);
        }
    }
}

// One turn with one message or none. The message comes back answered.
static inline void turn(struct message *m)
{
    struct outbox out;
    if (m)
        m->letter.next = NULL;
    CHECK_INT(STATUS_OK, scheduler_turn(scheduler, now, m ? &m->letter : NULL, &out));
    take_orders(&out);
    while (out.attempts) {
        struct message *report = (struct message *)out.attempts;
        out.attempts = report->letter.next;
        message_free(report);
    }
}

// Lets the time pass up to `until`, with a turn whenever the scheduler wants one.
static inline void pass_until(wall until)
{
    for (int turns = 0; turns < 100000; turns++) {
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

static inline void pass(int64_t us)
{
    pass_until(wall_plus(now, us));
}

// The server is not there for so long.
static inline void outage(int64_t us)
{
    stop();
    now.us += us;
    start();
}

static inline struct task *definition(const char *name, const char *json)
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

static inline void send(enum message_kind kind, const char *name, struct task *task, run_id run)
{
    struct message *m = message_new(kind);
    m->name = memory_text(name);
    m->task = task;
    m->run = run;
    m->author = memory_text("anna");
    m->note = memory_text("maintenance");
    turn(m);
    CHECK_INT(STATUS_OK, m->reply.status);
    message_free(m);
}

#define HOOK "\"http\":{\"url\":\"http://127.0.0.1:9/hook\"}"

// `rest` is what the definition has besides its target.
static inline void put(const char *name, const char *rest)
{
    char json[1000];
    snprintf(json, sizeof json, "{%s%s" HOOK "}", rest, *rest ? "," : "");
    send(MESSAGE_PUT_TASK, name, definition(name, json), (run_id){0});
}

static inline run_id ask(const char *task, wall due_at)
{
    struct message *m = message_new(MESSAGE_CREATE_RUNS);
    m->wishes = memory_array(1, sizeof *m->wishes);
    m->wish_count = 1;
    m->wishes[0].task_name = memory_text(task);
    m->wishes[0].due_at = due_at;
    turn(m);
    CHECK_INT(STATUS_OK, m->reply.status);
    run_id run = m->reply.run;
    message_free(m);
    return run;
}

// The dispatcher's part: the order at `place` comes to this.
static inline void report_at(size_t place, enum attempt_outcome outcome)
{
    CHECK(place < order_count);
    struct order *order = orders[place];
    order_count--;
    memmove(orders + place, orders + place + 1, (order_count - place) * sizeof *orders);
    memmove(claimed + place, claimed + place + 1, (order_count - place) * sizeof *claimed);
    struct message *m = message_new(MESSAGE_REPORT);
    m->attempt.run = order->run;
    m->attempt.number = order->number;
    m->attempt.fence = order->fence;
    m->attempt.started_at = now;
    m->attempt.outcome = outcome;
    m->attempt.error = outcome == ATTEMPT_SUCCEEDED ? NULL : memory_text("answered 500");
    order_free(order);
    turn(m);
}

static inline void report(enum attempt_outcome outcome)
{
    report_at(0, outcome);
}

static inline enum run_state state_of(run_id id)
{
    struct run run;
    CHECK_INT(STATUS_OK, store_find_run(store, id, &run));
    enum run_state state = run.state;
    run_done(&run);
    return state;
}

static inline bool has_reason(run_id id, const char *words)
{
    struct run run;
    CHECK_INT(STATUS_OK, store_find_run(store, id, &run));
    bool has = run.reason && strstr(run.reason, words);
    run_done(&run);
    return has;
}

static inline int64_t count(enum run_state state)
{
    struct reader *reader;
    char why[200];
    int64_t counts[RUN_STATE_COUNT];
    CHECK_INT(STATUS_OK, reader_open_sqlite(path, &reader, why, sizeof why));
    CHECK_INT(STATUS_OK, reader_count_runs(reader, counts));
    reader_close(reader);
    return counts[state];
}
