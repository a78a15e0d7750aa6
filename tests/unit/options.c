#include "cli/options.h"

#include "cli/nearest.h"
#include "test.h"

static const struct option_rule rules[] = {
    {"limit", "N", "at most so many"},
    {"wait", NULL, "until it is over"},
    {"payload", "JSON", "what it gets"},
    {0},
};

static struct options options;
static char why[256];

static enum status read_words(const char *words, int argc, const char **argv)
{
    why[0] = '\0';
    return options_read(&options, rules, words, argc, (char **)argv, why, sizeof why);
}

#define READ(words, ...)                                                                      \
    read_words(words, (int)(sizeof((const char *[]){"run", ##__VA_ARGS__}) / sizeof(char *)), \
               (const char *[]){"run", ##__VA_ARGS__, NULL})

TEST(a_value_follows_its_option_or_an_equals_sign)
{
    CHECK_INT(STATUS_OK, READ("NAME", "--limit", "5", "nightly", "--payload={\"a\": \"=\"}"));
    CHECK_TEXT("5", options_text(&options, "limit"));
    CHECK_TEXT("{\"a\": \"=\"}", options_text(&options, "payload"));
    CHECK_TEXT("nightly", options_word(&options, 0));
    CHECK(!options_flag(&options, "wait"));
    CHECK(!options_text(&options, "url"));
}

TEST(every_command_knows_the_common_options)
{
    CHECK_INT(STATUS_OK, READ("", "--json", "--url", "http://example.com"));
    CHECK(options_flag(&options, "json"));
    CHECK_TEXT("http://example.com", options_text(&options, "url"));
}

TEST(a_value_may_begin_with_dashes)
{
    CHECK_INT(STATUS_OK, READ("", "--payload", "--json"));
    CHECK_TEXT("--json", options_text(&options, "payload"));
    CHECK(!options_flag(&options, "json"));
}

TEST(two_dashes_end_the_options_and_one_is_a_word)
{
    CHECK_INT(STATUS_OK, READ("A B", "-", "--", "--wait"));
    CHECK_TEXT("-", options_word(&options, 0));
    CHECK_TEXT("--wait", options_word(&options, 1));
    CHECK(!options_flag(&options, "wait"));
}

TEST(what_is_wrong_is_said_and_what_may_have_been_meant)
{
    CHECK_INT(STATUS_INVALID, READ("", "--limt", "5"));
    CHECK_TEXT("there is no option --limt; did you mean --limit?", why);
    CHECK_INT(STATUS_INVALID, READ("", "--jsno"));
    CHECK_HAS("did you mean --json?", why);
    CHECK_INT(STATUS_INVALID, READ("", "--completely-different"));
    CHECK_TEXT("there is no option --completely-different", why);
    CHECK_INT(STATUS_INVALID, READ("", "--limit"));
    CHECK_TEXT("--limit needs a value: --limit N", why);
    CHECK_INT(STATUS_INVALID, READ("", "--wait=yes"));
    CHECK_TEXT("--wait takes no value", why);
    CHECK_INT(STATUS_INVALID, READ("", "--limit", "5", "--limit=6"));
    CHECK_TEXT("--limit is there twice", why);
    CHECK_INT(STATUS_INVALID, READ("", "-v"));
    CHECK_HAS("there is no option -v", why);
    CHECK_INT(STATUS_INVALID, READ("", "--payload", "\xff"));
    CHECK_TEXT("argument 2 is not UTF-8", why);
}

TEST(words_are_counted)
{
    CHECK_INT(STATUS_INVALID, READ("NAME [FILE]"));
    CHECK_TEXT("NAME is missing", why);
    CHECK_INT(STATUS_OK, READ("NAME [FILE]", "a"));
    CHECK(!options_word(&options, 1));
    CHECK_INT(STATUS_OK, READ("NAME [FILE]", "a", "b"));
    CHECK_INT(STATUS_INVALID, READ("NAME [FILE]", "a", "b", "c"));
    CHECK_TEXT("\"c\" is too much", why);
    CHECK_INT(STATUS_INVALID, READ("", "1", "2", "3", "4", "5", "6", "7", "8", "9"));
    CHECK_TEXT("\"9\" is too much", why);
}

TEST(a_number_is_whole_and_within_its_bounds)
{
    static const char *const wrong[] = {"",    "x",  "5x",  "0",
                                        "101", "-1", "1.5", "99999999999999999999"};
    int64_t n = 7;
    CHECK_INT(STATUS_OK, READ(""));
    CHECK_INT(STATUS_OK, options_int(&options, "limit", 1, 100, 20, &n, why, sizeof why));
    CHECK_INT(20, n);
    CHECK_INT(STATUS_OK, READ("", "--limit=100"));
    CHECK_INT(STATUS_OK, options_int(&options, "limit", 1, 100, 20, &n, why, sizeof why));
    CHECK_INT(100, n);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        test_row = wrong[i];
        CHECK_INT(STATUS_OK, READ("", "--limit", wrong[i]));
        CHECK_INT(STATUS_INVALID, options_int(&options, "limit", 1, 100, 20, &n, why, sizeof why));
        CHECK_HAS("--limit is a whole number from 1 to 100, not ", why);
        CHECK_INT(100, n);
    }
}

TEST(the_nearest_name_is_the_one_with_the_fewest_slips)
{
    static const struct row {
        const char *given, *best; // NULL: none
    } rows[] = {
        {"tsaks", "tasks"},   {"task", "task"},      {"rollbak", "rollback"},
        {"roll", "rollback"}, {"triger", "trigger"}, {"xyz", NULL},
        {"", NULL},           {"q", NULL},           {"pasue", "pause"},
    };
    static const char *const names[] = {"tasks", "task", "rollback", "trigger", "pause"};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        test_row = rows[i].given;
        struct nearest nearest = nearest_to(rows[i].given);
        for (size_t j = 0; j < sizeof names / sizeof *names; j++)
            nearest_try(&nearest, names[j]);
        if (rows[i].best)
            CHECK_TEXT(rows[i].best, nearest.best);
        else
            CHECK(!nearest.best);
    }
}

TESTS_MAIN
