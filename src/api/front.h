/*
 * front - HTTP in
 *
 * libmicrohttpd in poll mode with a pool of threads (docs/decisions says why). Parses,
 * authenticates, validates, posts a message to the scheduler, suspends the connection, and resumes
 * it when the roof hands the message back. Lists and history are answered from a reader of the
 * thread's own.
 */
#pragma once

#include "api/patience.h"
#include "base/mailbox.h"
#include "core/pulse.h"

struct front_options {
    const char *address; // "127.0.0.1", "::1", "0.0.0.0"
    int port;            // 0: any free one
    int threads;         // 1 and more
    const char *api_key; // NULL: none is asked for
    const char *store;   // where readers open it
    bool allow_commands; // tasks with a command target are refused otherwise, with 403
    size_t body_max;     // 8 MiB where 0
    int connections_max; // 4096 where 0
    struct patience_limits patience;
    int listener; // of front_listen, to be served and closed; 0: front_start makes its own
};

struct front;

// Takes the port without serving it yet: who connects waits. For whatever must not be done where
// the port cannot be had. STATUS_FAILED with why in words.
enum status front_listen(const struct front_options *options, int *ret_listener, int *ret_port,
                         char *why, size_t size);
// Listens and serves. `messages` is the scheduler's mailbox. The options must outlive it.
// STATUS_FAILED with why in words.
enum status front_start(const struct front_options *options, struct mailbox *messages,
                        struct pulse *pulse, struct front **ret, char *why, size_t size);
int front_port(const struct front *front);
// The scheduler has answered these messages (a chain): send the answers. Any thread.
void front_reply(struct front *front, struct letter *replies);
// The journal has grown up to this turn: wakes the event streams. Any thread.
void front_events(struct front *front, int64_t turn);
// Takes no new connection; those open are served until front_stop.
void front_quiesce(struct front *front);
// Ends all connections and threads. Call it when the scheduler takes no more messages: those it
// took must have been replied to, and those still in the mailbox are answered with 503 here
// (reports among them are freed). NULL is fine.
void front_stop(struct front *front);
