/*
 * rows - which columns make a task record, a run, an attempt, and how they are read
 *
 * Shared by the writer's and the reader's statements, so that both see the same. For store/ only.
 */
#pragma once

#include "store/database.h"
#include "store/store.h"

#define TASK_COLUMNS                                                                               \
    "t.id, t.name, t.revision, t.revision_id, t.generation, t.deleted, t.paused_at, t.paused_by, " \
    "t.paused_why, t.created_at, t.changed_at, v.definition"
#define TASK_TABLES "tasks t LEFT JOIN revisions v ON v.id = t.revision_id"
void row_task(sqlite3_stmt *q, struct task_record *ret); // ret is the caller's: task_record_done

#define RUN_COLUMNS                                                                              \
    "r.id, r.task_id, r.revision_id, r.generation, r.state, r.trigger, r.reason, "               \
    "r.scheduled_for, r.due_at, r.started_at, r.finished_at, r.attempt_started_at, r.attempts, " \
    "r.fence, r.lane, r.retry_of, r.payload, t.name, v.number, r.priority, r.deadline_at, "      \
    "r.handled"
// To follow `runs r`, under whatever index.
#define RUN_JOINS \
    " LEFT JOIN tasks t ON t.id = r.task_id LEFT JOIN revisions v ON v.id = r.revision_id "
void row_run(sqlite3_stmt *q, struct run *ret); // ret is the caller's: run_done

#define ATTEMPT_COLUMNS                                                                          \
    "run_id, number, fence, started_at, outcome, status, cache, lateness_us, response_time_us, " \
    "dns_us, connect_us, tls_us, first_byte_us, db_calls, db_time_us, node, error, response"
void row_attempt(sqlite3_stmt *q, struct attempt *ret); // ret is the caller's: attempt_done
