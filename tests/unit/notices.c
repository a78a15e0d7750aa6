// Who is told when a task fails, is missed or recovers, and how rarely.
#include "letters.h"
#include "scheduler/reasons.h"

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

// --- many tasks, one webhook ---

static const char *task_name(int number)
{
    static char text[16];
    snprintf(text, sizeof text, "t%03d", number);
    return text;
}

static void put_tasks(int from, int until)
{
    for (int i = from; i < until; i++)
        put(task_name(i), "{" ONCE "," TELL "}");
}

static void run_tasks(int from, int until, enum attempt_outcome outcome)
{
    for (int i = from; i < until; i++)
        run_once(task_name(i), outcome);
}

static const json_t *named(const json_t *body, size_t place)
{
    return json_array_get(json_object_get(body, "tasks"), place);
}

static void check_bool(const json_t *body, const char *name, bool wanted)
{
    CHECK(wanted ? json_is_true(json_object_get(body, name))
                 : json_is_false(json_object_get(body, name)));
}

// The notice sent last is about several tasks, and none has come besides it.
static json_t *take_group(const char *type, int64_t tasks, int64_t runs)
{
    json_t *body = take_notice(ATTEMPT_SUCCEEDED);
    check_text(body, "type", type);
    CHECK_INT(tasks, number(body, "task_count"));
    CHECK_INT(runs, number(body, "count"));
    return body;
}

static void check_told(const char *type, const char *task)
{
    json_t *body = take_notice(ATTEMPT_SUCCEEDED);
    check_text(body, "type", type);
    check_text(body, "task", task);
    json_decref(body);
}

TEST(three_hundred_tasks_that_fail_make_two_posts_to_their_webhook)
{
    begin_world();
    put_tasks(0, 300);
    run_tasks(0, 1, ATTEMPT_FAILED);
    check_told("task.failing", "t000");
    run_tasks(1, 300, ATTEMPT_FAILED);
    pass(15 * MINUTE - SECOND);
    CHECK_INT(0, notice_count);
    pass(SECOND);
    json_t *body = take_group("tasks.failing", 299, 299);
    CHECK_INT(299, number(body, "failed"));
    CHECK_INT(0, number(body, "recovered"));
    check_bool(body, "well", false);
    CHECK_INT(20, json_array_size(json_object_get(body, "tasks")));
    CHECK_INT(299, number(json_array_get(json_object_get(body, "reasons"), 0), "count"));
    check_text(named(body, 0), "type", "task.failing");
    check_text(named(body, 0), "task", "t001");
    check_text(named(body, 0), "reason", "out of attempts (1 of 1): answered 500");
    CHECK_INT(1, number(named(body, 0), "count"));
    CHECK(json_string_value(json_object_get(named(body, 19), "link")));
    check_text(body, "first_run", json_string_value(json_object_get(named(body, 0), "first_run")));
    json_decref(body);
    pass(DAY);
    CHECK_INT(0, notice_count);
    end_world();
}

TEST(tasks_that_fail_for_an_hour_are_told_once_in_a_cool_down_and_none_is_lost)
{
    begin_world();
    int64_t failed = 0, told = 0;
    put_tasks(0, 30);
    for (int minute = 0; minute < 60; minute++) {
        run_tasks(0, 30, ATTEMPT_FAILED);
        failed += 30;
        pass(MINUTE);
    }
    pass(HOUR);
    CHECK_INT(5, notice_count); // at 0, 15, 30, 45 and 60 minutes
    while (notice_count > 0) {
        struct json_place place;
        json_t *body;
        struct order *order = notices[--notice_count];
        CHECK_INT(STATUS_OK, json_read(order->payload, order->payload_size, &body, &place));
        told += number(body, "count");
        json_decref(body);
        turn(report_of(order, ATTEMPT_SUCCEEDED));
    }
    CHECK_INT(failed, told);
    end_world();
}

