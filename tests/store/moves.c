// The moves of a run: which are made, which are refused, and what each writes.
#include "suite.h"

static const enum run_state stored[] = {RUN_SCHEDULED, RUN_RUNNING,  RUN_WAITING, RUN_SUCCEEDED,
                                        RUN_FAILED,    RUN_CANCELED, RUN_MISSED,  RUN_SKIPPED};
#define STORED_COUNT (sizeof stored / sizeof *stored)

// A run in each stored state: its id is the state plus one.
static struct store *one_in_each_state(void)
{
    struct store *store = suite_new();
    BEGIN();
    for (size_t i = 0; i < STORED_COUNT; i++) {
        struct run run = one_off(stored[i] + 1, 10);
        OK(store_add_run(store, &run));
        bring_to(store, stored[i] + 1, stored[i]);
        CHECK_INT(stored[i], state_of(store, stored[i] + 1));
    }
    COMMIT();
    return store;
}

TEST(only_a_scheduled_or_waiting_run_starts)
{
    struct store *store = one_in_each_state();
    BEGIN();
    for (size_t i = 0; i < STORED_COUNT; i++) {
        test_row = run_state_text(stored[i]);
        bool may = stored[i] == RUN_SCHEDULED || stored[i] == RUN_WAITING;
        run_id id = {stored[i] + 1};
        CHECK_INT(may ? STATUS_OK : STATUS_CONFLICT, store_start_run(store, id, at(60), 0, 1));
        CHECK_INT(may ? RUN_RUNNING : stored[i], state_of(store, id.value));
    }
    test_row = "";
    CHECK_INT(STATUS_CONFLICT, store_start_run(store, (run_id){99}, at(60), 0, 1));
    COMMIT();
    store_close(store);
}

TEST(a_run_ends_only_as_the_moves_allow)
{
    static const struct {
        enum run_state from;
        unsigned may; // final states it may be ended in
    } rows[] = {
#define AS(state) (1u << RUN_##state)
        {RUN_SCHEDULED, AS(CANCELED) | AS(MISSED) | AS(SKIPPED)},
        {RUN_RUNNING, AS(SUCCEEDED) | AS(FAILED) | AS(CANCELED)},
        {RUN_WAITING, AS(CANCELED) | AS(MISSED) | AS(SKIPPED)},
        {RUN_SUCCEEDED, 0},
        {RUN_FAILED, 0},
        {RUN_CANCELED, 0},
        {RUN_MISSED, 0},
        {RUN_SKIPPED, 0},
    };
    struct store *store = one_in_each_state();
    char row[50];
    test_row = row;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (unsigned to = 0; to < RUN_STATE_COUNT; to++) {
            snprintf(row, sizeof row, "%s to %s", run_state_text(rows[i].from),
                     run_state_text((enum run_state)to));
            run_id id = {rows[i].from + 1};
            bool may = rows[i].may >> to & 1;
            BEGIN();
            CHECK_INT(may ? STATUS_OK : STATUS_CONFLICT,
                      store_end_run(store, id, (enum run_state)to, "so", at(70)));
            CHECK_INT(may ? (enum run_state)to : rows[i].from, state_of(store, id.value));
            store_rollback(store);
        }
    test_row = "";
    BEGIN();
    CHECK_INT(STATUS_CONFLICT, store_end_run(store, (run_id){99}, RUN_CANCELED, "so", at(70)));
    COMMIT();
    store_close(store);
}

TEST(a_start_counts_the_attempt_and_raises_the_fence)
{
    struct store *store = suite_new();
    struct run run = one_off(5, 1), found;
    add_runs(store, &run, 1);
    BEGIN();
    OK(store_start_run(store, run.id, at(3), 44, 55));
    OK(store_find_run(store, run.id, &found));
    CHECK_INT(RUN_RUNNING, found.state);
    CHECK_INT(1, found.attempts);
    CHECK_INT(1, found.fence);
    CHECK_INT(at(3).us, found.started_at.us);
    CHECK_INT(at(3).us, found.attempt_started_at.us);
    CHECK_INT(44, found.revision_id);
    CHECK_INT(55, found.lane);
    CHECK_INT(at(1).us, found.due_at.us);
    run_done(&found);
    struct attempt attempt = attempt_at(5, 1, 1);
    struct verdict verdict = {.state = RUN_WAITING, .due_at = at(20)};
    OK(store_finish_attempt(store, &attempt, &verdict, at(4)));
    OK(store_start_run(store, run.id, at(21), 46, 57));
    OK(store_find_run(store, run.id, &found));
    CHECK_INT(2, found.attempts);
    CHECK_INT(2, found.fence);
    CHECK_INT(at(3).us, found.started_at.us);
    CHECK_INT(at(21).us, found.attempt_started_at.us);
    CHECK_INT(at(20).us, found.due_at.us);
    CHECK_INT(46, found.revision_id);
    run_done(&found);
    COMMIT();
    store_close(store);
}

