#include "cli/words.h"

#include "test.h"

static char said[512];

static const char *say(const char *expression)
{
    struct cron cron;
    char why[256];
    struct buffer b;
    CHECK_INT(STATUS_OK, cron_parse(expression, &cron, why, sizeof why));
    buffer_init(&b, sizeof said - 1);
    bool told = words_cron(&cron, &b);
    snprintf(said, sizeof said, "%s", buffer_string(&b));
    buffer_done(&b);
    if (!told)
        CHECK_TEXT("", said);
    return said;
}

TEST(a_cron_expression_is_said_in_words)
{
    static const struct row {
        const char *cron, *words;
    } rows[] = {
        {"* * * * *", "every minute"},
        {"*/15 * * * *", "every 15 minutes"},
        {"0 * * * *", "every hour"},
        {"5 * * * *", "every hour at :05"},
        {"30 */6 * * *", "every day at 00:30, 06:30, 12:30 and 18:30"},
        {"30 */2 * * *", "every 2 hours at :30"},
        {"30 2 * * *", "every day at 02:30"},
        {"@daily", "every day at 00:00"},
        {"0 9,17 * * *", "every day at 09:00 and 17:00"},
        {"0,30 9 * * *", "every day at 09:00 and 09:30"},
        {"0 9 * * MON-FRI", "at 09:00 on Monday to Friday"},
        {"0 9 * * 6,0", "at 09:00 on Sunday and Saturday"},
        {"0 0 1 * *", "at 00:00 on day 1 of the month"},
        {"0 0 1,15 * *", "at 00:00 on days 1 and 15 of the month"},
        {"0 0 1 1 *", "at 00:00 on day 1 of the month in January"},
        {"0 12 * 6-8 *", "every day at 12:00 in June to August"},
        {"0 0 13 * FRI", "at 00:00 on day 13 of the month and on Friday"},
        {"*/10 9-17 * * MON-FRI", "every 10 minutes from 09:00 to 17:59 on Monday to Friday"},
        {"* 3 * * *", "every minute from 03:00 to 03:59"},
        {"*/10 * * * * *", "every 10 seconds"},
        {"* * * * * *", "every second"},
        {"15 30 2 * * *", "every day at 02:30:15"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        test_row = rows[i].cron;
        CHECK_TEXT(rows[i].words, say(rows[i].cron));
    }
}

TEST(what_has_no_short_words_is_left_to_its_expression)
{
    static const char *const rows[] = {
        "*/7 * * * *",      "1,2,3,5,8 1,2,3 * * *", "*/10 1,5 * * *", "0 0 1,3,5,7,9,11 * *",
        "0 0 0 1 1 * 2027", "0 9-17 * * *",          "*/7 * * * * *",  "*/10 30 2 * * *",
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        test_row = rows[i];
        CHECK_TEXT("", say(rows[i]));
    }
}

static const char *show(const char *json, void (*write)(const json_t *, struct buffer *))
{
    struct json_place place;
    json_t *value;
    struct buffer b;
    CHECK_INT(STATUS_OK, json_read(json, strlen(json), &value, &place));
    buffer_init(&b, sizeof said - 1);
    write(value, &b);
    snprintf(said, sizeof said, "%s", buffer_string(&b));
    buffer_done(&b);
    json_decref(value);
    return said;
}

TEST(a_schedule_is_said_with_its_zone_and_bounds)
{
    CHECK_TEXT(
        "every day at 02:30, Europe/Berlin (30 2 * * *), up to 5m later",
        show("{\"cron\": \"30 2 * * *\", \"timezone\": \"Europe/Berlin\", \"jitter\": \"5m\"}",
             words_schedule));
    CHECK_TEXT("*/7 * * * *, UTC", show("{\"cron\": \"*/7 * * * *\"}", words_schedule));
    CHECK_TEXT("of another version, UTC",
               show("{\"cron\": \"of another version\"}", words_schedule));
    CHECK_TEXT(
        "every 15m, from 2026-01-01T00:00:00.000Z",
        show("{\"every\": \"15m\", \"start\": \"2026-01-01T00:00:00.000Z\"}", words_schedule));
    CHECK_TEXT("in a way this version cannot say",
               show("{\"rrule\": \"FREQ=DAILY\"}", words_schedule));
}

TEST(a_list_of_schedules_is_said_by_its_first)
{
    CHECK_TEXT("every 15m + 1",
               show("[{\"every\": \"15m\"}, {\"at\": \"x\"}]", words_schedules_short));
    CHECK_TEXT("on request", show("[]", words_schedules_short));
}

TESTS_MAIN
