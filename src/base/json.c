#include "base/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/writer.h"

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
