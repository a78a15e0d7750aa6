#include "core/zone.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/buffer.h"
#include "base/random.h"
#include "core/posix_tz.h"
#include "core/zone_names.h"

#include "test.h"

#define COUNT(rows) (sizeof rows / sizeof *rows)

static const struct zone *known(const char *name)
{
    const struct zone *zone = NULL;
    if (zone_find(name, &zone) != STATUS_OK)
        TEST_FAIL("no zone %s", name);
    return zone;
}

static wall instant(const char *text)
{
    wall t = WALL_NONE;
    if (wall_parse(text, strlen(text), &t) != STATUS_OK)
        TEST_FAIL("no instant %s", text);
    return t;
}

// A clock reading, written as an instant of UTC.
static int64_t local(const char *text)
{
    return instant(text).us;
}

TEST(utc_needs_no_file)
{
    const char *abbreviation;
    setenv("TZDIR", "/nowhere", 1);
    CHECK_INT(0, zone_offset(known("UTC"), (wall){0}, &abbreviation));
    CHECK_TEXT("UTC", abbreviation);
    CHECK_TEXT("Etc/UTC", zone_name(known("Etc/UTC")));
    const struct zone *zone;
    CHECK_INT(STATUS_NOT_FOUND, zone_find("Asia/Dili", &zone));
    unsetenv("TZDIR");
    CHECK_INT(STATUS_OK, zone_find("Asia/Dili", &zone));
}

TEST(a_zone_is_loaded_once)
{
    CHECK(known("Europe/Paris") == known("Europe/Paris"));
    CHECK(known("Europe/Paris") != known("Europe/Rome"));
}

TEST(what_is_no_zone_is_not_found)
{
    static const char *const rows[] = {
        "",
        "Nowhere/Land",
        "Europe",
        "../zoneinfo/UTC",
        "Europe/../UTC",
        "/usr/share/zoneinfo/UTC",
        "Europe/",
        "Europe//Berlin",
        "zone.tab",
        "Europe/Berlin ",
        "Europe/Berl\xc3\xafn",
        ".",
        "Europe/BerlinEurope/BerlinEurope/BerlinEurope/BerlinEurope/BerlinEurope/Berlin",
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct zone *zone;
        test_row = rows[i];
        CHECK_INT(STATUS_NOT_FOUND, zone_find(rows[i], &zone));
    }
}

TEST(the_offset_is_the_one_in_force)
{
    static const struct row {
        const char *zone, *at;
        int offset_s;
        const char *abbreviation;
    } rows[] = {
        {"Europe/Berlin", "2026-01-01T00:00:00Z", 3600, "CET"},
        {"Europe/Berlin", "2026-03-29T00:59:59.999Z", 3600, "CET"},
        {"Europe/Berlin", "2026-03-29T01:00:00Z", 7200, "CEST"},
        {"Europe/Berlin", "2199-07-01T00:00:00Z", 7200, "CEST"},
        {"Europe/Dublin", "2026-07-01T00:00:00Z", 3600, "IST"},
        {"Asia/Kathmandu", "2026-07-01T00:00:00Z", 20700, "+0545"},
        {"Australia/Lord_Howe", "2026-07-01T00:00:00Z", 37800, "+1030"},
        {"Australia/Lord_Howe", "2026-12-01T00:00:00Z", 39600, "+11"},
        {"Pacific/Apia", "2011-12-30T09:59:59Z", -36000, "-10"},
        {"Pacific/Apia", "2011-12-30T10:00:00Z", 50400, "+14"},
        {"Etc/GMT+12", "2026-07-01T00:00:00Z", -43200, "-12"},
        {"America/Nuuk", "2040-07-01T00:00:00Z", -3600, "-01"}, // a rule that begins at hour -1
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        const char *abbreviation;
        test_row = rows[i].at;
        CHECK_INT(rows[i].offset_s,
                  zone_offset(known(rows[i].zone), instant(rows[i].at), &abbreviation));
        CHECK_TEXT(rows[i].abbreviation, abbreviation);
    }
}

