#include "dispatch/transfer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "dispatch/trust.h"

#define CONNECT_MAX_MS 10000L
// Connections idle for longer are not used again (whole seconds, so: below 2 s). Servers close them
// after 2 s (gunicorn), 5 s (uvicorn, node) or a minute, and a request that crosses such a close is
// lost with an unknown outcome.
#define IDLE_MAX_S 1L
#define KEEPALIVE_S 30L

static size_t on_header(char *line, size_t unit, size_t count, void *context)
{
    struct transfer *transfer = context;
    return answer_header(&transfer->answer, line, unit * count) ? unit * count : 0;
}

static size_t on_body(char *bytes, size_t unit, size_t count, void *context)
{
    struct transfer *transfer = context;
    return answer_body(&transfer->answer, bytes, unit * count) ? unit * count : 0;
}

// Called each time the request is about to go out. libcurl sends it once more, unasked, when a
// connection that was kept open closes without an answer; but the endpoint may have done the work,
// so that would be a second delivery that nobody knows of. Whether to try again is the scheduler's
// to say.
static int on_send(void *context, char *remote, char *local, int remote_port, int local_port)
{
    struct transfer *transfer = context;
    (void)remote, (void)local, (void)remote_port, (void)local_port;
    return transfer->sends++ == 0 ? CURL_PREREQFUNC_OK : CURL_PREREQFUNC_ABORT;
}

static bool set_lasting_options(struct transfer *transfer)
{
    CURL *easy = transfer->easy;
    CURLcode bad = 0;
#define SET(option, value) bad |= curl_easy_setopt(easy, option, value)
    SET(CURLOPT_PRIVATE, transfer);
    SET(CURLOPT_ERRORBUFFER, transfer->error);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_PROXY,
        ""); // whatever the environment says: the guard must see the endpoint's address
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2); // RFC 8996: older ones must not be used
    SET(CURLOPT_TCP_NODELAY, 1L);
    SET(CURLOPT_TCP_KEEPALIVE, 1L);
    SET(CURLOPT_TCP_KEEPIDLE, KEEPALIVE_S);
    SET(CURLOPT_TCP_KEEPINTVL, KEEPALIVE_S);
    SET(CURLOPT_MAXAGE_CONN, IDLE_MAX_S);
    SET(CURLOPT_QUICK_EXIT,
        1L); // a timeout does not wait for the thread that still resolves a name
    SET(CURLOPT_HEADERFUNCTION, on_header);
    SET(CURLOPT_HEADERDATA, transfer);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, transfer);
    SET(CURLOPT_PREREQFUNCTION, on_send);
    SET(CURLOPT_PREREQDATA, transfer);
#undef SET
    bad |= trust_set(easy);
    return bad == 0;
}

struct transfer *transfer_new(struct webhooks *webhooks)
{
    struct transfer *transfer = memory_new(sizeof *transfer);
    transfer->webhooks = webhooks;
    request_init(&transfer->request);
    answer_init(&transfer->answer);
    transfer->easy = curl_easy_init();
    if (!transfer->easy || !set_lasting_options(transfer)) {
        transfer_free(transfer);
        return NULL;
    }
    return transfer;
}

void transfer_free(struct transfer *transfer)
{
    curl_easy_cleanup(transfer->easy);
    request_done(&transfer->request);
    answer_done(&transfer->answer);
    free(transfer);
}

struct transfer *transfer_of(CURL *easy)
{
    struct transfer *transfer = NULL;
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, &transfer);
    return transfer;
}

// GET and HEAD have no body. POST, PUT and PATCH say Content-Length: 0 where there is none; others
// leave it out.
static CURLcode set_method(struct transfer *transfer, const char *method)
{
    CURL *easy = transfer->easy;
    const struct request *request = &transfer->request;
    bool posts = strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0 ||
                 strcmp(method, "PATCH") == 0 || request->body;
    bool named =
        strcmp(method, "POST") != 0 && strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0;
    CURLcode bad = curl_easy_setopt(easy, CURLOPT_NOBODY, 0L);
    if (strcmp(method, "HEAD") == 0) {
        bad |= curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    } else if (posts) {
        bad |= curl_easy_setopt(easy, CURLOPT_POST, 1L);
        bad |= curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_size);
        bad |= curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request->body ? request->body : "");
    } else {
        bad |= curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
    }
    return bad | curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, named ? method : NULL);
}

// At least 1 ms: to libcurl 0 means "no limit".
static long in_ms(int64_t us)
{
    int64_t ms = (us + MILLISECOND - 1) / MILLISECOND;
    return (long)(ms > 0 ? ms : 1);
}

