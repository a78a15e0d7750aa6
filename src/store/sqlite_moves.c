// The moves of a run from state to state. Each is an UPDATE that names the states it may leave, so
// whether it was allowed is whether it changed a row; core/run.c says which moves there are.
#include <string.h>

#include "store/sqlite.h"

enum { START, FINISH, LATEST, FINISH_ENDED, ADD_ATTEMPT, END, PENDING, STATEMENTS };

static const char *const texts[STATEMENTS] = {
    [START] = ("UPDATE runs SET state = 2, attempts = attempts + 1, fence = fence + 1,"
               " started_at = coalesce(started_at, ?2), attempt_started_at = ?2, revision_id = ?3,"
               " lane = ?4 WHERE id = ?1 AND state IN (0, 3)"),
    [FINISH] =
        ("UPDATE runs SET state = ?4, due_at = coalesce(?5, due_at), finished_at = ?6, reason = ?7,"
         " attempt_started_at = CASE WHEN ?8 THEN attempt_started_at END"
         " WHERE id = ?1 AND attempts = ?2 AND fence = ?3 AND state = 2"),
    [LATEST] = "SELECT attempts = ?2 AND fence = ?3 AND state > 3 FROM runs WHERE id = ?1",
    [FINISH_ENDED] = "UPDATE runs SET attempt_started_at = NULL WHERE id = ?1",
    [ADD_ATTEMPT] =
        ("INSERT INTO attempts (run_id, number, fence, started_at, outcome, status, cache,"
         " lateness_us, response_time_us, dns_us, connect_us, tls_us, first_byte_us,"
         " db_calls, db_time_us, node, error, response) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8,"
         " ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)"
         // 6: recorded when its run was canceled; the report knows better.
         " ON CONFLICT (run_id, number) DO UPDATE SET started_at = excluded.started_at,"
         " outcome = excluded.outcome, status = excluded.status, cache = excluded.cache,"
         " lateness_us = excluded.lateness_us, response_time_us = excluded.response_time_us,"
         " dns_us = excluded.dns_us, connect_us = excluded.connect_us, tls_us = excluded.tls_us,"
         " first_byte_us = excluded.first_byte_us, db_calls = excluded.db_calls,"
         " db_time_us = excluded.db_time_us, node = excluded.node, error = excluded.error,"
         " response = excluded.response WHERE outcome = 6"),
    // ?2 has a bit for each state that may be left. attempt_started_at stays: the attempt under way
    // is still to be reported.
    [END] = ("UPDATE runs SET state = ?3, reason = ?4, finished_at = ?5"
             " WHERE id = ?1 AND (?2 >> state) & 1"),
    [PENDING] = ("SELECT id FROM runs INDEXED BY runs_live_of_task"
                 " WHERE task_id = ?1 AND state <= 3 AND state IN (0, 3)"
                 " AND (NOT ?2 OR (trigger IN (0, 3) AND attempts = 0)) AND id <= ?4"
                 " ORDER BY id LIMIT ?3"),
};

enum status sqlite_prepare_moves(struct sqlite *s)
{
    return database_prepare(&s->database, texts, STATEMENTS, &s->moves);
}

// A guarded move that changed nothing was not allowed.
static enum status move(struct sqlite *s, sqlite3_stmt *q)
{
    int changes = 0;
    enum status status = database_change(&s->database, q, &changes);
    return status == STATUS_OK && changes == 0 ? STATUS_CONFLICT : status;
}

enum status sqlite_start_run(struct store *store, run_id id, wall at, int64_t revision_id,
                             uint64_t lane)
{
    struct sqlite *s = sqlite_of(store);
    sqlite3_stmt *q = s->moves[START];
    bind_int(q, 1, id.value);
    bind_int(q, 2, at.us);
    bind_id(q, 3, revision_id);
    bind_int(q, 4, (int64_t)lane);
    return move(s, q);
}

// What stands beside its row.
static enum status ended(struct sqlite *s, run_id id, enum run_state state)
{
    books_entered(s, state);
    return state == RUN_FAILED ? sqlite_add_dead(s, id) : STATUS_OK;
}

// --- the end of an attempt ---

static enum status finish_run(struct sqlite *s, const struct attempt *attempt,
                              const struct verdict *verdict, wall now)
{
    sqlite3_stmt *q = s->moves[FINISH];
    bool final = run_state_is_final(verdict->state);
    bind_int(q, 1, attempt->run.value);
    bind_int(q, 2, attempt->number);
    bind_int(q, 3, attempt->fence);
    bind_int(q, 4, verdict->state);
    bind_wall(q, 5, final ? WALL_NONE : verdict->due_at);
    bind_wall(q, 6, final ? now : WALL_NONE);
    bind_text(q, 7, *verdict->reason ? verdict->reason : NULL);
    bind_int(q, 8, verdict->reported_later);
    enum status status = move(s, q);
    if (status == STATUS_OK && final)
        status = ended(s, attempt->run, verdict->state);
    return status;
}

