// The real front over loopback, with a thread in the place of the scheduler that answers every
// message.
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

static void remember(const struct message *m)
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

static void answer(struct message *m)
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

static void *schedule(void *context)
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

static void begin_with(const char *api_key)
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

static void begin(void)
{
    begin_with(NULL);
}

static void end(void)
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

static int dial(void)
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

static void say(int fd, const char *text, size_t size)
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
static const char *hear(int fd, bool has_body, const char *until)
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

static int code(const char *answer_text)
{
    return strncmp(answer_text, "HTTP/1.1 ", 9) == 0 ? atoi(answer_text + 9) : 0;
}

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
    CHECK_HAS("Content-Length: 11", text);
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
    CHECK_INT(400, code(ask("PUT", "/v1/tasks/a", "If-Match: \"a\"\r\n", body)));
    CHECK_INT(400, code(ask("PUT", "/v1/tasks/a", "If-None-Match: \"3\"\r\n", body)));
    CHECK_INT(400,
              code(ask("PUT", "/v1/tasks/a", "If-None-Match: *\r\nIf-Match: \"1\"\r\n", body)));
    CHECK_INT(412, code(ask("PUT", "/v1/tasks/a", "If-Match: *\r\n", body))); // there is none
    end();
}

// --- reads ---

static void keep_task(const char *name, const char *definition)
{
    struct task_record record = {.name = memory_text(name), .paused_at = WALL_NONE};
    struct edit edit = {.at = wall_now(), .author = "ann", .note = "first", .changed = "[]"};
    record.created_at = record.changed_at = edit.at;
    record.definition = memory_text(definition);
    record.definition_size = strlen(definition);
    CHECK_INT(STATUS_OK, store_begin(store));
    CHECK_INT(STATUS_OK, store_save_task(store, &record, &edit));
    CHECK_INT(STATUS_OK, store_commit(store));
    task_record_done(&record);
}

TEST(a_stored_task_is_shown_with_its_next_instants)
{
    begin();
    keep_task("nightly", "{\"schedule\":{\"cron\":\"30 2 * * *\",\"timezone\":\"Europe/Berlin\"},"
                         "\"http\":{\"url\":\"http://x.example/\"}}");
    const char *text = ask("GET", "/v1/tasks/nightly", "", NULL);
    CHECK_INT(200, code(text));
    CHECK_HAS("ETag: \"1\"", text);
    CHECK_HAS("\"next\":[\"20", text);
    CHECK_HAS("\"figures\":{\"attempts\":0,\"failed\":0,\"error_rate\":null,\"p50_ms\":null", text);
    CHECK_HAS("\"paused\":null", text);
    text = ask("GET", "/v1/tasks/nightly/upcoming?from=2026-03-28T00:00:00Z&limit=2", "", NULL);
    CHECK_HAS("{\"at\":\"2026-03-28T01:30:00.000Z\",\"local\":\"2026-03-28T02:30:00+01:00\"", text);
    CHECK_HAS("{\"at\":\"2026-03-29T01:00:00.000Z\",\"local\":\"2026-03-29T03:00:00+02:00\"", text);
    CHECK(!strstr(text, "2026-03-30"));
    text = ask("GET", "/v1/tasks/nightly/revisions", "", NULL);
    CHECK_HAS("\"author\":\"ann\",\"note\":\"first\"", text);
    CHECK_INT(404, code(ask("GET", "/v1/tasks/daily", "", NULL)));
    CHECK_INT(404, code(ask("GET", "/v1/tasks/daily/upcoming", "", NULL)));
    CHECK_INT(404, code(ask("GET", "/v1/tasks/daily/revisions", "", NULL)));
    end();
}

TEST(a_patch_is_laid_over_the_stored_definition)
{
    begin();
    keep_task("nightly",
              "{\"schedule\":{\"every\":\"1m\"},\"http\":{\"url\":\"http://x.example/\"}}");
    const char *merge = "Content-Type: application/merge-patch+json\r\n";
    CHECK_INT(201, code(ask("PATCH", "/v1/tasks/nightly", merge, "{\"timeout\":\"5s\"}")));
    const char *text = ask("PATCH", "/v1/tasks/nightly", merge, "{\"http\":null}");
    CHECK_INT(400, code(text));
    CHECK_INT(400, code(ask("PATCH", "/v1/tasks/nightly", merge, "[]")));
    CHECK_INT(404, code(ask("PATCH", "/v1/tasks/daily", merge, "{}")));
    CHECK_INT(412, code(ask("PATCH", "/v1/tasks/nightly", "If-Match: \"9\"\r\n", "{}")));
    CHECK_INT(1, atomic_load(&posted));
    end();
}

TEST(lists_go_on_at_their_cursor)
{
    begin();
    const char *definition = "{\"http\":{\"url\":\"http://x.example/\"}}";
    keep_task("a", definition);
    keep_task("b", definition);
    keep_task("c", definition);
    const char *text = ask("GET", "/v1/tasks?limit=2", "", NULL);
    CHECK_HAS("\"name\":\"b\"", text);
    CHECK(!strstr(text, "\"name\":\"c\""));
    const char *cursor = strstr(text, "\"next_cursor\":\"");
    CHECK(cursor);
    char target[200];
    snprintf(target, sizeof target, "/v1/tasks?cursor=%.*s", (int)strcspn(cursor + 15, "\""),
             cursor + 15);
    text = ask("GET", target, "", NULL);
    CHECK_HAS("\"name\":\"c\"", text);
    CHECK(!strstr(text, "\"name\":\"b\""));
    CHECK_HAS("\"next_cursor\":null", text);
    CHECK_HAS("{\"runs\":[],\"next_cursor\":null}", ask("GET", "/v1/runs", "", NULL));
    CHECK_INT(404, code(ask("GET", "/v1/runs?task=nobody", "", NULL)));
    CHECK_INT(404, code(ask("GET", "/v1/runs/run_0c4x9k2m1p7qz", "", NULL)));
    CHECK_INT(404, code(ask("GET", "/v1/runs/17", "", NULL)));
    end();
}

