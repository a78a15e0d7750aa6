#include "dispatch/webhook.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/memory.h"
#include "dispatch/answer.h"
#include "dispatch/guard.h"
#include "dispatch/keyring.h"
#include "dispatch/request.h"
#include "dispatch/transfer.h"
#include "dispatch/watch.h"

#define NEVER ((steady){INT64_MAX})
#define CONNECTIONS_KEPT 1024
#define LOOK_AGAIN (50 * MILLISECOND)
#define TRANSFERS_KEPT \
    256 // free handles: the peak of most servers, and not that of a herd for ever

/*
 * Names are resolved on libcurl's own threads (AsynchDNS; Debian's GnuTLS flavour has it, and
 * webhooks_new insists), so a slow name server does not hold this one. A known weakness: the GnuTLS
 * flavour of 7.88 reads the certificate store anew for each TLS connection, a few milliseconds on
 * this thread.
 */
struct webhooks {
    struct efforts *efforts;
    struct keyring *ring;
    CURLM *multi;
    int epoll;
    steady deadline;        // of libcurl's timer
    struct transfer *spare; // free ones
    size_t spare_count;
    struct watched {
        bool ours;       // made by open_socket, so close_socket will tell when it goes
        bool wanted;     // libcurl waits for it
        uint32_t events; // registered with epoll; 0: not registered
        uint32_t missed; // not taken by epoll; 0: none
    } * watched;         // by descriptor
    size_t watched_count;
    steady look_at; // epoll did not take a descriptor: when to look at it; else NEVER
};

static struct watched *watched_at(struct webhooks *w, int fd)
{
    size_t at = (size_t)fd;
    if (at >= w->watched_count) {
        size_t count = at + 64;
        w->watched = memory_resize(w->watched, count, sizeof *w->watched);
        memset(w->watched + w->watched_count, 0, (count - w->watched_count) * sizeof *w->watched);
        w->watched_count = count;
    }
    return &w->watched[at];
}

static void register_events(struct webhooks *w, int fd, uint32_t events)
{
    struct watched *watched = watched_at(w, fd);
    watched->missed = 0;
    if (watched->events == events)
        return;
    struct epoll_event event = {.events = events, .data.u64 = watch_tag(WATCH_SOCKET, fd)};
    int how = events == 0 ? EPOLL_CTL_DEL : watched->events ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    bool taken = epoll_ctl(w->epoll, how, fd, &event) == 0 || how == EPOLL_CTL_DEL;
    watched->missed = taken ? 0 : events;
    if (taken)
        watched->events = events;
    else // else nobody would hear of it before the timeout
        w->look_at = steady_plus(steady_now(), LOOK_AGAIN);
}

// CURLMOPT_SOCKETFUNCTION. A connection that waits for its next request stays registered: most come
// back at once, and two system calls per request are saved. If it becomes ready meanwhile (the
// other side closes), webhooks_ready lets go.
static int socket_wanted(CURL *easy, curl_socket_t fd, int what, void *context, void *unused)
{
    static const uint32_t events[] = {[CURL_POLL_NONE] = 0,
                                      [CURL_POLL_IN] = EPOLLIN,
                                      [CURL_POLL_OUT] = EPOLLOUT,
                                      [CURL_POLL_INOUT] = EPOLLIN | EPOLLOUT,
                                      [CURL_POLL_REMOVE] = 0};
    struct webhooks *w = context;
    struct watched *watched = watched_at(w, fd);
    watched->wanted = what != CURL_POLL_REMOVE;
    if (watched->wanted || !watched->ours)
        register_events(w, fd, events[what]);
    (void)easy, (void)unused;
    return 0;
}

static int timer_wanted(CURLM *multi, long timeout_ms, void *context)
{
    struct webhooks *w = context;
    w->deadline = timeout_ms < 0 ? NEVER : steady_plus(steady_now(), timeout_ms * MILLISECOND);
    (void)multi;
    return 0;
}

// CURLOPT_OPENSOCKETFUNCTION: the one place that every connection passes, with the address that it
// really goes to.
static curl_socket_t open_socket(void *context, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct transfer *transfer = context;
    struct webhooks *w = transfer->webhooks;
    (void)purpose;
    if (!guard_allows(w->efforts->options, &address->addr, transfer->refused,
                      sizeof transfer->refused))
        return CURL_SOCKET_BAD;
    int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
    if (fd < 0) {
        transfer->no_socket = errno;
        return CURL_SOCKET_BAD;
    }
    transfer->connected = true;
    *watched_at(w, fd) = (struct watched){.ours = true};
    return fd;
}

static int close_socket(void *context, curl_socket_t fd)
{
    *watched_at(context, fd) = (struct watched){0}; // closing takes it out of epoll
    return close(fd);
}

static bool set_up_multi(struct webhooks *w)
{
    curl_version_info_data *info = curl_version_info(CURLVERSION_NOW);
    w->multi = curl_multi_init();
    return w->multi && (info->features & CURL_VERSION_ASYNCHDNS) &&
           curl_multi_setopt(w->multi, CURLMOPT_SOCKETFUNCTION, socket_wanted) == CURLM_OK &&
           curl_multi_setopt(w->multi, CURLMOPT_SOCKETDATA, w) == CURLM_OK &&
           curl_multi_setopt(w->multi, CURLMOPT_TIMERFUNCTION, timer_wanted) == CURLM_OK &&
           curl_multi_setopt(w->multi, CURLMOPT_TIMERDATA, w) == CURLM_OK &&
           curl_multi_setopt(w->multi, CURLMOPT_MAXCONNECTS, (long)CONNECTIONS_KEPT) == CURLM_OK;
}

