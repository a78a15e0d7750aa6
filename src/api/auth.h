/*
 * auth - who may ask
 *
 * One static key: Authorization: Bearer KEY, compared in constant time. Health, readiness and the
 * documents need none.
 */
#pragma once

#include "api/request.h"

// False: 401 is the answer already.
bool auth_check(struct request *r);
// Whether this header's value carries the key. NULL key: none is asked for.
bool auth_value_has_key(const char *value, const char *key);
