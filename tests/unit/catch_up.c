// What runs of an outage, over a real store and with a clock of the test's own.
#include "core/catch_up.h"

#include "core/upcoming.h"
#include "scheduling.h"

// Minutely, down from 00:30 to 10:30: of the minutes 1 to 10 those from..10 run, in their order.
static const struct outage_row {
    const char *catch_up;
    int from, missed;
} outages[] = {
    {"{\"policy\":\"skip\"}", 11, 10},
    {"{}", 10, 9},
    {"{\"policy\":\"latest\",\"window\":\"30s\"}", 10, 9},
    {"{\"policy\":\"latest\",\"window\":\"29s\"}", 11, 10},
    {"{\"policy\":\"all\"}", 1, 0},
    {"{\"policy\":\"all\",\"max\":3}", 8, 7},
    {"{\"policy\":\"all\",\"max\":10}", 1, 0},
    {"{\"policy\":\"all\",\"window\":\"5m30s\"}", 5, 4},
    {"{\"policy\":\"all\",\"window\":\"5m29s\"}", 6, 5},
    {"{\"policy\":\"all\",\"window\":\"5m\",\"max\":2}", 9, 8},
    {"{\"policy\":\"all\",\"window\":\"365d\",\"max\":10000}", 1, 0},
};

TEST(after_an_outage_what_the_policy_says_runs_in_order_and_the_rest_is_missed)
{
    for (size_t i = 0; i < sizeof outages / sizeof *outages; i++) {
        const struct outage_row *row = &outages[i];
        char rest[300];
        test_row = row->catch_up;
        begin_world();
        snprintf(rest, sizeof rest, "\"schedule\":{\"every\":\"1m\"},\"catch_up\":%s",
                 row->catch_up);
        put_webhook("minutely", rest);
        pass(30 * SECOND);
        outage(10 * MINUTE);
        pass(SECOND);
        CHECK_INT(11 - row->from, order_count);
        for (size_t k = 0; k < order_count; k++)
            CHECK_INT(T0 + (row->from + (int)k) * MINUTE, orders[k]->scheduled_for.us);
        CHECK_INT(row->missed, count(RUN_MISSED));
        pass_until((wall){T0 + 11 * MINUTE}); // and the next one, on time
        CHECK_INT(12 - row->from, order_count);
        CHECK_INT(T0 + 11 * MINUTE, orders[order_count - 1]->scheduled_for.us);
        end_world();
    }
}

TEST(a_long_outage_is_worked_off_in_bounded_turns)
{
    begin_world();
    put("each-second", "{\"schedule\":{\"every\":\"1s\"}," HOOK "}");
    stop();
    now.us = T0 + 5000 * SECOND;
    start();
    pass_until(wall_plus(now, 500 * MILLISECOND));
    CHECK_INT(4998, count(RUN_MISSED));
    CHECK_INT(2, order_count); // the latest of the outage, and the one of the instant of the start
    end_world();
}

TEST(after_an_outage_only_the_latest_of_all_a_tasks_schedules_runs)
{
    begin_world();
    put("job", "{\"schedule\":[{\"every\":\"1h\"},{\"every\":\"40m\"}]," HOOK "}");
    stop();
    now.us = T0 + 165 * MINUTE; // 40, 60, 80, 120 and 160 are missed
    start();
    pass_until(now);
    CHECK_INT(1, order_count);
    CHECK_INT(T0 + 160 * MINUTE, orders[0]->scheduled_for.us);
    CHECK_INT(4, count(RUN_MISSED));
    end_world();
}

#define SPRING \
    (T0 + 87 * DAY + HOUR) // 2026-03-29T01:00:00Z: 02:00 to 03:00 are not there in Berlin

TEST(after_an_outage_the_latest_that_is_not_skipped_runs)
{
    begin_world();
    now.us = SPRING - 2 * DAY;
    put("job", "{\"schedule\":{\"cron\":\"30 2 * * *\",\"timezone\":\"Europe/Berlin\","
               "\"dst_gap\":\"skip\"}," HOOK "}");
    stop();
    now.us = SPRING + HOUR;
    start();
    pass_until(now);
    CHECK_INT(1, order_count);
    CHECK_INT(SPRING - DAY + 30 * MINUTE, orders[0]->scheduled_for.us);
    CHECK_INT(1, count(RUN_SKIPPED));
    end_world();
}