TEST(what_a_webhook_is_told_next_survives_a_restart)
{
    begin_world();
    put_tasks(0, 30);
    run_tasks(0, 1, ATTEMPT_FAILED);
    check_told("task.failing", "t000");
    run_tasks(1, 30, ATTEMPT_FAILED);
    outage(MINUTE);
    run_tasks(1, 30, ATTEMPT_FAILED); // the same tasks, so they are not more
    run_tasks(1, 3, ATTEMPT_SUCCEEDED);
    outage(MINUTE);
    pass(13 * MINUTE - SECOND);
    CHECK_INT(0, notice_count);
    pass(SECOND);
    json_t *body = take_group("tasks.failing", 29, 58);
    CHECK_INT(58, number(json_array_get(json_object_get(body, "reasons"), 0), "count"));
    CHECK_INT(2, number(named(body, 0), "count"));
    check_bool(named(body, 1), "well", true);
    check_bool(named(body, 2), "well", false);
    json_decref(body);
    outage(MINUTE);
    run_tasks(3, 4, ATTEMPT_SUCCEEDED); // that it was told is on the disk
    check_told("task.recovered", "t003");
    run_tasks(1, 2, ATTEMPT_SUCCEEDED); // told as well
    pass(DAY);
    CHECK_INT(0, notice_count);
    end_world();
}

TEST(two_webhooks_are_told_of_their_own_tasks_at_their_own_time)
{
    begin_world();
    put_tasks(0, 3);
    put("u", "{" ONCE ",\"notify\":{\"url\":\"http://127.0.0.4:9/alerts\"}}");
    run_tasks(0, 1, ATTEMPT_FAILED);
    check_told("task.failing", "t000");
    run_tasks(1, 3, ATTEMPT_FAILED);
    run_once("u", ATTEMPT_FAILED);
    turn(NULL);
    CHECK_TEXT("http://127.0.0.4:9/alerts", notices[0]->task->target.http.url);
    check_told("task.failing", "u");
    pass(20 * MINUTE);
    CHECK_TEXT("http://127.0.0.3:9/alerts", notices[0]->task->target.http.url);
    json_decref(take_group("tasks.failing", 2, 2));
    end_world();
}

TEST(recoveries_are_grouped_like_failures)
{
    begin_world();
    put_tasks(0, 9);
    run_tasks(0, 9, ATTEMPT_FAILED);
    check_told("task.failing", "t000");
    pass(15 * MINUTE);
    json_decref(take_group("tasks.failing", 8, 8));
    run_tasks(0, 9, ATTEMPT_SUCCEEDED);
    check_told("task.recovered", "t000");
    pass(15 * MINUTE - SECOND);
    CHECK_INT(0, notice_count);
    pass(SECOND);
    json_t *body = take_group("tasks.recovered", 8, 0);
    CHECK_INT(8, number(body, "recovered"));
    check_bool(body, "well", true);
    check_text(named(body, 7), "type", "task.recovered");
    check_text(named(body, 7), "task", "t008");
    CHECK(json_string_value(json_object_get(named(body, 7), "success")));
    json_decref(body);
    pass(DAY);
    CHECK_INT(0, notice_count);
    end_world();
}

TEST(a_task_that_fails_again_before_its_recovery_is_told_has_not_recovered)
{
    begin_world();
    put_tasks(0, 2);
    run_tasks(0, 2, ATTEMPT_FAILED);
    check_told("task.failing", "t000");
    pass(15 * MINUTE);
    check_told("task.failing", "t001");
    run_tasks(0, 2, ATTEMPT_SUCCEEDED);
    check_told("task.recovered", "t000");
    run_tasks(1, 2, ATTEMPT_FAILED);
    pass(15 * MINUTE);
    check_told("task.failing", "t001");
    run_tasks(1, 2, ATTEMPT_SUCCEEDED);
    check_told("task.recovered", "t001");
    end_world();
}

TEST(a_recovery_takes_along_the_failures_of_other_tasks)
{
    begin_world();
    put_tasks(0, 30);
    run_tasks(0, 1, ATTEMPT_FAILED);
    check_told("task.failing", "t000");
    run_tasks(1, 3, ATTEMPT_FAILED);
    run_tasks(0, 1, ATTEMPT_SUCCEEDED);
    json_t *body = take_group("tasks.failing", 3, 2);
    CHECK_INT(1, number(body, "recovered"));
    check_text(named(body, 0), "task", "t001");
    check_text(named(body, 2), "type", "task.recovered");
    json_decref(body);
    run_tasks(3, 4, ATTEMPT_FAILED); // and the cool-down begins anew
    pass(15 * MINUTE - SECOND);
    CHECK_INT(0, notice_count);
    pass(SECOND);
    check_told("task.failing", "t003");
    end_world();
}

