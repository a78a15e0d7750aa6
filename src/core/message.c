#include "core/message.h"

#include <stdlib.h>

#include "base/memory.h"

struct message *message_new(enum message_kind kind)
{
    struct message *message = memory_new(sizeof *message);
    message->kind = kind;
    attempt_init(&message->attempt);
    buffer_init(&message->reply.body, REPLY_MAX);
    return message;
}

void message_free(struct message *message)
{
    if (!message)
        return;
    free(message->name);
    task_drop(message->task);
    free(message->author);
    free(message->note);
    task_set_done(&message->set);
    for (size_t i = 0; i < message->wish_count; i++) {
        free(message->wishes[i].task_name);
        task_drop(message->wishes[i].target);
        free(message->wishes[i].payload);
    }
    free(message->wishes);
    free(message->runs);
    free(message->key);
    free(message->lease.worker);
    for (size_t i = 0; i < message->lease_count; i++)
        attempt_done(&message->leases[i].attempt);
    free(message->leases);
    for (size_t i = 0; i < message->queue_count; i++)
        free(message->queues[i].name);
    free(message->queues);
    attempt_done(&message->attempt);
    buffer_done(&message->reply.body);
    free(message);
}
