#include "store/reader_audit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "store/reader_internal.h"

#define RUN_FACTS                                                                    \
    "r.id, t.name, r.state, r.trigger, r.attempts, r.attempt_started_at, r.reason, " \
    "r.scheduled_for, r.started_at, r.finished_at, r.fence, r.lane"
// 2: where a definition does not say.
#define MOST_ATTEMPTS "coalesce(json_extract(v.definition, '$.retry.max_attempts'), ?2)"

enum {
    BEGIN,
    END,
    NEXT_TASK,
    TASK,
    EDITS,
    DEFINITION,
    PLANNED,
    NEXT_GENERATION,
    RECORDED,
    ENDED,
    OF_TASK,
    LIVE,
    ATTEMPTS,
    ALLOWED,
    ALLOWED_BEFORE,
    CLEARED,
    BOOKS,
    COUNT_LIVE,
    COUNT_ALL,
    STATEMENTS
};

static const char *const texts[STATEMENTS] = {
    [BEGIN] = "BEGIN",
    [END] = "COMMIT",
    [NEXT_TASK] = "SELECT id, name FROM tasks WHERE id > ?1 ORDER BY id LIMIT 1",
    [TASK] = "SELECT id, name FROM tasks WHERE name = ?1",
    [EDITS] = "SELECT at, revision, what FROM audit INDEXED BY audit_of_task WHERE task_id = ?1"
              " ORDER BY id",
    [DEFINITION] = "SELECT definition FROM revisions WHERE task_id = ?1 AND number = ?2",
    [PLANNED] = "SELECT min(next_at) FROM (SELECT next_at FROM cursors WHERE task_id = ?1"
                " UNION ALL SELECT next_at FROM backlogs WHERE task_id = ?1)",
    [NEXT_GENERATION] = "SELECT min(generation) FROM runs INDEXED BY runs_occurrence"
                        " WHERE task_id = ?1 AND generation > ?2 AND trigger IN (0, 3)",
    [RECORDED] = "SELECT id, generation, scheduled_for, started_at, lane"
                 " FROM runs INDEXED BY runs_occurrence WHERE task_id = ?1 AND generation = ?2"
                 " AND scheduled_for >= ?3 AND scheduled_for < ?4 AND trigger IN (0, 3)"
                 " ORDER BY scheduled_for",
    [ENDED] = "SELECT " RUN_FACTS " FROM runs r INDEXED BY runs_finished"
              " LEFT JOIN tasks t ON t.id = r.task_id WHERE r.finished_at IS NOT NULL"
              " AND (r.finished_at, r.id) > (?1, ?2) AND r.finished_at < ?3"
              " ORDER BY r.finished_at, r.id LIMIT ?4",
    [OF_TASK] = "SELECT " RUN_FACTS " FROM runs r INDEXED BY runs_of_task"
                " LEFT JOIN tasks t ON t.id = r.task_id WHERE r.task_id = ?1 AND r.id > ?2"
                " ORDER BY r.id LIMIT ?3",
    [LIVE] = "SELECT " RUN_FACTS " FROM runs r INDEXED BY runs_by_state"
             " LEFT JOIN tasks t ON t.id = r.task_id WHERE r.state >= 2 AND r.state <> 4"
             " AND r.state = ?1 AND r.id > ?2 ORDER BY r.id LIMIT ?3",
    [ATTEMPTS] = "SELECT number, fence, outcome FROM attempts WHERE run_id = ?1 ORDER BY number",
    [ALLOWED] = "SELECT " MOST_ATTEMPTS " FROM runs r JOIN revisions v ON v.id = r.revision_id"
                " WHERE r.id = ?1",
    [ALLOWED_BEFORE] = "SELECT max(" MOST_ATTEMPTS ") FROM runs r"
                       " JOIN revisions own ON own.id = r.revision_id"
                       " JOIN revisions v ON v.task_id = own.task_id AND v.number <= own.number"
                       " WHERE r.id = ?1",
    [CLEARED] = "SELECT CAST(value AS INTEGER) FROM settings WHERE name = 'history_cleared_until'",
    [BOOKS] = "SELECT state, entered, cleared FROM books",
    [COUNT_LIVE] = "SELECT (SELECT count(*) FROM runs INDEXED BY runs_due WHERE state IN (0, 3))"
                   " + (SELECT count(*) FROM runs INDEXED BY runs_by_state"
                   " WHERE state >= 2 AND state <> 4 AND state = 2)",
    [COUNT_ALL] = "SELECT state, count(*), sum(state > 3 AND finished_at IS NULL),"
                  " sum(state = 5 AND handled IS NULL),"
                  " sum(state = 0 AND deadline_at IS NOT NULL AND NOT EXISTS (SELECT 1"
                  " FROM deadlines d WHERE d.at = deadline_at AND d.run_id = runs.id)),"
                  " (SELECT count(*) FROM dead_letters) FROM runs GROUP BY state",
};

