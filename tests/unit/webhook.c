// What a delivery carries, and what is made of each answer.
#include "delivering.h"

static bool is_hex(const char *text, size_t size)
{
    return strspn(text, "0123456789abcdef") >= size;
}

TEST(a_delivery_carries_all_headers_and_a_true_signature)
{
    begin_with(OK_200);
    struct order *order = order_for(&task, wall_now());
    char run[RUN_ID_TEXT], quoted[RUN_ID_TEXT + 2], moment[MOMENT_TEXT], why[100];
    run_id_format(order->run, run);
    snprintf(quoted, sizeof quoted, "\"%s\"", run);
    wall_format(order->scheduled_for, moment);
    post(order);
    struct message *report = next_report();
    CHECK_OUTCOME(ATTEMPT_SUCCEEDED, report);
    CHECK(strncmp(buffer_string(&endpoint.seen), "POST /hook HTTP/1.1\r\n", 21) == 0);
    CHECK_TEXT(task.payload, seen_body(&endpoint));
    CHECK_TEXT(run, seen_header(&endpoint, "webhook-id"));
    CHECK_TEXT(quoted, seen_header(&endpoint, "Idempotency-Key"));
    CHECK_TEXT("nightly", seen_header(&endpoint, "Punctual-Task"));
    CHECK_TEXT("2", seen_header(&endpoint, "Punctual-Attempt"));
    CHECK_TEXT("7", seen_header(&endpoint, "Punctual-Fence"));
    CHECK_TEXT(moment, seen_header(&endpoint, "Punctual-Scheduled-For"));
    CHECK_TEXT("application/json", seen_header(&endpoint, "Content-Type"));
    CHECK_TEXT("Punctual/" PUNCTUAL_VERSION, seen_header(&endpoint, "User-Agent"));
    CHECK(!seen_header(&endpoint, "Expect"));
    CHECK(!seen_header(&endpoint, "Accept-Encoding"));
    int64_t timestamp = atoll(seen_header(&endpoint, "webhook-timestamp"));
    CHECK(llabs(timestamp - wall_now().us / SECOND) <= 2);
    struct signing_key *key = NULL;
    struct buffer signature;
    buffer_init(&signature, 200);
    CHECK_INT(STATUS_OK, signing_key_read(secret.keys[0], &key, why, sizeof why));
    signing_key_sign(key, run, timestamp, task.payload, task.payload_size, &signature);
    CHECK_TEXT(buffer_string(&signature), seen_header(&endpoint, "webhook-signature"));
    signing_key_free(key);
    buffer_done(&signature);
    message_free(report);
    end_with_endpoint();
}

TEST(a_success_is_reported_with_all_its_numbers)
{
    begin_with("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nCache-Status: Edge; "
               "fwd=miss\r\nCache-Status: B;hit\r\n"
               "Server-Timing: db;dur=53;desc=\"6 queries\"\r\n\r\nok");
    struct message *report = attempt(&task);
    struct attempt *a = &report->attempt;
    CHECK_OUTCOME(ATTEMPT_SUCCEEDED, report);
    CHECK_INT(200, a->status);
    CHECK_INT(2, a->number);
    CHECK_INT(7, a->fence);
    CHECK(!a->error);
    CHECK_TEXT("ok", a->response);
    CHECK_INT(2, a->response_size);
    CHECK(a->lateness_us >= 0 && a->lateness_us < SECOND);
    CHECK(a->response_time_us > 0 && a->dns_us >= 0 && a->connect_us > 0 && a->first_byte_us > 0);
    CHECK(a->response_time_us >= a->connect_us + a->first_byte_us);
    CHECK_INT(-1, a->tls_us);
    CHECK_INT(CACHE_WARM, a->cache);
    CHECK_INT(6, a->db_calls);
    CHECK_INT(53000, a->db_time_us);
    CHECK_INT(-1, a->retry_after_us);
    message_free(report);
    end_with_endpoint();
}