TEST(a_delete_after_an_outage_misses_no_time_that_daylight_saving_skips)
{
    begin_world();
    now.us = SPRING - 2 * DAY;
    put("job", "{\"schedule\":{\"cron\":\"30 2 * * *\",\"timezone\":\"Europe/Berlin\","
               "\"dst_gap\":\"skip\"}," HOOK "}");
    stop();
    now.us = SPRING + HOUR;
    start();
    tell(MESSAGE_DELETE_TASK, "job");
    settle();
    CHECK_INT(2, count(RUN_MISSED));
    CHECK_INT(1, count(RUN_SKIPPED));
    end_world();
}

TEST(a_time_that_is_skipped_in_a_gap_takes_no_other_schedules_occurrence_with_it)
{
    begin_world();
    now.us = SPRING - 12 * HOUR;
    put("job", "{\"schedule\":[{\"cron\":\"30 2 * * *\",\"timezone\":\"Europe/Berlin\","
               "\"dst_gap\":\"skip\"},"
               "{\"cron\":\"0 3 * * *\",\"timezone\":\"Europe/Berlin\"}]," HOOK "}");
    pass_until((wall){SPRING + MINUTE});
    CHECK_INT(1, order_count);
    CHECK_INT(SPRING, orders[0]->scheduled_for.us);
    CHECK_INT(0, count(RUN_SKIPPED));
    end_world();
}

TEST(the_schedules_of_a_task_catch_up_together)
{
    begin_world();
    put_webhook("both", "\"schedule\":[{\"every\":\"2m\"},{\"every\":\"3m\"}],"
                        "\"catch_up\":{\"policy\":\"all\",\"max\":4}");
    pass(SECOND);
    outage(12 * MINUTE + 10 * SECOND); // 2 3 4 6 8 9 10 12
    pass(SECOND);
    static const int minutes[] = {8, 9, 10, 12};
    CHECK_INT(4, order_count);
    for (int i = 0; i < 4; i++)
        CHECK_INT(T0 + minutes[i] * MINUTE, orders[i]->scheduled_for.us);
    CHECK_INT(4, count(RUN_MISSED));
    pass_until((wall){T0 + 18 * MINUTE + SECOND}); // 14 15 16 18, each once
    CHECK_INT(8, order_count);
    CHECK_INT(4, count(RUN_MISSED));
    end_world();
}

TEST(a_clock_set_forward_is_an_outage_and_one_set_back_fires_nothing_again)
{
    begin_world();
    put_webhook("both", "\"schedule\":[{\"every\":\"1m\"},{\"every\":\"90s\"}]");
    pass(MINUTE + SECOND);
    CHECK_INT(1, order_count);
    report(ATTEMPT_SUCCEEDED);
    now.us = T0 + 10 * MINUTE + 5 * SECOND; // 1:30 2 3 4 4:30 5 6 7 7:30 8 9 and 10
    turn(NULL);
    pass(SECOND);
    CHECK_INT(1, order_count);
    CHECK_INT(T0 + 10 * MINUTE, orders[0]->scheduled_for.us);
    CHECK_INT(11, count(RUN_MISSED));
    report(ATTEMPT_SUCCEEDED);
    now.us = T0 + 2 * MINUTE;
    turn(NULL);
    pass_until((wall){T0 + 10 * MINUTE + 10 * SECOND});
    CHECK_INT(0, order_count);
    pass_until((wall){T0 + 12 * MINUTE + SECOND}); // 10:30 11 12
    CHECK_INT(3, order_count);
    CHECK_INT(11, count(RUN_MISSED));
    end_world();
}

TEST(a_clock_that_was_ahead_at_the_start_makes_no_outage_when_it_is_set_right)
{
    begin_world();
    now.us = T0 - HOUR;
    turn(NULL);
    put_webhook("minutely", "\"schedule\":{\"every\":\"1m\"},\"catch_up\":{\"policy\":\"skip\"}");
    pass(3 * MINUTE + SECOND);
    CHECK_INT(3, order_count);
    CHECK_INT(0, count(RUN_MISSED));
    end_world();
}

TEST(a_restart_in_the_middle_of_catching_up_changes_nothing)
{
    begin_world();
    put_webhook("secondly",
                "\"schedule\":{\"every\":\"1s\"},\"catch_up\":{\"policy\":\"all\",\"max\":5}");
    pass(500 * MILLISECOND);
    outage(5000 * SECOND); // 1 to 5000
    for (int i = 0; i < 3; i++) {
        turn(NULL);
        outage(0);
    }
    CHECK(count(RUN_MISSED) < 4995);
    pass(400 * MILLISECOND);
    CHECK_INT(4995, count(RUN_MISSED));
    CHECK_INT(5, order_count);
    for (int i = 0; i < 5; i++)
        CHECK_INT(T0 + (4996 + i) * SECOND, orders[i]->scheduled_for.us);
    end_world();
}

