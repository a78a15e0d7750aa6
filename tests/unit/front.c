// How requests go through the front: answered, refused, limited; and how it starts and stops.
#include "front_fixture.h"

// --- what is asked and answered ---

TEST(health_is_served_without_a_scheduler)
{
    begin();
    const char *text = ask("GET", "/health", "", NULL);
    CHECK_INT(200, code(text));
    CHECK_HAS("{\"ok\":true}", text);
    CHECK_INT(0, atomic_load(&posted));
    end();
}

TEST(a_created_run_is_answered_after_its_reply_with_its_place)
{
    begin();
    const char *text = ask(
        "POST", "/v1/runs", "Punctual-Author: ann\r\nIdempotency-Key: \"k1\"\r\n",
        "{\"http\":{\"url\":\"http://127.0.0.1:9/\"},\"payload\":{\"a\": 1},\"delay\":\"10m\"}");
    CHECK_INT(201, code(text));
    CHECK_HAS("Location: /v1/runs/run_", text);
    CHECK_HAS("Content-Type: application/json", text);
    CHECK_HAS("X-Content-Type-Options: nosniff", text);
    CHECK_TEXT("{\"a\":1}", last_wish.payload);
    CHECK_TEXT("ann", last_author);
    CHECK_TEXT("k1", last_key);
    CHECK(last_wish.due_at.us > wall_now().us + 9 * MINUTE);
    end();
}

TEST(a_fingerprint_tells_one_request_from_another)
{
    begin();
    const char *body = "{\"task\":\"nightly\"}", *key = "Idempotency-Key: k\r\n";
    ask("POST", "/v1/runs", key, body);
    uint64_t first = last_fingerprint;
    ask("POST", "/v1/runs", key, body);
    CHECK(first == last_fingerprint);
    ask("POST", "/v1/runs", key, "{\"task\":\"daily\"}");
    CHECK(first != last_fingerprint);
    end();
}

TEST(a_defined_task_is_answered_with_tag_and_place)
{
    begin();
    const char *text =
        ask("PUT", "/v1/tasks/nightly", "Content-Type: application/json\r\n",
            "{\"http\":{\"url\":\"http://127.0.0.1:9/\"},\"schedule\":{\"every\":\"1m\"}}");
    CHECK_INT(201, code(text));
    CHECK_HAS("ETag: \"7\"", text);
    CHECK_HAS("Location: /v1/tasks/nightly\r\n", text);
    end();
}

TEST(what_the_scheduler_refuses_becomes_a_problem)
{
    static const struct {
        enum status status;
        int code;
    } rows[] = {{STATUS_NOT_FOUND, 404}, {STATUS_CONFLICT, 409},    {STATUS_STALE, 412},
                {STATUS_MISMATCH, 422},  {STATUS_UNAVAILABLE, 503}, {STATUS_FAILED, 500}};
    begin();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        answer_with = rows[i].status;
        const char *text = ask("DELETE", "/v1/tasks/nightly", "", NULL);
        CHECK_INT(rows[i].code, code(text));
        CHECK_HAS("application/problem+json", text);
        CHECK_HAS("\"detail\":\"said by the scheduler\"", text);
        CHECK_HAS("\"instance\":\"/v1/tasks/nightly\"", text);
    }
    end();
}

TEST(many_requests_go_over_one_connection)
{
    begin();
    int fd = dial();
    for (int i = 0; i < 200; i++) {
        ask_on(fd, "POST", "/v1/runs", "", "{\"task\":\"nightly\"}");
        CHECK_INT(201, code(hear(fd, true, NULL)));
    }
    CHECK_INT(200, atomic_load(&posted));
    close(fd);
    end();
}

TEST(many_connections_are_served_at_once)
{
    begin();
    int fds[200];
    for (int i = 0; i < 200; i++) {
        fds[i] = dial();
        CHECK(fds[i] >= 0);
        ask_on(fds[i], "POST", "/v1/runs", "", "{\"task\":\"nightly\"}");
    }
    for (int i = 0; i < 200; i++) {
        CHECK_INT(201, code(hear(fds[i], true, NULL)));
        close(fds[i]);
    }
    end();
}