TEST(the_end_of_an_attempt_moves_the_run_by_the_verdict)
{
    static const struct {
        struct verdict verdict;
        bool final;
    } rows[] = {
        {{RUN_SUCCEEDED, {INT64_MIN}, ""}, true},
        {{RUN_WAITING, {T0 + 99}, ""}, false},
        {{RUN_FAILED, {INT64_MIN}, "out of attempts"}, true},
        {{RUN_CANCELED, {INT64_MIN}, "stopped"}, true},
    };
    struct store *store = suite_new();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int64_t id = (int64_t)i + 1;
        struct run run = one_off(id, 1), found;
        struct attempt attempt = attempt_at(id, 1, 1);
        test_row = run_state_text(rows[i].verdict.state);
        add_runs(store, &run, 1);
        BEGIN();
        OK(store_start_run(store, run.id, at(2), 0, 1));
        OK(store_finish_attempt(store, &attempt, &rows[i].verdict, at(8)));
        COMMIT();
        OK(store_find_run(store, run.id, &found));
        CHECK_INT(rows[i].verdict.state, found.state);
        CHECK_INT(rows[i].final ? at(8).us : INT64_MIN, found.finished_at.us);
        CHECK_INT(rows[i].final ? at(1).us : T0 + 99, found.due_at.us);
        CHECK_INT(INT64_MIN, found.attempt_started_at.us);
        if (*rows[i].verdict.reason)
            CHECK_TEXT(rows[i].verdict.reason, found.reason);
        else
            CHECK(!found.reason);
        run_done(&found);
    }
    test_row = "";
    store_close(store);
}

TEST(a_report_after_the_run_was_canceled_is_kept_and_moves_nothing)
{
    struct store *store = suite_new();
    struct reader *reader = suite_reader();
    struct run run = one_off(5, 1), found;
    struct attempt attempt = attempt_at(5, 1, 1), *attempts = NULL;
    struct verdict verdict = {.state = RUN_SUCCEEDED};
    size_t count = 0;
    add_runs(store, &run, 1);
    BEGIN();
    OK(store_start_run(store, run.id, at(2), 0, 1));
    OK(store_end_run(store, run.id, RUN_CANCELED, "by ann", at(3)));
    COMMIT();
    BEGIN();
    CHECK_INT(STATUS_CONFLICT, store_finish_attempt(store, &attempt, &verdict, at(4)));
    CHECK_INT(STATUS_CONFLICT, store_finish_attempt(store, &attempt, &verdict, at(4)));
    COMMIT();
    OK(store_find_run(store, run.id, &found));
    CHECK_INT(RUN_CANCELED, found.state);
    CHECK_TEXT("by ann", found.reason);
    CHECK_INT(at(3).us, found.finished_at.us);
    CHECK_INT(INT64_MIN, found.attempt_started_at.us);
    run_done(&found);
    OK(reader_list_attempts(reader, run.id, &attempts, &count));
    CHECK_INT(1, count);
    attempt_done(&attempts[0]);
    free(attempts);
    reader_close(reader);
    store_close(store);
}

