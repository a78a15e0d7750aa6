// Dead letters as a reader sees them: failed runs that nobody has dealt with.
#include <stdlib.h>

#include "store/reader_internal.h"
#include "store/rows.h"

//   1 before or after, 2 from, 3 to, 4 what the reason contains, 5 max, 6 task
#define WANTED                                                                            \
    " (?2 IS NULL OR r.finished_at >= ?2)"                                                \
    " AND (?3 IS NULL OR r.finished_at < ?3) AND (?4 IS NULL OR instr(r.reason, ?4) > 0)" \
    " AND ?1 IS NOT NULL "
#define FROM(index) " FROM dead_letters d" index " CROSS JOIN runs r ON r.id = d.run_id "
#define OF_ALL " NOT INDEXED"
#define OF_TASK " INDEXED BY dead_letters_of_task"
#define LIST(index, condition)                                                                   \
    "SELECT " RUN_COLUMNS ", a.outcome, a.status, a.error" FROM(index) RUN_JOINS                 \
        "LEFT JOIN attempts a ON a.run_id = r.id AND a.number = r.attempts WHERE d.run_id < ?1 " \
        "AND"                                                                                    \
        " " condition WANTED "ORDER BY d.run_id DESC LIMIT ?5"
#define OLDEST(index, condition)                                              \
    "SELECT d.run_id" FROM(index) "WHERE d.run_id > ?1 AND " condition WANTED \
                                  "ORDER BY d.run_id LIMIT ?5"
#define COUNT(index, condition) \
    "SELECT count(*) FROM (SELECT 1" FROM(index) "WHERE " condition WANTED "LIMIT ?5)"
#define TASK "d.task_id = ?6 AND"

enum {
    LIST_ALL,
    LIST_TASK,
    OLDEST_ALL,
    OLDEST_TASK,
    COUNT_ALL,
    COUNT_TASK,
    COUNT_OPEN,
    STATEMENTS
};

static const char *const texts[STATEMENTS] = {
    [LIST_ALL] = LIST(OF_ALL, ""),
    [LIST_TASK] = LIST(OF_TASK, TASK),
    [OLDEST_ALL] = OLDEST(OF_ALL, ""),
    [OLDEST_TASK] = OLDEST(OF_TASK, TASK),
    [COUNT_ALL] = COUNT(OF_ALL, ""),
    [COUNT_TASK] = COUNT(OF_TASK, TASK),
    // Of one small table: for every scrape of the metrics.
    [COUNT_OPEN] = "SELECT count(*) FROM (SELECT 1 FROM dead_letters LIMIT ?1)",
};

enum status reader_prepare_dead(struct reader *reader)
{
    return database_prepare(&reader->database, texts, STATEMENTS, &reader->dead);
}

// The statement of a pair that serves the filter, with its parameters. STATUS_NOT_FOUND where the
// task was never there.
static enum status choose(struct reader *reader, int of_all, int of_task,
                          const struct dead_filter *filter, run_id edge, size_t max,
                          sqlite3_stmt **ret)
{
    int64_t task = 0;
    enum status status =
        filter->task ? reader_find_task_row(reader, filter->task, &task) : STATUS_OK;
    if (status != STATUS_OK)
        return status;
    sqlite3_stmt *q = reader->dead[filter->task ? of_task : of_all];
    bind_int(q, 1, edge.value);
    bind_wall(q, 2, filter->from);
    bind_wall(q, 3, filter->to);
    bind_text(q, 4, filter->reason);
    bind_int(q, 5, (int64_t)max);
    if (filter->task)
        bind_int(q, 6, task);
    *ret = q;
    return STATUS_OK;
}

void dead_letter_done(struct dead_letter *letter)
{
    run_done(&letter->run);
    attempt_done(&letter->last);
}

static void row_dead(sqlite3_stmt *q, struct dead_letter *ret)
{
    int at = sqlite3_column_count(q) - 3;
    row_run(q, &ret->run);
    attempt_init(&ret->last);
    ret->last.outcome = (enum attempt_outcome)column_int(q, at);
    ret->last.status = (int)column_known(q, at + 1);
    ret->last.error = column_text(q, at + 2);
    ret->last.number = sqlite3_column_type(q, at) == SQLITE_NULL ? 0 : ret->run.attempts;
}

enum status reader_list_dead(struct reader *reader, const struct dead_filter *filter, run_id before,
                             size_t max, struct dead_letter *ret, size_t *ret_count)
{
    sqlite3_stmt *q;
    if (before.value == 0)
        before.value = INT64_MAX;
    enum status status = choose(reader, LIST_ALL, LIST_TASK, filter, before, max, &q);
    if (status != STATUS_OK)
        return status;
    size_t count = 0;
    while ((status = database_step(&reader->database, q)) == STATUS_OK)
        row_dead(q, &ret[count++]);
    status = database_walked(q, status);
    while (status != STATUS_OK && count > 0)
        dead_letter_done(&ret[--count]);
    *ret_count = count;
    return status;
}

enum status reader_oldest_dead(struct reader *reader, const struct dead_filter *filter, size_t max,
                               run_id *ret, size_t *ret_count)
{
    sqlite3_stmt *q;
    enum status status = choose(reader, OLDEST_ALL, OLDEST_TASK, filter, (run_id){0}, max, &q);
    if (status != STATUS_OK)
        return status;
    size_t count = 0;
    while ((status = database_step(&reader->database, q)) == STATUS_OK)
        ret[count++] = (run_id){sqlite3_column_int64(q, 0)};
    *ret_count = count;
    return database_walked(q, status);
}

enum status reader_count_dead(struct reader *reader, const struct dead_filter *filter, size_t most,
                              size_t *ret)
{
    sqlite3_stmt *q;
    enum status status = choose(reader, COUNT_ALL, COUNT_TASK, filter, (run_id){0}, most, &q);
    if (status != STATUS_OK)
        return status;
    status = database_one(&reader->database, q);
    if (status == STATUS_OK)
        *ret = (size_t)sqlite3_column_int64(q, 0);
    sqlite3_reset(q);
    return status;
}

enum status reader_count_open_dead(struct reader *reader, size_t most, size_t *ret)
{
    sqlite3_stmt *q = reader->dead[COUNT_OPEN];
    bind_int(q, 1, (int64_t)most);
    enum status status = database_one(&reader->database, q);
    if (status == STATUS_OK)
        *ret = (size_t)sqlite3_column_int64(q, 0);
    sqlite3_reset(q);
    return status;
}
