// /v1/checkins/{name}: a job that runs elsewhere says that it has started, succeeded or failed.

#include <stdlib.h>
#include <string.h>

#include "api/handlers.h"
#include "api/request.h"
#include "base/memory.h"

#define WORDS_MOST 4000
#define DURATION_MS_MOST (INT64_C(366) * 24 * 3600 * 1000)

static const char *const statuses[] = {
    [CHECKIN_SUCCESS] = "success",
    [CHECKIN_START] = "start",
    [CHECKIN_FAILURE] = "failure",
};

static void read_status(struct request *r, const json_t *object, struct checkin *ret)
{
    const json_t *value = json_object_get(object, "status");
    const char *text = json_string_value(value);
    if (!value)
        return;
    for (unsigned i = 0; i < sizeof statuses / sizeof *statuses; i++)
        if (text && strcmp(text, statuses[i]) == 0) {
            ret->status = (enum checkin_status)i;
            return;
        }
    faults_add(&r->faults, "/status", "must be start, success or failure; success where left out");
}

static void read_duration(struct request *r, const json_t *object, struct checkin *ret)
{
    const json_t *value = json_object_get(object, "duration_ms");
    double ms = json_number_value(value);
    if (!value)
        return;
    if (!json_is_number(value) || !(ms >= 0 && ms <= (double)DURATION_MS_MOST))
        faults_add(&r->faults, "/duration_ms", "must be a number of milliseconds up to a year");
    else if (ret->status == CHECKIN_START)
        faults_add(&r->faults, "/duration_ms", "is known only at the end: take it out");
    else
        ret->duration_us = (int64_t)(ms * 1000);
}

static void read_run(struct request *r, const json_t *object, run_id *ret)
{
    const json_t *value = json_object_get(object, "run");
    if (!value)
        return;
    if (!json_is_string(value) || run_id_parse(json_string_value(value), ret) != STATUS_OK)
        faults_add(&r->faults, "/run", "must be the id of a run, such as run_0c4x9k2m1p7qz");
}

void checkin_post(struct request *r)
{
    json_t *object;
    const char *name;
    if (!request_task_name(r, &name) ||
        !request_object(r, "status run message duration_ms", &object))
        return;
    struct message *message = message_new(MESSAGE_CHECKIN);
    message->name = memory_text(name);
    message->author = request_author(r);
    message->checkin.duration_us = -1;
    read_status(r, object, &message->checkin);
    read_duration(r, object, &message->checkin);
    read_run(r, object, &message->run);
    request_field(r, object, "message", &message->note);
    if (message->note && strlen(message->note) > WORDS_MOST)
        faults_add(&r->faults, "/message", "must have at most %d bytes", WORDS_MOST);
    json_decref(object);
    if (request_is_sound(r, "the check-in has errors") && request_key(r, message))
        request_post(r, message);
    else
        message_free(message);
}