TEST(an_attempt_recorded_as_canceled_gives_way_to_its_report_once)
{
    struct store *store = suite_new();
    struct reader *reader = suite_reader();
    struct run run = one_off(5, 1), found;
    struct attempt early = attempt_at(5, 1, 1), late = attempt_at(5, 1, 1), again = late;
    struct attempt stale = attempt_at(5, 1, 0), *attempts = NULL;
    struct verdict canceled = {RUN_CANCELED, {INT64_MIN}, "by ann"};
    struct verdict done = {.state = RUN_SUCCEEDED};
    size_t count = 0;
    early.outcome = ATTEMPT_CANCELED;
    late.outcome = stale.outcome = ATTEMPT_SUCCEEDED;
    late.status = 204;
    late.db_calls = 7;
    again.outcome = ATTEMPT_FAILED;
    add_runs(store, &run, 1);
    BEGIN();
    OK(store_start_run(store, run.id, at(2), 0, 1));
    OK(store_finish_attempt(store, &early, &canceled, at(3)));
    COMMIT();
    BEGIN();
    CHECK_INT(STATUS_CONFLICT, store_finish_attempt(store, &stale, &done, at(4)));
    OK(reader_list_attempts(reader, run.id, &attempts, &count));
    CHECK_INT(1, count);
    CHECK_INT(ATTEMPT_CANCELED, attempts[0].outcome);
    attempt_done(&attempts[0]);
    free(attempts);
    CHECK_INT(STATUS_CONFLICT, store_finish_attempt(store, &late, &done, at(4)));
    CHECK_INT(STATUS_CONFLICT, store_finish_attempt(store, &again, &done, at(5)));
    COMMIT();
    OK(store_find_run(store, run.id, &found));
    CHECK_INT(RUN_CANCELED, found.state);
    CHECK_TEXT("by ann", found.reason);
    CHECK_INT(at(3).us, found.finished_at.us);
    run_done(&found);
    OK(reader_list_attempts(reader, run.id, &attempts, &count));
    CHECK_INT(1, count);
    CHECK_INT(ATTEMPT_SUCCEEDED, attempts[0].outcome);
    CHECK_INT(204, attempts[0].status);
    CHECK_INT(7, attempts[0].db_calls);
    attempt_done(&attempts[0]);
    free(attempts);
    reader_close(reader);
    store_close(store);
}

TEST(a_report_that_is_not_of_the_latest_attempt_changes_nothing)
{
    static const struct {
        const char *what;
        int number;
        int64_t fence;
    } rows[] = {{"an earlier attempt", 1, 2}, {"a later attempt", 3, 2}, {"a stale fence", 2, 1}};
    struct store *store = suite_new();
    struct reader *reader = suite_reader();
    struct run run = one_off(5, 1);
    struct attempt first = attempt_at(5, 1, 1), *attempts = NULL;
    struct verdict wait = {.state = RUN_WAITING, .due_at = at(20)}, done = {.state = RUN_SUCCEEDED};
    size_t count = 0;
    add_runs(store, &run, 1);
    BEGIN();
    OK(store_start_run(store, run.id, at(2), 0, 1));
    OK(store_finish_attempt(store, &first, &wait, at(3)));
    CHECK_INT(STATUS_CONFLICT, store_finish_attempt(store, &first, &done, at(3))); // it waits
    OK(store_start_run(store, run.id, at(20), 0, 1));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        test_row = rows[i].what;
        struct attempt stale = attempt_at(5, rows[i].number, rows[i].fence);
        CHECK_INT(STATUS_CONFLICT, store_finish_attempt(store, &stale, &done, at(21)));
        CHECK_INT(RUN_RUNNING, state_of(store, 5));
    }
    test_row = "";
    struct attempt nobody = attempt_at(6, 1, 1);
    CHECK_INT(STATUS_NOT_FOUND, store_finish_attempt(store, &nobody, &done, at(21)));
    COMMIT();
    OK(reader_list_attempts(reader, run.id, &attempts, &count));
    CHECK_INT(1, count);
    attempt_done(&attempts[0]);
    free(attempts);
    reader_close(reader);
    store_close(store);
}

// --- canceling what is pending ---

TEST(canceling_what_is_pending_takes_scheduled_and_waiting_runs_of_the_task)
{
    struct store *store = suite_new();
    int64_t task = a_task(store, "t"), other = a_task(store, "u");
    struct run stranger = run_of(other, 100, 5), alone = one_off(101, 5), found;
    add_runs(store, &stranger, 1);
    add_runs(store, &alone, 1);
    BEGIN();
    for (size_t i = 0; i < STORED_COUNT; i++) {
        struct run run = run_of(task, stored[i] + 1, 10);
        OK(store_add_run(store, &run));
        bring_to(store, stored[i] + 1, stored[i]);
    }
    run_id ids[10];
    size_t count;
    OK(store_cancel_pending(store, task, (run_id){INT64_MAX}, false, "paused by ann", at(30), 10,
                            ids, &count));
    CHECK_INT(2, count);
    CHECK_INT(RUN_SCHEDULED + 1, ids[0].value);
    CHECK_INT(RUN_WAITING + 1, ids[1].value);
    COMMIT();
    OK(store_find_run(store, ids[1], &found));
    CHECK_INT(RUN_CANCELED, found.state);
    CHECK_TEXT("paused by ann", found.reason);
    CHECK_INT(at(30).us, found.finished_at.us);
    run_done(&found);
    for (size_t i = 0; i < STORED_COUNT; i++)
        if (stored[i] != RUN_SCHEDULED && stored[i] != RUN_WAITING)
            CHECK_INT(stored[i], state_of(store, stored[i] + 1));
    CHECK_INT(RUN_SCHEDULED, state_of(store, 100));
    CHECK_INT(RUN_SCHEDULED, state_of(store, 101));
    store_close(store);
}