// The run did not move: it had ended while the attempt was under way (canceled), which leaves only
// the attempt to be recorded, or this is not the report of its latest attempt.
static enum status finish_ended(struct sqlite *s, const struct attempt *attempt)
{
    sqlite3_stmt *q = s->moves[LATEST];
    bind_int(q, 1, attempt->run.value);
    bind_int(q, 2, attempt->number);
    bind_int(q, 3, attempt->fence);
    enum status status = database_one(&s->database, q);
    bool latest = status == STATUS_OK && sqlite3_column_int(q, 0);
    sqlite3_reset(q);
    if (status != STATUS_OK || !latest)
        return status == STATUS_OK ? STATUS_CONFLICT : status;
    bind_int(s->moves[FINISH_ENDED], 1, attempt->run.value);
    return database_do(&s->database, s->moves[FINISH_ENDED]);
}

static enum status add_attempt(struct sqlite *s, const struct attempt *attempt)
{
    sqlite3_stmt *q = s->moves[ADD_ATTEMPT];
    bind_int(q, 1, attempt->run.value);
    bind_int(q, 2, attempt->number);
    bind_int(q, 3, attempt->fence);
    bind_wall(q, 4, attempt->started_at);
    bind_int(q, 5, attempt->outcome);
    bind_known(q, 6, attempt->status);
    bind_int(q, 7, attempt->cache);
    bind_known(q, 8, attempt->lateness_us);
    bind_known(q, 9, attempt->response_time_us);
    bind_known(q, 10, attempt->dns_us);
    bind_known(q, 11, attempt->connect_us);
    bind_known(q, 12, attempt->tls_us);
    bind_known(q, 13, attempt->first_byte_us);
    bind_known(q, 14, attempt->db_calls);
    bind_known(q, 15, attempt->db_time_us);
    bind_text(q, 16, attempt->node);
    bind_text(q, 17, attempt->error);
    bind_blob(q, 18, attempt->response, attempt->response_size);
    return move(s, q);
}

enum status sqlite_finish_attempt(struct store *store, const struct attempt *attempt,
                                  const struct verdict *verdict, wall now)
{
    struct sqlite *s = sqlite_of(store);
    enum status moved = finish_run(s, attempt, verdict, now);
    enum status status = moved == STATUS_CONFLICT ? finish_ended(s, attempt) : moved;
    if (status == STATUS_OK)
        status = add_attempt(s, attempt);
    return status == STATUS_OK ? moved : status;
}

// --- ending ---

enum status sqlite_end_run(struct store *store, run_id id, enum run_state state, const char *reason,
                           wall now)
{
    struct sqlite *s = sqlite_of(store);
    sqlite3_stmt *q = s->moves[END];
    int64_t may_leave = 0;
    for (unsigned from = 0; from < RUN_STATE_COUNT; from++)
        if (run_state_may((enum run_state)from, state))
            may_leave |= INT64_C(1) << from;
    bind_int(q, 1, id.value);
    bind_int(q, 2, run_state_is_final(state) ? may_leave : 0);
    bind_int(q, 3, state);
    bind_text(q, 4, reason);
    bind_int(q, 5, now.us);
    enum status status = move(s, q);
    return status == STATUS_OK ? ended(s, id, state) : status;
}

enum status sqlite_cancel_pending(struct store *store, int64_t task, run_id until,
                                  bool only_occurrences, const char *reason, wall now, size_t max,
                                  run_id *ret, size_t *ret_count)
{
    struct sqlite *s = sqlite_of(store);
    sqlite3_stmt *q = s->moves[PENDING];
    size_t count = 0;
    enum status status;
    bind_int(q, 1, task);
    bind_int(q, 2, only_occurrences);
    bind_int(q, 3, (int64_t)max);
    bind_int(q, 4, until.value);
    while ((status = database_step(&s->database, q)) == STATUS_OK)
        ret[count++] = (run_id){sqlite3_column_int64(q, 0)};
    status = database_walked(q, status);
    // Only now: a statement that is being stepped should not have the rows it walks changed beneath
    // it.
    for (size_t i = 0; i < count && status == STATUS_OK; i++)
        status = sqlite_end_run(store, ret[i], RUN_CANCELED, reason, now);
    if (status == STATUS_OK)
        *ret_count = count;
    return status;
}
