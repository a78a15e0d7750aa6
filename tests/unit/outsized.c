// What an outsider sizes is bounded before it is allocated: memory_* aborts where memory is out, so
// nobody outside may choose how much that is.
#include <stdbool.h>

#include "base/buffer.h"
#include "base/json.h"
#include "base/memory.h"
#include "core/attempt.h"
#include "core/fault.h"
#include "dispatch/answer.h"
#include "dispatch/capture.h"
#include "test.h"

#define BODY_MAX ((size_t)8 << 20) // as front.c lets in

// `unit` again and again between two brackets, as long as it fits.
static char *repeat(const char *open, const char *unit, const char *close, size_t size,
                    size_t *ret_size)
{
    size_t length = strlen(unit), at = strlen(open);
    char *text = memory_new(size + 1);
    strcpy(text, open);
    for (; at + length + strlen(close) <= size; at += length)
        memcpy(text + at, unit, length);
    if (text[at - 1] == ',')
        at--;
    strcpy(text + at, close);
    *ret_size = strlen(text);
    return text;
}

// --- JSON: what jansson allocates, counted ---

static size_t json_bytes, json_peak;

static void *json_take(size_t size)
{
    size_t *block = malloc(size + 16);
    if (!block)
        return NULL;
    *block = size;
    json_bytes += size;
    if (json_bytes > json_peak)
        json_peak = json_bytes;
    return (char *)block + 16;
}

static void json_give(void *at)
{
    if (!at)
        return;
    size_t *block = (size_t *)(void *)((char *)at - 16);
    json_bytes -= *block;
    free(block);
}

static enum status read_counted(const char *text, size_t size, struct json_place *place)
{
    json_t *value = NULL;
    json_bytes = json_peak = 0;
    json_set_alloc_funcs(json_take, json_give);
    enum status status = json_read(text, size, &value, place);
    if (status == STATUS_OK)
        json_decref(value);
    json_set_alloc_funcs(malloc, free);
    return status;
}

TEST(a_body_of_millions_of_values_is_refused_before_it_takes_memory)
{
    static const char *const units[] = {"[],", "{},", "1,", "\"\",", "[[],{}],", "{\"a\":[]},"};
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        struct json_place place;
        size_t size;
        char *text = repeat("[", units[i], "]", BODY_MAX, &size);
        test_row = units[i];
        CHECK_INT(STATUS_INVALID, read_counted(text, size, &place));
        CHECK_HAS("too many values", place.detail);
        CHECK_INT(1, place.line);
        CHECK_INT(0, json_peak);
        free(text);
    }
}

TEST(what_weighs_most_takes_no_more_than_64_mb)
{
    static const struct {
        const char *unit;
        size_t size;
    } rows[] = {{"{},", 599900}, {"[],", 599900}, {"1,", 1999900}, {"\"\",", 2999900}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct json_place place;
        size_t size;
        char *text = repeat("[", rows[i].unit, "]", rows[i].size, &size);
        test_row = rows[i].unit;
        CHECK_INT(STATUS_OK, read_counted(text, size, &place));
        CHECK(json_peak < (size_t)64 << 20);
        CHECK_INT(0, json_bytes);
        free(text);
    }
}

// Brackets and commas weigh nothing within a string, whatever stands before its quotes.
TEST(a_long_text_is_not_many_values)
{
    static const char *const units[] = {"[", ",", "\\\"[", "\\\\", "\\\\\\\"{,"};
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        struct json_place place;
        size_t size;
        char *text = repeat("\"", units[i], "\"", BODY_MAX - 8, &size);
        test_row = units[i];
        CHECK_INT(STATUS_OK, read_counted(text, size, &place));
        free(text);
    }
}

// The largest batch there is, each run with a target of its own.
TEST(a_full_batch_is_not_too_much)
{
    struct json_place place;
    size_t size;
    char *text = repeat("[",
                        "{\"http\":{\"url\":\"http://127.0.0.1/\",\"headers\":{\"A\":\"b\"}},"
                        "\"payload\":{\"ids\":[1,2,3,4,5],\"more\":[{},{},{}]},\"delay\":\"1h\"},",
                        "]", 10000 * 130, &size);
    CHECK_INT(STATUS_OK, read_counted(text, size, &place));
    free(text);
}

// --- buffers ---

TEST(a_buffer_takes_no_more_memory_than_twice_its_limit)
{
    struct buffer b;
    char piece[1000];
    memset(piece, 'x', sizeof piece);
    buffer_init(&b, 100000);
    for (int i = 0; i < 1000; i++)
        buffer_add(&b, piece, sizeof piece);
    CHECK(b.overflow);
    CHECK_INT(100000, b.size);
    CHECK(b.capacity <= 2 * (b.limit + 1));
    CHECK(!buffer_space(&b, SIZE_MAX / 2));
    buffer_add(&b, piece, SIZE_MAX - 5); // its sum with the size would be small again
    CHECK_INT(100000, b.size);
    buffer_done(&b);
}

TEST(an_endless_answer_is_counted_and_not_kept)
{
    struct capture c;
    char piece[4096];
    memset(piece, 'x', sizeof piece);
    capture_init(&c, ANSWER_BODY_MAX);
    for (int i = 0; i < 4096; i++)
        capture_add(&c, piece, sizeof piece);
    CHECK_INT(16 << 20, c.total);
    CHECK_INT(ANSWER_BODY_MAX, c.kept.size);
    CHECK(capture_is_cut(&c));
    CHECK(!c.kept.overflow);
    CHECK(c.kept.capacity <= 2 * (ANSWER_BODY_MAX + 1));
    capture_done(&c);
}

TEST(an_answer_with_endless_headers_is_stopped)
{
    struct answer answer;
    struct attempt attempt;
    struct expect expect = {0};
    char line[2000];
    int lines = 0;
    attempt_init(&attempt);
    answer_init(&answer);
    answer_begin(&answer, &attempt, &expect, ANSWER_BODY_MAX);
    int size = snprintf(line, sizeof line, "Cache-Status: edge; detail=%01500d\r\n", 0);
    while (lines < 1000 && answer_header(&answer, line, (size_t)size))
        lines++;
    CHECK((size_t)(lines * size) <= ANSWER_HEADER_MAX);
    CHECK(answer.stop);
    CHECK(answer.cache_status.capacity <= 2 * (ANSWER_HEADER_MAX + 1));
    answer_done(&answer);
    attempt_done(&attempt);
}

// --- faults ---

TEST(a_body_with_a_million_mistakes_is_answered_with_a_few)
{
    struct faults faults = {0};
    char pointer[3000];
    memset(pointer, '/', sizeof pointer - 1);
    pointer[sizeof pointer - 1] = '\0';
    for (int i = 0; i < 100000; i++)
        faults_add(&faults, pointer, "%s", pointer);
    CHECK_INT(FAULT_MAX, faults_kept(&faults));
    CHECK_INT(100000, faults.count);
    faults_done(&faults);
}

TESTS_MAIN
