/*
 * client - asks the server
 *
 * One request at a time, waited for, over dispatch/fetch.h. Knows the base URL, the key and the
 * author; knows nothing of what is asked.
 */
#pragma once

#include "base/buffer.h"
#include "base/json.h"
#include "cli/leave.h"
#include "cli/options.h"

#define CLIENT_URL "http://127.0.0.1:8640"
#define CLIENT_ANSWER_MAX ((size_t)128 << 20)

struct client {
    char *base; // without a slash at its end
    char *key;  // NULL: none
    char *author;
};

// From options and environment. LEAVE_USAGE with why in words where they make no sense.
enum leave client_open(struct client *ret, const struct options *options, char *why, size_t size);
void client_close(struct client *client);

struct request {
    const char *method;
    const char *path;       // with its query, see path_add and query_add
    const char *body;       // JSON text; NULL: none
    const char *key;        // Idempotency-Key; NULL: none
    const char *accept;     // NULL: JSON
    const char *last_event; // Last-Event-ID; NULL: none
    bool (*piece)(void *context, const char *bytes,
                  size_t size); // as in struct fetch; NULL: into the answer
    void *context;
};

struct answer {
    int status;         // HTTP; 0: none came
    struct buffer text; // as received; empty where `piece` was given
    json_t *json;       // NULL where it is none
    char why[400];      // in words, unless LEAVE_OK
};
void client_answer_done(struct answer *answer);

// LEAVE_OK: 2xx, and JSON unless `piece` was given. Otherwise what went wrong: LEAVE_UNREACHABLE,
// LEAVE_REFUSED (status and problem in the answer), LEAVE_TROUBLE. The answer is the caller's in
// every case: client_answer_done. Says nothing.
enum leave client_ask(const struct client *client, const struct request *request,
                      struct answer *ret);

// Adds one segment of a path, with what a URL cannot hold escaped (RFC 3986, 2.1).
void path_add(struct buffer *path, const char *segment);
// Adds "?name=value" or "&name=value"; nothing where value is NULL.
void query_add(struct buffer *path, const char *name, const char *value);
