/*
 * dispatching - the real dispatcher, and endpoints for it to call
 *
 * For tests: starts the dispatcher's thread with everything on this machine allowed, posts orders,
 * waits for reports. An endpoint is a thread with a plain socket on 127.0.0.1 that gives prepared
 * bytes as its answer, one connection after the other.
 */
#pragma once

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/now.h"
#include "dispatch/dispatch.h"
#include "dispatch/signature.h"
#include "test.h"

#define PATIENCE_MS 8000

static struct mailbox reports;
static struct dispatcher *dispatcher;
static struct letter *waiting; // reports that came and were not looked at yet
static struct secret secret;
static struct dispatch_options options;
static int64_t last_run;

static inline void begin(void)
{
    free(secret.keys[0]);
    secret = (struct secret){.keys = {signing_secret_new()}};
    options = (struct dispatch_options){.secrets = &secret,
                                        .secret_count = 1,
                                        .allow_commands = true,
                                        .allow_loopback = true,
                                        .kill_after_us = 200 * MILLISECOND,
                                        .server_url = "http://127.0.0.1:8640"};
    mailbox_init(&reports);
}

static inline void start(void)
{
    dispatcher = dispatcher_start(&options, &reports);
    CHECK(dispatcher);
}

// NULL where nothing comes within the time.
static inline struct message *next_report_within(int ms)
{
    struct pollfd box = {.fd = reports.fd, .events = POLLIN};
    while (!waiting && poll(&box, 1, ms) > 0)
        waiting = mailbox_take(&reports);
    struct message *report = (struct message *)waiting;
    if (report)
        waiting = report->letter.next;
    return report;
}

static inline struct message *next_report(void)
{
    struct message *report = next_report_within(PATIENCE_MS);
    CHECK(report);
    return report;
}

static inline void end(void)
{
    dispatcher_stop(dispatcher);
    dispatcher = NULL;
    CHECK(!next_report_within(0)); // exactly one report for each order, and all were looked at
    mailbox_done(&reports);
    free(secret.keys[0]);
    secret.keys[0] = NULL;
}

// A task whose memory is the test's: the reference held here is never given up.
static inline struct task task_for(enum target_kind kind)
{
    struct task task = {.references = 1,
                        .target = {.kind = kind},
                        .timeout_us = 5 * SECOND,
                        .expect = {.status_least = 200, .status_most = 299}};
    return task;
}

static inline struct order *order_for(struct task *task, wall due_at)
{
    struct order *order = memory_new(sizeof *order);
    order->kind = ORDER_ATTEMPT;
    order->run = (run_id){INT64_C(1) << 40 | ++last_run};
    order->number = 2;
    order->fence = 7;
    order->due_at = order->scheduled_for = due_at;
    order->task = task_hold(task);
    return order;
}

static inline run_id post(struct order *order)
{
    run_id run = order->run; // the order is gone once it is posted
    mailbox_post(dispatcher_orders(dispatcher), &order->letter);
    return run;
}

static inline void post_abort(run_id run)
{
    struct order *order = memory_new(sizeof *order);
    order->kind = ORDER_ABORT;
    order->run = run;
    post(order);
}

static inline void post_drain(int64_t max_wait_us)
{
    struct order *order = memory_new(sizeof *order);
    order->kind = ORDER_DRAIN;
    order->max_wait_us = max_wait_us;
    post(order);
}

// One attempt, now.
static inline struct message *attempt(struct task *task)
{
    post(order_for(task, wall_now()));
    struct message *report = next_report();
    CHECK_INT(MESSAGE_REPORT, report->kind);
    return report;
}

#define CHECK_OUTCOME(expected, report)                                                           \
    do {                                                                                          \
        struct attempt *test_x = &(report)->attempt;                                              \
        if (test_x->outcome != (expected))                                                        \
            TEST_FAIL("outcome: expected %s, got %s (%s)", attempt_outcome_text(expected),        \
                      attempt_outcome_text(test_x->outcome), test_x->error ? test_x->error : ""); \
    } while (0)

/* endpoints */

struct endpoint {
    int listener, port;
    pthread_t thread;
    pthread_mutex_t lock;
    struct buffer seen; // the last request, whole
    atomic_int requests, connections, stopping;
    const char *answer; // NULL: none, the connection stays open
    size_t answer_size;
    int silent_after; // from this request on the connection is closed without an answer; 0: never
    bool closes;      // after each answer
    bool endless;     // repeats the answer's end for ever
    char url[64];
};