TEST(canceling_only_occurrences_leaves_what_was_asked_for_and_what_was_tried)
{
    struct store *store = suite_new();
    int64_t task = a_task(store, "t");
    struct run runs[] = {occurrence_of(task, 1, 1, 10), occurrence_of(task, 1, 2, 20),
                         occurrence_of(task, 1, 3, 30), run_of(task, 4, 10), run_of(task, 5, 10)};
    runs[1].trigger = TRIGGER_CATCH_UP;
    runs[4].trigger = TRIGGER_RETRY;
    add_runs(store, runs, 5);
    run_id ids[5];
    size_t count;
    BEGIN();
    bring_to(store, 3, RUN_WAITING);
    OK(store_cancel_pending(store, task, (run_id){INT64_MAX}, true, "edited", at(30), 5, ids,
                            &count));
    COMMIT();
    CHECK_INT(2, count);
    CHECK_INT(1, ids[0].value);
    CHECK_INT(2, ids[1].value);
    CHECK_INT(RUN_WAITING, state_of(store, 3));
    CHECK_INT(RUN_SCHEDULED, state_of(store, 4));
    CHECK_INT(RUN_SCHEDULED, state_of(store, 5));
    store_close(store);
}

TEST(canceling_what_is_pending_leaves_newer_runs_alone)
{
    struct store *store = suite_new();
    int64_t task = a_task(store, "t");
    struct run runs[] = {run_of(task, 1, 10), run_of(task, 2, 10), run_of(task, 3, 10)};
    add_runs(store, runs, 3);
    run_id ids[3];
    size_t count;
    BEGIN();
    OK(store_cancel_pending(store, task, (run_id){2}, false, "deleted", at(30), 3, ids, &count));
    COMMIT();
    CHECK_INT(2, count);
    CHECK_INT(RUN_SCHEDULED, state_of(store, 3));
    store_close(store);
}

TEST(sweeps_are_remembered_until_they_are_dropped)
{
    struct store *store = suite_new();
    int64_t task = a_task(store, "t");
    struct sweep first = {.task = task, .until = {7}, .reason = "its task was deleted"};
    struct sweep second = {
        .task = task, .until = {9}, .only_occurrences = true, .reason = "edited"};
    BEGIN();
    OK(store_add_sweep(store, &first));
    OK(store_add_sweep(store, &second));
    COMMIT();
    store = suite_again(store);
    struct sweep rows[3];
    size_t count;
    OK(store_load_sweeps(store, 0, 3, rows, &count));
    CHECK_INT(2, count);
    CHECK_INT(7, rows[0].until.value);
    CHECK_TEXT("its task was deleted", rows[0].reason);
    CHECK(!rows[0].only_occurrences && rows[1].only_occurrences);
    BEGIN();
    OK(store_drop_sweep(store, rows[0].id));
    COMMIT();
    OK(store_load_sweeps(store, 0, 3, rows, &count));
    CHECK_INT(1, count);
    CHECK_INT(second.id, rows[0].id);
    OK(store_load_sweeps(store, second.id, 3, rows, &count));
    CHECK_INT(0, count);
    store_close(store);
}

TEST(canceling_what_is_pending_goes_on_where_it_left)
{
    struct store *store = suite_new();
    int64_t task = a_task(store, "t");
    BEGIN();
    for (int64_t i = 1; i <= 7; i++) {
        struct run run = run_of(task, i, i);
        OK(store_add_run(store, &run));
    }
    run_id ids[3];
    size_t count, seen = 0;
    do {
        OK(store_cancel_pending(store, task, (run_id){INT64_MAX}, false, "deleted", at(30), 3, ids,
                                &count));
        for (size_t i = 0; i < count; i++)
            CHECK_INT(++seen, ids[i].value);
    } while (count == 3);
    COMMIT();
    CHECK_INT(7, seen);
    store_close(store);
}

TESTS_MAIN