TEST(head_has_the_headers_of_get_and_no_body)
{
    begin();
    const char *text = ask("HEAD", "/health", "", NULL);
    CHECK_INT(200, code(text));
    CHECK_HAS("Content-Length: 12", text);
    CHECK(!strstr(text, "{"));
    end();
}

TEST(an_unknown_path_is_404_and_an_unknown_method_405)
{
    begin();
    const char *text = ask("GET", "/v2/nothing", "", NULL);
    CHECK_INT(404, code(text));
    CHECK_HAS("/docs", text);
    text = ask("DELETE", "/v1/runs", "", NULL);
    CHECK_INT(405, code(text));
    CHECK_HAS("Allow: POST, GET, HEAD, OPTIONS\r\n", text);
    text = ask("OPTIONS", "/v1/tasks/nightly", "", NULL);
    CHECK_INT(200, code(text));
    CHECK_HAS("Allow: GET, HEAD, PUT, PATCH, DELETE, OPTIONS\r\n", text);
    end();
}

TEST(without_the_key_only_health_and_documents_answer)
{
    char key[40], header[80];
    snprintf(key, sizeof key, "k%llx", (unsigned long long)wall_now().us);
    begin_with(key);
    const char *text = ask("GET", "/v1/tasks", "", NULL);
    CHECK_INT(401, code(text));
    CHECK_HAS("WWW-Authenticate: Bearer", text);
    CHECK_INT(401, code(ask("GET", "/v1/tasks", "Authorization: Bearer other\r\n", NULL)));
    CHECK_INT(401, code(ask("POST", "/v1/runs", "", "{\"task\":\"nightly\"}")));
    CHECK_INT(401, code(ask("GET", "/metrics", "", NULL)));
    CHECK_INT(0, atomic_load(&posted));
    CHECK_INT(200, code(ask("GET", "/health", "", NULL)));
    CHECK_INT(200, code(ask("GET", "/docs", "", NULL)));
    CHECK_INT(200, code(ask("GET", "/openapi.json", "", NULL)));
    CHECK_INT(200, code(ask("GET", "/ready", "", NULL)));
    snprintf(header, sizeof header, "Authorization: Bearer %s\r\n", key);
    CHECK_INT(201, code(ask("POST", "/v1/runs", header, "{\"task\":\"nightly\"}")));
    end();
}

TEST(a_body_beyond_the_limit_is_413_however_it_comes)
{
    begin();
    size_t size = 80 << 10;
    char *body = memory_new(size + 1);
    memset(body, ' ', size);
    CHECK_INT(413, code(ask("POST", "/v1/runs", "", body)));
    int fd = dial();
    ask_on(fd, "POST", "/v1/runs", "Transfer-Encoding: chunked\r\n", NULL);
    for (int i = 0; i < 5; i++) {
        say(fd, "4000\r\n", 6);
        say(fd, body, 0x4000);
        say(fd, "\r\n", 2);
    }
    say(fd, "0\r\n\r\n", 5);
    CHECK_INT(413, code(hear(fd, true, NULL)));
    close(fd);
    fd = dial(); // a gigabyte is not waited for
    ask_on(fd, "POST", "/v1/runs", "Content-Length: 1000000000\r\n", NULL);
    CHECK_INT(413, code(hear(fd, true, NULL)));
    close(fd);
    CHECK_INT(0, atomic_load(&posted));
    free(body);
    end();
}

