// Queues, leases and call backs, over a real store with a clock of the test's own.
#include "workers_world.h"

TEST(a_worker_that_waits_hears_of_a_run_the_moment_it_is_due_and_never_before)
{
    begin_world();
    run_id run = ask(NULL, MAIL "}", wall_plus(now, 5 * SECOND));
    struct message *m = poll_for("emails", 10, 30 * SECOND, 30 * SECOND);
    pass_until((wall){T0 + 5 * SECOND - 1});
    CHECK_INT(0, m->lease_count);
    CHECK_INT(RUN_SCHEDULED, look(run).state);
    pass(1);
    CHECK_INT(1, m->lease_count);
    CHECK_INT(RUN_RUNNING, look(run).state);
    CHECK_INT(T0 + 5 * SECOND, look(run).attempt_started_at.us);
    CHECK_HAS("\"lease_until\":\"2026-01-01T00:00:35.000Z\"", m->reply.body.data);
    message_free(m);
    end_world();
}

TEST(a_wait_that_is_over_is_answered_empty)
{
    begin_world();
    struct message *m = poll_for("emails", 1, 10 * SECOND, 30 * SECOND);
    pass(10 * SECOND - 1);
    CHECK_INT(0, m->reply.body.size);
    pass(1);
    CHECK_TEXT("{\"runs\":[]}", m->reply.body.data);
    message_free(m);
    end_world();
}

TEST(a_more_urgent_run_of_the_next_moment_holds_up_nothing_that_is_due)
{
    begin_world();
    run_id due = mail(), got = {0};
    ask_urgent(NULL, MAIL "}", wall_plus(now, 10 * MILLISECOND), 9);
    CHECK(take(&got));
    CHECK_INT(due.value, got.value);
    CHECK_INT(0, take(NULL));
    pass(10 * MILLISECOND);
    CHECK(take(NULL));
    end_world();
}

TEST(a_batch_goes_to_one_worker_and_the_rest_to_the_next)
{
    begin_world();
    for (int i = 0; i < 5; i++)
        mail();
    struct message *first = poll_for("emails", 3, 0, 30 * SECOND);
    struct message *second = poll_for("emails", 3, 0, 30 * SECOND);
    struct message *third = poll_for("emails", 3, 0, 30 * SECOND);
    CHECK_INT(3, first->lease_count);
    CHECK_INT(2, second->lease_count);
    CHECK_INT(0, third->lease_count);
    message_free(first);
    message_free(second);
    message_free(third);
    end_world();
}

TEST(what_a_worker_completes_has_succeeded)
{
    begin_world();
    run_id run = mail();
    int64_t fence = take(NULL);
    CHECK_INT(1, fence);
    say(WORD_COMPLETE, run, fence, FINE);
    CHECK_INT(RUN_SUCCEEDED, look(run).state);
    say(WORD_COMPLETE, run, fence, "\"repeated\":true"); // and changes nothing
    say(WORD_FAIL, run, fence, STALE);
    CHECK_INT(RUN_SUCCEEDED, look(run).state);
    CHECK_INT(0, order_count);
    end_world();
}

TEST(a_result_that_is_not_as_expected_has_failed)
{
    begin_world();
    run_id run = ask(NULL, MAIL ",\"expect\":{\"json\":{\"/sent\":1}}}", WALL_NONE);
    struct message *m = word_of(WORD_COMPLETE, run, take(NULL));
    m->leases->attempt.response = memory_text("{\"sent\":0}");
    m->leases->attempt.response_size = 10;
    turn(m);
    CHECK_HAS(FINE, m->reply.body.data);
    message_free(m);
    CHECK_INT(RUN_WAITING, look(run).state);
    end_world();
}

