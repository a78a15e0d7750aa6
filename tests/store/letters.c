// Dead letters, the open runs of a task, and what is still to be told.
#include "suite.h"

// Four failed runs, two of them of a task; ids 1 to 4, failed at 9 seconds after T0.
static struct store *four_failed(int64_t *ret_task)
{
    struct store *store = suite_new();
    int64_t task = a_task(store, "nightly");
    struct run runs[] = {one_off(1, 1), run_of(task, 2, 1), one_off(3, 1), run_of(task, 4, 1)};
    add_runs(store, runs, 4);
    BEGIN();
    for (int64_t id = 1; id <= 4; id++)
        bring_to(store, id, RUN_FAILED);
    COMMIT();
    *ret_task = task;
    return store;
}

#define OPEN .from = {INT64_MIN}, .to = {INT64_MAX} // not set
static const struct dead_filter all = {OPEN};
static const struct dead_filter nightly = {OPEN, .task = "nightly"};

static void check_dead(const struct dead_filter *filter, const int64_t *ids, size_t count)
{
    struct reader *reader = suite_reader();
    struct dead_letter letters[10];
    run_id oldest[10];
    size_t found = 0;
    OK(reader_list_dead(reader, filter, (run_id){0}, 10, letters, &found));
    CHECK_INT(count, found);
    for (size_t i = 0; i < found; i++) {
        CHECK_INT(ids[count - 1 - i], letters[i].run.id.value);
        CHECK_INT(1, letters[i].last.number);
        CHECK_INT(ATTEMPT_FAILED, letters[i].last.outcome);
        dead_letter_done(&letters[i]);
    }
    OK(reader_oldest_dead(reader, filter, 10, oldest, &found));
    CHECK_INT(count, found);
    for (size_t i = 0; i < found; i++)
        CHECK_INT(ids[i], oldest[i].value);
    OK(reader_count_dead(reader, filter, 10, &found));
    CHECK_INT(count, found);
    if (filter == &all) {
        OK(reader_count_open_dead(reader, 10, &found));
        CHECK_INT(count, found);
        OK(reader_count_open_dead(reader, 2, &found));
        CHECK_INT(count < 2 ? count : 2, found);
    }
    reader_close(reader);
}

#define CHECK_DEAD(filter, ...)                   \
    check_dead(&filter, (int64_t[]){__VA_ARGS__}, \
               sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t))

TEST(a_failed_run_is_dead_until_it_is_handled_and_that_once)
{
    int64_t task;
    struct store *store = four_failed(&task);
    CHECK_DEAD(all, 1, 2, 3, 4);
    CHECK_DEAD(nightly, 2, 4);
    BEGIN();
    OK(store_handle_run(store, (run_id){2}, "{\"how\":\"discarded\"}"));
    CHECK_INT(STATUS_CONFLICT, store_handle_run(store, (run_id){2}, "{}"));
    CHECK_INT(STATUS_CONFLICT, store_handle_run(store, (run_id){99}, "{}"));
    COMMIT();
    CHECK_DEAD(all, 1, 3, 4);
    CHECK_DEAD(nightly, 4);
    struct run run;
    OK(store_find_run(store, (run_id){2}, &run));
    CHECK_TEXT("{\"how\":\"discarded\"}", run.handled);
    CHECK_INT(RUN_FAILED, run.state);
    run_done(&run);
    store_close(store);
}

TEST(a_run_that_has_not_failed_cannot_be_handled)
{
    struct store *store = suite_new();
    static const enum run_state others[] = {RUN_SCHEDULED, RUN_RUNNING, RUN_WAITING, RUN_SUCCEEDED,
                                            RUN_CANCELED,  RUN_MISSED,  RUN_SKIPPED};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        struct run run = one_off((int64_t)i + 1, 1);
        BEGIN();
        OK(store_add_run(store, &run));
        bring_to(store, run.id.value, others[i]);
        CHECK_INT(STATUS_CONFLICT, store_handle_run(store, run.id, "{}"));
        COMMIT();
    }
    store_close(store);
}

