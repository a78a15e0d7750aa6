#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/ago.h"
#include "cli/commands.h"
#include "cli/field.h"
#include "cli/session.h"
#include "cli/sse.h"
#include "cli/text.h"

const struct option_rule events_options[] = {
    {"task", "NAME", "only events of this task"},
    {"after", "ID", "begin behind this event rather than now"},
    {0},
};

#define FIRST_PAUSE_MS 500
#define LONGEST_PAUSE_MS 30000
#define HEAD_MAX ((size_t)64 << 10)

struct stream {
    struct session *s;
    struct sse sse;
    struct buffer head; // the first bytes of an answer, in case it is a refusal and no stream
    int64_t events;     // of this connection
};

// "3 runs from run_... to run_..." of a batch.
static void add_batch(struct buffer *to, const json_t *event)
{
    const char *first = field_text(event, "first"), *last = field_text(event, "last");
    int64_t count = field_int(event, "count");
    if (first && last && count > 0)
        buffer_format(to, " %" PRId64 " runs from %s to %s", count, first, last);
}

// "#2 failed with 503 in 34 ms, cold, 6 db calls" or "#1 succeeded with exit code 0 in 2 s" of an
// attempt, the reason of a run, who and why of a task.
static void add_what(struct buffer *to, const json_t *event)
{
    const char *outcome = field_text(event, "outcome"), *reason = field_text(event, "reason"),
               *error = field_text(event, "error"), *by = field_text(event, "by"),
               *note = field_text(event, "note"), *cache = field_text(event, "cache");
    int64_t number = field_int(event, "number"), status = field_int(event, "status"),
            exit_code = field_int(event, "exit_code"), calls = field_int(event, "db_calls"),
            took = field_ms(event, "response_time_ms"), revision = field_int(event, "revision");
    char span[AGO_TEXT];
    add_batch(to, event);
    if (number > 0)
        buffer_format(to, " #%" PRId64, number);
    if (outcome)
        buffer_format(to, " %s", outcome);
    if (outcome && exit_code >= 0)
        buffer_format(to, " with exit code %" PRId64, exit_code);
    else if (outcome && status >= 0)
        buffer_format(to, " with %" PRId64, status);
    if (took >= 0) {
        span_format(took, span);
        buffer_format(to, " in %s", span);
    }
    if (cache && strcmp(cache, "unknown") != 0)
        buffer_format(to, ", %s", cache);
    if (calls >= 0)
        buffer_format(to, ", %" PRId64 " db calls", calls);
    if (!field_text(event, "run") && revision > 0)
        buffer_format(to, " revision %" PRId64, revision);
    if (by)
        buffer_format(to, " by %s", by);
    const char *why = reason ? reason : error ? error : note;
    if (why)
        buffer_format(to, "%s %s", to->size ? ":" : "", why);
}

static enum colour event_colour(const char *type, const json_t *event)
{
    const char *outcome = field_text(event, "outcome"), *word = strchr(type, '.');
    return outcome ? colour_of_state(outcome) : word ? colour_of_state(word + 1) : PLAIN;
}

// "18:08:51.123 run.succeeded      nightly-invoices run_0c4x9k2m1p7qz ..."; not on a terminal the
// whole instant.
static void show_event(struct screen *out, const json_t *event)
{
    const char *type = field_text(event, "type"), *task = field_text(event, "task"),
               *run = field_text(event, "run"), *at = field_text(event, "at");
    if (!task)
        task = field_text(event, "endpoint");
    struct buffer line, what;
    buffer_init(&line, SSE_LINE_MAX);
    buffer_init(&what, SSE_LINE_MAX);
    add_what(&what, event);
    if (out->width && at && strlen(at) == MOMENT_TEXT - 1)
        buffer_format(&line, "%.12s ", at + 11);
    else
        buffer_format(&line, "%s ", at ? at : "-");
    colour_text(&out->out, out->colours, DIM, buffer_string(&line));
    int left = out->width ? out->width - text_width(buffer_string(&line)) : 0;
    buffer_clear(&line);
    buffer_format(&line, "%-16s ", type ? type : "-");
    colour_text(&out->out, out->colours, event_colour(type ? type : "", event),
                buffer_string(&line));
    left -= text_width(buffer_string(&line));
    buffer_clear(&line);
    buffer_format(&line, "%s %s%s", task ? task : "-", run ? run : "-", buffer_string(&what));
    char *clean = text_clean(buffer_string(&line), line.size);
    if (out->width)
        text_fit(&out->out, clean, left);
    else
        buffer_text(&out->out, clean);
    buffer_byte(&out->out, '\n');
    free(clean);
    buffer_done(&line);
    buffer_done(&what);
}

static void show_json_event(struct screen *out, const char *id, json_t *event)
{
    json_t *line = json_object();
    json_object_set_new(line, "id", json_string(id)); // what --after takes
    json_object_update_missing(line, event);
    char *text = json_write(line, NULL);
    buffer_format(&out->out, "%s\n", text ? text : "null");
    free(text);
    json_decref(line);
}

