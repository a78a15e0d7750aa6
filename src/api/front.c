#include "api/front.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "api/auth.h"
#include "api/leases.h"
#include "api/media.h"
#include "api/patience.h"
#include "api/query.h"
#include "api/streams.h"
#include "base/memory.h"
#include "base/now.h"

#define BODY_MAX (8 << 20)
#define CONNECTIONS_MAX 4096
#define HEADERS_MAX \
    (32 << 10) // of a connection's memory: request line, headers, and what is read at once
#define IDLE_S 60
// A body that is refused is read to its end all the same, so that a client still sending sees the
// answer and not a broken connection; but no more than this many times the limit.
#define THROW_AWAY_TIMES 4

struct front {
    struct service service;
    struct MHD_Daemon *daemon;
    struct patience *patience;
    int listener;
    bool quiesced;
    int port;
};

// --- a request's way ---

// What can be refused before the body has come.
static void check_headers(struct request *r)
{
    if (!auth_check(r))
        return;
    if (!r->match.path_known) {
        request_refuse(r, PROBLEM_NOT_FOUND,
                       "there is nothing at this path; /docs shows what there is");
        return;
    }
    if (!r->match.route && strcmp(r->method, "OPTIONS") == 0)
        return;
    if (!r->match.route) {
        request_refuse(r, PROBLEM_METHOD, "%s is not for this path; it takes %s", r->method,
                       r->match.allow);
        return;
    }
    query_check(r);
    if (!request_is_sound(r, "a query parameter makes no sense"))
        return;
    media_check(r);
}

static void refuse_size(struct request *r)
{
    request_refuse(r, PROBLEM_TOO_LARGE, "the body may have at most %zu bytes",
                   r->service->body_max);
}

static enum MHD_Result count_framing(void *context, enum MHD_ValueKind kind, const char *name,
                                     const char *value)
{
    int *lengths_and_codings = context;
    (void)kind, (void)value;
    lengths_and_codings[0] += strcasecmp(name, "Content-Length") == 0;
    lengths_and_codings[1] += strcasecmp(name, "Transfer-Encoding") == 0;
    return MHD_YES;
}

// RFC 9112, 6.3: where the body ends must be said in one way, or a proxy before us may see another
// end and another next request. libmicrohttpd takes the first length, and waits for ever behind a
// coding it does not know. False: the refusal is to go out at once, and the connection to close.
static bool check_framing(struct request *r)
{
    int counts[2] = {0, 0};
    MHD_get_connection_values(r->connection, MHD_HEADER_KIND, count_framing, counts);
    const char *coding = request_header(r, "Transfer-Encoding");
    if (counts[0] + counts[1] > 1)
        request_refuse(r, PROBLEM_INVALID,
                       "the length of the body is said more than once: send one Content-Length or "
                       "one Transfer-Encoding");
    else if (coding && strcasecmp(coding, "chunked") != 0)
        request_refuse(r, PROBLEM_INVALID,
                       "Transfer-Encoding is \"%.60s\"; send chunked or a Content-Length", coding);
    else
        return true;
    r->answer.close = true;
    return false;
}

// By Content-Length. True where the answer should go out at once instead of after the body.
static bool check_size(struct request *r)
{
    const char *length = request_header(r, "Content-Length");
    if (!length)
        return false;
    unsigned long long size = strtoull(length, NULL, 10);
    if (size <= r->service->body_max)
        return false;
    refuse_size(r);
    return size / THROW_AWAY_TIMES > r->service->body_max || request_header(r, "Expect");
}

static void answer_options(struct request *r)
{
    struct writer w = request_answer(r, 200);
    writer_object(&w);
    member_text(&w, "allow", r->match.allow);
    writer_end_object(&w);
    r->answer.allow = true;
}

// False: the connection is to be closed.
static bool take_body(struct request *r, const char *bytes, size_t size)
{
    bool wanted = r->answer.code == 0 && r->match.route && r->match.route->body != BODY_NONE;
    if (wanted) {
        buffer_add(&r->body, bytes, size);
        if (!r->body.overflow)
            return true;
        if (r->body.starved)
            request_refuse(r, PROBLEM_UNAVAILABLE,
                           "there is no memory for a body of this size now; try again later");
        else
            refuse_size(r);
        buffer_done(&r->body);
    }
    r->thrown_away += size;
    return r->thrown_away / THROW_AWAY_TIMES <= r->service->body_max;
}

