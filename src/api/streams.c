#include "api/streams.h"

#include <assert.h>
#include <errno.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/json.h"
#include "base/memory.h"

#define HEARTBEAT_S 15
#define OUT_MAX (64 << 20) // one turn's events and their frames
#define PIECE (16 << 10)

struct stream {
    struct stream *next, *previous;
    struct streams *streams;
    struct MHD_Connection *connection;
    char *task, *types; // NULL: all
    int64_t turn, line; // what was sent last; line -1: the whole turn
    int64_t gap_from;   // -1: none to tell
    struct buffer out;  // frames not yet sent
    size_t sent;        // of them
    bool begun;
    // Under the lock of streams:
    bool asleep;
    bool beat; // a heartbeat is wanted
};

struct streams {
    struct service *service;
    pthread_mutex_t lock;
    pthread_cond_t ended;
    pthread_t heart;
    struct stream *first;
    int count;
    int64_t newest; // turn
    bool stopping;
};

// --- waking ---

// With the lock held.
static void wake_all(struct streams *streams, bool beat)
{
    for (struct stream *stream = streams->first; stream; stream = stream->next) {
        stream->beat |= beat;
        if (stream->asleep) {
            stream->asleep = false;
            MHD_resume_connection(stream->connection);
        }
    }
}

static void *heartbeat(void *context)
{
    struct streams *streams = context;
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    pthread_mutex_lock(&streams->lock);
    while (!streams->stopping) {
        at.tv_sec += HEARTBEAT_S;
        while (!streams->stopping &&
               pthread_cond_timedwait(&streams->ended, &streams->lock, &at) != ETIMEDOUT)
            ;
        wake_all(streams, true);
    }
    pthread_mutex_unlock(&streams->lock);
    return NULL;
}

struct streams *streams_new(struct service *service)
{
    struct streams *streams = memory_new(sizeof *streams);
    streams->service = service;
    pthread_mutex_init(&streams->lock, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&streams->ended, &monotonic);
    pthread_condattr_destroy(&monotonic);
    if (pthread_create(&streams->heart, NULL, heartbeat, streams) == 0)
        return streams;
    pthread_cond_destroy(&streams->ended);
    pthread_mutex_destroy(&streams->lock);
    free(streams);
    return NULL;
}

void streams_wake(struct streams *streams, int64_t turn)
{
    pthread_mutex_lock(&streams->lock);
    if (turn > streams->newest)
        streams->newest = turn;
    wake_all(streams, false);
    pthread_mutex_unlock(&streams->lock);
}

void streams_stop(struct streams *streams)
{
    pthread_mutex_lock(&streams->lock);
    streams->stopping = true;
    wake_all(streams, false);
    pthread_cond_signal(&streams->ended);
    pthread_mutex_unlock(&streams->lock);
}

void streams_free(struct streams *streams)
{
    if (!streams)
        return;
    streams_stop(streams);
    pthread_join(streams->heart, NULL);
    assert(!streams->first);
    pthread_cond_destroy(&streams->ended);
    pthread_mutex_destroy(&streams->lock);
    free(streams);
}

// --- what is sent ---

// What a listener needs to come back: after how many ms, and to which place, which it could not
// know before its first event.
static void tell_start(struct stream *stream)
{
    buffer_format(&stream->out, "retry: 2000\nid: %lld", (long long)stream->turn);
    if (stream->line >= 0)
        buffer_format(&stream->out, "-%lld", (long long)stream->line);
    buffer_text(&stream->out, "\n\n");
}

static void tell_gap(struct stream *stream)
{
    buffer_format(&stream->out, "event: gap\ndata: {\"type\":\"gap\",\"after\":%lld}\n\n",
                  (long long)stream->gap_from);
    stream->gap_from = -1;
}

static bool types_have(const char *types, const char *type)
{
    size_t size = strlen(type);
    for (const char *at = types; *at;) {
        size_t word = strcspn(at, ",");
        // "run.*" stands for all that begin with "run."
        bool prefix = word > 1 && at[word - 1] == '*' && size >= word - 1;
        if ((prefix && memcmp(at, type, word - 1) == 0) ||
            (word == size && memcmp(at, type, size) == 0))
            return true;
        at += word;
        at += *at == ',';
    }
    return false;
}

// One event as a frame, unless the stream does not want it. It gets the row's moment where it has
// none of its own.
static void frame(struct stream *stream, const struct journal_row *row, int64_t number,
                  const char *text, size_t size)
{
    struct json_place place;
    json_t *event;
    if (json_read(text, size, &event, &place) != STATUS_OK)
        return; // our own rows are JSON
    const char *type = json_string_value(json_object_get(event, "type"));
    const char *task = json_string_value(json_object_get(event, "task"));
    bool wanted = type && (!stream->types || types_have(stream->types, type)) &&
                  (!stream->task || (task && strcmp(stream->task, task) == 0));
    if (wanted) {
        buffer_format(&stream->out, "id: %lld-%lld\nevent: %s\ndata: ", (long long)row->turn,
                      (long long)number, type);
        if (json_object_get(event, "at")) {
            buffer_add(&stream->out, text, size);
        } else {
            char at[MOMENT_TEXT];
            wall_format(row->at, at);
            buffer_format(&stream->out, "{\"at\":\"%s\",", at);
            buffer_add(&stream->out, text + 1, size - 1); // behind the brace
        }
        buffer_text(&stream->out, "\n\n");
    }
    json_decref(event);
}

