#include "core/schedule.h"

#include <stdlib.h>

#include "base/buffer.h"

#include "test.h"

#define COUNT(rows) (sizeof rows / sizeof *rows)

static wall instant(const char *text)
{
    wall t = WALL_NONE;
    if (wall_parse(text, strlen(text), &t) != STATUS_OK)
        TEST_FAIL("no instant %s", text);
    return t;
}

static json_t *json(const char *text)
{
    json_t *value = NULL;
    struct json_place place;
    if (json_read(text, strlen(text), &value, &place) != STATUS_OK)
        TEST_FAIL("no JSON: %s: %s", text, place.detail);
    return value;
}

static struct schedule decoded_in(const char *text, const char *timezone)
{
    struct faults faults = {0};
    struct schedule schedule;
    json_t *value = json(text);
    enum status status = schedule_decode(value, "/schedule", timezone, &faults, &schedule);
    json_decref(value);
    if (status != STATUS_OK)
        TEST_FAIL("refused: %s: %s", text, faults.items[0].detail);
    return schedule;
}

static struct schedule decoded(const char *text)
{
    return decoded_in(text, NULL);
}

// What comes after `from`, written in the zone: instants with their notes in short, separated by
// blanks.
static char *listed(const char *text, const char *from, int count)
{
    static const char *const notes[] = {[DST_MOVED] = "/moved",
                                        [DST_SKIPPED] = "/skipped",
                                        [DST_FIRST_PASS] = "/first",
                                        [DST_SECOND_PASS] = "/second"};
    struct schedule schedule = decoded(text);
    struct buffer b;
    struct occurrence at = {.nominal = instant(from)};
    buffer_init(&b, 1 << 16);
    while (count-- && schedule_next(&schedule, at.nominal, &at)) {
        char zoned[ZONED_TEXT];
        zone_format(schedule.zone, at.nominal, zoned);
        buffer_format(&b, "%s%s%s", b.size ? " " : "", zoned, at.dst ? notes[at.dst] : "");
    }
    schedule_done(&schedule);
    return buffer_take(&b, NULL);
}

struct listing {
    const char *schedule, *from, *next; // the first two or three occurrences after `from`
};

static void check_listings(const struct listing *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int expected = *rows[i].next != '\0';
        for (const char *p = rows[i].next; *p; p++)
            expected += *p == ' ';
        test_row = rows[i].schedule;
        char *got = listed(rows[i].schedule, rows[i].from, expected ? expected : 1);
        bool same = strcmp(got, rows[i].next) == 0;
        if (!same)
            printf("got %s\n", got);
        free(got);
        CHECK(same);
    }
}

