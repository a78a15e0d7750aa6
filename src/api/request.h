/*
 * request - one request in progress, from its first header to its answer
 *
 * Made by front.c, filled with the body as it comes, given to the route's handler, which answers or
 * hands over a message. Lives on one front thread, but for the time its message is with the
 * scheduler: then nobody touches it.
 */
#pragma once

#include "api/problem.h"
#include "api/routes.h"
#include "api/service.h"
#include "base/json.h"
#include "base/writer.h"
#include "core/message.h"

struct MHD_Connection;
struct MHD_Response;

struct answer {
    int code;         // HTTP; 0: not answered yet
    const char *type; // of the content; NULL: application/json
    struct buffer body;
    struct MHD_Response *whole; // instead of the body
    bool whole_is_shared;       // ... which is not ours to let go
    char location[144];         // "" for none
    int revision;               // for the ETag; 0: none
    bool replayed;              // Idempotency-Replayed: true
    int retry_after_s;          // 0: none
    bool challenge;             // WWW-Authenticate
    bool allow;                 // match.allow as Allow
    bool close;                 // Connection: close
};

struct request {
    struct service *service;
    struct MHD_Connection *connection; // NULL in unit tests
    const char *method, *path;         // the connection's, as long as the request
    struct route_match match;
    struct buffer body;
    size_t thrown_away; // bytes of a body that nobody wants
    wall now;           // when the body was there
    struct faults faults;
    struct message *message; // handed over, or back again
    bool posted, replied;
    struct answer answer;
};

struct request *request_new(struct service *service, struct MHD_Connection *connection,
                            const char *method, const char *path);
void request_free(struct request *r);

// The value of the route's {name} or {id}.
const char *request_parameter(const struct request *r);
// A header's value, or NULL.
const char *request_header(const struct request *r, const char *name);
// Copies of Punctual-Author, and of ?note= or Punctual-Note; NULL where not said.
char *request_author(const struct request *r);
char *request_note(const struct request *r);

// --- the answer: exactly one of these, once ---
// Begins a JSON answer; the caller writes one value into it.
struct writer request_answer(struct request *r, int code);
// A problem with the faults found so far. Replaces whatever was begun.
void request_refuse(struct request *r, enum problem problem, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
// The problem for a status of the store; `what` is the thing that was not found: the one in the
// path, or the one with this name.
void request_refuse_status(struct request *r, enum status status, const char *what);
void request_refuse_named(struct request *r, enum status status, const char *what,
                          const char *name);
// Hands over a message; the request is answered when it comes back. Takes it.
void request_post(struct request *r, struct message *message);
// The same where there are no faults; else they are the answer.
void request_post_sound(struct request *r, struct message *message, const char *detail);
// Turns the reply of the message into the answer.
void request_take_reply(struct request *r);

// --- parts of a request. False: a refusal is the answer already ---
// The body as JSON, decref'd by the caller.
// An empty body is {} for BODY_OPTIONAL.
bool request_json(struct request *r, json_t **ret);
// The same, and it must be an object that has only the named fields.
bool request_object(struct request *r, const char *names, json_t **ret);
// A text field of an object; *ret (a copy) stays as it is where it is absent. Faults on anything
// but text.
void request_field(struct request *r, const json_t *object, const char *name, char **ret);
// Faults so far become the refusal.
bool request_is_sound(struct request *r, const char *detail);
bool request_reader(struct request *r, struct reader **ret);
// The {name} of the path, when it is a task's name.
bool request_task_name(struct request *r, const char **ret);
// The {id} of the path.
bool request_run_id(struct request *r, run_id *ret);
// If-Match: "3" and If-None-Match: *, as expected revision.
bool request_expected(struct request *r, int *ret);
// Idempotency-Key into the message, with the fingerprint of the request.
bool request_key(struct request *r, struct message *message);

// --- pure readers behind them, for tests ---
// "3", 3 or W/"3": true with the revision; another tag in quotes: true with one that no task has.
bool expected_read(const char *text, int *ret);
// json_read, and no deeper than JSON_DEPTH_MAX.
enum status request_json_read(const char *text, size_t size, json_t **ret,
                              struct json_place *place);
// A quoted structured-field string (RFC 8941, 3.3.3) or bare: 1 to 255 printable characters. A
// copy, or NULL.
char *key_read(const char *text);
