/*
 * id - names of runs, and of what else needs one
 *
 * 63 bits: 41 of milliseconds since 2020, 22 that count within one millisecond. So ids sort by the
 * time of their making, and rows made together lie together in the store. As text: a prefix and 13
 * characters of Crockford's base 32 in lower case, "run_0c4x9k2m1p7qz", which sorts like the
 * number.
 *
 * The maker is single-threaded and deterministic: `now` is given.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/moment.h"

typedef struct run_id {
    int64_t value; // > 0; 0 is "none"
} run_id;

#define RUN_ID_TEXT 18 // "run_" + 13 + NUL

struct id_maker {
    int64_t last; // the highest id ever made; set from the store at the start
};

// Strictly greater than every id made before, whatever the clock does.
run_id id_next(struct id_maker *maker, wall now);
// The instant at which it was made, to the millisecond.
wall id_time(run_id id);
// The smallest id that could be made at or after `t`.
run_id id_from_time(wall t);

void run_id_format(run_id id, char text[static RUN_ID_TEXT]);
// Reads "run_" and 13 characters (upper case and Crockford's look-alikes are accepted).
// STATUS_INVALID otherwise.
enum status run_id_parse(const char *text, run_id *ret);
