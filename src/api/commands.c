// /v1/tasks/{name}/...: pause, resume, trigger, roll back.

#include <stdlib.h>

#include "api/handlers.h"
#include "api/wish.h"
#include "base/memory.h"

static struct message *task_message(struct request *r, enum message_kind kind)
{
    struct message *message = message_new(kind);
    message->name = memory_text(request_parameter(r));
    message->author = request_author(r);
    message->note = request_note(r);
    return message;
}

static bool is_blank(const char *text)
{
    while (text && *text == ' ')
        text++;
    return !text || !*text;
}

// The body has one field: why.
static void post_with(struct request *r, enum message_kind kind, const char *field)
{
    json_t *object;
    if (!request_object(r, field, &object))
        return;
    struct message *message = task_message(r, kind);
    request_field(r, object, field, &message->note);
    json_decref(object);
    // A pause without a reason is a riddle a week later.
    if (kind == MESSAGE_PAUSE && r->faults.count == 0 && is_blank(message->note))
        faults_add(&r->faults, "/reason",
                   "must say why, such as {\"reason\": \"the billing database moves\"}");
    request_post_sound(r, message, "the body has errors");
}

void task_pause(struct request *r)
{
    post_with(r, MESSAGE_PAUSE, "reason");
}

void task_resume(struct request *r)
{
    post_with(r, MESSAGE_RESUME, "note");
}

void task_trigger(struct request *r)
{
    json_t *object;
    if (!request_object(r, "payload priority delay run_at", &object))
        return;
    struct message *message = task_message(r, MESSAGE_CREATE_RUNS);
    message->wishes = memory_array(1, sizeof *message->wishes);
    message->wish_count = 1;
    message->wishes->task_name = memory_text(request_parameter(r));
    wish_read_when(object, "", r->now, &r->faults, message->wishes);
    json_decref(object);
    if (request_is_sound(r, "the run has errors") && request_key(r, message))
        request_post(r, message);
    else
        message_free(message);
}

static void read_revision(struct request *r, const json_t *object, int *ret)
{
    const json_t *revision = json_object_get(object, "revision");
    if (!revision)
        return;
    json_int_t n = json_is_integer(revision) ? json_integer_value(revision) : 0;
    if (n < 1 || n > INT32_MAX)
        faults_add(&r->faults, "/revision",
                   "must be the number of an earlier revision, or left out for the one before");
    else
        *ret = (int)n;
}

void task_rollback(struct request *r)
{
    json_t *object;
    int expected;
    if (!request_expected(r, &expected) || !request_object(r, "revision note", &object))
        return;
    struct message *message = task_message(r, MESSAGE_ROLLBACK);
    message->expected = expected;
    read_revision(r, object, &message->revision);
    request_field(r, object, "note", &message->note);
    json_decref(object);
    request_post_sound(r, message, "the body has errors");
}
