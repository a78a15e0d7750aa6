// The client against a fetch of its own: what is sent, and what the answers mean. No network.
#include "cli/client.h"

#include <unistd.h>

#include "cli/problem.h"
#include "dispatch/fetch.h"
#include "test.h"

// What the last call was asked for, and what it answers.
static struct {
    char url[512], headers[2048], body[256];
    enum status status;
    int code;
    const char *answer;
} wire;

enum status fetch(struct fetch *f)
{
    snprintf(wire.url, sizeof wire.url, "%s %s", f->method, f->url);
    wire.headers[0] = '\0';
    for (size_t i = 0; f->headers[i]; i++)
        snprintf(wire.headers + strlen(wire.headers), sizeof wire.headers - strlen(wire.headers),
                 "%s\n", f->headers[i]);
    snprintf(wire.body, sizeof wire.body, "%.*s", (int)f->body_size, f->body ? f->body : "");
    snprintf(f->why, sizeof f->why, "connection refused");
    if (wire.status == STATUS_OK) {
        f->status = wire.code;
        buffer_text(&f->answer, wire.answer);
    }
    return wire.status;
}

static const struct option_rule none[] = {{0}};
static char why[512];

static enum leave open_with(struct client *client, int argc, const char **argv)
{
    struct options options;
    CHECK_INT(STATUS_OK, options_read(&options, none, "", argc, (char **)argv, why, sizeof why));
    return client_open(client, &options, why, sizeof why);
}

