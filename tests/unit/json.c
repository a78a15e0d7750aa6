#include "base/json.h"

#include "base/random.h"
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
        {"[0.1, 19.99, 1.0, 1e2, 1e300, -0.0, 0.600000000000004]",
         "[0.1,19.99,1.0,100.0,1e+300,-0.0,0.600000000000004]"},
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

TEST(a_mistake_is_told_with_what_would_be_right_and_where)
{
    static const struct row {
        const char *text, *detail;
        int line, column;
    } rows[] = {
        {"{\"a\": 1,}", "a key in double quotes", 1, 9},
        {"{a: 1}", "a key in double quotes", 1, 2},
        {"{\"a\" 1}", "a colon", 1, 6},
        {"{\"a\": 1 \"b\": 2}", "a comma or }", 1, 9},
        {"[1 2]", "a comma or ]", 1, 4},
        {"[1,]", "must be a value", 1, 4},
        {"{\"a\": 'b'}", "must be a value", 1, 7},
        {"[nul]", "must be a value", 1, 2},
        {"[01]", "a comma or ]", 1, 3},
        {"[1.]", "not a number", 1, 4},
        {"[9223372036854775808]", "64 bits", 1, 2},
        {"[1e400]", "too large", 1, 2},
        {"{\"a\": 1,\n\n  \"a\": 2}", "twice", 3, 3},
        {"[\"\xC3\xA9\", x]", "must be a value", 1, 7},
        {"[\"\xC3\"]", "not UTF-8", 1, 3},
        {"[\"a\tb\"]", "control character", 1, 4},
        {"[\"\\x\"]", "a backslash", 1, 4},
        {"[\"\\u12g4\"]", "hexadecimal", 1, 3},
        {"[\"\\ud800x\"]", "surrogate", 1, 3},
        {"[\"\\u0000\"]", "u0000", 1, 3},
        {"[1, 2", "ends too early", 1, 6},
        {"[\"abc", "ends too early", 1, 6},
        {"  ", "ends too early", 1, 3},
        {"1 2", "nothing may follow", 1, 3},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        json_t *value;
        struct json_place place;
        test_row = rows[i].text;
        CHECK_INT(STATUS_INVALID, json_read(rows[i].text, strlen(rows[i].text), &value, &place));
        CHECK_HAS(rows[i].detail, place.detail);
        CHECK_INT(rows[i].line, place.line);
        CHECK_INT(rows[i].column, place.column);
    }
}

// Our reader against jansson's own, on texts that are nearly right.
static void check_like_jansson(const char *text, size_t size)
{
    json_t *ours = NULL;
    struct json_place place;
    json_error_t error;
    json_t *theirs = json_loadb(text, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    enum status status = json_read(text, size, &ours, &place);
    char shown[200];
    snprintf(shown, sizeof shown, "%.*s (jansson: %s)", (int)size, text,
             theirs ? "ok" : error.text);
    test_row = shown;
    CHECK_INT(theirs ? STATUS_OK : STATUS_INVALID, status);
    if (theirs)
        CHECK(json_equal(theirs, ours));
    json_decref(theirs);
    if (status == STATUS_OK)
        json_decref(ours);
}

// One byte of `text` is changed, added or left out, or its end is.
static void spoil(struct random *chance, char *text, size_t *size)
{
    static const char spice[] = "{}[]\"\\:,0123456789-+.eEtfnu \n\x1F\x7F\x80\xBF\xC3\xE2\xED"
                                "\xA0\xF0\xF4\xFF\\\\\\ud83d\\ude00abln";
    size_t at = (size_t)random_below(chance, (int64_t)*size);
    char c = spice[random_below(chance, sizeof spice - 1)];
    switch (random_below(chance, 4)) {
    case 0:
        text[at] = c;
        break;
    case 1:
        memmove(text + at + 1, text + at, (*size)++ - at);
        text[at] = c;
        break;
    case 2:
        memmove(text + at, text + at + 1, --*size - at);
        break;
    default:
        *size = at;
    }
}

TEST(texts_are_read_as_jansson_reads_them)
{
    static const char *const texts[] = {
        "{\"http\": {\"url\": \"http://127.0.0.1:9/\"}, \"payload\": {\"n\": [1, -2.5e3]}}",
        "[true, false, null, -0, 0.0, 1E+2, 9223372036854775807, -9223372036854775808]",
        "\"\\u00e9\\ud83d\\ude00 \xE2\x82\xAC \xF0\x9F\x98\x80 \\n\\t\\\\ \\/ \\\" \\b\\f\\r\"",
        "{\"a\": {\"b\": {\"c\": [[[]], {}]}}, \"b\\n\": \"\", \"\": 1}",
        " \n\t\r{ } ",
        "-12.75e-2",
    };
    struct random chance;
    random_seed(&chance, 8259);
    for (int i = 0; i < 60000; i++) {
        const char *base = texts[i % (int)(sizeof texts / sizeof *texts)];
        char text[160];
        size_t size = strlen(base);
        memcpy(text, base, size);
        for (int64_t edits = random_below(&chance, 4); edits > 0 && size > 0; edits--)
            spoil(&chance, text, &size);
        check_like_jansson(text, size);
    }
}

// jansson passes over it.
TEST(a_byte_of_zero_is_no_white_space)
{
    static const char text[] = "[1\0, 2]";
    json_t *value;
    struct json_place place;
    CHECK_INT(STATUS_INVALID, json_read(text, sizeof text - 1, &value, &place));
    CHECK_HAS("a comma or ]", place.detail);
}

TEST(what_is_nested_without_end_is_refused)
{
    static char deep[200000];
    for (size_t depth = 2047; depth <= 2049; depth++) {
        memset(deep, '[', depth);
        memset(deep + depth, ']', depth);
        check_like_jansson(deep, 2 * depth);
    }
    json_t *value;
    struct json_place place;
    memset(deep, '[', sizeof deep);
    CHECK_INT(STATUS_INVALID, json_read(deep, sizeof deep, &value, &place));
    CHECK_HAS("nested too deep", place.detail);
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
