// When attempts start and end: instants, aborts, drains.
#include "delivering.h"

TEST(nothing_starts_early_and_hardly_late)
{
    begin_with(OK_200);
    int64_t late[40];
    wall base = wall_now();
    for (int i = 40; i-- > 0;) // in no order of time
        post(order_for(&task,
                       wall_plus(base, 50 * MILLISECOND + i % 7 * 11 * MILLISECOND + i * 131)));
    for (int i = 0; i < 40; i++) {
        struct message *report = next_report();
        CHECK_OUTCOME(ATTEMPT_SUCCEEDED, report);
        CHECK(report->attempt.started_at.us >= base.us + 50 * MILLISECOND);
        late[i] = report->attempt.lateness_us;
        CHECK(late[i] >= 0 && late[i] < SECOND);
        message_free(report);
    }
    end_with_endpoint();
}

TEST(an_attempt_that_is_due_later_starts_at_its_instant)
{
    begin_with(OK_200);
    wall due_at = wall_plus(wall_now(), 80 * MILLISECOND);
    post(order_for(&task, due_at));
    CHECK(!next_report_within(40));
    struct message *report = next_report();
    CHECK(report->attempt.started_at.us >= due_at.us);
    CHECK_INT(report->attempt.started_at.us - due_at.us, report->attempt.lateness_us);
    message_free(report);
    end_with_endpoint();
}

TEST(an_abort_stops_what_runs_and_what_waits)
{
    begin_with(NULL);
    run_id running = post(order_for(&task, wall_now()));
    run_id later = post(order_for(&task, wall_plus(wall_now(), HOUR)));
    await_requests(&endpoint, 1);
    post_abort(running);
    struct message *report = next_report();
    CHECK_OUTCOME(ATTEMPT_CANCELED, report);
    CHECK_INT(running.value, report->attempt.run.value);
    message_free(report);
    post_abort(later);
    report = next_report();
    CHECK_OUTCOME(ATTEMPT_CANCELED, report);
    CHECK_INT(later.value, report->attempt.run.value);
    CHECK(!wall_is_set(report->attempt.started_at));
    message_free(report);
    post_abort(running); // not there any more, and that is fine
    CHECK(!next_report_within(30));
    end_with_endpoint();
}

TEST(a_run_that_is_under_way_is_not_started_again)
{
    begin_with(NULL);
    post(order_for(&task, wall_now()));
    last_run--;
    struct message *report = attempt(&task);
    CHECK_OUTCOME(ATTEMPT_REFUSED, report);
    CHECK_HAS("under way already", report->attempt.error);
    message_free(report);
    dispatcher_stop(dispatcher);
    message_free(next_report());
    start();
    end_with_endpoint();
}

TEST(a_drain_lets_finish_what_runs)
{
    begin_with(OK_200);
    post(order_for(&task, wall_plus(wall_now(), 50 * MILLISECOND)));
    post_drain(5 * SECOND);
    struct message *report = next_report();
    CHECK_OUTCOME(ATTEMPT_SUCCEEDED, report);
    message_free(report);
    report = next_report();
    CHECK_INT(MESSAGE_DRAINED, report->kind);
    message_free(report);
    CHECK(!next_report_within(30));
    end_with_endpoint();
}

TEST(a_drain_ends_what_takes_too_long)
{
    begin_with(NULL);
    post(order_for(&task, wall_now()));
    post(order_for(&task, wall_plus(wall_now(), HOUR)));
    post_drain(80 * MILLISECOND);
    CHECK(!next_report_within(40));
    for (int i = 0; i < 2; i++) {
        struct message *report = next_report();
        CHECK_OUTCOME(ATTEMPT_CANCELED, report);
        CHECK_TEXT("the server stopped", report->attempt.error);
        message_free(report);
    }
    struct message *report = next_report();
    CHECK_INT(MESSAGE_DRAINED, report->kind);
    message_free(report);
    end_with_endpoint();
}

TEST(an_idle_dispatcher_is_drained_at_once_and_once)
{
    begin_with(OK_200);
    post_drain(5 * SECOND);
    struct message *report = next_report_within(2000);
    CHECK(report);
    CHECK_INT(MESSAGE_DRAINED, report->kind);
    message_free(report);
    post_drain(5 * SECOND);
    CHECK(!next_report_within(30));
    end_with_endpoint();
}

TEST(a_stop_reports_everything_as_canceled)
{
    begin_with(NULL);
    post(order_for(&task, wall_now()));
    post(order_for(&task, wall_plus(wall_now(), HOUR)));
    await_requests(&endpoint, 1);
    post(order_for(&task, wall_now()));
    dispatcher_stop(dispatcher);
    for (int i = 0; i < 3; i++) {
        struct message *report = next_report();
        CHECK_OUTCOME(ATTEMPT_CANCELED, report);
        CHECK_TEXT("the server stopped", report->attempt.error);
        message_free(report);
    }
    start();
    end_with_endpoint();
}

static void begin_with_hands(int hands, const char *answer)
{
    begin_with(answer);
    dispatcher_stop(dispatcher);
    options.hands = hands;
    start();
}

TEST(several_hands_report_each_attempt_once)
{
    begin_with_hands(3, OK_200);
    int64_t first = 0;
    bool seen[60] = {0};
    for (int i = 0; i < 60; i++) {
        run_id run = post(order_for(&task, wall_now()));
        first = i == 0 ? run.value : first;
    }
    for (int i = 0; i < 60; i++) {
        struct message *report = next_report();
        CHECK_OUTCOME(ATTEMPT_SUCCEEDED, report);
        int64_t place = report->attempt.run.value - first;
        CHECK(place >= 0 && place < 60 && !seen[place]);
        seen[place] = true;
        message_free(report);
    }
    end_with_endpoint();
}

TEST(an_abort_finds_the_hand_that_has_the_run)
{
    begin_with_hands(3, NULL);
    for (int i = 0; i < 20; i++) {
        struct order *order = order_for(&task, wall_plus(wall_now(), HOUR));
        run_id run = post(order);
        post_abort(run);
        struct message *report = next_report();
        CHECK_OUTCOME(ATTEMPT_CANCELED, report);
        CHECK_INT(run.value, report->attempt.run.value);
        message_free(report);
    }
    end_with_endpoint();
}

TEST(several_hands_are_drained_once_and_after_their_reports)
{
    begin_with_hands(3, NULL);
    for (int i = 0; i < 20; i++)
        post(order_for(&task, wall_now()));
    post_drain(50 * MILLISECOND);
    for (int i = 0; i < 20; i++) {
        struct message *report = next_report();
        CHECK_OUTCOME(ATTEMPT_CANCELED, report);
        message_free(report);
    }
    struct message *report = next_report();
    CHECK_INT(MESSAGE_DRAINED, report->kind);
    message_free(report);
    CHECK(!next_report_within(30));
    end_with_endpoint();
}

TEST(a_slow_endpoint_does_not_hold_another)
{
    struct endpoint slow;
    begin_with(OK_200);
    endpoint_start(&slow, NULL);
    struct task slow_task = task;
    slow_task.target.http.url = slow.url;
    for (int i = 0; i < 20; i++)
        post(order_for(&slow_task, wall_now()));
    struct message *report = attempt(&task);
    CHECK_OUTCOME(ATTEMPT_SUCCEEDED, report);
    message_free(report);
    dispatcher_stop(dispatcher);
    for (int i = 0; i < 20; i++)
        message_free(next_report());
    start();
    end_with_endpoint();
    endpoint_stop(&slow);
}

TESTS_MAIN
