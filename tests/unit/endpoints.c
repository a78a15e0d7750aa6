// Endpoints that are down: when they are taken to be, what waits for them, and their probes.
#include "scheduler/state.h"
#include "scheduling.h"

static void begin(void)
{
    struct scheduler_options wanted = scheduler_defaults;
    wanted.lane_limit = 10;
    wanted.breaker_failures = 3;
    begin_world_with(&wanted);
}

// The endpoint of `job` has failed so often in a row that it is taken to be down.
static void begin_broken(enum attempt_outcome outcome)
{
    begin();
    put("job", "{\"retry\":{\"max_attempts\":1}," HOOK "}");
    ask_many("job", 3);
    for (int i = 0; i < 3; i++)
        report(outcome);
}

TEST(an_endpoint_that_fails_again_and_again_gets_nothing_until_its_probe_and_nothing_is_used_up)
{
    begin_broken(ATTEMPT_UNREACHABLE);
    run_id waits = ask("job", NULL, WALL_NONE);
    ask_many("job", 4);
    run_id other = ask(NULL, "{" OTHER "}", WALL_NONE);
    settle();
    CHECK_INT(1, order_count); // the other endpoint's
    CHECK_INT(RUN_RUNNING, look(other).state);
    CHECK(pass_until(wall_plus(now, 29 * SECOND)) < 10);
    CHECK_INT(0, look(waits).attempts);
    pass_until(wall_plus(now, 2 * SECOND));
    CHECK_INT(2, order_count); // one probe, the oldest
    CHECK_INT(waits.value, orders[1]->run.value);
    report_as(1, ATTEMPT_SUCCEEDED, 200);
    settle();
    CHECK_INT(5, order_count);
    CHECK_INT(0, scheduler->endpoints.by_lane.count);
    end_world();
}

TEST(a_probe_that_fails_keeps_the_endpoint_closed_off_for_twice_as_long)
{
    begin_broken(ATTEMPT_TIMED_OUT);
    ask_many("job", 10);
    int64_t wait = 30 * SECOND;
    for (int i = 0; i < 6; i++) {
        pass_until(wall_plus(now, wait - SECOND));
        CHECK_INT(0, order_count);
        pass_until(wall_plus(now, SECOND));
        CHECK_INT(1, order_count);
        report_as(0, ATTEMPT_FAILED, 500);
        wait = 2 * wait < ENDPOINT_OPEN_MOST ? 2 * wait : ENDPOINT_OPEN_MOST;
    }
    end_world();
}

TEST(a_probe_that_tells_nothing_is_followed_by_another)
{
    begin_broken(ATTEMPT_BROKEN);
    ask_many("job", 5);
    pass_until(wall_plus(now, 30 * SECOND));
    CHECK_INT(1, order_count);
    report_as(0, ATTEMPT_FAILED, 429);
    settle();
    CHECK_INT(1, order_count);
    end_world();
}

TEST(only_what_says_that_the_endpoint_is_in_trouble_counts)
{
    static const struct {
        enum attempt_outcome outcome;
        int status;
        bool opens;
    } rows[] = {
        {ATTEMPT_UNREACHABLE, -1, true}, {ATTEMPT_TIMED_OUT, -1, true},
        {ATTEMPT_BROKEN, -1, true},      {ATTEMPT_FAILED, 500, true},
        {ATTEMPT_FAILED, 503, true},     {ATTEMPT_FAILED, 501, false},
        {ATTEMPT_FAILED, 505, false},    {ATTEMPT_FAILED, 429, false},
        {ATTEMPT_FAILED, 404, false},    {ATTEMPT_FAILED, 200, false},
        {ATTEMPT_REFUSED, -1, false},    {ATTEMPT_CANCELED, -1, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        begin();
        put("job", "{\"retry\":{\"max_attempts\":1}," HOOK "}");
        for (int n = 0; n < 4; n++) {
            ask_many("job", 1);
            if (order_count)
                report_as(0, rows[i].outcome, rows[i].status);
        }
        CHECK_INT(rows[i].opens, scheduler->endpoints.open);
        CHECK_INT(rows[i].opens ? 3 : 4, start_count);
        end_world();
    }
}

TEST(an_endpoint_that_explains_its_failures_is_well)
{
    begin();
    put("job", "{\"retry\":{\"max_attempts\":3}," HOOK "}");
    for (int n = 0; n < 4; n++) {
        ask_many("job", 1);
        run_id run = report_explained(0, 500, n % 2 == 1);
        CHECK_INT(n % 2 ? RUN_FAILED : RUN_WAITING, state_of(run));
    }
    CHECK_INT(0, scheduler->endpoints.open);
    end_world();
}

TEST(a_success_in_between_begins_the_count_anew)
{
    begin();
    put("job", "{\"retry\":{\"max_attempts\":1}," HOOK "}");
    for (int n = 0; n < 12; n++) {
        ask_many("job", 1);
        report_as(0, n % 3 == 2 ? ATTEMPT_SUCCEEDED : ATTEMPT_FAILED, 500);
    }
    CHECK_INT(0, scheduler->endpoints.open);
    end_world();
}

TEST(an_endpoint_that_opens_and_closes_is_an_event_and_a_figure)
{
    begin();
    put("job", "{\"retry\":{\"max_attempts\":1}," HOOK "}");
    for (int n = 0; n < 3; n++) {
        ask_many("job", 1);
        report_as(0, ATTEMPT_FAILED, 500);
    }
    CHECK_HAS("{\"type\":\"endpoint.opened\",\"endpoint\":\"http://127.0.0.1:9\",\"failures\":3,",
              buffer_string(&scheduler->journal));
    struct message *m = message_new(MESSAGE_METRICS);
    turn(m);
    CHECK_HAS("punctual_endpoint_open{endpoint=\"http://127.0.0.1:9\"} 1",
              buffer_string(&m->reply.body));
    CHECK_HAS("punctual_endpoints_open 1", buffer_string(&m->reply.body));
    message_free(m);
    ask_many("job", 1);
    pass_until(wall_plus(now, 30 * SECOND));
    report(ATTEMPT_SUCCEEDED);
    CHECK_HAS("{\"type\":\"endpoint.closed\",\"endpoint\":\"http://127.0.0.1:9\"",
              buffer_string(&scheduler->journal));
    end_world();
}

TEST(an_edit_takes_due_runs_away_from_an_endpoint_that_is_down)
{
    begin_broken(ATTEMPT_UNREACHABLE);
    ask_many("job", 20);
    settle();
    CHECK_INT(0, order_count);
    put("job", "{\"retry\":{\"max_attempts\":1}," OTHER "}");
    settle();
    CHECK_INT(10, order_count);
    land_everything();
    CHECK_INT(23, start_count);
    pass_until(wall_plus(now, 31 * SECOND)); // the old lane opens: what stands in it has run
    CHECK_INT(23, start_count);
    CHECK_INT(0, scheduler->lanes.ready);
    end_world();
}

TESTS_MAIN
