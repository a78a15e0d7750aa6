// A run may be noted twice: an edit takes it to another endpoint while its old lane still has it.
// What waits for a policy waits once all the same, and for no rule but its own.
#include "scheduling.h"

static void put_to(const char *name, int port, const char *rest)
{
    char json[300];
    snprintf(json, sizeof json,
             "{%s,\"retry\":{\"max_attempts\":1},\"http\":{\"url\":\"http://127.0.0.1:%d/hook\"}}",
             rest, port);
    put(name, json);
}

// Its endpoint is down, so runs stand in the lane; then the task goes to another endpoint, and
// takes them along. The old lane opens after half a minute, and what still stands in it follows.
static void ask_and_move(const char *before, const char *after, int runs, run_id *ret)
{
    put_to("job", 9, before);
    for (int i = 0; i < options.breaker_failures; i++) {
        ask("job", NULL, WALL_NONE);
        report(ATTEMPT_UNREACHABLE);
    }
    for (int i = 0; i < runs; i++)
        ret[i] = ask("job", NULL, WALL_NONE);
    pass(SECOND);
    CHECK_INT(0, order_count);
    put_to("job", 10, after);
    pass(MINUTE);
}

TEST(a_run_that_waits_twice_for_max_running_takes_one_place_of_it)
{
    run_id runs[5];
    begin_world();
    ask_and_move("\"max_running\":1", "\"max_running\":1", 5, runs);
    CHECK_INT(1, order_count);
    put_to("job", 10, "\"max_running\":3");
    pass(SECOND);
    CHECK_INT(3, order_count);
    report(ATTEMPT_SUCCEEDED);
    pass(SECOND);
    CHECK_INT(3, order_count);
    while (order_count) {
        report(ATTEMPT_SUCCEEDED);
        pass(SECOND);
    }
    for (int i = 0; i < 5; i++)
        CHECK_INT(RUN_SUCCEEDED, state_of(runs[i]));
    end_world();
}

TEST(a_run_that_waits_twice_to_replace_another_does_not_replace_itself)
{
    run_id runs[2];
    begin_world();
    ask_and_move("\"overlap\":\"replace\"", "\"overlap\":\"replace\"", 2, runs);
    CHECK_INT(RUN_CANCELED, state_of(runs[0]));
    CHECK_INT(RUN_SCHEDULED, state_of(runs[1]));
    report(ATTEMPT_CANCELED);
    pass(SECOND);
    report(ATTEMPT_SUCCEEDED);
    CHECK_INT(RUN_SUCCEEDED, state_of(runs[1]));
    end_world();
}

TEST(many_runs_that_ended_while_they_waited_for_a_rate_keep_no_other_waiting)
{
    begin_world();
    put_webhook("job", "\"deadline\":\"2s\",\"rate_limit\":{\"limit\":1,\"per\":\"1m\"}");
    for (int i = 0; i < 1000; i++)
        ask("job", NULL, WALL_NONE);
    pass(10 * SECOND);
    CHECK_INT(999, count(RUN_MISSED));
    put_webhook("job", "\"rate_limit\":{\"limit\":1,\"per\":\"1m\"}");
    run_id last = ask("job", NULL, WALL_NONE);
    now.us += 2 * MINUTE;
    turn(NULL);
    CHECK_INT(RUN_RUNNING, state_of(last));
    end_world();
}

TEST(what_waits_for_its_limit_and_then_for_its_endpoint_costs_no_turns)
{
    begin_world();
    stop();
    options.due_limit = 4; // a line holds one run of a priority
    options.lane_limit = 2;
    start();
    put_webhook("narrow", "\"max_running\":1");
    put_webhook("wide", "");
    for (int i = 0; i < 3; i++)
        ask("narrow", NULL, WALL_NONE);
    for (int i = 0; i < 3; i++)
        ask("wide", NULL, WALL_NONE);
    pass(SECOND);
    CHECK_INT(2, order_count);
    put_webhook("narrow", "\"max_running\":2");
    turn(NULL);
    CHECK(scheduler_next_turn(scheduler, now).us > now.us);
    for (int i = 0; i < 6; i++) {
        report(ATTEMPT_SUCCEEDED);
        pass(SECOND);
    }
    CHECK_INT(6, count(RUN_SUCCEEDED));
    end_world();
}

static run_id ask_once(const char *rate)
{
    char json[300];
    struct message *m = message_new(MESSAGE_CREATE_RUNS);
    snprintf(json, sizeof json, "{\"rate_limit\":{%s,\"key\":\"k\"}," HOOK "}", rate);
    m->wishes = memory_array(1, sizeof *m->wishes);
    m->wish_count = 1;
    m->wishes[0].target = definition(NULL, json);
    turn(m);
    run_id run = m->reply.run;
    message_free(m);
    return run;
}

TEST(a_one_off_with_a_strict_rate_does_not_hold_back_those_with_another)
{
    begin_world();
    for (int i = 0; i < 5; i++)
        ask_once("\"limit\":1,\"per\":\"10s\"");
    run_id strict = ask_once("\"limit\":2,\"per\":\"2h\"");
    pass(MINUTE);
    CHECK_INT(5, order_count);
    CHECK_INT(RUN_SCHEDULED, state_of(strict));
    pass(3 * HOUR);
    CHECK_INT(6, order_count);
    end_world();
}

TESTS_MAIN
