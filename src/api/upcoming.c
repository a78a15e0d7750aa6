// GET /v1/tasks/{name}/upcoming: what the schedules say is coming.

#include <stdlib.h>

#include "api/handlers.h"
#include "api/query.h"
#include "core/upcoming.h"

static void write_item(struct writer *w, const struct task *task, const struct upcoming_item *item)
{
    char local[ZONED_TEXT];
    zone_format(task->schedules[item->schedule].zone, item->nominal, local);
    writer_object(w);
    member_moment(w, "at", item->nominal);
    member_text(w, "local", local);
    member_moment(w, "effective_at", item->effective);
    member_int(w, "schedule", item->schedule);
    member_text(w, "dst", item->dst == DST_NONE ? NULL : dst_note_text(item->dst));
    writer_end_object(w);
}

static void write_upcoming(struct request *r, const struct task *task, wall from, wall to,
                           int64_t limit)
{
    struct upcoming coming;
    struct upcoming_item item;
    struct writer w = request_answer(r, 200);
    writer_object(&w);
    member_array(&w, "occurrences");
    upcoming_begin(&coming, task, wall_plus(from, -1)); // `from` itself is among them
    while (limit-- > 0 && upcoming_next(&coming, &item) && item.nominal.us < to.us)
        write_item(&w, task, &item);
    writer_end_array(&w);
    writer_end_object(&w);
}

void task_upcoming(struct request *r)
{
    wall from = query_moment(r, "from", r->now), to = query_moment(r, "to", WALL_NEVER);
    int64_t limit = query_int(r, "limit", 1, 1000, 10);
    struct reader *reader;
    struct task_record record;
    query_check_window(r, from, to);
    if (!request_is_sound(r, "a query parameter makes no sense") || !request_reader(r, &reader))
        return;
    enum status status = reader_find_task(reader, request_parameter(r), &record);
    if (status != STATUS_OK) {
        request_refuse_status(r, status, "task");
        return;
    }
    struct task *task;
    if (task_decode_text(record.name, record.definition, record.definition_size, &task) ==
        STATUS_OK) {
        write_upcoming(r, task, from, to, limit);
        task_drop(task);
    } else {
        request_refuse(r, PROBLEM_FAILED, "the stored definition cannot be read by this version");
    }
    task_record_done(&record);
}
