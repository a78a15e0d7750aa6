// Runs: adding, finding, what falls due.
#include "store/reader_audit.h"
#include "suite.h"

TEST(a_run_reads_back_as_it_was_added)
{
    struct store *store = suite_new();
    int64_t task = a_task(store, "t");
    static char payload[] = "{\"\xc3\xa4\":\"\xf0\x9f\x95\x90\\n\"}";
    struct run run = {
        .id = {INT64_MAX},
        .task = task,
        .revision_id = 1,
        .generation = 3,
        .state = RUN_SKIPPED,
        .trigger = TRIGGER_CATCH_UP,
        .reason = "it does not exist",
        .scheduled_for = at(1),
        .due_at = at(2),
        .started_at = at(3),
        .finished_at = at(4),
        .attempt_started_at = at(5),
        .attempts = 6,
        .fence = INT64_C(7) << 40,
        .lane = UINT64_MAX,
        .priority = 9,
        .retry_of = {8},
        .payload = payload,
        .payload_size = strlen(payload),
    };
    struct run found;
    add_runs(store, &run, 1);
    store = suite_again(store);
    OK(store_find_run(store, run.id, &found));
    CHECK_INT(run.id.value, found.id.value);
    CHECK_INT(task, found.task);
    CHECK_INT(1, found.revision_id);
    CHECK_INT(3, found.generation);
    CHECK_INT(RUN_SKIPPED, found.state);
    CHECK_INT(TRIGGER_CATCH_UP, found.trigger);
    CHECK_TEXT("it does not exist", found.reason);
    CHECK_INT(at(1).us, found.scheduled_for.us);
    CHECK_INT(at(2).us, found.due_at.us);
    CHECK_INT(at(3).us, found.started_at.us);
    CHECK_INT(at(4).us, found.finished_at.us);
    CHECK_INT(at(5).us, found.attempt_started_at.us);
    CHECK_INT(6, found.attempts);
    CHECK_INT(run.fence, found.fence);
    CHECK(found.lane == UINT64_MAX);
    CHECK_INT(9, found.priority);
    CHECK_INT(8, found.retry_of.value);
    CHECK_TEXT(payload, found.payload);
    CHECK_INT(strlen(payload), found.payload_size);
    CHECK_TEXT("t", found.task_name);
    CHECK_INT(1, found.revision);
    run_done(&found);
    store_close(store);
}

TEST(what_a_one_off_has_not_is_not_set)
{
    struct store *store = suite_new();
    struct run run = one_off(5, 1), found;
    add_runs(store, &run, 1);
    OK(store_find_run(store, run.id, &found));
    CHECK_INT(0, found.task);
    CHECK_INT(0, found.revision_id);
    CHECK_INT(0, found.retry_of.value);
    CHECK(!found.reason && !found.payload && !found.task_name);
    CHECK_INT(0, found.revision);
    CHECK_INT(INT64_MIN, found.started_at.us);
    CHECK_INT(INT64_MIN, found.finished_at.us);
    CHECK_INT(INT64_MIN, found.attempt_started_at.us);
    run_done(&found);
    CHECK_INT(STATUS_NOT_FOUND, store_find_run(store, (run_id){6}, &found));
    store_close(store);
}

TEST(a_payload_keeps_every_byte_and_empty_is_not_none)
{
    struct store *store = suite_new();
    struct run runs[3] = {one_off(1, 1), one_off(2, 1), one_off(3, 1)}, found;
    char *large = memory_copy("", 0);
    large = memory_resize(large, 300000, 1);
    for (size_t i = 0; i < 300000; i++)
        large[i] = (char)(i * 7 % 251);
    runs[0].payload = "";
    runs[1].payload = "a\0b";
    runs[1].payload_size = 3;
    runs[2].payload = large;
    runs[2].payload_size = 300000;
    add_runs(store, runs, 3);
    BEGIN();
    OK(store_start_run(store, (run_id){3}, at(2), 0, 1));
    COMMIT();
    store = suite_again(store);
    for (size_t i = 0; i < 3; i++) {
        OK(store_find_run(store, runs[i].id, &found));
        CHECK(found.payload);
        CHECK_INT(runs[i].payload_size, found.payload_size);
        CHECK(memcmp(runs[i].payload, found.payload, found.payload_size) == 0);
        run_done(&found);
    }
    free(large);
    store_close(store);
}