TEST(headers_beyond_the_limit_are_refused)
{
    begin();
    char line[1100];
    memset(line, 'h', sizeof line);
    int fd = dial();
    say(fd, "GET /health HTTP/1.1\r\nHost: x\r\n", 31);
    for (int i = 0; i < 60; i++) {
        int n = snprintf(line, sizeof line, "X-%d: ", i);
        line[n] = 'h';
        say(fd, line, 1000);
        say(fd, "\r\n", 2);
    }
    say(fd, "\r\n", 2);
    int got = code(hear(fd, true, NULL));
    CHECK(got == 431 || got == 413 || got == 0); // 0: closed while we still sent
    close(fd);
    CHECK_INT(200, code(ask("GET", "/health", "", NULL)));
    end();
}

TEST(another_type_of_content_is_415)
{
    begin();
    const char *text = ask("POST", "/v1/runs",
                           "Content-Type: application/x-www-form-urlencoded\r\n", "task=nightly");
    CHECK_INT(415, code(text));
    CHECK_HAS("application/json", text);
    CHECK_INT(415, code(ask("POST", "/v1/runs", "Content-Type: application/x-ndjson\r\n", "{}")));
    end();
}

TEST(malformed_json_is_answered_with_its_place)
{
    begin();
    const char *text = ask("POST", "/v1/runs", "", "{\"task\":\n  nightly}");
    CHECK_INT(400, code(text));
    CHECK_HAS("\"line\":2", text);
    CHECK_INT(400, code(ask("POST", "/v1/runs", "", "")));
    CHECK_INT(0, atomic_load(&posted));
    end();
}

TEST(what_makes_no_sense_is_400_and_names_the_place)
{
    static const struct {
        const char *method, *target, *body, *part;
    } rows[] = {
        {"POST", "/v1/runs", "[]", "must be an object"},
        {"POST", "/v1/runs", "{}", "must have \\\"task\\\""},
        {"POST", "/v1/runs", "{\"task\":7}", "\"/task\""},
        {"POST", "/v1/runs", "{\"task\":\"a\",\"http\":{}}", "\"/http\""},
        {"POST", "/v1/runs", "{\"task\":\"a\",\"delay\":\"soon\"}", "\"/delay\""},
        {"POST", "/v1/runs", "{\"task\":\"a\",\"delay\":5}", "\"/delay\""},
        {"POST", "/v1/runs",
         "{\"task\":\"a\",\"delay\":\"1m\",\"run_at\":\"2026-01-01T00:00:00Z\"}", "exclude"},
        {"POST", "/v1/runs", "{\"task\":\"a\",\"run_at\":\"2019-01-01T00:00:00Z\"}", "past"},
        {"POST", "/v1/runs", "{\"task\":\"a\",\"run_at\":\"2200-01-01T00:00:00Z\"}", "2200"},
        {"POST", "/v1/runs", "{\"schedule\":{},\"http\":{\"url\":\"http://x/\"}}", "\"/schedule\""},
        {"POST", "/v1/runs", "{\"http\":{\"uri\":\"http://x/\"}}", "\"/http"},
        {"POST", "/v1/runs/batch", "{}", "must be an array"},
        {"POST", "/v1/runs/batch", "[]", "1 to 10000"},
        {"POST", "/v1/runs/batch", "[{\"task\":\"a\"},{\"task\":\"a\",\"delay\":\"x\"}]",
         "\"/1/delay\""},
        {"POST", "/v1/tasks/a/pause", "{}", "\"/reason\""},
        {"POST", "/v1/tasks/a/pause", "{\"reason\":\" \"}", "\"/reason\""},
        {"POST", "/v1/tasks/a/runs", "{\"when\":1}", "\"/when\""},
        {"POST", "/v1/tasks/a/rollback", "{\"revision\":0}", "\"/revision\""},
        {"PUT", "/v1/tasks/Bad%20Name", "{}", "Bad Name"},
        {"PUT", "/v1/tasks/a", "{}", "\"errors\""},
        {"POST", "/v1/apply?dry_run=maybe", "{}", "\"parameter\":\"dry_run\""},
        {"POST", "/v1/apply", "{\"version\":2}", "\"/version\""},
        {"GET", "/v1/runs?limit=0", NULL, "\"parameter\":\"limit\""},
        {"GET", "/v1/runs?limt=5", NULL, "\"parameter\":\"limt\""},
        {"GET", "/v1/runs?state=over", NULL, "\"parameter\":\"state\""},
        {"GET", "/v1/runs?from=yesterday", NULL, "\"parameter\":\"from\""},
        {"GET", "/v1/runs?cursor=abc", NULL, "\"parameter\":\"cursor\""},
        {"GET", "/v1/tasks?limit=1&limit=2", NULL, "more than once"},
        {"GET", "/v1/events?after=x", NULL, "\"parameter\":\"after\""},
    };
    begin();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        test_row = rows[i].body ? rows[i].body : rows[i].target;
        const char *text = ask(rows[i].method, rows[i].target, "", rows[i].body);
        CHECK_INT(400, code(text));
        CHECK_HAS(rows[i].part, text);
    }
    CHECK_INT(0, atomic_load(&posted));
    end();
}

