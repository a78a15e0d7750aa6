#include "server/bytes.h"

#include <string.h>

enum status size_parse(const char *text, size_t length, int64_t *ret)
{
    static const char *const units[] = {"", "KiB", "MiB", "GiB", "TiB"};
    size_t digits = strspn(text, "0123456789");
    int64_t n = 0;
    if (digits == 0 || digits > 15 || digits > length)
        return STATUS_INVALID;
    for (size_t i = 0; i < digits; i++)
        n = n * 10 + (text[i] - '0');
    for (size_t unit = 0; unit < sizeof units / sizeof *units; unit++) {
        if (strcmp(text + digits, units[unit]) != 0)
            continue;
        if (n > INT64_MAX >> (10 * unit))
            return STATUS_INVALID;
        *ret = n << (10 * unit);
        return STATUS_OK;
    }
    return STATUS_INVALID;
}
