// How many runs may be under way and how many may start, and which of those who wait go first.
#include "scheduler/limits.h"

#include "scheduler/state.h"
#include "scheduling.h"

#define PER_10_S "\"rate_limit\":{\"limit\":1,\"per\":\"10s\",\"key\":\"k\"}"
#define SOON "\"retry\":{\"initial\":\"1s\",\"backoff\":\"fixed\"}"

// --- max_running ---

TEST(no_more_of_a_task_run_at_once_than_it_allows_and_each_end_lets_the_next_start)
{
    begin_narrow_world();
    put("job", "{\"max_running\":3," HOOK "}");
    ask_many("job", 20);
    settle();
    CHECK_INT(3, order_count);
    for (int i = 0; i < 17; i++) {
        report(i % 2 ? ATTEMPT_SUCCEEDED : ATTEMPT_CANCELED);
        settle();
        CHECK(order_count <= 3);
        CHECK(start_count == 20 || order_count == 3);
    }
    CHECK_INT(0, scheduler->limits.parked);
    end_world();
}

TEST(what_waits_for_its_limit_costs_no_turns_and_is_not_late)
{
    begin_narrow_world();
    put("job", "{\"max_running\":1," HOOK "}");
    ask_many("job", 5);
    settle();
    CHECK_INT(1, order_count);
    CHECK(pass_until(wall_plus(now, 20 * SECOND)) < 10);
    struct pulse_values pulse = {0};
    scheduler_pulse(scheduler, now, &pulse);
    CHECK_INT(0, pulse.lag_us);
    end_world();
}

TEST(a_task_at_its_limit_delays_no_other_of_the_same_endpoint)
{
    begin_narrow_world();
    put("narrow", "{\"max_running\":1," HOOK "}");
    put("wide", "{" HOOK "}");
    ask_many("narrow", 20);
    ask_many("wide", 5);
    settle();
    CHECK_INT(6, order_count);
    end_world();
}

TEST(raising_the_limit_lets_those_who_wait_start)
{
    begin_narrow_world();
    put("job", "{\"max_running\":1," HOOK "}");
    ask_many("job", 6);
    settle();
    put("job", "{\"max_running\":4," HOOK "}");
    settle();
    CHECK_INT(4, order_count);
    put("job", "{" HOOK "}");
    settle();
    CHECK_INT(6, order_count);
    end_world();
}

TEST(a_limit_set_while_runs_are_under_way_counts_them)
{
    begin_narrow_world();
    put("job", "{" HOOK "}");
    ask_many("job", 4);
    put("job", "{\"max_running\":4," HOOK "}");
    ask_many("job", 2);
    settle();
    CHECK_INT(4, order_count);
    report(ATTEMPT_SUCCEEDED);
    settle();
    CHECK_INT(4, order_count);
    end_world();
}

TEST(those_who_wait_for_a_limit_stay_while_their_task_is_paused_and_come_back_after_it)
{
    begin_narrow_world();
    put("job", "{\"max_running\":1," HOOK "}");
    ask_many("job", 3);
    settle();
    tell(MESSAGE_PAUSE, "job");
    report(ATTEMPT_SUCCEEDED);
    settle();
    CHECK_INT(0, order_count);
    tell(MESSAGE_RESUME, "job");
    settle();
    CHECK_INT(1, order_count);
    report(ATTEMPT_SUCCEEDED);
    settle();
    CHECK_INT(3, start_count);
    end_world();
}

TEST(a_canceled_run_gives_its_place_to_the_next_who_waits)
{
    begin_narrow_world();
    put("job", "{\"max_running\":1," HOOK "}");
    ask_many("job", 1);
    run_id second = ask("job", NULL, WALL_NONE), third = ask("job", NULL, WALL_NONE);
    cancel(second);
    report(ATTEMPT_SUCCEEDED);
    settle();
    CHECK_INT(1, order_count);
    CHECK_INT(third.value, orders[0]->run.value);
    end_world();
}

// --- priority ---

