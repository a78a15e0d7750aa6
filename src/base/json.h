/*
 * json - reading JSON
 *
 * The home of jansson: nothing else includes its header. Strings may hold no NUL; numbers are int64
 * or double; a repeated key is an error. Writing JSON is base/writer.h.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

struct json_place {
    char detail[160]; // what is wrong, in words
    int line, column; // from 1
};

// What comes in may be nested no deeper: readers of many languages recurse, and give up at less
// than a thousand.
#define JSON_DEPTH_MAX 64

// A text of a few megabytes may hold millions of values, each a hundred times larger in memory than
// "[]," is: so what a text may weigh is limited, too. An array or object weighs four, any other
// value one; what weighs most takes about 60 MB.
#define JSON_WEIGHT_MAX 1000000

// Parses exactly one value. The result is the caller's (json_decref).
enum status json_read(const char *text, size_t size, json_t **ret, struct json_place *ret_place);

// Whether arrays and objects are nested deeper than `most`. NULL and plain values are not nested.
bool json_is_deeper(const json_t *value, int most);

// Compact text with keys in the order given. Free with free(). NULL for NULL.
char *json_write(const json_t *value, size_t *ret_size);
