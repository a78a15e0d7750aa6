/*
 * request - what a delivery says
 *
 * Header lines and body of one attempt: Standard Webhooks, traceparent, Idempotency-Key and the
 * Punctual headers first, then the task's own. Built in memory that is kept from one attempt to the
 * next. Knows nothing of connections.
 *
 * Used by webhook.c.
 */
#pragma once

#include "dispatch/effort.h"
#include "dispatch/keyring.h"

struct curl_slist;

struct request {
    struct buffer text;       // what goes to libcurl, line by line, each with a NUL behind it
    struct curl_slist *nodes; // into text
    size_t count, capacity;   // of lines
    const char *body;         // the order's or the task's; NULL: none is sent
    size_t body_size;
};

void request_init(struct request *request);
void request_done(struct request *request);

// Fills it for an attempt that starts at `now`. STATUS_FORBIDDEN with why in words where it cannot
// be signed, STATUS_INVALID where a header of the task cannot be sent. Valid as long as the effort
// lives.
enum status request_build(struct request *request, const struct effort *effort,
                          const struct keyring *ring, wall now, char *why, size_t size);
