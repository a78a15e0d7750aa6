// History: what has ended is kept within limits, the oldest going first.
#include <stdio.h>

#include "store/sqlite.h"

enum {
    WALK,
    LATEST_OF_TASK,
    LATEST_OF_ALL,
    CLEAR_ATTEMPTS,
    CLEAR_RUN,
    USES,
    CLEAR_USES,
    CLEAR_DEFINITION,
    MARK,
    SIZE,
    PAGES,
    FREE,
    STATEMENTS
};

static const char *const texts[STATEMENTS] = {
    [WALK] = ("SELECT id, task_id, revision_id, state, finished_at, attempt_started_at"
              " FROM runs INDEXED BY runs_finished WHERE finished_at IS NOT NULL"
              " AND (finished_at, id) > (?1, ?2) ORDER BY finished_at, id LIMIT ?3"),
    // A task that was deleted is shown no more, so its last run may go.
    [LATEST_OF_TASK] = ("SELECT (SELECT max(id) FROM runs INDEXED BY runs_of_task"
                        " WHERE task_id = ?1) = ?2 AND NOT deleted FROM tasks WHERE id = ?1"),
    [LATEST_OF_ALL] = "SELECT max(id) FROM runs",
    [CLEAR_ATTEMPTS] = "DELETE FROM attempts WHERE run_id = ?1",
    [CLEAR_RUN] = "DELETE FROM runs WHERE id = ?1",
    [USES] = "SELECT uses <= 0 FROM definition_uses WHERE revision_id = ?1",
    [CLEAR_USES] = "DELETE FROM definition_uses WHERE revision_id = ?1",
    [CLEAR_DEFINITION] = "DELETE FROM revisions WHERE id = ?1 AND task_id IS NULL",
    // The auditor must know where runs may be gone.
    [MARK] = ("INSERT INTO settings (name, value) VALUES ('history_cleared_until', ?1)"
              " ON CONFLICT (name) DO UPDATE SET value = excluded.value"
              " WHERE CAST(value AS INTEGER) < CAST(excluded.value AS INTEGER)"),
    [SIZE] = "SELECT state, entered, cleared FROM books",
    [PAGES] = ("SELECT (c.page_count - f.freelist_count) * s.page_size"
               " FROM pragma_page_count c, pragma_freelist_count f, pragma_page_size s"),
    [FREE] = "SELECT freelist_count FROM pragma_freelist_count",
};

// A step ends once it has freed so many pages, 1 MiB: runs with many attempts, or large payloads,
// would hold the turn up.
#define PAGES_A_STEP 256

// A canceled run's attempt may still be reported, for as long as an attempt can take and a little.
#define REPORTED_WITHIN_US (25 * HOUR)

enum status sqlite_prepare_history(struct sqlite *s)
{
    return database_prepare(&s->database, texts, STATEMENTS, &s->history);
}

struct candidate {
    run_id run;
    int64_t task, revision_id;
    enum run_state state;
    wall finished_at;
    bool under_way;
};

static enum status walk(struct sqlite *s, const struct history_place *place, size_t max,
                        struct candidate *ret, size_t *ret_count)
{
    sqlite3_stmt *q = s->history[WALK];
    size_t count = 0;
    enum status status;
    bind_int(q, 1, place->ended.us);
    bind_int(q, 2, place->run.value);
    bind_int(q, 3, (int64_t)max);
    while ((status = database_step(&s->database, q)) == STATUS_OK)
        ret[count++] = (struct candidate){.run = {sqlite3_column_int64(q, 0)},
                                          .task = sqlite3_column_int64(q, 1),
                                          .revision_id = sqlite3_column_int64(q, 2),
                                          .state = (enum run_state)column_int(q, 3),
                                          .finished_at = column_wall(q, 4, WALL_NONE),
                                          .under_way = column_known(q, 5) >= 0};
    *ret_count = count;
    return database_walked(q, status);
}

static enum status ask(struct sqlite *s, sqlite3_stmt *q, int64_t *ret)
{
    enum status status = database_one(&s->database, q);
    if (status == STATUS_OK)
        *ret = sqlite3_column_int64(q, 0);
    sqlite3_reset(q);
    return status;
}

enum status sqlite_history_size(struct store *store, struct history_size *ret)
{
    struct sqlite *s = sqlite_of(store);
    struct history_size size = {0};
    sqlite3_stmt *q = s->history[SIZE];
    enum status status;
    while ((status = database_step(&s->database, q)) == STATUS_OK) {
        int state = column_int(q, 0);
        size.entered[state] = sqlite3_column_int64(q, 1);
        size.cleared += sqlite3_column_int64(q, 2);
    }
    status = database_walked(q, status);
    // What the turn under way has done is not written yet.
    for (unsigned i = 0; i < RUN_STATE_COUNT; i++) {
        size.entered[i] += s->entered[i];
        size.cleared += s->cleared[i];
        size.rows += i >= RUN_SUCCEEDED ? size.entered[i] : 0;
    }
    size.rows -= size.cleared;
    if (status == STATUS_OK)
        status = ask(s, s->history[PAGES], &size.bytes);
    if (status == STATUS_OK)
        *ret = size;
    return status;
}

