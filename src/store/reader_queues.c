// What waits in the queues, as a reader sees it: one walk over the index of queued runs.
#include "store/reader_internal.h"

enum { ALL, ONE, STATEMENTS };

// Counted by the index alone; the name is that of the target which any run of the lane has now.
#define QUEUES(which)                                                                             \
    "SELECT q.lane, q.due, q.total - q.due, q.oldest, json_extract(v.definition, '$.queue.name')" \
    " FROM (SELECT lane, sum(due_at <= ?1) AS due, count(*) AS total, min(due_at) AS oldest,"     \
    " max(id) AS id FROM runs INDEXED BY runs_queued WHERE lane < 0" which                        \
    " AND state IN (0, 3) GROUP BY lane LIMIT ?2) q"                                              \
    " JOIN runs r ON r.id = q.id LEFT JOIN tasks t ON t.id = r.task_id"                           \
    " LEFT JOIN revisions v ON v.id = coalesce(t.revision_id, r.revision_id)"

static const char *const texts[STATEMENTS] = {
    [ALL] = QUEUES(""),
    [ONE] = QUEUES(" AND lane = ?3"),
};

enum status reader_prepare_queues(struct reader *reader)
{
    return database_prepare(&reader->database, texts, STATEMENTS, &reader->queues);
}

enum status reader_list_queues(struct reader *reader, uint64_t lane, wall now, size_t max,
                               struct queue_load *ret, size_t *ret_count)
{
    sqlite3_stmt *q = reader->queues[lane ? ONE : ALL];
    size_t count = 0;
    enum status status;
    bind_int(q, 1, now.us);
    bind_int(q, 2, (int64_t)max);
    if (lane)
        bind_int(q, 3, (int64_t)lane);
    while ((status = database_step(&reader->database, q)) == STATUS_OK) {
        struct queue_load load = {.lane = (uint64_t)sqlite3_column_int64(q, 0),
                                  .due = sqlite3_column_int64(q, 1),
                                  .scheduled = sqlite3_column_int64(q, 2),
                                  .oldest = column_wall(q, 3, WALL_NONE),
                                  .name = column_text(q, 4)};
        if (load.due == 0)
            load.oldest = WALL_NONE;
        if (load.name)
            ret[count++] = load;
    }
    *ret_count = count; // also where it failed: the names are to be let go
    return database_walked(q, status);
}