#define OPEN(client, ...)                                                                   \
    open_with(client, (int)(sizeof((const char *[]){"x", ##__VA_ARGS__}) / sizeof(char *)), \
              (const char *[]){"x", ##__VA_ARGS__, NULL})

static void forget_environment(void)
{
    unsetenv("PUNCTUAL_URL");
    unsetenv("PUNCTUAL_API_KEY");
    unsetenv("PUNCTUAL_AUTHOR");
}

TEST(the_server_is_named_by_option_then_environment_then_the_usual_place)
{
    struct client client;
    forget_environment();
    CHECK_INT(LEAVE_OK, OPEN(&client));
    CHECK_TEXT("http://127.0.0.1:8640", client.base);
    client_close(&client);
    setenv("PUNCTUAL_URL", "https://punctual.example.com/base//", 1);
    CHECK_INT(LEAVE_OK, OPEN(&client));
    CHECK_TEXT("https://punctual.example.com/base", client.base);
    client_close(&client);
    CHECK_INT(LEAVE_OK, OPEN(&client, "--url", "HTTP://other:1"));
    CHECK_TEXT("HTTP://other:1", client.base);
    client_close(&client);
    forget_environment();
}

TEST(an_address_that_is_no_url_is_refused_with_an_example)
{
    static const char *const wrong[] = {"127.0.0.1:8640", "ftp://x",    "http://",
                                        "http://a b",     "http://a?b", "http://a\nb"};
    struct client client;
    forget_environment();
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        test_row = wrong[i];
        CHECK_INT(LEAVE_USAGE, OPEN(&client, "--url", wrong[i]));
        CHECK_HAS("it must be like http://127.0.0.1:8640", why);
    }
}

static enum leave ask(const struct request *request, struct answer *answer)
{
    struct client client;
    CHECK_INT(LEAVE_OK, OPEN(&client));
    enum leave leave = client_ask(&client, request, answer);
    client_close(&client);
    return leave;
}

TEST(a_request_carries_key_author_and_idempotency_key)
{
    struct answer answer;
    forget_environment();
    setenv("PUNCTUAL_API_KEY", "made-up", 1);
    setenv("PUNCTUAL_AUTHOR", "kim", 1);
    wire.status = STATUS_OK, wire.code = 201, wire.answer = "{\"id\": \"run_1\"}";
    CHECK_INT(LEAVE_OK,
              ask(&(struct request){.method = "POST", .path = "/v1/x", .body = "{}", .key = "k"},
                  &answer));
    CHECK_TEXT("POST http://127.0.0.1:8640/v1/x", wire.url);
    CHECK_HAS("Authorization: Bearer made-up\n", wire.headers);
    CHECK_HAS("Punctual-Author: kim\n", wire.headers);
    CHECK_HAS("Idempotency-Key: k\n", wire.headers);
    CHECK_HAS("Content-Type: application/json\n", wire.headers);
    CHECK_TEXT("{}", wire.body);
    CHECK_TEXT("run_1", json_string_value(json_object_get(answer.json, "id")));
    client_answer_done(&answer);
    forget_environment();
    CHECK_INT(LEAVE_OK, ask(&(struct request){.method = "GET", .path = "/"}, &answer));
    CHECK(!strstr(wire.headers, "Authorization"));
    client_answer_done(&answer);
}

TEST(a_key_comes_from_the_first_line_of_a_file)
{
    char path[] = "/tmp/punctual-key-XXXXXX";
    int fd = mkstemp(path);
    CHECK(fd >= 0);
    CHECK_INT(8, write(fd, "made-up\n", 8));
    close(fd);
    struct client client;
    forget_environment();
    CHECK_INT(LEAVE_OK, OPEN(&client, "--api-key-file", path));
    CHECK_TEXT("made-up", client.key);
    client_close(&client);
    CHECK_INT(0, truncate(path, 0));
    CHECK_INT(LEAVE_USAGE, OPEN(&client, "--api-key-file", path));
    CHECK_HAS("there is no API key in", why);
    unlink(path);
    CHECK_INT(LEAVE_USAGE, OPEN(&client, "--api-key-file", path));
    CHECK_HAS("cannot read the API key from", why);
}

TEST(no_key_and_no_author_can_begin_a_header_of_its_own)
{
    struct client client;
    forget_environment();
    setenv("PUNCTUAL_API_KEY", "a\r\nX-Evil: 1", 1);
    CHECK_INT(LEAVE_USAGE, OPEN(&client));
    forget_environment();
    CHECK_INT(LEAVE_USAGE, OPEN(&client, "--author", "a\nb"));
    CHECK_HAS("one line", why);
}

TEST(the_exit_code_tells_what_came)
{
    static const struct row {
        enum status status;
        int code;
        const char *answer;
        enum leave leave;
    } rows[] = {
        {STATUS_OK, 200, "{}", LEAVE_OK},          {STATUS_OK, 204, "", LEAVE_OK},
        {STATUS_OK, 200, "<html>", LEAVE_TROUBLE}, {STATUS_OK, 200, "", LEAVE_TROUBLE},
        {STATUS_OK, 301, "", LEAVE_REFUSED},       {STATUS_OK, 404, "{}", LEAVE_REFUSED},
        {STATUS_OK, 503, "{}", LEAVE_TROUBLE},     {STATUS_FAILED, 0, "", LEAVE_UNREACHABLE},
    };
    forget_environment();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct answer answer;
        wire.status = rows[i].status, wire.code = rows[i].code, wire.answer = rows[i].answer;
        CHECK_INT(rows[i].leave, ask(&(struct request){.method = "GET", .path = "/"}, &answer));
        if (rows[i].leave != LEAVE_OK)
            CHECK(*answer.why);
        client_answer_done(&answer);
    }
}

TEST(names_and_values_are_escaped_into_a_path)
{
    struct buffer path;
    buffer_init(&path, 1000);
    buffer_text(&path, "/v1/tasks");
    path_add(&path, "a/b ?%ü");
    query_add(&path, "note", "1 & 2=3");
    query_add(&path, "left-out", NULL);
    query_add(&path, "state", "failed");
    CHECK_TEXT("/v1/tasks/a%2Fb%20%3F%25%C3%BC?note=1%20%26%202%3D3&state=failed",
               buffer_string(&path));
    buffer_done(&path);
}

static char shown[2048];

static const char *problem_in_words(int status, const char *json, const char *file)
{
    struct json_place place;
    json_t *problem = NULL;
    if (json)
        CHECK_INT(STATUS_OK, json_read(json, strlen(json), &problem, &place));
    struct screen screen = {.width = 0};
    buffer_init(&screen.out, sizeof shown - 1);
    problem_show(&screen, status, problem, file);
    snprintf(shown, sizeof shown, "%s", buffer_string(&screen.out));
    buffer_done(&screen.out);
    json_decref(problem);
    return shown;
}

TEST(a_problem_is_told_with_every_place)
{
    const char *problem = "{\"title\": \"The request makes no sense\", \"detail\": \"the task has "
                          "errors\", \"errors\": ["
                          "{\"pointer\": \"/schedule/cron\", \"detail\": \"a minute is 0 to 59\", "
                          "\"line\": 3, \"column\": 9},"
                          "{\"pointer\": \"\", \"detail\": \"must be an object\"}]}";
    CHECK_TEXT("punctual: The request makes no sense (400): the task has errors\n"
               "  /schedule/cron: a minute is 0 to 59 (line 3, column 9)\n"
               "  the whole document: must be an object\n",
               problem_in_words(400, problem, NULL));
    CHECK_HAS("punctual.yaml:3:9: /schedule/cron: a minute is 0 to 59\n",
              problem_in_words(400, problem, "punctual.yaml"));
}

TEST(a_wrong_parameter_of_a_query_is_told_by_its_name)
{
    CHECK_HAS("  ?state: must be a state\n",
              problem_in_words(400,
                               "{\"title\": \"x\", \"errors\": [{\"parameter\": \"state\", "
                               "\"detail\": \"must be a state\"}]}",
                               NULL));
}

TEST(an_answer_that_is_no_problem_document_is_told_as_such)
{
    CHECK_HAS("the answer was 502 without a reason", problem_in_words(502, NULL, NULL));
    CHECK_HAS("(404)",
              problem_in_words(404, "{\"errors\": 1, \"title\": \"x\", \"detail\": 3}", NULL));
    CHECK_HAS("PUNCTUAL_API_KEY", problem_in_words(401, "{\"title\": \"x\"}", NULL));
}

TEST(beyond_the_faults_that_are_kept_only_their_number_is_told)
{
    struct buffer json;
    buffer_init(&json, 10000);
    buffer_text(&json, "{\"title\": \"x\", \"errors\": [");
    for (int i = 0; i < 25; i++)
        buffer_format(&json, "%s{\"pointer\": \"/%d\", \"detail\": \"d\", \"line\": 1}",
                      i ? "," : "", i);
    buffer_text(&json, "]}");
    CHECK_HAS("and 5 more", problem_in_words(400, buffer_string(&json), NULL));
    buffer_done(&json);
}

TESTS_MAIN
