/*
 * endpoint - whether an endpoint is down, so that nothing more is sent to it in vain
 *
 *   closed --failures in a row--> open --open_for--> half-open --the probe succeeds--> closed
 *                                  ^                     |
 *                                  '--the probe fails----'  (and stays open for twice as long)
 *
 * While it is open its lane starts nothing: runs wait as they do for room, use up no attempts, and
 * keep their order. Half-open, it lets one attempt through, the probe. A success of any attempt
 * closes it. Only what says that the endpoint itself is in trouble counts: not reached, no answer
 * in time, a broken connection, a status of 5xx but 501 and 505. A 429 says neither.
 *
 * Kept in memory only: after a restart every endpoint is closed and found out anew. Endpoints
 * without trouble are not held at all. Queues and commands have no endpoint.
 *
 * Used by the files of this folder, on the scheduler's thread.
 */
#pragma once

#include "base/buffer.h"
#include "base/map.h"
#include "core/attempt.h"
#include "core/pulse.h"

#define ENDPOINT_OPEN_MOST (5 * MINUTE)

struct scheduler;
struct flight;

struct endpoints {
    struct map by_lane; // those in trouble: lane -> struct endpoint
    size_t open;        // not closed
    wall next;          // when the first of the open ones is due for a probe; WALL_NEVER: none
};

void endpoints_init(struct endpoints *endpoints);
void endpoints_done(struct endpoints *endpoints);

// Once in a turn: endpoints that were open for long enough may have their probe.
void endpoints_probe(struct scheduler *s, wall now);
// An attempt goes to the endpoint of this lane.
void endpoint_started(struct scheduler *s, uint64_t lane, run_id run);
// What came of an attempt, after its lane has been told.
void endpoint_saw(struct scheduler *s, wall now, const struct flight *flight,
                  const struct attempt *attempt);
// The wall clock was set.
void endpoints_shift(struct endpoints *endpoints, int64_t step_us);
void endpoints_pulse(const struct endpoints *endpoints, struct pulse_values *ret); // fills down
void endpoints_write(const struct endpoints *endpoints, struct buffer *to);        // for /metrics