TEST(commands_are_forbidden_unless_the_configuration_allows_them)
{
    begin();
    CHECK_INT(403, code(ask("PUT", "/v1/tasks/a", "", "{\"command\":{\"argv\":[\"/bin/true\"]}}")));
    CHECK_INT(403, code(ask("POST", "/v1/runs", "", "{\"command\":{\"argv\":[\"/bin/true\"]}}")));
    CHECK_INT(
        403, code(ask("POST", "/v1/runs/batch", "", "[{\"command\":{\"argv\":[\"/bin/true\"]}}]")));
    CHECK_INT(
        403,
        code(ask("POST", "/v1/apply", "",
                 "{\"version\":1,\"tasks\":{\"a\":{\"command\":{\"argv\":[\"/bin/true\"]}}}}")));
    CHECK_INT(0, atomic_load(&posted));
    end();
}

TEST(equal_inline_definitions_share_one_task)
{
    begin();
    const char *body = "{\"http\":{\"url\":\"http://127.0.0.1:9/\"}}";
    int fd = dial(); // one connection stays on one thread
    ask_on(fd, "POST", "/v1/runs", "", body);
    hear(fd, true, NULL);
    const struct task *first = last_wish.target;
    ask_on(fd, "POST", "/v1/runs", "", body);
    CHECK_INT(201, code(hear(fd, true, NULL)));
    CHECK(first && first == last_wish.target);
    close(fd);
    end();
}

TEST(a_batch_comes_as_an_array_or_as_lines)
{
    begin();
    CHECK_INT(201, code(ask("POST", "/v1/runs/batch", "", "[{\"task\":\"a\"},{\"task\":\"b\"}]")));
    CHECK_INT(2, last_count);
    CHECK_INT(201, code(ask("POST", "/v1/runs/batch", "Content-Type: application/x-ndjson\r\n",
                            "{\"task\":\"a\"}\r\n\n{\"task\":\"b\"}\n{\"task\":\"c\"}")));
    CHECK_INT(3, last_count);
    const char *text = ask("POST", "/v1/runs/batch", "Content-Type: application/x-ndjson\r\n",
                           "{\"task\":\"a\"}\n\n{\"task\":\n{\"task\":\"c\",\"delay\":1}\n");
    CHECK_INT(400, code(text));
    CHECK_HAS("\"pointer\":\"/1\"", text);
    CHECK_HAS("\"line\":3", text);
    CHECK_HAS("\"pointer\":\"/2/delay\"", text);
    CHECK_HAS("\"line\":4", text);
    end();
}

