/*
 * streams - the open event streams of a front
 *
 * A stream with nothing to send is suspended. The journal's growth, a heartbeat every 15 s and the
 * end of the front wake it; then it reads on at its own place, on its own front thread. The list is
 * locked; a stream's place is its thread's alone.
 *
 * Used by front.c (begin, wake, stop) and events.c (the streams).
 */
#pragma once

#include "api/service.h"
#include "base/buffer.h"

#define STREAMS_MAX 100

struct MHD_Connection;
struct MHD_Response;

struct stream_start {
    int64_t turn;      // events after this turn and line
    int64_t line;      // -1: all lines of the turn are done
    int64_t gap_from;  // >= 0: the client stopped here, and what came next is no longer kept
    const char *task;  // only this task's; NULL: all
    const char *types; // names with a comma between; NULL: all
};

struct streams *streams_new(
    struct service *service); // starts the heartbeat's thread; NULL where the system refuses
void streams_free(struct streams *streams); // after the front's threads have ended; NULL is fine
void streams_wake(struct streams *streams, int64_t turn); // any thread
// Ends all streams; they end at their next turn of the front's threads.
void streams_stop(struct streams *streams);

// A response that streams to this connection. STATUS_UNAVAILABLE where there are too many.
enum status streams_open(struct streams *streams, struct MHD_Connection *connection,
                         const struct stream_start *start, struct MHD_Response **ret);
