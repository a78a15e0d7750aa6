// A scheduler whose clock stands still: what it would have the clock wait for.
#include "workers_world.h"

static steady real; // what goes on while `now` stands still

static void begin_still_world(void)
{
    struct scheduler_options still = scheduler_defaults;
    still.claim_ahead_us = 0;
    begin_world_with(&still);
    real = (steady){SECOND};
    scheduler_waits(scheduler, real);
}

static void pass_real(int64_t us)
{
    real = steady_plus(real, us);
    scheduler_waits(scheduler, real);
    turn(NULL);
}

static bool is_busy(void)
{
    return scheduler_is_busy(scheduler, now, false);
}

static struct under_way the_one_under_way(void)
{
    struct under_way one = {0};
    CHECK_INT(1, scheduler_under_way(scheduler, &one, 1));
    return one;
}

TEST(an_attempt_is_waited_for_until_it_is_reported)
{
    begin_still_world();
    CHECK(!is_busy());
    run_id run = ask(NULL, "{" HOOK "}", WALL_NONE);
    settle();
    CHECK(is_busy());
    CHECK(scheduler_is_busy(scheduler, now, true));
    CHECK_INT(run.value, the_one_under_way().run.value);
    CHECK_TEXT("endpoint", the_one_under_way().with);
    CHECK(!the_one_under_way().task);
    CHECK_INT(0, scheduler_ended(scheduler));
    report(ATTEMPT_SUCCEEDED);
    CHECK(!is_busy());
    CHECK_INT(1, scheduler_ended(scheduler));
    end_world();
}

TEST(nothing_is_claimed_before_its_moment)
{
    begin_still_world();
    ask(NULL, "{" HOOK "}", wall_plus(now, MILLISECOND));
    settle();
    CHECK_INT(0, order_count);
    CHECK_INT(now.us + MILLISECOND, scheduler_next_turn(scheduler, now).us);
    pass(MILLISECOND);
    CHECK_INT(1, order_count);
    CHECK_INT(now.us, claimed[0].us);
    report_all(ATTEMPT_SUCCEEDED);
    end_world();
}

TEST(a_lease_is_waited_for_unless_it_may_run_out)
{
    begin_still_world();
    mail();
    CHECK(take(NULL));
    CHECK(is_busy());
    CHECK(!scheduler_is_busy(scheduler, now, true));
    CHECK_TEXT("worker", the_one_under_way().with);
    pass_real(MINUTE); // nothing to a lease, which lasts by the clock that stands still
    CHECK(is_busy());
    pass(30 * SECOND);
    CHECK(!is_busy());
    end_world();
}

TEST(a_worker_waits_in_real_time)
{
    begin_still_world();
    struct message *m = poll_for("emails", 1, 10 * SECOND, 30 * SECOND);
    pass(DAY);
    CHECK_INT(0, m->reply.body.size);
    CHECK_INT(real.us + 10 * SECOND, scheduler_next_wait(scheduler).us);
    pass_real(10 * SECOND - 1);
    CHECK_INT(0, m->reply.body.size);
    pass_real(1);
    CHECK_TEXT("{\"runs\":[]}", m->reply.body.data);
    CHECK_INT(INT64_MAX, scheduler_next_wait(scheduler).us);
    message_free(m);
    end_world();
}

TEST(a_worker_that_was_here_a_moment_ago_is_waited_for_where_there_is_work_for_it)
{
    begin_still_world();
    run_id run;
    mail();
    int64_t fence = take(&run);
    say(WORD_COMPLETE, run, fence, FINE);
    CHECK(!is_busy()); // nothing to do for it
    mail();
    CHECK(is_busy());
    CHECK_INT(0, scheduler_under_way(scheduler, NULL, 0));
    pass_real(2 * SECOND);
    CHECK(is_busy());
    pass_real(1);
    CHECK(!is_busy()); // it has gone
    end_world();
}

TEST(a_queue_whose_worker_never_came_is_not_waited_for)
{
    begin_still_world();
    mail();
    CHECK(!is_busy());
    end_world();
}

TESTS_MAIN
