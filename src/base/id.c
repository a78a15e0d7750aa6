#include "base/id.h"

#include <string.h>

#define EPOCH_MS INT64_C(1577836800000) // 2020-01-01T00:00:00Z
#define COUNT_BITS 22

static const char alphabet[] = "0123456789abcdefghjkmnpqrstvwxyz";

run_id id_from_time(wall t)
{
    int64_t ms = t.us / MILLISECOND - EPOCH_MS;
    if (ms < 0)
        ms = 0;
    if (ms > (INT64_C(1) << 41) - 1)
        ms = (INT64_C(1) << 41) - 1;
    return (run_id){ms << COUNT_BITS};
}

run_id id_next(struct id_maker *maker, wall now)
{
    int64_t floor = id_from_time(now).value;
    maker->last = floor > maker->last ? floor : maker->last + 1;
    return (run_id){maker->last};
}

wall id_time(run_id id)
{
    return (wall){((id.value >> COUNT_BITS) + EPOCH_MS) * MILLISECOND};
}

void run_id_format(run_id id, char text[static RUN_ID_TEXT])
{
    memcpy(text, "run_", 4);
    uint64_t rest = (uint64_t)id.value;
    for (int i = RUN_ID_TEXT - 2; i >= 4; i--, rest >>= 5)
        text[i] = alphabet[rest & 31];
    text[RUN_ID_TEXT - 1] = '\0';
}

static int digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        c = (char)(c - 'A' + 'a');
    if (c == 'o')
        c = '0';
    if (c == 'i' || c == 'l')
        c = '1';
    const char *at = c ? strchr(alphabet, c) : NULL;
    return at ? (int)(at - alphabet) : -1;
}

enum status run_id_parse(const char *text, run_id *ret)
{
    if (strncmp(text, "run_", 4) != 0 || strlen(text) != RUN_ID_TEXT - 1)
        return STATUS_INVALID;
    uint64_t value = 0;
    for (const char *p = text + 4; *p; p++) {
        int d = digit(*p);
        if (d < 0 || value >> 59)
            return STATUS_INVALID;
        value = value << 5 | (uint64_t)d;
    }
    if (value == 0 || value > INT64_MAX)
        return STATUS_INVALID;
    ret->value = (int64_t)value;
    return STATUS_OK;
}