TEST(one_trace_belongs_to_a_run_and_each_attempt_has_its_own_parent)
{
    begin_with(OK_200);
    char first[64], second[64];
    struct order *order = order_for(&task, wall_now());
    post(order);
    message_free(next_report());
    snprintf(first, sizeof first, "%s", seen_header(&endpoint, "traceparent"));
    last_run--;
    order = order_for(&task, wall_now());
    order->number = 3;
    post(order);
    message_free(next_report());
    snprintf(second, sizeof second, "%s", seen_header(&endpoint, "traceparent"));
    CHECK_INT(55, strlen(first));
    CHECK(strncmp(first, "00-", 3) == 0 && is_hex(first + 3, 32) && is_hex(first + 36, 16));
    CHECK_TEXT("-01", first + 52);
    CHECK(strncmp(first, second, 36) == 0);
    CHECK(strncmp(first + 36, second + 36, 16) != 0);
    message_free(attempt(&task));
    CHECK(strncmp(first, seen_header(&endpoint, "traceparent"), 35) != 0);
    end_with_endpoint();
}

TEST(a_rotating_secret_signs_twice)
{
    begin_with(OK_200);
    dispatcher_stop(dispatcher);
    secret.keys[1] = signing_secret_new();
    start();
    message_free(attempt(&task));
    const char *signatures = seen_header(&endpoint, "webhook-signature");
    CHECK_INT(2 * 47 + 1, strlen(signatures));
    CHECK_HAS(" v1,", signatures);
    end_with_endpoint();
    free(secret.keys[1]);
}

TEST(a_task_may_not_override_what_the_delivery_says)
{
    struct pair headers[] = {{"X-Team", "billing"},      {"Content-Type", "application/x-own"},
                             {"user-agent", "mine"},     {"Webhook-Id", "forged"},
                             {"PUNCTUAL-FENCE", "99"},   {"idempotency-key", "forged"},
                             {"traceparent", "forged"},  {"Content-Length", "1"},
                             {"Transfer-Encoding", "x"}, {"Host", "forged"},
                             {"webhook-more", "forged"}, {"X-Empty", ""}};
    begin_with(OK_200);
    task.target.http.headers = headers;
    task.target.http.header_count = sizeof headers / sizeof headers[0];
    struct message *report = attempt(&task);
    CHECK_OUTCOME(ATTEMPT_SUCCEEDED, report);
    CHECK(!strstr(buffer_string(&endpoint.seen), "forged"));
    CHECK_TEXT("billing", seen_header(&endpoint, "X-Team"));
    CHECK_TEXT("application/x-own", seen_header(&endpoint, "Content-Type"));
    CHECK_TEXT("mine", seen_header(&endpoint, "User-Agent"));
    CHECK_TEXT("", seen_header(&endpoint, "X-Empty"));
    CHECK_TEXT("7", seen_header(&endpoint, "Punctual-Fence"));
    CHECK(!seen_header(&endpoint, "Transfer-Encoding"));
    message_free(report);
    end_with_endpoint();
}

TEST(a_header_with_a_line_break_is_never_sent)
{
    struct pair header = {"X-Team", "a\r\nX-Forged: b"};
    begin_with(OK_200);
    task.target.http.headers = &header;
    task.target.http.header_count = 1;
    struct message *report = attempt(&task);
    CHECK_OUTCOME(ATTEMPT_REFUSED, report);
    CHECK_HAS("one line", report->attempt.error);
    CHECK_INT(0, atomic_load(&endpoint.requests));
    message_free(report);
    end_with_endpoint();
}

