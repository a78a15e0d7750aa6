// The rates that the configuration gives to queues, over a real store with a clock of the test's
// own.
#include "workers_world.h"

// Anew, with the rate that the configuration gives to `emails`.
static void limit_emails(struct queue_limit *limit, int most, int64_t per_us)
{
    *limit = (struct queue_limit){.name = "emails", .rate = {most, per_us}};
    stop();
    options.queues = limit;
    options.queue_count = 1;
    start();
}

static void step_the_clock(int64_t step_us)
{
    now.us += step_us;
    ahead_us += step_us;
    CHECK_INT(STATUS_OK, scheduler_clock_stepped(scheduler, now, step_us));
}

static int taken(int max)
{
    struct message *m = poll_for("emails", max, 0, DAY);
    int count = (int)m->lease_count;
    message_free(m);
    return count;
}

TEST(a_queue_starts_no_more_within_a_while_than_the_configuration_allows)
{
    struct queue_limit limit;
    begin_world();
    limit_emails(&limit, 2, MINUTE);
    for (int i = 0; i < 4; i++)
        mail();
    CHECK_INT(1, taken(1));
    pass(20 * SECOND);
    CHECK_INT(1, taken(10));
    struct message *m = poll_for("emails", 10, 50 * SECOND, HOUR);
    pass(40 * SECOND - 1);
    CHECK_INT(0, m->lease_count);
    pass(1); // answered the moment the first start has left the window
    CHECK_INT(1, m->lease_count);
    message_free(m);
    CHECK_INT(0, taken(10));
    pass(20 * SECOND);
    CHECK_INT(1, taken(10));
    end_world();
}

TEST(the_rate_of_a_queue_holds_over_a_restart_and_an_edit_counts_at_once)
{
    struct queue_limit limit;
    begin_world();
    limit_emails(&limit, 2, MINUTE);
    for (int i = 0; i < 6; i++)
        mail();
    CHECK_INT(2, taken(10));
    pass(10 * SECOND);
    limit_emails(&limit, 2, MINUTE);
    CHECK_INT(0, taken(10));
    limit_emails(&limit, 3, MINUTE);
    CHECK_INT(1, taken(10));
    limit_emails(&limit, 3, 5 * SECOND); // the first two count by the new rule
    CHECK_INT(2, taken(10));
    limit_emails(&limit, 0, 0);
    CHECK_INT(1, taken(10));
    end_world();
}

TEST(a_rate_of_a_queue_goes_on_as_if_the_clock_had_not_been_set)
{
    static const int64_t steps[] = {HOUR, -HOUR};
    for (int i = 0; i < 2; i++) {
        struct queue_limit limit;
        begin_world();
        limit_emails(&limit, 1, MINUTE);
        mail();
        mail();
        pass(2 * HOUR); // so that both are due by any clock
        CHECK_INT(1, taken(10));
        struct message *m = poll_for("emails", 10, 2 * MINUTE, HOUR);
        step_the_clock(steps[i]);
        pass(MINUTE - 1);
        CHECK_INT(0, m->lease_count);
        pass(1);
        CHECK_INT(1, m->lease_count);
        message_free(m);
        end_world();
    }
}

TEST(the_rates_of_a_queue_and_of_a_task_with_its_name_are_two)
{
    struct queue_limit limit;
    begin_world();
    limit_emails(&limit, 2, MINUTE);
    put("emails", MAIL ",\"rate_limit\":{\"limit\":1,\"per\":\"10s\"}}");
    for (int i = 0; i < 3; i++)
        ask("emails", NULL, WALL_NONE);
    CHECK_INT(1, taken(10));
    CHECK_INT(0, taken(10));
    pass(10 * SECOND);
    CHECK_INT(1, taken(10));
    pass(10 * SECOND);
    CHECK_INT(0, taken(10));
    pass(40 * SECOND);
    CHECK_INT(1, taken(10));
    end_world();
}

// --- at random, against a model that knows only when runs were handed out ---

#define STEPS 200
#define SEEDS 12

static int64_t handed[3 * STEPS]; // by the steady clock
static int handed_count, due_count;

static void take_some(const struct queue_limit *limit, int max)
{
    int64_t t = now.us - ahead_us;
    int room = limit->rate.limit;
    for (int i = 0; i < handed_count; i++)
        room -= handed[i] > t - limit->rate.per_us;
    int wanted = max < room ? max : room;
    wanted = wanted < due_count ? wanted : due_count;
    CHECK_INT(wanted, taken(max));
    due_count -= wanted;
    for (int i = 0; i < wanted; i++)
        handed[handed_count++] = t;
}

static void play(uint64_t seed)
{
    struct queue_limit limit;
    struct random chance;
    begin_random_world(seed, &chance);
    limit_emails(&limit, 1 + (int)random_below(&chance, 5), MINUTE);
    step_the_clock(2 * DAY); // so that what is due stays so when the clock is set back
    handed_count = due_count = 0;
    for (int i = 0; i < STEPS; i++) {
        int what = (int)random_below(&chance, 12);
        if (what < 4) {
            ask(NULL, MAIL "}", (wall){T0});
            due_count++;
        } else if (what < 8) {
            take_some(&limit, 1 + (int)random_below(&chance, 3));
        } else if (what < 10) {
            pass(random_below(&chance, 20 * SECOND));
        } else if (what < 11) {
            outage(random_below(&chance, 2) ? 0 : random_below(&chance, 30 * SECOND));
        } else {
            step_the_clock(random_below(&chance, 10 * MINUTE) - 5 * MINUTE);
        }
    }
    end_world();
}

TEST(whatever_happens_a_queue_hands_out_what_its_rate_allows_and_no_more)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        play(seed);
}

TESTS_MAIN
