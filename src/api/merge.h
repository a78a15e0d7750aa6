/*
 * merge - JSON merge patch (RFC 7396)
 */
#pragma once

#include "base/json.h"

// What the patch makes of the target: a new reference. Neither is changed; parts of both may be
// shared.
json_t *merge_patch(json_t *target, json_t *patch);