TEST(dead_letters_are_chosen_by_when_and_why)
{
    struct store *store = suite_new();
    struct run runs[] = {one_off(1, 1), one_off(2, 1)};
    static const char *const reasons[] = {"answered 503", "answered 404"};
    add_runs(store, runs, 2);
    BEGIN();
    for (int i = 0; i < 2; i++) {
        struct attempt attempt = attempt_at(i + 1, 1, 1);
        struct verdict verdict = {.state = RUN_FAILED, .due_at = WALL_NONE};
        attempt.outcome = ATTEMPT_FAILED;
        strcpy(verdict.reason, reasons[i]);
        OK(store_start_run(store, runs[i].id, at(1), 0, 1));
        OK(store_finish_attempt(store, &attempt, &verdict, at(10 * (i + 1))));
    }
    COMMIT();
    struct dead_filter first = {OPEN, .reason = "503"};
    struct dead_filter second = {.from = at(20), .to = WALL_NEVER};
    struct dead_filter before = {.from = WALL_NONE, .to = at(20)};
    check_dead(&first, (int64_t[]){1}, 1);
    check_dead(&second, (int64_t[]){2}, 1);
    check_dead(&before, (int64_t[]){1}, 1);
    struct dead_filter none = {OPEN, .reason = "500"};
    check_dead(&none, NULL, 0);
    struct reader *reader = suite_reader();
    size_t count;
    none.task = "nobody";
    CHECK_INT(STATUS_NOT_FOUND, reader_count_dead(reader, &none, 10, &count));
    reader_close(reader);
    store_close(store);
}

TEST(the_newest_open_run_of_a_task_is_found_by_its_state)
{
    struct store *store = suite_new();
    int64_t task = a_task(store, "nightly"), other = a_task(store, "other");
    struct run runs[] = {run_of(task, 1, 1), run_of(task, 2, 1), run_of(task, 3, 1),
                         run_of(task, 4, 1), run_of(other, 5, 1)};
    run_id found = {0};
    add_runs(store, runs, 5);
    BEGIN();
    bring_to(store, 1, RUN_RUNNING);
    bring_to(store, 4, RUN_SUCCEEDED);
    COMMIT();
    OK(store_newest_open(store, task, RUN_SCHEDULED, &found));
    CHECK_INT(3, found.value);
    OK(store_newest_open(store, task, RUN_RUNNING, &found));
    CHECK_INT(1, found.value);
    CHECK_INT(STATUS_NOT_FOUND, store_newest_open(store, task, RUN_WAITING, &found));
    CHECK_INT(STATUS_NOT_FOUND, store_newest_open(store, other, RUN_RUNNING, &found));
    store_close(store);
}

TEST(a_notice_reads_back_as_it_was_put_last)
{
    struct store *store = suite_new();
    struct notice notice = {.task = 7, .told_at = WALL_NONE, .due_at = WALL_NONE, .well = true};
    struct notice later = {.task = 7,
                           .told_at = at(1),
                           .due_at = at(2),
                           .told_in = 13,
                           .failing = true,
                           .failed = 3,
                           .missed = 4,
                           .first = {11},
                           .last = {12},
                           .reasons = (char[]){"[{}]"}};
    struct notice other = {.task = 9, .told_at = WALL_NONE, .due_at = WALL_NONE};
    BEGIN();
    OK(store_put_notice(store, &notice));
    OK(store_put_notice(store, &other));
    OK(store_put_notice(store, &later));
    COMMIT();
    store = suite_again(store);
    struct notice found[2];
    size_t count = 0;
    OK(store_load_notices(store, 0, 1, found, &count));
    CHECK_INT(1, count);
    CHECK_INT(7, found[0].task);
    CHECK_INT(at(1).us, found[0].told_at.us);
    CHECK_INT(at(2).us, found[0].due_at.us);
    CHECK_INT(13, found[0].told_in);
    CHECK(found[0].failing && !found[0].well);
    CHECK_INT(3, found[0].failed);
    CHECK_INT(4, found[0].missed);
    CHECK_INT(11, found[0].first.value);
    CHECK_INT(12, found[0].last.value);
    CHECK_TEXT("[{}]", found[0].reasons);
    free(found[0].reasons);
    OK(store_load_notices(store, 7, 2, found, &count));
    CHECK_INT(1, count);
    CHECK_INT(WALL_NONE.us, found[0].due_at.us);
    CHECK_TEXT("[]", found[0].reasons);
    free(found[0].reasons);
    store_close(store);
}

