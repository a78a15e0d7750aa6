// Runs and attempts as a reader sees them. docs/internals/store.md says what each filter costs.
#include <stdlib.h>

#include "base/memory.h"
#include "store/reader_internal.h"
#include "store/rows.h"

// Every list has the same parameters and conditions; what differs is the index it walks, newest
// first, and the condition of that index. INDEXED BY makes it an error rather than a slow answer
// when the index does not serve.
//   1 before, 2 a bit for each state wanted, 3 from, 4 to, 5 max, 6 task, 7 the state when there is
//   one
#define WANTED                                                              \
    " r.id < ?1 AND (?2 >> r.state) & 1 AND (?3 IS NULL OR r.due_at >= ?3)" \
    " AND (?4 IS NULL OR r.due_at < ?4) "
#define LIST(index, condition)                                                     \
    "SELECT " RUN_COLUMNS " FROM runs r " index RUN_JOINS "WHERE" condition WANTED \
    "ORDER BY r.id DESC LIMIT ?5"

enum {
    LIST_ALL,
    LIST_DUE,
    LIST_BY_STATE,
    LIST_OF_TASK,
    LIST_LIVE_OF_TASK,
    LIST_TROUBLED_OF_TASK,
    FIND,
    ATTEMPTS,
    FIGURES,
    COUNT,
    STATEMENTS
};

static const char *const texts[STATEMENTS] = {
    [LIST_ALL] = LIST("NOT INDEXED", ""),
    // Walked by time, so what is found is sorted: only the ids.
    [LIST_DUE] =
        ("WITH found AS (SELECT r.id AS id FROM runs r INDEXED BY runs_due"
         " WHERE r.state IN (0, 3) AND r.due_at < ?4 AND" WANTED "ORDER BY r.id DESC LIMIT ?5)"
         " SELECT " RUN_COLUMNS " FROM runs r" RUN_JOINS "WHERE r.id IN found ORDER BY r.id DESC"),
    [LIST_BY_STATE] =
        LIST("INDEXED BY runs_by_state", " r.state >= 2 AND r.state <> 4 AND r.state = ?7 AND"),
    [LIST_OF_TASK] = LIST("INDEXED BY runs_of_task", " r.task_id = ?6 AND"),
    [LIST_LIVE_OF_TASK] =
        LIST("INDEXED BY runs_live_of_task", " r.task_id = ?6 AND r.state <= 3 AND"),
    [LIST_TROUBLED_OF_TASK] = LIST("INDEXED BY runs_troubled_of_task",
                                   " r.task_id = ?6 AND +r.state >= 5 AND r.state = ?7 AND"),
    [FIND] = ("SELECT " RUN_COLUMNS " FROM runs r" RUN_JOINS "WHERE r.id = ?1"),
    [ATTEMPTS] = "SELECT " ATTEMPT_COLUMNS " FROM attempts WHERE run_id = ?1 ORDER BY number",
    [FIGURES] = ("SELECT a.outcome, a.response_time_us, a.cache, a.db_calls"
                 " FROM runs r INDEXED BY runs_of_task CROSS JOIN attempts a ON a.run_id = r.id"
                 " WHERE r.task_id = ?1 ORDER BY r.id DESC, a.number DESC LIMIT ?2"),
    [COUNT] = "SELECT state, count(*) FROM runs GROUP BY state",
};

enum status reader_prepare_runs(struct reader *reader)
{
    return database_prepare(&reader->database, texts, STATEMENTS, &reader->runs);
}

// --- lists ---

// Which list answers for a state: of all tasks, and of one. Any state: the last row.
static const struct {
    int of_all, of_task;
    unsigned stored;                       // as which states it is stored
    enum { ANY_TIME, NOT_YET, COME } time; // whether its time has come
} lists[RUN_STATE_COUNT + 1] = {
    [RUN_SCHEDULED] = {LIST_ALL, LIST_LIVE_OF_TASK, 1u << RUN_SCHEDULED, NOT_YET},
    [RUN_DUE] = {LIST_DUE, LIST_LIVE_OF_TASK, 1u << RUN_SCHEDULED | 1u << RUN_WAITING, COME},
    [RUN_RUNNING] = {LIST_BY_STATE, LIST_LIVE_OF_TASK, 1u << RUN_RUNNING, ANY_TIME},
    [RUN_WAITING] = {LIST_BY_STATE, LIST_LIVE_OF_TASK, 1u << RUN_WAITING, NOT_YET},
    [RUN_SUCCEEDED] = {LIST_ALL, LIST_OF_TASK, 1u << RUN_SUCCEEDED, ANY_TIME},
    [RUN_FAILED] = {LIST_BY_STATE, LIST_TROUBLED_OF_TASK, 1u << RUN_FAILED, ANY_TIME},
    [RUN_CANCELED] = {LIST_BY_STATE, LIST_TROUBLED_OF_TASK, 1u << RUN_CANCELED, ANY_TIME},
    [RUN_MISSED] = {LIST_BY_STATE, LIST_TROUBLED_OF_TASK, 1u << RUN_MISSED, ANY_TIME},
    [RUN_SKIPPED] = {LIST_BY_STATE, LIST_TROUBLED_OF_TASK, 1u << RUN_SKIPPED, ANY_TIME},
    [RUN_STATE_COUNT] = {LIST_ALL, LIST_OF_TASK, ~0u, ANY_TIME},
};

