#include "cli/ago.h"

#include "test.h"

TEST(a_moment_is_said_in_one_unit_that_is_never_too_much)
{
    static const struct row {
        int64_t us;
        const char *text;
    } rows[] = {
        {0, "now"},
        {SECOND - 1, "now"},
        {-SECOND + 1, "now"},
        {SECOND, "in 1 s"},
        {-59 * SECOND, "59 s ago"},
        {MINUTE, "in 1 min"},
        {-2 * MINUTE - 59 * SECOND, "2 min ago"},
        {HOUR - 1, "in 59 min"},
        {3 * HOUR, "in 3 h"},
        {-47 * HOUR, "47 h ago"},
        {2 * DAY, "in 2 d"},
        {-729 * DAY, "729 d ago"},
        {730 * DAY, "in 2 years"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[AGO_TEXT];
        wall now = {1774746000 * SECOND};
        ago_format(wall_plus(now, rows[i].us), now, text);
        CHECK_TEXT(rows[i].text, text);
    }
}

TEST(a_span_is_said_with_as_much_as_matters)
{
    static const struct row {
        int64_t us;
        const char *text;
    } rows[] = {
        {-1, "-"},         {0, "0 ms"},
        {340, "340 us"},   {34 * MILLISECOND + 900, "34 ms"},
        {SECOND, "1.0 s"}, {1250 * MILLISECOND, "1.2 s"},
        {MINUTE, "1 min"}, {3 * MINUTE + 5 * SECOND, "3 min 5 s"},
        {2 * HOUR, "2 h"}, {2 * HOUR + 10 * MINUTE + 59 * SECOND, "2 h 10 min"},
        {3 * DAY, "3 d"},  {3 * DAY + 4 * HOUR, "3 d 4 h"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[AGO_TEXT];
        span_format(rows[i].us, text);
        CHECK_TEXT(rows[i].text, text);
    }
}

TESTS_MAIN