enum status reader_prepare_audit(struct reader *reader)
{
    return database_prepare(&reader->database, texts, STATEMENTS, &reader->audit);
}

enum status reader_begin(struct reader *reader)
{
    return database_do(&reader->database, reader->audit[BEGIN]);
}

void reader_end(struct reader *reader)
{
    if (!sqlite3_get_autocommit(reader->database.handle))
        sqlite3_step(
            reader->audit[END]); // it only let go of a moment: nothing can fail that counts
    sqlite3_reset(reader->audit[END]);
}

// --- tasks ---

static void copy_name(sqlite3_stmt *q, int column, char ret[static TASK_NAME_MAX + 1])
{
    const char *name = (const char *)sqlite3_column_text(q, column);
    snprintf(ret, TASK_NAME_MAX + 1, "%s", name ? name : "");
}

static enum status find_task(struct reader *reader, sqlite3_stmt *q, struct audited_task *ret)
{
    enum status status = database_one(&reader->database, q);
    if (status == STATUS_OK) {
        ret->id = sqlite3_column_int64(q, 0);
        copy_name(q, 1, ret->name);
    }
    sqlite3_reset(q);
    return status;
}

enum status reader_next_task_row(struct reader *reader, int64_t after, struct audited_task *ret)
{
    bind_int(reader->audit[NEXT_TASK], 1, after);
    enum status status = find_task(reader, reader->audit[NEXT_TASK], ret);
    return status == STATUS_NOT_FOUND ? STATUS_END : status;
}

enum status reader_audited_task(struct reader *reader, const char *name, struct audited_task *ret)
{
    bind_text(reader->audit[TASK], 1, name);
    return find_task(reader, reader->audit[TASK], ret);
}

static struct task_edit row_edit(sqlite3_stmt *q)
{
    static const char *const marks[] = {
        [EDIT_PAUSED] = "paused", [EDIT_RESUMED] = "resumed", [EDIT_DELETED] = "deleted"};
    struct task_edit edit = {.at = {sqlite3_column_int64(q, 0)}, .revision = column_int(q, 1)};
    const char *what = (const char *)sqlite3_column_text(q, 2);
    for (unsigned i = EDIT_PAUSED; i <= EDIT_DELETED; i++)
        if (what && strcmp(what, marks[i]) == 0)
            edit.kind = i;
    return edit;
}

enum status reader_task_edits(struct reader *reader, int64_t task, struct task_edit **ret,
                              size_t *ret_count)
{
    sqlite3_stmt *q = reader->audit[EDITS];
    struct task_edit *edits = memory_array(1, sizeof *edits);
    size_t count = 0;
    enum status status;
    bind_int(q, 1, task);
    while ((status = database_step(&reader->database, q)) == STATUS_OK) {
        edits = memory_resize(edits, count + 1, sizeof *edits);
        edits[count++] = row_edit(q);
    }
    status = database_walked(q, status);
    if (status == STATUS_OK) {
        *ret = edits;
        *ret_count = count;
    } else {
        free(edits);
    }
    return status;
}

enum status reader_definition_of(struct reader *reader, int64_t task, int number, char **ret,
                                 size_t *ret_size)
{
    sqlite3_stmt *q = reader->audit[DEFINITION];
    bind_int(q, 1, task);
    bind_int(q, 2, number);
    enum status status = database_one(&reader->database, q);
    if (status == STATUS_OK)
        *ret = column_bytes(q, 0, ret_size);
    sqlite3_reset(q);
    return status;
}

// --- occurrences ---

enum status reader_planned_until(struct reader *reader, int64_t task, wall *ret)
{
    sqlite3_stmt *q = reader->audit[PLANNED];
    bind_int(q, 1, task);
    enum status status = database_one(&reader->database, q);
    if (status == STATUS_OK)
        *ret = column_wall(q, 0, WALL_NEVER);
    sqlite3_reset(q);
    return status;
}

static int by_nominal(const void *a, const void *b)
{
    const struct recorded *x = a, *y = b;
    if (x->nominal.us != y->nominal.us)
        return x->nominal.us < y->nominal.us ? -1 : 1;
    return (x->run.value > y->run.value) - (x->run.value < y->run.value);
}

