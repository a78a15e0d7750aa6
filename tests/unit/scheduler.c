// What starts and when, what comes of it, and what a crash leaves.
#include "scheduling.h"

static void begin(void)
{
    struct scheduler_options wanted = scheduler_defaults;
    wanted.lane_limit = 10;
    begin_world_with(&wanted);
}

TEST(a_one_off_starts_at_its_time_and_not_before)
{
    begin();
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
    begin();
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
    begin();
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
    begin();
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
    begin();
    struct message *m = message_new(MESSAGE_PUT_TASK);
    m->task = definition("minutely", "{\"schedule\":{\"every\":\"1h\"}," HOOK "}");
    begin_again_with(m);
    CHECK_INT(10, count(RUN_MISSED)); // an edit gives up what has not started
    CHECK_INT(0, order_count);
    end_world();
}

TEST(a_delete_right_after_an_outage_leaves_no_occurrence_without_a_record)
{
    begin();
    begin_again_with(message_new(MESSAGE_DELETE_TASK));
    CHECK_INT(10, count(RUN_MISSED)); // an edit gives up what has not started
    end_world();
}

TEST(a_pause_right_after_an_outage_skips_what_would_have_caught_up)
{
    begin();
    begin_again_with(message_new(MESSAGE_PAUSE));
    CHECK_INT(9, count(RUN_MISSED));
    CHECK_INT(1, count(RUN_SKIPPED));
    CHECK_INT(0, order_count);
    end_world();
}

TEST(after_an_outage_the_latest_runs_and_the_others_are_missed)
{
    begin();
    put("minutely", "{\"schedule\":{\"every\":\"1m\"}," HOOK "}");
    pass_until((wall){T0 + 30 * SECOND});
    stop();
    now.us = T0 + 10 * MINUTE + 30 * SECOND;
    start();
    pass_until(now);
    CHECK_INT(1, order_count);
    CHECK_INT(T0 + 10 * MINUTE, orders[0]->scheduled_for.us);
    CHECK_INT(9, count(RUN_MISSED));
    report(ATTEMPT_SUCCEEDED);
    pass_until((wall){T0 + 11 * MINUTE});
    CHECK_INT(1, order_count);
    CHECK_INT(T0 + 11 * MINUTE, orders[0]->scheduled_for.us);
    end_world();
}

TEST(a_long_outage_is_worked_off_in_bounded_turns)
{
    begin();
    put("each-second", "{\"schedule\":{\"every\":\"1s\"}," HOOK "}");
    stop();
    now.us = T0 + 5000 * SECOND;
    start();
    pass_until(wall_plus(now, 500 * MILLISECOND));
    CHECK_INT(4998, count(RUN_MISSED));
    CHECK_INT(2, order_count); // the latest of the outage, and the one of the instant of the start
    end_world();
}

TEST(an_attempt_under_way_when_the_server_dies_is_lost_and_counts)
{
    begin();
    run_id run =
        ask(NULL, "{" HOOK ",\"retry\":{\"max_attempts\":2,\"initial\":\"1s\"}}", WALL_NONE);
    CHECK_INT(1, order_count);
    stop();
    start();
    CHECK_INT(RUN_WAITING, state_of(run));
    turn(NULL);
    CHECK_INT(1, lost_count); // it leaves with the first turn, for the log
    turn(NULL);
    CHECK_INT(1, lost_count);
    pass_until(wall_plus(now, 2 * SECOND));
    CHECK_INT(1, order_count);
    CHECK_INT(2, orders[0]->number);
    stop();
    start();
    CHECK_INT(RUN_FAILED, state_of(run));
    end_world();
}

