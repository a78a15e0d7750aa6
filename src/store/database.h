/*
 * database - one connection to SQLite and its prepared statements
 *
 * What the writer (sqlite.c and its parts) and the readers share: every statement is prepared once,
 * at the opening, and then only bound, stepped and reset. A step that fails is a broken disk or a
 * bug of ours, since what may conflict says ON CONFLICT: it is remembered in words, and from then
 * on this connection answers STATUS_FAILED to everything. A reader's failure concerns that one
 * question: nothing can be lost by asking again.
 *
 * Texts and blobs are bound without a copy: they must live until the statement is reset, which is
 * before a verb returns.
 *
 * Each connection is used by one thread at a time.
 */
#pragma once

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/moment.h"

struct database {
    sqlite3 *handle;
    bool forgives; // a reader's: it never breaks
    bool broken;
    // What a verb has held back is written before any other statement runs.
    bool holds_back;
    enum status (*write_held_back)(struct database *d);
    char problem[500]; // the failure in words; "" while there is none
};

// Settings of SQLite that must be made before anything else is asked of it. Safe to repeat.
void database_start(void);
// Opens with `flags` of sqlite3_open_v2; `vfs` NULL: the default one. The words of a failure are in
// problem.
enum status database_open(struct database *d, const char *path, int flags, const char *vfs);
// Prepares `count` texts; *ret is an array to free after database_close. The words of a failure are
// in problem.
enum status database_prepare(struct database *d, const char *const *texts, size_t count,
                             sqlite3_stmt ***ret);
// Finalizes every statement and closes.
void database_close(struct database *d);

// Remembers SQLite's last error. Always STATUS_FAILED.
enum status database_fail(struct database *d);

// STATUS_OK: a row is there to be read. STATUS_END: there is none further. Whatever is not
// STATUS_OK has reset the statement.
enum status database_step(struct database *d, sqlite3_stmt *q);
// Runs a statement that answers no rows.
enum status database_do(struct database *d, sqlite3_stmt *q);
// The same, and how many rows it changed.
enum status database_change(struct database *d, sqlite3_stmt *q, int *ret_changes);
// For a question about one row: what database_step says, with STATUS_NOT_FOUND for STATUS_END.
enum status database_one(struct database *d, sqlite3_stmt *q);
// What a walk over rows ended with, as its caller should hear it: the end of the rows is STATUS_OK.
// Resets.
enum status database_walked(sqlite3_stmt *q, enum status status);

// Parameters count from 1.
void bind_int(sqlite3_stmt *q, int at, int64_t n);
void bind_id(sqlite3_stmt *q, int at, int64_t id);                        // 0 is NULL
void bind_known(sqlite3_stmt *q, int at, int64_t n);                      // below 0 is NULL
void bind_wall(sqlite3_stmt *q, int at, wall t);                          // not set is NULL
void bind_text(sqlite3_stmt *q, int at, const char *text);                // NULL is NULL
void bind_bytes(sqlite3_stmt *q, int at, const char *bytes, size_t size); // as a text
void bind_blob(sqlite3_stmt *q, int at, const void *bytes, size_t size);

// Columns count from 0.
int64_t column_known(sqlite3_stmt *q, int at); // NULL is -1
int column_int(sqlite3_stmt *q, int at);
wall column_wall(sqlite3_stmt *q, int at, wall unset);
char *column_text(sqlite3_stmt *q, int at);                    // a copy; NULL is NULL
char *column_bytes(sqlite3_stmt *q, int at, size_t *ret_size); // a copy; NULL is NULL and 0