static void frame_row(struct stream *stream, const struct journal_row *row)
{
    int64_t sent = row->turn == stream->turn ? stream->line : -1;
    int64_t number = 0;
    for (const char *at = row->events, *end = at + row->size; at < end; number++) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        size_t size = (size_t)((stop ? stop : end) - at);
        if (number > sent && size > 0)
            frame(stream, row, number, at, size);
        at += size + 1;
    }
    stream->turn = row->turn;
    stream->line = -1; // this turn is done
}

// Reads on in the journal until there is something to send or nothing further. False: the store
// cannot be read.
static bool read_on(struct stream *stream)
{
    struct reader *reader;
    char why[200];
    size_t count = 1;
    if (service_reader(stream->streams->service, &reader, why, sizeof why) != STATUS_OK)
        return false;
    while (stream->out.size == 0 && count > 0) {
        struct journal_row row;
        // A turn of which only some lines were sent is read once more.
        int64_t after = stream->line >= 0 ? stream->turn - 1 : stream->turn;
        if (reader_read_journal(reader, after, 1, &row, &count) != STATUS_OK)
            return false;
        if (count > 0) {
            frame_row(stream, &row);
            free(row.events);
        }
    }
    return !stream->out.overflow;
}

static int64_t newest_turn(struct streams *streams)
{
    pthread_mutex_lock(&streams->lock);
    int64_t newest = streams->newest;
    pthread_mutex_unlock(&streams->lock);
    return newest;
}

// Sleeps unless the journal has grown since `seen`, which was looked up before it was read to its
// end. False: there is something to do at once.
static bool sleep_until_woken(struct stream *stream, int64_t seen, bool *ret_beat, bool *ret_end)
{
    struct streams *streams = stream->streams;
    pthread_mutex_lock(&streams->lock);
    *ret_end = streams->stopping;
    *ret_beat = stream->beat;
    stream->beat = false;
    bool sleeps = !*ret_end && !*ret_beat && streams->newest == seen;
    if (sleeps) {
        stream->asleep = true;
        MHD_suspend_connection(stream->connection);
    }
    pthread_mutex_unlock(&streams->lock);
    return sleeps;
}

static ssize_t give(struct stream *stream, char *to, size_t max)
{
    size_t size = stream->out.size - stream->sent;
    if (size > max)
        size = max;
    memcpy(to, stream->out.data + stream->sent, size);
    stream->sent += size;
    return (ssize_t)size;
}

// libmicrohttpd asks for more on the connection's thread. 0 only where the connection sleeps.
static ssize_t on_more(void *context, uint64_t position, char *to, size_t max)
{
    (void)position;
    struct stream *stream = context;
    if (stream->sent < stream->out.size)
        return give(stream, to, max);
    buffer_clear(&stream->out);
    stream->sent = 0;
    if (!stream->begun) {
        stream->begun = true;
        tell_start(stream);
        if (stream->gap_from >= 0)
            tell_gap(stream);
        return give(stream, to, max);
    }
    bool beat = false, end = false;
    while (stream->out.size == 0) {
        int64_t seen = newest_turn(stream->streams);
        if (!read_on(stream))
            return MHD_CONTENT_READER_END_WITH_ERROR;
        if (stream->out.size > 0)
            break;
        if (sleep_until_woken(stream, seen, &beat, &end))
            return 0;
        if (end)
            return MHD_CONTENT_READER_END_OF_STREAM;
        if (beat)
            buffer_text(&stream->out, ": still here\n\n");
    }
    return give(stream, to, max);
}

// --- a stream's life ---

static void stream_free(void *context)
{
    struct stream *stream = context;
    struct streams *streams = stream->streams;
    pthread_mutex_lock(&streams->lock);
    if (stream->next)
        stream->next->previous = stream->previous;
    if (stream->previous)
        stream->previous->next = stream->next;
    else
        streams->first = stream->next;
    streams->count--;
    pthread_mutex_unlock(&streams->lock);
    buffer_done(&stream->out);
    free(stream->task);
    free(stream->types);
    free(stream);
}

enum status streams_open(struct streams *streams, struct MHD_Connection *connection,
                         const struct stream_start *start, struct MHD_Response **ret)
{
    struct stream *stream = memory_new(sizeof *stream);
    stream->streams = streams;
    stream->connection = connection;
    stream->task = memory_text(start->task);
    stream->types = memory_text(start->types);
    stream->turn = start->turn;
    stream->line = start->line;
    stream->gap_from = start->gap_from;
    buffer_init(&stream->out, OUT_MAX);
    pthread_mutex_lock(&streams->lock);
    bool room = streams->count < STREAMS_MAX && !streams->stopping;
    // Linked in even where there is no room: stream_free takes it out again.
    stream->next = streams->first;
    if (streams->first)
        streams->first->previous = stream;
    streams->first = stream;
    streams->count++;
    if (start->turn > streams->newest)
        streams->newest = start->turn;
    pthread_mutex_unlock(&streams->lock);
    struct MHD_Response *response = NULL;
    if (room)
        response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, PIECE, on_more, stream,
                                                     stream_free);
    if (!response) {
        stream_free(stream);
        return STATUS_UNAVAILABLE;
    }
    *ret = response;
    return STATUS_OK;
}