TEST(a_fixed_time_in_a_gap_comes_once_at_its_end)
{
    static const struct listing rows[] = {
        {"{\"cron\": \"30 2 * * *\", \"timezone\": \"Europe/Berlin\"}", "2026-03-28T02:00:00+01:00",
         "2026-03-28T02:30:00+01:00 2026-03-29T03:00:00+02:00/moved 2026-03-30T02:30:00+02:00"},
        {"{\"cron\": \"30 2 * * *\", \"timezone\": \"Europe/Berlin\", \"dst_gap\": \"skip\"}",
         "2026-03-28T03:00:00+01:00",
         "2026-03-29T03:00:00+02:00/skipped 2026-03-30T02:30:00+02:00"},
        // Several in one gap are one.
        {"{\"cron\": \"0-59/10 2 * * *\", \"timezone\": \"Europe/Berlin\"}",
         "2026-03-28T02:50:00+01:00", "2026-03-29T03:00:00+02:00/moved 2026-03-30T02:00:00+02:00"},
        // One that regularly comes at the gap's end wins.
        {"{\"cron\": \"0,30 2,3 * * *\", \"timezone\": \"Europe/Berlin\"}",
         "2026-03-29T00:00:00+01:00",
         "2026-03-29T03:00:00+02:00 2026-03-29T03:30:00+02:00 2026-03-30T02:00:00+02:00"},
        {"{\"cron\": \"0,30 2,3 * * *\", \"timezone\": \"Europe/Berlin\", \"dst_gap\": \"skip\"}",
         "2026-03-29T00:00:00+01:00", "2026-03-29T03:00:00+02:00 2026-03-29T03:30:00+02:00"},
        // Seconds, half an hour, a midnight, a whole day.
        {"{\"cron\": \"*/20 59 2 * * *\", \"timezone\": \"Europe/Berlin\"}",
         "2026-03-29T00:00:00+01:00", "2026-03-29T03:00:00+02:00/moved 2026-03-30T02:59:00+02:00"},
        {"{\"cron\": \"15 2 * * *\", \"timezone\": \"Australia/Lord_Howe\"}",
         "2026-10-03T12:00:00+10:30", "2026-10-04T02:30:00+11:00/moved 2026-10-05T02:15:00+11:00"},
        {"{\"cron\": \"0 0 * * *\", \"timezone\": \"America/Sao_Paulo\"}",
         "2018-11-03T12:00:00-03:00", "2018-11-04T01:00:00-02:00/moved 2018-11-05T00:00:00-02:00"},
        {"{\"cron\": \"0 0 * * *\", \"timezone\": \"Asia/Beirut\"}", "2026-03-28T12:00:00+02:00",
         "2026-03-29T01:00:00+03:00/moved 2026-03-30T00:00:00+03:00"},
        {"{\"cron\": \"0 12 * * *\", \"timezone\": \"Pacific/Apia\"}", "2011-12-29T12:00:00-10:00",
         "2011-12-31T00:00:00+14:00/moved 2011-12-31T12:00:00+14:00"},
        {"{\"cron\": \"0 0,12 * * *\", \"timezone\": \"Pacific/Apia\"}",
         "2011-12-29T12:00:00-10:00", "2011-12-31T00:00:00+14:00 2011-12-31T12:00:00+14:00"},
        {"{\"cron\": \"0 12 30 12 *\", \"timezone\": \"Pacific/Apia\"}", "2011-01-01T00:00:00Z",
         "2011-12-31T00:00:00+14:00/moved 2012-12-30T12:00:00+14:00"},
        // The gap alone decides, not the day of the week it ends on.
        {"{\"cron\": \"30 2 * * MON\", \"timezone\": \"Europe/Berlin\"}",
         "2026-03-28T00:00:00+01:00", "2026-03-30T02:30:00+02:00"},
    };
    check_listings(rows, COUNT(rows));
}

TEST(a_fixed_time_that_comes_twice_runs_in_the_first_pass)
{
    static const struct listing rows[] = {
        {"{\"cron\": \"30 2 * * *\", \"timezone\": \"Europe/Berlin\"}", "2026-10-24T12:00:00+02:00",
         "2026-10-25T02:30:00+02:00/first 2026-10-26T02:30:00+01:00"},
        {"{\"cron\": \"30 2 * * *\", \"timezone\": \"Europe/Berlin\", \"dst_overlap\": \"both\"}",
         "2026-10-24T12:00:00+02:00",
         "2026-10-25T02:30:00+02:00/first 2026-10-25T02:30:00+01:00/second "
         "2026-10-26T02:30:00+01:00"},
        // From between both passes: the set of occurrences is the same.
        {"{\"cron\": \"30 2 * * *\", \"timezone\": \"Europe/Berlin\"}", "2026-10-25T00:45:00Z",
         "2026-10-26T02:30:00+01:00"},
        {"{\"cron\": \"0,30 2,3 * * *\", \"timezone\": \"Europe/Berlin\"}",
         "2026-10-25T02:30:00+02:00", "2026-10-25T03:00:00+01:00 2026-10-25T03:30:00+01:00"},
        {"{\"cron\": \"45 1 * * *\", \"timezone\": \"Australia/Lord_Howe\"}",
         "2026-04-04T12:00:00+11:00", "2026-04-05T01:45:00+11:00/first 2026-04-06T01:45:00+10:30"},
        {"{\"cron\": \"0 0 * * *\", \"timezone\": \"America/Havana\"}", "2026-10-31T12:00:00-04:00",
         "2026-11-01T00:00:00-04:00/first 2026-11-02T00:00:00-05:00"},
        {"{\"cron\": \"30 2 * * *\", \"timezone\": \"Africa/Casablanca\"}",
         "2026-02-14T12:00:00+01:00", "2026-02-15T02:30:00+01:00/first 2026-02-16T02:30:00+00:00"},
    };
    check_listings(rows, COUNT(rows));
}

