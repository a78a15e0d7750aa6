// What starts and when, what comes of it, and what a crash leaves.
#include "scheduling.h"

TEST(a_one_off_starts_at_its_time_and_not_before)
{
    begin_narrow_world();
    wall due = wall_plus(now, HOUR);
    run_id run = ask(NULL, "{" HOOK "}", due);
    pass_until(wall_plus(due, -SECOND));
    CHECK_INT(0, order_count);
    pass_until(due);
    CHECK_INT(1, order_count);
    CHECK_INT(due.us, orders[0]->due_at.us);
    CHECK_INT(1, orders[0]->number);
    report(ATTEMPT_SUCCEEDED);
    CHECK_INT(RUN_SUCCEEDED, state_of(run));
    end_world();
}

TEST(a_run_that_waits_for_room_is_not_lost_when_the_clock_is_set_back)
{
    begin_narrow_world();
    wall due = wall_plus(now, HOUR);
    for (int i = 0; i < 11; i++)
        ask(NULL, "{" HOOK "}", due);
    pass_until(due);
    CHECK_INT(10, order_count); // one waits
    now = wall_plus(due, -30 * MINUTE);
    while (order_count)
        report(ATTEMPT_SUCCEEDED);
    pass_until(wall_plus(due, -SECOND));
    CHECK_INT(0, order_count);
    pass_until(due);
    CHECK_INT(1, order_count);
    end_world();
}

TEST(a_schedule_makes_one_run_for_each_occurrence)
{
    begin_narrow_world();
    put("minutely", "{\"schedule\":{\"every\":\"1m\"}," HOOK "}");
    for (int i = 1; i <= 60; i++) {
        pass_until((wall){T0 + i * MINUTE});
        CHECK_INT(1, order_count);
        CHECK_INT(T0 + i * MINUTE, orders[0]->scheduled_for.us);
        report(ATTEMPT_SUCCEEDED);
    }
    CHECK_INT(60, count(RUN_SUCCEEDED));
    end_world();
}

TEST(what_fails_is_tried_again_and_at_last_is_dead)
{
    begin_narrow_world();
    run_id run =
        ask(NULL, "{" HOOK ",\"retry\":{\"max_attempts\":3,\"initial\":\"10s\"}}", WALL_NONE);
    for (int number = 1; number <= 3; number++) {
        CHECK_INT(1, order_count);
        CHECK_INT(number, orders[0]->number);
        CHECK_INT(number, orders[0]->fence);
        report(ATTEMPT_FAILED);
        if (number < 3) {
            CHECK_INT(RUN_WAITING, state_of(run));
            pass_until(wall_plus(now, 4 * SECOND));
            CHECK_INT(0, order_count); // at least half of 10 s
            pass_until(wall_plus(now, MINUTE));
        }
    }
    CHECK_INT(RUN_FAILED, state_of(run));
    end_world();
}

TEST(an_attempt_under_way_when_the_server_dies_is_lost_and_counts)
{
    begin_narrow_world();
    run_id run =
        ask(NULL, "{" HOOK ",\"retry\":{\"max_attempts\":2,\"initial\":\"1s\"}}", WALL_NONE);
    CHECK_INT(1, order_count);
    outage(0);
    CHECK_INT(RUN_WAITING, state_of(run));
    turn(NULL);
    CHECK_INT(1, lost_count); // it leaves with the first turn, for the log
    turn(NULL);
    CHECK_INT(1, lost_count);
    pass_until(wall_plus(now, 2 * SECOND));
    CHECK_INT(1, order_count);
    CHECK_INT(2, orders[0]->number);
    outage(0);
    CHECK_INT(RUN_FAILED, state_of(run));
    end_world();
}

TEST(a_slow_endpoint_delays_only_its_own_runs)
{
    begin_narrow_world();
    for (int i = 0; i < 50; i++)
        ask(NULL, "{" HOOK "}", wall_plus(now, SECOND));
    run_id other = ask(NULL, "{" OTHER "}", wall_plus(now, SECOND));
    pass_until(wall_plus(now, SECOND));
    CHECK_INT(11, order_count); // ten to the slow one: its limit
    CHECK_INT(RUN_RUNNING, state_of(other));
    for (int i = 0; i < 51; i++)
        report(ATTEMPT_SUCCEEDED);
    CHECK_INT(51, count(RUN_SUCCEEDED));
    end_world();
}

