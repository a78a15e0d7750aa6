/*
 * load - many HTTP clients in one cheap thread
 *
 * Keep-alive connections over epoll; each sends the same request again as soon as its answer is
 * whole. Not a general client: it wants Content-Length and a final status.
 *
 *     bench-load --port P [--connections 64] [--seconds 5 | --count N] [--method GET] [--path
 * /health]
 *                [--body TEXT | --body-file FILE] [--expect 200]
 *     {"requests": 1, "errors": 0, "seconds": 5.0, "p50_us": 1, "p99_us": 1, "max_us": 1, "cpu_s":
 * 1}
 *
 * An answer with another status than `--expect` is an error; the first one is shown on standard
 * error.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buffer.h"
#include "bench.h"

#define ANSWER_MAX (4 << 20)
#define EVENTS 256

struct client {
    int fd;
    bool waits; // for an answer
    size_t sent;
    int64_t started_us;
    char *answer; // what has come of it
    size_t size, capacity;
    size_t whole; // head and body together; 0 while the head is not complete
};

static struct {
    struct buffer request;
    struct sockaddr_in address;
    int epoll, expect;
    int64_t started, errors, finished, count, end_us;
    struct samples samples;
    size_t waiting;
} load;

static bool is_over(void)
{
    return load.count ? load.started >= load.count : now_us() >= load.end_us;
}

static void client_open(struct client *c)
{
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        give_up("socket");
    if (connect(c->fd, (struct sockaddr *)&load.address, sizeof load.address) != 0)
        give_up("connect");
    int on = 1;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    if (epoll_ctl(load.epoll, EPOLL_CTL_ADD, c->fd, &event) != 0)
        give_up("epoll_ctl");
}

static void client_wants(struct client *c, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = c};
    epoll_ctl(load.epoll, EPOLL_CTL_MOD, c->fd, &event);
}

// Sends what the socket takes; the rest follows when it takes more.
static void client_send(struct client *c)
{
    size_t left = load.request.size - c->sent;
    ssize_t n = send(c->fd, load.request.data + c->sent, left, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n > 0)
        c->sent += (size_t)n;
    if (c->sent < load.request.size)
        client_wants(c, EPOLLIN | EPOLLOUT);
}

static void client_ask(struct client *c)
{
    c->sent = c->size = c->whole = 0;
    c->waits = true;
    c->started_us = now_us();
    load.started++;
    load.waiting++;
    client_send(c);
}

static void client_lost(struct client *c)
{
    close(c->fd);
    if (c->waits) {
        c->waits = false;
        load.waiting--;
        if (load.errors++ == 0)
            fprintf(stderr, "load: the connection was closed without an answer\n");
    }
    client_open(c);
    if (!is_over())
        client_ask(c);
}

// Finds the end of the head, and with Content-Length the end of the answer.
static void client_measure(struct client *c)
{
    char *end = memmem(c->answer, c->size, "\r\n\r\n", 4);
    if (!end)
        return;
    size_t head = (size_t)(end - c->answer) + 4, body = 0;
    for (char *line = c->answer; line < end;) {
        char *next = memmem(line, (size_t)(end - line) + 2, "\r\n", 2);
        if (strncasecmp(line, "content-length:", 15) == 0)
            body = strtoul(line + 15, NULL, 10);
        line = next + 2;
    }
    c->whole = head + body;
}

static void client_finish(struct client *c)
{
    samples_add(&load.samples, now_us() - c->started_us);
    int status = atoi(c->answer + 9); // after "HTTP/1.1 "
    if (status != load.expect && load.errors++ == 0)
        fprintf(stderr, "load: expected %d, got: %.*s\n", load.expect,
                (int)(c->size < 600 ? c->size : 600), c->answer);
    load.finished++;
    load.waiting--;
    c->waits = false;
    if (!is_over())
        client_ask(c);
}

static void client_receive(struct client *c)
{
    if (c->capacity - c->size < 4096) {
        c->capacity = c->capacity ? c->capacity * 2 : 16384;
        if (c->capacity > ANSWER_MAX)
            give_up("an answer is too long");
        c->answer = memory_resize(c->answer, c->capacity, 1);
    }
    ssize_t n = recv(c->fd, c->answer + c->size, c->capacity - c->size - 1, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        client_lost(c);
        return;
    }
    c->size += (size_t)n;
    c->answer[c->size] = 0;
    if (!c->whole)
        client_measure(c);
    if (c->whole && c->size >= c->whole)
        client_finish(c);
}

static void client_turn(struct client *c, uint32_t events)
{
    if (events & EPOLLOUT) {
        client_send(c);
        if (c->sent == load.request.size)
            client_wants(c, EPOLLIN);
    }
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        client_receive(c);
}

static void read_body(const char *path, struct buffer *body)
{
    FILE *file = fopen(path, "r");
    if (!file)
        give_up(path);
    char piece[65536];
    for (size_t n; (n = fread(piece, 1, sizeof piece, file)) > 0;)
        buffer_add(body, piece, n);
    fclose(file);
}

static void make_request(int argc, char **argv, int port)
{
    struct buffer body;
    buffer_init(&body, 64 << 20);
    const char *file = option_text(argc, argv, "body-file", NULL);
    if (file)
        read_body(file, &body);
    else
        buffer_text(&body, option_text(argc, argv, "body", ""));
    buffer_init(&load.request, 65 << 20);
    buffer_format(&load.request, "%s %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n",
                  option_text(argc, argv, "method", "GET"),
                  option_text(argc, argv, "path", "/health"), port);
    if (body.size)
        buffer_format(&load.request, "Content-Type: application/json\r\nContent-Length: %zu\r\n",
                      body.size);
    buffer_text(&load.request, "\r\n");
    buffer_add(&load.request, body.data, body.size);
    buffer_done(&body);
}

static void run_clients(struct client *clients, int64_t connections)
{
    struct epoll_event events[EVENTS];
    for (int64_t i = 0; i < connections && !is_over(); i++)
        client_ask(&clients[i]);
    while (load.waiting > 0) {
        int n = epoll_wait(load.epoll, events, EVENTS, 30000);
        if (n == 0) {
            fprintf(stderr, "load: no answer for 30 s, %zu waiting\n", load.waiting);
            load.errors += (int64_t)load.waiting;
            break;
        }
        for (int i = 0; i < n; i++)
            client_turn(events[i].data.ptr, events[i].events);
    }
}

int main(int argc, char **argv)
{
    int port = (int)option_int(argc, argv, "port", 8640);
    int64_t connections = option_int(argc, argv, "connections", 64);
    load.address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    inet_pton(AF_INET, "127.0.0.1", &load.address.sin_addr);
    load.expect = (int)option_int(argc, argv, "expect", 200);
    load.count = option_int(argc, argv, "count", 0);
    load.epoll = epoll_create1(EPOLL_CLOEXEC);
    make_request(argc, argv, port);

    struct client *clients = memory_array((size_t)connections, sizeof *clients);
    for (int64_t i = 0; i < connections; i++)
        client_open(&clients[i]);
    int64_t start = now_us();
    load.end_us = start + option_int(argc, argv, "seconds", 5) * 1000000;
    run_clients(clients, connections);
    double seconds = (double)(now_us() - start) / 1e6;

    samples_sort(&load.samples);
    printf("{\"requests\": %lld, \"errors\": %lld, \"seconds\": %.6f, \"p50_us\": %lld, "
           "\"p99_us\": %lld, \"max_us\": %lld, \"cpu_s\": %.6f}\n",
           (long long)load.finished, (long long)load.errors, seconds,
           (long long)samples_at(&load.samples, 0.5), (long long)samples_at(&load.samples, 0.99),
           (long long)samples_at(&load.samples, 1), cpu_seconds());
    for (int64_t i = 0; i < connections; i++) {
        close(clients[i].fd);
        free(clients[i].answer);
    }
    free(clients);
    free(load.samples.us);
    buffer_done(&load.request);
    close(load.epoll);
    return load.errors ? EXIT_FAILURE : EXIT_SUCCESS;
}
