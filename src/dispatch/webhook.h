/*
 * webhook - attempts over HTTP
 *
 * libcurl's multi interface on the dispatcher's epoll. Handles are kept and used again, connections
 * stay open for the next attempt. One attempt sends one request: no redirect is followed and
 * nothing is sent twice behind the scheduler's back.
 *
 * Used by dispatch.c, on the dispatcher's thread.
 */
#pragma once

#include "dispatch/effort.h"

struct webhooks;

// NULL where the system refuses. `efforts` and its options must outlive it.
struct webhooks *webhooks_new(struct efforts *efforts, int epoll);
void webhooks_free(struct webhooks *w); // nothing may be under way; NULL is fine

// Sends, if a connection is open, before it returns.
void webhook_start(struct webhooks *w, struct effort *effort);
// Stops it and reports it as canceled.
void webhook_abort(struct webhooks *w, struct effort *effort, const char *why);

// A socket is ready: `events` as epoll says.
void webhooks_ready(struct webhooks *w, int fd, uint32_t events);
// When webhooks_turn wants to be called, if no socket is ready before.
steady webhooks_deadline(const struct webhooks *w);
// Once a round: runs what is over its time, reports what is finished.
void webhooks_turn(struct webhooks *w, steady now);