TEST(one_occurrence_has_one_run)
{
    struct store *store = suite_new();
    int64_t task = a_task(store, "t"), other = a_task(store, "u");
    struct run first = occurrence_of(task, 1, 1, 10), found;
    struct run conflicts[] = {occurrence_of(task, 1, 2, 10), occurrence_of(task, 1, 3, 10),
                              occurrence_of(task, 1, 4, 10)};
    conflicts[1].trigger = TRIGGER_CATCH_UP;
    conflicts[2].state = RUN_MISSED;
    struct run others[] = {occurrence_of(task, 2, 5, 10),
                           occurrence_of(task, 1, 6, 11),
                           occurrence_of(other, 1, 7, 10),
                           occurrence_of(task, 1, 8, 10),
                           occurrence_of(task, 1, 9, 10),
                           one_off(10, 10),
                           one_off(11, 10)};
    others[3].trigger = TRIGGER_RETRY; // of that occurrence's run: no occurrence itself
    others[4].trigger = TRIGGER_API;
    add_runs(store, &first, 1);
    BEGIN();
    for (size_t i = 0; i < sizeof conflicts / sizeof *conflicts; i++) {
        CHECK_INT(STATUS_CONFLICT, store_add_run(store, &conflicts[i]));
        CHECK_INT(STATUS_NOT_FOUND, store_find_run(store, conflicts[i].id, &found));
    }
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        OK(store_add_run(store, &others[i]));
    COMMIT();
    store = suite_again(store);
    BEGIN();
    CHECK_INT(STATUS_CONFLICT, store_add_run(store, &conflicts[0]));
    COMMIT();
    store_close(store);
}

// --- what falls due ---

TEST(due_runs_come_by_time_then_id_up_to_a_moment)
{
    struct store *store = suite_new();
    int64_t task = a_task(store, "t");
    struct run runs[] = {one_off(1, 30), one_off(2, 10), run_of(task, 3, 20),
                         one_off(4, 20), one_off(5, 10), one_off(6, 31)};
    static const int64_t expected[] = {2, 5, 3, 4, 1};
    add_runs(store, runs, 6);
    store = suite_again(store);
    for (size_t page = 1; page <= 6; page++) {
        struct due_row found[6];
        wall after = WALL_NONE;
        run_id after_id = {0};
        size_t seen = 0, count;
        do {
            OK(store_load_due(store, after, after_id, at(30), page, found, &count));
            CHECK(count <= page);
            for (size_t i = 0; i < count; i++, seen++) {
                CHECK(seen < 5);
                CHECK_INT(expected[seen], found[i].run.value);
                CHECK_INT(runs[expected[seen] - 1].due_at.us, found[i].due_at.us);
                CHECK_INT(runs[expected[seen] - 1].task, found[i].task);
                CHECK(found[i].lane == runs[0].lane);
                after = found[i].due_at;
                after_id = found[i].run;
            }
        } while (count == page);
        CHECK_INT(5, seen);
    }
    store_close(store);
}

TEST(only_scheduled_and_waiting_runs_fall_due)
{
    struct store *store = suite_new();
    static const enum run_state states[] = {RUN_SCHEDULED, RUN_RUNNING,  RUN_WAITING, RUN_SUCCEEDED,
                                            RUN_FAILED,    RUN_CANCELED, RUN_MISSED,  RUN_SKIPPED};
    int64_t task = a_task(store, "t");
    BEGIN();
    for (int64_t i = 0; i < 8; i++) {
        struct run run = run_of(task, i + 1, 10);
        OK(store_add_run(store, &run));
        bring_to(store, i + 1, states[i]);
    }
    COMMIT();
    struct due_row found[8];
    size_t count;
    OK(store_load_due(store, WALL_NONE, (run_id){0}, WALL_NEVER, 8, found, &count));
    CHECK_INT(2, count);
    CHECK_INT(1, found[0].run.value);
    CHECK_INT(at(10).us, found[0].due_at.us);
    CHECK_INT(3, found[1].run.value); // waits longer than it was first due
    CHECK_INT(at(50).us, found[1].due_at.us);
    OK(store_load_due_of_task(store, task, (run_id){0}, 8, found, &count));
    CHECK_INT(2, count);
    CHECK_INT(1, found[0].run.value);
    CHECK_INT(3, found[1].run.value);
    store_close(store);
}

