/*
 * wish - one run that somebody asks for, read from JSON
 *
 * {"task": name} or the fields of a definition ({"http": ...}) beside "payload", "priority" and
 * "delay" or "run_at". Equal inline definitions are decoded once per front thread and then found by
 * their text.
 */
#pragma once

#include "api/request.h"

// The furthest that a run may lie in the past: a typing error is more likely beyond.
#define WISH_PAST_MOST (366 * DAY)

// "payload", "priority", "delay" and "run_at" of an object, taken out of it; other fields stay.
// Faults carry pointers below `pointer`.
void wish_read_when(json_t *object, const char *pointer, wall now, struct faults *faults,
                    struct wish *wish);

// The whole. Takes the known fields out of `object`. Faults are added to r->faults; false then.
// STATUS_FORBIDDEN is told apart by `ret_forbidden`: a command where the server allows none.
bool wish_read(struct request *r, json_t *object, const char *pointer, struct wish *wish,
               bool *ret_forbidden);
