/*
 * visibility - what a response tells about its cache and its database calls
 *
 * Cache-Status (RFC 9211): any `hit` is warm, all `fwd` cold, absent or unreadable unknown.
 * Server-Timing (W3C): not a structured field, so read leniently; the metric `db` (or one whose
 * name begins with "db") gives time in ms by `dur` and calls by a number in `desc` ("6 queries") or
 * `count`. Several db metrics add up. PUNCTUAL_REPORT is a JSON object
 * {"cache": "hit"|"miss"|"warm"|"cold"|"unknown", "db_calls": n, "db_time_ms": n}.
 */
#pragma once

#include "core/attempt.h"

// Several header lines of one name may be given one after the other; the result builds up in
// `attempt` (start from attempt_init). Values are as received, not NUL-terminated.
void visibility_cache_status(struct attempt *attempt, const char *value, size_t size);
void visibility_server_timing(struct attempt *attempt, const char *value, size_t size);
// STATUS_INVALID leaves the attempt as it was, and says in `why` (of `room` bytes) what would be
// right.
enum status visibility_report(struct attempt *attempt, const char *json, size_t size, char *why,
                              size_t room);