TEST(what_is_due_of_a_task_comes_by_id_in_pages)
{
    struct store *store = suite_new();
    int64_t task = a_task(store, "t"), other = a_task(store, "u");
    struct run runs[] = {run_of(task, 1, 30), run_of(other, 2, 10), run_of(task, 3, 20),
                         one_off(4, 20), run_of(task, 5, 10)};
    struct due_row found[3];
    size_t count;
    add_runs(store, runs, 5);
    OK(store_load_due_of_task(store, task, (run_id){0}, 2, found, &count));
    CHECK_INT(2, count);
    CHECK_INT(1, found[0].run.value);
    CHECK_INT(3, found[1].run.value);
    CHECK_INT(task, found[1].task);
    CHECK_INT(at(20).us, found[1].due_at.us);
    OK(store_load_due_of_task(store, task, found[1].run, 2, found, &count));
    CHECK_INT(1, count);
    CHECK_INT(5, found[0].run.value);
    OK(store_load_due_of_task(store, 999, (run_id){0}, 2, found, &count));
    CHECK_INT(0, count);
    store_close(store);
}

TEST(running_runs_come_by_id_in_pages)
{
    struct store *store = suite_new();
    int64_t task = a_task(store, "t");
    BEGIN();
    for (int64_t i = 1; i <= 7; i++) {
        struct run run = run_of(task, i, 10);
        OK(store_add_run(store, &run));
        if (i % 2 == 0)
            OK(store_start_run(store, run.id, at(10 + i), 1, 9));
    }
    COMMIT();
    store = suite_again(store);
    struct run found[2];
    size_t count;
    OK(store_load_running(store, (run_id){0}, 2, found, &count));
    CHECK_INT(2, count);
    CHECK_INT(2, found[0].id.value);
    CHECK_INT(at(12).us, found[0].attempt_started_at.us);
    CHECK_TEXT("t", found[0].task_name);
    CHECK_INT(4, found[1].id.value);
    run_done(&found[0]);
    run_done(&found[1]);
    OK(store_load_running(store, (run_id){4}, 2, found, &count));
    CHECK_INT(1, count);
    CHECK_INT(6, found[0].id.value);
    run_done(&found[0]);
    store_close(store);
}

// Which the auditor counts: none of them may be lost.
static int64_t unwatched(void)
{
    struct reader *reader = suite_reader();
    struct counted_runs counted;
    OK(reader_count_all(reader, &counted));
    reader_close(reader);
    return counted.unwatched;
}

TEST(deadlines_come_earliest_first_and_stay_until_they_are_dropped)
{
    struct store *store = suite_new();
    struct run runs[] = {one_off(1, 1), one_off(2, 1), one_off(3, 1), one_off(4, 1), one_off(5, 1)};
    struct deadline found[5];
    size_t count;
    runs[0].deadline_at = at(30);
    runs[2].deadline_at = runs[3].deadline_at = at(20);
    runs[4].deadline_at = at(10); // but it is over
    runs[4].state = RUN_MISSED;
    runs[4].finished_at = at(11);
    add_runs(store, runs, 5);
    BEGIN();
    OK(store_start_run(store, runs[2].id, at(2), 1, 9)); // it is in time, and is there all the same
    COMMIT();
    OK(store_load_deadlines(store, 5, found, &count));
    CHECK_INT(3, count);
    CHECK_INT(3, found[0].run.value);
    CHECK_INT(4, found[1].run.value);
    CHECK_INT(1, found[2].run.value);
    CHECK_INT(at(30).us, found[2].at.us);
    CHECK_INT(0, unwatched());
    BEGIN();
    OK(store_drop_deadline(store, &found[0]));
    COMMIT();
    CHECK_INT(0, unwatched());
    BEGIN();
    OK(store_drop_deadline(store, &found[1]));
    COMMIT();
    CHECK_INT(1, unwatched());
    store = suite_again(store);
    OK(store_load_deadlines(store, 1, found, &count));
    CHECK_INT(1, count);
    CHECK_INT(1, found[0].run.value);
    store_close(store);
}

TESTS_MAIN
