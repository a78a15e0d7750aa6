/*
 * leases - runs that could not be handed over
 *
 * A worker that waits for runs may be gone when there are some. What it was to get is given back at
 * once, as far as that can be seen: a connection that the other side has closed. Where it cannot,
 * the lease runs out.
 *
 * Used by front.c and request.c, on the front's threads.
 */
#pragma once

#include "api/request.h"

// The client has closed its side.
bool lease_client_is_gone(const struct request *r);
// Gives back what the answered message holds, once; nothing where it holds no runs.
void lease_give_back(struct request *r);