TEST(a_pattern_that_begins_with_a_star_follows_elapsed_time)
{
    static const struct listing rows[] = {
        {"{\"cron\": \"*/30 * * * *\", \"timezone\": \"Europe/Berlin\"}", "2026-03-29T00:30:00Z",
         "2026-03-29T03:00:00+02:00 2026-03-29T03:30:00+02:00"},
        {"{\"cron\": \"30 * * * *\", \"timezone\": \"Europe/Berlin\"}", "2026-10-24T23:45:00Z",
         "2026-10-25T02:30:00+02:00/first 2026-10-25T02:30:00+01:00/second "
         "2026-10-25T03:30:00+01:00"},
        {"{\"cron\": \"*/30 2 * * *\", \"timezone\": \"Europe/Berlin\"}",
         "2026-03-28T12:00:00+01:00", "2026-03-30T02:00:00+02:00"}, // nothing on the 29th
        {"{\"cron\": \"@hourly\", \"timezone\": \"Pacific/Apia\"}", "2011-12-29T22:30:00-10:00",
         "2011-12-29T23:00:00-10:00 2011-12-31T00:00:00+14:00"},
    };
    check_listings(rows, COUNT(rows));
}

TEST(every_is_anchored_and_at_comes_once)
{
    static const struct listing rows[] = {
        {"{\"every\": \"15m\"}", "2026-01-01T00:07:00Z",
         "2026-01-01T00:15:00+00:00 2026-01-01T00:30:00+00:00"},
        {"{\"cron\": \"@every 15m\"}", "2026-01-01T00:00:00Z", "2026-01-01T00:15:00+00:00"},
        {"{\"cron\": \" @every  PT15M \"}", "2026-01-01T00:00:00Z", "2026-01-01T00:15:00+00:00"},
        {"{\"every\": \"7h\", \"start\": \"2026-01-01T00:05:00Z\"}", "2025-01-01T00:00:00Z",
         "2026-01-01T00:05:00+00:00 2026-01-01T07:05:00+00:00"},
        {"{\"every\": \"7h\", \"start\": \"2026-01-01T00:05:00Z\", \"end\": "
         "\"2026-01-01T07:05:00Z\"}",
         "2026-01-01T00:05:00Z", ""},
        {"{\"at\": \"2026-12-24T18:00:00+01:00\"}", "2026-12-24T16:59:59Z",
         "2026-12-24T17:00:00+00:00"},
        {"{\"at\": \"2026-12-24T18:00:00+01:00\"}", "2026-12-24T17:00:00Z", ""},
        {"{\"cron\": \"0 0 * * *\", \"start\": \"2026-01-02T00:00:00Z\", \"end\": "
         "\"2026-01-04T00:00:00Z\"}",
         "2020-01-01T00:00:00Z", "2026-01-02T00:00:00+00:00 2026-01-03T00:00:00+00:00"},
        {"{\"cron\": \"0 0 * * *\", \"end\": \"2026-01-04T00:00:00Z\"}", "2026-01-03T00:00:00Z",
         ""},
        {"{\"cron\": \"59 23 31 12 *\"}", "2199-12-31T23:59:00Z", ""},
    };
    check_listings(rows, COUNT(rows));
}

