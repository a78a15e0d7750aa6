#include "scheduler/lane.h"

#include "test.h"

static struct lanes lanes;

static int64_t take(uint64_t *ret_lane)
{
    run_id run;
    return lanes_take(&lanes, &run, ret_lane) ? run.value : 0;
}

static void add(uint64_t lane, int64_t due, int64_t run, int priority)
{
    lane_add(&lanes, lane, (wall){due}, (run_id){run}, priority);
}

TEST(the_most_urgent_go_first_then_the_oldest_then_by_id)
{
    uint64_t lane;
    lanes_init(&lanes, 10);
    add(1, 100, 1, 5);
    add(1, 300, 2, 9);
    add(1, 200, 3, 9);
    add(1, 50, 4, 0);
    add(1, 100, 5, 5);
    static const int64_t order[] = {3, 2, 1, 5, 4, 0};
    for (size_t i = 0; i < sizeof order / sizeof *order; i++)
        CHECK_INT(order[i], take(&lane));
    lanes_done(&lanes);
}

TEST(an_order_keeps_the_instant_and_the_priority)
{
    wall late = {INT64_C(7258118400) * SECOND}; // 2200
    for (int priority = 0; priority <= 9; priority++) {
        CHECK_INT(late.us, waiting_due(waiting_order(late, priority)).us);
        CHECK_INT(priority, waiting_priority(waiting_order(late, priority)));
    }
    CHECK_INT(3, waiting_priority(waiting_order((wall){-1}, 3)));
    CHECK_INT(3, waiting_priority(waiting_order(WALL_NEVER, 3)));
    CHECK(waiting_order(late, 6) < waiting_order((wall){0}, 5));
}

TEST(a_lane_that_is_allowed_nothing_keeps_its_runs_and_no_other_waits_for_it)
{
    uint64_t lane;
    lanes_init(&lanes, 2);
    add(1, 100, 1, 5);
    lane_allow(&lanes, 1, 0);
    add(2, 200, 2, 5);
    CHECK(!lane_has_room(&lanes, 1));
    CHECK_INT(200, lanes_oldest(&lanes).us); // the other waits by policy
    CHECK_INT(2, take(&lane));
    CHECK_INT(0, take(&lane));
    lane_allow(&lanes, 1, 2);
    CHECK_INT(1, take(&lane));
    CHECK_INT(1, lane);
    lanes_done(&lanes);
}

TEST(a_lane_that_is_allowed_nothing_is_remembered_while_it_is_empty)
{
    uint64_t lane;
    lanes_init(&lanes, 2);
    lane_allow(&lanes, 1, 0);
    add(1, 100, 1, 5);
    CHECK_INT(0, take(&lane));
    lane_allow(&lanes, 1, 2);
    CHECK_INT(1, take(&lane));
    CHECK_INT(0, lanes.by_key.count);
    lanes_done(&lanes);
}

TEST(a_full_lane_leaves_out_what_is_not_more_urgent_and_asks_for_it_when_it_is_empty)
{
    uint64_t lane;
    lanes_init(&lanes, 10);
    lanes.held_most = 4; // two of each priority in a lane
    CHECK(lane_add(&lanes, 1, (wall){1}, (run_id){1}, 5));
    CHECK(lane_add(&lanes, 1, (wall){2}, (run_id){2}, 5));
    CHECK(!lane_add(&lanes, 1, (wall){3}, (run_id){3}, 5));
    CHECK(lane_add(&lanes, 1, (wall){4}, (run_id){4}, 6));
    CHECK_INT(4, take(&lane));
    CHECK_INT(1, take(&lane));
    CHECK(!lanes.hungry);
    CHECK_INT(2, take(&lane));
    CHECK(lanes.hungry);
    CHECK_INT(0, take(&lane));
    lanes_feed(&lanes);
    CHECK(!lanes.hungry && lanes_are_fed(&lanes));
    CHECK(lane_feeds(&lanes, 1, 5) && !lane_feeds(&lanes, 1, 6) && !lane_feeds(&lanes, 2, 5));
    CHECK(lane_add(&lanes, 1, (wall){3}, (run_id){3}, 5));
    lanes_fed(&lanes);
    CHECK(!lanes_are_fed(&lanes));
    CHECK_INT(3, take(&lane));
    CHECK(!lanes.hungry);
    lanes_done(&lanes);
}

TEST(when_all_lanes_hold_much_each_holds_little)
{
    lanes_init(&lanes, 10);
    lanes.held_most = 1000;
    for (uint64_t lane = 1; lane <= 3; lane++)
        for (int run = 1; run <= 600; run++)
            add(lane, run, (int64_t)lane * 1000 + run, 5);
    CHECK_INT(1003, lanes.ready); // 500, 500 and 3
    add(4, 1, 1, 5);
    CHECK_INT(1004, lanes.ready); // and every other a few
    lanes_done(&lanes);
}

TESTS_MAIN