TEST(the_most_urgent_of_those_who_wait_start_first)
{
    begin_narrow_world();
    put("job", "{\"max_running\":1,\"priority\":4," HOOK "}");
    ask_many("job", 1);
    run_id plain = ask("job", NULL, WALL_NONE);
    now.us += SECOND;
    run_id urgent = ask_urgent("job", NULL, WALL_NONE, 9),
           last = ask_urgent("job", NULL, WALL_NONE, 0);
    CHECK_INT(4, look(plain).priority);
    CHECK_INT(9, look(urgent).priority);
    run_id expected[] = {urgent, plain, last};
    for (int i = 0; i < 3; i++) {
        report(ATTEMPT_SUCCEEDED);
        settle();
        CHECK_INT(1, order_count);
        CHECK_INT(expected[i].value, orders[0]->run.value);
    }
    end_world();
}

TEST(at_a_full_endpoint_the_most_urgent_start_first_and_keep_their_priority_between_attempts)
{
    begin_narrow_world();
    for (int i = 0; i < 10; i++) // the lane's limit
        ask(NULL, "{" OTHER ",\"retry\":{\"max_attempts\":1}}", WALL_NONE);
    run_id urgent = ask_urgent(NULL, "{\"retry\":{\"initial\":\"1s\"}," HOOK "}", WALL_NONE, 8);
    report_as(10, ATTEMPT_FAILED, 400);
    for (int i = 0; i < 10; i++)
        ask(NULL, "{" HOOK "}", WALL_NONE);
    for (int i = 0; i < 5; i++)
        ask_urgent(NULL, "{" HOOK "}", WALL_NONE, 7);
    pass_until(wall_plus(now, 3 * SECOND));
    for (int i = 0; i < 10; i++)
        report_as(0, ATTEMPT_SUCCEEDED, 200); // the other endpoint's
    report_as(0, ATTEMPT_SUCCEEDED, 200);
    settle();
    CHECK_INT(urgent.value, orders[9]->run.value);
    CHECK_INT(2, orders[9]->number);
    end_world();
}

// --- rate_limit ---

static void check_windows(size_t first, size_t many, size_t limit, int64_t per_us)
{
    for (size_t i = first + limit; i < many; i++)
        if (starts[i].us - starts[i - limit].us < per_us)
            TEST_FAIL("starts %zu and %zu are %" PRId64 " us apart", i - limit, i,
                      starts[i].us - starts[i - limit].us);
}

TEST(a_rate_limit_holds_in_every_window_and_wastes_no_slot)
{
    begin_narrow_world();
    put("job", "{\"rate_limit\":{\"limit\":5,\"per\":\"1s\"}," HOOK "}");
    ask_many("job", 30);
    for (int i = 0; i < 1000 && start_count < 30; i++) {
        pass_until(wall_plus(now, 10 * MILLISECOND));
        while (order_count)
            report(ATTEMPT_SUCCEEDED);
    }
    CHECK_INT(30, start_count);
    check_windows(0, start_count, 5, SECOND);
    CHECK_INT(5 * SECOND, starts[29].us - starts[0].us);
    end_world();
}

TEST(tasks_that_share_a_key_share_its_starts_and_the_most_urgent_of_them_goes_first)
{
    begin_narrow_world();
    static const char a[] =
        "{\"rate_limit\":{\"limit\":2,\"per\":\"10s\",\"key\":\"stripe\"}," HOOK "}";
    static const char b[] = "{\"priority\":6,\"rate_limit\":{\"limit\":2,\"per\":\"10s\",\"key\":"
                            "\"stripe\"}," OTHER "}";
    put("a", a);
    put("b", b);
    ask_many("a", 4);
    ask_many("b", 3);
    settle();
    CHECK_INT(2, order_count); // both of a, which came first
    pass_until(wall_plus(now, 10 * SECOND));
    CHECK_INT(4, order_count);
    CHECK_TEXT("b", orders[2]->task->name);
    CHECK_TEXT("b", orders[3]->task->name);
    pass_until(wall_plus(now, 10 * SECOND));
    CHECK_TEXT("b", orders[4]->task->name);
    CHECK_TEXT("a", orders[5]->task->name);
    check_windows(0, start_count, 2, 10 * SECOND);
    end_world();
}

