#include "base/moment.h"

#include "test.h"

TEST(an_instant_is_written_in_utc_with_milliseconds)
{
    static const struct row {
        int64_t us;
        const char *text;
    } rows[] = {
        {0, "1970-01-01T00:00:00.000Z"},
        {1774746000 * SECOND + 123456, "2026-03-29T01:00:00.123Z"},
        {951782400 * SECOND, "2000-02-29T00:00:00.000Z"},
        {4107542399 * SECOND + 999999, "2100-02-28T23:59:59.999Z"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[MOMENT_TEXT];
        wall_format((wall){rows[i].us}, text);
        CHECK_TEXT(rows[i].text, text);
    }
}

TEST(an_instant_with_any_offset_is_read)
{
    static const struct row {
        const char *text;
        int64_t us;
    } rows[] = {
        {"2026-12-24T18:00:00+01:00", 1798131600 * SECOND},
        {"2026-12-24T17:00:00Z", 1798131600 * SECOND},
        {"2026-12-24t12:00:00.5-05:00", 1798131600 * SECOND + SECOND / 2},
        {"1970-01-01T00:00:00.000001Z", 1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        wall t;
        test_row = rows[i].text;
        CHECK_INT(STATUS_OK, wall_parse(rows[i].text, strlen(rows[i].text), &t));
        CHECK_INT(rows[i].us, t.us);
    }
}

TEST(what_is_no_instant_is_refused)
{
    static const char *const rows[] = {
        "",
        "2026-12-24",
        "2026-02-29T00:00:00Z",
        "2026-12-24T24:00:00Z",
        "2026-12-24T18:00:00",
        "2026-12-24T18:00:60Z",
        "2026-12-24T18:00:00.Z",
        "2026-12-24T18:00:00Zx",
        "2026-13-01T00:00:00Z",
        "1969-12-31T23:59:59Z",
        "2026-12-24T18:00:00+1:00",
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        wall t;
        test_row = rows[i];
        CHECK_INT(STATUS_INVALID, wall_parse(rows[i], strlen(rows[i]), &t));
    }
}

TEST(every_day_of_five_centuries_goes_to_a_date_and_back)
{
    for (int64_t day = -90000; day < 90000; day++) {
        int64_t year;
        int month, of_month;
        civil_from_days(day, &year, &month, &of_month);
        CHECK(month >= 1 && month <= 12 && of_month >= 1 && of_month <= days_in_month(year, month));
        CHECK_INT(day, days_from_civil(year, month, of_month));
    }
    CHECK_INT(4, weekday_from_days(0));
    CHECK_INT(3, weekday_from_days(-1));
}

TEST(durations_are_read)
{
    static const struct row {
        const char *text;
        int64_t us;
    } rows[] = {
        {"250ms", 250 * MILLISECOND},
        {"1h30m", 90 * MINUTE},
        {"90s", 90 * SECOND},
        {"2d", 2 * DAY},
        {"1w", 7 * DAY},
        {"1.5h", 90 * MINUTE},
        {"0s", 0},
        {"10us", 10},
        {"PT1H30M", 90 * MINUTE},
        {"P1D", DAY},
        {"P1DT12H", 36 * HOUR},
        {"PT0.5S", SECOND / 2},
        {"1m30s", 90 * SECOND},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int64_t us = -1;
        test_row = rows[i].text;
        CHECK_INT(STATUS_OK, duration_parse(rows[i].text, strlen(rows[i].text), &us));
        CHECK_INT(rows[i].us, us);
    }
}

TEST(what_is_no_duration_is_refused)
{
    static const char *const rows[] = {
        "",        "5",         "m",  "-5s", "1h 30m", "30m1h", "1h1h",
        "1.5h30m", "P",         "PT", "P1M", "P1Y",    "200y",  "99999999999999999999s",
        "PT1H30",  "101w52000w"};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int64_t us;
        test_row = rows[i];
        CHECK_INT(STATUS_INVALID, duration_parse(rows[i], strlen(rows[i]), &us));
    }
}

TEST(a_written_duration_reads_back)
{
    static const int64_t rows[] = {0,       1,           250 * MILLISECOND, 90 * MINUTE,
                                   DAY + 1, 36500 * DAY, 1234567890123};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[DURATION_TEXT];
        int64_t us = -1;
        duration_format(rows[i], text);
        test_row = text;
        CHECK_INT(STATUS_OK, duration_parse(text, strlen(text), &us));
        CHECK_INT(rows[i], us);
    }
}

TESTS_MAIN
