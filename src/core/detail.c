#include "core/detail.h"

#include <string.h>

#include "base/json.h"
#include "base/utf8.h"

// Also those of two bytes: U+0080 to U+009F.
static bool is_blank(const unsigned char *character, size_t length)
{
    if (length == 1)
        return *character <= ' ' || *character == 0x7F;
    return length == 2 && character[0] == 0xC2 && character[1] < 0xA0;
}

static void copy_words(const char *words, char text[static DETAIL_TEXT])
{
    const unsigned char *at = (const unsigned char *)words;
    size_t left = strlen(words), length, used = 0;
    bool space = false;
    // What json_read has accepted is UTF-8.
    for (; left && (length = utf8_length(at, left)) > 0; at += length, left -= length) {
        if (is_blank(at, length)) {
            space = used > 0;
            continue;
        }
        if (used + space + length > DETAIL_MOST) {
            memcpy(text + used, "...", 4);
            return;
        }
        if (space)
            text[used++] = ' ';
        space = false;
        memcpy(text + used, at, length);
        used += length;
    }
    text[used] = '\0';
}

bool detail_read(const char *body, size_t size, char text[static DETAIL_TEXT])
{
    json_t *document;
    struct json_place place;
    text[0] = '\0';
    if (size == 0 || json_read(body, size, &document, &place) != STATUS_OK)
        return false;
    const char *words = json_string_value(json_object_get(document, "detail"));
    if (words)
        copy_words(words, text);
    json_decref(document);
    return text[0] != '\0';
}
