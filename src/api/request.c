#include "api/request.h"

#include <limits.h>
#include <microhttpd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/query.h"
#include "base/map.h"
#include "base/memory.h"

struct request *request_new(struct service *service, struct MHD_Connection *connection,
                            const char *method, const char *path)
{
    struct request *r = memory_new(sizeof *r);
    r->service = service;
    r->connection = connection;
    r->method = method;
    r->path = path;
    buffer_init(&r->body, service->body_max);
    r->body.may_starve = true; // the client sizes it
    buffer_init(&r->answer.body, REPLY_MAX);
    return r;
}

void request_free(struct request *r)
{
    if (!r)
        return;
    buffer_done(&r->body);
    faults_done(&r->faults);
    message_free(r->message);
    buffer_done(&r->answer.body);
    if (r->answer.whole && !r->answer.whole_is_shared)
        MHD_destroy_response(r->answer.whole);
    free(r);
}

const char *request_parameter(const struct request *r)
{
    return r->match.parameters[0];
}

const char *request_header(const struct request *r, const char *name)
{
    if (!r->connection)
        return NULL;
    return MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND, name);
}

char *request_author(const struct request *r)
{
    return memory_text(request_header(r, "Punctual-Author"));
}

char *request_note(const struct request *r)
{
    const char *note = query_text(r, "note");
    return memory_text(note ? note : request_header(r, "Punctual-Note"));
}

struct writer request_answer(struct request *r, int code)
{
    r->answer.code = code;
    r->answer.type = NULL;
    buffer_clear(&r->answer.body);
    return writer_on(&r->answer.body);
}

void request_refuse(struct request *r, enum problem problem, const char *format, ...)
{
    char detail[600];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(detail, sizeof detail, format, arguments);
    va_end(arguments);
    r->answer.code = problem_code(problem);
    r->answer.type = PROBLEM_TYPE;
    r->answer.allow = problem == PROBLEM_METHOD;
    r->answer.retry_after_s = problem == PROBLEM_UNAVAILABLE ? 1 : 0;
    buffer_clear(&r->answer.body);
    problem_write(&r->answer.body, problem, detail, r->path, &r->faults);
}

void request_refuse_status(struct request *r, enum status status, const char *what)
{
    request_refuse_named(r, status, what, request_parameter(r));
}

void request_refuse_named(struct request *r, enum status status, const char *what, const char *name)
{
    if (status == STATUS_NOT_FOUND)
        request_refuse(r, PROBLEM_NOT_FOUND, "there is no %s \"%.200s\"", what, name ? name : "");
    else if (status == STATUS_TOO_LARGE)
        request_refuse(r, PROBLEM_TOO_LARGE,
                       "the answer would be too long; ask for less with limit");
    else
        request_refuse(r, problem_of_status(status), "the store could not be read (%s)",
                       status_text(status));
}

void request_post(struct request *r, struct message *message)
{
    message->sender = r;
    r->message = message;
}

void request_post_sound(struct request *r, struct message *message, const char *detail)
{
    if (request_is_sound(r, detail))
        request_post(r, message);
    else
        message_free(message);
}

void request_take_reply(struct request *r)
{
    struct reply *reply = &r->message->reply;
    if (reply->status != STATUS_OK) {
        if (*reply->pointer)
            faults_add(&r->faults, reply->pointer, "%s", reply->detail);
        request_refuse(r, problem_of_status(reply->status), "%s",
                       *reply->detail ? reply->detail : status_text(reply->status));
        return;
    }
    r->answer.code = reply->created ? 201 : 200;
    r->answer.revision = reply->revision;
    r->answer.replayed = reply->replayed;
    if (r->message->kind == MESSAGE_METRICS)
        r->answer.type = "text/plain; version=0.0.4; charset=utf-8";
    buffer_done(&r->answer.body);
    r->answer.body = reply->body;
    buffer_init(&reply->body, REPLY_MAX); // it is ours now
    if (reply->run.value != 0) {
        char id[RUN_ID_TEXT];
        run_id_format(reply->run, id);
        snprintf(r->answer.location, sizeof r->answer.location, "/v1/runs/%s", id);
    } else if (reply->created && r->message->name) {
        snprintf(r->answer.location, sizeof r->answer.location, "/v1/tasks/%s", r->message->name);
    }
}