TEST(the_method_decides_whether_there_is_a_body)
{
    static const struct {
        char *method, *payload;
        const char *body, *length, *type;
    } rows[] = {
        {"GET", "{}", "", NULL, NULL},
        {"HEAD", "{}", "", NULL, NULL},
        {"POST", "{}", "{}", "2", "application/json"},
        {"PUT", "[1]", "[1]", "3", "application/json"},
        {"PATCH", "{}", "{}", "2", "application/json"},
        {"DELETE", "{}", "{}", "2", "application/json"},
        {"POST", NULL, "", "0", NULL},
        {"DELETE", NULL, "", NULL, NULL},
        {"PUT", NULL, "", "0", NULL},
        {"GET", NULL, "", NULL, NULL},
    };
    begin_with("HTTP/1.1 204 No Content\r\n\r\n");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char first[40];
        test_row = rows[i].method;
        task.target.http.method = rows[i].method;
        task.payload = rows[i].payload;
        task.payload_size = rows[i].payload ? strlen(rows[i].payload) : 0;
        struct message *report = attempt(&task);
        CHECK_OUTCOME(ATTEMPT_SUCCEEDED, report);
        snprintf(first, sizeof first, "%s /hook HTTP/1.1\r\n", rows[i].method);
        CHECK(strncmp(buffer_string(&endpoint.seen), first, strlen(first)) == 0);
        CHECK_TEXT(rows[i].body, seen_body(&endpoint));
        const char *length = seen_header(&endpoint, "Content-Length");
        const char *type = seen_header(&endpoint, "Content-Type");
        CHECK_TEXT(rows[i].length ? rows[i].length : "-", length ? length : "-");
        CHECK_TEXT(rows[i].type ? rows[i].type : "-", type ? type : "-");
        message_free(report);
    }
    end_with_endpoint();
}

TEST(
    the_payload_of_the_order_comes_before_the_one_of_the_task_and_the_body_of_the_target_before_both)
{
    begin_with(OK_200);
    struct order *order = order_for(&task, wall_now());
    order->payload = memory_text("{\"n\":1}");
    order->payload_size = 7;
    post(order);
    message_free(next_report());
    CHECK_TEXT("{\"n\":1}", seen_body(&endpoint));
    task.target.http.body = "plain words";
    message_free(attempt(&task));
    CHECK_TEXT("plain words", seen_body(&endpoint));
    CHECK_TEXT("text/plain; charset=utf-8", seen_header(&endpoint, "Content-Type"));
    end_with_endpoint();
}

TEST(a_one_off_has_no_task_header)
{
    begin_with(OK_200);
    task.name = NULL;
    message_free(attempt(&task));
    CHECK(!seen_header(&endpoint, "Punctual-Task"));
    end_with_endpoint();
}