TEST(two_outages_are_two_backlogs_worked_off_one_after_the_other)
{
    begin_world();
    put_webhook("secondly", "\"schedule\":{\"every\":\"1s\"}");
    pass(500 * MILLISECOND);
    outage(3000 * SECOND); // 1 to 3000
    turn(NULL);
    outage(2000 * SECOND); // 3001 to 5000
    pass(300 * MILLISECOND);
    CHECK_INT(4998, count(RUN_MISSED));
    CHECK_INT(2, order_count);
    CHECK_INT(T0 + 3000 * SECOND, orders[0]->scheduled_for.us);
    CHECK_INT(T0 + 5000 * SECOND, orders[1]->scheduled_for.us);
    end_world();
}

TEST(the_next_occurrence_fires_on_time_while_a_long_outage_is_worked_off)
{
    begin_world();
    put_webhook("secondly", "\"schedule\":{\"every\":\"1s\"},\"catch_up\":{\"policy\":\"skip\"}");
    for (int i = 0; i < 200; i++) {
        char name[20];
        snprintf(name, sizeof name, "minutely-%d", i);
        put_webhook(name, "\"schedule\":{\"every\":\"1m\"},\"catch_up\":{\"policy\":\"skip\"}");
    }
    pass(500 * MILLISECOND);
    outage(20000 * SECOND);
    turn(NULL); // finds them all behind
    now.us += 100 * MILLISECOND;
    turn(NULL);
    CHECK(count(RUN_MISSED) < 10000);
    now.us = T0 + 20001 * SECOND;
    turn(NULL);
    CHECK_INT(1, order_count);
    CHECK_INT(now.us, orders[0]->scheduled_for.us);
    pass(0);
    CHECK_INT(20000 + 200 * 333, count(RUN_MISSED));
    end_world();
}

TEST(catching_up_starts_no_more_in_any_second_than_it_may)
{
    begin_world();
    options.catch_up_per_s = 20;
    options.lane_limit = 1000;
    for (int i = 0; i < 10; i++) {
        char name[20];
        snprintf(name, sizeof name, "minutely-%d", i);
        put_webhook(name, "\"schedule\":{\"every\":\"1m\"},\"catch_up\":{\"policy\":\"all\"}");
    }
    pass(30 * SECOND);
    outage(10 * MINUTE);
    pass(2 * SECOND);
    size_t before = order_count;
    outage(0); // those under way are lost; those that wait go on waiting, and as slowly
    CHECK(before >= 40 && before <= 60);
    pass(2 * SECOND);
    CHECK(order_count >= 40);
    for (size_t i = 20; i < order_count; i++)
        if (orders[i]->number == 1 && orders[i - 20]->number == 1)
            CHECK(claimed[i].us - claimed[i - 20].us >= SECOND);
    pass(20 * SECOND);
    CHECK_INT(100, count(RUN_RUNNING));
    end_world();
}

TEST(what_has_gathered_before_a_slow_endpoint_starts_no_faster)
{
    begin_world();
    options.catch_up_per_s = 10;
    options.lane_limit = 1;
    put_webhook("minutely", "\"schedule\":{\"every\":\"1m\"},\"catch_up\":{\"policy\":\"all\"}");
    pass(30 * SECOND);
    outage(60 * MINUTE);
    pass(5 * SECOND);
    CHECK_INT(1, order_count);
    for (int second = 0; second < 3; second++) { // now it is fast
        int started = 0;
        wall until = wall_plus(now, SECOND - 1);
        for (; now.us < until.us; pass(50 * MILLISECOND))
            for (; order_count; started++)
                report(ATTEMPT_SUCCEEDED);
        CHECK(started <= 11); // and the one that was under way
        CHECK(started >= 5);
    }
    end_world();
}

// Ten occurrences of a minutely task fall into an outage; the first turn after it has a message
// about the task.
static void begin_again_with(struct message *m)
{
    put("minutely", "{\"schedule\":{\"every\":\"1m\"}," HOOK "}");
    pass_until((wall){T0 + 30 * SECOND});
    stop();
    now.us = T0 + 10 * MINUTE + 30 * SECOND;
    start();
    m->name = memory_text("minutely");
    turn(m);
    CHECK_INT(STATUS_OK, m->reply.status);
    message_free(m);
}

