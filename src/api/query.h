/*
 * query - the parameters behind the question mark
 *
 * Each reader takes the route's word for which ones exist (routes.c), and adds a fault that names
 * the parameter where a value makes no sense; request_is_sound turns those into the answer.
 */
#pragma once

#include "api/request.h"

// Faults for every parameter that the route does not know, or that comes twice.
void query_check(struct request *r);
const char *query_text(const struct request *r, const char *name); // NULL where absent
int64_t query_int(struct request *r, const char *name, int64_t least, int64_t most,
                  int64_t otherwise);
bool query_bool(struct request *r,
                const char *name); // "true", "false", "1", "0", "" (present); absent: false
wall query_moment(struct request *r, const char *name, wall otherwise);
// A fault where `from` is after `to`: no list could have anything.
void query_check_window(struct request *r, wall from, wall to);
// The cursor of the list with this letter: false where there is none (or it is a fault).
bool query_cursor(struct request *r, char list, char *key, size_t size);
run_id query_cursor_run(struct request *r, char list); // of a list of runs; 0 where there is none

// RFC 3339, and a + that came unescaped and so reads as a space.
enum status moment_read(const char *text, wall *ret);