TEST(the_next_change_is_found)
{
    static const struct row {
        const char *zone, *after, *at; // at NULL: none
        int before_s, after_s;
    } rows[] = {
        {"Europe/Berlin", "2026-01-01T00:00:00Z", "2026-03-29T01:00:00Z", 3600, 7200},
        {"Europe/Berlin", "2026-03-29T01:00:00Z", "2026-10-25T01:00:00Z", 7200, 3600},
        {"Europe/Berlin", "2198-12-01T00:00:00Z", "2199-03-31T01:00:00Z", 3600, 7200},
        {"Pacific/Apia", "2011-12-01T00:00:00Z", "2011-12-30T10:00:00Z", -36000, 50400},
        {"America/Sao_Paulo", "2018-10-01T00:00:00Z", "2018-11-04T03:00:00Z", -10800, -7200},
        {"America/Sao_Paulo", "2019-03-01T00:00:00Z", NULL, 0, 0},
        {"Asia/Kathmandu", "1990-01-01T00:00:00Z", NULL, 0, 0},
        {"UTC", "1970-01-01T00:00:00Z", NULL, 0, 0},
        // Only the name of the time changed in 1992, from WEST to CET.
        {"Europe/Lisbon", "1992-09-27T00:30:00Z", "1993-03-28T01:00:00Z", 3600, 7200},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct zone_change change;
        test_row = rows[i].after;
        bool found = zone_next_change(known(rows[i].zone), instant(rows[i].after), &change);
        CHECK_INT(rows[i].at != NULL, found);
        if (found) {
            CHECK_INT(instant(rows[i].at).us, change.at.us);
            CHECK_INT(rows[i].before_s, change.before_s);
            CHECK_INT(rows[i].after_s, change.after_s);
        }
    }
}

TEST(no_change_comes_after_the_year_2400)
{
    struct zone_change change;
    CHECK(!zone_next_change(known("Europe/Berlin"), instant("2400-01-01T00:00:00Z"), &change));
    CHECK(!zone_next_change(known("Europe/Berlin"), WALL_NEVER, &change));
    CHECK(zone_next_change(known("Europe/Berlin"), WALL_NONE, &change));
}

TEST(a_clock_reading_means_one_instant_none_or_two)
{
    static const struct row {
        const char *zone, *reading;
        enum local_kind kind;
        const char *first, *second;
    } rows[] = {
        {"Europe/Berlin", "2026-03-29T01:59:59Z", LOCAL_UNIQUE, "2026-03-29T00:59:59Z", NULL},
        {"Europe/Berlin", "2026-03-29T02:00:00Z", LOCAL_GAP, "2026-03-29T01:00:00Z", NULL},
        {"Europe/Berlin", "2026-03-29T02:59:59.999Z", LOCAL_GAP, "2026-03-29T01:00:00Z", NULL},
        {"Europe/Berlin", "2026-03-29T03:00:00Z", LOCAL_UNIQUE, "2026-03-29T01:00:00Z", NULL},
        {"Europe/Berlin", "2026-10-25T01:59:59Z", LOCAL_UNIQUE, "2026-10-24T23:59:59Z", NULL},
        {"Europe/Berlin", "2026-10-25T02:00:00Z", LOCAL_OVERLAP, "2026-10-25T00:00:00Z",
         "2026-10-25T01:00:00Z"},
        {"Europe/Berlin", "2026-10-25T02:59:59.5Z", LOCAL_OVERLAP, "2026-10-25T00:59:59.5Z",
         "2026-10-25T01:59:59.5Z"},
        {"Europe/Berlin", "2026-10-25T03:00:00Z", LOCAL_UNIQUE, "2026-10-25T02:00:00Z", NULL},
        {"Australia/Lord_Howe", "2026-10-04T02:15:00Z", LOCAL_GAP, "2026-10-03T15:30:00Z", NULL},
        {"Australia/Lord_Howe", "2026-04-05T01:45:00Z", LOCAL_OVERLAP, "2026-04-04T14:45:00Z",
         "2026-04-04T15:15:00Z"},
        {"Pacific/Apia", "2011-12-30T12:00:00Z", LOCAL_GAP, "2011-12-30T10:00:00Z", NULL},
        {"Pacific/Apia", "2011-12-31T00:00:00Z", LOCAL_UNIQUE, "2011-12-30T10:00:00Z", NULL},
        {"America/Sao_Paulo", "2018-11-04T00:00:00Z", LOCAL_GAP, "2018-11-04T03:00:00Z", NULL},
        {"UTC", "2026-10-25T02:00:00Z", LOCAL_UNIQUE, "2026-10-25T02:00:00Z", NULL},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        test_row = rows[i].reading;
        struct local_meaning got = zone_from_local(known(rows[i].zone), local(rows[i].reading));
        CHECK_INT(rows[i].kind, got.kind);
        CHECK_INT(instant(rows[i].first).us, got.first.us);
        CHECK_INT(instant(rows[i].second ? rows[i].second : rows[i].first).us, got.second.us);
    }
}

