#include "scheduler/waiting.h"

void waiting_done(struct waiting *waiting)
{
    heap_done(&waiting->heap);
    *waiting = (struct waiting){0};
}

bool waiting_add(struct waiting *waiting, wall due_at, run_id run, int priority, size_t most)
{
    unsigned bit = 1u << priority;
    if (waiting->held[priority] >= most) {
        waiting->left_out = (uint16_t)(waiting->left_out | bit);
        waiting->feeding = (uint16_t)(waiting->feeding & ~bit);
        return false;
    }
    heap_add(&waiting->heap, (struct heap_entry){.key = waiting_order(due_at, priority),
                                                 .order = (uint64_t)run.value});
    waiting->held[priority]++;
    return true;
}

bool waiting_take(struct waiting *waiting, struct heap_entry *ret)
{
    if (!heap_take(&waiting->heap, ret))
        return false;
    waiting->held[waiting_priority(ret->key)]--;
    return true;
}

unsigned waiting_hungry(const struct waiting *waiting)
{
    unsigned hungry = 0;
    for (int priority = 0; waiting->left_out && priority < PRIORITIES; priority++)
        if (!waiting->held[priority])
            hungry |= waiting->left_out & 1u << priority;
    return hungry;
}

void waiting_feed(struct waiting *waiting)
{
    waiting->feeding = (uint16_t)waiting_hungry(waiting);
    waiting->left_out = (uint16_t)(waiting->left_out & ~waiting->feeding);
}
