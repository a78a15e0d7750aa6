// What is held in memory while much waits: lanes hold only the first of their runs, and what they
// leave out comes from the store later.
#include "scheduler/state.h"
#include "scheduling.h"

static void begin_with(int lane_limit, size_t due_limit)
{
    struct scheduler_options wanted = scheduler_defaults;
    wanted.lane_limit = lane_limit;
    wanted.due_limit = due_limit;
    begin_world_with(&wanted);
}

static void put_to(const char *name, int port)
{
    char json[200];
    snprintf(json, sizeof json, "{\"http\":{\"url\":\"http://127.0.0.1:%d/hook\"}}", port);
    put(name, json);
}

TEST(runs_left_out_of_the_lane_that_their_task_moved_to_start_after_a_pause)
{
    begin_with(64, 10);
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
    begin_with(64, 10);
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

static size_t held(void)
{
    return scheduler->due.heap.count + scheduler->lanes.ready + scheduler->limits.parked;
}

TEST(a_blocked_endpoint_holds_little_memory_delays_no_other_and_loses_nothing)
{
    begin_with(10, 1000);
    put("job", "{" HOOK "}");
    ask_many("job", 3000);
    settle();
    CHECK_INT(10, order_count);
    CHECK(held() <= 300);
    run_id urgent = ask_urgent("job", NULL, WALL_NONE, 9);
    ask(NULL, "{" OTHER "}", WALL_NONE);
    settle();
    CHECK_INT(11, order_count);
    report(ATTEMPT_SUCCEEDED);
    CHECK_INT(urgent.value, orders[10]->run.value);
    land_everything();
    CHECK_INT(3002, start_count);
    CHECK_INT(0, held());
    CHECK_INT(0, scheduler->lanes.by_key.count);
    end_world();
}

TEST(what_is_claimed_ahead_and_finds_no_room_in_its_lane_starts_all_the_same)
{
    begin_with(10, 10); // a lane holds two
    for (int i = 0; i < 5; i++)
        ask(NULL, "{" HOOK "}", wall_plus(now, 5 * SECOND));
    pass_until(wall_plus(now, 6 * SECOND));
    CHECK_INT(5, order_count);
    end_world();
}

TEST(a_task_held_back_holds_little_memory_delays_no_other_and_loses_nothing)
{
    begin_with(10, 1000);
    put("narrow", "{\"max_running\":2," HOOK "}");
    put("wide", "{" HOOK "}");
    ask_many("narrow", 2000);
    ask_many("wide", 2000);
    settle();
    CHECK_INT(10, order_count);
    CHECK(held() <= 600);
    land_everything();
    CHECK_INT(4000, start_count);
    CHECK_INT(0, held());
    end_world();
}

TEST(what_is_held_back_takes_no_turns_though_much_of_it_is_in_the_store_alone)
{
    begin_with(10, 1000);
    put("job", "{\"max_running\":1," HOOK "}");
    for (int i = 0; i < 1000; i++)
        ask(NULL, "{\"rate_limit\":{\"limit\":1,\"per\":\"1h\",\"key\":\"k\"}," HOOK "}",
            WALL_NONE);
    ask_many("job", 1000);
    settle();
    CHECK_INT(2, order_count);
    CHECK(pass_until(wall_plus(now, 20 * SECOND)) < 10);
    end_world();
}

TEST(a_backlog_found_at_the_start_is_held_in_part_and_worked_off)
{
    begin_with(10, 1000);
    put("job", "{" HOOK "}");
    for (int i = 0; i < 3000; i++)
        ask_urgent("job", NULL, wall_plus(now, HOUR), i % 10);
    outage(2 * HOUR);
    settle();
    CHECK_INT(10, order_count);
    CHECK(held() <= 2000);
    land_everything();
    CHECK_INT(3000, start_count);
    end_world();
}

TESTS_MAIN