// Hands the message to the scheduler. The connection sleeps until front_reply.
static bool post(struct request *r)
{
    struct service *service = r->service;
    // Counted before the look at `stopping`: front_stop sets that and then waits for the count.
    atomic_fetch_add(&service->under_way, 1);
    if (atomic_load(&service->stopping)) {
        atomic_fetch_sub(&service->under_way, 1);
        request_refuse(r, PROBLEM_UNAVAILABLE, "the server is stopping");
        return false;
    }
    r->posted = true;
    MHD_suspend_connection(r->connection); // first: the reply may be there before post returns
    mailbox_post(service->messages, &r->message->letter);
    return true;
}

static void add_headers(const struct request *r, struct MHD_Response *response)
{
    const struct answer *a = &r->answer;
    MHD_add_response_header(response, "Content-Type", a->type ? a->type : "application/json");
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    if (*a->location)
        MHD_add_response_header(response, "Location", a->location);
    if (a->revision) {
        char tag[24];
        snprintf(tag, sizeof tag, "\"%d\"", a->revision);
        MHD_add_response_header(response, "ETag", tag);
    }
    if (a->replayed)
        MHD_add_response_header(response, "Idempotency-Replayed", "true");
    if (a->retry_after_s) {
        char seconds[16];
        snprintf(seconds, sizeof seconds, "%d", a->retry_after_s);
        MHD_add_response_header(response, "Retry-After", seconds);
    }
    if (a->challenge)
        MHD_add_response_header(response, "WWW-Authenticate", "Bearer realm=\"punctual\"");
    if (a->close)
        MHD_add_response_header(response, "Connection", "close");
    if (a->allow)
        MHD_add_response_header(response, "Allow", r->match.allow);
}

static struct caller *caller_of(struct MHD_Connection *connection)
{
    return MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
}

static enum MHD_Result send_answer(struct request *r)
{
    struct answer *a = &r->answer;
    if (a->whole)
        return MHD_queue_response(r->connection, (unsigned)a->code, a->whole);
    if (a->body.overflow)
        request_refuse(r, PROBLEM_TOO_LARGE,
                       "the answer would be too long; ask for less with limit");
    if (!a->type || strcmp(a->type, PROBLEM_TYPE) == 0)
        buffer_byte(&a->body, '\n'); // a terminal's next prompt stands on a line of its own
    size_t size;
    char *bytes = buffer_take(&a->body, &size);
    struct MHD_Response *response =
        MHD_create_response_from_buffer_with_free_callback(size, bytes, free);
    if (!response) {
        free(bytes);
        return MHD_NO;
    }
    add_headers(r, response);
    caller_owes_body(caller_of(r->connection)); // it owes to read this
    enum MHD_Result result = MHD_queue_response(r->connection, (unsigned)a->code, response);
    MHD_destroy_response(response);
    return result;
}

// A turn's replies come in a burst, and the first one wakes the thread: it waits here for the rest,
// instead of looking through all its connections again for every few.
static void await_burst(struct service *service)
{
    pthread_mutex_lock(&service->burst);
    pthread_mutex_unlock(&service->burst);
}

static enum MHD_Result serve(struct request *r)
{
    if (r->replied) {
        await_burst(r->service);
        if (r->message->kind == MESSAGE_LEASE && lease_client_is_gone(r))
            lease_give_back(r);
        request_take_reply(r);
    } else if (r->answer.code == 0 && !r->match.route)
        answer_options(r);
    else if (r->answer.code == 0) {
        r->now = wall_now();
        r->match.route->handler(r);
        assert(r->answer.code != 0 || r->message);
        if (r->answer.code == 0 && post(r))
            return MHD_YES;
    }
    return send_answer(r);
}

// libmicrohttpd calls this with the headers, with each piece of the body, at its end, and once more
// when a connection that slept is resumed.
static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *bytes,
                                  size_t *size, void **state)
{
    (void)version;
    struct front *front = context;
    struct request *r = *state;
    if (!r) {
        *state = r = request_new(&front->service, connection, method, url);
        caller_owes_body(caller_of(connection));
        route_find(method, url, &r->match);
        check_headers(r);
        if (!check_framing(r) || check_size(r))
            return send_answer(r);
        return MHD_YES;
    }
    if (*size > 0) {
        bool go_on = take_body(r, bytes, *size);
        *size = 0;
        return go_on ? MHD_YES : MHD_NO;
    }
    caller_owes_nothing(caller_of(connection));
    return serve(r);
}

