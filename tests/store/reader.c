// What a reader sees.
#include "suite.h"

TEST(a_reader_sees_what_is_committed_and_nothing_else)
{
    struct store *store = suite_new();
    struct reader *reader = suite_reader();
    struct run run = one_off(5, 1), found;
    BEGIN();
    OK(store_add_run(store, &run));
    CHECK_INT(STATUS_NOT_FOUND, reader_find_run(reader, run.id, &found));
    COMMIT();
    OK(reader_find_run(reader, run.id, &found));
    CHECK_INT(RUN_SCHEDULED, found.state);
    run_done(&found);
    BEGIN();
    OK(store_start_run(store, run.id, at(1), 0, 1));
    OK(reader_find_run(reader, run.id, &found));
    CHECK_INT(RUN_SCHEDULED, found.state);
    run_done(&found);
    store_rollback(store);
    reader_close(reader);
    reader_close(NULL);
    store_close(store);
}

TEST(tasks_are_listed_by_name_in_pages_without_deleted_ones)
{
    struct store *store = suite_new();
    struct reader *reader = suite_reader();
    struct task_record found[3];
    size_t count;
    a_task(store, "c");
    a_task(store, "a");
    a_task(store, "b");
    a_task(store, "gone");
    OK(store_find_task(store, "gone", &found[0]));
    found[0].deleted = true;
    BEGIN();
    OK(store_mark_task(store, &found[0], "deleted", &(struct edit){.at = at(1)}));
    COMMIT();
    task_record_done(&found[0]);
    OK(reader_list_tasks(reader, "", 2, found, &count));
    CHECK_INT(2, count);
    CHECK_TEXT("a", found[0].name);
    CHECK_TEXT("{\"a\":1}", found[0].definition);
    CHECK_TEXT("b", found[1].name);
    task_record_done(&found[0]);
    task_record_done(&found[1]);
    OK(reader_list_tasks(reader, "b", 3, found, &count));
    CHECK_INT(1, count);
    CHECK_TEXT("c", found[0].name);
    task_record_done(&found[0]);
    OK(reader_find_task(reader, "c", &found[0]));
    CHECK_INT(1, found[0].revision);
    task_record_done(&found[0]);
    CHECK_INT(STATUS_NOT_FOUND, reader_find_task(reader, "gone", &found[0]));
    CHECK_INT(STATUS_NOT_FOUND, reader_find_task(reader, "never", &found[0]));
    reader_close(reader);
    store_close(store);
}

TEST(the_history_of_edits_is_newest_first_and_says_who_what_and_why)
{
    static const struct {
        const char *what, *author, *note, *changed, *definition;
        int number;
    } expected[] = {
        {"created", NULL, NULL, "[]", "{\"v\":4}", 4}, // after it was deleted
        {"deleted", "bob", NULL, "[]", "{\"v\":3}", 3},
        {"rolled back", "ann", "too slow", "[3]", "{\"v\":3}", 3},
        {"paused", "ann", "holidays", "[]", "{\"v\":2}", 2},
        {"changed", "ann", "faster", "[2]", "{\"v\":2}", 2},
        {"created", NULL, NULL, "[]", "{\"v\":1}", 1},
    };
    struct store *store = suite_new();
    struct reader *reader = suite_reader();
    char definition[] = "{\"v\":1}";
    struct task_record record = {.name = "t",
                                 .paused_at = WALL_NONE,
                                 .created_at = WALL_NONE,
                                 .definition = definition,
                                 .definition_size = 7};
    BEGIN();
    OK(store_save_task(store, &record, &(struct edit){.at = at(1), .changed = "[]"}));
    definition[5] = '2';
    OK(store_save_task(store, &record, &(struct edit){at(2), "ann", "faster", "[2]", 0}));
    OK(store_mark_task(store, &record, "paused",
                       &(struct edit){at(3), "ann", "holidays", NULL, 0}));
    definition[5] = '3';
    OK(store_save_task(store, &record, &(struct edit){at(4), "ann", "too slow", "[3]", 1}));
    record.deleted = true;
    OK(store_mark_task(store, &record, "deleted", &(struct edit){at(5), "bob", NULL, NULL, 0}));
    definition[5] = '4';
    record.deleted = false;
    OK(store_save_task(store, &record, &(struct edit){.at = at(6), .changed = "[]"}));
    COMMIT();
    struct revision_record found[4];
    int64_t before = INT64_MAX;
    size_t count, seen = 0;
    do {
        OK(reader_list_revisions(reader, "t", before, 4, found, &count));
        for (size_t i = 0; i < count; i++, seen++) {
            CHECK(seen < 6);
            CHECK_TEXT(expected[seen].what, found[i].what);
            CHECK_INT(expected[seen].number, found[i].number);
            CHECK_INT(at(6 - (int64_t)seen).us, found[i].at.us);
            CHECK_TEXT(expected[seen].changed, found[i].changed);
            CHECK_TEXT(expected[seen].definition, found[i].definition);
            CHECK_INT(7, found[i].definition_size);
            CHECK(!expected[seen].author == !found[i].author);
            CHECK(!expected[seen].note == !found[i].note);
            if (expected[seen].author)
                CHECK_TEXT(expected[seen].author, found[i].author);
            if (expected[seen].note)
                CHECK_TEXT(expected[seen].note, found[i].note);
            CHECK(found[i].id < before);
            before = found[i].id;
            revision_record_done(&found[i]);
        }
    } while (count == 4);
    CHECK_INT(6, seen);
    CHECK_INT(STATUS_NOT_FOUND,
              reader_list_revisions(reader, "never", INT64_MAX, 4, found, &count));
    char *text = NULL;
    size_t size = 0;
    OK(reader_find_revision(reader, "t", 2, &text, &size));
    CHECK_TEXT("{\"v\":2}", text);
    free(text);
    CHECK_INT(STATUS_NOT_FOUND, reader_find_revision(reader, "t", 9, &text, &size));
    CHECK_INT(STATUS_NOT_FOUND, reader_find_revision(reader, "never", 1, &text, &size));
    reader_close(reader);
    store_close(store);
}