TEST(an_edit_right_after_an_outage_leaves_no_occurrence_without_a_record)
{
    begin_world();
    struct message *m = message_new(MESSAGE_PUT_TASK);
    m->task = definition("minutely", "{\"schedule\":{\"every\":\"1h\"}," HOOK "}");
    begin_again_with(m);
    CHECK_INT(10, count(RUN_MISSED)); // an edit gives up what has not started
    CHECK_INT(0, order_count);
    end_world();
}

TEST(a_delete_right_after_an_outage_leaves_no_occurrence_without_a_record)
{
    begin_world();
    begin_again_with(message_new(MESSAGE_DELETE_TASK));
    CHECK_INT(10, count(RUN_MISSED)); // an edit gives up what has not started
    end_world();
}

TEST(a_pause_right_after_an_outage_skips_what_would_have_caught_up)
{
    begin_world();
    begin_again_with(message_new(MESSAGE_PAUSE));
    CHECK_INT(9, count(RUN_MISSED));
    CHECK_INT(1, count(RUN_SKIPPED));
    CHECK_INT(0, order_count);
    end_world();
}

TEST(an_edit_or_a_delete_leaves_no_missed_occurrence_without_a_record)
{
    for (int deleted = 0; deleted < 2; deleted++) {
        begin_world();
        put_webhook("secondly",
                    "\"schedule\":{\"every\":\"1s\"},\"catch_up\":{\"policy\":\"all\"}");
        pass(500 * MILLISECOND);
        outage(5000 * SECOND);
        turn(NULL);
        if (deleted)
            tell(MESSAGE_DELETE_TASK, "secondly");
        else
            put_webhook("secondly", "\"schedule\":{\"every\":\"1h\"}");
        pass(100 * MILLISECOND);
        CHECK_INT(5000, count(RUN_MISSED));
        CHECK_INT(0, order_count);
        end_world();
    }
}

TEST(of_a_paused_task_nothing_catches_up)
{
    begin_world();
    put_webhook("minutely", "\"schedule\":{\"every\":\"1m\"},\"catch_up\":{\"policy\":\"all\"}");
    pass(MINUTE + SECOND);
    report(ATTEMPT_SUCCEEDED);
    tell(MESSAGE_PAUSE, "minutely");
    outage(5 * MINUTE);
    pass(SECOND);
    CHECK_INT(0, order_count);
    CHECK_INT(5, count(RUN_SKIPPED));
    end_world();
}

// Decided when it is found, and not by when it was due: decision 7.
TEST(a_task_paused_before_an_outage_and_resumed_before_it_is_found_catches_up)
{
    static const struct {
        const char *policy;
        int orders, missed;
    } rows[] = {{"all", 5, 0}, {"latest", 1, 4}, {"skip", 0, 5}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char rest[100];
        begin_world();
        snprintf(rest, sizeof rest,
                 "\"schedule\":{\"every\":\"1m\"},\"catch_up\":{\"policy\":\"%s\"}",
                 rows[i].policy);
        put_webhook("minutely", rest);
        pass(MINUTE + SECOND);
        report(ATTEMPT_SUCCEEDED);
        tell(MESSAGE_PAUSE, "minutely");
        stop();
        now.us += 5 * MINUTE;
        start();
        tell(MESSAGE_RESUME, "minutely"); // in the first turn
        pass(SECOND);
        CHECK_INT(rows[i].orders, order_count);
        CHECK_INT(rows[i].missed, count(RUN_MISSED));
        CHECK_INT(0, count(RUN_SKIPPED));
        end_world();
    }
}

TEST(a_long_outage_of_a_paused_task_is_skipped_until_it_is_resumed)
{
    begin_world();
    put_webhook("secondly", "\"schedule\":{\"every\":\"1s\"},\"catch_up\":{\"policy\":\"latest\"}");
    tell(MESSAGE_PAUSE, "secondly");
    pass(500 * MILLISECOND);
    stop();
    now.us += 5000 * SECOND;
    start();
    turn(NULL);
    int64_t skipped = count(RUN_SKIPPED);
    CHECK(skipped > 0 && skipped < 5000); // a turn's worth
    tell(MESSAGE_RESUME, "secondly");
    pass(100 * MILLISECOND);
    CHECK_INT(skipped, count(RUN_SKIPPED));
    CHECK_INT(4999 - skipped, count(RUN_MISSED));
    CHECK_INT(1, order_count);
    end_world();
}

