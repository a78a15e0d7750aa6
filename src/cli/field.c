#include "cli/field.h"

#include <string.h>

const json_t *field(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    return json_is_null(value) ? NULL : value;
}

const char *field_text(const json_t *object, const char *name)
{
    return json_string_value(field(object, name));
}

int64_t field_int(const json_t *object, const char *name)
{
    const json_t *value = field(object, name);
    return json_is_integer(value) ? json_integer_value(value) : -1;
}

double field_real(const json_t *object, const char *name)
{
    const json_t *value = field(object, name);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

int64_t field_ms(const json_t *object, const char *name)
{
    double ms = field_real(object, name);
    return ms >= 0 && ms < 1e15 ? (int64_t)llround(ms * 1000) : -1;
}

wall field_moment(const json_t *object, const char *name)
{
    const char *text = field_text(object, name);
    wall t;
    return text && wall_parse(text, strlen(text), &t) == STATUS_OK ? t : WALL_NONE;
}
