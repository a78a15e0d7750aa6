#include "cli/text.h"

#include <locale.h>
#include <string.h>
#include <wchar.h>
#include <wctype.h>

// Texts are UTF-8 whatever the environment says, as JSON is. Only the class of characters is set:
// numbers and times stay as they are in C.
static void speak_utf8(void)
{
    static bool done;
    if (!done)
        setlocale(LC_CTYPE, "C.UTF-8");
    done = true;
}

// Reads one character. Returns its length in bytes, at least 1; *ret is L'\0' where the bytes are
// no UTF-8.
static size_t next_character(const char *text, size_t size, wchar_t *ret)
{
    speak_utf8();
    mbstate_t state = {0};
    size_t length = mbrtowc(ret, text, size, &state);
    if (length == 0 || length > size) { // a NUL, or no character (the two errors are huge)
        *ret = L'\0';
        return 1;
    }
    return length;
}

static int character_width(wchar_t c)
{
    int width = wcwidth(c);
    return width < 0 ? 1 : width;
}

char *text_clean(const char *text, size_t size)
{
    struct buffer clean;
    buffer_init(&clean, size + 1);
    for (size_t i = 0; i < size;) {
        wchar_t c;
        size_t length = next_character(text + i, size - i, &c);
        if (c != L'\0' && wcwidth(c) >= 0)
            buffer_add(&clean, text + i, length);
        else
            buffer_byte(&clean, strchr("\n\t\r\v\f", text[i]) && text[i] ? ' ' : '?');
        i += length;
    }
    return buffer_take(&clean, NULL);
}

bool text_is_utf8(const char *text)
{
    for (size_t left = strlen(text); left;) {
        wchar_t c;
        size_t length = next_character(text, left, &c);
        if (c == L'\0')
            return false;
        text += length;
        left -= length;
    }
    return true;
}

int text_width(const char *text)
{
    int width = 0;
    for (size_t left = strlen(text); left;) {
        wchar_t c;
        size_t length = next_character(text, left, &c);
        width += character_width(c);
        text += length;
        left -= length;
    }
    return width;
}

// How many bytes of the text fit into `width` columns.
static size_t bytes_within(const char *text, int width)
{
    size_t left = strlen(text), taken = 0;
    while (taken < left) {
        wchar_t c;
        size_t length = next_character(text + taken, left - taken, &c);
        width -= character_width(c);
        if (width < 0)
            break;
        taken += length;
    }
    return taken;
}

void text_fit(struct buffer *to, const char *text, int width)
{
    if (width <= 0)
        return;
    if (text_width(text) <= width) {
        buffer_text(to, text);
        return;
    }
    buffer_add(to, text, bytes_within(text, width - 1));
    buffer_text(to, "…");
}

void text_wrap(struct buffer *to, const char *text, int indent, int width)
{
    int room = width - indent;
    if (width <= 0 || room < 10) { // no limit, or no room to be tidy in
        buffer_text(to, text);
        return;
    }
    while (text_width(text) > room) {
        size_t fits = bytes_within(text, room), at = fits;
        while (at > 0 && text[at] != ' ')
            at--;
        if (at == 0) // one long word
            at = fits;
        buffer_add(to, text, at);
        buffer_byte(to, '\n');
        text_pad(to, indent);
        text += at;
        text += strspn(text, " ");
    }
    buffer_text(to, text);
}

void text_pad(struct buffer *to, int count)
{
    for (; count > 0; count--)
        buffer_byte(to, ' ');
}
