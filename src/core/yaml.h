/*
 * yaml - a task file as JSON
 *
 * The home of libyaml. Reads one YAML 1.1 document of the JSON kind (maps with string keys, lists,
 * scalars; the plain scalars true, false, null, integers and decimals get their types, everything
 * else is text; anchors, tags and merge keys are refused with their place) and keeps line and
 * column of every value, so that a fault with a pointer can name them.
 * ${NAME} in a text is replaced from the environment, ${NAME:-other} where it may be missing; $${
 * is a plain ${.
 */
#pragma once

#include "base/json.h"
#include "core/fault.h"

struct yaml_places; // pointer -> line, column

// `environment` looks a name up (NULL where unset); pass getenv. STATUS_INVALID: faults with line
// and column. On STATUS_OK the value is the caller's (json_decref), the places too
// (yaml_places_free).
enum status yaml_read(const char *text, size_t size, char *(*environment)(const char *),
                      struct faults *faults, json_t **ret, struct yaml_places **ret_places);
void yaml_places_free(struct yaml_places *places);
// Fills line and column of every fault that has none, from its pointer (or the nearest parent that
// has a place).
void yaml_place_faults(const struct yaml_places *places, struct faults *faults);
