/*
 * question - what the model asks a store, prepared once for each connection
 *
 * A life asks the same few things ten thousand times, and to prepare them takes SQLite longer than
 * to answer.
 */
#pragma once

#include <sqlite3.h>

// The statement of a text that lasts (a literal), at its beginning. NULL where it cannot be
// prepared; sqlite3_errmsg says why. Whoever has read what it wants calls question_end(), which
// ends the reading of the store, too.
sqlite3_stmt *question(sqlite3 *handle, const char *text);
void question_end(sqlite3_stmt *question);

// Before a connection is closed.
void questions_end(sqlite3 *handle);
