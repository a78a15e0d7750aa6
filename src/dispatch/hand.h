/*
 * hand - one thread of the dispatcher
 *
 * An epoll loop: HTTP through libcurl's multi interface, and in one of the hands commands as child
 * processes. Has connections of its own, and shares nothing with the other hands but the mailbox
 * for reports and the count of those that are not drained.
 *
 * Internal to this folder; used by dispatch.c.
 */
#pragma once

#include <stdatomic.h>

#include "dispatch/dispatch.h"

struct hand;

// Starts the thread. `commands`: this one takes them. `busy` counts the hands that are not drained:
// the last posts MESSAGE_DRAINED. All but `commands` must outlive it. NULL where the system
// refuses.
struct hand *hand_start(const struct dispatch_options *options, bool commands,
                        struct mailbox *reports, atomic_int *busy);
struct mailbox *hand_orders(struct hand *h); // post struct order here
// Stops everything still running at once (each is reported as canceled), then the thread. NULL is
// fine.
void hand_stop(struct hand *h);
