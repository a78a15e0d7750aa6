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
        CHECK_INT(late.us, lane_order_due(lane_order(late, priority)).us);
        CHECK_INT(priority, lane_order_priority(lane_order(late, priority)));
    }
    CHECK(lane_order(late, 6) < lane_order((wall){0}, 5));
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

TESTS_MAIN
