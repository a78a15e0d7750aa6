#include "core/cron.h"

#include "base/moment.h"

#include "test.h"

#define COUNT(rows) (sizeof rows / sizeof *rows)

static struct cron parsed(const char *text)
{
    struct cron cron;
    char detail[256];
    if (cron_parse(text, &cron, detail, sizeof detail) != STATUS_OK)
        TEST_FAIL("refused: %s: %s", text, detail);
    return cron;
}

// Local times are written as instants of UTC here.
static int64_t local(const char *text)
{
    wall t = WALL_NONE;
    if (wall_parse(text, strlen(text), &t) != STATUS_OK)
        TEST_FAIL("no time %s", text);
    return t.us;
}

TEST(the_next_matching_time_is_found)
{
    static const struct row {
        const char *expression, *after, *next; // next NULL: none
    } rows[] = {
        {"15 10 * * *", "2025-03-10T10:14:59Z", "2025-03-10T10:15:00Z"},
        {"15 10 * * *", "2025-03-10T10:15:00Z", "2025-03-11T10:15:00Z"},
        {"15 10 * * *", "2025-03-10T10:14:59.999999Z", "2025-03-10T10:15:00Z"},
        {"  15\t10  * * * ", "2025-03-10T10:15:00Z", "2025-03-11T10:15:00Z"},
        {"30 8 * jan Mon", "2025-01-01T00:00:00Z", "2025-01-06T08:30:00Z"},
        {"5-59/15 9 * * *", "2025-03-10T09:20:00Z", "2025-03-10T09:35:00Z"},
        {"5-59/15 9 * * *", "2025-03-10T09:50:00Z", "2025-03-11T09:05:00Z"},
        {"* * * * *", "2025-12-31T23:59:00Z", "2026-01-01T00:00:00Z"},
        {"* * * * * *", "2025-12-31T23:59:58Z", "2025-12-31T23:59:59Z"},
        {"30 15 10 * * *", "2025-03-10T10:15:29Z", "2025-03-10T10:15:30Z"},
        {"0 15 10 * * * 2025", "2025-12-31T10:15:00Z", NULL},
        {"0 0 0 1 1 * 1970-2199/2", "2024-06-01T00:00:00Z", "2026-01-01T00:00:00Z"},
        {"0 0 0 1 1 * */2", "2024-06-01T00:00:00Z", "2026-01-01T00:00:00Z"},
        {"0 0 0 1 1 * 2034,2033", "2024-06-01T00:00:00Z", "2033-01-01T00:00:00Z"},
        {"0 0 0 1 1 * 2199", "2024-06-01T00:00:00Z", "2199-01-01T00:00:00Z"},
        {"0 0 29 2 *", "2096-03-01T00:00:00Z", "2104-02-29T00:00:00Z"}, // 2100 is no leap year
        {"0 0 31 * *", "2026-01-31T00:00:00Z", "2026-03-31T00:00:00Z"},
        {"0 0 * * *", "2026-02-28T00:00:00Z", "2026-03-01T00:00:00Z"},
        {"0 0 * * 7", "2025-10-04T00:00:00Z", "2025-10-05T00:00:00Z"},
        {"0 0 * * 0", "2025-10-04T00:00:00Z", "2025-10-05T00:00:00Z"},
        {"0 0 * * 6-7", "2025-10-04T00:00:00Z", "2025-10-05T00:00:00Z"},
        {"0 0 * * FRI-SUN", "2025-10-04T00:00:00Z", "2025-10-05T00:00:00Z"},
        {"0 0 * * SUN-MON", "2025-10-05T00:00:00Z", "2025-10-06T00:00:00Z"},
        {"0 0 * * */2", "2025-10-05T00:00:00Z", "2025-10-07T00:00:00Z"},
        {"59 23 31 12 *", "2199-12-31T23:59:00Z", NULL},
        {"0 0 1 1 *", "1969-01-01T00:00:00Z", "1970-01-01T00:00:00Z"},
        {"0 0 1 1 *", "2300-01-01T00:00:00Z", NULL},
        {"@hourly", "2025-10-07T10:00:00Z", "2025-10-07T11:00:00Z"},
        {"@daily", "2025-10-07T10:00:00Z", "2025-10-08T00:00:00Z"},
        {"@midnight", "2025-10-07T10:00:00Z", "2025-10-08T00:00:00Z"},
        {"@weekly", "2025-10-07T10:00:00Z", "2025-10-12T00:00:00Z"},
        {"@monthly", "2025-10-07T10:00:00Z", "2025-11-01T00:00:00Z"},
        {" @yearly ", "2025-10-07T10:00:00Z", "2026-01-01T00:00:00Z"},
        {"@annually", "2025-10-07T10:00:00Z", "2026-01-01T00:00:00Z"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        test_row = rows[i].expression;
        struct cron cron = parsed(rows[i].expression);
        int64_t next = -1, after = rows[i].after[0] == '1' && rows[i].after[2] == '6'
                                       ? -365 * DAY // wall_parse begins with 1970
                                       : local(rows[i].after);
        CHECK_INT(rows[i].next != NULL, cron_next_local(&cron, after, &next));
        if (rows[i].next)
            CHECK_INT(local(rows[i].next), next);
    }
}

// September 2025 begins on a Monday, October on a Wednesday.
TEST(day_of_month_and_day_of_week_combine_as_ocps_says)
{
    static const struct row {
        const char *expression, *after, *next;
    } rows[] = {
        {"0 12 1 * MON", "2025-09-30T13:00:00Z", "2025-10-01T12:00:00Z"}, // either
        {"0 12 1 * MON", "2025-10-01T12:00:00Z", "2025-10-06T12:00:00Z"},
        {"0 12 * * MON", "2025-09-30T13:00:00Z", "2025-10-06T12:00:00Z"}, // * restricts nothing
        {"0 12 ? * MON", "2025-09-30T13:00:00Z", "2025-10-06T12:00:00Z"},
        {"0 12 1 * ?", "2025-09-30T13:00:00Z", "2025-10-01T12:00:00Z"},
        {"0 12 1-31 * MON", "2025-10-06T12:00:00Z", "2025-10-07T12:00:00Z"}, // a full range does
        {"0 12 */2 * MON", "2025-10-07T13:00:00Z", "2025-10-13T12:00:00Z"},  // begins with *: both
        {"0 12 1 * +MON", "2025-09-01T12:00:00Z", "2025-12-01T12:00:00Z"},   // + asks for both
        {"0 12 13 * +FRI", "2025-09-01T12:00:00Z", "2026-02-13T12:00:00Z"},
        {"0 0 29 2 +MON", "2025-09-01T12:00:00Z", "2044-02-29T00:00:00Z"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        test_row = rows[i].expression;
        struct cron cron = parsed(rows[i].expression);
        int64_t next = -1;
        CHECK(cron_next_local(&cron, local(rows[i].after), &next));
        CHECK_INT(local(rows[i].next), next);
    }
}

TEST(what_begins_with_a_star_follows_elapsed_time)
{
    static const struct row {
        const char *expression;
        bool elapsed;
    } rows[] = {
        {"30 2 * * *", false},   {"* 2 * * *", true},    {"30 * * * *", true},
        {"*/5 2 * * *", true},   {"0,* 2 * * *", false}, {"0-59 0-23 * * *", false},
        {"* 30 2 * * *", false}, {"@hourly", true},      {"@daily", false},
        {"0 */2 * * * *", true},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        test_row = rows[i].expression;
        CHECK_INT(rows[i].elapsed, parsed(rows[i].expression).elapsed);
    }
}

TEST(what_is_wrong_is_refused_with_what_to_write)
{
    static const struct row {
        const char *expression, *says;
    } rows[] = {
        {"", "5 fields"},
        {"* * *", "this one has 3"},
        {"* * * * * * * *", "this one has 8"},
        {"60 0 * * *", "minute 60 is out of range: write 0-59"},
        {"0 24 * * *", "hour 24 is out of range: write 0-23"},
        {"0 0 0 * *", "day-of-month 0 is out of range: write 1-31"},
        {"0 0 32 * *", "write 1-31"},
        {"0 0 * 13 *", "write 1-12 or JAN-DEC"},
        {"0 0 * * 8", "write 0-7"},
        {"0 0 0 1 1 * 1969", "write 1970-2199"},
        {"0 0 0 1 1 * 2200", "write 1970-2199"},
        {"99999999999999999999 * * * *", "out of range"},
        {"0/15 * * * *", "write 0-59/15"},
        {"10/10 * * * *", "write 10-59/10"},
        {"0 3/6 * * *", "write 3-23/6"},
        {"0 0 * * MON/2", "write MON-SAT/2"},
        {"0 0 /30 * *", "write */30"},
        {"*/0 * * * *", "a step of 0"},
        {"*/ * * * *", "no number after the /"},
        {"*/90 * * * *", "@every 90m"},
        {"0 0 10-5 * *", "write 10-31,1-5"},
        {"0 22-3 * * *", "write 22-23,0-3"},
        {"0 0 * * FRI-MON", "write FRI-SAT,SUN-MON"},
        {"0 0 * NOV-FEB *", "write NOV-DEC,JAN-FEB"},
        {"0 0 * * SAT-MON", "write SAT,SUN-MON"},
        {"0 0 * FOO *", "\"FOO\" in the month field"},
        {"0 0 * JANUARY *", "\"JANUARY\" in the month field"},
        {"1,,2 * * * *", "empty item"},
        {"1, * * * *", "empty item"},
        {"1-2-3 * * * *", "not understood"},
        {"5- * * * *", "not understood"},
        {"-5 * * * *", "not understood"},
        {"1.5 * * * *", "not understood"},
        {"*5 * * * *", "not understood"},
        {"0\n0 * * * *", "\"0?0\" in the minute field is not understood"},
        {"\xff\xc3 * * * *", "\"??\" in the minute field"},
        {"? 12 * * *", "? may only stand alone"},
        {"0 0 1,? * *", "? may only stand alone"},
        {"0 12 +1 * MON", "+ may only stand once, before the day of week"},
        {"0 12 1 * ++MON", "+ may only stand once"},
        {"0 12 1 * +", "empty item"},
        {"0 0 L * *", "L (the last day) is not supported"},
        {"0 0 LW * *", "L (the last day) is not supported"},
        {"0 0 * * 5L", "L (the last day) is not supported"},
        {"0 12 15W * *", "W (the working day nearest to a date) is not supported"},
        {"0 0 * * FRI#2", "# (the n-th weekday of a month) is not supported"},
        {"H 2 * * *", "H (a minute or hour spread"},
        {"30 2 30 2 *", "February never has 30 days"},
        {"30 2 31 4 *", "April never has 31 days"},
        {"0 0 31 4,6,9,11 *", "none of these months has 31 days"},
        {"0 0 0 29 2 * 2025-2027", "leap years"},
        {"0 0 0 29 2 +MON 2028", "never meet"},
        {"@Daily", "write @daily"},
        {"@daily 0 0 * * *", "stands alone"},
        {"@fortnightly", "is not known: write @yearly"},
        {"@reboot", "names no time"},
        {"@every", "as in @every 15m"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct cron cron;
        char detail[256] = "";
        test_row = rows[i].expression;
        CHECK_INT(STATUS_INVALID, cron_parse(rows[i].expression, &cron, detail, sizeof detail));
        CHECK_HAS(rows[i].says, detail);
    }
}

TEST(what_a_message_proposes_is_accepted)
{
    static const char *const rows[] = {
        "0/15 * * * *", "0 22-3 * * *", "0 0 * * FRI-MON", "0 0 * NOV-FEB *", "0 0 * * SAT-MON",
        "0 0 10-5 * *", "0 0 * * 5/2",  "0 0 * FEB/3 *",   "0 0 /30 * *",     "0 0 0 1 1 * 2026/2"};
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct cron cron;
        char detail[256] = "", fixed[256];
        test_row = rows[i];
        CHECK_INT(STATUS_INVALID, cron_parse(rows[i], &cron, detail, sizeof detail));
        const char *proposed = strstr(detail, "write ");
        CHECK(proposed != NULL);
        // Puts the proposal where the one field stands that is not a plain * or number.
        size_t from = strcspn(rows[i], "/-"), to = from;
        while (from > 0 && rows[i][from - 1] != ' ')
            from--;
        to += strcspn(rows[i] + to, " ");
        snprintf(fixed, sizeof fixed, "%.*s%s%s", (int)from, rows[i], proposed + strlen("write "),
                 rows[i] + to);
        test_row = fixed;
        CHECK_INT(STATUS_OK, cron_parse(fixed, &cron, detail, sizeof detail));
    }
}

TEST(a_refusal_writes_no_result_and_stays_within_its_space)
{
    struct cron cron = {.seconds = 42};
    char detail[8] = "";
    CHECK_INT(STATUS_INVALID, cron_parse("60 * * * *", &cron, detail, sizeof detail));
    CHECK_INT(42, cron.seconds);
    CHECK_TEXT("minute ", detail);
}

TESTS_MAIN
