// What fell into an outage, over several schedules and several endpoints.
#include "scheduling.h"

TEST(what_came_due_a_moment_before_an_outage_was_found_is_part_of_it)
{
    begin_world();
    put_webhook("job", "\"schedule\":[{\"every\":\"2h\"},{\"at\":\"2026-01-01T01:30:00Z\"}]");
    pass(10 * MINUTE);
    CHECK_INT(0, order_count);
    now.us = T0 + 2 * HOUR + 5 * SECOND; // the clock was set forward
    pass(SECOND);
    CHECK_INT(1, order_count); // of what was missed only the latest runs
    CHECK_INT(T0 + 2 * HOUR, orders[0]->scheduled_for.us);
    CHECK_INT(1, count(RUN_MISSED));
    end_world();
}

static void put_to(const char *name, int port, const char *schedule)
{
    char json[300];
    snprintf(json, sizeof json,
             "{\"schedule\":{%s},\"catch_up\":{\"policy\":\"all\"},"
             "\"http\":{\"url\":\"http://127.0.0.1:%d/hook\"}}",
             schedule, port);
    put(name, json);
}

TEST(runs_that_catch_up_do_not_wait_for_the_endpoint_of_others)
{
    begin_world();
    stop();
    options.due_limit = 4; // a lane holds one run of a priority
    options.lane_limit = 1;
    start();
    put_to("slow", 9, "\"every\":\"1m\"");
    put_to("quick", 10, "\"at\":\"2026-01-01T00:05:30Z\"");
    pass(SECOND);
    outage(6 * MINUTE);
    pass(2 * SECOND);
    CHECK_INT(2, order_count);
    CHECK(strcmp(orders[1]->task->name, "quick") == 0);
    end_world();
}

TEST(runs_that_may_not_catch_up_yet_keep_nobody_else_behind_a_limit)
{
    begin_world();
    stop();
    options.catch_up_per_s = 1;
    start();
    put_webhook("job", "\"schedule\":{\"every\":\"1h\"},\"catch_up\":{\"policy\":\"all\"},"
                       "\"rate_limit\":{\"limit\":2,\"per\":\"1m\"}");
    pass(SECOND);
    outage(10 * HOUR);
    pass(10 * SECOND); // two have started, and the others wait behind the limit
    CHECK_INT(2, order_count);
    run_id asked = ask("job", NULL, WALL_NONE);
    now.us = starts[start_count - 1].us + MINUTE;
    turn(NULL); // two may start, of those that catch up only one
    turn(NULL);
    CHECK_INT(4, order_count);
    CHECK_INT(RUN_RUNNING, state_of(asked));
    end_world();
}

TESTS_MAIN
