// Copies of the store: of one moment, verified, never over anything; and what a restore fences off.
#include "store/backup.h"

#include <sys/stat.h>
#include <sys/wait.h>

#include "../store/suite.h"

static char copy_path[300], why[600];

static const char *copy_of_suite(void)
{
    static int count;
    snprintf(copy_path, sizeof copy_path, "%s.copy%d", suite_path, count++);
    return copy_path;
}

static bool is_there(const char *path)
{
    struct stat stat_;
    return stat(path, &stat_) == 0;
}

static enum status back_up(struct backup_result *ret)
{
    return backup_make(suite_path, copy_of_suite(), ret, why, sizeof why);
}

static enum status restore(bool force, struct restore_result *ret)
{
    return backup_restore(copy_path, suite_path, force, at(100), ret, why, sizeof why);
}

// A task, a run that is running, one that waits, one that is scheduled, one that succeeded.
static struct store *a_full_store(void)
{
    struct store *store = suite_new();
    struct run runs[] = {one_off(1, 0), one_off(2, 0), one_off(3, 0), one_off(4, 0)};
    a_task(store, "a");
    add_runs(store, runs, 4);
    BEGIN();
    bring_to(store, 1, RUN_RUNNING);
    bring_to(store, 2, RUN_WAITING);
    bring_to(store, 4, RUN_SUCCEEDED);
    COMMIT();
    return store;
}

TEST(a_backup_of_a_store_in_use_is_whole)
{
    struct store *store = a_full_store();
    struct backup_result copied;
    OK(back_up(&copied));
    CHECK_INT(1, copied.tasks);
    CHECK_INT(4, copied.runs);
    CHECK_INT(2, copied.attempts);
    struct stat stat_;
    CHECK_INT(0, stat(copy_path, &stat_));
    CHECK_INT(0600, stat_.st_mode & 0777);
    CHECK_INT(copied.bytes, stat_.st_size);
    struct reader *reader = NULL;
    OK(suite_open_reader(copy_path, &reader));
    int64_t counts[RUN_STATE_COUNT];
    OK(reader_count_runs(reader, counts));
    CHECK_INT(1, counts[RUN_SUCCEEDED]);
    reader_close(reader);
    // The store goes on as before.
    struct run more = one_off(9, 9);
    add_runs(store, &more, 1);
    store_close(store);
}

TEST(a_backup_writes_over_nothing)
{
    struct store *store = a_full_store();
    struct backup_result copied;
    OK(back_up(&copied));
    CHECK_INT(STATUS_CONFLICT, backup_make(suite_path, copy_path, &copied, why, sizeof why));
    CHECK_HAS("is there already", why);
    store_close(store);
}

TEST(a_backup_of_what_is_no_store_leaves_nothing)
{
    struct backup_result copied;
    suite_new_path();
    CHECK_INT(STATUS_FAILED, back_up(&copied));
    CHECK_HAS("No such file", why);
    CHECK(!is_there(copy_path));
    FILE *file = fopen(suite_path, "we");
    fputs("nothing of that kind, but long enough for a header of a database file, which has 100 "
          "bytes and more",
          file);
    fclose(file);
    CHECK_INT(STATUS_INVALID, back_up(&copied));
    CHECK_HAS("is no database of punctual", why);
    CHECK(!is_there(copy_path));
}

TEST(a_store_is_restored_where_there_is_none)
{
    struct backup_result copied;
    struct restore_result restored;
    store_close(a_full_store());
    OK(back_up(&copied));
    suite_new_path();
    OK(restore(false, &restored));
    CHECK_INT(4, restored.copied.runs);
    CHECK_INT(1, restored.running);
    CHECK_TEXT("", restored.aside);
    struct store *store = NULL;
    OK(suite_open(suite_path, &store));
    CHECK_INT(RUN_SUCCEEDED, state_of(store, 4));
    store_close(store);
}

TEST(a_store_in_use_is_not_restored)
{
    struct backup_result copied;
    struct restore_result restored;
    struct store *store = a_full_store();
    OK(back_up(&copied));
    CHECK_INT(STATUS_CONFLICT, restore(true, &restored));
    CHECK_HAS("another punctual has", why);
    store_close(store);
}

