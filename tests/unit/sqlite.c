// What only the embedded store can get wrong: its file, its lock, its version, its readers.
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "../store/suite.h"
#include "store/migrate.h"

#define VERSION_AT \
    60 // in the file's header, four bytes, the highest first (SQLite file format, 1.3)
#define APPLICATION_AT 68

static void write_file(const char *path, const void *bytes, size_t size, off_t from)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    CHECK(fd >= 0);
    CHECK_INT(size, pwrite(fd, bytes, size, from));
    close(fd);
}

static void read_file(const char *path, void *bytes, size_t size, off_t from)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0);
    CHECK_INT(size, pread(fd, bytes, size, from));
    close(fd);
}

static bool same_bytes(const char *path, const void *bytes, size_t size)
{
    char found[8192];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t count = read(fd, found, sizeof found);
    close(fd);
    return count == (ssize_t)size && memcmp(found, bytes, size) == 0;
}

TEST(a_new_store_is_readable_for_its_owner_only)
{
    struct store *store = suite_new();
    static const char *const ends[] = {"", "-wal", "-shm", ".lock"};
    for (size_t i = 0; i < 4; i++) {
        char path[300];
        struct stat stat_;
        test_row = ends[i];
        snprintf(path, sizeof path, "%s%s", suite_path, ends[i]);
        CHECK_INT(0, stat(path, &stat_));
        CHECK_INT(0600, stat_.st_mode & 0777);
    }
    test_row = "";
    store_close(store);
}

TEST(a_store_is_open_once)
{
    struct store *store = suite_new(), *second = NULL;
    CHECK_INT(STATUS_CONFLICT, suite_open(suite_path, &second));
    CHECK(!second);
    CHECK_HAS("another punctual has ", suite_why);
    CHECK_HAS(suite_path, suite_why);
    char link[300];
    snprintf(link, sizeof link, "%s.link", suite_path);
    CHECK_INT(0, symlink(suite_path, link));
    CHECK_INT(STATUS_CONFLICT, suite_open(link, &second));
    store = suite_again(store);
    store_close(store);
}

TEST(a_store_is_open_in_one_process)
{
    struct store *store = suite_new();
    pid_t child = fork();
    if (child == 0) {
        struct store *second = NULL;
        _exit(suite_open(suite_path, &second) == STATUS_CONFLICT ? 0 : 1);
    }
    int status = -1;
    CHECK_INT(child, waitpid(child, &status, 0));
    CHECK_INT(0, status);
    store_close(store);
}

static enum status open_unsynced(struct store **ret)
{
    return store_open_sqlite_unsynced(suite_path, ret, suite_why, sizeof suite_why);
}

static void write_something(struct store *store)
{
    OK(store_begin(store));
    OK(store_add_journal(store, 1, (wall){1}, "{}", 2));
    OK(store_commit(store));
}

TEST(only_a_store_for_tests_is_written_without_syncs)
{
    struct store *store = suite_new();
    store_close(store);
    OK(open_unsynced(&store)); // it is empty
    write_something(store);
    store_close(store);
    CHECK_INT(STATUS_CONFLICT, open_unsynced(&store));
    CHECK_HAS("a store of its own", suite_why);
    OK(suite_open(suite_path, &store));
    OK(store_begin(store));
    OK(store_put_setting(store, STORE_TEST_CLOCK, "1"));
    OK(store_commit(store));
    store_close(store);
    OK(open_unsynced(&store)); // it is marked
    store_close(store);
}

TEST(a_newer_schema_is_refused_and_left_alone)
{
    struct store *store = suite_new();
    struct reader *reader = NULL;
    store_close(store);
    char version[4];
    read_file(suite_path, version, 4, VERSION_AT);
    write_file(suite_path, "\0\0\1\7", 4, VERSION_AT);
    CHECK_INT(STATUS_INVALID, suite_open(suite_path, &store));
    CHECK_HAS("written by a newer version (schema 263; this one knows ", suite_why);
    CHECK_INT(STATUS_INVALID, suite_open_reader(suite_path, &reader));
    CHECK_HAS("newer version", suite_why);
    write_file(suite_path, version, 4, VERSION_AT);
    OK(suite_open(suite_path, &store));
    store_close(store);
}

TEST(the_database_of_another_program_is_refused)
{
    struct store *store = suite_new();
    store_close(store);
    static const char *const others[] = {"\0\0\0\0", "Oak!"};
    for (size_t i = 0; i < 2; i++) {
        write_file(suite_path, others[i], 4, APPLICATION_AT);
        CHECK_INT(STATUS_INVALID, suite_open(suite_path, &store));
        CHECK_HAS("is the database of another program", suite_why);
    }
}