static sqlite3_stmt *choose_list(struct reader *reader, const struct run_filter *filter, size_t max,
                                 int64_t task)
{
    int which = filter->state < 0 ? RUN_STATE_COUNT : filter->state;
    wall from = filter->from, to = filter->to;
    wall next = {filter->now.us < INT64_MAX - 1 ? filter->now.us + 1 : INT64_MAX - 1};
    if (lists[which].time == NOT_YET && from.us < next.us)
        from = next;
    if (lists[which].time == COME && to.us > next.us)
        to = next;
    sqlite3_stmt *q = reader->runs[task ? lists[which].of_task : lists[which].of_all];
    bind_int(q, 1, filter->before.value ? filter->before.value : INT64_MAX);
    bind_int(q, 2, lists[which].stored);
    bind_wall(q, 3, from);
    bind_wall(q, 4, to);
    bind_int(q, 5, (int64_t)max);
    if (sqlite3_bind_parameter_count(q) >= 6)
        bind_int(q, 6, task);
    if (sqlite3_bind_parameter_count(q) >= 7)
        bind_int(q, 7, which);
    return q;
}

enum status reader_list_runs(struct reader *reader, const struct run_filter *filter, size_t max,
                             struct run *ret, size_t *ret_count)
{
    int64_t task = 0;
    enum status status = STATUS_OK;
    if (filter->task)
        status = reader_find_task_row(reader, filter->task, &task);
    if (status != STATUS_OK)
        return status;
    sqlite3_stmt *q = choose_list(reader, filter, max, task);
    size_t count = 0, bytes = 0;
    while ((status = database_step(&reader->database, q)) == STATUS_OK) {
        row_run(q, &ret[count]);
        bytes += ret[count++].payload_size;
        if (bytes > READER_LIST_MAX) {
            status = STATUS_TOO_LARGE;
            break;
        }
    }
    status = database_walked(q, status);
    while (status != STATUS_OK && count > 0)
        run_done(&ret[--count]);
    *ret_count = count;
    return status;
}

enum status reader_find_run(struct reader *reader, run_id id, struct run *ret)
{
    sqlite3_stmt *q = reader->runs[FIND];
    bind_int(q, 1, id.value);
    enum status status = database_one(&reader->database, q);
    if (status == STATUS_OK)
        row_run(q, ret);
    sqlite3_reset(q);
    return status;
}

enum status reader_list_attempts(struct reader *reader, run_id id, struct attempt **ret,
                                 size_t *ret_count)
{
    sqlite3_stmt *q = reader->runs[ATTEMPTS];
    struct attempt *attempts = memory_array(0, sizeof *attempts);
    size_t count = 0;
    enum status status;
    bind_int(q, 1, id.value);
    while ((status = database_step(&reader->database, q)) == STATUS_OK) {
        attempts = memory_resize(attempts, count + 1, sizeof *attempts);
        row_attempt(q, &attempts[count++]);
    }
    status = database_walked(q, status);
    if (status == STATUS_OK) {
        *ret = attempts;
        *ret_count = count;
        return status;
    }
    while (count > 0)
        attempt_done(&attempts[--count]);
    free(attempts);
    return status;
}

// --- figures ---

#define FIGURES_MAX 1000

struct known { // the values of a column that are known
    int64_t values[FIGURES_MAX];
    size_t count;
};

static void know(struct known *known, int64_t value)
{
    if (value >= 0)
        known->values[known->count++] = value;
}

static int ascending(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

// The nearest rank: the smallest value that at least `percent` of all do not exceed. -1 where none
// is known.
static int64_t percentile(struct known *known, size_t percent)
{
    if (known->count == 0)
        return -1;
    qsort(known->values, known->count, sizeof *known->values, ascending);
    return known->values[(known->count * percent + 99) / 100 - 1];
}

enum status reader_task_figures(struct reader *reader, int64_t task, size_t newest,
                                struct task_figures *ret)
{
    sqlite3_stmt *q = reader->runs[FIGURES];
    struct known times = {.count = 0}, calls = {.count = 0};
    struct task_figures figures = {0};
    int64_t caches[CACHE_STATUS_COUNT] = {0};
    enum status status;
    bind_int(q, 1, task);
    bind_int(q, 2, newest < FIGURES_MAX ? (int64_t)newest : FIGURES_MAX);
    while ((status = database_step(&reader->database, q)) == STATUS_OK) {
        figures.attempts++;
        figures.failed += column_int(q, 0) != ATTEMPT_SUCCEEDED;
        know(&times, column_known(q, 1));
        caches[column_int(q, 2)]++;
        know(&calls, column_known(q, 3));
    }
    status = database_walked(q, status);
    if (status != STATUS_OK)
        return status;
    figures.p50_us = percentile(&times, 50);
    figures.p95_us = percentile(&times, 95);
    figures.cache_warm = caches[CACHE_WARM];
    figures.cache_cold = caches[CACHE_COLD];
    figures.cache_unknown = caches[CACHE_UNKNOWN];
    figures.db_calls_p50 = percentile(&calls, 50);
    *ret = figures;
    return STATUS_OK;
}

enum status reader_count_runs(struct reader *reader, int64_t counts[RUN_STATE_COUNT])
{
    sqlite3_stmt *q = reader->runs[COUNT];
    enum status status;
    for (int i = 0; i < RUN_STATE_COUNT; i++)
        counts[i] = 0;
    while ((status = database_step(&reader->database, q)) == STATUS_OK)
        counts[column_int(q, 0)] = sqlite3_column_int64(q, 1);
    return database_walked(q, status);
}
