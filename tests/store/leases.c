// Leases, runs that are given back, runs that go to another lane, and what waits in the queues.
#include "suite.h"

#define QUEUE (LANE_QUEUE | 7)

static const struct lease_record bounded = {.run = {5},
                                            .kind = LEASE_CALLBACK,
                                            .length_us = 30 * SECOND,
                                            .until = {1000},
                                            .steady_until = {400},
                                            .most = {2000},
                                            .steady_most = {1400},
                                            .boot = 77,
                                            .worker = (char *)"w"};

TEST(a_lease_reads_as_it_was_written_and_the_later_takes_its_place)
{
    struct store *store = suite_new();
    struct lease_record found;
    BEGIN();
    CHECK_INT(STATUS_NOT_FOUND, store_find_lease(store, (run_id){5}, &found));
    OK(store_put_lease(store, &bounded));
    COMMIT();
    store = suite_again(store);
    BEGIN();
    OK(store_find_lease(store, (run_id){5}, &found));
    CHECK_INT(5, found.run.value);
    CHECK_INT(LEASE_CALLBACK, found.kind);
    CHECK_INT(30 * SECOND, found.length_us);
    CHECK_INT(1000, found.until.us);
    CHECK_INT(400, found.steady_until.us);
    CHECK_INT(2000, found.most.us);
    CHECK_INT(1400, found.steady_most.us);
    CHECK_INT(77, found.boot);
    CHECK_TEXT("w", found.worker);
    lease_record_done(&found);
    struct lease_record open = bounded;
    open.kind = LEASE_WORKER;
    open.most = WALL_NEVER;
    open.steady_most = (steady){INT64_MAX};
    open.worker = NULL;
    OK(store_put_lease(store, &open));
    OK(store_find_lease(store, (run_id){5}, &found));
    CHECK_INT(LEASE_WORKER, found.kind);
    CHECK_INT(WALL_NEVER.us, found.most.us);
    CHECK_INT(INT64_MAX, found.steady_most.us);
    CHECK(!found.worker);
    OK(store_drop_lease(store, (run_id){5}));
    OK(store_drop_lease(store, (run_id){5}));
    CHECK_INT(STATUS_NOT_FOUND, store_find_lease(store, (run_id){5}, &found));
    COMMIT();
    store_close(store);
}

TEST(only_a_running_run_is_given_back_and_only_with_its_fence)
{
    struct store *store = suite_new();
    BEGIN();
    struct run run = one_off(1, 10);
    OK(store_add_run(store, &run));
    CHECK_INT(STATUS_CONFLICT, store_release_run(store, (run_id){1}, 0));
    OK(store_start_run(store, (run_id){1}, at(60), 0, QUEUE));
    CHECK_INT(STATUS_CONFLICT, store_release_run(store, (run_id){1}, 2));
    CHECK_INT(STATUS_CONFLICT, store_release_run(store, (run_id){2}, 1));
    OK(store_release_run(store, (run_id){1}, 1));
    CHECK_INT(STATUS_CONFLICT, store_release_run(store, (run_id){1}, 1));
    struct run found;
    OK(store_find_run(store, (run_id){1}, &found));
    CHECK_INT(RUN_WAITING, found.state);
    CHECK_INT(0, found.attempts);
    CHECK_INT(1, found.fence);
    CHECK_INT(at(10).us, found.due_at.us);
    CHECK(!wall_is_set(found.started_at) && !wall_is_set(found.attempt_started_at));
    run_done(&found);
    COMMIT();
    store_close(store);
}

TEST(a_second_attempt_that_is_given_back_leaves_the_first_start)
{
    struct store *store = suite_new();
    BEGIN();
    struct run run = one_off(1, 10), found;
    OK(store_add_run(store, &run));
    bring_to(store, 1, RUN_WAITING);
    OK(store_find_run(store, (run_id){1}, &found));
    wall first = found.started_at;
    run_done(&found);
    OK(store_start_run(store, (run_id){1}, at(600), 0, QUEUE));
    OK(store_release_run(store, (run_id){1}, 2));
    OK(store_find_run(store, (run_id){1}, &found));
    CHECK_INT(1, found.attempts);
    CHECK_INT(first.us, found.started_at.us);
    run_done(&found);
    COMMIT();
    store_close(store);
}

TEST(runs_that_wait_go_to_another_lane_and_others_stay)
{
    struct store *store = suite_new();
    int64_t task = a_task(store, "moves"), other = a_task(store, "stays");
    struct run runs[] = {run_of(task, 1, 10), run_of(task, 2, 10), run_of(task, 3, 10),
                         run_of(other, 4, 10)};
    add_runs(store, runs, 4);
    BEGIN();
    bring_to(store, 2, RUN_WAITING);
    bring_to(store, 3, RUN_RUNNING);
    OK(store_move_runs(store, task, QUEUE));
    for (int64_t id = 1; id <= 4; id++) {
        struct run found;
        OK(store_find_run(store, (run_id){id}, &found));
        CHECK((found.lane == QUEUE) == (id <= 2));
        run_done(&found);
    }
    COMMIT();
    store_close(store);
}

TEST(queues_are_counted_and_named_as_their_tasks_are_now)
{
    static const char definition[] = "{\"queue\":{\"name\":\"emails\"}}";
    struct store *store = suite_new();
    int64_t revision;
    BEGIN();
    OK(store_keep_definition(store, definition, sizeof definition - 1, at(0), &revision));
    for (int64_t id = 1; id <= 5; id++) {
        struct run run = one_off(id, id * 10);
        run.revision_id = revision;
        run.lane = id == 5 ? 7 : QUEUE; // the last is no queue's
        OK(store_add_run(store, &run));
    }
    bring_to(store, 1, RUN_RUNNING);
    COMMIT();
    struct reader *reader = suite_reader();
    struct queue_load loads[4];
    size_t count;
    for (int one = 0; one < 2; one++) {
        OK(reader_list_queues(reader, one ? QUEUE : 0, at(35), 4, loads, &count));
        CHECK_INT(1, count);
        CHECK_TEXT("emails", loads[0].name);
        CHECK(loads[0].lane == QUEUE);
        CHECK_INT(2, loads[0].due);
        CHECK_INT(1, loads[0].scheduled);
        CHECK_INT(at(20).us, loads[0].oldest.us);
        free(loads[0].name);
    }
    OK(reader_list_queues(reader, LANE_QUEUE | 8, at(35), 4, loads, &count));
    CHECK_INT(0, count);
    reader_close(reader);
    store_close(store);
}

TESTS_MAIN