TEST(room_in_a_shared_key_goes_run_by_run_to_the_most_urgent)
{
    begin_narrow_world();
    static const char job[] =
        "{\"rate_limit\":{\"limit\":4,\"per\":\"10s\",\"key\":\"k\"}," HOOK "}";
    put("a", job);
    put("b", job);
    ask_many("a", 4);
    for (int priority = 1; priority <= 8; priority++) // a has the odd ones
        ask_urgent(priority % 2 ? "a" : "b", NULL, WALL_NONE, priority);
    for (int i = 0; i < 2; i++)
        pass_until(wall_plus(now, 10 * SECOND));
    CHECK_INT(8 + 2, order_count); // the endpoint's ten
    for (int i = 0; i < 6; i++)
        CHECK_TEXT(i % 2 ? "a" : "b", orders[4 + i]->task->name);
    end_world();
}

TEST(one_offs_share_a_key_as_well)
{
    begin_narrow_world();
    for (int i = 0; i < 5; i++)
        ask(NULL, "{\"rate_limit\":{\"limit\":2,\"per\":\"1m\",\"key\":\"mail\"}," HOOK "}",
            WALL_NONE);
    ask(NULL, "{\"rate_limit\":{\"limit\":2,\"per\":\"1m\",\"key\":\"other\"}," HOOK "}",
        WALL_NONE);
    settle();
    CHECK_INT(3, order_count);
    pass_until(wall_plus(now, MINUTE));
    CHECK_INT(5, order_count);
    end_world();
}

TEST(a_rate_limit_holds_over_a_restart)
{
    begin_narrow_world();
    put("job", "{\"rate_limit\":{\"limit\":3,\"per\":\"1m\"}," HOOK "}");
    ask_many("job", 8);
    settle();
    CHECK_INT(3, start_count);
    outage(20 * SECOND);
    pass_until(wall_plus(now, 39 * SECOND));
    CHECK_INT(3, start_count);
    pass_until(wall_plus(now, 10 * MINUTE));
    check_windows(0, start_count, 3, MINUTE);
    CHECK(start_count >= 8);
    end_world();
}

// They are of another task of its key, and each was the first after a start of the server.
TEST(a_rule_that_is_seldom_used_still_finds_the_starts_it_counts)
{
    begin_narrow_world();
    put_webhook("seldom", "\"rate_limit\":{\"limit\":3,\"per\":\"10m\",\"key\":\"k\"}");
    put_webhook("often", "\"rate_limit\":{\"limit\":1,\"per\":\"10s\",\"key\":\"k\"}");
    ask("seldom", NULL, WALL_NONE);
    report(ATTEMPT_SUCCEEDED);
    pass(HOUR);
    for (int i = 0; i < 20; i++) {
        ask("often", NULL, WALL_NONE);
        report(ATTEMPT_SUCCEEDED);
        outage(MINUTE);
    }
    run_id run = ask("seldom", NULL, WALL_NONE);
    pass(7 * MINUTE - 1); // three are still in the window
    CHECK_INT(RUN_SCHEDULED, state_of(run));
    pass(1);
    CHECK_INT(RUN_RUNNING, state_of(run));
    end_world();
}

TEST(an_edited_rate_limit_counts_at_once_and_over_a_restart)
{
    begin_narrow_world();
    put("job", "{\"rate_limit\":{\"limit\":1,\"per\":\"24h\"}," HOOK "}");
    ask_many("job", 5);
    settle();
    CHECK_INT(1, start_count);
    put("job", "{\"rate_limit\":{\"limit\":2,\"per\":\"24h\"}," HOOK "}");
    settle();
    CHECK_INT(2, start_count);
    put("job", "{\"rate_limit\":{\"limit\":3,\"per\":\"24h\"}," HOOK "}");
    outage(0);
    pass_until(wall_plus(now, HOUR));
    CHECK_INT(3, start_count);
    end_world();
}

TEST(a_retry_counts_as_a_start)
{
    begin_narrow_world();
    put("job", "{\"retry\":{\"initial\":\"1s\",\"max_attempts\":5},\"rate_limit\":{\"limit\":1,"
               "\"per\":\"1m\"}," HOOK "}");
    ask_many("job", 1);
    report_as(0, ATTEMPT_FAILED, 400);
    pass_until(wall_plus(now, 59 * SECOND));
    CHECK_INT(1, start_count);
    pass_until(wall_plus(now, 2 * SECOND));
    CHECK_INT(2, start_count);
    end_world();
}