// The first generation after `after` that has recorded any. STATUS_END.
static enum status next_generation(struct reader *reader, int64_t task, int after, int *ret)
{
    sqlite3_stmt *q = reader->audit[NEXT_GENERATION];
    bind_int(q, 1, task);
    bind_int(q, 2, after);
    enum status status = database_one(&reader->database, q);
    if (status == STATUS_OK && column_known(q, 0) < 0)
        status = STATUS_END;
    if (status == STATUS_OK)
        *ret = column_int(q, 0);
    sqlite3_reset(q);
    return status;
}

enum status reader_recorded(struct reader *reader, int64_t task, wall from, wall to,
                            struct recorded **ret, size_t *ret_count)
{
    sqlite3_stmt *q = reader->audit[RECORDED];
    struct recorded *rows = memory_array(1, sizeof *rows);
    size_t count = 0;
    int generation = -1;
    enum status status;
    while ((status = next_generation(reader, task, generation, &generation)) == STATUS_OK) {
        bind_int(q, 1, task);
        bind_int(q, 2, generation);
        bind_int(q, 3, from.us);
        bind_int(q, 4, to.us);
        while ((status = database_step(&reader->database, q)) == STATUS_OK) {
            rows = memory_resize(rows, count + 1, sizeof *rows);
            rows[count++] = (struct recorded){.run = {sqlite3_column_int64(q, 0)},
                                              .generation = column_int(q, 1),
                                              .nominal = column_wall(q, 2, WALL_NONE),
                                              .started_at = column_wall(q, 3, WALL_NONE),
                                              .lane = (uint64_t)sqlite3_column_int64(q, 4)};
        }
        status = database_walked(q, status);
        if (status != STATUS_OK)
            break;
    }
    if (status != STATUS_END) {
        free(rows);
        return status;
    }
    qsort(rows, count, sizeof *rows, by_nominal);
    *ret = rows;
    *ret_count = count;
    return STATUS_OK;
}

// --- runs ---

static enum status read_attempts(struct reader *reader, struct audited_run *run)
{
    sqlite3_stmt *q = reader->audit[ATTEMPTS];
    enum status status;
    bind_int(q, 1, run->run.value);
    while ((status = database_step(&reader->database, q)) == STATUS_OK) {
        run->rows++;
        run->has_hole |= column_int(q, 0) != run->rows;
        run->fences_fall |= sqlite3_column_int64(q, 1) <= run->last_fence;
        run->last_fence = sqlite3_column_int64(q, 1);
        run->last_outcome = column_int(q, 2);
    }
    return database_walked(q, status);
}

static enum status read_most(struct reader *reader, sqlite3_stmt *q, run_id run, int *ret)
{
    bind_int(q, 1, run.value);
    bind_int(q, 2, ATTEMPTS_PLAIN);
    enum status status = database_one(&reader->database, q);
    if (status == STATUS_OK)
        *ret = column_int(q, 0); // NULL reads as 0
    sqlite3_reset(q);
    return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

// Each attempt is allowed by the definition of the one before, which an edit may have changed
// since: where the last one's allows fewer, those before it are asked.
static enum status read_allowed(struct reader *reader, struct audited_run *run)
{
    int before = 0;
    if (run->attempts < 2) // one is always allowed
        return STATUS_OK;
    enum status status =
        read_most(reader, reader->audit[ALLOWED], run->run, &run->attempts_allowed);
    if (status != STATUS_OK || run->attempts <= run->attempts_allowed)
        return status;
    status = read_most(reader, reader->audit[ALLOWED_BEFORE], run->run, &before);
    if (before > run->attempts_allowed)
        run->attempts_allowed = before;
    return status;
}

static void row_facts(sqlite3_stmt *q, struct audited_run *ret)
{
    *ret = (struct audited_run){
        .run = {sqlite3_column_int64(q, 0)},
        .state = (enum run_state)column_int(q, 2),
        .trigger = (enum run_trigger)column_int(q, 3),
        .attempts = column_int(q, 4),
        .under_way = column_known(q, 5) >= 0,
        .has_reason = sqlite3_column_bytes(q, 6) > 0,
        .scheduled_for = column_wall(q, 7, WALL_NONE),
        .started_at = column_wall(q, 8, WALL_NONE),
        .finished_at = column_wall(q, 9, WALL_NONE),
        .fence = sqlite3_column_int64(q, 10),
        .lane = (uint64_t)sqlite3_column_int64(q, 11),
        .last_outcome = -1,
    };
    copy_name(q, 1, ret->task);
}

// The rows of `q`, which is bound, and then their attempts.
static enum status read_runs(struct reader *reader, sqlite3_stmt *q, struct audited_run *ret,
                             size_t *ret_count)
{
    size_t count = 0;
    enum status status;
    while ((status = database_step(&reader->database, q)) == STATUS_OK)
        row_facts(q, &ret[count++]);
    status = database_walked(q, status);
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        status = read_attempts(reader, &ret[i]);
        if (status == STATUS_OK)
            status = read_allowed(reader, &ret[i]);
    }
    if (status == STATUS_OK)
        *ret_count = count;
    return status;
}