static void on_completed(void *context, struct MHD_Connection *connection, void **state,
                         enum MHD_RequestTerminationCode why)
{
    (void)context;
    if (*state && why != MHD_REQUEST_TERMINATED_COMPLETED_OK)
        lease_give_back(*state);
    request_free(*state);
    *state = NULL;
    caller_owes_header(caller_of(connection));
}

static void on_connection(void *context, struct MHD_Connection *connection, void **socket_context,
                          enum MHD_ConnectionNotificationCode what)
{
    struct front *front = context;
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        int fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
        *socket_context = patience_arrive(front->patience, fd);
    } else if (*socket_context) {
        patience_leave(front->patience, *socket_context);
        *socket_context = NULL;
    }
}

// Like MHD_http_unescape, but %00 stays as it is: a text that ends early would mean something else
// than it says.
static size_t unescape(void *context, struct MHD_Connection *connection, char *text)
{
    (void)context, (void)connection;
    static const char digits[] = "0123456789abcdef";
    char *to = text;
    for (const char *from = text; *from; to++) {
        const char *high = NULL, *low = NULL;
        if (*from == '%' && from[1] && from[2]) {
            high = memchr(digits, from[1] | ('A' <= from[1] && from[1] <= 'F' ? 0x20 : 0), 16);
            low = memchr(digits, from[2] | ('A' <= from[2] && from[2] <= 'F' ? 0x20 : 0), 16);
        }
        if (high && low && (high != digits || low != digits)) {
            *to = (char)((high - digits) << 4 | (low - digits));
            from += 3;
        } else {
            *to = *from++;
        }
    }
    *to = '\0';
    return (size_t)(to - text);
}

// --- starting ---

static enum status listen_failed(int fd, const struct front_options *options, char *why,
                                 size_t size)
{
    int error = errno;
    if (fd >= 0)
        close(fd);
    if (error == EADDRINUSE)
        snprintf(
            why, size,
            "port %d of %s is in use: stop what listens there, or choose another with --listen",
            options->port, options->address);
    else
        snprintf(why, size, "cannot listen on %s port %d: %s", options->address, options->port,
                 strerror(error));
    return STATUS_FAILED;
}

static int socket_port(int fd)
{
    struct sockaddr_storage at;
    socklen_t size = sizeof at;
    if (getsockname(fd, (struct sockaddr *)&at, &size) != 0)
        return 0;
    return ntohs(at.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&at)->sin6_port
                                          : ((struct sockaddr_in *)&at)->sin_port);
}

// Our own socket, so that what fails can be said, and that the options are surely set.
enum status front_listen(const struct front_options *options, int *ret_fd, int *ret_port, char *why,
                         size_t size)
{
    char port[16];
    snprintf(port, sizeof port, "%d", options->port);
    struct addrinfo *at, hints = {.ai_socktype = SOCK_STREAM,
                                  .ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV};
    if (options->port < 0 || options->port > 65535 ||
        getaddrinfo(options->address, port, &hints, &at) != 0) {
        snprintf(
            why, size,
            "cannot listen on \"%s\" port %d: give an IPv4 or IPv6 address and a port up to 65535",
            options->address, options->port);
        return STATUS_FAILED;
    }
    int on = 1;
    int fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool listening =
        fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
        // Connections inherit it. A reply is one piece: waiting for more would only add delay.
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0 &&
        bind(fd, at->ai_addr, at->ai_addrlen) == 0 && listen(fd, SOMAXCONN) == 0;
    freeaddrinfo(at);
    if (!listening)
        return listen_failed(fd, options, why, size);
    *ret_fd = fd;
    *ret_port = socket_port(fd);
    return STATUS_OK;
}

static int places(const struct front_options *options)
{
    return options->connections_max ? options->connections_max : CONNECTIONS_MAX;
}

static bool is_v6(int fd)
{
    int domain = 0;
    socklen_t size = sizeof domain;
    return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_INET6;
}