// Each occurrence of an outage, one by one: what catch_up_from must agree with.
static wall listed(const struct task *task, wall first, wall until)
{
    struct upcoming u;
    struct upcoming_item item;
    static wall all[20000];
    int n = 0;
    upcoming_begin(&u, task, wall_plus(first, -1));
    while (upcoming_next(&u, &item) && item.nominal.us < until.us)
        if (item.dst != DST_SKIPPED &&
            (!task->catch_up.window_us || item.nominal.us >= until.us - task->catch_up.window_us))
            all[n++] = item.nominal;
    int max = task->catch_up.max;
    return n == 0 ? until : all[n > max ? n - max : 0];
}

TEST(stepping_back_finds_the_same_as_listing_all)
{
    static const char *const schedules[] = {
        "{\"cron\":\"*/7 8-17 * * MON-FRI\",\"timezone\":\"Europe/Berlin\"}",
        ("[{\"cron\":\"30 2 * * *\",\"timezone\":\"Europe/Berlin\",\"dst_gap\":\"skip\"},"
         "{\"every\":\"5h\"}]"),
        "{\"cron\":\"* * 1 * *\"}",
        "{\"at\":\"2026-02-01T00:00:00Z\"}",
        "{\"cron\":\"0 0 29 2 *\"}",
    };
    struct random chance;
    random_seed(&chance, 7);
    for (int i = 0; i < 400; i++) {
        char json[400], window[40] = "";
        int64_t span = random_below(&chance, 100 * DAY) + 1;
        if (random_below(&chance, 2))
            snprintf(window, sizeof window, "\"window\":\"%dm\",",
                     (int)(random_below(&chance, 100000) + 1));
        snprintf(json, sizeof json,
                 "{\"schedule\":%s,\"catch_up\":{\"policy\":\"all\",%s\"max\":%d}," HOOK "}",
                 schedules[i % 5], window, (int)random_below(&chance, 50) + 1);
        test_row = json;
        struct task *task = definition("job", json);
        wall first = {T0 + random_below(&chance, 100 * DAY)};
        wall until = wall_plus(first, span);
        CHECK_INT(listed(task, first, until).us, catch_up_from(task, first, until).us);
        task_drop(task);
    }
}

#define BOTH "\"schedule\":[{\"every\":\"2s\"},{\"every\":\"3s\"}],"

static int64_t count_all(void)
{
    int64_t all = 0;
    for (unsigned state = 0; state < RUN_STATE_COUNT; state++)
        all += state == RUN_DUE ? 0 : count(state);
    return all;
}

// Outages, steps of the clock, pauses and edits, one after the other. `latest` is the latest
// instant the clock has shown.
static void disturb(struct random *chance, wall *latest)
{
    static const char *const edits[] = {BOTH "\"catch_up\":{\"policy\":\"all\",\"max\":3}",
                                        BOTH "\"catch_up\":{\"policy\":\"skip\"}",
                                        BOTH "\"catch_up\":{\"window\":\"30s\"}",
                                        BOTH "\"overlap\":\"skip\""};
    int what = (int)random_below(chance, 10);
    if (what < 3)
        pass(random_below(chance, 10 * SECOND));
    else if (what < 5)
        outage(random_below(chance, 5 * MINUTE));
    else if (what < 6)
        outage(random_below(chance, HOUR));
    else if (what < 7)
        now.us += random_below(chance, HOUR);
    else if (what < 8)
        now.us -= random_below(chance, 2 * MINUTE);
    else if (what < 9)
        put_webhook("both", edits[random_below(chance, 4)]);
    else
        tell(random_below(chance, 2) ? MESSAGE_PAUSE : MESSAGE_RESUME, "both");
    for (int64_t turns = random_below(chance, 4); turns > 0; turns--)
        turn(NULL);
    while (order_count)
        report(ATTEMPT_SUCCEEDED);
    *latest = now.us > latest->us ? now : *latest;
}

TEST(every_occurrence_has_one_record_whatever_happens)
{
    for (uint64_t seed = 1; seed <= 8; seed++) {
        struct random chance;
        begin_random_world(seed, &chance);
        wall latest = now;
        put_webhook("both", BOTH "\"catch_up\":{\"policy\":\"all\"}");
        for (int i = 0; i < 40; i++)
            disturb(&chance, &latest);
        // In the middle between two seconds: nothing of the next one is claimed yet.
        pass_until((wall){latest.us / SECOND * SECOND + 7500 * MILLISECOND});
        int64_t seconds = (now.us - T0) / SECOND;
        CHECK_INT(seconds / 2 + seconds / 3 - seconds / 6, count_all());
        end_world();
    }
}

TESTS_MAIN
