/*
 * front_fixture - the real front over loopback, with a thread in the place of the scheduler
 *
 * That thread answers every message with answer_with. For the tests of the front, each a program of
 * its own.
 */
#pragma once

#include "api/front.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include "api/streams.h"
#include "base/memory.h"
#include "base/now.h"
#include "core/message.h"
#include "store/store.h"
#include "test.h"

#define ANSWER_MAX (1 << 20)

static char folder[64], path[96];
static struct store *store;
static struct mailbox messages;
static struct pulse pulse;
static struct front *front;
static struct front_options options;
static pthread_t scheduler;
static atomic_bool ending;
static atomic_int posted;
static enum status answer_with;
static struct wish last_wish; // copies of the last message's
static char last_author[64], last_key[64];
static uint64_t last_fingerprint;
static size_t last_count;

// --- the scheduler's place ---

static inline void remember(const struct message *m)
{
    snprintf(last_author, sizeof last_author, "%s", m->author ? m->author : "");
    snprintf(last_key, sizeof last_key, "%s", m->key ? m->key : "");
    last_fingerprint = m->fingerprint;
    last_count = m->wish_count;
    if (m->wish_count) {
        free(last_wish.payload);
        last_wish = *m->wishes;
        last_wish.payload = memory_text(m->wishes->payload);
        last_wish.task_name = NULL;
    }
}

static inline void answer(struct message *m)
{
    remember(m);
    m->reply.status = answer_with;
    if (answer_with != STATUS_OK) {
        snprintf(m->reply.detail, sizeof m->reply.detail, "said by the scheduler");
        return;
    }
    m->reply.created = m->kind == MESSAGE_CREATE_RUNS || m->kind == MESSAGE_PUT_TASK;
    if (m->kind == MESSAGE_PUT_TASK)
        m->reply.revision = 7;
    if (m->kind == MESSAGE_CREATE_RUNS && !m->batch)
        m->reply.run.value = 12345;
    buffer_format(&m->reply.body, "{\"kind\":%d}", (int)m->kind);
}

static inline void *schedule(void *context)
{
    (void)context;
    while (!atomic_load(&ending)) {
        struct pollfd fd = {.fd = messages.fd, .events = POLLIN};
        poll(&fd, 1, 50);
        struct letter *inbox = mailbox_take(&messages);
        for (struct letter *letter = inbox; letter; letter = letter->next) {
            atomic_fetch_add(&posted, 1);
            answer((struct message *)letter);
        }
        front_reply(front, inbox);
    }
    return NULL;
}

static inline void begin_with(const char *api_key)
{
    char why[256] = "";
    strcpy(folder, "/tmp/punctual-test-XXXXXX");
    CHECK(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/punctual.db", folder);
    if (store_open_sqlite(path, &store, why, sizeof why) != STATUS_OK)
        TEST_FAIL("cannot open the store: %s", why);
    mailbox_init(&messages);
    pulse_init(&pulse);
    pulse_publish(&pulse, &(struct pulse_values){.store_ok = true, .last_turn = steady_now()});
    options = (struct front_options){.address = "127.0.0.1",
                                     .threads = 2,
                                     .api_key = api_key,
                                     .store = path,
                                     .body_max = 64 << 10};
    if (front_start(&options, &messages, &pulse, &front, why, sizeof why) != STATUS_OK)
        TEST_FAIL("cannot start the front: %s", why);
    atomic_store(&ending, false);
    atomic_store(&posted, 0);
    answer_with = STATUS_OK;
    CHECK_INT(0, pthread_create(&scheduler, NULL, schedule, NULL));
}

static inline void begin(void)
{
    begin_with(NULL);
}

static inline void end(void)
{
    char command[160];
    atomic_store(&ending, true);
    pthread_join(scheduler, NULL);
    front_stop(front);
    front = NULL;
    mailbox_done(&messages);
    store_close(store);
    free(last_wish.payload);
    last_wish = (struct wish){0};
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    CHECK_INT(0, system(command));
}

// --- a small client ---

static inline int dial(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)front_port(front))};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    struct timeval limit = {.tv_sec = 20};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static inline void say(int fd, const char *text, size_t size)
{
    while (size > 0) {
        ssize_t n = send(fd, text, size, MSG_NOSIGNAL);
        if (n <= 0)
            return;
        text += n;
        size -= (size_t)n;
    }
}

static char heard[ANSWER_MAX];

// Reads one answer with a Content-Length, or until `until` was heard, or the end.
static inline const char *hear(int fd, bool has_body, const char *until)
{
    size_t at = 0;
    heard[0] = '\0';
    for (;;) {
        const char *body = strstr(heard, "\r\n\r\n");
        const char *length = strcasestr(heard, "\r\nContent-Length: ");
        if (until && strstr(heard, until))
            return heard;
        if (!until && body && (!has_body || (length && length < body)) &&
            (!has_body || at - (size_t)(body + 4 - heard) >= strtoul(length + 18, NULL, 10)))
            return heard;
        ssize_t n = recv(fd, heard + at, sizeof heard - 1 - at, 0);
        if (n <= 0)
            return heard;
        at += (size_t)n;
        heard[at] = '\0';
    }
}

// `headers` are whole lines, each with its \r\n.
static void ask_on(int fd, const char *method, const char *target, const char *headers,
                   const char *body)
{
    char head[2048];
    size_t size = body ? strlen(body) : 0;
    int n = snprintf(head, sizeof head, "%s %s HTTP/1.1\r\nHost: x\r\n%s", method, target, headers);
    if (body)
        n += snprintf(head + n, sizeof head - (size_t)n, "Content-Length: %zu\r\n", size);
    n += snprintf(head + n, sizeof head - (size_t)n, "\r\n");
    say(fd, head, (size_t)n);
    if (body)
        say(fd, body, size);
}

static const char *ask(const char *method, const char *target, const char *headers,
                       const char *body)
{
    int fd = dial();
    CHECK(fd >= 0);
    ask_on(fd, method, target, headers, body);
    hear(fd, strcmp(method, "HEAD") != 0, NULL);
    close(fd);
    return heard;
}

static inline int code(const char *answer_text)
{
    return strncmp(answer_text, "HTTP/1.1 ", 9) == 0 ? atoi(answer_text + 9) : 0;
}
