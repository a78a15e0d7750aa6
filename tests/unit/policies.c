// Overlap, deadlines and at_most_once, over a real store and with a clock of the test's own.
#include "scheduling.h"

// --- deadline ---

TEST(a_run_that_has_not_started_by_its_deadline_is_missed_wherever_it_waits)
{
    begin_world();
    options.lane_limit = 1;
    outage(0);
    put_webhook("job", "\"deadline\":\"10s\"");
    run_id first = ask("job", NULL, WALL_NONE), in_lane = ask("job", NULL, WALL_NONE);
    put_webhook("paused", "\"deadline\":\"20s\"");
    run_id held = ask("paused", NULL, wall_plus(now, 5 * SECOND));
    tell(MESSAGE_PAUSE, "paused");
    pass(10 * SECOND);
    CHECK_INT(RUN_SCHEDULED, state_of(in_lane));
    pass(1);
    CHECK_INT(RUN_MISSED, state_of(in_lane));
    CHECK(has_reason(in_lane, "deadline, 2026-01-01T00:00:10.000Z"));
    CHECK_INT(RUN_RUNNING, state_of(first));
    pass_until((wall){T0 + 25 * SECOND});
    CHECK_INT(RUN_SCHEDULED, state_of(held));
    pass(1);
    CHECK_INT(RUN_MISSED, state_of(held));
    run_id later = ask("job", NULL, wall_plus(now, MINUTE));
    outage(MINUTE + 10 * SECOND);
    pass(0);
    CHECK_INT(RUN_RUNNING, state_of(later)); // just in time
    later = ask("job", NULL, wall_plus(now, MINUTE));
    outage(MINUTE + 10 * SECOND + 1);
    pass(0);
    CHECK_INT(RUN_MISSED, state_of(later));
    end_world();
}

TEST(between_two_attempts_a_deadline_means_nothing)
{
    begin_world();
    put_webhook("job", "\"deadline\":\"1s\",\"retry\":{\"initial\":\"1m\"}");
    run_id run = ask("job", NULL, WALL_NONE);
    report(ATTEMPT_FAILED);
    pass(2 * MINUTE);
    CHECK_INT(1, order_count);
    report(ATTEMPT_SUCCEEDED);
    CHECK_INT(RUN_SUCCEEDED, state_of(run));
    end_world();
}

TEST(what_catches_up_keeps_its_deadline)
{
    begin_world();
    put_webhook("minutely", "\"schedule\":{\"every\":\"1m\"},\"deadline\":\"2m\","
                            "\"catch_up\":{\"policy\":\"all\"}");
    pass(SECOND);
    outage(10 * MINUTE);
    pass(SECOND);
    CHECK_INT(2, order_count); // 9 and 10
    CHECK_INT(8, count(RUN_MISSED));
    end_world();
}

TEST(many_deadlines_pass_in_bounded_turns)
{
    begin_world();
    put_webhook("job", "\"deadline\":\"1s\"");
    for (int i = 0; i < 1200; i++)
        ask("job", NULL, wall_plus(now, MINUTE));
    outage(HOUR);
    turn(NULL);
    CHECK(count(RUN_MISSED) >= 500);
    pass(1);
    CHECK_INT(1200, count(RUN_MISSED));
    CHECK_INT(0, order_count);
    end_world();
}

// --- delivery ---

TEST(at_most_once_a_lost_attempt_is_the_last_and_its_outcome_unknown)
{
    begin_world();
    put_webhook("job", "\"delivery\":\"at_most_once\"");
    run_id lost = ask("job", NULL, WALL_NONE);
    outage(SECOND);
    CHECK_INT(RUN_FAILED, state_of(lost));
    CHECK(has_reason(lost, "the outcome is unknown"));
    run_id run = ask("job", NULL, WALL_NONE);
    report(ATTEMPT_UNREACHABLE);
    CHECK_INT(RUN_WAITING, state_of(run));
    pass(MINUTE);
    report(ATTEMPT_TIMED_OUT);
    CHECK_INT(RUN_FAILED, state_of(run));
    pass(HOUR);
    CHECK_INT(0, order_count);
    end_world();
}

// --- overlap ---

TEST(with_skip_a_run_whose_task_has_a_live_one_is_skipped_and_names_it)
{
    begin_world();
    put_webhook("job", "\"overlap\":\"skip\",\"retry\":{\"initial\":\"10m\",\"max\":\"10m\"}");
    run_id live = ask("job", NULL, WALL_NONE), beside = ask("job", NULL, WALL_NONE);
    char id[RUN_ID_TEXT];
    run_id_format(live, id);
    CHECK_INT(RUN_SKIPPED, state_of(beside));
    CHECK(has_reason(beside, id));
    run_id later = ask("job", NULL, wall_plus(now, MINUTE)); // judged at its time
    CHECK_INT(RUN_SCHEDULED, state_of(later));
    report(ATTEMPT_FAILED);
    CHECK_INT(RUN_WAITING, state_of(live));
    pass(MINUTE);
    CHECK_INT(RUN_SKIPPED, state_of(later)); // between attempts it is live as well
    outage(SECOND);
    CHECK_INT(RUN_SKIPPED, state_of(ask("job", NULL, WALL_NONE)));
    pass(10 * MINUTE);
    report(ATTEMPT_SUCCEEDED);
    CHECK_INT(RUN_RUNNING, state_of(ask("job", NULL, WALL_NONE)));
    end_world();
}