// The occurrences are one fixed set: wherever a search begins, it finds the next one of them.
TEST(the_occurrences_do_not_depend_on_where_the_search_begins)
{
    static const struct row {
        const char *schedule, *from;
    } rows[] = {
        {"{\"cron\": \"15,45 1-3 * * *\", \"timezone\": \"Europe/Berlin\"}",
         "2026-03-28T00:00:00Z"},
        {"{\"cron\": \"15,45 1-3 * * *\", \"timezone\": \"Europe/Berlin\"}",
         "2026-10-24T00:00:00Z"},
        {"{\"cron\": \"15,45 0-2 * * *\", \"timezone\": \"Australia/Lord_Howe\", \"dst_overlap\": "
         "\"both\"}",
         "2026-04-04T00:00:00Z"},
        {"{\"cron\": \"0 */5 * * *\", \"timezone\": \"Pacific/Apia\"}", "2011-12-29T12:00:00Z"},
        {"{\"cron\": \"0 0 * * *\", \"timezone\": \"Pacific/Apia\", \"dst_gap\": \"skip\"}",
         "2011-12-29T00:00:00Z"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct schedule schedule = decoded(rows[i].schedule);
        wall from = instant(rows[i].from);
        struct occurrence next, other;
        test_row = rows[i].schedule;
        CHECK(schedule_next(&schedule, from, &next));
        for (wall t = from; t.us < from.us + 2 * DAY; t.us += 7 * MINUTE + 123456) {
            if (next.nominal.us <= t.us)
                CHECK(schedule_next(&schedule, next.nominal, &next));
            while (next.nominal.us <= t.us)
                CHECK(schedule_next(&schedule, next.nominal, &next));
            CHECK(schedule_next(&schedule, t, &other));
            CHECK(other.nominal.us > t.us);
            CHECK_INT(next.nominal.us, other.nominal.us);
            CHECK_INT(next.dst, other.dst);
        }
        schedule_done(&schedule);
    }
}

TEST(the_extremes_of_time_are_answered)
{
    static const char *const rows[] = {
        "{\"cron\": \"30 2 * * *\", \"timezone\": \"Europe/Berlin\"}", "{\"every\": \"100ms\"}",
        "{\"every\": \"36500d\"}", "{\"at\": \"1970-01-01T00:00:00Z\"}"};
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct schedule schedule = decoded(rows[i]);
        struct occurrence next;
        test_row = rows[i];
        CHECK(schedule_next(&schedule, WALL_NONE, &next));
        CHECK(!schedule_next(&schedule, WALL_NEVER, &next));
        CHECK(!schedule_next(&schedule, (wall){INT64_MAX - 1}, &next));
        schedule_done(&schedule);
    }
}

TEST(jitter_is_positive_bounded_and_always_the_same)
{
    struct schedule schedule = decoded("{\"every\": \"1h\", \"jitter\": \"5m\"}");
    int64_t least = INT64_MAX, most = -1;
    for (int i = 0; i < 1000; i++) {
        wall nominal = {i * HOUR};
        int64_t offset = schedule_effective(&schedule, "nightly", nominal).us - nominal.us;
        CHECK(offset >= 0 && offset < 5 * MINUTE);
        CHECK_INT(offset, schedule_effective(&schedule, "nightly", nominal).us - nominal.us);
        least = offset < least ? offset : least;
        most = offset > most ? offset : most;
    }
    CHECK(least < 10 * SECOND && most > 5 * MINUTE - 10 * SECOND);
    CHECK(schedule_effective(&schedule, "a", (wall){0}).us !=
          schedule_effective(&schedule, "b", (wall){0}).us);
    schedule.jitter_us = 0;
    CHECK_INT(HOUR, schedule_effective(&schedule, "a", (wall){HOUR}).us);
    schedule_done(&schedule);
}

TEST(the_default_zone_holds_where_none_is_written)
{
    struct schedule ours = decoded_in("{\"cron\": \"@daily\"}", "Europe/Berlin");
    struct schedule own =
        decoded_in("{\"cron\": \"@daily\", \"timezone\": \"UTC\"}", "Europe/Berlin");
    struct schedule none = decoded("{\"cron\": \"@daily\"}");
    CHECK_TEXT("Europe/Berlin", zone_name(ours.zone));
    CHECK_TEXT("UTC", zone_name(own.zone));
    CHECK_TEXT("UTC", zone_name(none.zone));
    schedule_done(&ours);
    schedule_done(&own);
    schedule_done(&none);
}

