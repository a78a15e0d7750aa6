// Lanes that hold only the first of their runs: what they leave out comes from the store later.
#include "scheduling.h"

static void put_to(const char *name, int port)
{
    char json[200];
    snprintf(json, sizeof json, "{\"http\":{\"url\":\"http://127.0.0.1:%d/hook\"}}", port);
    put(name, json);
}

static void begin_small_world(void)
{
    begin_world();
    stop();
    options.due_limit = 10; // a lane holds two runs of a priority
    start();
}

TEST(runs_left_out_of_the_lane_that_their_task_moved_to_start_after_a_pause)
{
    begin_small_world();
    put_to("a", 9);
    run_id runs[5];
    for (int i = 0; i < 5; i++)
        runs[i] = ask("a", NULL, wall_plus(now, MINUTE + i));
    put_to("a", 10);
    pass(SECOND);
    outage(SECOND); // the store knows where the runs were to go, and the memory is gone
    tell(MESSAGE_PAUSE, "a");
    pass(2 * MINUTE);
    CHECK_INT(0, order_count);
    tell(MESSAGE_RESUME, "a");
    for (int i = 0; i < 5; i++) {
        pass(SECOND);
        CHECK(order_count > 0);
        report(ATTEMPT_SUCCEEDED);
    }
    for (int i = 0; i < 5; i++)
        CHECK_INT(RUN_SUCCEEDED, state_of(runs[i]));
    end_world();
}

TEST(runs_left_out_of_a_full_lane_start_in_their_order_of_time)
{
    begin_small_world();
    put_to("a", 9);
    run_id runs[20];
    for (int i = 0; i < 20; i++)
        runs[i] = ask("a", NULL, wall_plus(now, MINUTE + i));
    pass(2 * MINUTE);
    for (int i = 0; i < 20; i++) {
        CHECK(order_count > 0);
        CHECK(orders[0]->run.value == runs[i].value);
        report(ATTEMPT_SUCCEEDED);
        pass(SECOND);
    }
    CHECK_INT(20, count(RUN_SUCCEEDED));
    end_world();
}

TESTS_MAIN
