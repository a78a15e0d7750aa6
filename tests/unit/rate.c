#include "scheduler/rate.h"

#include "base/random.h"
#include "test.h"

static wall at(int64_t ms)
{
    return (wall){SECOND * 1000000 + ms * MILLISECOND};
}

static struct rate_rule rule(int limit, int64_t per_ms)
{
    return (struct rate_rule){limit, per_ms * MILLISECOND};
}

TEST(as_many_as_the_limit_start_at_once_and_the_next_when_the_first_is_out_of_the_window)
{
    struct rate rate = {0};
    struct rate_rule three = rule(3, 1000);
    for (int i = 0; i < 3; i++) {
        CHECK_INT(at(i).us, rate_opens_at(&rate, three, at(i)).us);
        CHECK_INT(3 - i, rate_room(&rate, three, at(i)));
        rate_add(&rate, three, at(i));
    }
    CHECK_INT(at(1000).us, rate_opens_at(&rate, three, at(3)).us);
    CHECK_INT(0, rate_room(&rate, three, at(999)));
    CHECK_INT(1, rate_room(&rate, three, at(1000)));
    CHECK_INT(3, rate_room(&rate, three, at(1002)));
    rate_done(&rate);
}

// A bucket would let twice the limit through around a boundary.
TEST(no_window_wherever_it_begins_holds_more_than_the_limit)
{
    struct random chance;
    random_seed(&chance, 7);
    struct rate rate = {0};
    struct rate_rule five = rule(5, 1000);
    int64_t starts[2000];
    int count = 0;
    for (int64_t ms = 0; count < 2000; ms += random_below(&chance, 300)) {
        wall opens = rate_opens_at(&rate, five, at(ms));
        CHECK((opens.us == at(ms).us) == (rate_room(&rate, five, at(ms)) > 0));
        if (opens.us != at(ms).us)
            continue;
        rate_add(&rate, five, opens);
        starts[count++] = opens.us;
    }
    for (int i = 5; i < count; i++)
        CHECK(starts[i] - starts[i - 5] >= SECOND);
    CHECK(rate.capacity < 100);
    rate_done(&rate);
}

TEST(a_start_claimed_ahead_of_its_time_counts_at_once)
{
    struct rate rate = {0};
    rate_add(&rate, rule(1, 1000), at(20));
    CHECK_INT(at(1020).us, rate_opens_at(&rate, rule(1, 1000), at(0)).us);
    rate_done(&rate);
}

TEST(where_rules_differ_the_strictest_of_those_in_force_holds)
{
    struct rate rate = {0};
    struct rate_rule loose = rule(10, 1000), strict = rule(2, 1000);
    rate_add(&rate, loose, at(0));
    rate_add(&rate, loose, at(1));
    CHECK_INT(0, rate_room(&rate, strict, at(2))); // by its own rule
    CHECK_INT(8, rate_room(&rate, loose, at(2)));
    rate_add(&rate, strict, at(1000));
    CHECK_INT(1, rate_room(&rate, loose, at(1001))); // the start before is in force
    rate_add(&rate, loose, at(1001));
    CHECK_INT(0, rate_room(&rate, loose, at(1999)));
    CHECK_INT(at(2000).us, rate_opens_at(&rate, loose, at(1999)).us);
    CHECK_INT(9, rate_room(&rate, loose, at(2000))); // out of force with its last start
    rate_done(&rate);
}

TEST(a_rule_holds_back_no_longer_than_it_is_in_force)
{
    struct rate rate = {0};
    struct rate_rule loose = rule(10, 1000), strict = rule(2, 1000);
    rate_add(&rate, strict, at(0));
    rate_add(&rate, loose, at(500));
    rate_add(&rate, loose, at(600));
    CHECK_INT(0, rate_room(&rate, loose, at(999)));
    CHECK_INT(at(1000).us, rate_opens_at(&rate, loose, at(700)).us);
    CHECK_INT(8, rate_room(&rate, loose, at(1000)));
    rate_done(&rate);
}

TEST(a_rule_out_of_force_still_finds_the_starts_it_counts)
{
    struct rate rate = {0};
    struct rate_rule hourly = rule(50, 3600000), busy = rule(2, 1000);
    rate_add(&rate, hourly, at(0));
    for (int i = 1; i <= 200; i++) // the hourly rule has been out of force for long
        rate_add(&rate, busy, at(4000000 + i * 1000));
    CHECK_INT(0, rate_room(&rate, hourly, at(4201000)));
    rate_done(&rate);
}

TEST(more_rules_than_are_kept_are_never_less_strict)
{
    struct rate rate = {0};
    rate_add(&rate, rule(2, 5000), at(0));
    for (int i = 0; i < 3 * RATE_RULES; i++)
        rate_add(&rate, rule(100 + i, 1000), at(1 + i));
    CHECK_INT(RATE_RULES, rate.rule_count);
    CHECK_INT(0, rate_room(&rate, rule(1000, 1000), at(4000)));
    rate_done(&rate);
}

TEST(when_the_clock_is_set_the_window_keeps_its_length)
{
    struct rate rate = {0};
    struct rate_rule one = rule(1, 1000);
    rate_add(&rate, one, at(0));
    rate_shift(&rate, -HOUR);
    CHECK_INT(at(1000).us - HOUR, rate_opens_at(&rate, one, wall_plus(at(500), -HOUR)).us);
    rate_done(&rate);
}

TEST(what_is_past_need_not_be_kept)
{
    struct rate rate = {0};
    struct rate_rule two = rule(2, 1000);
    for (int i = 0; i < 5; i++)
        rate_add(&rate, two, at(i * 1000));
    CHECK_INT(at(3000).us, rate_oldest(&rate, at(4000)).us);
    CHECK(!rate_is_past(&rate, at(4999)));
    CHECK(rate_is_past(&rate, at(5000)));
    rate_done(&rate);
}

TESTS_MAIN