TEST(what_is_wrong_is_named_with_its_place)
{
    static const struct row {
        const char *schedule, *pointer, *says;
    } rows[] = {
        {"[]", "/schedule", "a schedule is an object such as"},
        {"{}", "/schedule", "exactly one of cron, every and at; this one has 0"},
        {"{\"cron\": \"@daily\", \"every\": \"1h\"}", "/schedule", "this one has 2"},
        {"{\"cron\": \"60 * * * *\"}", "/schedule/cron", "write 0-59"},
        {"{\"cron\": 5}", "/schedule/cron", "must be a text"},
        {"{\"cron\": \"@every soon\"}", "/schedule/cron", "must be a duration such as"},
        {"{\"cron\": \"@every\"}", "/schedule/cron", "as in @every 15m"},
        {"{\"every\": \"15\"}", "/schedule/every", "must be a duration such as"},
        {"{\"every\": \"99ms\"}", "/schedule/every", "the shortest period is 100ms"},
        {"{\"every\": \"0s\"}", "/schedule/every", "the shortest period is 100ms"},
        {"{\"at\": \"2026-12-24\"}", "/schedule/at", "must be an instant with its offset"},
        {"{\"at\": \"2026-12-24T18:00:00\"}", "/schedule/at", "must be an instant with its offset"},
        {"{\"at\": null}", "/schedule/at", "must be a text"},
        {"{\"cron\": \"@daily\", \"timezone\": \"Europe/berlin\"}", "/schedule/timezone",
         "is Europe/Berlin meant?"},
        {"{\"cron\": \"@daily\", \"timezone\": \"Mars/Olympus\"}", "/schedule/timezone",
         "\"Mars/Olympus\" is not a known time zone: write a name such as"},
        {"{\"cron\": \"@daily\", \"timezone\": \"../UTC\"}", "/schedule/timezone",
         "is not a known time zone"},
        {"{\"cron\": \"@daily\", \"timezone\": 1}", "/schedule/timezone", "must be a text"},
        {"{\"cron\": \"@daily\", \"dst_gap\": \"jump\"}", "/schedule/dst_gap",
         "must be \"run\" or \"skip\""},
        {"{\"cron\": \"@daily\", \"dst_overlap\": true}", "/schedule/dst_overlap",
         "must be \"first\" or \"both\""},
        {"{\"every\": \"1h\", \"dst_gap\": \"run\"}", "/schedule/dst_gap",
         "only with a cron expression"},
        {"{\"cron\": \"@daily\", \"jitter\": \"-5m\"}", "/schedule/jitter",
         "must be a duration such as"},
        {"{\"cron\": \"@daily\", \"jitter\": \"24h1s\"}", "/schedule/jitter",
         "must be at most 24h"},
        {"{\"cron\": \"@daily\", \"start\": \"soon\"}", "/schedule/start", "must be an instant"},
        {"{\"every\": \"1h\", \"start\": \"2026-01-02T00:00:00Z\", \"end\": "
         "\"2026-01-02T00:00:00Z\"}",
         "/schedule/end", "must be later than start"},
        {"{\"at\": \"2026-01-01T00:00:00Z\", \"end\": \"2027-01-01T00:00:00Z\"}", "/schedule/end",
         "no meaning with at"},
        {"{\"cron\": \"0 0 1 1 *\", \"start\": \"2026-01-02T00:00:00Z\", \"end\": "
         "\"2026-12-31T00:00:00Z\"}",
         "/schedule", "no occurrence between its start and its end"},
        {"{\"cron\": \"@daily\", \"time_zone\": \"UTC\"}", "/schedule/time_zone",
         "is not known here: a schedule has cron"},
        {"{\"cron\": \"@daily\", \"a/b\": 1}", "/schedule/a~1b", "is not known here"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct faults faults = {0};
        struct schedule schedule = {.jitter_us = 42};
        json_t *value = json(rows[i].schedule);
        test_row = rows[i].schedule;
        CHECK_INT(STATUS_INVALID, schedule_decode(value, "/schedule", NULL, &faults, &schedule));
        json_decref(value);
        CHECK_INT(1, faults.count);
        CHECK_TEXT(rows[i].pointer, faults.items[0].pointer);
        CHECK_HAS(rows[i].says, faults.items[0].detail);
        CHECK_INT(42, schedule.jitter_us);
        faults_done(&faults);
    }
}

TEST(all_faults_are_named_at_once)
{
    struct faults faults = {0};
    struct schedule schedule;
    json_t *value =
        json("{\"cron\": \"61 * * * *\", \"timezone\": \"x\", \"jitter\": 1, \"colour\": \"red\"}");
    CHECK_INT(STATUS_INVALID, schedule_decode(value, "", "Europe/Berlin", &faults, &schedule));
    CHECK_INT(4, faults.count);
    json_decref(value);
    faults_done(&faults);
}

TEST(an_unknown_default_zone_is_a_fault)
{
    struct faults faults = {0};
    struct schedule schedule;
    json_t *value = json("{\"cron\": \"@daily\"}");
    CHECK_INT(STATUS_INVALID,
              schedule_decode(value, "/tasks/a/schedule", "Nowhere/Land", &faults, &schedule));
    CHECK_TEXT("/tasks/a/schedule/timezone", faults.items[0].pointer);
    json_decref(value);
    faults_done(&faults);
}

TEST(the_canonical_form_reads_back_to_the_same)
{
    static const struct row {
        const char *written, *canonical;
    } rows[] = {
        {"{\"cron\": \"  30  2 * *\\t* \"}", "{\"cron\":\"30 2 * * *\"}"},
        {"{\"timezone\": \"UTC\", \"dst_gap\": \"run\", \"jitter\": \"0s\", \"dst_overlap\": "
         "\"first\", \"cron\": \"@daily\"}",
         "{\"cron\":\"@daily\"}"},
        {"{\"jitter\": \"300s\", \"dst_gap\": \"skip\", \"dst_overlap\": \"both\", \"cron\": "
         "\"@daily\", \"timezone\": \"Europe/Berlin\"}",
         "{\"cron\":\"@daily\",\"timezone\":\"Europe/"
         "Berlin\",\"dst_gap\":\"skip\",\"dst_overlap\":\"both\",\"jitter\":\"5m\"}"},
        {"{\"every\": \"90m\"}", "{\"every\":\"1h30m\"}"},
        {"{\"cron\": \"@every 900s\"}", "{\"every\":\"15m\"}"},
        {"{\"at\": \"2026-12-24T18:00:00+01:00\"}", "{\"at\":\"2026-12-24T17:00:00.000Z\"}"},
        {"{\"at\": \"2026-12-24T18:00:00.000007Z\"}", "{\"at\":\"2026-12-24T18:00:00.000007Z\"}"},
        {"{\"every\": \"1h\", \"end\": \"2027-01-01T00:00:00Z\", \"start\": "
         "\"2026-01-01T00:00:00Z\"}",
         "{\"every\":\"1h\",\"start\":\"2026-01-01T00:00:00.000Z\",\"end\":\"2027-01-01T00:00:00."
         "000Z\"}"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        test_row = rows[i].written;
        const char *text = rows[i].written;
        for (int round = 0; round < 2; round++) {
            struct schedule schedule = decoded(text);
            json_t *value = schedule_encode(&schedule);
            char *got = json_write(value, NULL);
            bool same = strcmp(got, rows[i].canonical) == 0;
            if (!same)
                printf("got %s\n", got);
            free(got);
            json_decref(value);
            schedule_done(&schedule);
            CHECK(same);
            text = rows[i].canonical;
        }
    }
}

TESTS_MAIN