static bool take_event(void *context, const char *id, const char *data)
{
    struct stream *stream = context;
    struct session *s = stream->s;
    const char *wanted = options_text(&s->options, "task");
    struct json_place place;
    json_t *event = NULL;
    stream->events++;
    if (json_read(data, strlen(data), &event, &place) != STATUS_OK)
        return true; // nothing of this version's: pass over it
    const char *task = field_text(event, "task"), *type = field_text(event, "type");
    if (type && strcmp(type, "gap") == 0)
        screen_line(&s->err, 0, YELLOW,
                    "punctual: events are missing here: they are no longer kept");
    if (s->json && (!wanted || !task || strcmp(task, wanted) == 0))
        show_json_event(&s->out, id, event);
    else if (!s->json && type && strcmp(type, "gap") != 0 &&
             (!wanted || (task && strcmp(task, wanted) == 0)))
        show_event(&s->out, event);
    screen_show(&s->out);
    screen_show(&s->err);
    json_decref(event);
    return true;
}

static bool take_piece(void *context, const char *bytes, size_t size)
{
    struct stream *stream = context;
    if (stream->events == 0)
        buffer_add(&stream->head, bytes, size);
    return sse_take(&stream->sse, bytes, size);
}

// One connection, until it ends.
static enum leave listen_once(struct stream *stream, struct answer *answer)
{
    struct buffer path;
    buffer_init(&path, 64 << 10);
    buffer_text(&path, "/v1/events");
    query_add(&path, "task", options_text(&stream->s->options, "task"));
    struct request request = {
        .method = "GET",
        .path = buffer_string(&path),
        .accept = "text/event-stream, application/problem+json",
        .last_event = stream->sse.id.size ? buffer_string(&stream->sse.id) : NULL,
        .piece = take_piece,
        .context = stream,
    };
    stream->events = 0;
    buffer_clear(&stream->head);
    sse_restart(&stream->sse);
    enum leave leave = client_ask(&stream->s->client, &request, answer);
    buffer_done(&path);
    struct json_place place;
    if (answer->status && leave != LEAVE_OK && !answer->json &&
        json_read(buffer_string(&stream->head), stream->head.size, &answer->json, &place) !=
            STATUS_OK)
        answer->json = NULL;
    return leave;
}

static int next_pause(const struct stream *stream, int pause_ms)
{
    if (stream->events)
        return stream->sse.retry_ms >= 0 ? stream->sse.retry_ms : FIRST_PAUSE_MS;
    return pause_ms * 2 < LONGEST_PAUSE_MS ? pause_ms * 2 : LONGEST_PAUSE_MS;
}

static void say_broken(struct session *s, enum leave leave, const struct answer *answer,
                       int pause_ms)
{
    char span[AGO_TEXT];
    span_format(pause_ms * MILLISECOND, span);
    screen_line(&s->err, 0, DIM, "punctual: the connection ended%s%s; connecting again in %s",
                *answer->why ? ": " : "", leave == LEAVE_OK ? "" : answer->why, span);
    screen_show(&s->err);
}

static enum leave follow(struct stream *stream)
{
    bool connected = false;
    for (int pause_ms = FIRST_PAUSE_MS;;) {
        struct answer answer;
        enum leave leave = listen_once(stream, &answer);
        bool now_connected = answer.status == 200; // also of a connection that broke later
        connected = connected || now_connected;
        bool over =
            leave == LEAVE_REFUSED || (leave != LEAVE_OK && !connected) || answer.status == 204;
        if (over && leave != LEAVE_OK)
            session_complain(stream->s, leave, &answer, NULL);
        pause_ms =
            now_connected ? next_pause(stream, FIRST_PAUSE_MS / 2) : next_pause(stream, pause_ms);
        if (!over)
            say_broken(stream->s, leave, &answer, pause_ms);
        client_answer_done(&answer);
        if (over)
            return leave;
        nanosleep(&(struct timespec){pause_ms / 1000, pause_ms % 1000 * 1000000L}, NULL);
    }
}

// Events of a task that is not there may come yet, but rather its name is wrong: who waits is told.
static void say_unknown_task(struct session *s, const char *task)
{
    struct buffer path;
    buffer_init(&path, 64 << 10);
    buffer_text(&path, "/v1/tasks");
    path_add(&path, task);
    struct answer answer;
    client_ask(&s->client, &(struct request){.method = "GET", .path = buffer_string(&path)},
               &answer);
    if (answer.status == 404)
        screen_line(&s->err, 0, YELLOW,
                    "punctual: there is no task \"%s\" now; its events are shown once there is",
                    task);
    screen_show(&s->err);
    client_answer_done(&answer);
    buffer_done(&path);
}

static enum leave events(struct session *s)
{
    struct stream stream = {.s = s};
    const char *after = options_text(&s->options, "after"),
               *task = options_text(&s->options, "task");
    sse_init(&stream.sse, take_event, &stream);
    buffer_init(&stream.head, HEAD_MAX);
    if (after)
        buffer_text(&stream.sse.id, after);
    enum leave leave = LEAVE_OK;
    if (after && strspn(after, "0123456789-") != strlen(after))
        leave = session_usage(
            s, "--after is the id of an event, such as 12-0 (--json shows them), not \"%s\"",
            after);
    if (leave == LEAVE_OK && task)
        say_unknown_task(s, task);
    if (leave == LEAVE_OK)
        leave = follow(&stream);
    sse_done(&stream.sse);
    buffer_done(&stream.head);
    return leave;
}

int events_run(int argc, char **argv)
{
    return session_run(argc, argv, events_options, "", events);
}