TEST(a_run_whose_worker_dies_goes_to_another_and_the_old_fence_counts_no_more)
{
    begin_world();
    run_id run = mail();
    int64_t first = take(NULL);
    pass(30 * SECOND - 1);
    CHECK_INT(RUN_RUNNING, look(run).state);
    pass(1);
    CHECK_INT(RUN_WAITING, look(run).state);
    CHECK_INT(ATTEMPT_LOST, last_outcome);
    say(WORD_HEARTBEAT, run, first, STALE);
    pass(10 * SECOND);
    int64_t second = take(NULL);
    CHECK(second > first);
    say(WORD_COMPLETE, run, first, STALE);
    say(WORD_FAIL, run, first, STALE);
    say(WORD_RELEASE, run, first, STALE);
    say(WORD_COMPLETE, run, second + 1, "never given out");
    CHECK_INT(RUN_RUNNING, look(run).state);
    say(WORD_COMPLETE, run, second, FINE);
    CHECK_INT(2, look(run).attempts);
    end_world();
}

TEST(lost_attempts_count_and_the_last_one_is_final)
{
    begin_world();
    run_id run = mail();
    for (int i = 0; i < 3; i++) {
        CHECK(take(NULL));
        pass(30 * SECOND);
        pass(MINUTE);
    }
    CHECK_INT(RUN_FAILED, look(run).state);
    CHECK_INT(3, look(run).attempts);
    end_world();
}

TEST(a_heartbeat_prolongs_a_lease_and_never_shortens_it)
{
    begin_world();
    run_id run = mail();
    int64_t fence = take(NULL);
    for (int i = 0; i < 10; i++) {
        pass(20 * SECOND);
        say(WORD_HEARTBEAT, run, fence, FINE);
    }
    struct message *m = word_of(WORD_HEARTBEAT, run, fence);
    m->leases->extend_us = SECOND;
    turn(m);
    message_free(m);
    pass(30 * SECOND - 1);
    CHECK_INT(RUN_RUNNING, look(run).state);
    pass(1);
    CHECK_INT(RUN_WAITING, look(run).state);
    end_world();
}

TEST(no_heartbeat_prolongs_beyond_the_timeout)
{
    begin_world();
    run_id run = ask(NULL, MAIL ",\"timeout\":\"45s\"}", WALL_NONE);
    int64_t fence = take(NULL);
    pass(20 * SECOND);
    say(WORD_HEARTBEAT, run, fence, "\"lease_until\":\"2026-01-01T00:00:45.000Z\"");
    pass(25 * SECOND);
    CHECK_INT(RUN_WAITING, look(run).state);
    CHECK_INT(ATTEMPT_TIMED_OUT, last_outcome);
    end_world();
}

TEST(a_run_that_is_given_back_is_there_at_once_and_its_attempt_does_not_count)
{
    begin_world();
    run_id run = mail();
    int64_t first = take(NULL);
    say(WORD_RELEASE, run, first, FINE);
    CHECK_INT(0, look(run).attempts);
    CHECK(!wall_is_set(look(run).started_at));
    run_id again = {0};
    int64_t second = take(&again);
    CHECK_INT(run.value, again.value);
    CHECK(second > first);
    CHECK_INT(1, look(run).attempts);
    say(WORD_COMPLETE, run, second, FINE);
    CHECK_INT(RUN_SUCCEEDED, look(run).state);
    end_world();
}

TEST(a_failure_is_tried_again_unless_it_is_final)
{
    begin_world();
    run_id run = mail();
    say(WORD_FAIL, run, take(NULL), FINE);
    CHECK_INT(RUN_WAITING, look(run).state);
    CHECK_INT(0, take(NULL));
    pass(10 * SECOND);
    struct message *m = word_of(WORD_FAIL, run, take(NULL));
    m->leases->attempt.final = true;
    turn(m);
    message_free(m);
    CHECK_INT(RUN_FAILED, look(run).state);
    end_world();
}

TEST(a_failure_may_ask_for_more_time)
{
    begin_world();
    run_id run = mail();
    struct message *m = word_of(WORD_FAIL, run, take(NULL));
    m->leases->attempt.retry_after_us = HOUR;
    turn(m);
    message_free(m);
    CHECK_INT(T0 + HOUR, look(run).due_at.us);
    end_world();
}

