#include "base/json.h"

#include <stdio.h>
#include <string.h>

enum status json_read(const char *text, size_t size, json_t **ret, struct json_place *ret_place)
{
    json_error_t error;
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

char *json_write(const json_t *value, size_t *ret_size)
{
    char *text = value ? json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    if (ret_size)
        *ret_size = text ? strlen(text) : 0;
    return text;
}