TEST(those_that_fail_are_named_rather_than_those_that_have_recovered)
{
    begin_world();
    put_tasks(0, 40);
    run_tasks(0, 30, ATTEMPT_FAILED);
    check_told("task.failing", "t000");
    pass(15 * MINUTE);
    json_decref(take_group("tasks.failing", 29, 29));
    run_tasks(0, 30, ATTEMPT_SUCCEEDED);
    check_told("task.recovered", "t000");
    run_tasks(30, 40, ATTEMPT_FAILED);
    pass(15 * MINUTE);
    json_t *body = take_group("tasks.failing", 39, 10);
    CHECK_INT(29, number(body, "recovered"));
    check_text(named(body, 0), "type", "task.failing");
    check_text(named(body, 9), "type", "task.failing");
    check_text(named(body, 10), "type", "task.recovered");
    json_decref(body);
    end_world();
}

#define NOTIFY_WITHIN(cooldown) \
    "\"notify\":{\"url\":\"http://127.0.0.3:9/alerts\",\"cooldown\":\"" cooldown "\"}"

TEST(a_task_with_a_longer_cool_down_is_taken_along_and_then_rests_for_it)
{
    begin_world();
    put("often", "{" ONCE "," NOTIFY_WITHIN("1m") "}");
    put("rarely", "{" ONCE "," NOTIFY_WITHIN("1h") "}");
    run_once("often", ATTEMPT_FAILED);
    check_told("task.failing", "often");
    run_once("rarely", ATTEMPT_FAILED);
    pass(30 * MINUTE);
    CHECK_INT(0, notice_count); // alone it waits for its own
    run_once("often", ATTEMPT_FAILED);
    json_decref(take_group("tasks.failing", 2, 2));
    for (int i = 0; i < 5; i++) {
        pass(MINUTE);
        run_once("rarely", ATTEMPT_FAILED);
        run_once("often", ATTEMPT_FAILED);
        check_told("task.failing", "often");
    }
    pass(30 * MINUTE); // an hour after it joined, and the webhook has rested for less
    CHECK_INT(0, notice_count);
    pass(35 * MINUTE);
    json_t *body = take_notice(ATTEMPT_SUCCEEDED);
    check_text(body, "task", "rarely");
    CHECK_INT(5, number(body, "count"));
    json_decref(body);
    end_world();
}

TEST(a_task_that_is_deleted_before_its_webhook_is_told_is_left_out)
{
    begin_world();
    put_tasks(0, 4);
    run_tasks(0, 1, ATTEMPT_FAILED);
    check_told("task.failing", "t000");
    run_tasks(1, 4, ATTEMPT_FAILED);
    tell(MESSAGE_DELETE_TASK, "t002");
    put("t003", "{" ONCE "}");
    pass(15 * MINUTE);
    json_t *body = take_group("tasks.failing", 1, 1);
    CHECK_INT(1, json_array_size(json_object_get(body, "tasks")));
    check_text(named(body, 0), "task", "t001");
    json_decref(body);
    run_tasks(1, 2, ATTEMPT_FAILED);
    tell(MESSAGE_DELETE_TASK, "t001");
    pass(DAY);
    CHECK_INT(0, notice_count);
    end_world();
}

TEST(what_failed_is_told_though_its_task_names_another_webhook_since)
{
    begin_world();
    put_tasks(0, 2);
    run_tasks(0, 1, ATTEMPT_FAILED);
    check_told("task.failing", "t000");
    run_tasks(1, 2, ATTEMPT_FAILED); // waits for the webhook
    put("t001", "{" ONCE ",\"notify\":{\"url\":\"http://127.0.0.3:9/alerts/others\"}}");
    pass(15 * MINUTE);
    json_t *body = take_notice(ATTEMPT_SUCCEEDED);
    check_text(body, "task", "t001");
    CHECK_INT(1, number(body, "count"));
    json_decref(body);
    run_tasks(1, 2, ATTEMPT_SUCCEEDED);
    check_told("task.recovered", "t001");
    pass(DAY);
    CHECK_INT(0, notice_count);
    end_world();
}

TEST(who_was_deleted_or_told_nobody_meanwhile_has_nothing_to_recover_from)
{
    for (int deleted = 0; deleted <= 1; deleted++) {
        begin_world();
        put_tasks(0, 1);
        run_tasks(0, 1, ATTEMPT_FAILED);
        check_told("task.failing", "t000");
        run_tasks(0, 1, ATTEMPT_FAILED); // counted
        if (deleted)
            tell(MESSAGE_DELETE_TASK, "t000");
        else
            put("t000", "{" ONCE "}");
        put_tasks(0, 1);
        run_tasks(0, 1, ATTEMPT_SUCCEEDED);
        pass(DAY);
        CHECK_INT(0, notice_count);
        end_world();
    }
}