TEST(every_reading_leads_back_to_its_instant)
{
    static const char *const rows[] = {"Europe/Berlin", "Africa/Casablanca", "Antarctica/Troll",
                                       "Pacific/Apia", "America/Havana"};
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct zone *zone = known(rows[i]);
        test_row = rows[i];
        for (int64_t us = instant("2009-12-31T22:13:00Z").us;
             us < instant("2041-01-01T00:00:00Z").us; us += 47 * MINUTE) {
            struct local_meaning got =
                zone_from_local(zone, us + zone_offset(zone, (wall){us}, NULL) * SECOND);
            CHECK(got.kind != LOCAL_GAP && (got.first.us == us || got.second.us == us));
        }
    }
}

TEST(an_instant_is_written_with_the_offset_of_its_zone)
{
    static const struct row {
        const char *zone, *at, *text;
    } rows[] = {
        {"Europe/Berlin", "2026-03-29T01:00:00.999Z", "2026-03-29T03:00:00+02:00"},
        {"America/St_Johns", "2026-01-01T00:00:00Z", "2025-12-31T20:30:00-03:30"},
        {"UTC", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00+00:00"},
        {"Africa/Monrovia", "1971-01-01T00:00:30Z",
         "1970-12-31T23:16:30-00:44"}, // -00:44:30 in truth
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        char text[ZONED_TEXT];
        zone_format(known(rows[i].zone), instant(rows[i].at), text);
        CHECK_TEXT(rows[i].text, text);
        CHECK_INT(instant(rows[i].at).us / SECOND, instant(text).us / SECOND);
    }
}

// --- files made by hand ---

struct change {
    int64_t at;
    uint8_t kind;
};

static void put(struct buffer *b, uint64_t n, int size)
{
    while (size--)
        buffer_byte(b, (char)(n >> (8 * size)));
}

static void put_block(struct buffer *b, char version, int time_size, uint32_t leaps,
                      const struct change *changes, size_t count)
{
    static const int offsets[] = {3600, 7200, 0};
    buffer_add(b, "TZif", 4);
    buffer_byte(b, version);
    put(b, 0, 8);
    put(b, 0, 7);
    const uint64_t counts[] = {0, 0, leaps, count, COUNT(offsets), 8};
    for (size_t i = 0; i < COUNT(counts); i++)
        put(b, counts[i], 4);
    for (size_t i = 0; i < count; i++)
        put(b, (uint64_t)changes[i].at, time_size);
    for (size_t i = 0; i < count; i++)
        put(b, changes[i].kind, 1);
    for (size_t i = 0; i < COUNT(offsets); i++) {
        put(b, (uint64_t)offsets[i], 4);
        put(b, i == 1, 1);
        put(b, i == 1 ? 4 : 0, 1);
    }
    buffer_add(b, "ONE\0TWO\0", 8);
    for (uint32_t i = 0; i < leaps; i++)
        put(b, 0, time_size + 4);
}

// A file of version 2: an empty old block, the changes, the rule.
static enum status made(const struct change *changes, size_t count, const char *rule,
                        struct zone **ret)
{
    struct buffer b;
    buffer_init(&b, 1 << 16);
    put_block(&b, '2', 4, 0, NULL, 0);
    put_block(&b, '2', 8, 0, changes, count);
    buffer_format(&b, "\n%s\n", rule);
    enum status status = zone_read("Made/Up", b.data, b.size, ret);
    buffer_done(&b);
    return status;
}

TEST(the_rule_at_the_end_of_a_file_holds_for_all_years_after_its_table)
{
    static const struct row {
        const char *rule, *after, *at; // at NULL: none
        int before_s, after_s;
    } rows[] = {
        {"<+03>-3", "1970-01-01T00:00:00Z", NULL, 0, 0},
        {"CET-1CEST,M3.5.0,M10.5.0/3", "2026-01-01T00:00:00Z", "2026-03-29T01:00:00Z", 3600, 7200},
        {"CET-1CEST,M3.5.0,M10.5.0/3", "2026-06-01T00:00:00Z", "2026-10-25T01:00:00Z", 7200, 3600},
        {"IST-2IDT,M3.4.4/26,M10.5.0", "2026-01-01T00:00:00Z", "2026-03-27T00:00:00Z", 7200, 10800},
        {"<-02>2<-01>,M3.5.0/-1,M10.5.0/0", "2026-01-01T00:00:00Z", "2026-03-29T01:00:00Z", -7200,
         -3600},
        {"AEST-10AEDT,M10.1.0,M4.1.0/3", "2026-01-01T00:00:00Z", "2026-04-04T16:00:00Z", 39600,
         36000},
        {"EST5EDT,J60/2,J300", "2028-01-01T00:00:00Z", "2028-03-01T07:00:00Z", -18000,
         -14400}, // leap: still 1 March
        {"EST5EDT,59,299", "2028-01-01T00:00:00Z", "2028-02-29T07:00:00Z", -18000, -14400},
        {"<+1030>-10:30<+11>-11,M10.1.0,M4.1.0", "2026-05-01T00:00:00Z", "2026-10-03T15:30:00Z",
         37800, 39600},
        {"XXX3EDT4,0/0,J365/23", "2026-01-01T12:00:00Z", NULL, 0, 0}, // summer time all year
        {"AAA0BBB,J1/-167,J100/167", "2026-01-02T00:00:00Z", "2026-04-16T22:00:00Z", 3600, 0},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct zone *zone = NULL;
        struct zone_change change;
        test_row = rows[i].rule;
        CHECK_INT(STATUS_OK, made(NULL, 0, rows[i].rule, &zone));
        bool found = zone_next_change(zone, instant(rows[i].after), &change);
        zone_free(zone);
        CHECK_INT(rows[i].at != NULL, found);
        if (found) {
            CHECK_INT(instant(rows[i].at).us, change.at.us);
            CHECK_INT(rows[i].before_s, change.before_s);
            CHECK_INT(rows[i].after_s, change.after_s);
        }
    }
}

TEST(summer_time_all_year_is_one_offset)
{
    struct zone *zone = NULL;
    const char *abbreviation;
    CHECK_INT(STATUS_OK, made(NULL, 0, "XXX3EDT4,0/0,J365/23", &zone));
    int offset = zone_offset(zone, instant("2027-01-01T03:30:00Z"), &abbreviation);
    bool named = strcmp(abbreviation, "EDT") == 0;
    zone_free(zone);
    CHECK_INT(-4 * 3600, offset);
    CHECK(named);
}

TEST(a_rule_that_makes_no_sense_is_refused)
{
    static const char *const rows[] = {
        "CET",
        "CE-1",
        "CET-1CEST",
        "CET-1CEST,M3.5.0",
        "CET-1CEST,M13.5.0,M10.5.0",
        "CET-1CEST,M3.6.0,M10.5.0",
        "CET-1CEST,M3.5.7,M10.5.0",
        "CET-25",
        "CET-1:60",
        "<+03-3",
        "CET-1CEST,J0,J100",
        "CET-1CEST,366,1",
        "CET-1CEST,M3.5.0/168,M10.5.0",
        "CET-1 ",
        "CET-1CEST,M3.5.0,M10.5.0,",
        "ABCDEFGHIJKLMNOPQ-1",
        "-1",
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct posix_tz tz;
        test_row = rows[i];
        CHECK(!posix_tz_parse(rows[i], strlen(rows[i]), &tz));
    }
}

// The clock goes on an hour at 1000000, and back two, half an hour later: what the first jump left
// out is shown after the second. Kinds: 0 is +1 h, 1 is +2 h, 2 is UTC.
TEST(changes_close_together_are_told_apart)
{
    static const struct change changes[] = {{1000000, 1}, {1001800, 2}};
    static const struct row {
        int64_t reading;
        enum local_kind kind;
        int64_t first, second;
    } rows[] = {
        {1003599, LOCAL_OVERLAP, 999999, 1003599}, // the last second before the jump, and again at
                                                   // the end
        {1003600, LOCAL_UNIQUE, 1003600, 1003600}, // in the jump, but shown later
        {1001800, LOCAL_OVERLAP, 998200, 1001800},
        {1001799, LOCAL_UNIQUE, 998199, 998199},
        {1007200, LOCAL_OVERLAP, 1000000, 1007200},
        {1008999, LOCAL_OVERLAP, 1001799, 1008999},
        {1009000, LOCAL_UNIQUE, 1009000, 1009000},
    };
    struct zone *zone = NULL;
    CHECK_INT(STATUS_OK, made(changes, COUNT(changes), "", &zone));
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct local_meaning got = zone_from_local(zone, rows[i].reading * SECOND);
        CHECK_INT(rows[i].kind, got.kind);
        CHECK_INT(rows[i].first * SECOND, got.first.us);
        CHECK_INT(rows[i].second * SECOND, got.second.us);
    }
    zone_free(zone);
}

