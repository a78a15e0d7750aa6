/*
 * suite - what any store must do
 *
 * Every file of tests/store/ is written against store.h and reader.h alone and opens its store
 * here, so that another store stands behind the whole suite by changing suite_open and
 * suite_open_reader. What only SQLite can get wrong (files, locks, versions) is
 * tests/unit/sqlite.c.
 */
#pragma once

#include <ftw.h>
#include <stdbool.h>
#include <unistd.h>

#include "base/memory.h"
#include "store/reader.h"
#include "store/store.h"
#include "test.h"

static char suite_why[500];

__attribute__((unused)) static enum status suite_open(const char *where, struct store **ret)
{
    return store_open_sqlite(where, ret, suite_why, sizeof suite_why);
}

__attribute__((unused)) static enum status suite_open_reader(const char *where, struct reader **ret)
{
    return reader_open_sqlite(where, ret, suite_why, sizeof suite_why);
}

// --- a place for stores: one folder for the program, removed at its end ---

static char suite_folder[] = "/tmp/punctual-store-XXXXXX";
static char suite_path[200]; // of the store of the test under way

static int suite_remove(const char *path, const struct stat *stat, int kind, struct FTW *at)
{
    (void)stat, (void)kind, (void)at;
    return remove(path);
}

static void suite_leave(void)
{
    nftw(suite_folder, suite_remove, 8, FTW_DEPTH | FTW_PHYS);
}

// A path that nothing is at yet.
__attribute__((unused)) static const char *suite_new_path(void)
{
    static int count;
    if (count++ == 0) {
        if (!mkdtemp(suite_folder))
            abort();
        atexit(suite_leave);
    }
    snprintf(suite_path, sizeof suite_path, "%s/%d.db", suite_folder, count);
    return suite_path;
}

// A new, empty store.
__attribute__((unused)) static struct store *suite_new(void)
{
    struct store *store = NULL;
    if (suite_open(suite_new_path(), &store) != STATUS_OK)
        TEST_FAIL("cannot open: %s", suite_why);
    return store;
}

// Closes it and opens it again, as the next start does.
__attribute__((unused)) static struct store *suite_again(struct store *store)
{
    store_close(store);
    store = NULL;
    if (suite_open(suite_path, &store) != STATUS_OK)
        TEST_FAIL("cannot open again: %s", suite_why);
    return store;
}

__attribute__((unused)) static struct reader *suite_reader(void)
{
    struct reader *reader = NULL;
    if (suite_open_reader(suite_path, &reader) != STATUS_OK)
        TEST_FAIL("cannot open for reading: %s", suite_why);
    return reader;
}

#define OK(call) CHECK_INT(STATUS_OK, call)
#define BEGIN() OK(store_begin(store))
#define COMMIT() OK(store_commit(store))

// --- samples ---

#define T0 (INT64_C(1774746000) * SECOND)

__attribute__((unused)) static wall at(int64_t seconds)
{
    return (wall){T0 + seconds * SECOND};
}

// A one-off that is due `seconds` after T0.
__attribute__((unused)) static struct run one_off(int64_t id, int64_t seconds)
{
    return (struct run){
        .id = {id},
        .state = RUN_SCHEDULED,
        .trigger = TRIGGER_API,
        .scheduled_for = at(seconds),
        .due_at = at(seconds),
        .started_at = WALL_NONE,
        .finished_at = WALL_NONE,
        .attempt_started_at = WALL_NONE,
        .lane = UINT64_C(0xf000000000000001),
    };
}

__attribute__((unused)) static struct run run_of(int64_t task, int64_t id, int64_t seconds)
{
    struct run run = one_off(id, seconds);
    run.task = task;
    return run;
}

// What a schedule made.
__attribute__((unused)) static struct run occurrence_of(int64_t task, int generation, int64_t id,
                                                        int64_t seconds)
{
    struct run run = run_of(task, id, seconds);
    run.trigger = TRIGGER_SCHEDULE;
    run.generation = generation;
    return run;
}

// A task that is saved in a turn of its own; its row.
__attribute__((unused)) static int64_t a_task(struct store *store, const char *name)
{
    struct task_record record = {.name = memory_text(name),
                                 .generation = 1,
                                 .paused_at = WALL_NONE,
                                 .created_at = WALL_NONE,
                                 .definition = memory_text("{\"a\":1}"),
                                 .definition_size = 7};
    struct edit edit = {.at = at(0), .changed = "[]"};
    BEGIN();
    OK(store_save_task(store, &record, &edit));
    COMMIT();
    int64_t id = record.id;
    task_record_done(&record);
    return id;
}

// Runs added in a turn of their own.
__attribute__((unused)) static void add_runs(struct store *store, const struct run *runs,
                                             size_t count)
{
    BEGIN();
    for (size_t i = 0; i < count; i++)
        OK(store_add_run(store, &runs[i]));
    COMMIT();
}

__attribute__((unused)) static struct attempt attempt_at(int64_t run, int number, int64_t fence)
{
    struct attempt attempt;
    attempt_init(&attempt);
    attempt.run = (run_id){run};
    attempt.number = number;
    attempt.fence = fence;
    attempt.started_at = at(number);
    return attempt;
}

// Brings run `id`, just added, into `state`, by the verbs alone.
__attribute__((unused)) static void bring_to(struct store *store, int64_t id, enum run_state state)
{
    struct verdict verdict = {.state = state, .due_at = at(50)};
    if (state == RUN_CANCELED || state == RUN_MISSED || state == RUN_SKIPPED)
        OK(store_end_run(store, (run_id){id}, state, "so", at(9)));
    else if (state != RUN_SCHEDULED)
        OK(store_start_run(store, (run_id){id}, at(1), 0, 1));
    if (state == RUN_WAITING || state == RUN_SUCCEEDED || state == RUN_FAILED) {
        struct attempt attempt = attempt_at(id, 1, 1);
        attempt.outcome = state == RUN_SUCCEEDED ? ATTEMPT_SUCCEEDED : ATTEMPT_FAILED;
        OK(store_finish_attempt(store, &attempt, &verdict, at(9)));
    }
}

__attribute__((unused)) static enum run_state state_of(struct store *store, int64_t id)
{
    struct run run;
    OK(store_find_run(store, (run_id){id}, &run));
    enum run_state state = run.state;
    run_done(&run);
    return state;
}
