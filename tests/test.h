/*
 * test - a test is a sentence that can be false
 *
 *     TEST(a_day_has_24_hours)
 *     {
 *         CHECK_INT(24, DAY / HOUR);
 *     }
 *     TESTS_MAIN
 *
 * Writing the test registers it: there is no list. Each file of tests is a program of its own,
 * which prints "N passed, N failed" and fails when one did. A failed check ends its test, not the
 * program.
 */
#pragma once

#include <inttypes.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct test {
    const char *name;
    void (*body)(void);
    struct test *next;
};

static struct test *test_first, **test_last = &test_first;
static jmp_buf test_failed;
static const char *test_row = ""; // what a table test is at, for the message

#define TEST(sentence)                                                 \
    static void sentence(void);                                        \
    __attribute__((constructor)) static void register_##sentence(void) \
    {                                                                  \
        static struct test self = {#sentence, sentence, NULL};         \
        *test_last = &self;                                            \
        test_last = &self.next;                                        \
    }                                                                  \
    static void sentence(void)

#define TEST_FAIL(...)                         \
    do {                                       \
        printf("%s:%d: ", __FILE__, __LINE__); \
        printf(__VA_ARGS__);                   \
        if (*test_row)                         \
            printf("  (at %s)", test_row);     \
        printf("\n");                          \
        longjmp(test_failed, 1);               \
    } while (0)

#define CHECK(condition)                           \
    do {                                           \
        if (!(condition))                          \
            TEST_FAIL("not true: %s", #condition); \
    } while (0)

#define CHECK_INT(expected, actual)                                                       \
    do {                                                                                  \
        int64_t test_e = (int64_t)(expected), test_a = (int64_t)(actual);                 \
        if (test_e != test_a)                                                             \
            TEST_FAIL("%s: expected %" PRId64 ", got %" PRId64, #actual, test_e, test_a); \
    } while (0)

#define CHECK_TEXT(expected, actual)                                      \
    do {                                                                  \
        const char *test_e = (expected), *test_a = (actual);              \
        if (!test_a || strcmp(test_e, test_a) != 0)                       \
            TEST_FAIL("%s: expected \"%s\", got \"%s\"", #actual, test_e, \
                      test_a ? test_a : "NULL");                          \
    } while (0)

// What `text` should contain.
#define CHECK_HAS(part, text)                                                                    \
    do {                                                                                         \
        const char *test_t = (text);                                                             \
        if (!test_t || !strstr(test_t, (part)))                                                  \
            TEST_FAIL("%s: expected \"%s\" in \"%s\"", #text, (part), test_t ? test_t : "NULL"); \
    } while (0)

static inline int tests_run(void)
{
    static int passed, failed; // static: kept over longjmp
    static struct test *test;
    for (test = test_first; test; test = test->next) {
        test_row = "";
        if (setjmp(test_failed) == 0) {
            test->body();
            passed++;
        } else {
            printf("FAILED %s\n", test->name);
            failed++;
        }
    }
    printf("%d passed, %d failed\n", passed, failed);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#define TESTS_MAIN          \
    int main(void)          \
    {                       \
        return tests_run(); \
    }