TEST(a_file_of_version_1_is_read)
{
    static const struct change changes[] = {{-5, 1}, {1000, 0}};
    struct buffer b;
    struct zone *zone = NULL;
    struct zone_change change;
    buffer_init(&b, 1 << 16);
    put_block(&b, '\0', 4, 0, changes, COUNT(changes));
    CHECK_INT(STATUS_OK, zone_read("Made/Up", b.data, b.size, &zone));
    buffer_done(&b);
    CHECK(zone_next_change(zone, (wall){-6 * SECOND}, &change));
    CHECK_INT(-5 * SECOND, change.at.us);
    CHECK(zone_next_change(zone, change.at, &change));
    CHECK_INT(1000 * SECOND, change.at.us);
    CHECK(!zone_next_change(zone, change.at, &change));
    zone_free(zone);
}

TEST(a_file_with_leap_seconds_or_a_table_out_of_order_is_refused)
{
    static const struct change backwards[] = {{1000, 1}, {1000, 0}}, unknown[] = {{1000, 3}};
    static const struct change far_away[] = {{INT64_MIN, 1}};
    struct buffer b;
    struct zone *zone;
    buffer_init(&b, 1 << 16);
    put_block(&b, '\0', 4, 1, NULL, 0);
    CHECK_INT(STATUS_INVALID, zone_read("Made/Up", b.data, b.size, &zone));
    buffer_done(&b);
    CHECK_INT(STATUS_INVALID, made(backwards, 2, "", &zone));
    CHECK_INT(STATUS_INVALID, made(unknown, 1, "", &zone));
    CHECK_INT(STATUS_INVALID, made(far_away, 1, "", &zone));
    CHECK_INT(STATUS_INVALID, made(NULL, 0, "nonsense", &zone));
}