// False when the other side has closed.
static inline bool read_request(struct endpoint *e, int connection)
{
    char piece[4096];
    struct buffer request;
    buffer_init(&request, 1 << 20);
    for (;;) {
        const char *end = strstr(buffer_string(&request), "\r\n\r\n");
        const char *length = strcasestr(buffer_string(&request), "\r\nContent-Length:");
        size_t body = end && length && length < end ? (size_t)atoll(length + 17) : 0;
        if (end && request.size >= (size_t)(end + 4 - request.data) + body)
            break;
        ssize_t got = recv(connection, piece, sizeof piece, 0);
        if (got <= 0) {
            buffer_done(&request);
            return false;
        }
        buffer_add(&request, piece, (size_t)got);
    }
    pthread_mutex_lock(&e->lock);
    buffer_done(&e->seen);
    e->seen = request;
    pthread_mutex_unlock(&e->lock);
    atomic_fetch_add(&e->requests, 1);
    return true;
}

static inline void serve_connection(struct endpoint *e, int connection)
{
    while (read_request(e, connection)) {
        if (e->silent_after && atomic_load(&e->requests) >= e->silent_after)
            return;
        bool alive = true;
        do
            alive = !e->answer || send(connection, e->answer, e->answer_size, MSG_NOSIGNAL) > 0;
        while (e->endless && alive && !atomic_load(&e->stopping));
        if (e->closes)
            return;
    }
}

static inline void *endpoint_main(void *context)
{
    struct endpoint *e = context;
    while (!atomic_load(&e->stopping)) {
        int connection = accept4(e->listener, NULL, NULL, SOCK_CLOEXEC);
        if (connection < 0)
            break;
        atomic_fetch_add(&e->connections, 1);
        serve_connection(e, connection);
        close(connection);
    }
    return NULL;
}

static inline void endpoint_start(struct endpoint *e, const char *answer)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    memset(e, 0, sizeof *e);
    pthread_mutex_init(&e->lock, NULL);
    buffer_init(&e->seen, 1 << 20);
    e->answer = answer;
    e->answer_size = answer ? strlen(answer) : 0;
    e->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(bind(e->listener, (struct sockaddr *)&address, size) == 0);
    CHECK(listen(e->listener, 64) == 0);
    CHECK(getsockname(e->listener, (struct sockaddr *)&address, &size) == 0);
    e->port = ntohs(address.sin_port);
    snprintf(e->url, sizeof e->url, "http://127.0.0.1:%d/hook", e->port);
    CHECK(pthread_create(&e->thread, NULL, endpoint_main, e) == 0);
}

// After the dispatcher's end: by then it has closed its connections.
static inline void endpoint_stop(struct endpoint *e)
{
    atomic_store(&e->stopping, 1);
    shutdown(e->listener, SHUT_RDWR);
    pthread_join(e->thread, NULL);
    close(e->listener);
    buffer_done(&e->seen);
    pthread_mutex_destroy(&e->lock);
}

// Waits until the endpoint has seen so many requests.
static inline void await_requests(struct endpoint *e, int count)
{
    for (int i = 0; i < PATIENCE_MS && atomic_load(&e->requests) < count; i++)
        poll(NULL, 0, 1);
    CHECK(atomic_load(&e->requests) >= count);
}

// The value of a header of the last request, NULL where it is not there.
static inline const char *seen_header(struct endpoint *e, const char *name)
{
    static char values[4][1024];
    static unsigned turn;
    char line[100], *value = values[turn++ % 4];
    snprintf(line, sizeof line, "\r\n%s:", name);
    const char *found = strcasestr(buffer_string(&e->seen), line);
    if (!found)
        return NULL;
    found += strlen(line);
    found += *found == ' ';
    size_t size = strcspn(found, "\r");
    snprintf(value, sizeof values[0], "%.*s", (int)(size < 1023 ? size : 1023), found);
    return value;
}

static inline const char *seen_body(struct endpoint *e)
{
    const char *end = strstr(buffer_string(&e->seen), "\r\n\r\n");
    return end ? end + 4 : NULL;
}
