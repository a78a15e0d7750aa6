// Jobs that run elsewhere and check in, and those that do not.
#include "letters.h"

#define MONITOR "{\"schedule\":{\"every\":\"1h\"},\"monitor\":{\"grace\":\"5m\"}}"

static struct message *checkin_message(const char *name, enum checkin_status status)
{
    struct message *m = message_new(MESSAGE_CHECKIN);
    m->name = memory_text(name);
    m->checkin = (struct checkin){.status = status, .duration_us = -1};
    return m;
}

static run_id check_in(const char *name, enum checkin_status status)
{
    struct message *m = checkin_message(name, status);
    turn(m);
    if (m->reply.status != STATUS_OK)
        TEST_FAIL("%s", m->reply.detail);
    run_id run = m->reply.run;
    message_free(m);
    return run;
}

static enum status refused_check_in(struct message *m)
{
    turn(m);
    enum status status = m->reply.status;
    message_free(m);
    return status;
}

TEST(a_success_within_the_grace_is_the_run_of_its_occurrence)
{
    begin_world();
    put("m", MONITOR);
    pass(HOUR + 4 * MINUTE);
    CHECK_INT(0, order_count);
    struct run run = find_run(check_in("m", CHECKIN_SUCCESS));
    CHECK_INT(RUN_SUCCEEDED, run.state);
    CHECK_INT(TRIGGER_SCHEDULE, run.trigger);
    CHECK_INT(T0 + HOUR, run.scheduled_for.us);
    CHECK_INT(now.us, run.started_at.us);
    CHECK_INT(1, run.attempts);
    run_done(&run);
    pass(10 * MINUTE);
    CHECK_INT(0, count(RUN_MISSED));
    end_world();
}

TEST(without_a_check_in_it_is_missed_at_the_end_of_the_grace_and_not_before)
{
    begin_world();
    put("m", "{\"schedule\":{\"every\":\"1h\"},\"monitor\":{\"grace\":\"5m\"}," TELL "}");
    pass(HOUR + 5 * MINUTE - 1);
    CHECK_INT(0, count(RUN_MISSED));
    pass(1);
    CHECK_INT(1, count(RUN_MISSED));
    json_t *body = take_notice(ATTEMPT_SUCCEEDED);
    check_text(body, "type", "task.missed");
    json_t *reason = json_array_get(json_object_get(body, "reasons"), 0);
    check_text(reason, "reason", "no check-in came within 5m of 2026-01-01T01:00:00.000Z");
    json_decref(body);
    check_in("m", CHECKIN_SUCCESS);
    body = take_notice(ATTEMPT_SUCCEEDED);
    check_text(body, "type", "task.recovered");
    json_decref(body);
    end_world();
}

TEST(a_start_makes_it_running_and_the_end_takes_the_time_from_there)
{
    begin_world();
    put("m", MONITOR);
    pass(HOUR + MINUTE);
    run_id run = check_in("m", CHECKIN_START);
    CHECK_INT(RUN_RUNNING, state_of(run));
    CHECK_INT(run.value, check_in("m", CHECKIN_START).value); // said twice: the same
    pass(30 * MINUTE); // beyond the grace, which is for the start
    CHECK_INT(RUN_RUNNING, state_of(run));
    CHECK_INT(run.value, check_in("m", CHECKIN_FAILURE).value);
    CHECK_INT(RUN_FAILED, state_of(run));
    CHECK_INT(1, dead_count("m"));
    end_world();
}

TEST(a_start_survives_a_restart_and_its_end_is_awaited_so_long_and_no_longer)
{
    begin_world();
    put("m", "{\"schedule\":{\"every\":\"1h\"},\"monitor\":{\"max_duration\":\"30m\"}}");
    pass(HOUR + MINUTE);
    run_id run = check_in("m", CHECKIN_START);
    outage(10 * MINUTE);
    turn(NULL);
    CHECK_INT(RUN_RUNNING, state_of(run));
    pass(20 * MINUTE - 1);
    CHECK_INT(RUN_RUNNING, state_of(run));
    pass(1);
    struct run ended = find_run(run);
    CHECK_INT(RUN_FAILED, ended.state);
    CHECK_TEXT("it checked in as started, and not as ended within 30m", ended.reason);
    run_done(&ended);
    end_world();
}

