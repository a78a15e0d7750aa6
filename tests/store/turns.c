// Turns: what is committed stays, what is not was never there.
#include "suite.h"

TEST(a_new_store_is_empty)
{
    struct store *store = suite_new();
    struct store_start start = {.last_run = {7}, .last_turn = 7};
    OK(store_start(store, &start));
    CHECK_INT(0, start.last_run.value);
    CHECK_INT(0, start.last_turn);
    CHECK_TEXT("", store_problem(store));
    store_close(store);
    store_close(NULL);
}

TEST(a_start_knows_the_last_run_and_the_last_turn)
{
    struct store *store = suite_new();
    struct run runs[] = {one_off(5, 1), one_off(900, 1), one_off(17, 1)};
    add_runs(store, runs, 3);
    BEGIN();
    OK(store_add_journal(store, 41, at(0), "{}\n", 3));
    OK(store_add_journal(store, 42, at(0), "{}\n", 3));
    COMMIT();
    store = suite_again(store);
    struct store_start start;
    OK(store_start(store, &start));
    CHECK_INT(900, start.last_run.value);
    CHECK_INT(42, start.last_turn);
    store_close(store);
}

TEST(what_is_committed_is_there_after_the_next_start)
{
    struct store *store = suite_new();
    struct run run = one_off(5, 1);
    add_runs(store, &run, 1);
    store = suite_again(store);
    CHECK_INT(RUN_SCHEDULED, state_of(store, 5));
    store_close(store);
}

TEST(what_is_rolled_back_was_never_there)
{
    struct store *store = suite_new();
    struct run run = one_off(5, 1), found;
    BEGIN();
    OK(store_add_run(store, &run));
    store_rollback(store);
    CHECK_INT(STATUS_NOT_FOUND, store_find_run(store, run.id, &found));
    store_rollback(store); // nothing to undo: fine
    add_runs(store, &run, 1);
    CHECK_INT(RUN_SCHEDULED, state_of(store, 5));
    store_close(store);
}

TEST(a_close_without_a_commit_leaves_nothing)
{
    struct store *store = suite_new();
    struct run run = one_off(5, 1), found;
    BEGIN();
    OK(store_add_run(store, &run));
    OK(store_put_setting(store, "a", "b"));
    store = suite_again(store);
    char value[10];
    CHECK_INT(STATUS_NOT_FOUND, store_find_run(store, run.id, &found));
    CHECK_INT(STATUS_NOT_FOUND, store_get_setting(store, "a", value, sizeof value));
    store_close(store);
}

TEST(a_turn_sees_what_it_has_written_itself)
{
    struct store *store = suite_new();
    struct run run = one_off(5, 1);
    BEGIN();
    OK(store_add_run(store, &run));
    CHECK_INT(RUN_SCHEDULED, state_of(store, 5));
    OK(store_start_run(store, run.id, at(1), 0, 1));
    CHECK_INT(RUN_RUNNING, state_of(store, 5));
    COMMIT();
    store_close(store);
}

TEST(a_conflict_leaves_the_turn_whole)
{
    struct store *store = suite_new();
    int64_t task = a_task(store, "t");
    struct run a = occurrence_of(task, 1, 5, 1), b = occurrence_of(task, 1, 6, 1),
               c = one_off(7, 1);
    BEGIN();
    OK(store_add_run(store, &a));
    CHECK_INT(STATUS_CONFLICT, store_add_run(store, &b));
    OK(store_add_run(store, &c));
    COMMIT();
    store = suite_again(store);
    CHECK_INT(RUN_SCHEDULED, state_of(store, 5));
    CHECK_INT(RUN_SCHEDULED, state_of(store, 7));
    store_close(store);
}

TEST(a_run_id_that_is_taken_breaks_the_store_for_good)
{
    struct store *store = suite_new();
    struct run run = one_off(5, 1), other = one_off(6, 1), found;
    add_runs(store, &run, 1);
    BEGIN();
    OK(store_add_run(store, &other));
    store_add_run(store, &run); // a store may hold it back until the next question
    CHECK_INT(STATUS_FAILED, store_find_run(store, other.id, &found));
    CHECK(*store_problem(store));
    // It accepts nothing more, and nothing of the turn is there later.
    CHECK_INT(STATUS_FAILED, store_add_run(store, &other));
    CHECK_INT(STATUS_FAILED, store_commit(store));
    store_rollback(store);
    CHECK_INT(STATUS_FAILED, store_begin(store));
    CHECK_INT(STATUS_FAILED, store_checkpoint(store));
    store = suite_again(store);
    CHECK_TEXT("", store_problem(store));
    CHECK_INT(RUN_SCHEDULED, state_of(store, 5));
    CHECK_INT(STATUS_NOT_FOUND, store_find_run(store, other.id, &found));
    store_close(store);
}

