#include "base/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/writer.h"

// The brackets and commas outside strings tell, before anything is allocated. A short text weighs
// little whatever it holds.
static bool is_too_heavy(const char *text, size_t size)
{
    size_t weight = 1;
    bool quoted = false;
    if (size <= JSON_WEIGHT_MAX / 4)
        return false;
    for (size_t i = 0; i < size && weight <= JSON_WEIGHT_MAX; i++) {
        char c = text[i];
        if (quoted && c == '\\')
            i++; // what is escaped ends no string
        else if (c == '"')
            quoted = !quoted;
        else if (!quoted)
            weight += c == '[' || c == '{' ? 4 : c == ',';
    }
    return weight > JSON_WEIGHT_MAX;
}

enum status json_read(const char *text, size_t size, json_t **ret, struct json_place *ret_place)
{
    json_error_t error;
    if (is_too_heavy(text, size)) {
        *ret_place = (struct json_place){.line = 1, .column = 1};
        snprintf(ret_place->detail, sizeof ret_place->detail,
                 "holds too many values: at most %d, where an array or object counts as four",
                 JSON_WEIGHT_MAX);
        return STATUS_INVALID;
    }
    json_t *value = json_loadb(text, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    if (!value) {
        snprintf(ret_place->detail, sizeof ret_place->detail, "%s", error.text);
        ret_place->line = error.line;
        ret_place->column = error.column;
        return STATUS_INVALID;
    }
    *ret = value;
    return STATUS_OK;
}

bool json_is_deeper(const json_t *value, int most)
{
    const char *key;
    json_t *member;
    size_t i;
    bool nested = json_is_array(value) || json_is_object(value);
    if (nested && most == 0)
        return true;
    json_array_foreach((json_t *)value, i, member)
    {
        if (json_is_deeper(member, most - 1))
            return true;
    }
    json_object_foreach((json_t *)value, key, member)
    {
        if (json_is_deeper(member, most - 1))
            return true;
    }
    return false;
}

// The fewest digits that read back to the same number: 0.1 stays 0.1. A point or an exponent keeps
// it a decimal.
static void write_real(struct writer *w, double n)
{
    char text[40];
    int size = 0;
    for (int digits = 15; digits <= 17; digits++) {
        size = snprintf(text, sizeof text - 2, "%.*g", digits, n);
        if (strtod(text, NULL) == n)
            break;
    }
    if (!strpbrk(text, ".e"))
        size += snprintf(text + size, 3, ".0");
    writer_raw(w, text, (size_t)size);
}

static void write_value(struct writer *w, const json_t *value);

static void write_object(struct writer *w, const json_t *value)
{
    const char *key;
    json_t *member;
    writer_object(w);
    json_object_foreach((json_t *)value, key, member)
    {
        writer_text(w, key); // a key may need escapes
        buffer_byte(w->to, ':');
        w->comma = false;
        write_value(w, member);
    }
    writer_end_object(w);
}

static void write_array(struct writer *w, const json_t *value)
{
    size_t i;
    json_t *member;
    writer_array(w);
    json_array_foreach((json_t *)value, i, member)
    {
        write_value(w, member);
    }
    writer_end_array(w);
}

// As deep as jansson reads (2048), so the recursion is bounded.
static void write_value(struct writer *w, const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        write_object(w, value);
        break;
    case JSON_ARRAY:
        write_array(w, value);
        break;
    case JSON_STRING:
        writer_text_sized(w, json_string_value(value), json_string_length(value));
        break;
    case JSON_INTEGER:
        writer_int(w, json_integer_value(value));
        break;
    case JSON_REAL:
        write_real(w, json_real_value(value));
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        writer_bool(w, json_is_true(value));
        break;
    case JSON_NULL:
        writer_null(w);
        break;
    }
}

char *json_write(const json_t *value, size_t *ret_size)
{
    struct buffer text;
    size_t size = 0;
    buffer_init(&text, SIZE_MAX / 4); // as large as the value is: whoever read it limited that
    struct writer w = writer_on(&text);
    if (value)
        write_value(&w, value);
    char *written = value ? buffer_take(&text, &size) : NULL;
    if (ret_size)
        *ret_size = size;
    return written;
}
