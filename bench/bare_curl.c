/*
 * bare_curl - what libcurl alone can do
 *
 * A multi handle over epoll that POSTs a small body with 100 transfers under way, and records
 * nothing. The yardstick of "webhooks".
 *
 *     bench-bare_curl --url URL [--count 20000] [--handles 100] [--body TEXT]
 *     {"requests": 20000, "errors": 0, "seconds": 0.5, "cpu_s": 0.45}
 */
#include <curl/curl.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "bench.h"

#define EVENTS 256

static struct {
    CURLM *multi;
    int epoll;
    long timeout_ms;
    int64_t count, started, finished, errors;
} bare;

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *context, void *known)
{
    (void)easy, (void)context;
    struct epoll_event event = {.data.fd = fd};
    if (what == CURL_POLL_REMOVE) {
        epoll_ctl(bare.epoll, EPOLL_CTL_DEL, fd, NULL);
        return 0;
    }
    event.events = (what & CURL_POLL_IN ? EPOLLIN : 0u) | (what & CURL_POLL_OUT ? EPOLLOUT : 0u);
    epoll_ctl(bare.epoll, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event);
    curl_multi_assign(bare.multi, fd, &bare);
    return 0;
}

static int on_timer(CURLM *multi, long timeout_ms, void *context)
{
    (void)multi, (void)context;
    bare.timeout_ms = timeout_ms;
    return 0;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *context)
{
    (void)bytes, (void)context;
    return size * count;
}

static void take_finished(void)
{
    int left;
    for (CURLMsg *message; (message = curl_multi_info_read(bare.multi, &left));) {
        CURL *easy = message->easy_handle;
        long status = 0;
        curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
        bare.errors += message->data.result != CURLE_OK || status != 200;
        bare.finished++;
        curl_multi_remove_handle(bare.multi, easy);
        if (bare.started < bare.count) {
            bare.started++;
            curl_multi_add_handle(bare.multi, easy);
        }
    }
}

static void run_transfers(void)
{
    struct epoll_event events[EVENTS];
    int running = 0;
    while (bare.finished < bare.count) {
        long wait = bare.timeout_ms < 0 || bare.timeout_ms > 1000 ? 1000 : bare.timeout_ms;
        int n = epoll_wait(bare.epoll, events, EVENTS, (int)wait);
        if (n == 0) {
            bare.timeout_ms = -1;
            curl_multi_socket_action(bare.multi, CURL_SOCKET_TIMEOUT, 0, &running);
        }
        for (int i = 0; i < n; i++) {
            int what = (events[i].events & EPOLLIN ? CURL_CSELECT_IN : 0) |
                       (events[i].events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
                       (events[i].events & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0);
            curl_multi_socket_action(bare.multi, events[i].data.fd, what, &running);
        }
        take_finished();
    }
}

int main(int argc, char **argv)
{
    const char *body = option_text(argc, argv, "body", "{\"n\":1}");
    int64_t handles = option_int(argc, argv, "handles", 100);
    bare.count = option_int(argc, argv, "count", 20000);
    handles = handles < bare.count ? handles : bare.count;
    curl_global_init(CURL_GLOBAL_DEFAULT);
    bare.multi = curl_multi_init();
    bare.epoll = epoll_create1(EPOLL_CLOEXEC);
    bare.timeout_ms = -1;
    curl_multi_setopt(bare.multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(bare.multi, CURLMOPT_TIMERFUNCTION, on_timer);
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
    CURL **easy = memory_array((size_t)handles, sizeof *easy);
    double cpu = cpu_seconds();
    int64_t start = now_us();
    for (int64_t i = 0; i < handles; i++) {
        easy[i] = curl_easy_init();
        curl_easy_setopt(easy[i], CURLOPT_URL, option_text(argc, argv, "url", ""));
        curl_easy_setopt(easy[i], CURLOPT_POSTFIELDS, body);
        curl_easy_setopt(easy[i], CURLOPT_HTTPHEADER, headers);
        curl_easy_setopt(easy[i], CURLOPT_WRITEFUNCTION, on_body);
        bare.started++;
        curl_multi_add_handle(bare.multi, easy[i]);
    }
    run_transfers();
    printf("{\"requests\": %lld, \"errors\": %lld, \"seconds\": %.6f, \"cpu_s\": %.6f}\n",
           (long long)bare.finished, (long long)bare.errors, (double)(now_us() - start) / 1e6,
           cpu_seconds() - cpu);
    for (int64_t i = 0; i < handles; i++)
        curl_easy_cleanup(easy[i]);
    free(easy);
    curl_multi_cleanup(bare.multi);
    curl_slist_free_all(headers);
    close(bare.epoll);
    return bare.errors ? EXIT_FAILURE : EXIT_SUCCESS;
}