TEST(attempts_read_back_in_order_with_every_number)
{
    struct store *store = suite_new();
    struct reader *reader = suite_reader();
    struct run run = one_off(5, 1);
    struct attempt known = {
        .run = {5},
        .number = 1,
        .fence = 1,
        .started_at = at(2),
        .lateness_us = 0,
        .response_time_us = 11,
        .dns_us = 12,
        .connect_us = 13,
        .tls_us = 14,
        .first_byte_us = 15,
        .outcome = ATTEMPT_FAILED,
        .status = 503,
        .error = "the endpoint answered 503 \xe2\x80\xa6",
        .cache = CACHE_COLD,
        .db_calls = 0,
        .db_time_us = 17,
        .response = "a\0\xff",
        .response_size = 3,
    };
    struct attempt unknown = attempt_at(5, 2, 2), *found = NULL;
    unknown.outcome = ATTEMPT_LOST;
    unknown.response = "";
    struct verdict verdict = {.state = RUN_WAITING, .due_at = at(3)};
    size_t count = 9;
    OK(reader_list_attempts(reader, run.id, &found, &count));
    CHECK_INT(0, count);
    free(found);
    add_runs(store, &run, 1);
    BEGIN();
    OK(store_start_run(store, run.id, at(2), 0, 1));
    OK(store_finish_attempt(store, &known, &verdict, at(3)));
    OK(store_start_run(store, run.id, at(3), 0, 1));
    OK(store_finish_attempt(store, &unknown, &verdict, at(3)));
    COMMIT();
    OK(reader_list_attempts(reader, run.id, &found, &count));
    CHECK_INT(2, count);
    CHECK_INT(5, found[0].run.value);
    CHECK_INT(1, found[0].number);
    CHECK_INT(1, found[0].fence);
    CHECK_INT(at(2).us, found[0].started_at.us);
    CHECK_INT(0, found[0].lateness_us);
    CHECK_INT(11, found[0].response_time_us);
    CHECK_INT(12, found[0].dns_us);
    CHECK_INT(13, found[0].connect_us);
    CHECK_INT(14, found[0].tls_us);
    CHECK_INT(15, found[0].first_byte_us);
    CHECK_INT(ATTEMPT_FAILED, found[0].outcome);
    CHECK_INT(503, found[0].status);
    CHECK_TEXT(known.error, found[0].error);
    CHECK_INT(CACHE_COLD, found[0].cache);
    CHECK_INT(0, found[0].db_calls);
    CHECK_INT(17, found[0].db_time_us);
    CHECK_INT(3, found[0].response_size);
    CHECK(memcmp("a\0\xff", found[0].response, 4) == 0);
    CHECK_INT(2, found[1].number);
    CHECK_INT(-1, found[1].lateness_us);
    CHECK_INT(-1, found[1].response_time_us);
    CHECK_INT(-1, found[1].first_byte_us);
    CHECK_INT(-1, found[1].status);
    CHECK_INT(-1, found[1].db_calls);
    CHECK(!found[1].error);
    CHECK_TEXT("", found[1].response);
    attempt_done(&found[0]);
    attempt_done(&found[1]);
    free(found);
    reader_close(reader);
    store_close(store);
}