TEST(a_run_that_was_just_made_is_there_for_every_question_of_the_turn)
{
    struct store *store = suite_new();
    for (int64_t before = 0; before < 20; before++) {
        int64_t id = 100 * (before + 1);
        BEGIN();
        for (int64_t i = 0; i <= before; i++) {
            struct run run = one_off(id + i, 1);
            OK(store_add_run(store, &run));
        }
        CHECK_INT(RUN_SCHEDULED, state_of(store, id + before));
        CHECK_INT(RUN_SCHEDULED, state_of(store, id));
        struct run more = one_off(id + 90, 1);
        OK(store_add_run(store, &more));
        OK(store_end_run(store, more.id, RUN_CANCELED, "not wanted", (wall){2 * SECOND}));
        COMMIT();
        CHECK_INT(RUN_CANCELED, state_of(store, id + 90));
    }
    store_close(store);
}

TEST(occurrences_and_single_runs_mix_in_a_turn)
{
    struct store *store = suite_new();
    int64_t task = a_task(store, "t");
    for (int64_t n = 0; n < 6; n++) {
        BEGIN();
        for (int64_t i = 0; i < n; i++) {
            struct run single = one_off(100 * (n + 1) + i, 1);
            OK(store_add_run(store, &single));
        }
        struct run planned = occurrence_of(task, 1, 100 * (n + 1) + 50, n), again = planned;
        again.id.value++;
        OK(store_add_run(store, &planned));
        CHECK_INT(STATUS_CONFLICT, store_add_run(store, &again));
        COMMIT();
        for (int64_t i = 0; i < n; i++)
            CHECK_INT(RUN_SCHEDULED, state_of(store, 100 * (n + 1) + i));
        CHECK_INT(RUN_SCHEDULED, state_of(store, planned.id.value));
    }
    store_close(store);
}

TEST(what_an_undone_turn_made_is_not_in_the_next_one)
{
    struct store *store = suite_new();
    struct run undone = one_off(5, 1), kept = one_off(6, 1), found;
    BEGIN();
    OK(store_add_run(store, &undone));
    store_rollback(store);
    BEGIN();
    OK(store_add_run(store, &kept));
    COMMIT();
    CHECK_INT(STATUS_NOT_FOUND, store_find_run(store, undone.id, &found));
    CHECK_INT(RUN_SCHEDULED, state_of(store, 6));
    store_close(store);
}

TEST(a_turn_takes_ten_thousand_runs)
{
    struct store *store = suite_new();
    struct reader *reader = suite_reader();
    int64_t counts[RUN_STATE_COUNT];
    BEGIN();
    for (int64_t i = 1; i <= 10000; i++) {
        struct run run = one_off(i, i % 100);
        OK(store_add_run(store, &run));
    }
    OK(reader_count_runs(reader, counts));
    CHECK_INT(0, counts[RUN_SCHEDULED]);
    COMMIT();
    OK(reader_count_runs(reader, counts));
    CHECK_INT(10000, counts[RUN_SCHEDULED]);
    reader_close(reader);
    store_close(store);
}

TEST(a_checkpoint_loses_nothing_also_while_somebody_reads)
{
    struct store *store = suite_new();
    struct reader *reader = suite_reader();
    char *payload = memory_copy("", 0);
    payload = memory_resize(payload, 200001, 1);
    memset(payload, 'x', 200000);
    payload[200000] = '\0';
    for (int64_t id = 1; id <= 200; id++) { // 40 MB: more than one checkpoint
        struct run run = one_off(id, id), found;
        run.payload = payload;
        run.payload_size = 200000;
        add_runs(store, &run, 1);
        OK(store_checkpoint(store));
        OK(reader_find_run(reader, run.id, &found));
        CHECK_INT(200000, found.payload_size);
        run_done(&found);
    }
    reader_close(reader);
    store = suite_again(store);
    struct run found;
    OK(store_find_run(store, (run_id){1}, &found));
    CHECK_TEXT(payload, found.payload);
    run_done(&found);
    free(payload);
    store_close(store);
}

TEST(a_setting_is_kept_by_name_and_replaced)
{
    struct store *store = suite_new();
    char value[10] = "untouched";
    CHECK_INT(STATUS_NOT_FOUND, store_get_setting(store, "secret", value, sizeof value));
    CHECK_TEXT("untouched", value);
    BEGIN();
    OK(store_put_setting(store, "secret", "first"));
    OK(store_put_setting(store, "secret", "123456789"));
    OK(store_put_setting(store, "other", ""));
    COMMIT();
    store = suite_again(store);
    OK(store_get_setting(store, "secret", value, sizeof value));
    CHECK_TEXT("123456789", value);
    CHECK_INT(STATUS_TOO_LARGE, store_get_setting(store, "secret", value, 9));
    OK(store_get_setting(store, "other", value, sizeof value));
    CHECK_TEXT("", value);
    store_close(store);
}

TESTS_MAIN
