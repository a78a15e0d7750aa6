#include "core/yaml.h"

#include "base/buffer.h"
#include "test.h"

static char *environment(const char *name)
{
    static const char *const values[][2] = {
        {"APP_URL", "http://app.example"}, {"EMPTY", ""},       {"FIVE", "5"},
        {"NESTED", "${APP_URL}"},          {"BROKEN", "a\xFF"},
    };
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        if (strcmp(values[i][0], name) == 0)
            return (char *)values[i][1];
    return NULL;
}

static enum status read_text(const char *text, size_t size, struct faults *faults, json_t **ret)
{
    struct yaml_places *places;
    enum status status = yaml_read(text, size, environment, faults, ret, &places);
    if (status == STATUS_OK)
        yaml_places_free(places);
    return status;
}

TEST(a_file_reads_as_the_json_it_means)
{
    static const struct row {
        const char *yaml, *json;
    } rows[] = {
        {"a: 1\nb: [x, 2.5, true, null]\nc:\n  - d: e\n",
         "{'a':1,'b':['x',2.5,true,null],'c':[{'d':'e'}]}"},
        {"{a: {b: {}}, c: []}", "{'a':{'b':{}},'c':[]}"},
        {"[yes, no, on, off, y, Yes]", "['yes','no','on','off','y','Yes']"},
        {"[True, FALSE, ~, Null, ]", "[true,false,null,null]"},
        {"a:\nb: ''\n", "{'a':null,'b':''}"},
        {"['1', \"2\", 'true', \"null\"]", "['1','2','true','null']"},
        {"[0, -1, 9223372036854775807, 1e3, -0.5, 1E-2]",
         "[0,-1,9223372036854775807,1000.0,-0.5,0.01]"},
        {"[007, +1, 0x1F, 0o7, 1_000, .5, 1., .inf, 12:30, 1e, '-']",
         "['007','+1','0x1F','0o7','1_000','.5','1.','.inf','12:30','1e','-']"},
        {"a: 2026-12-24T18:00:00+01:00", "{'a':'2026-12-24T18:00:00+01:00'}"},
        {"a: |\n  one\n  two\nb: >\n  one\n  two\n", "{'a':'one\\ntwo\\n','b':'one two\\n'}"},
        {"expect: {json: {/ok: true}}", "{'expect':{'json':{'/ok':true}}}"},
        {"1: a\ntrue: b", "{'1':'a','true':'b'}"},
        {"# note\n--- # more\na: b # and more\n...\n", "{'a':'b'}"},
        {"\xEF\xBB\xBF"
         "a: \xC3\xA4",
         "{'a':'\xC3\xA4'}"},
        {"url: \"${APP_URL}/x\"", "{'url':'http://app.example/x'}"},
        {"a: ${APP_URL}\nb: '${FIVE}'\nc: ${FIVE}", "{'a':'http://app.example','b':'5','c':'5'}"},
        {"a: \"${NONE:-http://b}/x${EMPTY:-y}${EMPTY}\"", "{'a':'http://b/xy'}"},
        {"a: ${NESTED}", "{'a':'${APP_URL}'}"},
        {"a: $${APP_URL} $5 $ $$", "{'a':'${APP_URL} $5 $ $$'}"},
        {"${APP_URL}: x", "{'${APP_URL}':'x'}"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct faults faults = {0};
        json_t *value;
        test_row = rows[i].yaml;
        if (read_text(rows[i].yaml, strlen(rows[i].yaml), &faults, &value) != STATUS_OK)
            TEST_FAIL("refused: %s", faults.items[0].detail);
        char *text = json_write(value, NULL);
        for (char *p = text; *p; p++)
            *p = *p == '"' ? '\'' : *p;
        CHECK_TEXT(rows[i].json, text);
        free(text);
        json_decref(value);
    }
}

TEST(a_mistake_in_a_file_is_named_with_line_and_column)
{
    static const struct row {
        const char *yaml;
        int line, column;
        const char *word;
    } rows[] = {
        {"", 1, 1, "empty"},
        {"# only a note\n", 2, 1, "empty"},
        {"a: 1\n\tb: 2\n", 2, 1, "use spaces"},
        {"a:\n\tb: 2\n", 2, 1, "use spaces"},
        {"a: b: c", 1, 5, "a ':' stands where no key can be"},
        {"a: 1\n b: 2\n", 2, 3, "a ':' stands where no key can be"},
        {"a:\n  b: 1\n c: 2\n", 3, 2, "indent this line"},
        {"a: 'x' y", 1, 8, "quotes"},
        {"a: \"x\nb: 1\n", 1, 4, "never closed"},
        {"a: [1, 2\nb: 1\n", 1, 4, "lacks a ','"},
        {"a: {b: 1\n", 1, 4, "lacks a ','"},
        {"a: 1\nb\nc: 2\n", 2, 1, "without its ':'"},
        {"a: \"\\d\"", 1, 5, "write \\\\ for a backslash"},
        {"a: @daily", 1, 4, "'@' cannot begin a text: put the text in quotes"},
        {"a: `x`", 1, 4, "quotes"},
        {"a: %x", 1, 4, "quotes"},
        {"a: *", 1, 4, "in quotes"},
        {"a: * * * * *", 1, 4, "in quotes"},
        {"schedule: {cron: */5 * * * *}", 1, 18, "\"*/5 * * * *\""},
        {"a: *x", 1, 4, "aliases"},
        {"a: |b", 1, 4, "in quotes"},
        {"a: 1\nb: 2\na: 3\n", 3, 1, "\"a\" is written twice, here and on line 1"},
        {"x: {a: 1, a: 2}", 1, 11, "written twice"},
        {"a: &x 1\n", 1, 4, "anchors (&name) are not read"},
        {"a: &x {b: 1}\nc: *x\n", 1, 4, "anchors"},
        {"a: !!str 1\n", 1, 4, "tags (!name) are not read"},
        {"a: !x [1]\n", 1, 4, "tags"},
        {"a:\n  <<: {b: 1}\n", 2, 3, "merge keys"},
        {"{[a]: 1}", 1, 2, "a key must be a text"},
        {"? {a: 1}\n: 2\n", 1, 3, "a key must be a text"},
        {"a: {{ x }}\n", 1, 5, "quote a value that begins with {"},
        {"a: 1\n---\nb: 2\n", 2, 1, "second document"},
        {"a: 99999999999999999999\n", 1, 4, "too large a number"},
        {"a: 1e999\n", 1, 4, "too large a number"},
        {"a: \"x\\0y\"", 1, 4, "NUL"},
        {"a: x\n\nb: ${NONE}/y\n", 3, 4, "${NONE:-other}"},
        {"a: ${}", 1, 4, "${NAME}"},
        {"a: ${no-dash}", 1, 4, "${NAME}"},
        {"a: '${OPEN'", 1, 4, "${NAME}"},
        {"a: ${BROKEN}", 1, 4, "not UTF-8"},
        {"a: x\nb: \xFF\n", 2, 4, "UTF-8"},
        {"a: x\x01", 1, 5, "control characters"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct faults faults = {0};
        json_t *value;
        test_row = rows[i].yaml;
        CHECK_INT(STATUS_INVALID, read_text(rows[i].yaml, strlen(rows[i].yaml), &faults, &value));
        CHECK_HAS(rows[i].word, faults.items[0].detail);
        CHECK_INT(rows[i].line, faults.items[0].line);
        CHECK_INT(rows[i].column, faults.items[0].column);
        faults_done(&faults);
    }
}

TEST(several_mistakes_are_named_at_once)
{
    static const char text[] = "a: ${NONE}\nb: ${ALSO}\nb: 2\nc: !!int 3\n";
    struct faults faults = {0};
    json_t *value;
    CHECK_INT(STATUS_INVALID, read_text(text, sizeof text - 1, &faults, &value));
    CHECK_INT(4, faults.count);
    CHECK_TEXT("/a", faults.items[0].pointer);
    CHECK_TEXT("/b", faults.items[1].pointer);
    faults_done(&faults);
}

TEST(a_fault_with_a_pointer_finds_its_line_and_column)
{
    static const char text[] = "version: 1\n"
                               "tasks:\n"
                               "  nightly:\n"
                               "    schedule: {cron: x, timezone: y}\n"
                               "    http:\n"
                               "      url: z\n"
                               "    a/b~c:\n"
                               "      - one\n"
                               "      - {two: 2}\n";
    static const struct row {
        const char *pointer;
        int line, column;
    } rows[] = {
        {"", 1, 1},
        {"/version", 1, 10},
        {"/tasks", 2, 1},
        {"/tasks/nightly/schedule/cron", 4, 22},
        {"/tasks/nightly/schedule/timezone", 4, 35},
        {"/tasks/nightly/http", 5, 5},
        {"/tasks/nightly/http/url", 6, 12},
        {"/tasks/nightly/a~1b~0c/0", 8, 9},
        {"/tasks/nightly/a~1b~0c/1/two", 9, 15},
        {"/tasks/nightly/a~1b~0c/1", 9, 9},
        {"/tasks/nightly/absent/more", 3, 3},
        {"/tasks/nightly/http/url/deeper", 6, 12},
    };
    struct faults faults = {0};
    struct yaml_places *places;
    json_t *value;
    CHECK_INT(STATUS_OK, yaml_read(text, sizeof text - 1, environment, &faults, &value, &places));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        faults_add(&faults, rows[i].pointer, "x");
    yaml_place_faults(places, &faults);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        test_row = rows[i].pointer;
        CHECK_INT(rows[i].line, faults.items[i].line);
        CHECK_INT(rows[i].column, faults.items[i].column);
    }
    faults_done(&faults);
    json_decref(value);
    yaml_places_free(places);
    yaml_places_free(NULL);
}

// A text of `count` times `part`.
static char *repeated(const char *part, size_t count, size_t *ret_size)
{
    struct buffer b;
    buffer_init(&b, 64 << 20);
    for (size_t i = 0; i < count; i++)
        buffer_text(&b, part);
    return buffer_take(&b, ret_size);
}

TEST(what_is_too_deep_too_many_or_too_large_is_refused)
{
    static const struct row {
        const char *part;
        size_t count;
        const char *word;
    } rows[] = {
        {"[", 100000, "deeper than 64"},          {"{a: ", 100000, "deeper than 64"},
        {"- ", 100000, "deeper than 64"},         {"-\n", 1000001, "more than 1000000 values"},
        {"# a note\n", 1000000, "at most 8 MiB"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct faults faults = {0};
        json_t *value;
        size_t size;
        char *text = repeated(rows[i].part, rows[i].count, &size);
        test_row = rows[i].part;
        CHECK_INT(STATUS_INVALID, read_text(text, size, &faults, &value));
        CHECK_HAS(rows[i].word, faults.items[0].detail);
        CHECK_INT(1, faults.count);
        faults_done(&faults);
        free(text);
    }
}

TEST(sixty_four_levels_are_read)
{
    struct faults faults = {0};
    json_t *value;
    char text[129];
    memset(text, '[', 64);
    memset(text + 64, ']', 64);
    CHECK_INT(STATUS_OK, read_text(text, 128, &faults, &value));
    json_decref(value);
}

// Every file cut short anywhere is read or refused, and never more than that.
TEST(a_file_cut_anywhere_is_answered)
{
    static const char text[] =
        "a: {b: [1, \"x\\n${APP_URL}\", 'y']}\nc:\n  - |\n    d\n  - ? e\n    : f\n# g\n";
    for (size_t size = 0; size < sizeof text; size++) {
        struct faults faults = {0};
        json_t *value = NULL;
        enum status status = read_text(text, size, &faults, &value);
        CHECK(status == STATUS_OK ? faults.count == 0
                                  : faults.count > 0 && faults.items[0].line > 0);
        json_decref(value);
        faults_done(&faults);
    }
}

TESTS_MAIN