TEST(a_canceled_run_that_is_under_way_is_aborted_and_stays_canceled)
{
    begin_narrow_world();
    run_id run = ask(NULL, "{" HOOK "}", WALL_NONE);
    cancel(run);
    CHECK_INT(1, abort_count);
    report(ATTEMPT_SUCCEEDED); // the abort came too late
    CHECK_INT(RUN_CANCELED, state_of(run));
    struct message *m = message_new(MESSAGE_CANCEL_RUN);
    m->run = run;
    turn(m);
    CHECK_INT(STATUS_CONFLICT, m->reply.status);
    message_free(m);
    end_world();
}

TEST(a_canceled_run_is_in_history_until_its_attempt_is_reported)
{
    struct scheduler_options wanted = scheduler_defaults;
    wanted.history_age_us = SECOND;
    begin_world_with(&wanted);
    run_id run = ask(NULL, "{" HOOK "}", WALL_NONE);
    ask(NULL, "{" HOOK "}", wall_plus(now, DAY)); // the newest, which stays for itself
    cancel(run);
    for (int i = 0; i < 2; i++) {
        now = wall_plus(now, 11 * MINUTE);
        turn(NULL);
        CHECK_INT(RUN_CANCELED, state_of(run));
    }
    report(ATTEMPT_SUCCEEDED);
    now = wall_plus(now, 11 * MINUTE);
    turn(NULL);
    CHECK_INT(0, count(RUN_CANCELED));
    end_world();
}

TEST(one_idempotency_key_makes_one_run)
{
    begin_narrow_world();
    run_id first = {0};
    for (int i = 0; i < 3; i++) {
        struct message *m = ask_message(NULL, "{" HOOK "}", wall_plus(now, HOUR));
        m->key = memory_text("k1");
        m->fingerprint = i < 2 ? 7 : 8;
        turn(m);
        if (i == 2) {
            CHECK_INT(STATUS_MISMATCH, m->reply.status);
        } else {
            CHECK_INT(STATUS_OK, m->reply.status);
            CHECK_INT(i == 1, m->reply.replayed);
            first = i ? first : m->reply.run;
            CHECK_INT(first.value, m->reply.run.value);
        }
        message_free(m);
    }
    CHECK_INT(1, count(RUN_SCHEDULED));
    end_world();
}

TEST(a_batch_with_one_bad_wish_makes_nothing)
{
    begin_narrow_world();
    struct message *m = message_new(MESSAGE_CREATE_RUNS);
    m->batch = true;
    m->wishes = memory_array(3, sizeof *m->wishes);
    m->wish_count = 3;
    m->wishes[0].target = definition(NULL, "{" HOOK "}");
    m->wishes[1].task_name = memory_text("nobody");
    m->wishes[2].target = definition(NULL, "{" HOOK "}");
    turn(m);
    CHECK_INT(STATUS_NOT_FOUND, m->reply.status);
    CHECK_HAS("nobody", m->reply.detail);
    message_free(m);
    CHECK_INT(0, count(RUN_SCHEDULED) + count(RUN_RUNNING));
    end_world();
}

TEST(a_schedule_that_has_passed_makes_no_run)
{
    begin_narrow_world();
    put("once", "{\"schedule\":{\"at\":\"2025-12-31T00:00:00Z\"}," HOOK "}");
    put("soon", "{\"schedule\":{\"at\":\"2026-01-01T00:01:00Z\"}," HOOK "}");
    pass_until((wall){T0 + DAY});
    CHECK_INT(1, order_count);
    CHECK_INT(T0 + MINUTE, orders[0]->scheduled_for.us);
    end_world();
}

static int64_t lag(void)
{
    struct pulse_values pulse = {0};
    scheduler_pulse(scheduler, now, &pulse);
    return pulse.lag_us;
}

TEST(a_due_run_that_the_full_server_cannot_start_is_lag)
{
    options = scheduler_defaults;
    options.total_limit = 1;
    begin_world_with(&options);
    ask(NULL, "{" HOOK "}", WALL_NONE);
    ask(NULL, "{" OTHER "}", WALL_NONE);
    settle();
    CHECK_INT(1, order_count);
    now = wall_plus(now, 11 * SECOND);
    turn(NULL);
    CHECK_INT(11 * SECOND, lag());
    land_everything();
    CHECK_INT(0, lag());
    end_world();
}

