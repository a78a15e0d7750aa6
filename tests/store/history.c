// Ended runs are kept within limits, and nothing else is touched.
#include "store/reader_audit.h"
#include "suite.h"

static struct history_place place;

static const struct history_limits nothing_kept = {.before = {INT64_MAX - 1}};

static size_t clear(struct store *store, struct history_limits limits, size_t max)
{
    struct history_cleared cleared;
    BEGIN();
    OK(store_clear_history(store, &limits, &place, max, &cleared));
    COMMIT();
    return cleared.runs;
}

static size_t clear_anew(struct store *store, struct history_limits limits)
{
    place = (struct history_place){.ended = WALL_NONE};
    return clear(store, limits, HISTORY_STEP_MAX);
}

static bool is_there(struct store *store, int64_t id)
{
    struct run run;
    enum status status = store_find_run(store, (run_id){id}, &run);
    if (status == STATUS_OK)
        run_done(&run);
    return status == STATUS_OK;
}

// One-offs 1..count that ended at their number of seconds; and a newest run, which lives.
static struct store *with_history(int64_t count)
{
    struct store *store = suite_new();
    struct run newest = one_off(count + 1, 0);
    BEGIN();
    for (int64_t id = 1; id <= count; id++) {
        struct run run = one_off(id, 0);
        OK(store_add_run(store, &run));
        OK(store_end_run(store, run.id, RUN_CANCELED, "so", at(id)));
    }
    OK(store_add_run(store, &newest));
    COMMIT();
    return store;
}

static struct history_size size_of(struct store *store)
{
    struct history_size size;
    OK(store_history_size(store, &size));
    return size;
}

TEST(what_is_past_its_time_goes_the_oldest_first)
{
    struct store *store = with_history(5);
    CHECK_INT(2, clear_anew(store, (struct history_limits){.before = at(3)}));
    for (int64_t id = 1; id <= 6; id++)
        CHECK_INT(id > 2, is_there(store, id));
    CHECK_INT(0, clear_anew(store, (struct history_limits){.before = at(3)}));
    store_close(store);
}

TEST(no_more_rows_are_kept_than_the_limit)
{
    struct store *store = with_history(9);
    struct history_limits limits = {.before = WALL_NONE, .rows = 4};
    CHECK_INT(9, size_of(store).rows);
    CHECK_INT(5, clear_anew(store, limits));
    CHECK_INT(4, size_of(store).rows);
    CHECK_INT(5, size_of(store).cleared);
    CHECK(!is_there(store, 5) && is_there(store, 6));
    store_close(store);
}

TEST(a_store_that_is_too_large_gives_up_history)
{
    struct store *store = with_history(9);
    struct history_limits limits = {.before = WALL_NONE, .bytes = size_of(store).bytes};
    CHECK_INT(0, clear_anew(store, limits));
    limits.bytes--;
    CHECK(clear_anew(store, limits) > 0);
    store_close(store);
}

TEST(no_limit_clears_nothing)
{
    struct store *store = with_history(3);
    CHECK_INT(0, clear_anew(store, (struct history_limits){.before = WALL_NONE}));
    store_close(store);
}

TEST(a_step_looks_at_no_more_than_it_may)
{
    struct store *store = with_history(9);
    place = (struct history_place){.ended = WALL_NONE};
    CHECK_INT(2, clear(store, nothing_kept, 2));
    CHECK_INT(2, clear(store, nothing_kept, 2));
    CHECK_INT(5, size_of(store).rows);
    store_close(store);
}

// One-offs 1..count, each with fifty failed attempts whose responses fill a page; and a newest run.
static struct store *with_large_history(int64_t count)
{
    struct store *store = suite_new();
    static char response[4000];
    memset(response, 'x', sizeof response);
    BEGIN();
    for (int64_t id = 1; id <= count + 1; id++) {
        struct run run = one_off(id, 0);
        OK(store_add_run(store, &run));
        for (int number = 1; id <= count && number <= 50; number++) {
            struct attempt attempt = attempt_at(id, number, number);
            struct verdict verdict = {.state = number < 50 ? RUN_WAITING : RUN_FAILED};
            attempt.response = response;
            attempt.response_size = sizeof response;
            OK(store_start_run(store, run.id, at(number), 0, 1));
            OK(store_finish_attempt(store, &attempt, &verdict, at(id)));
        }
    }
    COMMIT();
    return store;
}