TEST(a_lease_outlives_a_restart)
{
    begin_world();
    run_id run = mail();
    int64_t fence = take(NULL);
    outage(15 * SECOND);
    CHECK_INT(RUN_RUNNING, look(run).state);
    say(WORD_HEARTBEAT, run, fence, "\"lease_until\":\"2026-01-01T00:00:45.000Z\"");
    outage(0);
    say(WORD_COMPLETE, run, fence, FINE);
    CHECK_INT(RUN_SUCCEEDED, look(run).state);
    end_world();
}

TEST(the_time_without_a_server_takes_no_lease)
{
    begin_world();
    run_id run = mail();
    int64_t fence = take(NULL);
    outage(HOUR);
    pass(10 * SECOND - 1);
    CHECK_INT(RUN_RUNNING, look(run).state);
    pass(1);
    CHECK_INT(RUN_WAITING, look(run).state);
    say(WORD_COMPLETE, run, fence, STALE);
    end_world();
}

TEST(no_step_of_the_wall_clock_shortens_or_stretches_a_lease)
{
    static const int64_t steps[] = {HOUR, -HOUR};
    for (int restart = 0; restart < 2; restart++)
        for (size_t i = 0; i < 2; i++) {
            begin_world();
            run_id run = mail();
            take(NULL);
            if (restart)
                stop();
            now = wall_plus(now, steps[i]);
            ahead_us += steps[i];
            if (restart)
                start();
            pass(30 * SECOND - 1);
            CHECK_INT(RUN_RUNNING, look(run).state);
            pass(1);
            CHECK_INT(RUN_WAITING, look(run).state);
            end_world();
        }
}

TEST(a_canceled_run_leaves_its_worker_and_its_queue)
{
    begin_world();
    run_id run = mail(), other = mail();
    int64_t fence = take(NULL);
    for (int i = 0; i < 2; i++) {
        cancel(i ? other : run);
    }
    CHECK_INT(RUN_CANCELED, look(run).state);
    CHECK_INT(0, abort_count);
    say(WORD_HEARTBEAT, run, fence, "the run has canceled already");
    CHECK_INT(0, take(NULL));
    pass(HOUR);
    CHECK_INT(RUN_CANCELED, look(run).state);
    end_world();
}

TEST(a_queue_runs_no_more_at_once_than_the_configuration_allows)
{
    begin_world();
    struct queue_limit limit = {.name = "emails", .max_running = 2};
    stop();
    options.queues = &limit;
    options.queue_count = 1;
    start();
    for (int i = 0; i < 3; i++)
        mail();
    run_id run = {0};
    int64_t fence = take(&run);
    CHECK(fence && take(NULL));
    struct message *m = poll_for("emails", 10, 30 * SECOND, 30 * SECOND);
    CHECK_INT(0, m->lease_count);
    say(WORD_COMPLETE, run, fence, FINE);
    CHECK_INT(1, m->lease_count);
    message_free(m);
    end_world();
}

TEST(a_task_that_leaves_a_queue_takes_its_runs_with_it)
{
    begin_world();
    put("job", MAIL "}");
    run_id due = ask("job", NULL, WALL_NONE);
    ask("job", NULL, wall_plus(now, HOUR));
    put("job", "{\"http\":{\"url\":\"http://127.0.0.1:9/x\"}}");
    CHECK_INT(1, order_count);
    CHECK_INT(due.value, orders[0]->run.value);
    pass(HOUR);
    CHECK_INT(2, order_count);
    end_world();
}

TEST(a_task_that_enters_a_queue_takes_its_runs_with_it)
{
    begin_world();
    put("job", "{\"http\":{\"url\":\"http://127.0.0.1:9/x\"}}");
    run_id run = ask("job", NULL, wall_plus(now, HOUR));
    put("job", MAIL "}");
    outage(0);
    pass(HOUR);
    CHECK_INT(0, order_count);
    run_id got = {0};
    CHECK(take(&got));
    CHECK_INT(run.value, got.value);
    end_world();
}

