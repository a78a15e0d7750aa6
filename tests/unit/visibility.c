#include "core/visibility.h"

#include "test.h"

TEST(a_cache_status_is_warm_with_any_hit_and_cold_when_all_forward)
{
    static const struct {
        const char *value;
        enum cache_status expected;
    } rows[] = {
        {"ExampleCache; hit", CACHE_WARM},
        {"ExampleCache; hit; ttl=30", CACHE_WARM},
        {"\"my cache\";hit=?1", CACHE_WARM},
        {"ExampleCache; hit=?0", CACHE_UNKNOWN},
        {"ExampleCache; fwd=miss; stored", CACHE_COLD},
        {"Origin; fwd=uri-miss, Edge; fwd=stale;fwd-status=304", CACHE_COLD},
        {"Origin; fwd=miss, Edge; hit", CACHE_WARM},
        {"Edge; fwd=miss, Origin; hit; ttl=-412", CACHE_WARM},
        {"Edge; fwd=miss, Silent", CACHE_UNKNOWN},
        {"ExampleCache; detail=\"a, b; hit\"; fwd=bypass", CACHE_COLD},
        {"ExampleCache; key=\"say \\\"hit\\\"\"; fwd=miss", CACHE_COLD},
        {"Silent", CACHE_UNKNOWN},
        {"", CACHE_UNKNOWN},
        {"  ", CACHE_UNKNOWN},
        {"Cache; hit, ", CACHE_UNKNOWN},
        {"Cache hit", CACHE_UNKNOWN},
        {"Cache; \"hit", CACHE_UNKNOWN},
        {"Cache; detail=\"open; hit", CACHE_UNKNOWN},
        {"Cache; fwd=", CACHE_UNKNOWN},
        {"\"Cache", CACHE_UNKNOWN},
        {"hit-and-run", CACHE_UNKNOWN},
        {"Cache; key=:aGl0:; fwd=miss", CACHE_COLD},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct attempt a;
        attempt_init(&a);
        test_row = rows[i].value;
        visibility_cache_status(&a, rows[i].value, strlen(rows[i].value));
        CHECK_INT(rows[i].expected, a.cache);
    }
}

TEST(a_hit_in_any_line_stays_a_hit)
{
    struct attempt a;
    attempt_init(&a);
    visibility_cache_status(&a, "A; hit", 6);
    visibility_cache_status(&a, "B; fwd=miss", 11);
    CHECK_INT(CACHE_WARM, a.cache);
}

TEST(server_timing_gives_time_and_calls_of_the_database)
{
    static const struct {
        const char *value;
        int64_t time_us, calls;
    } rows[] = {
        {"db;dur=53;desc=\"6 queries\"", 53000, 6},
        {"db;dur=53.5", 53500, -1},
        {"db;dur=0", 0, -1},
        {"db ; dur = 1.2345 ; desc = \"1 query\"", 1234, 1},
        {"cache;desc=\"Cache Read\";dur=23.2, db;dur=1;count=3, app;dur=47.2", 1000, 3},
        {"db;dur=1;desc=\"2 queries\", db-replica;dur=2;desc=\"3 queries\"", 3000, 5},
        {"DB;DUR=4", 4000, -1},
        {"db;desc=6;dur=2", 2000, 6},
        {"db;desc=\"queries: 7\"", -1, 7},
        {"db;desc=\"PostgreSQL 15\";dur=2", 2000, -1},
        {"db;desc=\"6 of 9 queries\"", -1, -1},
        {"db;desc=\"1.5 queries\"", -1, -1},
        {"db;dur=-3", -1, -1},
        {"db;dur=abc;dur=5", 5000, -1},
        {"db;dur=1;dur=2", 1000, -1},
        {"db;dur=\"8\"", 8000, -1},
        {"db;desc=\"open, dur=4", -1, -1},
        {"app;dur=5", -1, -1},
        {"", -1, -1},
        {",,;;,db;dur=1,", 1000, -1},
        {"db;dur=99999999999999999999", -1, -1},
        {"x;desc=\"db;dur=5\"", -1, -1},
        {"db;dur=.5", 500, -1},
        {"db;dur=.", -1, -1},
        {"db;dur=1.2.3", -1, -1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct attempt a;
        attempt_init(&a);
        test_row = rows[i].value;
        visibility_server_timing(&a, rows[i].value, strlen(rows[i].value));
        CHECK_INT(rows[i].time_us, a.db_time_us);
        CHECK_INT(rows[i].calls, a.db_calls);
    }
}

TEST(several_lines_of_server_timing_add_up)
{
    struct attempt a;
    attempt_init(&a);
    visibility_server_timing(&a, "db;dur=1;count=1", 16);
    visibility_server_timing(&a, "db;dur=2;count=2", 16);
    CHECK_INT(3000, a.db_time_us);
    CHECK_INT(3, a.db_calls);
}

TEST(a_report_is_read)
{
    struct attempt a;
    char why[200];
    attempt_init(&a);
    const char *json = "{\"cache\": \"hit\", \"db_calls\": 6, \"db_time_ms\": 12.5, \"more\": [1]}";
    CHECK_INT(STATUS_OK, visibility_report(&a, json, strlen(json), why, sizeof why));
    CHECK_INT(CACHE_WARM, a.cache);
    CHECK_INT(6, a.db_calls);
    CHECK_INT(12500, a.db_time_us);
    json = "{\"cache\": \"miss\", \"db_calls\": null}";
    CHECK_INT(STATUS_OK, visibility_report(&a, json, strlen(json), why, sizeof why));
    CHECK_INT(CACHE_COLD, a.cache);
    CHECK_INT(6, a.db_calls);
}

TEST(a_wrong_report_leaves_everything_as_it_was)
{
    static const char *const rows[] = {
        "",
        "{",
        "[]",
        "7",
        "{\"cache\": \"lukewarm\"}",
        "{\"cache\": 1}",
        "{\"cache\": \"hit\", \"db_calls\": -1}",
        "{\"cache\": \"hit\", \"db_calls\": 1.5}",
        "{\"cache\": \"hit\", \"db_calls\": \"6\"}",
        "{\"cache\": \"hit\", \"db_time_ms\": -0.1}",
        "{\"cache\": \"hit\", \"db_time_ms\": 1e300}",
        "{\"cache\": \"hit\", \"db_time_ms\": true}",
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct attempt a;
        char why[200] = "";
        attempt_init(&a);
        test_row = rows[i];
        CHECK_INT(STATUS_INVALID, visibility_report(&a, rows[i], strlen(rows[i]), why, sizeof why));
        CHECK(*why);
        CHECK_INT(CACHE_UNKNOWN, a.cache);
        CHECK_INT(-1, a.db_calls);
        CHECK_INT(-1, a.db_time_us);
    }
}

TESTS_MAIN