TEST(a_slow_endpoint_delays_only_its_own_runs)
{
    begin();
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

TEST(nothing_of_a_paused_task_starts_and_its_occurrences_are_skipped_with_the_reason)
{
    begin();
    put("minutely", "{\"schedule\":{\"every\":\"1m\"}," HOOK "}");
    run_id asked = ask("minutely", NULL, wall_plus(now, 90 * SECOND));
    tell(MESSAGE_PAUSE, "minutely");
    pass_until(wall_plus(now, 3 * MINUTE + SECOND));
    CHECK_INT(0, order_count);
    CHECK_INT(3, count(RUN_SKIPPED));
    tell(MESSAGE_RESUME, "minutely");
    turn(NULL);
    CHECK_INT(1, order_count); // what was asked for and held
    CHECK_INT(asked.value, orders[0]->run.value);
    report(ATTEMPT_SUCCEEDED);
    pass_until((wall){T0 + 4 * MINUTE});
    CHECK_INT(1, order_count);
    end_world();
}

TEST(an_edit_of_the_schedule_moves_the_cursor_to_now)
{
    begin();
    put("job", "{\"schedule\":{\"every\":\"1h\"}," HOOK "}");
    pass_until((wall){T0 + 30 * MINUTE});
    put("job", "{\"schedule\":{\"every\":\"45m\"}," HOOK "}");
    pass_until((wall){T0 + 44 * MINUTE});
    CHECK_INT(0, order_count);
    pass_until((wall){T0 + 60 * MINUTE});
    CHECK_INT(1, order_count); // at 45, and not at 60
    CHECK_INT(T0 + 45 * MINUTE, orders[0]->scheduled_for.us);
    end_world();
}

TEST(an_edit_of_something_else_leaves_the_occurrences_alone)
{
    begin();
    put("job", "{\"schedule\":{\"every\":\"1h\"}," HOOK "}");
    put("job", "{\"schedule\":{\"every\":\"1h\"},\"timeout\":\"7s\"," HOOK "}");
    put("job",
        "{\"schedule\":{\"every\":\"1h\"},\"timeout\":\"7s\"," HOOK "}"); // the same: no revision
    pass_until((wall){T0 + HOUR});
    CHECK_INT(1, order_count);
    CHECK_INT(7 * SECOND, orders[0]->task->timeout_us);
    struct task_record record;
    CHECK_INT(STATUS_OK, store_find_task(store, "job", &record));
    CHECK_INT(2, record.revision);
    CHECK_INT(1, record.generation);
    task_record_done(&record);
    end_world();
}

TEST(a_deleted_task_fires_no_more_and_its_pending_runs_are_canceled)
{
    begin();
    put("job", "{\"schedule\":{\"every\":\"1m\"}," HOOK ",\"retry\":{\"initial\":\"1s\"}}");
    run_id pending = ask("job", NULL, wall_plus(now, HOUR));
    run_id running = ask("job", NULL, WALL_NONE);
    struct message *m = message_new(MESSAGE_DELETE_TASK);
    m->name = memory_text("job");
    turn(m);
    CHECK_INT(STATUS_OK, m->reply.status);
    char id[RUN_ID_TEXT];
    run_id_format(running, id);
    CHECK_HAS(id, m->reply.body.data); // what had started is listed
    message_free(m);
    CHECK_INT(RUN_CANCELED, state_of(pending));
    report(ATTEMPT_FAILED);
    CHECK_INT(RUN_FAILED, state_of(running)); // no further attempt
    pass_until(wall_plus(now, HOUR));
    CHECK_INT(0, order_count);
    end_world();
}

TEST(very_many_pending_runs_are_canceled_turn_by_turn_and_none_of_them_starts)
{
    begin();
    put("job", "{" HOOK "}");
    for (int i = 0; i < 1200; i++)
        ask("job", NULL, wall_plus(now, SECOND));
    tell(MESSAGE_DELETE_TASK, "job");
    CHECK_INT(500, count(RUN_CANCELED));
    CHECK_INT(now.us, scheduler_next_turn(scheduler, now).us); // it goes on at once
    put("job", "{" HOOK "}");                                  // the same name again
    run_id later = ask("job", NULL, wall_plus(now, HOUR));
    stop();
    now = wall_plus(now, 2 * SECOND); // they are due by now
    start();
    pass_until(wall_plus(now, MINUTE));
    CHECK_INT(0, order_count);
    CHECK_INT(1200, count(RUN_CANCELED));
    CHECK_INT(RUN_SCHEDULED, state_of(later));
    pass_until(wall_plus(now, HOUR));
    CHECK_INT(1, order_count); // the one that is not meant
    end_world();
}

TEST(a_canceled_run_that_is_under_way_is_aborted_and_stays_canceled)
{
    begin();
    run_id run = ask(NULL, "{" HOOK "}", WALL_NONE);
    struct message *m = message_new(MESSAGE_CANCEL_RUN);
    m->run = run;
    turn(m);
    CHECK_INT(STATUS_OK, m->reply.status);
    CHECK_INT(1, abort_count);
    message_free(m);
    report(ATTEMPT_SUCCEEDED); // the abort came too late
    CHECK_INT(RUN_CANCELED, state_of(run));
    m = message_new(MESSAGE_CANCEL_RUN);
    m->run = run;
    turn(m);
    CHECK_INT(STATUS_CONFLICT, m->reply.status);
    message_free(m);
    end_world();
}

TEST(one_idempotency_key_makes_one_run)
{
    begin();
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
    begin();
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

TEST(a_dry_run_of_a_set_changes_nothing)
{
    begin();
    put("kept", "{\"schedule\":{\"every\":\"1h\"}," HOOK "}");
    put("extra", "{\"schedule\":{\"every\":\"1h\"}," HOOK "}");
    for (int dry = 1; dry >= 0; dry--) {
        struct message *m = message_new(MESSAGE_APPLY);
        m->set.tasks = memory_array(2, sizeof *m->set.tasks);
        m->set.count = 2;
        m->set.tasks[0] = definition("kept", "{\"schedule\":{\"every\":\"2h\"}," HOOK "}");
        m->set.tasks[1] = definition("new", "{\"schedule\":{\"every\":\"2h\"}," HOOK "}");
        m->dry_run = dry;
        m->prune = true;
        turn(m);
        CHECK_INT(STATUS_OK, m->reply.status);
        CHECK_HAS("\"unchanged\":0,\"created\":1,\"changed\":1,\"removed\":1", m->reply.body.data);
        message_free(m);
        struct task_record record;
        CHECK_INT(dry ? STATUS_NOT_FOUND : STATUS_OK, store_find_task(store, "new", &record));
        if (!dry)
            task_record_done(&record);
        CHECK_INT(STATUS_OK, store_find_task(store, "extra", &record));
        CHECK_INT(!dry, record.deleted);
        task_record_done(&record);
    }
    end_world();
}

TEST(a_rollback_makes_an_earlier_revision_the_newest)
{
    begin();
    put("job", "{\"schedule\":{\"every\":\"1h\"},\"timeout\":\"1s\"," HOOK "}");
    put("job", "{\"schedule\":{\"every\":\"1h\"},\"timeout\":\"2s\"," HOOK "}");
    struct message *m = message_new(MESSAGE_ROLLBACK);
    m->name = memory_text("job");
    turn(m);
    CHECK_INT(STATUS_OK, m->reply.status);
    CHECK_INT(3, m->reply.revision);
    CHECK_HAS("\"timeout\":\"1s\"", m->reply.body.data);
    message_free(m);
    end_world();
}

TEST(a_schedule_that_has_passed_makes_no_run)
{
    begin();
    put("once", "{\"schedule\":{\"at\":\"2025-12-31T00:00:00Z\"}," HOOK "}");
    put("soon", "{\"schedule\":{\"at\":\"2026-01-01T00:01:00Z\"}," HOOK "}");
    pass_until((wall){T0 + DAY});
    CHECK_INT(1, order_count);
    CHECK_INT(T0 + MINUTE, orders[0]->scheduled_for.us);
    end_world();
}

TEST(while_stopping_nothing_new_starts)
{
    begin();
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

TEST(an_attempt_of_a_canceled_run_is_on_record_though_the_server_dies_before_its_report)
{
    begin();
    char error[100];
    run_id run = ask(NULL, "{" HOOK "}", WALL_NONE);
    cancel(run);
    stop();
    start();
    CHECK_INT(RUN_CANCELED, state_of(run));
    CHECK_INT(ATTEMPT_CANCELED, only_outcome(run, error, sizeof error));
    CHECK_TEXT("canceled while it was under way", error);
    end_world();
}

TEST(the_report_of_a_canceled_attempt_says_what_really_came_of_it)
{
    begin();
    char error[100];
    run_id run = ask(NULL, "{" HOOK "}", WALL_NONE);
    cancel(run);
    report(ATTEMPT_SUCCEEDED);
    CHECK_INT(RUN_CANCELED, state_of(run));
    CHECK_INT(ATTEMPT_SUCCEEDED, only_outcome(run, error, sizeof error));
    CHECK_TEXT("", error);
    end_world();
}

TEST(runs_that_wait_follow_their_task_to_its_new_endpoint_and_its_limit)
{
    begin();
    put("job", "{" HOOK "}");
    for (int i = 0; i < 50; i++)
        ask("job", NULL, WALL_NONE);
    CHECK_INT(10, order_count);
    put("job", "{" OTHER "}");
    for (int i = 0; i < 10; i++)
        report(ATTEMPT_SUCCEEDED);
    pass_until(wall_plus(now, SECOND));
    CHECK_INT(10, order_count); // all to the new endpoint
    for (int i = 0; i < 40; i++)
        report(ATTEMPT_SUCCEEDED);
    CHECK_INT(50, count(RUN_SUCCEEDED));
    end_world();
}

TEST(an_occurrence_claimed_before_an_edit_is_not_made_again_by_it)
{
    begin();
    put("job", "{\"schedule\":{\"every\":\"1m\"}," HOOK "}");
    pass_until((wall){T0 + MINUTE - 10 * MILLISECOND});
    CHECK_INT(1, order_count); // claimed, to be sent at the minute
    put("job", "{\"schedule\":{\"every\":\"30s\"}," HOOK "}");
    pass_until((wall){T0 + MINUTE + SECOND});
    CHECK_INT(1, order_count);
    report(ATTEMPT_SUCCEEDED);
    pass_until((wall){T0 + MINUTE + 30 * SECOND});
    CHECK_INT(1, order_count);
    CHECK_INT(T0 + MINUTE + 30 * SECOND, orders[0]->scheduled_for.us);
    end_world();
}

#define SPRING \
    (T0 + 87 * DAY + HOUR) // 2026-03-29T01:00:00Z: 02:00 to 03:00 are not there in Berlin

TEST(a_time_that_is_skipped_in_a_gap_takes_no_other_schedules_occurrence_with_it)
{
    begin();
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

TEST(after_an_outage_only_the_latest_of_all_a_tasks_schedules_runs)
{
    begin();
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

TEST(after_an_outage_the_latest_that_is_not_skipped_runs)
{
    begin();
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

static void check_held(const char *line)
{
    struct message *m = message_new(MESSAGE_METRICS);
    turn(m);
    CHECK_HAS(line, m->reply.body.data);
    message_free(m);
}

TEST(what_is_held_in_memory_is_not_loaded_again)
{
    begin();
    turn(NULL);
    for (int i = 0; i < 5; i++)
        ask(NULL, "{" HOOK "}", (wall){T0 + 55 * SECOND});
    check_held("punctual_due_held 5\n");
    pass_until((wall){T0 + 40 * SECOND}); // the next stretch has been loaded
    check_held("punctual_due_held 5\n");
    end_world();
}

TESTS_MAIN
