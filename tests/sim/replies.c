// What goes into a turn and what comes out of it: each request is answered, once and in order.
#include <stdlib.h>

#include "base/memory.h"
#include "sim/world.h"

// Reports are the scheduler's: what the model needs of them is copied.
void keep_reports(struct message **asked, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (asked[i]->kind != MESSAGE_REPORT)
            continue;
        struct message *copy = memory_new(sizeof *copy);
        *copy = *asked[i];
        asked[i] = copy;
    }
}

void free_reports(struct message **asked, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (asked[i]->kind == MESSAGE_REPORT)
            free(asked[i]);
}

// Workers are answered when there is something for them (leases.c).
static const struct letter *not_a_poll(const struct letter *letter)
{
    while (letter && ((const struct message *)letter)->kind == MESSAGE_LEASE)
        letter = letter->next;
    return letter;
}

// All that was asked comes back, once and in order; lost attempts come with the first turn.
void check_replies(struct world *w, struct message **asked, size_t count, const struct outbox *out)
{
    const struct letter *reply = not_a_poll(out->replies);
    for (size_t i = 0; i < count; i++) {
        if (asked[i]->kind == MESSAGE_REPORT || asked[i]->kind == MESSAGE_LEASE)
            continue;
        if (reply != &asked[i]->letter)
            broken(w, "P4", "replies are not those that were asked for");
        reply = not_a_poll(reply->next);
    }
    if (reply)
        broken(w, "P4", "there are more replies than requests");
}
