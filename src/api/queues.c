// /v1/queues: how they are, and runs of one to a worker.
#include <stdlib.h>

#include "api/handlers.h"
#include "api/request.h"
#include "base/memory.h"
#include "core/decode.h"
#include "core/target.h"

#define QUEUES_MOST 1000
#define RUNS_MOST 1000
#define WAIT_MOST MINUTE
#define LEASE_USUAL (30 * SECOND)

// The {queue} of the path, when a queue can have that name.
static bool queue_name(struct request *r, const char **ret)
{
    struct faults told = {0};
    bool ok = queue_check_name(request_parameter(r), "", &told) == STATUS_OK;
    *ret = request_parameter(r);
    if (!ok)
        request_refuse(r, PROBLEM_NOT_FOUND, "%s", told.items[0].detail);
    faults_done(&told);
    return ok;
}

// What waits is the store's to say; who works, the scheduler's.
static void ask(struct request *r, const char *name)
{
    struct reader *reader;
    if (!request_reader(r, &reader))
        return;
    struct message *message = message_new(MESSAGE_QUEUES);
    message->name = memory_text(name);
    message->queues = memory_array(QUEUES_MOST, sizeof *message->queues);
    enum status status = reader_list_queues(reader, name ? queue_lane(name) : 0, r->now,
                                            QUEUES_MOST, message->queues, &message->queue_count);
    if (status == STATUS_OK) {
        request_post(r, message);
        return;
    }
    request_refuse_status(r, status, "queue");
    message_free(message);
}

void queues_list(struct request *r)
{
    ask(r, NULL);
}

void queue_get(struct request *r)
{
    const char *name;
    if (queue_name(r, &name))
        ask(r, name);
}

static const struct field lease_fields[] = {
    {"max", decode_int, offsetof(struct lease_wish, max), 1, RUNS_MOST},
    {"wait", decode_duration, offsetof(struct lease_wish, wait_us), 0, WAIT_MOST},
    {"lease", decode_duration, offsetof(struct lease_wish, length_us), SECOND, DAY},
    {"worker", decode_text, offsetof(struct lease_wish, worker), 1, 200},
};

void queue_lease(struct request *r)
{
    const char *name;
    json_t *body;
    if (!queue_name(r, &name) || !request_json(r, &body))
        return;
    struct message *message = message_new(MESSAGE_LEASE);
    message->name = memory_text(name);
    message->lease = (struct lease_wish){.max = 1, .length_us = LEASE_USUAL};
    decode_object(&(struct place){"", &r->faults}, lease_fields,
                  sizeof lease_fields / sizeof *lease_fields, body, &message->lease);
    json_decref(body);
    request_post_sound(r, message, "the request for runs has errors");
}
