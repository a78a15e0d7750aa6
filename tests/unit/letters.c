// Dead letters, notices and check-ins.
#include "scheduling.h"

#define ONCE HOOK ",\"retry\":{\"max_attempts\":1}"
#define MONITOR "{\"schedule\":{\"every\":\"1h\"},\"monitor\":{\"grace\":\"5m\"}}"

static run_id run_once(const char *task, enum attempt_outcome outcome)
{
    ask_batch(task, 1);
    CHECK_INT(1, order_count);
    run_id run = orders[0]->run;
    report_all(outcome);
    return run;
}

// The notice sent last, as JSON; its delivery comes to `outcome`.
static json_t *take_notice(enum attempt_outcome outcome)
{
    struct json_place place;
    json_t *body;
    turn(NULL); // a notice is made at the end of a turn, and starts in the next
    CHECK_INT(1, notice_count);
    struct order *order = notices[--notice_count];
    CHECK_INT(STATUS_OK, json_read(order->payload, order->payload_size, &body, &place));
    turn(report_of(order, outcome));
    return body;
}

static void check_text(const json_t *body, const char *name, const char *wanted)
{
    CHECK_TEXT(wanted, json_string_value(json_object_get(body, name)));
}

static int64_t number(const json_t *body, const char *name)
{
    return json_integer_value(json_object_get(body, name));
}

static size_t dead_count(const char *task)
{
    struct reader *reader = read_store();
    size_t found = 0;
    struct dead_filter filter = {.task = task, .from = WALL_NONE, .to = WALL_NEVER};
    CHECK_INT(STATUS_OK, reader_count_dead(reader, &filter, 100000, &found));
    reader_close(reader);
    return found;
}

// --- dead letters ---

static struct message *deal(enum message_kind kind, const run_id *runs, size_t run_count,
                            bool by_filter, bool dry_run)
{
    struct message *m = message_new(kind);
    m->runs = memory_array(run_count, sizeof *runs);
    memcpy(m->runs, runs, run_count * sizeof *runs);
    m->run_count = run_count;
    m->by_filter = by_filter;
    m->dry_run = dry_run;
    m->author = memory_text("anna");
    m->note = memory_text("it is back");
    turn(m);
    return m;
}

TEST(a_retried_dead_letter_stays_failed_and_is_not_listed_any_more)
{
    begin_world();
    put("t", "{" ONCE "}");
    run_id run = run_once("t", ATTEMPT_FAILED);
    CHECK_INT(1, dead_count(NULL));
    CHECK_INT(1, dead_count("t"));
    struct message *m = deal(MESSAGE_RETRY_DEAD, &run, 1, false, false);
    CHECK_INT(STATUS_OK, m->reply.status);
    message_free(m);
    turn(NULL);
    CHECK_INT(1, order_count);
    struct run old = find_run(run), again = find_run(orders[0]->run);
    CHECK_INT(RUN_FAILED, old.state);
    CHECK(strstr(old.handled, "\"how\":\"retried\""));
    CHECK(strstr(old.handled, "\"by\":\"anna\",\"note\":\"it is back\""));
    CHECK_INT(run.value, again.retry_of.value);
    CHECK(!again.handled);
    run_done(&old);
    run_done(&again);
    CHECK_INT(0, dead_count(NULL));
    CHECK_INT(0, dead_count("t"));
    end_world();
}

TEST(a_dead_letter_is_dealt_with_once)
{
    begin_world();
    put("t", "{" ONCE "}");
    run_id run = run_once("t", ATTEMPT_FAILED);
    message_free(deal(MESSAGE_RETRY_DEAD, &run, 1, false, false));
    turn(NULL);
    CHECK_INT(1, order_count);
    enum message_kind kinds[] = {MESSAGE_RETRY_DEAD, MESSAGE_DISCARD_DEAD};
    for (size_t i = 0; i < 2; i++) {
        struct message *m = deal(kinds[i], &run, 1, false, false);
        CHECK_INT(STATUS_CONFLICT, m->reply.status);
        CHECK_TEXT("/runs/0", m->reply.pointer);
        message_free(m);
    }
    turn(NULL);
    CHECK_INT(1, order_count);
    end_world();
}