TEST(a_step_of_the_clock_neither_opens_a_rate_limit_nor_keeps_it_closed)
{
    static const int64_t steps[] = {HOUR, -HOUR};
    for (int i = 0; i < 2; i++) {
        begin_narrow_world();
        put("job", "{\"rate_limit\":{\"limit\":1,\"per\":\"1m\"}," HOOK "}");
        ask_many("job", 1);
        now.us += 10 * SECOND + steps[i];
        CHECK_INT(STATUS_OK, scheduler_clock_stepped(scheduler, now, steps[i]));
        ask_many("job", 1);
        pass_until(wall_plus(now, 49 * SECOND));
        CHECK_INT(1, start_count);
        pass_until(wall_plus(now, 2 * SECOND));
        CHECK_INT(2, start_count);
        end_world();
    }
}

TEST(a_step_of_the_clock_neither_shortens_nor_stretches_a_backoff)
{
    static const int64_t steps[] = {HOUR, -HOUR};
    for (int i = 0; i < 2; i++) {
        begin_narrow_world();
        ask(NULL, "{\"retry\":{\"initial\":\"10m\"}," HOOK "}", WALL_NONE);
        settle();
        report_as(0, ATTEMPT_FAILED, 500); // 5 to 10 minutes
        pass_until(wall_plus(now, MINUTE));
        now.us += steps[i];
        CHECK_INT(STATUS_OK, scheduler_clock_stepped(scheduler, now, steps[i]));
        pass_until(wall_plus(now, 3 * MINUTE));
        CHECK_INT(1, start_count);
        pass_until(wall_plus(now, 7 * MINUTE));
        CHECK_INT(2, start_count);
        end_world();
    }
}

// --- what a limit lets go, and something else does not ---

TEST(those_whom_another_rule_holds_keep_nobody_from_a_start_that_is_free)
{
    static const struct {
        const char *overlap;
        int skipped, canceled, scheduled;
    } rows[] = {{"queue", 0, 0, 149}, {"skip", 149, 0, 0}, {"replace", 0, 149, 1}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        test_row = rows[i].overlap;
        begin_narrow_world();
        char rest[100];
        put_webhook("job", PER_10_S);
        put_webhook("other", PER_10_S);
        ask_many("job", 150);
        settle();
        ask("other", NULL, WALL_NONE);
        snprintf(rest, sizeof rest, PER_10_S ",\"overlap\":\"%s\"", rows[i].overlap);
        put_webhook("job", rest); // 149 wait for the rate, and now for the first as well
        now.us = T0 + 10 * SECOND;
        turn(NULL);
        CHECK_INT(2, order_count);
        CHECK_TEXT("other", orders[1]->task->name);
        CHECK_INT(rows[i].skipped, count(RUN_SKIPPED));
        CHECK_INT(rows[i].canceled, count(RUN_CANCELED));
        CHECK_INT(rows[i].scheduled, count(RUN_SCHEDULED));
        end_world();
    }
}

TEST(a_retry_does_not_wait_until_all_that_it_holds_back_has_been_looked_at_in_turns)
{
    begin_narrow_world();
    put_webhook("job", PER_10_S "," SOON);
    ask_many("job", 150);
    settle();
    put_webhook("job", PER_10_S "," SOON ",\"overlap\":\"queue\"");
    report(ATTEMPT_FAILED);
    CHECK(pass_until((wall){T0 + 10 * SECOND}) < 20);
    CHECK_INT(1, order_count);
    CHECK_INT(2, orders[0]->number);
    end_world();
}