static size_t read_file(const char *path, char *bytes, size_t size)
{
    FILE *file = fopen(path, "rb");
    size_t n = file ? fread(bytes, 1, size, file) : 0;
    if (file)
        fclose(file);
    return n;
}

TEST(no_file_is_too_broken_to_be_refused)
{
    char path[256], bytes[8192], broken[8192];
    snprintf(path, sizeof path, "%s/Europe/Berlin", zone_folder());
    size_t size = read_file(path, bytes, sizeof bytes);
    struct random chance;
    random_seed(&chance, 20260329);
    CHECK(size > 100);
    for (size_t cut = 0; cut < size; cut++) {
        struct zone *zone = NULL;
        char *exact = malloc(cut ? cut : 1); // so that reading one byte too far is seen
        memcpy(exact, bytes, cut);
        CHECK_INT(STATUS_INVALID, zone_read("Cut/Off", exact, cut, &zone));
        free(exact);
    }
    for (int i = 0; i < 20000; i++) {
        struct zone *zone = NULL;
        memcpy(broken, bytes, size);
        for (int64_t n = random_below(&chance, 4); n >= 0; n--)
            broken[random_below(&chance, i % 2 ? 100 : (int64_t)size)] = (char)random_next(&chance);
        if (zone_read("Broken/One", broken, size, &zone) != STATUS_OK)
            continue;
        struct zone_change change;
        zone_from_local(zone, (int64_t)(random_next(&chance) >> 8));
        zone_next_change(zone, (wall){(int64_t)random_next(&chance)}, &change);
        zone_free(zone);
    }
}

// --- many threads, and names ---

static void *find_some(void *unused)
{
    static const char *const rows[] = {"Asia/Tokyo", "Asia/Seoul", "Nowhere/Land", "UTC",
                                       "Europe/Oslo"};
    (void)unused;
    for (int i = 0; i < 200; i++) {
        const struct zone *zone;
        if (zone_find(rows[i % 5], &zone) == STATUS_OK)
            zone_offset(zone, (wall){i * DAY}, NULL);
    }
    return NULL;
}

TEST(zones_are_found_by_many_threads_at_once)
{
    pthread_t threads[4];
    for (size_t i = 0; i < COUNT(threads); i++)
        CHECK_INT(0, pthread_create(&threads[i], NULL, find_some, NULL));
    for (size_t i = 0; i < COUNT(threads); i++)
        pthread_join(threads[i], NULL);
    CHECK_INT(9 * 3600, zone_offset(known("Asia/Tokyo"), (wall){0}, NULL));
}

TEST(the_nearest_name_is_suggested)
{
    static const struct row {
        const char *written, *meant; // NULL: none is near
    } rows[] = {
        {"europe/berlin", "Europe/Berlin"},
        {"Europe/Berln", "Europe/Berlin"},
        {"Berlin", "Europe/Berlin"},
        {"America/NewYork", "America/New_York"},
        {"Mars/Olympus", NULL},
        {"", NULL},
        {"utc", "UTC"},
        {"Europe/Kyivv", "Europe/Kyiv"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        const char *near = zone_near(rows[i].written);
        test_row = rows[i].written;
        if (rows[i].meant)
            CHECK_TEXT(rows[i].meant, near);
        else
            CHECK(near == NULL);
    }
}

TESTS_MAIN