TEST(readiness_names_what_fails)
{
    begin();
    CHECK_INT(200, code(ask("GET", "/ready", "", NULL)));
    pulse_publish(&pulse, &(struct pulse_values){.store_ok = false, .last_turn = steady_now()});
    const char *text = ask("GET", "/ready", "", NULL);
    CHECK_INT(503, code(text));
    CHECK_HAS("{\"ready\":false,\"checks\":{\"store\":{\"ok\":false", text);
    pulse_publish(&pulse, &(struct pulse_values){
                              .store_ok = true, .lag_us = 11 * SECOND, .last_turn = steady_now()});
    CHECK_HAS("\"lag\":{\"ok\":false", ask("GET", "/ready", "", NULL));
    steady old = {steady_now().us - 6 * SECOND};
    pulse_publish(&pulse, &(struct pulse_values){.store_ok = true, .last_turn = old});
    CHECK_HAS("\"scheduler\":{\"ok\":false", ask("GET", "/ready", "", NULL));
    steady lately = {steady_now().us - SECOND};
    pulse_publish(&pulse, &(struct pulse_values){.store_ok = true,
                                                 .last_turn = steady_now(),
                                                 .clock_step_us = -3 * SECOND,
                                                 .clock_stepped = lately});
    text = ask("GET", "/ready", "", NULL);
    CHECK_INT(200, code(text));
    CHECK_HAS("\"step_ms\":-3000", text);
    end();
}

// --- events ---

static void journal(int64_t turn, const char *events)
{
    CHECK_INT(STATUS_OK, store_begin(store));
    CHECK_INT(STATUS_OK, store_add_journal(store, turn, wall_now(), events, strlen(events)));
    CHECK_INT(STATUS_OK, store_commit(store));
    front_events(front, turn);
}

TEST(events_are_streamed_as_the_journal_grows)
{
    begin();
    journal(5, "{\"type\":\"task.created\",\"task\":\"old\"}\n");
    int fd = dial();
    ask_on(fd, "GET", "/v1/events", "", NULL);
    CHECK_HAS("text/event-stream", hear(fd, true, "retry: "));
    journal(
        6,
        "{\"type\":\"run.created\",\"task\":\"a\"}\n{\"type\":\"run.running\",\"task\":\"a\"}\n");
    const char *text = hear(fd, true, "id: 6-1");
    CHECK_HAS("id: 6-0\nevent: run.created\ndata: {\"type\":\"run.created\",\"task\":\"a\"}\n\n",
              text);
    CHECK(!strstr(text, "old"));
    journal(9, "{\"type\":\"run.succeeded\",\"task\":\"a\"}\n");
    CHECK_HAS("event: run.succeeded", hear(fd, true, "run.succeeded\",\"task\":\"a\"}"));
    close(fd);
    end();
}

TEST(events_go_on_where_the_client_stopped)
{
    begin();
    journal(5, "{\"type\":\"a\"}\n{\"type\":\"b\"}\n{\"type\":\"c\"}\n");
    journal(8, "{\"type\":\"d\"}\n");
    int fd = dial();
    ask_on(fd, "GET", "/v1/events", "Last-Event-ID: 5-1\r\n", NULL);
    const char *text = hear(fd, true, "id: 8-0");
    CHECK_HAS("id: 5-2\nevent: c", text);
    CHECK(!strstr(text, "event: b"));
    close(fd);
    fd = dial();
    ask_on(fd, "GET", "/v1/events?after=0&types=a,d", "", NULL);
    text = hear(fd, true, "id: 8-0");
    CHECK_HAS("id: 5-0\nevent: a", text);
    CHECK(!strstr(text, "event: b"));
    CHECK(!strstr(text, "event: gap"));
    close(fd);
    end();
}

TEST(a_client_that_missed_events_is_told_of_the_gap)
{
    begin();
    journal(50, "{\"type\":\"a\"}\n");
    int fd = dial();
    ask_on(fd, "GET", "/v1/events", "Last-Event-ID: 3-0\r\n", NULL);
    CHECK_HAS("event: gap\ndata: {\"type\":\"gap\",\"after\":3}", hear(fd, true, "id: 50-0"));
    close(fd);
    fd = dial(); // of another journal
    ask_on(fd, "GET", "/v1/events?after=99", "", NULL);
    CHECK_HAS("event: gap", hear(fd, true, "event: gap"));
    close(fd);
    end();
}

TEST(there_is_a_limit_of_streams)
{
    begin();
    int fds[STREAMS_MAX];
    for (int i = 0; i < STREAMS_MAX; i++) {
        fds[i] = dial();
        ask_on(fds[i], "GET", "/v1/events", "", NULL);
        CHECK_INT(200, code(hear(fds[i], true, "retry: ")));
    }
    const char *text = ask("GET", "/v1/events", "", NULL);
    CHECK_INT(503, code(text));
    CHECK_HAS("Retry-After: 15", text);
    for (int i = 0; i < STREAMS_MAX; i++)
        close(fds[i]);
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
