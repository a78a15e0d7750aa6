// GET /v1/events: where the stream begins.

#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>

#include "api/handlers.h"
#include "api/query.h"
#include "api/streams.h"

// "<turn>-<line>", or "<turn>" for all of it.
static bool read_id(const char *text, struct stream_start *start)
{
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 18)
        return false;
    start->turn = strtoll(text, NULL, 10);
    start->line = -1;
    text += digits;
    if (!*text)
        return true;
    digits = strspn(++text, "0123456789");
    if (text[-1] != '-' || digits == 0 || digits > 9 || text[digits])
        return false;
    start->line = strtoll(text, NULL, 10);
    return true;
}

// Where nothing is asked for: from now on. Where what is asked for is no longer kept, or not this
// journal's: a gap is told.
static bool place_start(struct request *r, const char *asked, struct stream_start *start)
{
    struct reader *reader;
    int64_t oldest, newest;
    if (!request_reader(r, &reader))
        return false;
    if (reader_journal_range(reader, &oldest, &newest) != STATUS_OK) {
        request_refuse(r, PROBLEM_FAILED, "the journal could not be read");
        return false;
    }
    start->gap_from = -1;
    if (!asked) {
        start->turn = newest;
        start->line = -1;
    } else if (start->turn > newest) {
        start->gap_from = start->turn;
        start->turn = newest;
        start->line = -1;
    } else if (start->turn > 0 && start->turn < oldest) {
        start->gap_from = start->turn;
    }
    return true;
}

void events_get(struct request *r)
{
    struct stream_start start = {.line = -1};
    const char *id = request_header(r, "Last-Event-ID"), *after = query_text(r, "after");
    const char *asked = id && *id ? id : after; // a browser that comes back sends the header
    if (asked && !read_id(asked, &start))
        faults_add(&r->faults, asked == after ? "?after" : "",
                   "must be an event's id such as 4711-0, or 0 for all that is kept");
    start.task = query_text(r, "task");
    if (start.task)
        task_check_name(start.task, "?task", &r->faults);
    if (!request_is_sound(r, "the place to begin makes no sense") || !place_start(r, asked, &start))
        return;
    start.types = query_text(r, "types");
    struct MHD_Response *response;
    if (streams_open(r->service->streams, r->connection, &start, &response) != STATUS_OK) {
        request_refuse(r, PROBLEM_UNAVAILABLE,
                       "there are %d event streams already; try again later", STREAMS_MAX);
        r->answer.retry_after_s = 15;
        return;
    }
    MHD_add_response_header(response, "Content-Type", "text/event-stream");
    MHD_add_response_header(response, "Cache-Control", "no-store");
    MHD_add_response_header(response, "X-Accel-Buffering", "no");
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    r->answer.code = 200;
    r->answer.whole = response;
}