TEST(of_several_runs_due_in_one_turn_one_starts)
{
    begin_world();
    put_webhook("job", "\"overlap\":\"skip\"");
    for (int i = 0; i < 5; i++)
        ask("job", NULL, wall_plus(now, MINUTE));
    pass(2 * MINUTE);
    CHECK_INT(1, order_count);
    CHECK_INT(4, count(RUN_SKIPPED));
    end_world();
}

TEST(what_is_claimed_ahead_of_its_time_is_judged_at_its_time)
{
    begin_world();
    put_webhook("secondly", "\"schedule\":{\"every\":\"1s\"},\"overlap\":\"skip\"");
    pass(SECOND);
    CHECK_INT(1, order_count);
    now.us = T0 + 2 * SECOND - 10 * MILLISECOND;
    turn(NULL);
    CHECK_INT(0, count(RUN_SKIPPED));
    now.us = T0 + 2 * SECOND - 5 * MILLISECOND;
    report(ATTEMPT_SUCCEEDED);
    pass_until((wall){T0 + 2 * SECOND});
    CHECK_INT(1, order_count);
    CHECK_INT(0, count(RUN_SKIPPED));
    pass_until((wall){T0 + 3 * SECOND});
    CHECK_INT(1, order_count);
    CHECK_INT(1, count(RUN_SKIPPED));
    end_world();
}

TEST(with_queue_runs_go_one_after_the_other_by_due_time)
{
    begin_world();
    put_webhook("job", "\"overlap\":\"queue\",\"retry\":{\"initial\":\"1m\",\"max\":\"1m\"}");
    run_id third = ask("job", NULL, wall_plus(now, 3 * SECOND));
    run_id second = ask("job", NULL, wall_plus(now, 2 * SECOND));
    run_id first = ask("job", NULL, wall_plus(now, SECOND));
    run_id fourth = ask("job", NULL, wall_plus(now, 4 * SECOND));
    pass(10 * SECOND);
    CHECK_INT(1, order_count);
    CHECK_INT(first.value, orders[0]->run.value);
    report(ATTEMPT_FAILED); // still live
    pass(10 * SECOND);
    CHECK_INT(0, order_count);
    pass(MINUTE);
    CHECK_INT(first.value, orders[0]->run.value);
    report(ATTEMPT_SUCCEEDED);
    CHECK_INT(1, order_count);
    CHECK_INT(second.value, orders[0]->run.value);
    cancel(third);  // while it waits
    cancel(second); // its attempt has not ended yet
    CHECK_INT(1, order_count);
    report(ATTEMPT_CANCELED);
    CHECK_INT(1, order_count);
    CHECK_INT(fourth.value, orders[0]->run.value);
    end_world();
}

TEST(a_queue_outlives_a_restart_and_a_pause)
{
    begin_world();
    put_webhook("job", "\"overlap\":\"queue\",\"retry\":{\"initial\":\"1m\",\"max\":\"1m\"}");
    run_id first = ask("job", NULL, WALL_NONE);
    for (int i = 0; i < 3; i++)
        ask("job", NULL, WALL_NONE);
    outage(SECOND); // the first one's attempt is lost: it is tried again before the others
    pass(10 * SECOND);
    CHECK_INT(0, order_count);
    pass(2 * MINUTE);
    CHECK_INT(1, order_count);
    CHECK_INT(first.value, orders[0]->run.value);
    tell(MESSAGE_PAUSE, "job");
    report(ATTEMPT_SUCCEEDED);
    CHECK_INT(0, order_count);
    tell(MESSAGE_RESUME, "job");
    for (int i = 0; i < 3; i++) {
        pass(SECOND);
        CHECK_INT(1, order_count);
        report(ATTEMPT_SUCCEEDED);
    }
    CHECK_INT(4, count(RUN_SUCCEEDED));
    end_world();
}

TEST(an_edit_from_queue_to_allow_lets_those_go_that_waited)
{
    begin_world();
    put_webhook("job", "\"overlap\":\"queue\"");
    for (int i = 0; i < 4; i++)
        ask("job", NULL, WALL_NONE);
    CHECK_INT(1, order_count);
    put_webhook("job", "");
    pass(0);
    CHECK_INT(4, order_count);
    end_world();
}