TEST(a_file_that_is_no_database_is_refused_and_left_alone)
{
    struct store *store = NULL;
    struct reader *reader = NULL;
    char garbage[5000];
    memset(garbage, 'x', sizeof garbage);
    write_file(suite_new_path(), garbage, sizeof garbage, 0);
    CHECK_INT(STATUS_INVALID, suite_open(suite_path, &store));
    CHECK_HAS("is no database of punctual", suite_why);
    CHECK_INT(STATUS_INVALID, suite_open_reader(suite_path, &reader));
    CHECK_HAS("is no database of punctual", suite_why);
    CHECK(same_bytes(suite_path, garbage, sizeof garbage));
}

TEST(an_empty_file_becomes_a_store)
{
    struct store *store = NULL;
    write_file(suite_new_path(), "", 0, 0);
    OK(suite_open(suite_path, &store));
    store_close(store);
}

TEST(a_path_that_cannot_be_is_refused_in_words)
{
    char missing[300], folder[300], long_path[6000];
    snprintf(missing, sizeof missing, "%s/missing/a.db", suite_new_path());
    suite_new_path();
    CHECK_INT(0, mkdir(suite_path, 0700));
    snprintf(folder, sizeof folder, "%s/", suite_path);
    memset(long_path, 'x', sizeof long_path - 1);
    long_path[sizeof long_path - 1] = '\0';
    const struct {
        const char *path, *words;
        enum status status;
    } rows[] = {
        {"", "is not the path of a file", STATUS_INVALID},
        {folder, "is not the path of a file", STATUS_INVALID},
        {long_path, "is not the path of a file", STATUS_INVALID},
        {missing, "cannot be used: No such file or directory", STATUS_FAILED},
        {suite_path, "cannot be", STATUS_FAILED}, // a folder
        {"/proc/punctual.db", "cannot be made", STATUS_FAILED},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct store *store = NULL;
        test_row = rows[i].words;
        CHECK_INT(rows[i].status, suite_open(rows[i].path, &store));
        CHECK(!store);
        CHECK_HAS(rows[i].words, suite_why);
    }
    test_row = "";
}

TEST(a_name_that_sqlite_takes_for_something_else_is_a_file)
{
    static const char *const names[] = {":memory:", "file:x?mode=memory"};
    char here[300];
    CHECK(getcwd(here, sizeof here));
    suite_new_path();
    CHECK_INT(0, chdir(suite_folder));
    for (size_t i = 0; i < 2; i++) {
        struct store *store = NULL;
        OK(suite_open(names[i], &store));
        CHECK_INT(0, access(names[i], F_OK));
        store_close(store);
    }
    CHECK_INT(0, chdir(here));
}

TEST(a_reader_needs_a_store_that_is_there)
{
    struct reader *reader = NULL;
    CHECK_INT(STATUS_FAILED, suite_open_reader(suite_new_path(), &reader));
    CHECK_HAS("No such file", suite_why);
    CHECK(access(suite_path, F_OK) != 0);
    write_file(suite_path, "", 0, 0);
    CHECK_INT(STATUS_INVALID, suite_open_reader(suite_path, &reader));
    CHECK_HAS("let the server open it first", suite_why);
    CHECK(!reader);
}

TEST(a_reader_outlives_the_store_and_sees_the_next_one)
{
    struct store *store = suite_new();
    struct reader *reader = suite_reader();
    struct run run = one_off(5, 1), found;
    add_runs(store, &run, 1);
    store = suite_again(store);
    OK(reader_find_run(reader, run.id, &found));
    run_done(&found);
    BEGIN();
    OK(store_start_run(store, run.id, at(1), 0, 1));
    COMMIT();
    OK(reader_find_run(reader, run.id, &found));
    CHECK_INT(RUN_RUNNING, found.state);
    run_done(&found);
    store_close(store);
    OK(reader_find_run(reader, run.id, &found));
    run_done(&found);
    reader_close(reader);
}

// A process that is killed leaves its log, and maybe half a turn.
TEST(what_was_committed_survives_a_kill_and_what_was_not_is_gone)
{
    suite_new_path();
    int ready[2];
    CHECK_INT(0, pipe(ready));
    pid_t child = fork();
    if (child == 0) {
        struct store *store = NULL;
        struct run first = one_off(1, 1), second = one_off(2, 1);
        if (suite_open(suite_path, &store) || store_begin(store) || store_add_run(store, &first) ||
            store_commit(store) || store_begin(store) || store_add_run(store, &second))
            _exit(1);
        (void)!write(ready[1], "r", 1);
        pause();
    }
    char byte;
    close(ready[1]);
    CHECK_INT(1, read(ready[0], &byte, 1));
    close(ready[0]);
    CHECK_INT(0, kill(child, SIGKILL));
    CHECK_INT(child, waitpid(child, NULL, 0));
    struct store *store = NULL;
    struct run found;
    OK(suite_open(suite_path, &store));
    CHECK_INT(RUN_SCHEDULED, state_of(store, 1));
    CHECK_INT(STATUS_NOT_FOUND, store_find_run(store, (run_id){2}, &found));
    store_close(store);
}

TESTS_MAIN