TEST(an_end_finds_its_start_behind_many_waits)
{
    begin_world();
    put("m", "{\"schedule\":{\"every\":\"1m\"},\"monitor\":{\"grace\":\"3h\"}}");
    pass(MINUTE);
    run_id run = check_in("m", CHECKIN_START);
    pass(100 * MINUTE);
    CHECK_INT(100, count(RUN_SCHEDULED));
    CHECK_INT(run.value, check_in("m", CHECKIN_SUCCESS).value);
    struct run newest = find_run(check_in("m", CHECKIN_SUCCESS));
    CHECK_INT(T0 + 101 * MINUTE, newest.scheduled_for.us);
    run_done(&newest);
    end_world();
}

TEST(a_wait_survives_a_restart)
{
    begin_world();
    put("m", MONITOR);
    pass(HOUR + MINUTE);
    outage(MINUTE);
    pass(3 * MINUTE - 1);
    CHECK_INT(0, count(RUN_MISSED));
    pass(1);
    CHECK_INT(1, count(RUN_MISSED));
    end_world();
}

TEST(a_check_in_a_little_early_is_that_of_the_occurrence_to_come)
{
    begin_world();
    put("m", MONITOR);
    pass(HOUR - 20 * SECOND);
    struct run run = find_run(check_in("m", CHECKIN_SUCCESS));
    CHECK_INT(T0 + HOUR, run.scheduled_for.us);
    run_done(&run);
    pass(30 * MINUTE);
    CHECK_INT(0, count(RUN_MISSED));
    CHECK_INT(1, count(RUN_SUCCEEDED));
    CHECK_INT(0, count(RUN_SCHEDULED));
    end_world();
}

TEST(what_was_checked_in_early_is_not_expected_again_when_history_has_cleared_it)
{
    begin_world();
    put("m", MONITOR);
    pass(HOUR - 30 * SECOND);
    check_in("m", CHECKIN_SUCCESS);
    damage("DELETE FROM runs");
    pass(30 * MINUTE);
    CHECK_INT(0, count(RUN_SCHEDULED));
    CHECK_INT(0, count(RUN_MISSED));
    end_world();
}

TEST(a_check_in_is_early_by_a_minute_the_grace_or_half_a_period_at_most)
{
    static const struct {
        const char *json;
        int64_t before_us; // the occurrence an hour from now
        enum run_trigger trigger;
    } rows[] = {
        {MONITOR, MINUTE, TRIGGER_SCHEDULE},
        {MONITOR, MINUTE + 1, TRIGGER_API},
        {"{\"schedule\":{\"every\":\"1h\"},\"monitor\":{\"grace\":\"10s\"}}", 10 * SECOND,
         TRIGGER_SCHEDULE},
        {"{\"schedule\":{\"every\":\"1h\"},\"monitor\":{\"grace\":\"10s\"}}", 10 * SECOND + 1,
         TRIGGER_API},
        {"{\"schedule\":{\"every\":\"40s\"},\"monitor\":{}}", 20 * SECOND, TRIGGER_SCHEDULE},
        {"{\"schedule\":{\"every\":\"40s\"},\"monitor\":{}}", 20 * SECOND + 1, TRIGGER_API},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        test_row = rows[i].json;
        begin_world();
        now = wall_plus(now, HOUR - rows[i].before_us);
        put("m", rows[i].json);
        struct run run = find_run(check_in("m", CHECKIN_SUCCESS));
        CHECK_INT(rows[i].trigger, run.trigger);
        run_done(&run);
        end_world();
    }
    test_row = "";
}