TEST(an_endpoint_may_say_whether_to_try_again)
{
    static const struct {
        const char *answer;
        bool final, explained;
    } rows[] = {
        {"HTTP/1.1 422 x\r\nPunctual-Outcome: failed\r\nContent-Length: 0\r\n\r\n", true, true},
        {"HTTP/1.1 500 x\r\npunctual-outcome: Failed \r\nContent-Length: 0\r\n\r\n", true, true},
        {"HTTP/1.1 500 x\r\nPunctual-Outcome: retry\r\nContent-Length: 0\r\n\r\n", false, true},
        {"HTTP/1.1 500 x\r\nPunctual-Outcome: failure\r\nContent-Length: 0\r\n\r\n", false, false},
        {"HTTP/1.1 500 x\r\nPunctual-Outcome:\r\nContent-Length: 0\r\n\r\n", false, false},
        {"HTTP/1.1 103 x\r\nPunctual-Outcome: failed\r\n\r\nHTTP/1.1 500 x\r\nContent-Length: "
         "0\r\n\r\n",
         false, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        test_row = rows[i].answer;
        begin_with(rows[i].answer);
        struct message *report = attempt(&task);
        CHECK_OUTCOME(ATTEMPT_FAILED, report);
        CHECK_INT(rows[i].final, report->attempt.final);
        CHECK_INT(rows[i].explained, report->attempt.explained);
        message_free(report);
        end_with_endpoint();
    }
}

// What an attempt's error says of an answer of 422 with this body, and what was expected of it.
static void check_words(const char *words, const char *outcome, const char *body)
{
    size_t size = strlen(body) + 200;
    char *answer = memory_new(size);
    snprintf(answer, size, "HTTP/1.1 422 x\r\n%sContent-Length: %zu\r\n\r\n%s", outcome,
             strlen(body), body);
    begin_with(answer);
    struct message *report = attempt(&task);
    CHECK_OUTCOME(ATTEMPT_FAILED, report);
    CHECK_TEXT(words, report->attempt.error);
    CHECK_INT(strlen(body) < 4096 ? strlen(body) : 4096, report->attempt.response_size);
    message_free(report);
    end_with_endpoint();
    free(answer);
}

#define FAILED "Punctual-Outcome: failed\r\n"
#define RETRY "Punctual-Outcome: retry\r\n"
#define ANSWERED "answered 422 Unprocessable Content"
#define AS_EVER ANSWERED "; expected 200 to 299"

TEST(a_failure_that_is_explained_is_told_in_the_words_of_the_endpoint)
{
    static const struct {
        const char *outcome, *body, *words;
    } rows[] = {
        {FAILED, "{\"detail\":\"there is no such customer\"}",
         ANSWERED ": there is no such customer"},
        {RETRY, "{\"status\":422,\"detail\":\"it is closed \\u00FCber Mittag\"}\n",
         ANSWERED ": it is closed \u00FCber Mittag"},
        {"", "{\"detail\":\"there is no such customer\"}", AS_EVER},
        {"Punctual-Outcome: lost\r\n", "{\"detail\":\"gone\"}", AS_EVER},
        {FAILED, "{\"title\":\"Failed for good\"}", AS_EVER},
        {FAILED, "{\"detail\":17}", AS_EVER},
        {FAILED, "{\"detail\":null}", AS_EVER},
        {FAILED, "{\"detail\":[\"no\"]}", AS_EVER},
        {FAILED, "{\"detail\":\"\"}", AS_EVER},
        {FAILED, "{\"detail\":\" \\n\\u0007\"}", AS_EVER},
        {FAILED, "[\"detail\"]", AS_EVER},
        {FAILED, "\"detail\"", AS_EVER},
        {FAILED, "{\"detail\":\"half", AS_EVER},
        {FAILED, "{\"detail\":\"not \xFF UTF-8\"}", AS_EVER},
        {FAILED, "no such customer", AS_EVER},
        {FAILED, "", AS_EVER},
        {FAILED, "{\"detail\":\"\\u001B[31mred\\r\\n\\t and\\u007F\\u0085blue\\u001b\"}",
         ANSWERED ": [31mred and blue"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        test_row = rows[i].body;
        check_words(rows[i].words, rows[i].outcome, rows[i].body);
    }
}

// A problem document whose detail is `before`, then `fill` so many times, then `after`.
static char *long_detail(const char *before, const char *fill, size_t times, const char *after)
{
    struct buffer body;
    buffer_init(&body, 1 << 20);
    buffer_format(&body, "{\"detail\":\"%s", before);
    for (size_t i = 0; i < times; i++)
        buffer_text(&body, fill);
    buffer_format(&body, "%s\"}", after);
    return buffer_take(&body, NULL);
}

TEST(long_words_of_an_endpoint_are_cut_behind_a_whole_character)
{
    static const struct {
        const char *before, *fill;
        size_t times;
        const char *after, *end; // of what is told
        size_t size;
    } rows[] = {
        {"", "x", 300, "", "xxx", 300},
        {"", "x", 301, "", "xxx...", 303},
        {"", "x", 298, "\u20AC", "xxx...", 301}, // three bytes
        {"", "x", 297, "\u20AC", "x\u20AC", 300},
        {"x", "\u00FC", 200, "", "\u00FC...", 302},
        {"", "x", 299, " end", "xxx...", 302},
        {"", "x", 5000, "", "xxx...", 303}, // longer than what is recorded
        {"", "x", 60000, "", "xxx...", 303},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char *body = long_detail(rows[i].before, rows[i].fill, rows[i].times, rows[i].after);
        char *said = body + strlen("{\"detail\":\""), words[500];
        bool cut = rows[i].size > 300;
        int kept = (int)rows[i].size - (cut ? 3 : 0);
        snprintf(words, sizeof words, ANSWERED ": %.*s%s", kept, said, cut ? "..." : "");
        size_t end = strlen(words) - strlen(rows[i].end);
        CHECK_TEXT(rows[i].end, words + end);
        check_words(words, FAILED, body);
        free(body);
    }
}

TEST(of_a_body_that_is_too_long_nothing_is_told)
{
    char *body = long_detail("", "x", 70000, "");
    check_words(AS_EVER, FAILED, body);
    free(body);
}

TEST(an_answer_that_misses_what_is_expected_has_failed)
{
    static const struct {
        const char *answer, *error;
        int status;
        bool gone;
        int64_t retry_after_us;
    } rows[] = {
        {"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n",
         "answered 500 Internal Server Error; expected 200 to 299", 500, false, -1},
        {"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
         "answered 302 Found; expected 200 to 299 (redirects are not followed)", 302, false, -1},
        {"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n", "answered 410 Gone", 410, true, -1},
        {"HTTP/1.1 503 x\r\nRetry-After: 120\r\nContent-Length: 0\r\n\r\n", "answered 503", 503,
         false, 120 * SECOND},
        {"HTTP/1.1 429 x\r\nRetry-After: Wed, 21 Oct 2015 07:28:00 GMT\r\nContent-Length: "
         "0\r\n\r\n",
         "answered 429", 429, false, 0},
        {"HTTP/1.1 429 x\r\nRetry-After: soon\r\nContent-Length: 0\r\n\r\n", "answered 429", 429,
         false, -1},
        {"HTTP/1.1 429 x\r\nRetry-After: 99999999999999999999\r\nContent-Length: 0\r\n\r\n",
         "answered 429", 429, false, 999999999 * SECOND},
        {"HTTP/1.1 103 Early Hints\r\nRetry-After: 9\r\n\r\nHTTP/1.1 404 x\r\nContent-Length: "
         "0\r\n\r\n",
         "answered 404 Not Found", 404, false, -1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        test_row = rows[i].answer;
        begin_with(rows[i].answer);
        struct message *report = attempt(&task);
        CHECK_OUTCOME(ATTEMPT_FAILED, report);
        CHECK_HAS(rows[i].error, report->attempt.error);
        CHECK_INT(rows[i].status, report->attempt.status);
        CHECK_INT(rows[i].gone, report->attempt.gone);
        CHECK_INT(rows[i].retry_after_us, report->attempt.retry_after_us);
        message_free(report);
        end_with_endpoint();
    }
}

TEST(what_is_expected_of_header_and_json_is_looked_at)
{
    struct pair header = {"X-Result", "done"};
    struct json_place place;
    begin_with("HTTP/1.1 200 OK\r\nx-result: done\r\nContent-Length: 12\r\n\r\n{\"ok\":false}");
    options.response_max = 4;
    CHECK_INT(STATUS_OK, json_read("{\"/ok\":true}", 12, &task.expect.json, &place));
    task.expect.headers = &header;
    task.expect.header_count = 1;
    struct message *report = attempt(&task);
    CHECK_OUTCOME(ATTEMPT_FAILED, report);
    CHECK_TEXT("/ok is false; expected true", report->attempt.error);
    CHECK_TEXT("{\"ok", report->attempt.response); // cut for the record, not for the check
    message_free(report);
    header.value = "other";
    report = attempt(&task);
    CHECK_TEXT("header X-Result is \"done\"; expected \"other\"", report->attempt.error);
    message_free(report);
    json_decref(task.expect.json);
    end_with_endpoint();
}

TEST(an_answer_that_does_not_come_in_time_is_unknown)
{
    begin_with(NULL);
    task.timeout_us = 150 * MILLISECOND;
    steady before = steady_now();
    struct message *report = attempt(&task);
    int64_t took = steady_now().us - before.us;
    CHECK_OUTCOME(ATTEMPT_TIMED_OUT, report);
    CHECK_TEXT("no complete answer within 150ms", report->attempt.error);
    CHECK(took >= 140 * MILLISECOND && took < 2 * SECOND);
    CHECK_INT(-1, report->attempt.status);
    CHECK(report->attempt.response_time_us >= 140 * MILLISECOND);
    CHECK(!report->attempt.response);
    message_free(report);
    end_with_endpoint();
}

TEST(an_endpoint_that_cannot_be_reached_got_nothing)
{
    begin_with(OK_200);
    // A port that was just free, and is not listened on.
    int probe = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    CHECK(bind(probe, (struct sockaddr *)&address, size) == 0);
    CHECK(getsockname(probe, (struct sockaddr *)&address, &size) == 0);
    char url[64];
    snprintf(url, sizeof url, "http://127.0.0.1:%d/", ntohs(address.sin_port));
    task.target.http.url = url;
    struct message *report = attempt(&task);
    CHECK_OUTCOME(ATTEMPT_UNREACHABLE, report);
    CHECK_TEXT("cannot connect: Connection refused", report->attempt.error);
    CHECK_INT(-1, report->attempt.first_byte_us);
    message_free(report);
    close(probe);
    task.target.http.url = "http://punctual.invalid/";
    report = attempt(&task);
    CHECK_OUTCOME(ATTEMPT_UNREACHABLE, report);
    CHECK_HAS("has no address", report->attempt.error);
    message_free(report);
    task.target.http.url = "http://[::1/";
    report = attempt(&task);
    CHECK_OUTCOME(ATTEMPT_REFUSED, report);
    message_free(report);
    end_with_endpoint();
}

TEST(a_connection_that_closes_in_the_middle_leaves_it_unknown)
{
    static const struct {
        const char *answer, *error;
    } rows[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", "before the answer was complete"},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhal",
         "before the answer was complete"},
        {"", "before an answer came"},
        {"HTTP/1.1 200 OK\r\nContent-", "before"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        test_row = rows[i].answer;
        begin_with(rows[i].answer);
        endpoint.closes = true;
        endpoint.silent_after = *rows[i].answer ? 0 : 1;
        struct message *report = attempt(&task);
        CHECK_OUTCOME(ATTEMPT_BROKEN, report);
        CHECK_HAS(rows[i].error, report->attempt.error);
        message_free(report);
        end_with_endpoint();
    }
}

TEST(a_request_is_never_sent_twice_when_a_kept_connection_closes)
{
    begin_with(OK_200);
    endpoint.silent_after = 2; // takes the second request, and closes
    message_free(attempt(&task));
    struct message *report = attempt(&task);
    CHECK_OUTCOME(ATTEMPT_BROKEN, report);
    CHECK_HAS("closed before an answer came", report->attempt.error);
    poll(NULL, 0, 50);
    CHECK_INT(2, atomic_load(&endpoint.requests));
    message_free(report);
    task.payload = NULL; // nor one without a body, which libcurl would send again more readily
    report = attempt(&task);
    CHECK_OUTCOME(ATTEMPT_BROKEN, report);
    CHECK_INT(3, atomic_load(&endpoint.requests));
    message_free(report);
    end_with_endpoint();
}

TEST(a_connection_is_used_again_and_costs_nothing_then)
{
    begin_with(OK_200);
    for (int i = 0; i < 5; i++) {
        struct message *report = attempt(&task);
        CHECK_OUTCOME(ATTEMPT_SUCCEEDED, report);
        if (i > 0) {
            CHECK_INT(0, report->attempt.dns_us);
            CHECK_INT(0, report->attempt.connect_us);
        }
        message_free(report);
    }
    CHECK_INT(1, atomic_load(&endpoint.connections));
    end_with_endpoint();
}

TEST(a_connection_that_was_closed_while_idle_is_replaced)
{
    begin_with(OK_200);
    endpoint.closes = true;
    for (int i = 0; i < 3; i++) {
        struct message *report = attempt(&task);
        CHECK_OUTCOME(ATTEMPT_SUCCEEDED, report);
        message_free(report);
        poll(NULL, 0, 20);
    }
    CHECK_INT(3, atomic_load(&endpoint.connections));
    end_with_endpoint();
}

TEST(an_endless_body_is_cut_off_and_the_answer_counts)
{
    begin_with("HTTP/1.1 200 OK\r\n\r\n0123456789012345678901234567890123456789");
    endpoint.endless = true;
    struct message *report = attempt(&task);
    CHECK_OUTCOME(ATTEMPT_SUCCEEDED, report);
    CHECK_INT(4096, report->attempt.response_size);
    message_free(report);
    end_with_endpoint();
}

TEST(a_huge_header_is_cut_off)
{
    char *many = memory_new(200 << 10), *lines = many;
    lines += sprintf(lines, "HTTP/1.1 200 OK\r\n");
    for (int i = 0; i < 2000; i++)
        lines += sprintf(lines, "X-%d: 0123456789012345678901234567890123456789\r\n", i);
    sprintf(lines, "Content-Length: 0\r\n\r\n");
    char *one = memory_new(200 << 10);
    memset(one + sprintf(one, "HTTP/1.1 200 OK\r\nX-Long: "), 'x', 150 << 10);
    const char *rows[] = {many, one};
    for (size_t i = 0; i < 2; i++) {
        begin_with(rows[i]);
        endpoint.closes = true;
        struct message *report = attempt(&task);
        CHECK_OUTCOME(ATTEMPT_FAILED, report);
        CHECK_HAS("larger than 64 KiB", report->attempt.error);
        message_free(report);
        end_with_endpoint();
    }
    free(many);
    free(one);
}

TEST(an_answer_that_is_not_http_has_failed)
{
    begin_with("SSH-2.0-OpenSSH_9.2\r\n");
    endpoint.closes = true;
    struct message *report = attempt(&task);
    CHECK_OUTCOME(ATTEMPT_FAILED, report);
    message_free(report);
    end_with_endpoint();
}

TEST(server_timing_in_a_trailer_counts)
{
    begin_with("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Server-Timing\r\n\r\n"
               "2\r\nok\r\n0\r\nServer-Timing: db;dur=5;desc=\"3 queries\"\r\n\r\n");
    struct message *report = attempt(&task);
    CHECK_OUTCOME(ATTEMPT_SUCCEEDED, report);
    CHECK_INT(3, report->attempt.db_calls);
    CHECK_INT(5000, report->attempt.db_time_us);
    CHECK_TEXT("ok", report->attempt.response);
    message_free(report);
    end_with_endpoint();
}

TEST(a_target_that_is_not_allowed_is_refused_before_anything_is_sent)
{
    begin_with(OK_200);
    dispatcher_stop(dispatcher);
    options.allow_loopback = false;
    start();
    struct message *report = attempt(&task);
    CHECK_OUTCOME(ATTEMPT_REFUSED, report);
    CHECK_TEXT("127.0.0.1 is a loopback address; allow it with allow_targets in the configuration",
               report->attempt.error);
    CHECK_INT(0, atomic_load(&endpoint.connections));
    message_free(report);
    task.target.http.url = "http://localhost:1/"; // the address counts, not the name
    report = attempt(&task);
    CHECK_OUTCOME(ATTEMPT_REFUSED, report);
    message_free(report);
    end_with_endpoint();
}

TEST(an_unknown_secret_is_refused_rather_than_not_signed)
{
    begin_with(OK_200);
    task.signing_secret = "billing";
    struct message *report = attempt(&task);
    CHECK_OUTCOME(ATTEMPT_REFUSED, report);
    CHECK_TEXT("the signing secret \"billing\" is not in the server's configuration",
               report->attempt.error);
    message_free(report);
    dispatcher_stop(dispatcher);
    options.secret_count = 0;
    start();
    task.signing_secret = NULL;
    report = attempt(&task);
    CHECK_OUTCOME(ATTEMPT_REFUSED, report);
    CHECK_HAS("the default signing secret", report->attempt.error);
    message_free(report);
    CHECK_INT(0, atomic_load(&endpoint.requests));
    end_with_endpoint();
}

TESTS_MAIN
