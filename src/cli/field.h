/*
 * field - reading an answer of the API, leniently
 *
 * A server may be older or newer than this client: what is absent, null or of another kind is
 * simply not shown.
 */
#pragma once

#include <math.h>
#include <stdint.h>

#include "base/json.h"
#include "base/moment.h"

const json_t *field(const json_t *object, const char *name);    // NULL where absent or null
const char *field_text(const json_t *object, const char *name); // NULL unless a text
int64_t field_int(const json_t *object, const char *name);      // -1 unless a whole number
double field_real(const json_t *object, const char *name);      // NAN unless a number
int64_t field_ms(const json_t *object,
                 const char *name); // milliseconds as microseconds; -1 unless a number
wall field_moment(const json_t *object, const char *name); // WALL_NONE unless an instant