bool transfer_prepare(struct transfer *transfer, struct effort *effort, const struct keyring *ring,
                      size_t body_limit, char *why, size_t size)
{
    const struct task *task = effort->order->task;
    struct attempt *attempt = &effort->report->attempt;
    long timeout_ms = in_ms(task->timeout_us);
    transfer->effort = effort;
    transfer->sends = 0;
    transfer->connected = false;
    transfer->no_socket = 0;
    transfer->refused[0] = transfer->error[0] = '\0';
    transfer->connect_ms = timeout_ms < CONNECT_MAX_MS ? timeout_ms : CONNECT_MAX_MS;
    answer_begin(&transfer->answer, attempt, &task->expect, body_limit);
    if (request_build(&transfer->request, effort, ring, attempt->started_at, why, size) !=
        STATUS_OK)
        return false;
    CURLcode bad = curl_easy_setopt(transfer->easy, CURLOPT_URL, task->target.http.url);
    bad |= curl_easy_setopt(transfer->easy, CURLOPT_HTTPHEADER, transfer->request.nodes);
    bad |= curl_easy_setopt(transfer->easy, CURLOPT_TIMEOUT_MS, timeout_ms);
    bad |= curl_easy_setopt(transfer->easy, CURLOPT_CONNECTTIMEOUT_MS, transfer->connect_ms);
    // One kept open may just have been closed by the other side, and then nobody knows whether the
    // request arrived: not to be risked where it may not be sent again.
    bad |= curl_easy_setopt(transfer->easy, CURLOPT_FRESH_CONNECT,
                            task->delivery == DELIVERY_AT_MOST_ONCE ? 1L : 0L);
    bad |= set_method(transfer, task->target.http.method);
    if (bad)
        snprintf(why, size, "libcurl does not take the request");
    return bad == 0;
}

static int64_t time_of(const struct transfer *transfer, CURLINFO what)
{
    curl_off_t us = 0;
    curl_easy_getinfo(transfer->easy, what, &us);
    return us;
}

// libcurl counts each from the start; the report has each phase's own length. 0 where a connection
// was there already: no time was spent. Unknown where the attempt did not come so far.
static void measure_phases(const struct transfer *transfer, struct attempt *attempt)
{
    long connects = 0;
    int64_t dns = time_of(transfer, CURLINFO_NAMELOOKUP_TIME_T);
    int64_t connect = time_of(transfer, CURLINFO_CONNECT_TIME_T);
    int64_t tls = time_of(transfer, CURLINFO_APPCONNECT_TIME_T);
    int64_t pretransfer = time_of(transfer, CURLINFO_PRETRANSFER_TIME_T);
    int64_t first_byte = time_of(transfer, CURLINFO_STARTTRANSFER_TIME_T);
    bool is_tls = strncmp(transfer->effort->order->task->target.http.url, "https", 5) == 0;
    curl_easy_getinfo(transfer->easy, CURLINFO_NUM_CONNECTS, &connects);
    if (transfer->sends > 0 && connects == 0) {
        attempt->dns_us = attempt->connect_us = 0;
        attempt->tls_us = is_tls ? 0 : -1;
    } else {
        attempt->dns_us = dns > 0 ? dns : -1;
        attempt->connect_us = connect >= dns && connect > 0 ? connect - dns : -1;
        attempt->tls_us = is_tls && tls >= connect && tls > 0 ? tls - connect : -1;
    }
    if (attempt->status > 0 && first_byte >= pretransfer)
        attempt->first_byte_us = first_byte - pretransfer;
}

static void fill_report(struct transfer *transfer, struct efforts *efforts)
{
    struct attempt *attempt = &transfer->effort->report->attempt;
    long status = 0;
    curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status >= 200) { // an interim response is none
        attempt->status = (int)status;
        attempt->response_time_us = time_of(transfer, CURLINFO_TOTAL_TIME_T);
        effort_keep_response(efforts, transfer->effort, &transfer->answer.body);
        answer_end(&transfer->answer);
    }
    measure_phases(transfer, attempt);
}

