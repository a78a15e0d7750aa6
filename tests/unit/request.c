#include "api/request.h"

#include "api/auth.h"
#include "api/cursor.h"
#include "api/media.h"
#include "api/merge.h"
#include "api/query.h"
#include <limits.h>

#include "test.h"

TEST(a_revision_is_read_from_a_tag)
{
    static const struct {
        const char *text;
        int revision; // 0: refused
    } rows[] = {
        {"\"3\"", 3},
        {"3", 3},
        {"W/\"3\"", 3},
        {"\"12\"", 12},
        {"\"3", 0},
        {"3\"", 0},
        {"\"1\", \"2\"", 0},
        {"abc", 0},
        {"99999999999999", 0},
        {"*", 0},
        {"-1", 0},
        {"", 0},
        {"\"0\"", INT_MAX},
        {"\"\"", INT_MAX},
        {"\"3x\"", INT_MAX},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int revision = 0;
        test_row = rows[i].text;
        CHECK_INT(rows[i].revision != 0, expected_read(rows[i].text, &revision));
        CHECK_INT(rows[i].revision, revision);
    }
}

TEST(an_idempotency_key_may_be_quoted_or_bare)
{
    static const struct {
        const char *text, *key; // NULL: refused
    } rows[] = {
        {"abc", "abc"},  {"\"abc\"", "abc"}, {"\"a\\\"b\\\\c\"", "a\"b\\c"},
        {"a b", "a b"},  {"", NULL},         {"\"\"", NULL},
        {"\"abc", NULL}, {"\"a\"b", NULL},   {"\"a\\b\"", NULL},
        {"a\tb", NULL},  {"\xc3\xa4", NULL}, {"\"\\", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        test_row = rows[i].text;
        char *key = key_read(rows[i].text);
        if (rows[i].key)
            CHECK_TEXT(rows[i].key, key);
        else
            CHECK(!key);
        free(key);
    }
}

TEST(an_idempotency_key_has_at_most_255_characters)
{
    char text[300];
    memset(text, 'k', sizeof text);
    text[255] = '\0';
    char *key = key_read(text);
    CHECK(key);
    free(key);
    text[255] = 'k';
    text[256] = '\0';
    CHECK(!key_read(text));
}

TEST(a_type_of_content_is_read_without_case_and_parameters)
{
    CHECK_INT(MEDIA_JSON, media_read(NULL));
    CHECK_INT(MEDIA_JSON, media_read("application/json"));
    CHECK_INT(MEDIA_JSON, media_read("Application/JSON; charset=utf-8"));
    CHECK_INT(MEDIA_MERGE, media_read("application/merge-patch+json"));
    CHECK_INT(MEDIA_NDJSON, media_read("application/x-ndjson"));
    CHECK_INT(MEDIA_YAML, media_read("text/yaml ; x=y"));
    CHECK_INT(MEDIA_OTHER, media_read("application/x-www-form-urlencoded"));
    CHECK_INT(MEDIA_OTHER, media_read(""));
    CHECK_INT(MEDIA_OTHER, media_read("application/jso"));
}

TEST(a_cursor_reads_back_in_its_own_list_only)
{
    static const char *const keys[] = {
        "", "a", "ab", "abc", "nightly-invoices", "run_0c4x9k2m1p7qz"};
    char text[CURSOR_TEXT], key[120];
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        test_row = keys[i];
        cursor_format('t', keys[i], text);
        CHECK(strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") ==
              strlen(text));
        CHECK(cursor_parse('t', text, key, sizeof key));
        CHECK_TEXT(keys[i], key);
        CHECK(!cursor_parse('r', text, key, sizeof key));
    }
    char small[4];
    CHECK(!cursor_parse('t', text, small, sizeof small));
    CHECK(!cursor_parse('t', "", key, sizeof key));
    CHECK(!cursor_parse('t', "d", key, sizeof key));
    CHECK(!cursor_parse('t', "d!!!", key, sizeof key));
}

TEST(a_moment_may_come_with_its_plus_as_a_space)
{
    wall a, b;
    CHECK_INT(STATUS_OK, moment_read("2026-12-24T18:00:00+01:00", &a));
    CHECK_INT(STATUS_OK, moment_read("2026-12-24T18:00:00 01:00", &b));
    CHECK_INT(a.us, b.us);
    CHECK_INT(STATUS_INVALID, moment_read("tomorrow", &a));
    CHECK_INT(STATUS_INVALID, moment_read("", &a));
}

