#include "store/rows.h"

void row_task(sqlite3_stmt *q, struct task_record *ret)
{
    *ret = (struct task_record){
        .id = sqlite3_column_int64(q, 0),
        .name = column_text(q, 1),
        .revision = column_int(q, 2),
        .revision_id = sqlite3_column_int64(q, 3),
        .generation = column_int(q, 4),
        .deleted = column_int(q, 5) != 0,
        .paused_at = column_wall(q, 6, WALL_NONE),
        .paused_by = column_text(q, 7),
        .paused_why = column_text(q, 8),
        .created_at = column_wall(q, 9, WALL_NONE),
        .changed_at = column_wall(q, 10, WALL_NONE),
    };
    ret->definition = column_bytes(q, 11, &ret->definition_size);
}

void row_run(sqlite3_stmt *q, struct run *ret)
{
    *ret = (struct run){
        .id = {sqlite3_column_int64(q, 0)},
        .task = sqlite3_column_int64(q, 1),
        .revision_id = sqlite3_column_int64(q, 2),
        .generation = column_int(q, 3),
        .state = (enum run_state)column_int(q, 4),
        .trigger = (enum run_trigger)column_int(q, 5),
        .reason = column_text(q, 6),
        .scheduled_for = column_wall(q, 7, WALL_NONE),
        .due_at = column_wall(q, 8, WALL_NONE),
        .started_at = column_wall(q, 9, WALL_NONE),
        .finished_at = column_wall(q, 10, WALL_NONE),
        .attempt_started_at = column_wall(q, 11, WALL_NONE),
        .attempts = column_int(q, 12),
        .fence = sqlite3_column_int64(q, 13),
        .lane = (uint64_t)sqlite3_column_int64(q, 14),
        .retry_of = {sqlite3_column_int64(q, 15)},
        .task_name = column_text(q, 17),
        .revision = column_int(q, 18),
        .priority = column_int(q, 19),
        .deadline_at = column_wall(q, 20, (wall){0}),
        .handled = column_text(q, 21),
    };
    ret->payload = column_bytes(q, 16, &ret->payload_size);
}

void row_attempt(sqlite3_stmt *q, struct attempt *ret)
{
    attempt_init(ret);
    ret->run = (run_id){sqlite3_column_int64(q, 0)};
    ret->number = column_int(q, 1);
    ret->fence = sqlite3_column_int64(q, 2);
    ret->started_at = column_wall(q, 3, WALL_NONE);
    ret->outcome = (enum attempt_outcome)column_int(q, 4);
    ret->status = (int)column_known(q, 5);
    ret->cache = (enum cache_status)column_int(q, 6);
    ret->lateness_us = column_known(q, 7);
    ret->response_time_us = column_known(q, 8);
    ret->dns_us = column_known(q, 9);
    ret->connect_us = column_known(q, 10);
    ret->tls_us = column_known(q, 11);
    ret->first_byte_us = column_known(q, 12);
    ret->db_calls = column_known(q, 13);
    ret->db_time_us = column_known(q, 14);
    ret->node = column_text(q, 15);
    ret->error = column_text(q, 16);
    ret->response = column_bytes(q, 17, &ret->response_size);
}