struct webhooks *webhooks_new(struct efforts *efforts, int epoll)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return NULL;
    struct webhooks *w = memory_new(sizeof *w);
    w->efforts = efforts;
    w->epoll = epoll;
    w->deadline = w->look_at = NEVER;
    w->ring = keyring_new(efforts->options->secrets, efforts->options->secret_count);
    if (!set_up_multi(w)) {
        webhooks_free(w);
        return NULL;
    }
    return w;
}

void webhooks_free(struct webhooks *w)
{
    if (!w)
        return;
    while (w->spare) {
        struct transfer *transfer = w->spare;
        w->spare = transfer->next;
        transfer_free(transfer);
    }
    curl_multi_cleanup(w->multi);
    keyring_free(w->ring);
    free(w->watched);
    free(w);
    curl_global_cleanup();
}

static struct transfer *take_transfer(struct webhooks *w)
{
    struct transfer *transfer = w->spare;
    if (!transfer) {
        transfer = transfer_new(w);
        if (!transfer)
            return NULL;
        curl_easy_setopt(transfer->easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
        curl_easy_setopt(transfer->easy, CURLOPT_OPENSOCKETDATA, transfer);
        curl_easy_setopt(transfer->easy, CURLOPT_CLOSESOCKETFUNCTION, close_socket);
        curl_easy_setopt(transfer->easy, CURLOPT_CLOSESOCKETDATA, w);
        return transfer;
    }
    w->spare = transfer->next;
    w->spare_count--;
    return transfer;
}

static void give_back(struct webhooks *w, struct transfer *transfer)
{
    transfer->effort = NULL;
    if (w->spare_count >= TRANSFERS_KEPT) {
        transfer_free(transfer);
        return;
    }
    transfer->next = w->spare;
    w->spare = transfer;
    w->spare_count++;
}

void webhook_start(struct webhooks *w, struct effort *effort)
{
    char why[256] = "";
    int running;
    struct transfer *transfer = take_transfer(w);
    effort_started(effort);
    if (!transfer) {
        effort_end(w->efforts, effort, ATTEMPT_UNREACHABLE, "libcurl has no handle to give");
        return;
    }
    effort->transfer = transfer;
    size_t limit = effort_capture_limit(w->efforts, effort);
    if (!transfer_prepare(transfer, effort, w->ring, limit, why, sizeof why)) {
        effort_end(w->efforts, effort, ATTEMPT_REFUSED, "%s", why);
        give_back(w, transfer);
        return;
    }
    if (curl_multi_add_handle(w->multi, transfer->easy) != CURLM_OK) {
        effort_end(w->efforts, effort, ATTEMPT_UNREACHABLE, "libcurl does not take the request");
        give_back(w, transfer);
        return;
    }
    // At once, not with the next timer: what was written down as its start is then true.
    curl_multi_socket_action(w->multi, CURL_SOCKET_TIMEOUT, 0, &running);
}

void webhook_abort(struct webhooks *w, struct effort *effort, const char *why)
{
    struct transfer *transfer = effort->transfer;
    curl_multi_remove_handle(w->multi, transfer->easy);
    transfer_cancel(transfer, w->efforts, why);
    give_back(w, transfer);
}

void webhooks_ready(struct webhooks *w, int fd, uint32_t events)
{
    int running, what = 0;
    if (!watched_at(w, fd)->wanted) {
        register_events(w, fd, 0);
        return;
    }
    if (events & EPOLLIN)
        what |= CURL_CSELECT_IN;
    if (events & EPOLLOUT)
        what |= CURL_CSELECT_OUT;
    if (events & (EPOLLERR | EPOLLHUP))
        what |= CURL_CSELECT_ERR;
    curl_multi_socket_action(w->multi, fd, what, &running);
}

steady webhooks_deadline(const struct webhooks *w)
{
    return w->look_at.us < w->deadline.us ? w->look_at : w->deadline;
}

// In epoll's place, until it takes them. libcurl finds out by itself what they are ready for.
static void look_at_missed(struct webhooks *w)
{
    int running;
    w->look_at = NEVER;
    for (int fd = 0; (size_t)fd < w->watched_count; fd++)
        if (w->watched[fd].missed) {
            register_events(w, fd, w->watched[fd].missed);
            curl_multi_socket_action(w->multi, fd, 0, &running);
        }
}

void webhooks_turn(struct webhooks *w, steady now)
{
    int running, left;
    CURLMsg *message;
    if (now.us >= w->look_at.us)
        look_at_missed(w);
    if (now.us >= w->deadline.us) {
        w->deadline = NEVER;
        curl_multi_socket_action(w->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    }
    while ((message = curl_multi_info_read(w->multi, &left))) {
        CURLcode code = message->data.result;
        struct transfer *transfer = transfer_of(message->easy_handle);
        curl_multi_remove_handle(w->multi, transfer->easy);
        transfer_finish(transfer, w->efforts, code);
        give_back(w, transfer);
    }
}
