#include "core/expect.h"

#include "test.h"

static char why[400];

static bool meets_http(const struct expect *expect, const struct response *response)
{
    why[0] = '\0';
    return expect_met(expect, TARGET_HTTP, response, why, sizeof why);
}

#define ANY_2XX .status_least = 200, .status_most = 299

TEST(a_status_outside_the_range_is_named)
{
    struct expect expect = {ANY_2XX};
    static const struct {
        int status;
        const char *words;
    } rows[] = {
        {200, NULL},
        {299, NULL},
        {503, "answered 503 Service Unavailable; expected 200 to 299"},
        {302, "answered 302 Found; expected 200 to 299 (redirects are not followed)"},
        {599, "answered 599; expected 200 to 299"},
        {199, "answered 199; expected 200 to 299"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct response response = {.status = rows[i].status};
        CHECK_INT(!rows[i].words, meets_http(&expect, &response));
        CHECK_TEXT(rows[i].words ? rows[i].words : "", why);
    }
}

TEST(a_single_status_is_expected_exactly)
{
    struct expect expect = {.status_least = 201, .status_most = 201};
    CHECK(meets_http(&expect, &(struct response){.status = 201}));
    CHECK(!meets_http(&expect, &(struct response){.status = 200}));
    CHECK_TEXT("answered 200 OK; expected 201", why);
}

TEST(a_header_must_be_there_with_its_value)
{
    struct pair wanted = {"X-Result", "done"};
    struct expect expect = {ANY_2XX, .headers = &wanted, .header_count = 1};
    struct response_header headers[] = {
        {"other", "done"}, {"x-result", "half"}, {"X-RESULT", "done"}};
    struct response response = {.status = 200, .headers = headers, .header_count = 3};
    CHECK(meets_http(&expect, &response));
    response.header_count = 2;
    CHECK(!meets_http(&expect, &response));
    CHECK_TEXT("header X-Result is \"half\"; expected \"done\"", why);
    response.header_count = 1;
    CHECK(!meets_http(&expect, &response));
    CHECK_TEXT("header X-Result is missing; expected \"done\"", why);
}

static bool json_meets(const char *wanted, const char *body)
{
    struct json_place place;
    struct expect expect = {ANY_2XX};
    CHECK_INT(STATUS_OK, json_read(wanted, strlen(wanted), &expect.json, &place));
    struct response response = {.status = 200, .body = body, .body_size = strlen(body)};
    bool met = meets_http(&expect, &response);
    json_decref(expect.json);
    return met;
}

TEST(a_json_pointer_is_followed_as_rfc_6901_says)
{
    // The examples of RFC 6901, 5, and what is beside them.
    const char *body =
        "{\"foo\": [\"bar\", \"baz\"], \"\": 0, \"a/b\": 1, \"m~n\": 8, \" \": 7, \"~1\": 9,"
        " \"deep\": [{\"x\": [1, 2.5]}]}";
    static const char *const met[] = {
        "{\"/foo\": [\"bar\", \"baz\"]}",
        "{\"/foo/0\": \"bar\"}",
        "{\"/\": 0}",
        "{\"/a~1b\": 1}",
        "{\"/m~0n\": 8}",
        "{\"/ \": 7}",
        "{\"/deep/0/x/1\": 2.5}",
        "{\"/~01\": 9}",
        "{\"/a~1b\": 1.0}",
        "{}",
    };
    static const char *const missed[] = {
        "{\"/foo/2\": \"bar\"}", "{\"/foo/00\": \"bar\"}", "{\"/foo/-\": \"bar\"}",
        "{\"/foo/0/x\": 1}",     "{\"/bar\": null}",       "{\"/foo/\": \"bar\"}",
        "{\"foo\": 1}",          "{\"/a~1b\": true}",      "{\"/a~1b\": \"1\"}",
    };
    for (size_t i = 0; i < sizeof met / sizeof met[0]; i++) {
        test_row = met[i];
        CHECK(json_meets(met[i], body));
    }
    for (size_t i = 0; i < sizeof missed / sizeof missed[0]; i++) {
        test_row = missed[i];
        CHECK(!json_meets(missed[i], body));
    }
}

TEST(a_value_that_differs_is_said_with_what_was_expected)
{
    CHECK(!json_meets("{\"/ok\": true}", "{\"ok\": false}"));
    CHECK_TEXT("/ok is false; expected true", why);
    CHECK(!json_meets("{\"/ok\": true}", "{}"));
    CHECK_TEXT("/ok is missing; expected true", why);
    CHECK(!json_meets("{\"\": 1}", "2"));
    CHECK_TEXT("the body is 2; expected 1", why);
    CHECK(!json_meets("{\"/ok\": true}", "<html>"));
    CHECK_HAS("the response is not JSON", why);
    CHECK(!json_meets("{\"/ok\": true}", ""));
    CHECK_HAS("the response is not JSON", why);
}

TEST(a_long_value_is_cut_in_the_words)
{
    char body[600] = "{\"a\": \"";
    memset(body + 7, 'x', 500);
    strcpy(body + 507, "\"}");
    CHECK(!json_meets("{\"/a\": 1}", body));
    CHECK_HAS("...; expected 1", why);
    CHECK(strlen(why) < 200);
}

TEST(json_is_not_looked_for_in_a_response_that_was_cut)
{
    struct json_place place;
    struct expect expect = {ANY_2XX};
    CHECK_INT(STATUS_OK, json_read("{\"/a\":1}", 8, &expect.json, &place));
    struct response response = {.status = 200, .body = "{}", .body_size = 2, .body_cut = true};
    CHECK(!meets_http(&expect, &response));
    CHECK_HAS("too long", why);
    json_decref(expect.json);
}

TEST(a_command_is_judged_by_its_exit_code)
{
    struct expect expect = {ANY_2XX, .exit_code = 0};
    struct response response = {.status = 3};
    CHECK(!expect_met(&expect, TARGET_COMMAND, &response, why, sizeof why));
    CHECK_TEXT("exit code 3; expected 0", why);
    expect.exit_code = 3;
    CHECK(expect_met(&expect, TARGET_COMMAND, &response, why, sizeof why));
}

TEST(what_takes_too_long_has_failed)
{
    struct expect expect = {ANY_2XX, .max_duration_us = 2 * SECOND};
    struct response response = {.status = 200, .duration_us = 2 * SECOND};
    CHECK(meets_http(&expect, &response));
    response.duration_us = 2 * SECOND + 1;
    CHECK(!meets_http(&expect, &response));
    CHECK_HAS("took 2", why);
    CHECK_HAS("expected at most 2s", why);
}

TESTS_MAIN