TEST(a_step_clears_few_runs_where_they_are_large)
{
    struct store *store = with_large_history(20);
    struct history_cleared cleared = {.more = true};
    size_t gone = 0;
    place = (struct history_place){.ended = WALL_NONE};
    while (cleared.more) {
        BEGIN();
        OK(store_clear_history(store, &nothing_kept, &place, HISTORY_STEP_MAX, &cleared));
        COMMIT();
        CHECK(cleared.runs < 10);
        gone += cleared.runs;
    }
    CHECK_INT(20, gone);
    store_close(store);
}

TEST(live_runs_and_the_newest_of_all_stay)
{
    struct store *store = suite_new();
    struct run runs[] = {one_off(1, 0), one_off(2, 0), one_off(3, 0), one_off(4, 0)};
    add_runs(store, runs, 4);
    BEGIN();
    bring_to(store, 1, RUN_RUNNING);
    bring_to(store, 2, RUN_WAITING);
    bring_to(store, 4, RUN_SUCCEEDED);
    COMMIT();
    CHECK_INT(0, clear_anew(store, nothing_kept));
    for (int64_t id = 1; id <= 4; id++)
        CHECK(is_there(store, id));
    store_close(store);
}

TEST(a_run_that_was_canceled_waits_for_the_report_of_its_attempt)
{
    struct store *store = suite_new();
    wall now = at(0);
    int64_t id = id_from_time(now).value;
    struct run runs[] = {one_off(id, 0), one_off(id + 1, 0)};
    add_runs(store, runs, 2);
    BEGIN();
    OK(store_start_run(store, (run_id){id}, now, 0, 1));
    OK(store_end_run(store, (run_id){id}, RUN_CANCELED, "so", now));
    COMMIT();
    CHECK_INT(0, clear_anew(store, nothing_kept));
    BEGIN();
    struct attempt attempt = attempt_at(id, 1, 1);
    struct verdict verdict = {.state = RUN_FAILED};
    CHECK_INT(STATUS_CONFLICT, store_finish_attempt(store, &attempt, &verdict, now));
    COMMIT();
    CHECK_INT(1, clear_anew(store, nothing_kept));
    store_close(store);
}

TEST(the_latest_run_of_a_task_stays_until_the_task_is_deleted)
{
    struct store *store = suite_new();
    int64_t task = a_task(store, "a");
    struct run runs[] = {occurrence_of(task, 1, 1, 1), occurrence_of(task, 1, 2, 2), one_off(3, 0)};
    add_runs(store, runs, 3);
    BEGIN();
    bring_to(store, 1, RUN_SUCCEEDED);
    bring_to(store, 2, RUN_SUCCEEDED);
    COMMIT();
    CHECK_INT(1, clear_anew(store, nothing_kept));
    CHECK(!is_there(store, 1) && is_there(store, 2));
    struct task_record record;
    OK(store_find_task(store, "a", &record));
    record.deleted = true;
    BEGIN();
    OK(store_mark_task(store, &record, "deleted", &(struct edit){.at = at(9), .changed = "[]"}));
    COMMIT();
    task_record_done(&record);
    CHECK_INT(1, clear_anew(store, nothing_kept));
    CHECK(!is_there(store, 2));
    store_close(store);
}

TEST(attempts_go_with_their_run)
{
    struct store *store = suite_new();
    struct run runs[] = {one_off(1, 0), one_off(2, 0)};
    add_runs(store, runs, 2);
    BEGIN();
    bring_to(store, 1, RUN_FAILED);
    COMMIT();
    CHECK_INT(1, clear_anew(store, nothing_kept));
    struct reader *reader = suite_reader();
    struct attempt *attempts;
    size_t count;
    OK(reader_list_attempts(reader, (run_id){1}, &attempts, &count));
    CHECK_INT(0, count);
    free(attempts);
    reader_close(reader);
    store_close(store);
}

