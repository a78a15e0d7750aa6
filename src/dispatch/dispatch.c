#include "dispatch/dispatch.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/map.h"
#include "base/memory.h"
#include "dispatch/hand.h"

#define HANDS_MAX 4

struct dispatcher {
    struct hand *hands[HANDS_MAX]; // the first takes the commands
    int count;
    atomic_int busy;
};

// One request takes this machine twice the time of the scheduler's work for its run: one thread
// would leave other cores idle.
static int hands_wanted(const struct dispatch_options *options)
{
    long cores = options->hands > 0 ? options->hands : sysconf(_SC_NPROCESSORS_ONLN);
    return cores < 1 ? 1 : cores > HANDS_MAX ? HANDS_MAX : (int)cores;
}

struct dispatcher *dispatcher_start(const struct dispatch_options *options, struct mailbox *reports)
{
    struct dispatcher *d = memory_new(sizeof *d);
    int wanted = hands_wanted(options);
    atomic_init(&d->busy, wanted);
    while (d->count < wanted) {
        struct hand *hand = hand_start(options, d->count == 0, reports, &d->busy);
        if (!hand) {
            dispatcher_stop(d);
            return NULL;
        }
        d->hands[d->count++] = hand;
    }
    return d;
}

// All attempts of a run are the same hand's, so that they cannot meet.
static int hand_of(const struct dispatcher *d, const struct order *order)
{
    if (order->task->target.kind != TARGET_HTTP)
        return 0;
    return (int)(hash_bytes(&order->run, sizeof order->run) % (uint64_t)d->count);
}

// Orders for each hand, in the order they came.
struct piles {
    struct letter *first[HANDS_MAX], **end[HANDS_MAX];
};

static void put(struct piles *piles, int hand, struct order *order)
{
    order->letter.next = NULL;
    *piles->end[hand] = &order->letter;
    piles->end[hand] = &order->letter.next;
}

// Of an abort it is not known who has the run: to the others it is nothing.
static void put_to_all(struct dispatcher *d, struct piles *piles, struct order *order)
{
    for (int i = 1; i < d->count; i++) {
        struct order *copy = memory_new(sizeof *copy);
        *copy = (struct order){
            .kind = order->kind, .run = order->run, .max_wait_us = order->max_wait_us};
        put(piles, i, copy);
    }
    put(piles, 0, order);
}

void dispatcher_post_all(struct dispatcher *d, struct letter *first)
{
    struct piles piles = {0};
    for (int i = 0; i < d->count; i++)
        piles.end[i] = &piles.first[i];
    while (first) {
        struct order *order = (struct order *)first; // its first member
        first = first->next;
        if (order->kind == ORDER_ATTEMPT)
            put(&piles, hand_of(d, order), order);
        else
            put_to_all(d, &piles, order);
    }
    for (int i = 0; i < d->count; i++)
        mailbox_post_all(hand_orders(d->hands[i]), piles.first[i]);
}

void dispatcher_post(struct dispatcher *d, struct order *order)
{
    order->letter.next = NULL;
    dispatcher_post_all(d, &order->letter);
}

void dispatcher_stop(struct dispatcher *d)
{
    if (!d)
        return;
    for (int i = 0; i < d->count; i++)
        hand_stop(d->hands[i]);
    free(d);
}
