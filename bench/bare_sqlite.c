/*
 * bare_sqlite - what SQLite alone can do with rows like ours
 *
 * A loop of batched inserts, one transaction for each batch: WAL, synchronous=FULL, a table of runs
 * with an index by due time. The yardstick of "batch create".
 *
 *     bench-bare_sqlite --file PATH [--batch 100] [--seconds S]
 *     {"rows": 1000000, "seconds": 5.0, "cpu_s": 4.2}
 */
#include <sqlite3.h>
#include <unistd.h>

#include "bench.h"

static const char schema[] =
    "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
    "CREATE TABLE run (id INTEGER PRIMARY KEY, task INTEGER, revision_id INTEGER NOT NULL,"
    " generation INTEGER NOT NULL, state INTEGER NOT NULL, trigger INTEGER NOT NULL,"
    " scheduled_for INTEGER NOT NULL, due_at INTEGER NOT NULL, created_at INTEGER NOT NULL,"
    " attempts INTEGER NOT NULL, fence INTEGER NOT NULL, lane INTEGER NOT NULL, payload TEXT);"
    "CREATE INDEX run_due ON run (due_at, id) WHERE state IN (0, 3);";
static const char insert[] =
    "INSERT INTO run VALUES (?1, NULL, 1, 0, 0, 1, ?2, ?2, ?2, 0, 0, 77, '{\"n\":1}')";

static sqlite3 *open_store(const char *path)
{
    sqlite3 *db = NULL;
    if (sqlite3_open(path, &db) != SQLITE_OK || sqlite3_exec(db, schema, NULL, NULL, NULL)) {
        fprintf(stderr, "%s: %s\n", path, sqlite3_errmsg(db));
        exit(EXIT_FAILURE);
    }
    return db;
}

static void insert_batch(sqlite3 *db, sqlite3_stmt *statement, int64_t *id, int64_t batch)
{
    int bad = sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    for (int64_t i = 0; i < batch && !bad; i++) {
        sqlite3_bind_int64(statement, 1, ++*id);
        sqlite3_bind_int64(statement, 2, INT64_C(1900000000000000) + *id);
        bad = sqlite3_step(statement) != SQLITE_DONE;
        sqlite3_reset(statement);
    }
    if (bad || sqlite3_exec(db, "COMMIT", NULL, NULL, NULL)) {
        fprintf(stderr, "insert: %s\n", sqlite3_errmsg(db));
        exit(EXIT_FAILURE);
    }
}

int main(int argc, char **argv)
{
    sqlite3 *db = open_store(option_text(argc, argv, "file", "bare.tmp"));
    int64_t batch = option_int(argc, argv, "batch", 100);
    int64_t limit = option_int(argc, argv, "seconds", 5) * 1000000;
    sqlite3_stmt *statement = NULL;
    sqlite3_prepare_v2(db, insert, -1, &statement, NULL);
    int64_t start = now_us(), id = 0, passed = 0;
    double cpu = cpu_seconds();
    while ((passed = now_us() - start) < limit)
        insert_batch(db, statement, &id, batch);
    printf("{\"rows\": %lld, \"seconds\": %.6f, \"cpu_s\": %.6f}\n", (long long)id,
           (double)passed / 1e6, cpu_seconds() - cpu);
    sqlite3_finalize(statement);
    sqlite3_close(db);
    return EXIT_SUCCESS;
}
