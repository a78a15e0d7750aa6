// Tasks that leave their queue while something of them is under way or held back, and limits that
// queues without workers share with others.
#include "workers_world.h"

#define WEB "{\"http\":{\"url\":\"http://127.0.0.1:9/x\"}"
#define KEY ",\"rate_limit\":{\"limit\":1,\"per\":\"10s\",\"key\":\"k\"}"

TEST(what_is_given_back_after_its_task_has_left_the_queue_goes_where_the_task_went)
{
    begin_world();
    put("job", MAIL "}");
    run_id run = ask("job", NULL, WALL_NONE);
    int64_t fence = take(NULL);
    put("job", WEB "}");
    CHECK_INT(0, order_count);
    say(WORD_RELEASE, run, fence, FINE);
    settle();
    CHECK_INT(1, order_count);
    CHECK_INT(run.value, orders[0]->run.value);
    end_world();
}

TEST(what_is_tried_again_after_its_task_has_left_the_queue_goes_where_the_task_went)
{
    for (int fails = 0; fails < 2; fails++) {
        begin_world();
        put("job", MAIL "}");
        run_id run = ask("job", NULL, WALL_NONE);
        int64_t fence = take(NULL);
        put("job", WEB "}");
        if (fails) {
            say(WORD_FAIL, run, fence, FINE);
            outage(0); // the store knows it, too
        }
        pass(MINUTE); // the lease is for half a minute, and a wait for ten seconds
        CHECK_INT(1, order_count);
        CHECK_INT(2, orders[0]->number);
        end_world();
    }
}

TEST(what_waits_for_another_run_leaves_the_queue_with_its_task)
{
    begin_world();
    put("job", MAIL ",\"overlap\":\"queue\"}");
    run_id run = ask("job", NULL, WALL_NONE);
    int64_t fence = take(NULL);
    for (int i = 0; i < 3; i++)
        ask("job", NULL, WALL_NONE);
    CHECK_INT(0, take(NULL)); // they are held now
    put("job", WEB ",\"overlap\":\"queue\"}");
    say(WORD_COMPLETE, run, fence, FINE);
    for (size_t i = 1; i <= 3; i++) {
        settle();
        CHECK_INT(i, start_count);
        report(ATTEMPT_SUCCEEDED);
    }
    end_world();
}

TEST(what_a_limit_has_let_go_leaves_the_queue_with_its_task)
{
    begin_world();
    put("job", MAIL ",\"max_running\":1}");
    run_id run = ask("job", NULL, WALL_NONE);
    int64_t fence = take(NULL);
    run_id next = ask("job", NULL, WALL_NONE);
    CHECK_INT(0, take(NULL));
    say(WORD_COMPLETE, run, fence, FINE);
    settle(); // it is in the queue again, and has the one place
    put("job", WEB ",\"max_running\":1}");
    settle();
    cancel(next);
    settle();
    report_all(ATTEMPT_CANCELED);
    ask("job", NULL, WALL_NONE);
    settle();
    CHECK_INT(1, order_count);
    end_world();
}

TEST(a_place_that_a_canceled_run_has_in_a_queue_stays_behind_when_its_task_leaves)
{
    begin_world();
    put("job", MAIL ",\"max_running\":1}");
    run_id run = ask("job", NULL, WALL_NONE);
    int64_t fence = take(NULL);
    run_id next = ask("job", NULL, WALL_NONE);
    CHECK_INT(0, take(NULL));
    say(WORD_COMPLETE, run, fence, FINE);
    settle();
    cancel(next);
    ask("job", NULL, wall_plus(now, SECOND));
    ask("job", NULL, wall_plus(now, SECOND));
    put("job", WEB ",\"max_running\":1}");
    for (int i = 1; i <= 2; i++) {
        pass(SECOND);
        CHECK_INT(i, start_count);
        report(ATTEMPT_SUCCEEDED);
    }
    end_world();
}

TEST(what_a_rate_lets_go_to_a_queue_without_workers_holds_up_nobody_else)
{
    begin_world();
    put("mail", MAIL KEY "}");
    put("web", WEB KEY "}");
    ask("mail", NULL, WALL_NONE);
    ask("mail", NULL, WALL_NONE);
    CHECK(take(NULL));
    CHECK_INT(0, take(NULL)); // the second waits for the rate
    ask("web", NULL, WALL_NONE);
    settle();
    CHECK_INT(0, order_count);
    pass(10 * SECOND);
    CHECK_INT(1, order_count); // though the other one was first, and is in its queue
    CHECK_INT(0, take(NULL));
    pass(10 * SECOND);
    CHECK(take(NULL));
    end_world();
}

TEST(what_a_rate_lets_go_to_a_queue_is_judged_when_a_worker_comes)
{
    begin_world();
    put("mail", MAIL KEY "}");
    run_id first = ask("mail", NULL, WALL_NONE), second = ask("mail", NULL, WALL_NONE), got = {0};
    int64_t fence = take(NULL);
    CHECK_INT(0, take(NULL)); // the second waits for the rate
    put("mail", MAIL KEY ",\"overlap\":\"skip\"}");
    pass(20 * SECOND);
    say(WORD_COMPLETE, first, fence, FINE);
    CHECK(take(&got));
    CHECK_INT(second.value, got.value);
    end_world();
}

TEST(whoever_replaces_a_workers_run_has_its_place_at_once)
{
    begin_world();
    put("job", MAIL ",\"overlap\":\"replace\",\"max_running\":1}");
    run_id first = ask("job", NULL, WALL_NONE);
    CHECK(take(NULL));
    run_id second = ask("job", NULL, WALL_NONE), got = {0};
    CHECK(take(&got));
    CHECK_INT(second.value, got.value);
    CHECK_INT(RUN_CANCELED, look(first).state);
    end_world();
}

TESTS_MAIN