TEST(a_paused_tasks_runs_stay_in_the_queue_until_it_is_resumed)
{
    begin_world();
    put("job", MAIL "}");
    ask("job", NULL, WALL_NONE);
    for (int i = 0; i < 2; i++) {
        tell(i ? MESSAGE_RESUME : MESSAGE_PAUSE, "job");
        CHECK((take(NULL) != 0) == (i == 1));
    }
    end_world();
}

TEST(what_a_deleted_tasks_worker_gives_back_is_canceled)
{
    begin_world();
    put("job", MAIL "}");
    run_id run = ask("job", NULL, WALL_NONE);
    int64_t fence = take(NULL);
    tell(MESSAGE_DELETE_TASK, "job");
    say(WORD_RELEASE, run, fence, FINE);
    CHECK_INT(RUN_CANCELED, look(run).state);
    end_world();
}

TEST(whoever_waits_is_answered_at_once_when_the_server_stops)
{
    begin_world();
    struct message *m = poll_for("emails", 1, MINUTE, 30 * SECOND);
    CHECK_INT(0, answered_count);
    scheduler_stop_starting(scheduler);
    turn(NULL);
    expect_answer(m);
    CHECK_TEXT("{\"runs\":[]}", m->reply.body.data);
    message_free(m);
    m = poll_for("emails", 1, MINUTE, 30 * SECOND);
    CHECK_INT(STATUS_UNAVAILABLE, m->reply.status);
    message_free(m);
    end_world();
}

TEST(runs_that_nobody_takes_are_no_lag_of_the_server)
{
    begin_world();
    mail();
    pass(HOUR);
    struct pulse_values pulse;
    scheduler_pulse(scheduler, now, &pulse);
    CHECK_INT(0, pulse.lag_us);
    end_world();
}

TEST(a_word_about_a_run_that_nobody_leased_changes_nothing)
{
    begin_world();
    run_id run = ask(NULL, "{\"http\":{\"url\":\"http://127.0.0.1:9/x\"}}", WALL_NONE);
    say(WORD_COMPLETE, run, 1, "the server itself carries it out");
    say(WORD_HEARTBEAT, run, 1, STALE);
    say(WORD_COMPLETE, (run_id){77}, 1, "\"status\":404");
    CHECK_INT(RUN_RUNNING, look(run).state);
    end_world();
}

// --- call backs ---

// The dispatcher's report: the endpoint answered 202.
static void accepted(void)
{
    struct message *m = report_of(take_order(0), ATTEMPT_SUCCEEDED);
    m->attempt.status = 202;
    m->attempt.response_time_us = 0;
    m->attempt.open = true;
    turn(m);
}

static enum status call_back(enum lease_word word, run_id run, int64_t fence)
{
    struct message *m = word_of(word, run, fence);
    m->single = true;
    turn(m);
    enum status status = m->reply.status;
    message_free(m);
    return status;
}

TEST(a_202_keeps_a_run_open_until_the_call_back)
{
    begin_world();
    run_id run = ask(NULL, LONG "}", WALL_NONE);
    accepted();
    pass(59 * SECOND);
    CHECK_INT(RUN_RUNNING, look(run).state);
    CHECK_INT(STATUS_CONFLICT, call_back(WORD_COMPLETE, run, 2));
    CHECK_INT(STATUS_OK, call_back(WORD_COMPLETE, run, 1));
    CHECK_INT(RUN_SUCCEEDED, look(run).state);
    CHECK_INT(STATUS_CONFLICT, call_back(WORD_COMPLETE, run, 1));
    CHECK_INT(STATUS_NOT_FOUND, call_back(WORD_COMPLETE, (run_id){5}, 1));
    end_world();
}

