// Starts that rate limits count, and what a step of the clock moves.
#include "suite.h"

#define KEY UINT64_C(0xf00000000000000f)

static struct store_start_row start_of(int64_t run, int64_t seconds)
{
    return (struct store_start_row){
        .run = {run}, .attempt = 1, .at = at(seconds), .most = 3, .per_us = MINUTE};
}

static void add_starts(struct store *store, uint64_t key, int64_t first, int64_t count)
{
    BEGIN();
    for (int64_t i = first; i < first + count; i++) {
        struct store_start_row row = start_of(i, i);
        OK(store_add_start(store, key, &row));
    }
    COMMIT();
}

TEST(the_newest_starts_of_a_key_come_back_the_oldest_of_them_first)
{
    struct store *store = suite_new();
    struct store_start_row rows[10];
    size_t count;
    add_starts(store, KEY, 1, 6);
    add_starts(store, 7, 20, 2);
    store = suite_again(store);
    OK(store_load_starts(store, KEY, at(0), 4, rows, &count));
    CHECK_INT(4, count);
    for (int i = 0; i < 4; i++) {
        CHECK_INT(3 + i, rows[i].run.value);
        CHECK_INT(at(3 + i).us, rows[i].at.us);
        CHECK_INT(3, rows[i].most);
        CHECK_INT(MINUTE, rows[i].per_us);
    }
    OK(store_load_starts(store, KEY, at(5), 10, rows, &count)); // later than, not at
    CHECK_INT(1, count);
    OK(store_load_starts(store, 8, at(0), 10, rows, &count));
    CHECK_INT(0, count);
    store_close(store);
}

TEST(starts_made_under_one_rule_may_count_as_made_under_another)
{
    struct store *store = suite_new();
    struct store_start_row rows[3];
    size_t count;
    add_starts(store, KEY, 1, 2);
    struct store_start_row other = start_of(3, 3);
    other.most = 9;
    BEGIN();
    OK(store_add_start(store, KEY, &other));
    OK(store_change_starts(store, KEY, 3, MINUTE, 5, HOUR));
    COMMIT();
    OK(store_load_starts(store, KEY, at(0), 3, rows, &count));
    CHECK_INT(5, rows[0].most);
    CHECK_INT(HOUR, rows[1].per_us);
    CHECK_INT(9, rows[2].most);
    store_close(store);
}

TEST(starts_before_an_instant_are_forgotten_for_their_key_alone)
{
    struct store *store = suite_new();
    struct store_start_row rows[10];
    size_t count;
    add_starts(store, KEY, 1, 6);
    add_starts(store, 7, 1, 2);
    BEGIN();
    OK(store_trim_starts(store, KEY, at(5), at(5)));
    COMMIT();
    OK(store_load_starts(store, KEY, at(0), 10, rows, &count));
    CHECK_INT(2, count);
    CHECK_INT(5, rows[0].run.value);
    OK(store_load_starts(store, 7, at(0), 10, rows, &count));
    CHECK_INT(2, count);
    store_close(store);
}

TEST(the_last_start_under_each_rule_is_kept_for_longer_than_the_others)
{
    struct store *store = suite_new();
    struct store_start_row rows[10], other = start_of(3, 3);
    size_t count;
    other.attempt = 2;
    other.most = 9;
    add_starts(store, KEY, 1, 6);
    BEGIN();
    OK(store_add_start(store, KEY, &other));
    OK(store_trim_starts(store, KEY, at(6), at(3)));
    COMMIT();
    OK(store_load_starts(store, KEY, at(0), 10, rows, &count));
    CHECK_INT(2, count);
    CHECK_INT(9, rows[0].most);
    CHECK_INT(6, rows[1].run.value);
    BEGIN();
    OK(store_trim_starts(store, KEY, at(6), at(4)));
    COMMIT();
    OK(store_load_starts(store, KEY, at(0), 10, rows, &count));
    CHECK_INT(1, count);
    store_close(store);
}

static int64_t due_of(struct store *store, int64_t id)
{
    struct run run;
    OK(store_find_run(store, (run_id){id}, &run));
    int64_t due = run.due_at.us;
    run_done(&run);
    return due;
}

TEST(a_step_of_the_clock_moves_backoffs_and_starts_and_no_schedule)
{
    struct store *store = suite_new();
    struct store_start_row row;
    size_t count;
    struct run runs[] = {one_off(1, 100), one_off(2, 40), one_off(3, 50), one_off(4, 50)};
    add_runs(store, runs, 4);
    add_starts(store, KEY, 9, 1);
    BEGIN();
    for (int64_t id = 2; id <= 4; id++)
        bring_to(store, id, id == 4 ? RUN_FAILED : RUN_WAITING); // due at(50)
    OK(store_shift_clock(store, at(45), HOUR));
    COMMIT();
    CHECK_INT(at(100).us, due_of(store, 1)); // not between attempts: a time of the calendar
    CHECK_INT(at(50).us + HOUR, due_of(store, 2));
    CHECK_INT(at(50).us, due_of(store, 4));
    BEGIN();
    OK(store_shift_clock(store, at(50 + 3600), -HOUR)); // due by then: left alone
    COMMIT();
    CHECK_INT(at(50).us + HOUR, due_of(store, 3));
    OK(store_load_starts(store, KEY, at(0), 1, &row, &count));
    CHECK_INT(at(9).us, row.at.us);
    store_close(store);
}

TESTS_MAIN