TEST(with_replace_the_live_run_is_canceled_and_the_new_one_starts_when_it_has_ended)
{
    begin_world();
    put_webhook("job", "\"overlap\":\"replace\",\"retry\":{\"initial\":\"10m\",\"max\":\"10m\"}");
    run_id old = ask("job", NULL, WALL_NONE), new = ask("job", NULL, WALL_NONE);
    char id[RUN_ID_TEXT];
    run_id_format(new, id);
    CHECK_INT(RUN_CANCELED, state_of(old));
    CHECK(has_reason(old, id));
    CHECK_INT(1, abort_count);
    CHECK_INT(1, order_count); // the old one's attempt has not ended
    run_id newest = ask("job", NULL, WALL_NONE);
    CHECK_INT(RUN_CANCELED, state_of(new));
    CHECK_INT(1, abort_count);
    report(ATTEMPT_CANCELED);
    CHECK_INT(1, order_count);
    CHECK_INT(newest.value, orders[0]->run.value);
    report(ATTEMPT_FAILED); // between attempts
    run_id last = ask("job", NULL, WALL_NONE);
    CHECK_INT(RUN_CANCELED, state_of(newest));
    CHECK_INT(RUN_RUNNING, state_of(last));
    end_world();
}

TEST(a_restart_while_one_run_replaces_another_starts_the_new_one)
{
    begin_world();
    put_webhook("job", "\"overlap\":\"replace\"");
    run_id old = ask("job", NULL, WALL_NONE), new = ask("job", NULL, WALL_NONE);
    outage(SECOND);
    pass(0);
    CHECK_INT(RUN_CANCELED, state_of(old));
    CHECK_INT(1, order_count);
    CHECK_INT(new.value, orders[0]->run.value);
    end_world();
}

// Whatever happens, at most one attempt of each task is under way.
static void check_overlap(void)
{
    for (size_t i = 0; i < order_count; i++)
        for (size_t k = i + 1; k < order_count; k++)
            CHECK(strcmp(orders[i]->task->name, orders[k]->task->name) != 0);
}

static void something_happens(struct random *chance)
{
    static const char *const names[] = {"skip", "queue", "replace"};
    const char *name = names[random_below(chance, 3)];
    int what = (int)random_below(chance, 100);
    if (what < 35)
        pass(random_below(chance, 3 * SECOND));
    else if (what < 60 && order_count)
        report_as((size_t)random_below(chance, (int64_t)order_count),
                  random_below(chance, 3) ? ATTEMPT_SUCCEEDED : ATTEMPT_FAILED, -1);
    else if (what < 80)
        ask(name, NULL,
            random_below(chance, 2) ? wall_plus(now, random_below(chance, 5 * SECOND)) : WALL_NONE);
    else if (what < 90 && order_count && state_of(orders[0]->run) == RUN_RUNNING)
        cancel(orders[0]->run);
    else if (what < 95)
        outage(random_below(chance, 5 * SECOND));
    else if (what < 98) {
        tell(MESSAGE_PAUSE, name);
        pass(random_below(chance, 3 * SECOND));
        tell(MESSAGE_RESUME, name);
    }
}

TEST(overlap_holds_at_every_instant_and_every_run_comes_to_its_end)
{
    for (uint64_t seed = 1; seed <= 8; seed++) {
        struct random chance;
        begin_random_world(seed, &chance);
        put_webhook("skip", "\"schedule\":{\"every\":\"2s\"},\"overlap\":\"skip\","
                            "\"retry\":{\"initial\":\"1s\"},\"catch_up\":{\"policy\":\"all\"}");
        put_webhook("queue", "\"schedule\":{\"every\":\"3s\"},\"overlap\":\"queue\","
                             "\"retry\":{\"initial\":\"1s\"},\"catch_up\":{\"policy\":\"all\"}");
        put_webhook("replace", "\"schedule\":{\"every\":\"3s\"},\"overlap\":\"replace\","
                               "\"retry\":{\"initial\":\"1s\"}");
        for (int i = 0; i < 150; i++) {
            something_happens(&chance);
            check_overlap();
        }
        tell(MESSAGE_DELETE_TASK, "skip");
        tell(MESSAGE_DELETE_TASK, "replace");
        put_webhook("queue", "\"overlap\":\"queue\"");
        for (int i = 0; i < 2000 && (order_count || count(RUN_SCHEDULED) || count(RUN_WAITING));
             i++) {
            check_overlap();
            if (order_count)
                report(ATTEMPT_SUCCEEDED);
            else
                pass(SECOND);
        }
        CHECK_INT(0, count(RUN_SCHEDULED) + count(RUN_WAITING) + count(RUN_RUNNING));
        end_world();
    }
}

TESTS_MAIN