TEST(an_occurrence_that_is_still_to_be_recorded_is_lag)
{
    begin_world();
    put_webhook("job", "\"schedule\":{\"every\":\"1m\"}");
    pass(MINUTE);
    land_everything();
    CHECK_INT(0, lag());
    now = wall_plus(now, MINUTE + 20 * SECOND); // without a turn
    CHECK_INT(20 * SECOND, lag());
    pass(SECOND);
    land_everything();
    CHECK_INT(0, lag());
    end_world();
}

TEST(while_stopping_nothing_new_starts)
{
    begin_narrow_world();
    ask(NULL, "{" HOOK "}", wall_plus(now, SECOND));
    scheduler_stop_starting(scheduler);
    pass_until(wall_plus(now, MINUTE));
    CHECK_INT(0, order_count);
    end_world();
}

// The only attempt of a run: how it ended, and what is said about it.
static enum attempt_outcome only_outcome(run_id run, char *ret_error, size_t size)
{
    struct reader *reader = read_store();
    struct attempt *attempts = NULL;
    size_t count = 0;
    CHECK_INT(STATUS_OK, reader_list_attempts(reader, run, &attempts, &count));
    reader_close(reader);
    CHECK_INT(1, count);
    enum attempt_outcome outcome = attempts[0].outcome;
    CHECK_INT(1, attempts[0].number);
    snprintf(ret_error, size, "%s", attempts[0].error ? attempts[0].error : "");
    attempt_done(&attempts[0]);
    free(attempts);
    return outcome;
}

static int64_t only_lateness(run_id run)
{
    struct reader *reader = read_store();
    struct attempt *attempts = NULL;
    size_t count = 0;
    CHECK_INT(STATUS_OK, reader_list_attempts(reader, run, &attempts, &count));
    reader_close(reader);
    CHECK_INT(1, count);
    int64_t lateness_us = attempts[0].lateness_us;
    CHECK_INT(-1, attempts[0].response_time_us);
    attempt_done(&attempts[0]);
    free(attempts);
    return lateness_us;
}

TEST(how_late_an_attempt_was_is_known_of_one_that_nobody_reports_too)
{
    begin_narrow_world();
    wall before = wall_plus(now, -SECOND);
    run_id canceled = ask(NULL, "{" HOOK "}", before), lost = ask(NULL, "{" HOOK "}", before);
    run_id early = ask(NULL, "{" HOOK "}", now);
    cancel(canceled);
    outage(MINUTE);
    CHECK_INT(SECOND, only_lateness(canceled));
    CHECK_INT(SECOND, only_lateness(lost));
    CHECK_INT(0, only_lateness(early));
    end_world();
}

TEST(an_attempt_of_a_canceled_run_is_on_record_though_the_server_dies_before_its_report)
{
    begin_narrow_world();
    char error[100];
    run_id run = ask(NULL, "{" HOOK "}", WALL_NONE);
    cancel(run);
    outage(0);
    CHECK_INT(RUN_CANCELED, state_of(run));
    CHECK_INT(ATTEMPT_CANCELED, only_outcome(run, error, sizeof error));
    CHECK_TEXT("canceled while it was under way", error);
    end_world();
}

TEST(the_report_of_a_canceled_attempt_says_what_really_came_of_it)
{
    begin_narrow_world();
    char error[100];
    run_id run = ask(NULL, "{" HOOK "}", WALL_NONE);
    cancel(run);
    report(ATTEMPT_SUCCEEDED);
    CHECK_INT(RUN_CANCELED, state_of(run));
    CHECK_INT(ATTEMPT_SUCCEEDED, only_outcome(run, error, sizeof error));
    CHECK_TEXT("", error);
    end_world();
}

static void check_held(const char *line)
{
    struct message *m = message_new(MESSAGE_METRICS);
    turn(m);
    CHECK_HAS(line, m->reply.body.data);
    message_free(m);
}

TEST(what_is_held_in_memory_is_not_loaded_again)
{
    begin_narrow_world();
    turn(NULL);
    for (int i = 0; i < 5; i++)
        ask(NULL, "{" HOOK "}", (wall){T0 + 55 * SECOND});
    check_held("punctual_due_held 5\n");
    pass_until((wall){T0 + 40 * SECOND}); // the next stretch has been loaded
    check_held("punctual_due_held 5\n");
    end_world();
}

TESTS_MAIN