TEST(a_store_that_is_there_is_moved_aside_only_when_told)
{
    struct backup_result copied;
    struct restore_result restored;
    struct store *store = a_full_store();
    OK(back_up(&copied));
    struct run later = one_off(5, 0);
    add_runs(store, &later, 1);
    store_close(store);
    CHECK_INT(STATUS_CONFLICT, restore(false, &restored));
    CHECK_HAS("--force", why);
    OK(restore(true, &restored));
    CHECK(is_there(restored.aside));
    OK(suite_open(suite_path, &store));
    struct run run;
    CHECK_INT(STATUS_NOT_FOUND, store_find_run(store, (run_id){5}, &run));
    store_close(store);
    OK(suite_open(restored.aside, &store));
    CHECK_INT(RUN_SCHEDULED, state_of(store, 5));
    store_close(store);
}

// A process that dies in the middle of its work: its log is left beside the file.
TEST(the_log_of_a_store_that_crashed_is_not_taken_for_the_new_ones)
{
    struct backup_result copied;
    struct restore_result restored;
    store_close(a_full_store());
    OK(back_up(&copied));
    pid_t child = fork();
    if (child == 0) {
        struct store *store = NULL;
        struct run later = one_off(5, 0);
        _exit(suite_open(suite_path, &store) == STATUS_OK && store_begin(store) == STATUS_OK &&
                      store_add_run(store, &later) == STATUS_OK && store_commit(store) == STATUS_OK
                  ? 0
                  : 1);
    }
    int status;
    waitpid(child, &status, 0);
    CHECK_INT(0, status);
    OK(restore(true, &restored));
    struct store *store = NULL;
    struct run run;
    OK(suite_open(suite_path, &store));
    CHECK_INT(STATUS_NOT_FOUND, store_find_run(store, (run_id){5}, &run));
    store_close(store);
    OK(suite_open(restored.aside, &store));
    CHECK_INT(RUN_SCHEDULED, state_of(store, 5));
    store_close(store);
}

TEST(a_report_from_before_a_restore_is_refused)
{
    struct backup_result copied;
    struct restore_result restored;
    store_close(a_full_store());
    OK(back_up(&copied));
    OK(restore(true, &restored));
    struct store *store = NULL;
    OK(suite_open(suite_path, &store));
    BEGIN();
    struct attempt report = attempt_at(1, 1, 1);
    struct verdict well = {.state = RUN_SUCCEEDED};
    CHECK_INT(STATUS_CONFLICT, store_finish_attempt(store, &report, &well, at(9)));
    CHECK_INT(RUN_RUNNING, state_of(store, 1));
    // What is started from now on has a fence that none from before can have.
    OK(store_start_run(store, (run_id){3}, at(9), 0, 1));
    struct run run;
    OK(store_find_run(store, (run_id){3}, &run));
    CHECK(run.fence > restored.fence_base && run.fence > 1 << 20);
    run_done(&run);
    COMMIT();
    store_close(store);
}

TEST(fences_grow_from_restore_to_restore)
{
    struct backup_result copied;
    struct restore_result first, second;
    store_close(a_full_store());
    OK(back_up(&copied));
    OK(restore(true, &first));
    // The same backup, in the same millisecond: the store that is replaced is passed as well.
    OK(backup_restore(copy_path, suite_path, true, at(101), &second, why, sizeof why));
    CHECK(second.fence_base >= first.fence_base + 1000);
    OK(backup_restore(copy_path, suite_path, true, at(-100000), &first, why, sizeof why));
    CHECK(first.fence_base > second.fence_base);
}

TEST(the_events_of_a_restored_store_have_new_numbers)
{
    struct backup_result copied;
    struct restore_result restored;
    struct store *store = a_full_store();
    BEGIN();
    OK(store_add_journal(store, 7, at(1), "{}\n", 3));
    COMMIT();
    OK(back_up(&copied));
    store_close(store);
    OK(restore(true, &restored));
    struct reader *reader = suite_reader();
    int64_t oldest, newest;
    OK(reader_journal_range(reader, &oldest, &newest));
    CHECK_INT(7, oldest);
    CHECK(newest > 1000000);
    reader_close(reader);
}

TEST(a_damaged_backup_is_refused)
{
    struct backup_result copied;
    struct restore_result restored;
    struct store *store = a_full_store();
    char garbage[8192];
    memset(garbage, 'x', sizeof garbage);
    OK(back_up(&copied));
    store_close(store);
    FILE *file = fopen(copy_path, "r+e");
    fseek(file, 4096 * 3, SEEK_SET);
    fwrite(garbage, 1, sizeof garbage, file);
    fclose(file);
    CHECK(restore(true, &restored) != STATUS_OK);
    OK(suite_open(suite_path, &store));
    CHECK_INT(RUN_SUCCEEDED, state_of(store, 4));
    store_close(store);
}

TESTS_MAIN