static struct MHD_Daemon *start_daemon(struct front *front, const struct front_options *options)
{
    unsigned flags = MHD_USE_POLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_TURBO;
    if (is_v6(front->listener))
        flags |= MHD_USE_IPv6;
    int connections = places(options);
    struct MHD_OptionItem more[2] = {{MHD_OPTION_END, 0, NULL}, {MHD_OPTION_END, 0, NULL}};
    if (options->threads > 1) // with one, the pool is the daemon's own thread
        more[0] = (struct MHD_OptionItem){MHD_OPTION_THREAD_POOL_SIZE, options->threads, NULL};
    return MHD_start_daemon(
        flags, 0, NULL, NULL, on_request, front, MHD_OPTION_LISTEN_SOCKET, front->listener,
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL, MHD_OPTION_NOTIFY_CONNECTION,
        on_connection, front, MHD_OPTION_UNESCAPE_CALLBACK, unescape, NULL,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)connections, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)IDLE_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HEADERS_MAX, MHD_OPTION_ARRAY,
        more, MHD_OPTION_END);
}

enum status front_start(const struct front_options *options, struct mailbox *messages,
                        struct pulse *pulse, struct front **ret, char *why, size_t size)
{
    int listener = options->listener, port = listener ? socket_port(listener) : 0;
    enum status status = listener ? STATUS_OK : front_listen(options, &listener, &port, why, size);
    if (status != STATUS_OK)
        return status;
    struct front *front = memory_new(sizeof *front);
    front->listener = listener;
    front->port = port;
    front->service.options = options;
    front->service.messages = messages;
    front->service.pulse = pulse;
    front->service.body_max = options->body_max ? options->body_max : BODY_MAX;
    status = service_init(&front->service);
    if (status == STATUS_OK) {
        front->service.streams = streams_new(&front->service);
        front->patience = patience_new(places(options), &options->patience);
        if (front->patience)
            patience_watch(front->patience, listener);
        if (front->service.streams && front->patience)
            front->daemon = start_daemon(front, options);
        if (front->daemon) {
            *ret = front;
            return STATUS_OK;
        }
        patience_free(front->patience);
        streams_free(front->service.streams);
        service_done(&front->service);
    }
    snprintf(why, size, "the HTTP server could not be started: %s", strerror(errno));
    close(listener);
    free(front);
    return STATUS_FAILED;
}

int front_port(const struct front *front)
{
    return front->port;
}

// --- serving ---

void front_reply(struct front *front, struct letter *replies)
{
    pthread_mutex_lock(&front->service.burst);
    while (replies) {
        struct message *message = (struct message *)replies;
        replies = replies->next; // the request may be gone as soon as it is resumed
        struct request *r = message->sender;
        r->replied = true;
        MHD_resume_connection(r->connection);
        atomic_fetch_sub(&front->service.under_way, 1); // last: front_stop waits for it
    }
    pthread_mutex_unlock(&front->service.burst);
}

void front_events(struct front *front, int64_t turn)
{
    streams_wake(front->service.streams, turn);
}

// --- stopping ---

void front_quiesce(struct front *front)
{
    if (front->quiesced)
        return;
    front->quiesced = true;
    MHD_quiesce_daemon(front->daemon);
    // The threads may still look at it, so it is closed at the end; newcomers are refused from here
    // on.
    shutdown(front->listener, SHUT_RDWR);
}

// Nobody takes messages any more: those that came too late are answered here.
static void refuse_messages(struct front *front)
{
    struct letter *next;
    for (struct letter *letter = mailbox_take(front->service.messages); letter; letter = next) {
        next = letter->next;
        struct message *message = (struct message *)letter;
        if (!message->sender) { // not a request: nobody waits for an answer
            message_free(message);
            continue;
        }
        message->reply.status = STATUS_UNAVAILABLE;
        snprintf(message->reply.detail, sizeof message->reply.detail, "the server is stopping");
        letter->next = NULL;
        front_reply(front, letter);
    }
}

void front_stop(struct front *front)
{
    if (!front)
        return;
    front_quiesce(front);
    atomic_store(&front->service.stopping, true);
    streams_stop(front->service.streams);
    // libmicrohttpd wants every connection awake before it stops.
    struct pollfd inbox = {.fd = front->service.messages->fd, .events = POLLIN};
    while (atomic_load(&front->service.under_way) > 0) {
        poll(&inbox, 1, 10);
        refuse_messages(front);
    }
    MHD_stop_daemon(front->daemon);
    patience_free(front->patience);
    close(front->listener);
    streams_free(front->service.streams);
    service_done(&front->service);
    free(front);
}