bool request_is_sound(struct request *r, const char *detail)
{
    if (r->faults.count == 0)
        return true;
    request_refuse(r, PROBLEM_INVALID, "%s", detail);
    return false;
}

enum status request_json_read(const char *text, size_t size, json_t **ret, struct json_place *place)
{
    json_t *value;
    enum status status = json_read(text, size, &value, place);
    if (status != STATUS_OK)
        return status;
    if (!json_is_deeper(value, JSON_DEPTH_MAX)) {
        *ret = value;
        return STATUS_OK;
    }
    json_decref(value);
    *place = (struct json_place){.line = 1, .column = 1};
    snprintf(place->detail, sizeof place->detail, "must not be nested deeper than %d",
             JSON_DEPTH_MAX);
    return STATUS_INVALID;
}

bool request_json(struct request *r, json_t **ret)
{
    if (r->body.size == 0 && r->match.route->body == BODY_OPTIONAL) {
        *ret = json_object();
        return true;
    }
    if (r->body.size == 0) {
        request_refuse(r, PROBLEM_INVALID, "the body is empty; it must be JSON");
        return false;
    }
    struct json_place place;
    if (request_json_read(r->body.data, r->body.size, ret, &place) == STATUS_OK)
        return true;
    faults_add(&r->faults, "", "%s", place.detail);
    r->faults.items[0].line = place.line;
    r->faults.items[0].column = place.column;
    request_refuse(r, PROBLEM_INVALID, "the body is not JSON: %s (line %d, column %d)",
                   place.detail, place.line, place.column);
    return false;
}

bool request_object(struct request *r, const char *names, json_t **ret)
{
    json_t *object;
    if (!request_json(r, &object))
        return false;
    const char *name;
    json_t *value;
    if (!json_is_object(object))
        faults_add(&r->faults, "", "must be an object {...}");
    json_object_foreach(object, name, value)
    {
        char pointer[200];
        pointer_join(pointer, sizeof pointer, "", name);
        if (!names_have(names, name))
            faults_add(&r->faults, pointer, "is not known here; known: %s", names);
    }
    if (!request_is_sound(r, "the body has errors")) {
        json_decref(object);
        return false;
    }
    *ret = object;
    return true;
}

void request_field(struct request *r, const json_t *object, const char *name, char **ret)
{
    const json_t *value = json_object_get(object, name);
    if (!value || json_is_null(value))
        return;
    char pointer[80];
    pointer_join(pointer, sizeof pointer, "", name);
    if (!json_is_string(value)) {
        faults_add(&r->faults, pointer, "must be text");
        return;
    }
    free(*ret);
    *ret = memory_text(json_string_value(value));
}

bool request_reader(struct request *r, struct reader **ret)
{
    char why[256] = "";
    if (service_reader(r->service, ret, why, sizeof why) == STATUS_OK)
        return true;
    request_refuse(r, PROBLEM_FAILED, "the store could not be opened for reading: %s", why);
    return false;
}

bool request_task_name(struct request *r, const char **ret)
{
    struct faults faults = {0}; // no place in the body is wrong: the detail says all
    enum status status = task_check_name(request_parameter(r), "", &faults);
    if (status == STATUS_OK)
        *ret = request_parameter(r);
    else
        request_refuse(r, PROBLEM_INVALID, "%s", faults.items[0].detail);
    faults_done(&faults);
    return status == STATUS_OK;
}

bool request_run_id(struct request *r, run_id *ret)
{
    if (run_id_parse(request_parameter(r), ret) == STATUS_OK)
        return true;
    request_refuse(r, PROBLEM_NOT_FOUND,
                   "there is no run \"%s\"; an id looks like run_0c4x9k2m1p7qz",
                   request_parameter(r));
    return false;
}

