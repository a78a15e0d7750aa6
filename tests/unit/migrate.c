// From the first schema to the newest: nothing is lost on the way, and a crash leaves one or the
// other.
#include "store/migrate.h"

#include <signal.h>
#include <sys/wait.h>

#include "../store/suite.h"
#include "store/reader_audit.h"

#define OLD_RUNS 3000

static void must(sqlite3 *db, const char *sql)
{
    char *words = NULL;
    if (sqlite3_exec(db, sql, NULL, NULL, &words) != SQLITE_OK)
        TEST_FAIL("%s: %s", sql, words);
}

static sqlite3 *open_raw(void)
{
    sqlite3 *db;
    CHECK_INT(SQLITE_OK, sqlite3_open(suite_path, &db));
    return db;
}

static int64_t ask(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *q;
    CHECK_INT(SQLITE_OK, sqlite3_prepare_v2(db, sql, -1, &q, NULL));
    CHECK_INT(SQLITE_ROW, sqlite3_step(q));
    int64_t n = sqlite3_column_int64(q, 0);
    sqlite3_finalize(q);
    return n;
}

static bool is_whole(sqlite3 *db)
{
    sqlite3_stmt *q;
    CHECK_INT(SQLITE_OK, sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &q, NULL));
    CHECK_INT(SQLITE_ROW, sqlite3_step(q));
    bool ok = strcmp((const char *)sqlite3_column_text(q, 0), "ok") == 0;
    sqlite3_finalize(q);
    return ok;
}

// A store as the first version left it: runs in every state, with attempts, tasks and one-offs.
static void make_first_version(void)
{
    char sql[300];
    suite_new_path();
    sqlite3 *db = open_raw();
    must(db, "PRAGMA journal_mode = WAL; BEGIN;");
    must(db, migrations[0].sql);
    snprintf(sql, sizeof sql, "PRAGMA application_id = %d; PRAGMA user_version = 1;",
             STORE_APPLICATION_ID);
    must(db, sql);
    must(db, "INSERT INTO tasks (id, name, revision, revision_id, generation, deleted, created_at,"
             " changed_at) VALUES (1, 'a', 1, 1, 1, 0, 1, 1);"
             "INSERT INTO revisions (id, task_id, number, hash, made_at, definition) VALUES"
             " (1, 1, 1, 0, 1, '{\"command\":{\"argv\":[\"true\"]}}'),"
             " (2, NULL, 0, 7, 1, '{\"command\":{\"argv\":[\"false\"]}}');"
             "INSERT INTO audit (task_id, revision, at, what, changed)"
             " VALUES (1, 1, 1, 'created', '[]');"
             "INSERT INTO settings VALUES ('signing_secret', 'kept');");
    for (int i = 1; i <= OLD_RUNS; i++) {
        int state = i % 9 == 1 ? 0 : i % 9;
        snprintf(sql, sizeof sql,
                 "INSERT INTO runs VALUES (%d, %s, %d, 0, %d, 1, %d, %d, NULL, %d, NULL, %s, NULL,"
                 " 1, NULL, 'so', NULL)",
                 i, i % 2 ? "1" : "NULL", i % 2 ? 1 : 2, state, state == 4, state == 4, i,
                 state > 3 ? "5" : "NULL");
        must(db, sql);
        if (state == 4) {
            snprintf(sql, sizeof sql,
                     "INSERT INTO attempts (run_id, number, fence, outcome, cache)"
                     " VALUES (%d, 1, 1, 0, 0)",
                     i);
            must(db, sql);
        }
    }
    must(db, "COMMIT");
    sqlite3_close(db);
}

static void check_all_is_there(sqlite3 *db)
{
    CHECK(is_whole(db));
    CHECK_INT(OLD_RUNS, ask(db, "SELECT count(*) FROM runs"));
    CHECK_INT(ask(db, "SELECT count(*) FROM runs WHERE state = 4"),
              ask(db, "SELECT count(*) FROM attempts"));
    CHECK_INT(1, ask(db, "SELECT count(*) FROM settings WHERE value = 'kept'"));
}

// Opened by this version, it is audited as it stands.
static void check_it_serves(void)
{
    struct store *store = NULL;
    if (suite_open(suite_path, &store) != STATUS_OK)
        TEST_FAIL("cannot open: %s", suite_why);
    struct run more = one_off(OLD_RUNS + 1, 0);
    add_runs(store, &more, 1);
    struct reader *reader = suite_reader();
    struct books books;
    struct counted_runs counted;
    int64_t live;
    OK(reader_books(reader, &books));
    OK(reader_count_live(reader, &live));
    OK(reader_count_all(reader, &counted));
    CHECK_INT(OLD_RUNS + 1, books.entered[RUN_SCHEDULED]);
    CHECK_INT(live, books_live(&books));
    for (unsigned i = RUN_SUCCEEDED; i < RUN_STATE_COUNT; i++)
        CHECK_INT(counted.in[i], books.entered[i]);
    reader_close(reader);
    store_close(store);
    sqlite3 *db = open_raw();
    CHECK_INT(migrations[migration_count - 1].number, ask(db, "PRAGMA user_version"));
    CHECK_INT(OLD_RUNS / 2, ask(db, "SELECT uses FROM definition_uses WHERE revision_id = 2"));
    sqlite3_close(db);
}

TEST(the_numbers_of_migrations_only_grow)
{
    for (size_t i = 1; i < migration_count; i++)
        CHECK(migrations[i].number > migrations[i - 1].number);
    CHECK_INT(1, migrations[0].number);
}

TEST(a_store_of_the_first_version_is_brought_to_the_newest_with_all_that_is_in_it)
{
    make_first_version();
    check_it_serves();
    sqlite3 *db = open_raw();
    must(db, "DELETE FROM runs WHERE id > 3000");
    check_all_is_there(db);
    sqlite3_close(db);
}

// --- a crash in the middle ---

static int steps_left;

static int die_in_time(void *context)
{
    (void)context;
    if (steps_left-- <= 0)
        kill(getpid(), SIGKILL);
    return 0;
}

// A process that migrates and is killed after so many hundreds of instructions. True: it was done
// before.
static bool migrate_and_die(int steps)
{
    pid_t child = fork();
    if (child == 0) {
        sqlite3 *db;
        char why[300];
        if (sqlite3_open(suite_path, &db) != SQLITE_OK)
            _exit(2);
        steps_left = steps;
        sqlite3_progress_handler(db, 100, die_in_time, NULL);
        _exit(migrate_up(db, suite_path, 1, why, sizeof why) == STATUS_OK ? 0 : 3);
    }
    int status = -1;
    CHECK_INT(child, waitpid(child, &status, 0));
    CHECK(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
    return WIFEXITED(status);
}

TEST(a_migration_that_is_killed_leaves_one_version_or_the_next)
{
    int kills = 0, newest = migrations[migration_count - 1].number;
    make_first_version();
    // Each goes a bit further than the one before; a version that was reached stays.
    for (int steps = 0; !migrate_and_die(steps); steps += 1 + steps / 4) {
        kills++;
        sqlite3 *db = open_raw();
        int64_t version = ask(db, "PRAGMA user_version");
        bool known = false;
        for (size_t i = 0; i < migration_count; i++)
            known |= migrations[i].number == version;
        CHECK(known);
        check_all_is_there(db);
        sqlite3_close(db);
        if (version != 1)
            make_first_version();
        if (version == newest)
            break;
    }
    CHECK(kills > 5);
    check_it_serves();
}

TESTS_MAIN
