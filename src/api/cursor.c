#include "api/cursor.h"

#include <stdint.h>
#include <string.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void cursor_format(char list, const char *key, char text[static CURSOR_TEXT])
{
    size_t size = strlen(key) + 1, at = 0; // the letter and the key
    for (size_t i = 0; i < size && at + 5 < CURSOR_TEXT; i += 3) {
        size_t left = size - i < 3 ? size - i : 3;
        uint32_t bits = 0;
        for (size_t k = 0; k < 3; k++) {
            size_t place = i + k;
            unsigned char byte = 0;
            if (k < left)
                byte = (unsigned char)(place == 0 ? list : key[place - 1]);
            bits = bits << 8 | byte;
        }
        for (size_t k = 0; k <= left; k++)
            text[at++] = digits[bits >> (18 - 6 * k) & 63];
    }
    text[at] = '\0';
}

void cursor_write(struct writer *w, char list, const char *key)
{
    char text[CURSOR_TEXT];
    if (key)
        cursor_format(list, key, text);
    member_text(w, "next_cursor", key ? text : NULL);
}

void cursor_write_run(struct writer *w, char list, run_id last)
{
    char id[RUN_ID_TEXT];
    run_id_format(last, id);
    cursor_write(w, list, last.value ? id : NULL);
}

bool cursor_parse(char list, const char *text, char *key, size_t size)
{
    uint32_t bits = 0;
    int held = 0; // bits not yet given out
    size_t at = 0;
    bool first = true;
    for (const char *p = text; *p; p++) {
        const char *digit = strchr(digits, *p);
        if (!digit)
            return false;
        bits = (bits << 6 | (uint32_t)(digit - digits)) & 0xFFFF;
        held += 6;
        if (held < 8)
            continue;
        held -= 8;
        char byte = (char)(bits >> held & 0xFF);
        if (first && byte != list)
            return false;
        if (!first && (byte == '\0' || at + 1 >= size))
            return false;
        if (!first)
            key[at++] = byte;
        first = false;
    }
    if (first)
        return false;
    key[at] = '\0';
    return true;
}
