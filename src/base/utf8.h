/*
 * utf8 - where one character of a text ends
 */
#pragma once

#include <stddef.h>
#include <string.h>

// How many bytes the sequence at `s` has, of the `size` that are left (at least one); 0 where it is
// none (RFC 3629, 4).
static inline size_t utf8_length(const unsigned char *s, size_t size)
{
    if (s[0] < 0x80)
        return 1;
    size_t n = s[0] >= 0xF0 ? 4 : s[0] >= 0xE0 ? 3 : 2;
    if (s[0] < 0xC2 || s[0] > 0xF4 || n > size)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xC0) != 0x80)
            return 0;
    if ((s[0] == 0xE0 && s[1] < 0xA0) || (s[0] == 0xED && s[1] > 0x9F) ||
        (s[0] == 0xF0 && s[1] < 0x90) || (s[0] == 0xF4 && s[1] > 0x8F))
        return 0;
    return n;
}

// Takes away the piece of a character at the end that is left where a text was cut.
static inline void utf8_trim(char *text)
{
    size_t size = strlen(text), back = 1;
    while (back < 4 && back < size && ((unsigned char)text[size - back] & 0xC0) == 0x80)
        back++;
    if (size && utf8_length((unsigned char *)text + size - back, back) == 0)
        text[size - back] = '\0';
}