enum status reader_audit_ended(struct reader *reader, wall at, run_id id, wall to, size_t max,
                               struct audited_run *ret, size_t *ret_count)
{
    sqlite3_stmt *q = reader->audit[ENDED];
    bind_int(q, 1, at.us);
    bind_int(q, 2, id.value);
    bind_int(q, 3, to.us);
    bind_int(q, 4, (int64_t)max);
    return read_runs(reader, q, ret, ret_count);
}

enum status reader_audit_of_task(struct reader *reader, int64_t task, run_id after, size_t max,
                                 struct audited_run *ret, size_t *ret_count)
{
    sqlite3_stmt *q = reader->audit[OF_TASK];
    bind_int(q, 1, task);
    bind_int(q, 2, after.value);
    bind_int(q, 3, (int64_t)max);
    return read_runs(reader, q, ret, ret_count);
}

enum status reader_audit_live(struct reader *reader, enum run_state state, run_id after, size_t max,
                              struct audited_run *ret, size_t *ret_count)
{
    sqlite3_stmt *q = reader->audit[LIVE];
    bind_int(q, 1, state);
    bind_int(q, 2, after.value);
    bind_int(q, 3, (int64_t)max);
    return read_runs(reader, q, ret, ret_count);
}

// --- the books ---

enum status reader_cleared_until(struct reader *reader, wall *ret)
{
    sqlite3_stmt *q = reader->audit[CLEARED];
    enum status status = database_one(&reader->database, q);
    if (status == STATUS_OK)
        ret->us = sqlite3_column_int64(q, 0);
    else if (status == STATUS_NOT_FOUND)
        *ret = WALL_NONE;
    sqlite3_reset(q);
    return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

enum status reader_books(struct reader *reader, struct books *ret)
{
    sqlite3_stmt *q = reader->audit[BOOKS];
    struct books books = {0};
    enum status status;
    while ((status = database_step(&reader->database, q)) == STATUS_OK) {
        int state = column_int(q, 0);
        if (state >= 0 && state < RUN_STATE_COUNT) {
            books.entered[state] = sqlite3_column_int64(q, 1);
            books.cleared[state] = sqlite3_column_int64(q, 2);
        }
    }
    status = database_walked(q, status);
    if (status == STATUS_OK)
        *ret = books;
    return status;
}

int64_t books_live(const struct books *books)
{
    int64_t live = books->entered[RUN_SCHEDULED];
    for (unsigned i = RUN_SUCCEEDED; i < RUN_STATE_COUNT; i++)
        live -= books->entered[i];
    return live;
}

int64_t books_history(const struct books *books)
{
    int64_t rows = 0;
    for (unsigned i = RUN_SUCCEEDED; i < RUN_STATE_COUNT; i++)
        rows += books->entered[i] - books->cleared[i];
    return rows;
}

enum status reader_count_live(struct reader *reader, int64_t *ret)
{
    sqlite3_stmt *q = reader->audit[COUNT_LIVE];
    enum status status = database_one(&reader->database, q);
    if (status == STATUS_OK)
        *ret = sqlite3_column_int64(q, 0);
    sqlite3_reset(q);
    return status;
}

enum status reader_count_all(struct reader *reader, struct counted_runs *ret)
{
    sqlite3_stmt *q = reader->audit[COUNT_ALL];
    struct counted_runs counted = {0};
    enum status status;
    while ((status = database_step(&reader->database, q)) == STATUS_OK) {
        int state = column_int(q, 0);
        if (state >= 0 && state < RUN_STATE_COUNT)
            counted.in[state] = sqlite3_column_int64(q, 1);
        counted.undated += sqlite3_column_int64(q, 2);
        counted.unhandled += sqlite3_column_int64(q, 3);
        counted.unwatched += sqlite3_column_int64(q, 4);
        counted.dead_letters = sqlite3_column_int64(q, 5);
    }
    status = database_walked(q, status);
    if (status == STATUS_OK)
        *ret = counted;
    return status;
}
