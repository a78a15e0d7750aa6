// What an edit, a pause, a delete or a whole set of tasks does to what was to come.
#include "scheduling.h"

TEST(nothing_of_a_paused_task_starts_and_its_occurrences_are_skipped_with_the_reason)
{
    begin_narrow_world();
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

TEST(what_came_due_in_a_pause_is_skipped_though_no_turn_came_before_its_end)
{
    begin_narrow_world();
    put("minutely", "{\"schedule\":{\"every\":\"1m\"}," HOOK "}");
    pass_until((wall){T0 + 30 * SECOND});
    tell(MESSAGE_PAUSE, "minutely");
    now = (wall){T0 + MINUTE + SECOND}; // the machine stood still
    tell(MESSAGE_RESUME, "minutely");
    settle();
    CHECK_INT(0, order_count);
    CHECK_INT(1, count(RUN_SKIPPED));
    pass_until((wall){T0 + 2 * MINUTE});
    CHECK_INT(1, order_count);
    end_world();
}

TEST(an_edit_of_the_schedule_moves_the_cursor_to_now)
{
    begin_narrow_world();
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
    begin_narrow_world();
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
    begin_narrow_world();
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
    begin_narrow_world();
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

TEST(a_dry_run_of_a_set_changes_nothing)
{
    begin_narrow_world();
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
    begin_narrow_world();
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

TEST(runs_that_wait_follow_their_task_to_its_new_endpoint_and_its_limit)
{
    begin_narrow_world();
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
    begin_narrow_world();
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

TESTS_MAIN