TEST(a_key_must_come_as_bearer)
{
    CHECK(auth_value_has_key(NULL, NULL));
    CHECK(auth_value_has_key("Bearer abc", "abc"));
    CHECK(auth_value_has_key("bearer  abc", "abc"));
    CHECK(!auth_value_has_key(NULL, "abc"));
    CHECK(!auth_value_has_key("", "abc"));
    CHECK(!auth_value_has_key("abc", "abc"));
    CHECK(!auth_value_has_key("Basic abc", "abc"));
    CHECK(!auth_value_has_key("Bearer abcd", "abc"));
    CHECK(!auth_value_has_key("Bearer ab", "abc"));
    CHECK(!auth_value_has_key("Bearer ", "abc"));
}

TEST(only_pages_of_the_server_itself_are_its_own)
{
    static const struct {
        const char *origin, *host;
        bool own;
    } rows[] = {
        {NULL, "127.0.0.1:8640", true},
        {"http://127.0.0.1:8640", "127.0.0.1:8640", true},
        {"https://Punctual", "punctual", true},
        {"http://127.0.0.1:3000", "127.0.0.1:8640", false},
        {"http://127.0.0.1:86400", "127.0.0.1:8640", false},
        {"http://example.com", "127.0.0.1:8640", false},
        {"http://example.com", NULL, false},
        {"null", "127.0.0.1:8640", false},
        {"", "", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        test_row = rows[i].origin ? rows[i].origin : "";
        CHECK_INT(rows[i].own, auth_origin_is_own(rows[i].origin, rows[i].host));
    }
}

TEST(a_name_that_a_stranger_can_point_here_is_not_near)
{
    static const struct {
        const char *host;
        bool near;
    } rows[] = {
        {NULL, true},
        {"", true},
        {"localhost:8640", true},
        {"127.0.0.1", true},
        {"10.0.0.7:8640", true},
        {"[::1]:8640", true},
        {"punctual:8640", true},
        {"app.localhost:8640", true},
        {"host.docker.internal", true},
        {"example.com", false},
        {"example.com:8640", false},
        {"127.0.0.1.example.com", false},
        {"localhost.", false},
        {"notlocalhost.com", false},
        {"a.b1", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        test_row = rows[i].host ? rows[i].host : "";
        CHECK_INT(rows[i].near, auth_host_is_near(rows[i].host));
    }
}

// The examples of RFC 7396, appendix A.
TEST(a_merge_patch_does_what_the_standard_shows)
{
    static const char *const rows[][3] = {
        {"{\"a\":\"b\"}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"},
        {"{\"a\":\"b\"}", "{\"b\":\"c\"}", "{\"a\":\"b\",\"b\":\"c\"}"},
        {"{\"a\":\"b\"}", "{\"a\":null}", "{}"},
        {"{\"a\":\"b\",\"b\":\"c\"}", "{\"a\":null}", "{\"b\":\"c\"}"},
        {"{\"a\":[\"b\"]}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"},
        {"{\"a\":\"c\"}", "{\"a\":[\"b\"]}", "{\"a\":[\"b\"]}"},
        {"{\"a\":{\"b\":\"c\"}}", "{\"a\":{\"b\":\"d\",\"c\":null}}", "{\"a\":{\"b\":\"d\"}}"},
        {"{\"a\":[{\"b\":\"c\"}]}", "{\"a\":[1]}", "{\"a\":[1]}"},
        {"[\"a\",\"b\"]", "[\"c\",\"d\"]", "[\"c\",\"d\"]"},
        {"{\"a\":\"b\"}", "[\"c\"]", "[\"c\"]"},
        {"{\"a\":\"foo\"}", "null", "null"},
        {"{\"e\":null}", "{\"a\":1}", "{\"e\":null,\"a\":1}"},
        {"[1,2]", "{\"a\":\"b\",\"c\":null}", "{\"a\":\"b\"}"},
        {"{}", "{\"a\":{\"bb\":{\"ccc\":null}}}", "{\"a\":{\"bb\":{}}}"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct json_place place;
        json_t *target, *patch;
        test_row = rows[i][1];
        CHECK_INT(STATUS_OK, json_read(rows[i][0], strlen(rows[i][0]), &target, &place));
        CHECK_INT(STATUS_OK, json_read(rows[i][1], strlen(rows[i][1]), &patch, &place));
        json_t *merged = merge_patch(target, patch);
        char *text = json_write(merged, NULL), *kept = json_write(target, NULL);
        CHECK_TEXT(rows[i][2], text);
        CHECK_TEXT(rows[i][0], kept); // what is stored is not touched
        free(text);
        free(kept);
        json_decref(merged);
        json_decref(target);
        json_decref(patch);
    }
}

TESTS_MAIN