TEST(a_single_retry_deals_with_the_dead_letter_too)
{
    begin_world();
    put("t", "{" ONCE "}");
    run_id run = run_once("t", ATTEMPT_FAILED);
    struct message *m = message_new(MESSAGE_RETRY_RUN);
    m->run = run;
    turn(m);
    CHECK_INT(STATUS_OK, m->reply.status);
    message_free(m);
    CHECK_INT(0, dead_count(NULL));
    end_world();
}

TEST(named_runs_are_dealt_with_all_or_none)
{
    begin_world();
    put("t", "{" ONCE "}");
    run_id runs[] = {run_once("t", ATTEMPT_FAILED), run_once("t", ATTEMPT_SUCCEEDED)};
    struct message *m = deal(MESSAGE_DISCARD_DEAD, runs, 2, false, false);
    CHECK_INT(STATUS_CONFLICT, m->reply.status);
    CHECK_TEXT("/runs/1", m->reply.pointer);
    message_free(m);
    CHECK_INT(1, dead_count(NULL));
    runs[1] = (run_id){runs[1].value + 1};
    m = deal(MESSAGE_DISCARD_DEAD, runs, 2, false, false);
    CHECK_INT(STATUS_NOT_FOUND, m->reply.status);
    message_free(m);
    CHECK_INT(1, dead_count(NULL));
    end_world();
}

TEST(of_a_filter_what_cannot_be_retried_is_left_with_the_reason)
{
    begin_world();
    put("t", "{" ONCE "}");
    put("paused", "{" ONCE "}");
    run_id runs[] = {run_once("t", ATTEMPT_FAILED), run_once("paused", ATTEMPT_FAILED)};
    struct message *m = message_new(MESSAGE_PAUSE);
    m->name = memory_text("paused");
    m->note = memory_text("maintenance");
    turn(m);
    message_free(m);
    m = deal(MESSAGE_RETRY_DEAD, runs, 2, true, false);
    CHECK_INT(STATUS_OK, m->reply.status);
    CHECK(strstr(buffer_string(&m->reply.body), "{\"retried\":1,"));
    CHECK(strstr(buffer_string(&m->reply.body), "maintenance"));
    CHECK(strstr(buffer_string(&m->reply.body), "\"left\":1,"));
    message_free(m);
    CHECK_INT(0, dead_count("t"));
    CHECK_INT(1, dead_count("paused"));
    end_world();
}

TEST(a_dry_run_changes_nothing)
{
    begin_world();
    put("t", "{" ONCE "}");
    run_id run = run_once("t", ATTEMPT_FAILED);
    struct message *m = deal(MESSAGE_RETRY_DEAD, &run, 1, true, true);
    CHECK_INT(STATUS_OK, m->reply.status);
    CHECK(!m->reply.created);
    CHECK(strstr(buffer_string(&m->reply.body), "\"dry_run\":true"));
    message_free(m);
    turn(NULL);
    CHECK_INT(0, order_count);
    CHECK_INT(1, dead_count(NULL));
    end_world();
}

// --- notices ---

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
    stop();
    now = wall_plus(now, MINUTE);
    start();
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
    stop(); // its only attempt is lost
    start();
    stop(); // found, and the server dies again before its first turn
    start();
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
    stop(); // that it was told is on the disk
    start();
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

// --- check-ins ---

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
    stop();
    now = wall_plus(now, 10 * MINUTE);
    start();
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
    stop();
    now = wall_plus(now, MINUTE);
    start();
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
    struct message *m = message_new(MESSAGE_CREATE_RUNS);
    m->wishes = memory_array(1, sizeof *m->wishes);
    m->wish_count = 1;
    m->wishes[0].task_name = memory_text("m");
    m->wishes[0].due_at = WALL_NONE;
    CHECK_INT(STATUS_CONFLICT, refused_check_in(m));
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
    struct message *m = message_new(MESSAGE_PAUSE);
    m->name = memory_text("m");
    m->note = memory_text("the host moves");
    turn(m);
    message_free(m);
    CHECK_INT(STATUS_CONFLICT, refused_check_in(checkin_message("m", CHECKIN_SUCCESS)));
    pass(3 * HOUR);
    m = message_new(MESSAGE_RESUME);
    m->name = memory_text("m");
    turn(m);
    message_free(m);
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

TESTS_MAIN
