/*
 * yaml_places - where in a file each value stands
 *
 * A tree as deep as the file's, held as a table from (parent, token) to line and column, so that
 * its size follows the file's however long the pointers get. Weakness: the table's hash is public,
 * so a file made to collide is read slowly; files are the operator's own.
 *
 * Used by core/yaml.c, which fills it; its users see core/yaml.h.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "core/yaml.h"

#define PLACE_ROOT 0

struct yaml_places *places_new(void);
// Where the root stands is set like any other place, with places_set(places, PLACE_ROOT, ...).
void places_set(struct yaml_places *places, size_t place, int line, int column);
// A member of `parent`: its number. `ret_line` is where it was written before, 0 where it is new.
size_t places_add(struct yaml_places *places, size_t parent, const char *token, int line,
                  int column, int *ret_line);
// The JSON pointer of a place, cut at size.
void places_pointer(const struct yaml_places *places, size_t place, char *pointer, size_t size);
