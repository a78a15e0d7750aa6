/*
 * sink - the receiver that every delivery goes to
 *
 * Answers each request with 200 {"ok":true} and counts it; cheap, so that it is not what is
 * measured. GET is not counted: it answers how many have come, {"ok":true,"count":N}.
 *
 *     bench-sink [--port 0] [--lateness yes]
 *     {"port": 40123}                                        at the start
 *     {"requests": 20000, "first_us": ..., "last_us": ..., "cpu_s": ..., "lateness": {...}}
 *
 * The second line is printed at SIGUSR1, after which it counts anew, and at SIGTERM, which ends it.
 * first_us and last_us are wall times of arrival. Lateness is arrival minus the header
 * Punctual-Scheduled-For.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/moment.h"
#include "bench.h"

#define EVENTS 256
#define REQUEST_MAX (1 << 20)
#define HEADER "punctual-scheduled-for:"

struct guest {
    int fd;
    char *request;
    size_t size, capacity;
};

static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                             "Content-Length: 11\r\n\r\n{\"ok\":true}";

static struct {
    int epoll, listener, signals;
    bool wants_lateness;
    int64_t requests, first_us, last_us, early, unread;
    double cpu_before;
    struct samples lateness;
} sink;

static void watch(int fd, void *what)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = what};
    if (epoll_ctl(sink.epoll, EPOLL_CTL_ADD, fd, &event) != 0)
        give_up("epoll_ctl");
}

static void listen_on(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
    sink.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int on = 1;
    setsockopt(sink.listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    socklen_t size = sizeof address;
    if (bind(sink.listener, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(sink.listener, 4096) != 0 ||
        getsockname(sink.listener, (struct sockaddr *)&address, &size) != 0)
        give_up("listen");
    printf("{\"port\": %d}\n", ntohs(address.sin_port));
    fflush(stdout);
}

static void welcome(void)
{
    int on = 1;
    for (int fd; (fd = accept4(sink.listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0;) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        struct guest *guest = memory_new(sizeof *guest);
        guest->fd = fd;
        watch(fd, guest);
    }
}

static void note_lateness(const char *value, const char *end, int64_t now)
{
    while (value < end && *value == ' ')
        value++;
    wall scheduled;
    if (wall_parse(value, (size_t)(end - value), &scheduled) != STATUS_OK) {
        sink.unread++;
        return;
    }
    int64_t late = now - scheduled.us;
    if (late < 0)
        sink.early++;
    samples_add(&sink.lateness, late);
}

// Walks over the head's lines: the length of the body, and the lateness where it is wanted.
static size_t read_head(const char *head, const char *end, int64_t now)
{
    size_t body = 0;
    for (const char *line = head; line < end;) {
        const char *next = memchr(line, '\r', (size_t)(end - line) + 1);
        if (strncasecmp(line, "content-length:", 15) == 0)
            body = strtoul(line + 15, NULL, 10);
        else if (sink.wants_lateness && strncasecmp(line, HEADER, sizeof HEADER - 1) == 0)
            note_lateness(line + sizeof HEADER - 1, next, now);
        line = next + 2;
    }
    return body;
}

static void reply(struct guest *guest)
{
    ssize_t n;
    if (strncmp(guest->request, "GET ", 4) == 0) {
        char body[64], text[256];
        int size =
            snprintf(body, sizeof body, "{\"ok\":true,\"count\":%lld}", (long long)sink.requests);
        size = snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", size,
                        body);
        n = send(guest->fd, text, (size_t)size, MSG_NOSIGNAL);
    } else {
        n = send(guest->fd, answer, sizeof answer - 1, MSG_NOSIGNAL);
    }
    (void)n; // a guest that is gone is noticed when it is read
}

// Answers every whole request that is there. False when the guest asks for too much.
static bool serve(struct guest *guest)
{
    for (;;) {
        char *end = memmem(guest->request, guest->size, "\r\n\r\n", 4);
        if (!end)
            return guest->size < REQUEST_MAX;
        int64_t now = microseconds_of(CLOCK_REALTIME);
        size_t samples = sink.lateness.count;
        int64_t early = sink.early, unread = sink.unread;
        size_t whole = (size_t)(end - guest->request) + 4 + read_head(guest->request, end, now);
        if (guest->size < whole) { // looked at again when the rest is there
            sink.lateness.count = samples;
            sink.early = early;
            sink.unread = unread;
            return whole < REQUEST_MAX;
        }
        if (strncmp(guest->request, "GET ", 4) != 0) {
            sink.first_us = sink.requests++ == 0 ? now : sink.first_us;
            sink.last_us = now;
        }
        reply(guest);
        guest->size -= whole;
        memmove(guest->request, guest->request + whole, guest->size);
    }
}

static void hear(struct guest *guest)
{
    if (guest->capacity - guest->size < 4096) {
        guest->capacity = guest->capacity ? guest->capacity * 2 : 8192;
        guest->request = memory_resize(guest->request, guest->capacity, 1);
    }
    ssize_t n = recv(guest->fd, guest->request + guest->size, guest->capacity - guest->size, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    guest->size += n > 0 ? (size_t)n : 0;
    if (n <= 0 || !serve(guest)) {
        close(guest->fd);
        free(guest->request);
        free(guest);
    }
}

static void report(void)
{
    samples_sort(&sink.lateness);
    printf("{\"requests\": %lld, \"first_us\": %lld, \"last_us\": %lld, \"cpu_s\": %.6f, "
           "\"lateness\": {\"count\": %zu, \"early\": %lld, \"unread\": %lld, \"p50_us\": %lld, "
           "\"p99_us\": %lld, \"p999_us\": %lld, \"max_us\": %lld}}\n",
           (long long)sink.requests, (long long)sink.first_us, (long long)sink.last_us,
           cpu_seconds() - sink.cpu_before, sink.lateness.count, (long long)sink.early,
           (long long)sink.unread, (long long)samples_at(&sink.lateness, 0.5),
           (long long)samples_at(&sink.lateness, 0.99),
           (long long)samples_at(&sink.lateness, 0.999), (long long)samples_at(&sink.lateness, 1));
    fflush(stdout);
    sink.requests = sink.first_us = sink.last_us = sink.early = sink.unread = 0;
    sink.lateness.count = 0;
    sink.cpu_before = cpu_seconds();
}

// True when it was SIGTERM.
static bool take_signal(void)
{
    struct signalfd_siginfo info;
    if (read(sink.signals, &info, sizeof info) != sizeof info)
        return false;
    report();
    return info.ssi_signo != SIGUSR1;
}

int main(int argc, char **argv)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    sink.wants_lateness = option_text(argc, argv, "lateness", NULL) != NULL;
    sink.epoll = epoll_create1(EPOLL_CLOEXEC);
    sink.signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    listen_on((int)option_int(argc, argv, "port", 0));
    watch(sink.listener, &sink.listener);
    watch(sink.signals, &sink.signals);

    struct epoll_event events[EVENTS];
    for (bool over = false; !over;) {
        int n = epoll_wait(sink.epoll, events, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr == &sink.listener)
                welcome();
            else if (events[i].data.ptr == &sink.signals)
                over = take_signal() || over;
            else
                hear(events[i].data.ptr);
        }
    }
    free(sink.lateness.us);
    return EXIT_SUCCESS;
}
