// GET /v1/tasks/{name}/revisions: who edited what, newest first.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/cursor.h"
#include "api/handlers.h"
#include "api/query.h"
#include "base/memory.h"

static void write_revision(struct writer *w, const struct revision_record *record)
{
    writer_object(w);
    member_int(w, "revision", record->number);
    member_moment(w, "at", record->at);
    member_text(w, "what", record->what);
    member_text(w, "author", record->author);
    member_text(w, "note", record->note);
    member_raw(w, "changed", record->changed, record->changed ? strlen(record->changed) : 0);
    member_raw(w, "definition", record->definition, record->definition_size);
    writer_end_object(w);
}

static void write_revisions(struct request *r, const struct revision_record *records, size_t count,
                            size_t shown)
{
    struct writer w = request_answer(r, 200);
    writer_object(&w);
    member_array(&w, "revisions");
    for (size_t i = 0; i < shown; i++)
        write_revision(&w, &records[i]);
    writer_end_array(&w);
    char last[24];
    snprintf(last, sizeof last, "%lld", shown ? (long long)records[shown - 1].id : 0);
    cursor_write(&w, 'v', count > shown ? last : NULL);
    writer_end_object(&w);
}

void task_revisions(struct request *r)
{
    char key[24];
    int64_t before = INT64_MAX;
    if (query_cursor(r, 'v', key, sizeof key))
        before = strtoll(key, NULL, 10);
    size_t limit = (size_t)query_int(r, "limit", 1, 100, 20), count = 0;
    struct reader *reader;
    if (!request_is_sound(r, "a query parameter makes no sense") || !request_reader(r, &reader))
        return;
    struct revision_record *records = memory_array(limit + 1, sizeof *records);
    enum status status =
        reader_list_revisions(reader, request_parameter(r), before, limit + 1, records, &count);
    if (status == STATUS_OK && count == 0 && before == INT64_MAX)
        status = STATUS_NOT_FOUND; // every task that ever was has a first revision
    if (status == STATUS_OK)
        write_revisions(r, records, count, count < limit ? count : limit);
    else
        request_refuse_status(r, status, "task");
    for (size_t i = 0; i < count; i++)
        revision_record_done(&records[i]);
    free(records);
}
