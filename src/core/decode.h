/*
 * decode - an outsider's JSON object, field by field
 *
 * A kind of object is a table of fields. Each row names the member it fills, its limits and the
 * small function that reads it; an unknown field is a fault that names the known ones and the
 * nearest. Faults never stop the reading: one answer names them all. A member keeps what it held
 * where its field is absent, so defaults are what stood there before.
 *
 *     static const struct field fields[] = {
 *         {"owner", decode_text, offsetof(struct runbook, owner), .least = 1, .most = 200},
 *         {"timeout", decode_duration, offsetof(struct runbook, timeout_us), .least = SECOND, .most
 * = DAY},
 *     };
 *     decode_object(&place, fields, 2, value, &runbook);
 *
 * Not here: reading JSON text (base/json.h), and what the values mean. Used by the decoders of
 * tasks, sets and the server's configuration. Plain calculation; any thread.
 */
#pragma once

#include "base/json.h"
#include "base/moment.h"
#include "core/fault.h"

#define POINTER_MAX 512 // a longer pointer is cut

struct place { // where in the input a value stands
    const char *pointer;
    struct faults *faults;
};

struct field {
    const char *name;
    void (*read)(const struct place *at, const struct field *field, const json_t *value,
                 void *into);
    size_t offset;       // of the member in `into`
    int64_t least, most; // of a number, of a duration in microseconds, of a text in bytes
    const void
        *more; // what one reading function needs besides: the names of a choice, an object's fields
    bool required;
};

struct field_table { // `more` of decode_fields
    const struct field *fields;
    size_t count;
};

// Reads a whole object into `into`. False, with a fault, when `value` is no object.
bool decode_object(const struct place *at, const struct field *fields, size_t count,
                   const json_t *value, void *into);

// Reading functions for rows. Each writes its member only when the value is right.
void decode_text(const struct place *at, const struct field *field, const json_t *value,
                 void *into); // char *: no control characters but newline and tab
void decode_bytes(const struct place *at, const struct field *field, const json_t *value,
                  void *into); // char *: any text
void decode_int(const struct place *at, const struct field *field, const json_t *value,
                void *into); // int
void decode_bool(const struct place *at, const struct field *field, const json_t *value,
                 void *into); // bool
void decode_duration(const struct place *at, const struct field *field, const json_t *value,
                     void *into); // int64_t, in microseconds
void decode_choice(const struct place *at, const struct field *field, const json_t *value,
                   void *into); // an enum; more: NULL-terminated names in its order
void decode_fields(const struct place *at, const struct field *field, const json_t *value,
                   void *into); // a struct; more: struct field_table
void decode_later(const struct place *at, const struct field *field, const json_t *value,
                  void *into); // a field that this version refuses

// Parts for reading functions of one's own.

// False, with a fault, unless value is of this type. `wanted` goes on after "must be ", e.g. "a
// list of texts".
bool decode_is(const struct place *at, const json_t *value, json_type type, const char *wanted);
// Where the member `token` of the value at `at` stands. `pointer` holds the text and must live as
// long as the result.
struct place place_below(const struct place *at, const char *token,
                         char pointer[static POINTER_MAX]);
struct place place_item(const struct place *at, size_t index, char pointer[static POINTER_MAX]);
// How deeply lists and objects are nested: 0 for a scalar. Stops counting at `limit`.
int json_depth(const json_t *value, int limit);
// The name nearest to `text` by its spelling, NULL where none is near. `names` is an array of
// `count`.
const char *nearest_name(const char *text, const char *const *names, size_t count);
