#include "store/sqlite.h"

enum { ADD, NEWEST, OLDEST, TRIM, STATEMENTS };

static const char *const texts[STATEMENTS] = {
    [ADD] = ("INSERT INTO journal (turn, at, bytes, total, events) VALUES (?1, ?2, ?3, ?3 +"
             " coalesce((SELECT total FROM journal ORDER BY turn DESC LIMIT 1), 0), ?4)"),
    [NEWEST] = "SELECT turn, total FROM journal ORDER BY turn DESC LIMIT 1",
    [OLDEST] = "SELECT turn, total - bytes FROM journal ORDER BY turn LIMIT ?1",
    [TRIM] = "DELETE FROM journal WHERE turn <= ?1",
};

enum status sqlite_prepare_journal(struct sqlite *s)
{
    return database_prepare(&s->database, texts, STATEMENTS, &s->journal);
}

enum status sqlite_add_journal(struct store *store, int64_t turn, wall at, const char *events,
                               size_t size)
{
    struct sqlite *s = sqlite_of(store);
    sqlite3_stmt *q = s->journal[ADD];
    bind_int(q, 1, turn);
    bind_int(q, 2, at.us);
    bind_int(q, 3, (int64_t)size);
    bind_bytes(q, 4, events ? events : "", size);
    return database_do(&s->database, q);
}

// The last turn that has to go: every row up to it begins more than keep_bytes before the end. The
// newest row stays whatever its size, since the next turn's number goes on from it. 0: none has to
// go.
static enum status last_to_go(struct sqlite *s, int64_t newest, int64_t floor, size_t max,
                              int64_t *ret)
{
    sqlite3_stmt *q = s->journal[OLDEST];
    int64_t last = 0;
    enum status status;
    bind_int(q, 1, (int64_t)max);
    while ((status = database_step(&s->database, q)) == STATUS_OK) {
        int64_t turn = sqlite3_column_int64(q, 0);
        if (turn >= newest || sqlite3_column_int64(q, 1) >= floor)
            break;
        last = turn;
    }
    if (status == STATUS_OK || status == STATUS_END)
        *ret = last;
    return database_walked(q, status);
}

enum status sqlite_trim_journal(struct store *store, size_t keep_bytes, size_t max)
{
    struct sqlite *s = sqlite_of(store);
    sqlite3_stmt *q = s->journal[NEWEST];
    int64_t newest = 0, total = 0, last = 0;
    enum status status = database_step(&s->database, q);
    if (status == STATUS_OK) {
        newest = sqlite3_column_int64(q, 0);
        total = sqlite3_column_int64(q, 1);
    }
    status = database_walked(q, status);
    if (status == STATUS_OK)
        status = last_to_go(s, newest,
                            total - (int64_t)(keep_bytes < INT64_MAX ? keep_bytes : INT64_MAX), max,
                            &last);
    if (status != STATUS_OK || last == 0)
        return status;
    bind_int(s->journal[TRIM], 1, last);
    return database_do(&s->database, s->journal[TRIM]);
}