// What libcurl's codes mean: `before` the request went out nothing can have happened, `after` it
// anything may have.
static const struct failure {
    CURLcode code;
    enum attempt_outcome before, after;
    const char *words; // NULL: libcurl's own
} failures[] = {
    {CURLE_COULDNT_RESOLVE_HOST, ATTEMPT_UNREACHABLE, ATTEMPT_BROKEN,
     "the name of the host has no address"},
    {CURLE_PEER_FAILED_VERIFICATION, ATTEMPT_UNREACHABLE, ATTEMPT_BROKEN,
     "the endpoint's certificate is not trusted"},
    {CURLE_SSL_CACERT_BADFILE, ATTEMPT_UNREACHABLE, ATTEMPT_BROKEN,
     "the file of trusted certificates cannot be read: install ca-certificates, or name one in "
     "SSL_CERT_FILE"},
    {CURLE_SSL_CONNECT_ERROR, ATTEMPT_UNREACHABLE, ATTEMPT_BROKEN, "TLS could not be agreed on"},
    {CURLE_URL_MALFORMAT, ATTEMPT_REFUSED, ATTEMPT_REFUSED, "the URL cannot be read"},
    {CURLE_UNSUPPORTED_PROTOCOL, ATTEMPT_REFUSED, ATTEMPT_FAILED,
     "only http and https, version 1.0 or later, are spoken"},
    {CURLE_WEIRD_SERVER_REPLY, ATTEMPT_UNREACHABLE, ATTEMPT_FAILED, "the answer is not HTTP"},
    {CURLE_OUT_OF_MEMORY, ATTEMPT_UNREACHABLE, ATTEMPT_FAILED,
     "a line of the response's header is larger than 64 KiB"},
    {CURLE_GOT_NOTHING, ATTEMPT_UNREACHABLE, ATTEMPT_BROKEN,
     "the connection closed before an answer came"},
    {CURLE_ABORTED_BY_CALLBACK, ATTEMPT_UNREACHABLE, ATTEMPT_BROKEN,
     "the connection, kept open from an earlier request, closed before an answer came"},
    {CURLE_PARTIAL_FILE, ATTEMPT_UNREACHABLE, ATTEMPT_BROKEN,
     "the connection closed before the answer was complete"},
    {CURLE_RECV_ERROR, ATTEMPT_UNREACHABLE, ATTEMPT_BROKEN,
     "the connection broke before the answer was complete"},
    {CURLE_SEND_ERROR, ATTEMPT_UNREACHABLE, ATTEMPT_BROKEN,
     "the connection broke while the request was sent"},
};

static void end_as_unanswered(struct transfer *transfer, struct efforts *efforts, CURLcode code)
{
    bool sent = transfer->sends > 0;
    const char *detail = transfer->error[0] ? transfer->error : curl_easy_strerror(code);
    struct failure unknown = {code, ATTEMPT_UNREACHABLE, ATTEMPT_BROKEN, NULL};
    const struct failure *failure = &unknown;
    for (size_t i = 0; i < sizeof failures / sizeof failures[0]; i++)
        if (failures[i].code == code)
            failure = &failures[i];
    effort_end(efforts, transfer->effort, sent ? failure->after : failure->before, "%s%s%s%s",
               failure->words ? failure->words : detail, failure->words ? " (" : "",
               failure->words ? detail : "", failure->words ? ")" : "");
}

// How long it was waited for is known, and leaving it out would make a hanging endpoint look fast.
static void measure_wait(const struct transfer *transfer)
{
    if (transfer->sends > 0)
        transfer->effort->report->attempt.response_time_us =
            time_of(transfer, CURLINFO_TOTAL_TIME_T);
}

static void end_as_timed_out(struct transfer *transfer, struct efforts *efforts)
{
    char within[DURATION_TEXT];
    bool sent = transfer->sends > 0;
    measure_wait(transfer);
    duration_format(sent ? transfer->effort->order->task->timeout_us
                         : transfer->connect_ms * MILLISECOND,
                    within);
    effort_end(efforts, transfer->effort, sent ? ATTEMPT_TIMED_OUT : ATTEMPT_UNREACHABLE, "%s %s",
               sent ? "no complete answer within" : "no connection within", within);
}

static void end_as_not_connected(struct transfer *transfer, struct efforts *efforts)
{
    long number = 0;
    curl_easy_getinfo(transfer->easy, CURLINFO_OS_ERRNO, &number);
    if (transfer->no_socket && !transfer->connected)
        number = transfer->no_socket;
    if (transfer->refused[0] && !transfer->connected && !transfer->no_socket)
        effort_end(efforts, transfer->effort, ATTEMPT_REFUSED, "%s", transfer->refused);
    else
        effort_end(efforts, transfer->effort, ATTEMPT_UNREACHABLE, "cannot connect: %s",
                   number ? strerror((int)number) : transfer->error);
}

void transfer_finish(struct transfer *transfer, struct efforts *efforts, CURLcode code)
{
    // libcurl is content with a header that ends in the middle; a success must have been said
    // whole.
    if (code == CURLE_OK && !transfer->answer.has_header)
        code = CURLE_PARTIAL_FILE;
    fill_report(transfer, efforts);
    if (transfer->answer.stop)
        effort_end(efforts, transfer->effort, ATTEMPT_FAILED, "%s", transfer->answer.stop);
    else if (code == CURLE_OK || transfer->answer.enough) // the endpoint did answer
        answer_judge(&transfer->answer, efforts, transfer->effort);
    else if (code == CURLE_OPERATION_TIMEDOUT)
        end_as_timed_out(transfer, efforts);
    else if (code == CURLE_COULDNT_CONNECT)
        end_as_not_connected(transfer, efforts);
    else
        end_as_unanswered(transfer, efforts, code);
}

void transfer_cancel(struct transfer *transfer, struct efforts *efforts, const char *why)
{
    fill_report(transfer, efforts);
    measure_wait(transfer);
    effort_end(efforts, transfer->effort, ATTEMPT_CANCELED, "%s", why);
}