TEST(a_set_comes_as_json_or_yaml)
{
    begin();
    CHECK_INT(
        200,
        code(ask("POST", "/v1/apply?dry_run=true&prune", "",
                 "{\"version\":1,\"tasks\":{\"a\":{\"http\":{\"url\":\"http://x.example/\"}}}}")));
    CHECK_INT(200, code(ask("POST", "/v1/apply", "Content-Type: application/yaml\r\n",
                            "version: 1\ntasks:\n  a:\n    http: {url: http://x.example/}\n")));
    const char *text =
        ask("POST", "/v1/apply", "Content-Type: text/yaml\r\n",
            "version: 1\ntasks:\n  a:\n    http: {url: http://x.example/}\n    timeot: 5s\n");
    CHECK_INT(400, code(text));
    CHECK_HAS("\"pointer\":\"/tasks/a/timeot\"", text);
    CHECK_HAS("\"line\":5", text);
    // A body never reads this server's environment.
    text = ask("POST", "/v1/apply", "Content-Type: text/yaml\r\n",
               "version: 1\ntasks:\n  a:\n    http: {url: \"http://x.example/${HOME}\"}\n");
    CHECK_INT(400, code(text));
    end();
}

TEST(an_expected_revision_is_read_from_the_headers)
{
    begin();
    const char *body = "{\"http\":{\"url\":\"http://x.example/\"}}";
    CHECK_INT(201, code(ask("PUT", "/v1/tasks/a", "If-Match: \"3\"\r\n", body)));
    CHECK_INT(201, code(ask("PUT", "/v1/tasks/a", "If-None-Match: *\r\n", body)));
    CHECK_INT(400, code(ask("PUT", "/v1/tasks/a", "If-Match: \"a\r\n", body)));
    CHECK_INT(400, code(ask("PUT", "/v1/tasks/a", "If-None-Match: \"3\"\r\n", body)));
    CHECK_INT(400,
              code(ask("PUT", "/v1/tasks/a", "If-None-Match: *\r\nIf-Match: \"1\"\r\n", body)));
    CHECK_INT(412, code(ask("PUT", "/v1/tasks/a", "If-Match: *\r\n", body))); // there is none
    end();
}

// --- starting and stopping ---

TEST(a_port_in_use_is_said_in_words)
{
    begin();
    char why[256] = "";
    struct front *second;
    struct front_options same = options;
    same.port = front_port(front);
    CHECK_INT(STATUS_FAILED, front_start(&same, &messages, &pulse, &second, why, sizeof why));
    CHECK_HAS("is in use", why);
    same.address = "localhost or so";
    CHECK_INT(STATUS_FAILED, front_start(&same, &messages, &pulse, &second, why, sizeof why));
    CHECK_HAS("address", why);
    end();
}

TEST(after_quiesce_open_connections_are_served_and_new_ones_refused)
{
    begin();
    int fd = dial();
    ask_on(fd, "GET", "/health", "", NULL);
    CHECK_INT(200, code(hear(fd, true, NULL)));
    front_quiesce(front);
    CHECK_INT(-1, dial());
    ask_on(fd, "POST", "/v1/runs", "", "{\"task\":\"nightly\"}");
    CHECK_INT(201, code(hear(fd, true, NULL)));
    close(fd);
    end();
}

TEST(a_message_that_nobody_takes_is_answered_when_the_front_stops)
{
    begin();
    atomic_store(&ending, true);
    pthread_join(scheduler, NULL);
    int fd = dial(), stream = dial();
    ask_on(stream, "GET", "/v1/events", "", NULL);
    hear(stream, true, "retry: ");
    ask_on(fd, "POST", "/v1/runs", "", "{\"task\":\"nightly\"}");
    struct pollfd inbox = {.fd = messages.fd, .events = POLLIN};
    CHECK_INT(1, poll(&inbox, 1, 5000));                            // it is posted
    CHECK_INT(0, pthread_create(&scheduler, NULL, schedule, NULL)); // ends at once: `ending` is set
    pthread_join(scheduler, NULL);
    front_stop(front);
    front = NULL;
    int got = code(hear(fd, true, NULL));
    CHECK(got == 503 || got == 0); // 0: the connection ended first; nothing was promised
    close(fd);
    close(stream);
    CHECK_INT(0, pthread_create(&scheduler, NULL, schedule, NULL));
    end();
}

TESTS_MAIN