// What must stay whatever the limits say.
static enum status must_stay(struct sqlite *s, const struct candidate *c, wall newest,
                             int64_t newest_id, bool *ret)
{
    int64_t latest = 0;
    enum status status = STATUS_OK;
    if (c->task) {
        bind_int(s->history[LATEST_OF_TASK], 1, c->task);
        bind_int(s->history[LATEST_OF_TASK], 2, c->run.value);
        status = ask(s, s->history[LATEST_OF_TASK], &latest);
        if (status == STATUS_NOT_FOUND)
            status = STATUS_OK;
    }
    bool awaited = c->under_way && newest.us - c->finished_at.us < REPORTED_WITHIN_US;
    // The newest of all stays, since the next id goes on from it.
    *ret = latest || awaited || c->run.value == newest_id;
    return status;
}

static enum status clear_definition(struct sqlite *s, int64_t revision_id,
                                    struct history_cleared *cleared)
{
    static const int clearing[] = {CLEAR_USES, CLEAR_DEFINITION};
    int64_t unused = 0;
    bind_int(s->history[USES], 1, revision_id);
    enum status status = ask(s, s->history[USES], &unused);
    if (status == STATUS_NOT_FOUND || (status == STATUS_OK && !unused))
        return STATUS_OK;
    for (size_t i = 0; i < 2 && status == STATUS_OK; i++) {
        bind_int(s->history[clearing[i]], 1, revision_id);
        status = database_do(&s->database, s->history[clearing[i]]);
    }
    if (status == STATUS_OK)
        cleared->definitions[cleared->definition_count++] = revision_id;
    return status;
}

static enum status clear_run(struct sqlite *s, const struct candidate *c)
{
    static const int clearing[] = {CLEAR_ATTEMPTS, CLEAR_RUN};
    enum status status = STATUS_OK;
    for (size_t i = 0; i < 2 && status == STATUS_OK; i++) {
        bind_int(s->history[clearing[i]], 1, c->run.value);
        status = database_do(&s->database, s->history[clearing[i]]);
    }
    if (status == STATUS_OK && c->state == RUN_FAILED)
        status = sqlite_drop_dead(s, c->run);
    books_cleared(s, c->state);
    if (!c->task && c->revision_id)
        books_use(s, c->revision_id, -1);
    return status;
}

static enum status mark_cleared(struct sqlite *s, wall until)
{
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)until.us);
    bind_text(s->history[MARK], 1, text);
    return database_do(&s->database, s->history[MARK]);
}

// Whether the limits leave no room for this run.
static bool is_too_much(const struct history_limits *limits, const struct history_size *size,
                        const struct candidate *c)
{
    return (wall_is_set(limits->before) && c->finished_at.us < limits->before.us) ||
           (limits->rows > 0 && size->rows > limits->rows) ||
           (limits->bytes > 0 && size->bytes > limits->bytes);
}

// The definitions of what was cleared, after the books know of it.
static enum status clear_definitions(struct sqlite *s, const struct candidate *cleared,
                                     size_t count, struct history_cleared *ret)
{
    enum status status = books_write(s);
    for (size_t i = 0; i < count && status == STATUS_OK; i++)
        if (!cleared[i].task && cleared[i].revision_id)
            status = clear_definition(s, cleared[i].revision_id, ret);
    return status;
}

enum status sqlite_clear_history(struct store *store, const struct history_limits *limits,
                                 struct history_place *place, size_t max,
                                 struct history_cleared *ret)
{
    struct sqlite *s = sqlite_of(store);
    struct candidate found[HISTORY_STEP_MAX], gone[HISTORY_STEP_MAX];
    struct history_size size;
    size_t count = 0, i = 0, gone_count = 0;
    int64_t newest_id = 0, free_before = 0, free_now = 0;
    if (max > HISTORY_STEP_MAX)
        max = HISTORY_STEP_MAX;
    *ret = (struct history_cleared){0};
    enum status status = sqlite_history_size(store, &size);
    if (status == STATUS_OK)
        status = walk(s, place, max, found, &count);
    if (status == STATUS_OK && count > 0)
        status = ask(s, s->history[LATEST_OF_ALL], &newest_id);
    if (status == STATUS_OK)
        status = ask(s, s->history[FREE], &free_before);
    free_now = free_before;
    wall now = id_time((run_id){newest_id}); // as far as the store can know
    for (; status == STATUS_OK && i < count && free_now - free_before < PAGES_A_STEP &&
           is_too_much(limits, &size, &found[i]);
         i++) {
        bool stays;
        status = must_stay(s, &found[i], now, newest_id, &stays);
        if (status == STATUS_OK && !stays) {
            status = clear_run(s, &found[i]);
            gone[gone_count++] = found[i];
            size.rows--;
            if (status == STATUS_OK)
                status = ask(s, s->history[FREE], &free_now);
        }
        *place = (struct history_place){found[i].finished_at, found[i].run};
    }
    if (status == STATUS_OK && gone_count > 0)
        status = mark_cleared(s, gone[gone_count - 1].finished_at);
    if (status == STATUS_OK && gone_count > 0)
        status = clear_definitions(s, gone, gone_count, ret);
    ret->runs = gone_count;
    bool stopped = free_now - free_before >= PAGES_A_STEP;
    ret->more = status == STATUS_OK && (stopped || (count == max && i == count));
    return status;
}