TEST(the_place_of_an_urgent_run_that_another_one_holds_goes_to_the_most_urgent_of_the_others)
{
    begin_narrow_world();
    put_webhook("a", PER_10_S "," SOON);
    put_webhook("b", PER_10_S);
    ask_urgent("a", NULL, WALL_NONE, 1);
    ask_urgent("a", NULL, WALL_NONE, 9);
    ask_urgent("b", NULL, WALL_NONE, 5);
    put_webhook("a", PER_10_S "," SOON ",\"overlap\":\"queue\"");
    report(ATTEMPT_FAILED); // the first of a, which is tried again before the urgent one may start
    pass_until((wall){T0 + 10 * SECOND});
    CHECK_INT(1, order_count);
    CHECK_TEXT("b", orders[0]->task->name);
    pass(10 * SECOND);
    CHECK_INT(2, orders[1]->number);
    end_world();
}

TEST(what_a_limit_lets_go_where_there_is_no_room_is_judged_when_there_is)
{
    static const struct {
        const char *full;
        int lane, total;
    } rows[] = {{"the endpoint", 10, 100}, {"the server", 100, 10}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        test_row = rows[i].full;
        struct scheduler_options wanted = scheduler_defaults;
        wanted.lane_limit = rows[i].lane;
        wanted.total_limit = rows[i].total;
        begin_world_with(&wanted);
        put_webhook("job", PER_10_S);
        run_id live = ask("job", NULL, WALL_NONE), second = ask("job", NULL, WALL_NONE);
        for (int k = 0; k < 9; k++) // with the first, ten
            ask(NULL, "{" HOOK "}", WALL_NONE);
        put_webhook("job", PER_10_S ",\"overlap\":\"skip\"");
        pass(20 * SECOND);
        CHECK_INT(RUN_SCHEDULED, state_of(second));
        CHECK_INT(live.value, report(ATTEMPT_SUCCEEDED).value);
        pass(0);
        CHECK_INT(RUN_RUNNING, state_of(second));
        end_world();
    }
}

// --- all at once ---

static int flying_of(const char *task)
{
    int n = 0;
    for (size_t i = 0; i < order_count; i++)
        n += strcmp(orders[i]->task->name, task) == 0;
    return n;
}

TEST(all_limits_hold_together_and_everything_runs_at_last)
{
    static const char *const names[] = {"a", "b", "c"};
    begin_narrow_world();
    struct random chance;
    random_seed(&chance, 11);
    put("a", "{\"max_running\":2,\"retry\":{\"initial\":\"1s\"},\"rate_limit\":{\"limit\":4,"
             "\"per\":\"2s\",\"key\":\"k\"}," HOOK "}");
    put("b", "{\"max_running\":3,\"retry\":{\"initial\":\"1s\"},\"rate_limit\":{\"limit\":4,"
             "\"per\":\"2s\",\"key\":\"k\"}," OTHER "}");
    put("c", "{\"max_running\":12,\"retry\":{\"initial\":\"1s\"}," HOOK "}");
    wall limited[4000];
    size_t limited_count = 0, seen = 0;
    for (int step = 0; step < 4000; step++) {
        if (step < 300)
            ask_urgent(names[random_below(&chance, 3)], NULL,
                       wall_plus(now, random_below(&chance, SECOND)),
                       (int)random_below(&chance, 10));
        pass_until(wall_plus(now, random_below(&chance, 200 * MILLISECOND)));
        for (; seen < start_count; seen++) // the newest are the last that fly
            if (strcmp(orders[order_count - (start_count - seen)]->task->name, "c") != 0)
                limited[limited_count++] = starts[seen];
        CHECK(flying_of("a") <= 2 && flying_of("b") <= 3 && flying_of("c") <= 10);
        for (size_t i = order_count; i-- > 0;)
            if (random_below(&chance, 4) == 0) {
                report_as(i, random_below(&chance, 5) ? ATTEMPT_SUCCEEDED : ATTEMPT_FAILED, 404);
                for (; seen < start_count; seen++)
                    if (strcmp(orders[order_count - (start_count - seen)]->task->name, "c") != 0)
                        limited[limited_count++] = starts[seen];
            }
    }
    memcpy(starts, limited, limited_count * sizeof *starts);
    check_windows(0, limited_count, 4, 2 * SECOND);
    CHECK_INT(0, order_count);
    CHECK_INT(0, scheduler->limits.parked);
    CHECK_INT(0, scheduler->lanes.ready);
    end_world();
}

TESTS_MAIN