TEST(what_comes_back_to_a_webhook_is_in_its_next_notice_once)
{
    begin_world();
    put_tasks(0, 3);
    run_tasks(0, 1, ATTEMPT_FAILED);
    check_told("task.failing", "t000");
    run_tasks(1, 3, ATTEMPT_FAILED); // wait for the webhook
    put("t001", "{" ONCE ",\"notify\":{\"url\":\"http://127.0.0.3:9/alerts/others\"}}");
    put_tasks(1, 2);
    pass(10 * MINUTE);
    run_tasks(1, 2, ATTEMPT_FAILED);
    pass(5 * MINUTE);
    json_t *body = take_group("tasks.failing", 2, 3);
    json_decref(body);
    pass(10 * MINUTE);
    CHECK_INT(0, notice_count);
    end_world();
}

static void ask_tasks(int many)
{
    for (int i = 0; i < many;) {
        struct letter *first = NULL, **end = &first;
        for (int n = 0; n < 100 && i < many; n++) {
            struct message *m = ask_message(task_name(i++), NULL, WALL_NONE);
            *end = &m->letter;
            end = &m->letter.next;
        }
        *end = NULL;
        turn_with(first);
        for (size_t n = 0; n < answered_count; n++)
            message_free(answered[n]);
    }
}

TEST(more_tasks_than_one_turn_looks_at_are_told_in_one_notice)
{
    struct scheduler_options wide = options;
    wide.lane_limit = wide.total_limit = 1000;
    begin_world_with(&wide);
    put_tasks(0, 600);
    for (int round = 0; round < 2; round++) {
        ask_tasks(600);
        CHECK_INT(600, order_count);
        report_all(ATTEMPT_FAILED);
        if (round == 0)
            json_decref(take_group("tasks.failing", 600, 600));
        pass(MINUTE);
    }
    pass(12 * MINUTE);
    CHECK_INT(0, notice_count);
    pass(2 * MINUTE);
    json_decref(take_group("tasks.failing", 600, 600));
    end_world();
}

// --- any life ---

struct heard {
    wall last[2]; // when the notices before were made
    int64_t posts, runs;
};

// Never three within one cool-down.
static void hear(struct heard *heard)
{
    for (size_t i = 0; i < notice_count; i++) {
        struct json_place place;
        json_t *body;
        struct order *order = notices[i];
        CHECK(heard->posts < 2 || order->due_at.us - heard->last[0].us >= 15 * MINUTE);
        heard->posts++;
        heard->last[0] = heard->last[1];
        heard->last[1] = order->due_at;
        CHECK_INT(STATUS_OK, json_read(order->payload, order->payload_size, &body, &place));
        heard->runs += number(body, "count");
        json_decref(body);
        turn(report_of(order, ATTEMPT_SUCCEEDED));
    }
    notice_count = 0;
}

TEST(whatever_fails_and_recovers_a_webhook_hears_of_all_and_twice_in_a_cool_down)
{
    for (uint64_t seed = 1; seed <= 2; seed++) {
        struct random chance;
        struct heard heard = {0};
        int64_t failed = 0;
        begin_random_world(seed, &chance);
        put_tasks(0, 25);
        for (int step = 0; step < 400; step++) {
            bool fails = random_below(&chance, 2);
            const char *task = task_name((int)random_below(&chance, 25));
            run_once(task, fails ? ATTEMPT_FAILED : ATTEMPT_SUCCEEDED);
            failed += fails;
            pass(random_below(&chance, 60) * SECOND);
            hear(&heard);
            if (random_below(&chance, 20) == 0)
                outage(0);
        }
        pass(HOUR);
        hear(&heard);
        CHECK_INT(failed, heard.runs);
        CHECK(heard.posts > 10);
        end_world();
    }
}

TEST(a_long_reason_is_the_same_one_after_a_restart)
{
    char reason[401];
    for (size_t shift = 0; shift < 2; shift++) {
        for (size_t i = shift; i + 2 < sizeof reason; i += 2)
            memcpy(reason + i, "\u00FC", 3);
        memcpy(reason, "x", shift);
        struct reasons reasons = {0}, read = {0};
        struct buffer text;
        buffer_init(&text, 10000);
        reasons_count(&reasons, reason, 1);
        struct writer w = writer_on(&text);
        reasons_write(&w, &reasons);
        reasons_read(&read, buffer_string(&text));
        reasons_count(&read, reason, 1);
        CHECK_INT(1, read.count);
        CHECK_INT(2, read.list[0].count);
        reasons_done(&reasons);
        reasons_done(&read);
        buffer_done(&text);
    }
}

TESTS_MAIN