TEST(no_call_back_in_time_is_a_time_out)
{
    begin_world();
    run_id run = ask(NULL, LONG "}", WALL_NONE);
    accepted();
    outage(0);
    pass(MINUTE - 1);
    CHECK_INT(RUN_RUNNING, look(run).state);
    pass(1);
    CHECK_INT(RUN_WAITING, look(run).state);
    CHECK_INT(ATTEMPT_TIMED_OUT, last_outcome);
    CHECK_INT(STATUS_CONFLICT, call_back(WORD_COMPLETE, run, 1));
    end_world();
}

TEST(a_lease_that_has_ended_keeps_no_later_attempt_open)
{
    begin_world();
    run_id run = ask(NULL, LONG "}", WALL_NONE);
    accepted();
    CHECK_INT(STATUS_OK, call_back(WORD_FAIL, run, 1));
    pass(10 * SECOND);
    CHECK_INT(1, order_count); // the second attempt is with the dispatcher
    outage(0);
    turn(NULL);
    CHECK_INT(ATTEMPT_LOST, last_outcome);
    CHECK_INT(RUN_WAITING, look(run).state);
    end_world();
}

TEST(heartbeats_keep_a_call_back_open_for_a_day_at_most)
{
    begin_world();
    run_id run = ask(NULL, LONG ",\"retry\":{\"max_attempts\":1}}", WALL_NONE);
    accepted();
    for (int i = 0; i < 24; i++) {
        struct message *m = word_of(WORD_HEARTBEAT, run, 1);
        m->single = true;
        m->leases->extend_us = 2 * HOUR;
        turn(m);
        CHECK_INT(STATUS_OK, m->reply.status);
        message_free(m);
        pass(i < 23 ? HOUR : HOUR - 1);
        CHECK_INT(RUN_RUNNING, look(run).state);
    }
    pass(1);
    CHECK_INT(RUN_FAILED, look(run).state);
    end_world();
}

TEST(a_call_back_may_come_before_the_202)
{
    begin_world();
    run_id run = ask(NULL, LONG "}", WALL_NONE), failed = ask(NULL, LONG "}", WALL_NONE);
    CHECK_INT(STATUS_OK, call_back(WORD_COMPLETE, run, 1));
    CHECK_INT(RUN_SUCCEEDED, look(run).state);
    accepted();
    CHECK_INT(RUN_SUCCEEDED, look(run).state);
    CHECK_INT(STATUS_OK, call_back(WORD_FAIL, failed, 1));
    CHECK_INT(1, abort_count); // the request must not be in the way of the next
    pass(30 * SECOND);
    accepted(); // of the first attempt: it is over
    CHECK_INT(1, order_count);
    CHECK_INT(2, orders[0]->fence);
    CHECK_INT(RUN_RUNNING, look(failed).state);
    CHECK_INT(STATUS_CONFLICT, call_back(WORD_HEARTBEAT, failed, 2)); // its own 202 is yet to come
    accepted();
    CHECK_INT(STATUS_OK, call_back(WORD_HEARTBEAT, failed, 2));
    end_world();
}

TEST(open_call_backs_leave_room_at_their_endpoint)
{
    begin_world();
    stop();
    options.lane_limit = 1;
    start();
    for (int i = 0; i < 5; i++)
        ask(NULL, LONG "}", WALL_NONE);
    for (int i = 0; i < 5; i++) {
        CHECK_INT(1, order_count);
        accepted();
    }
    end_world();
}

TEST(a_202_to_a_run_that_was_canceled_keeps_nothing_open)
{
    begin_world();
    run_id run = ask(NULL, LONG "}", WALL_NONE);
    cancel(run);
    accepted();
    CHECK_INT(RUN_CANCELED, look(run).state);
    CHECK_INT(STATUS_CONFLICT, call_back(WORD_COMPLETE, run, 1));
    pass(HOUR);
    CHECK_INT(RUN_CANCELED, look(run).state);
    end_world();
}

TESTS_MAIN