TEST(a_start_a_moment_before_the_end_of_the_grace_has_its_time)
{
    begin_world();
    put("m", MONITOR);
    pass(HOUR + 5 * MINUTE - 10 * MILLISECOND); // the end is claimed a little ahead
    run_id run = check_in("m", CHECKIN_START);
    pass(MINUTE);
    CHECK_INT(RUN_RUNNING, state_of(run));
    CHECK_INT(run.value, check_in("m", CHECKIN_SUCCESS).value);
    CHECK_INT(RUN_SUCCEEDED, state_of(run));
    end_world();
}

TEST(a_check_in_before_its_turn_has_planned_is_that_of_the_occurrence)
{
    static const struct {
        const char *json;
        int64_t alive_us, stopped_us, still_us; // up to just after the occurrence
        enum run_trigger trigger;
        int64_t missed; // those before it
    } rows[] = {
        {MONITOR, HOUR - SECOND, 0, SECOND + 1, TRIGGER_SCHEDULE, 0},
        {MONITOR, HOUR - SECOND, 0, MINUTE, TRIGGER_CATCH_UP, 0},
        {MONITOR, 30 * MINUTE, 33 * MINUTE, 0, TRIGGER_CATCH_UP, 0},
        {"{\"schedule\":{\"every\":\"1m\"},\"monitor\":{}}", SECOND, 300 * MINUTE, 0,
         TRIGGER_CATCH_UP, 299},
        {"{\"schedule\":[{\"every\":\"1h\"},{\"every\":\"59m59s\"}],\"monitor\":{}}", 30 * MINUTE,
         31 * MINUTE, 0, TRIGGER_CATCH_UP, 1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        test_row = rows[i].json;
        begin_world();
        put("m", rows[i].json);
        pass(rows[i].alive_us);
        if (rows[i].stopped_us)
            outage(rows[i].stopped_us);
        now = wall_plus(now, rows[i].still_us);
        struct run run = find_run(check_in("m", CHECKIN_SUCCESS));
        CHECK_INT(rows[i].trigger, run.trigger);
        CHECK_INT(RUN_SUCCEEDED, run.state);
        run_done(&run);
        settle();
        CHECK_INT(rows[i].missed, count(RUN_MISSED));
        CHECK_INT(0, count(RUN_SCHEDULED));
        CHECK_INT(1, count(RUN_SUCCEEDED));
        end_world();
    }
    test_row = "";
}

TEST(after_the_clock_was_set_back_a_check_in_is_of_no_occurrence_from_before_the_task)
{
    begin_world();
    now = wall_plus(now, HOUR + MINUTE);
    put("m", MONITOR);
    now = wall_plus(now, -MINUTE - SECOND);
    struct run run = find_run(check_in("m", CHECKIN_SUCCESS));
    CHECK_INT(TRIGGER_API, run.trigger);
    run_done(&run);
    end_world();
}

TEST(a_check_in_that_nobody_expects_is_a_run_of_its_own)
{
    begin_world();
    put("m", MONITOR);
    pass(30 * MINUTE);
    struct run run = find_run(check_in("m", CHECKIN_SUCCESS));
    CHECK_INT(TRIGGER_API, run.trigger);
    CHECK_INT(RUN_SUCCEEDED, run.state);
    run_done(&run);
    pass(36 * MINUTE);
    CHECK_INT(1, count(RUN_MISSED)); // the occurrence still wants its own
    end_world();
}

TEST(a_check_in_for_nothing_is_refused)
{
    begin_world();
    put("m", MONITOR);
    put("t", "{" ONCE "}");
    CHECK_INT(STATUS_NOT_FOUND, refused_check_in(checkin_message("none", CHECKIN_SUCCESS)));
    CHECK_INT(STATUS_CONFLICT, refused_check_in(checkin_message("t", CHECKIN_SUCCESS)));
    run_id other = run_once("t", ATTEMPT_FAILED), own = check_in("m", CHECKIN_SUCCESS);
    run_id wrong[] = {other, own}; // another task's, and one that has ended
    for (size_t i = 0; i < 2; i++) {
        struct message *m = checkin_message("m", CHECKIN_SUCCESS);
        m->run = wrong[i];
        CHECK_INT(STATUS_CONFLICT, refused_check_in(m));
    }
    struct message *m = checkin_message("m", CHECKIN_SUCCESS);
    m->run = (run_id){own.value + 1};
    CHECK_INT(STATUS_NOT_FOUND, refused_check_in(m));
    end_world();
}

TEST(a_monitor_is_not_started_by_the_server)
{
    begin_world();
    put("m", MONITOR);
    struct message *m = ask_message("m", NULL, WALL_NONE);
    turn(m);
    CHECK_INT(STATUS_CONFLICT, m->reply.status);
    message_free(m);
    run_id run = check_in("m", CHECKIN_FAILURE);
    m = deal(MESSAGE_RETRY_DEAD, &run, 1, false, false);
    CHECK_INT(STATUS_CONFLICT, m->reply.status);
    message_free(m);
    m = deal(MESSAGE_DISCARD_DEAD, &run, 1, false, false);
    CHECK_INT(STATUS_OK, m->reply.status);
    message_free(m);
    end_world();
}

TEST(a_paused_monitor_expects_nothing)
{
    begin_world();
    put("m", MONITOR);
    pass(HOUR + MINUTE);
    tell(MESSAGE_PAUSE, "m");
    CHECK_INT(STATUS_CONFLICT, refused_check_in(checkin_message("m", CHECKIN_SUCCESS)));
    pass(3 * HOUR);
    tell(MESSAGE_RESUME, "m");
    pass(10 * MINUTE);
    CHECK_INT(0, count(RUN_MISSED));
    CHECK_INT(4, count(RUN_SKIPPED));
    end_world();
}

TEST(a_monitor_that_becomes_another_task_starts_nothing_that_was_waited_for)
{
    begin_world();
    put("m", MONITOR);
    pass(HOUR + MINUTE);
    put("m", "{\"schedule\":{\"every\":\"1h\"}," ONCE "}");
    pass(10 * MINUTE);
    CHECK_INT(0, order_count);
    CHECK_INT(1, count(RUN_CANCELED));
    end_world();
}

TEST(what_waits_of_a_task_that_becomes_a_monitor_is_canceled)
{
    begin_world();
    put_webhook("m", "");
    run_id waits = ask("m", NULL, WALL_NONE), later = ask("m", NULL, wall_plus(now, HOUR));
    report(ATTEMPT_FAILED);
    CHECK_INT(RUN_WAITING, state_of(waits));
    put("m", MONITOR);
    CHECK_INT(RUN_CANCELED, state_of(waits));
    CHECK_INT(RUN_CANCELED, state_of(later));
    CHECK(has_reason(later, "became a monitor"));
    pass(DAY);
    CHECK_INT(0, order_count);
    end_world();
}

TEST(an_attempt_of_a_task_that_becomes_a_monitor_is_its_last_and_takes_no_check_in)
{
    begin_world();
    put_webhook("m", "");
    run_id run = ask("m", NULL, WALL_NONE);
    put("m", MONITOR);
    CHECK(check_in("m", CHECKIN_SUCCESS).value != run.value);
    struct message *m = checkin_message("m", CHECKIN_SUCCESS);
    m->run = run;
    CHECK_INT(STATUS_CONFLICT, refused_check_in(m));
    CHECK_INT(RUN_RUNNING, state_of(run));
    report(ATTEMPT_FAILED);
    CHECK_INT(RUN_FAILED, state_of(run));
    CHECK(has_reason(run, "became a monitor"));
    end_world();
}

TESTS_MAIN