// --- figures ---

// One attempt of a run of its own.
static void tried(struct store *store, int64_t task, int64_t id, struct attempt attempt)
{
    struct run run = run_of(task, id, 1);
    struct verdict verdict = {.state = RUN_SUCCEEDED};
    attempt.run = run.id;
    attempt.number = 1;
    attempt.fence = 1;
    OK(store_add_run(store, &run));
    OK(store_start_run(store, run.id, at(1), 0, 1));
    OK(store_finish_attempt(store, &attempt, &verdict, at(2)));
}

TEST(figures_of_a_task_without_attempts_are_unknown)
{
    struct store *store = suite_new();
    struct reader *reader = suite_reader();
    struct task_figures figures;
    OK(reader_task_figures(reader, a_task(store, "t"), 1000, &figures));
    CHECK_INT(0, figures.attempts);
    CHECK_INT(0, figures.failed);
    CHECK_INT(-1, figures.p50_us);
    CHECK_INT(-1, figures.p95_us);
    CHECK_INT(-1, figures.db_calls_p50);
    reader_close(reader);
    store_close(store);
}

TEST(figures_are_of_the_newest_thousand_attempts)
{
    struct store *store = suite_new();
    struct reader *reader = suite_reader();
    int64_t task = a_task(store, "t"), other = a_task(store, "u");
    struct attempt attempt;
    attempt_init(&attempt);
    BEGIN();
    for (int64_t id = 1; id <= 1100; id++) { // the first hundred would spoil every figure
        attempt.outcome = id <= 100 || id % 10 == 0 ? ATTEMPT_TIMED_OUT : ATTEMPT_SUCCEEDED;
        attempt.response_time_us = id <= 100 ? 1000000 : id % 100 == 0 ? -1 : id - 100;
        attempt.cache = id <= 100 ? CACHE_UNKNOWN : id <= 300 ? CACHE_WARM : CACHE_COLD;
        attempt.db_calls = id > 1095 ? id - 1095 : -1;
        tried(store, task, id, attempt);
    }
    attempt.response_time_us = 77;
    tried(store, other, 2000, attempt);
    COMMIT();
    struct task_figures figures;
    OK(reader_task_figures(reader, task, 1000, &figures));
    CHECK_INT(1000, figures.attempts);
    CHECK_INT(100, figures.failed);
    CHECK_INT(200, figures.cache_warm);
    CHECK_INT(800, figures.cache_cold);
    CHECK_INT(0, figures.cache_unknown);
    // 990 times are known: 1 to 1000 without the hundreds. The 495th and the 941st smallest of
    // them.
    CHECK_INT(499, figures.p50_us);
    CHECK_INT(950, figures.p95_us);
    CHECK_INT(3, figures.db_calls_p50);
    OK(reader_task_figures(reader, other, 1000, &figures));
    CHECK_INT(1, figures.attempts);
    CHECK_INT(77, figures.p50_us);
    CHECK_INT(77, figures.p95_us);
    reader_close(reader);
    store_close(store);
}

TEST(the_books_count_every_run_by_its_stored_state)
{
    struct store *store = suite_new();
    struct reader *reader = suite_reader();
    int64_t counts[RUN_STATE_COUNT];
    BEGIN();
    int64_t id = 0;
    for (int state = 0; state < RUN_STATE_COUNT; state++)
        for (int i = 0; i <= state && state != RUN_DUE; i++) {
            struct run run = one_off(++id, 1);
            OK(store_add_run(store, &run));
            bring_to(store, id, (enum run_state)state);
        }
    COMMIT();
    OK(reader_count_runs(reader, counts));
    for (int state = 0; state < RUN_STATE_COUNT; state++)
        CHECK_INT(state == RUN_DUE ? 0 : state + 1, counts[state]);
    reader_close(reader);
    store_close(store);
}

TESTS_MAIN