// RFC 9110, 8.8.3: what stands between the quotes of one entity tag; the text itself when it has
// none.
static bool tag_read(const char *text, const char **ret_tag, size_t *ret_size)
{
    if (strncmp(text, "W/", 2) == 0)
        text += 2; // our tags are revisions: a weak one says the same
    bool quoted = *text == '"';
    *ret_tag = text + quoted;
    *ret_size = strcspn(*ret_tag, "\"");
    const char *behind = *ret_tag + *ret_size;
    return quoted ? *behind == '"' && behind[1] == '\0' : *behind == '\0';
}

bool expected_read(const char *text, int *ret)
{
    const char *tag;
    size_t size;
    if (!tag_read(text, &tag, &size))
        return false;
    bool number = size > 0 && size <= 9 && *tag != '0' && strspn(tag, "0123456789") == size;
    if (number)
        *ret = atoi(tag);
    else if (tag != text)
        *ret = INT_MAX; // a tag, but none that we gave out: no revision has it
    return number || tag != text;
}

// If-Match: * asks that the task be there, whatever its revision: the one it has now is expected
// then.
static bool expect_any(struct request *r, int *ret)
{
    struct reader *reader;
    struct task_record record;
    if (!request_reader(r, &reader))
        return false;
    enum status status = reader_find_task(reader, request_parameter(r), &record);
    if (status == STATUS_OK) {
        *ret = record.revision;
        task_record_done(&record);
        return true;
    }
    if (status == STATUS_NOT_FOUND)
        request_refuse(r, PROBLEM_STALE,
                       "If-Match: * asks for a task that exists; there is no task \"%s\"",
                       request_parameter(r));
    else
        request_refuse_status(r, status, "task");
    return false;
}

bool request_expected(struct request *r, int *ret)
{
    const char *match = request_header(r, "If-Match");
    const char *none = request_header(r, "If-None-Match");
    if (match && none) {
        request_refuse(r, PROBLEM_INVALID, "send If-Match or If-None-Match, not both");
        return false;
    }
    if (none && strcmp(none, "*") != 0) {
        request_refuse(r, PROBLEM_INVALID,
                       "If-None-Match can only be * here: the task must not exist yet");
        return false;
    }
    if (none) {
        *ret = REVISION_NONE;
        return true;
    }
    if (match && strcmp(match, "*") == 0)
        return expect_any(r, ret);
    if (match && !expected_read(match, ret)) {
        request_refuse(
            r, PROBLEM_INVALID,
            "If-Match must be one revision as the ETag showed it, such as \"3\" in quotes");
        return false;
    }
    if (!match)
        *ret = REVISION_ANY;
    return true;
}

char *key_read(const char *text)
{
    char key[256];
    size_t at = 0;
    bool quoted = *text == '"';
    if (quoted)
        text++;
    for (; *text && !(quoted && *text == '"'); text++) {
        // RFC 8941, 3.3.3: a backslash stands before a quote or another one, and before nothing
        // else.
        if (quoted && *text == '\\' && *++text != '"' && *text != '\\')
            return NULL;
        if (*text < 0x20 || *text > 0x7E || at + 1 >= sizeof key)
            return NULL;
        key[at++] = *text;
    }
    if (quoted && (*text != '"' || text[1]))
        return NULL;
    return at > 0 ? memory_copy(key, at) : NULL;
}

bool request_key(struct request *r, struct message *message)
{
    const char *text = request_header(r, "Idempotency-Key");
    if (!text)
        return true;
    message->key = key_read(text);
    if (!message->key) {
        request_refuse(r, PROBLEM_INVALID,
                       "Idempotency-Key must have 1 to 255 printable characters");
        return false;
    }
    uint64_t parts[] = {
        hash_bytes(r->method, strlen(r->method)),
        hash_bytes(r->path, strlen(r->path)),
        hash_bytes(buffer_string(&r->body), r->body.size),
    };
    message->fingerprint = hash_bytes(parts, sizeof parts);
    return true;
}
