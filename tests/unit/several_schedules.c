// A task with several schedules has one outage at a time.
#include "scheduling.h"

TEST(what_came_due_a_moment_before_an_outage_was_found_is_part_of_it)
{
    begin_world();
    put("job", "\"schedule\":[{\"every\":\"2h\"},{\"at\":\"2026-01-01T01:30:00Z\"}]");
    pass(10 * MINUTE);
    CHECK_INT(0, order_count);
    now.us = T0 + 2 * HOUR + 5 * SECOND; // the clock was set forward
    pass(SECOND);
    CHECK_INT(1, order_count); // of what was missed only the latest runs
    CHECK_INT(T0 + 2 * HOUR, orders[0]->scheduled_for.us);
    CHECK_INT(1, count(RUN_MISSED));
    end_world();
}

TESTS_MAIN