TEST(an_inline_definition_goes_with_the_last_run_that_has_it)
{
    struct store *store = suite_new();
    struct run runs[] = {one_off(1, 0), one_off(2, 0), one_off(3, 0)};
    int64_t used, kept;
    BEGIN();
    OK(store_keep_definition(store, "{\"a\":1}", 7, at(0), &used));
    OK(store_keep_definition(store, "{\"a\":2}", 7, at(0), &kept));
    runs[0].revision_id = runs[1].revision_id = used;
    runs[2].revision_id = kept;
    COMMIT();
    add_runs(store, runs, 3);
    for (int64_t id = 1; id <= 2; id++) {
        struct history_cleared cleared;
        place = (struct history_place){.ended = WALL_NONE};
        BEGIN();
        OK(store_end_run(store, (run_id){id}, RUN_CANCELED, "so", at(id)));
        OK(store_clear_history(store, &nothing_kept, &place, 9, &cleared));
        COMMIT();
        CHECK_INT(1, cleared.runs);
        CHECK_INT(id - 1, cleared.definition_count);
        char *name, *text;
        size_t size;
        enum status status = store_load_definition(store, used, &name, &text, &size);
        CHECK_INT(id == 1 ? STATUS_OK : STATUS_NOT_FOUND, status);
        if (status == STATUS_OK)
            free(text);
    }
    char *name, *text;
    size_t size;
    OK(store_load_definition(store, kept, &name, &text, &size));
    free(text);
    store_close(store);
}

TEST(a_turn_that_is_undone_leaves_the_books_as_they_were)
{
    struct store *store = with_history(3);
    struct history_cleared cleared;
    struct run more = one_off(9, 0);
    place = (struct history_place){.ended = WALL_NONE};
    BEGIN();
    OK(store_add_run(store, &more));
    OK(store_clear_history(store, &nothing_kept, &place, 9, &cleared));
    CHECK_INT(0, size_of(store).rows);
    store_rollback(store);
    CHECK_INT(3, size_of(store).rows);
    CHECK_INT(0, size_of(store).cleared);
    struct reader *reader = suite_reader();
    struct books books;
    OK(reader_books(reader, &books));
    CHECK_INT(4, books.entered[RUN_SCHEDULED]);
    CHECK_INT(1, books_live(&books));
    reader_close(reader);
    store_close(store);
}

TEST(the_books_follow_every_move)
{
    struct store *store = suite_new();
    BEGIN();
    for (int64_t id = 1; id < RUN_STATE_COUNT; id++) {
        struct run run = one_off(id, 0);
        OK(store_add_run(store, &run));
        if (id != RUN_DUE)
            bring_to(store, id, (enum run_state)id);
    }
    struct run made_missed = one_off(20, 0);
    made_missed.state = RUN_MISSED;
    made_missed.finished_at = at(0);
    OK(store_add_run(store, &made_missed));
    COMMIT();
    struct reader *reader = suite_reader();
    struct books books;
    struct counted_runs counted;
    int64_t live;
    OK(reader_books(reader, &books));
    OK(reader_count_live(reader, &live));
    OK(reader_count_all(reader, &counted));
    CHECK_INT(live, books_live(&books));
    CHECK_INT(9, books.entered[RUN_SCHEDULED]);
    CHECK_INT(2, books.entered[RUN_MISSED]);
    for (unsigned i = RUN_SUCCEEDED; i < RUN_STATE_COUNT; i++)
        CHECK_INT(counted.in[i], books.entered[i]);
    reader_close(reader);
    store_close(store);
}

TEST(it_is_known_up_to_when_runs_may_be_gone)
{
    struct store *store = with_history(5);
    struct reader *reader = suite_reader();
    wall until;
    OK(reader_cleared_until(reader, &until));
    CHECK(!wall_is_set(until));
    clear_anew(store, (struct history_limits){.before = at(3)});
    OK(reader_cleared_until(reader, &until));
    CHECK_INT(at(2).us, until.us);
    reader_close(reader);
    store_close(store);
}

TESTS_MAIN