TEST(a_webhook_reads_back_as_it_was_put_last)
{
    struct store *store = suite_new();
    struct webhook first = {.id = 3, .url = (char[]){"http://a/"}, .told_at = at(1)};
    struct webhook other = {.id = 4, .url = (char[]){"http://b/"}, .recovered_at = WALL_NONE};
    struct webhook later = {.id = 3,
                            .url = first.url,
                            .told_at = WALL_NONE,
                            .recovered_at = at(2),
                            .group = 5,
                            .cooldown_us = 6,
                            .tasks = 9,
                            .well = 8,
                            .recovered = 7,
                            .failed = 10,
                            .missed = 11,
                            .first = {12},
                            .last = {13},
                            .reasons = (char[]){"[{}]"},
                            .named = (char[]){"[{},{}]"}};
    BEGIN();
    OK(store_put_webhook(store, &first));
    OK(store_put_webhook(store, &other));
    OK(store_put_webhook(store, &later));
    COMMIT();
    store = suite_again(store);
    struct webhook found[2];
    size_t count = 0;
    OK(store_load_webhooks(store, 0, 1, found, &count));
    CHECK_INT(1, count);
    OK(store_load_webhooks(store, 3, 1, &found[1], &count));
    CHECK_INT(1, count);
    CHECK_INT(3, found[0].id);
    CHECK_TEXT("http://a/", found[0].url);
    CHECK_INT(WALL_NONE.us, found[0].told_at.us);
    CHECK_INT(at(2).us, found[0].recovered_at.us);
    CHECK(found[0].group == 5 && found[0].cooldown_us == 6);
    CHECK(found[0].tasks == 9 && found[0].well == 8 && found[0].recovered == 7);
    CHECK(found[0].failed == 10 && found[0].missed == 11);
    CHECK(found[0].first.value == 12 && found[0].last.value == 13);
    CHECK_TEXT("[{}]", found[0].reasons);
    CHECK_TEXT("[{},{}]", found[0].named);
    CHECK_TEXT("http://b/", found[1].url);
    CHECK_TEXT("[]", found[1].named);
    for (int i = 0; i < 2; i++) {
        free(found[i].url);
        free(found[i].reasons);
        free(found[i].named);
    }
    store_close(store);
}

TEST(notices_that_wait_are_found_among_the_runs)
{
    struct store *store = suite_new();
    struct run runs[6];
    enum run_state states[] = {RUN_WAITING,   RUN_SUCCEEDED, RUN_RUNNING,
                               RUN_SCHEDULED, RUN_WAITING,   RUN_WAITING};
    for (int i = 0; i < 6; i++) {
        runs[i] = one_off(i + 1, 1);
        runs[i].trigger = i == 4 ? TRIGGER_API : TRIGGER_NOTICE;
    }
    add_runs(store, runs, 6);
    BEGIN();
    for (int i = 0; i < 6; i++)
        bring_to(store, i + 1, states[i]);
    COMMIT();
    run_id found[2];
    size_t count = 0;
    OK(store_load_waiting_notices(store, (run_id){0}, 1, found, &count));
    CHECK_INT(1, count);
    CHECK_INT(1, found[0].value);
    OK(store_load_waiting_notices(store, found[0], 2, found, &count));
    CHECK_INT(1, count);
    CHECK_INT(6, found[0].value);
    struct due_row rows[6];
    OK(store_load_due(store, WALL_NONE, (run_id){0}, at(100), 6, rows, &count));
    CHECK_INT(4, count);
    for (size_t i = 0; i < count; i++)
        CHECK(rows[i].notice == (rows[i].run.value != 5));
    store_close(store);
}

TESTS_MAIN
