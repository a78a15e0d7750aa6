#include "base/json.h"

#include "test.h"

static char *again(const char *text)
{
    json_t *value;
    struct json_place place;
    if (json_read(text, strlen(text), &value, &place) != STATUS_OK)
        return NULL;
    char *written = json_write(value, NULL);
    json_decref(value);
    return written;
}

TEST(what_was_read_is_written_as_compact_as_it_goes)
{
    static const struct row {
        const char *in, *out;
    } rows[] = {
        {"{ \"b\" : 1, \"a\" : [ true, false, null ] }", "{\"b\":1,\"a\":[true,false,null]}"},
        {"[0.1, 19.99, 1.0, 1e2, 1e300, -0.0, 0.30000000000000004]",
         "[0.1,19.99,1.0,100.0,1e+300,-0.0,0.30000000000000004]"},
        {"9223372036854775807", "9223372036854775807"},
        {"\"a\\u0001\\n\\\"\\u00e9\\/\"", "\"a\\u0001\\n\\\"\xC3\xA9/\""},
        {"{\"\\\"\\n\": {}}", "{\"\\\"\\n\":{}}"},
        {"[]", "[]"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        test_row = rows[i].in;
        char *once = again(rows[i].in);
        CHECK_TEXT(rows[i].out, once);
        char *twice = again(once);
        CHECK_TEXT(once, twice);
        free(once);
        free(twice);
    }
}

TEST(a_json_text_with_a_mistake_is_refused_with_its_place)
{
    static const struct row {
        const char *text;
        int line;
    } rows[] = {
        {"", 1},     {"{\"a\": 1,\n \"a\": 2}", 2}, {"[1,\n2", 2}, {"\"\\u0000\"", 1},
        {"{} x", 1}, {"99999999999999999999", 1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        json_t *value;
        struct json_place place;
        test_row = rows[i].text;
        CHECK_INT(STATUS_INVALID, json_read(rows[i].text, strlen(rows[i].text), &value, &place));
        CHECK_INT(rows[i].line, place.line);
        CHECK(*place.detail);
    }
}

TEST(the_depth_of_a_value_is_that_of_its_deepest_member)
{
    static const struct row {
        const char *text;
        int depth;
    } rows[] = {
        {"1", 0},
        {"[]", 1},
        {"{}", 1},
        {"[1, [2], {\"a\": {}}]", 3},
        {"{\"a\": [[[]]], \"b\": 1}", 4},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        json_t *value;
        struct json_place place;
        test_row = rows[i].text;
        CHECK_INT(STATUS_OK, json_read(rows[i].text, strlen(rows[i].text), &value, &place));
        CHECK(!json_is_deeper(value, rows[i].depth));
        if (rows[i].depth > 0)
            CHECK(json_is_deeper(value, rows[i].depth - 1));
        json_decref(value);
    }
    CHECK(!json_is_deeper(NULL, 0));
}

TESTS_MAIN
