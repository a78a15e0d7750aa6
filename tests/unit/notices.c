// Who is told when a task fails, is missed or recovers, and how rarely.
#include "letters.h"

TEST(the_first_failure_is_told_at_once_with_its_reason_and_owner)
{
    begin_world();
    put("t", "{" ONCE "," TELL ",\"runbook\":{\"owner\":\"billing\"}}");
    run_id run = run_once("t", ATTEMPT_FAILED);
    char id[RUN_ID_TEXT];
    run_id_format(run, id);
    json_t *body = take_notice(ATTEMPT_SUCCEEDED);
    check_text(body, "type", "task.failing");
    check_text(body, "task", "t");
    check_text(body, "owner", "billing");
    check_text(body, "first_run", id);
    CHECK_INT(1, number(body, "count"));
    CHECK(strstr(json_string_value(json_object_get(body, "link")), id));
    json_t *reason = json_array_get(json_object_get(body, "reasons"), 0);
    check_text(reason, "reason", "out of attempts (1 of 1): answered 500");
    json_decref(body);
    end_world();
}

TEST(ten_thousand_failures_in_a_minute_make_two_notices)
{
    begin_world();
    put("t", "{" ONCE "," TELL "}");
    size_t failed = 0;
    wall end = wall_plus(now, MINUTE);
    while (failed < 10000) {
        ask_batch("t", 40);
        turn(NULL);
        failed += order_count;
        report_all(ATTEMPT_FAILED);
        now = wall_plus(now, 200 * MILLISECOND);
    }
    CHECK(now.us <= end.us);
    json_t *body = take_notice(ATTEMPT_SUCCEEDED);
    int64_t told = number(body, "count");
    json_decref(body);
    pass(14 * MINUTE - SECOND);
    CHECK_INT(0, notice_count);
    pass(2 * MINUTE);
    body = take_notice(ATTEMPT_SUCCEEDED);
    told += number(body, "count");
    CHECK_INT((int64_t)failed, told);
    json_decref(body);
    pass(DAY);
    CHECK_INT(0, notice_count);
    CHECK_INT(2, count(RUN_SUCCEEDED)); // the two notices, and no other
    end_world();
}

TEST(what_is_counted_survives_a_restart)
{
    begin_world();
    put("t", "{" ONCE "," TELL "}");
    run_once("t", ATTEMPT_FAILED);
    json_decref(take_notice(ATTEMPT_SUCCEEDED));
    run_once("t", ATTEMPT_FAILED);
    run_once("t", ATTEMPT_FAILED);
    outage(MINUTE);
    run_once("t", ATTEMPT_FAILED);
    pass(13 * MINUTE);
    CHECK_INT(0, notice_count);
    pass(2 * MINUTE);
    json_t *body = take_notice(ATTEMPT_SUCCEEDED);
    CHECK_INT(3, number(body, "count"));
    json_t *reason = json_array_get(json_object_get(body, "reasons"), 0);
    CHECK_INT(3, number(reason, "count"));
    json_decref(body);
    end_world();
}

TEST(a_failure_found_at_the_start_is_told)
{
    begin_world();
    put("t", "{" ONCE "," TELL "}");
    ask_batch("t", 1);
    CHECK_INT(1, order_count);
    outage(0); // its only attempt is lost
    outage(0); // found, and the server dies again before its first turn
    turn(NULL);
    json_t *body = take_notice(ATTEMPT_SUCCEEDED);
    check_text(body, "type", "task.failing");
    CHECK_INT(1, number(body, "count"));
    json_decref(body);
    end_world();
}

TEST(the_first_success_after_a_told_failure_is_told_and_the_next_is_not)
{
    begin_world();
    put("t", "{" ONCE "," TELL "}");
    run_once("t", ATTEMPT_SUCCEEDED);
    turn(NULL);
    CHECK_INT(0, notice_count);
    run_once("t", ATTEMPT_FAILED);
    json_decref(take_notice(ATTEMPT_SUCCEEDED));
    run_once("t", ATTEMPT_FAILED);
    outage(0); // that it was told is on the disk
    run_once("t", ATTEMPT_SUCCEEDED);
    json_t *body = take_notice(ATTEMPT_SUCCEEDED);
    check_text(body, "type", "task.recovered");
    CHECK_INT(1, number(body, "count"));
    json_decref(body);
    run_once("t", ATTEMPT_SUCCEEDED);
    pass(HOUR);
    CHECK_INT(0, notice_count);
    end_world();
}

TEST(a_task_that_fails_and_recovers_in_turns_tells_twice_in_a_cool_down)
{
    begin_world();
    put("t", "{" ONCE "," TELL "}");
    for (int i = 0; i < 50; i++) {
        run_once("t", ATTEMPT_FAILED);
        run_once("t", ATTEMPT_SUCCEEDED);
        pass(SECOND);
    }
    CHECK_INT(2, notice_count);
    end_world();
}

TEST(a_notice_that_fails_causes_no_notice)
{
    begin_world();
    put("t", "{" ONCE "," TELL "}");
    run_once("t", ATTEMPT_FAILED);
    turn(NULL);
    for (int number = 1; number <= 24; number++) {
        CHECK_INT(1, notice_count);
        struct order *order = notices[--notice_count];
        CHECK_INT(number, order->number);
        turn(report_of(order, ATTEMPT_FAILED));
        pass(2 * HOUR);
    }
    CHECK_INT(0, notice_count);
    CHECK_INT(2, count(RUN_FAILED)); // the task's, and the notice itself
    end_world();
}

static void check_pending(const char *line)
{
    struct message *m = message_new(MESSAGE_METRICS);
    turn(m);
    CHECK_HAS(line, m->reply.body.data);
    message_free(m);
}

TEST(notices_that_are_not_delivered_are_counted_over_a_restart_too)
{
    begin_world();
    check_pending("punctual_notices_pending 0\n");
    put("t", "{" ONCE "," TELL "}");
    run_once("t", ATTEMPT_FAILED); // its notice is due
    outage(0);
    turn(NULL);
    check_pending("punctual_notices_pending 1\n");
    CHECK_INT(1, notice_count); // it is under way
    outage(0);
    check_pending("punctual_notices_pending 1\n"); // lost, and waits for its next attempt
    outage(0);
    check_pending("punctual_notices_pending 1\n");
    pass(2 * HOUR);
    json_decref(take_notice(ATTEMPT_FAILED));
    check_pending("punctual_notices_pending 1\n");
    pass(2 * HOUR);
    json_decref(take_notice(ATTEMPT_SUCCEEDED));
    check_pending("punctual_notices_pending 0\n");
    end_world();
}

TEST(only_the_kinds_asked_for_are_told)
{
    begin_world();
    put("t", "{" ONCE ",\"notify\":{\"url\":\"http://127.0.0.2:9/alerts\",\"on\":[\"missed\"]}}");
    run_once("t", ATTEMPT_FAILED);
    run_once("t", ATTEMPT_SUCCEEDED);
    pass(HOUR);
    CHECK_INT(0, notice_count);
    end_world();
}

TEST(what_is_counted_for_a_task_without_notify_is_forgotten)
{
    begin_world();
    put("t", "{" ONCE "," TELL "}");
    run_once("t", ATTEMPT_FAILED);
    json_decref(take_notice(ATTEMPT_SUCCEEDED));
    run_once("t", ATTEMPT_FAILED);
    put("t", "{" ONCE "}");
    pass(HOUR);
    CHECK_INT(0, notice_count);
    end_world();
}

TESTS_MAIN
