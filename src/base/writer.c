#include "base/writer.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

struct writer writer_on(struct buffer *to)
{
    return (struct writer){.to = to};
}

static void before_value(struct writer *w)
{
    if (w->comma)
        buffer_byte(w->to, ',');
    w->comma = true;
}

static void open(struct writer *w, char bracket)
{
    before_value(w);
    buffer_byte(w->to, bracket);
    w->comma = false;
    w->depth++;
}

static void close(struct writer *w, char bracket)
{
    assert(w->depth > 0);
    w->depth--;
    buffer_byte(w->to, bracket);
    w->comma = true;
}

void writer_object(struct writer *w)
{
    open(w, '{');
}

void writer_end_object(struct writer *w)
{
    close(w, '}');
}

void writer_array(struct writer *w)
{
    open(w, '[');
}

void writer_end_array(struct writer *w)
{
    close(w, ']');
}

// Adds a comma where one is due, then makes `size` bytes of room.
static char *space_for_value(struct writer *w, size_t size)
{
    bool comma = w->comma;
    char *space = buffer_space(w->to, size + comma);
    w->comma = true;
    if (space && comma)
        *space++ = ',';
    return space;
}

void writer_key(struct writer *w, const char *key)
{
    size_t size = strlen(key);
    char *space = space_for_value(w, size + 3);
    w->comma = false;
    if (!space)
        return;
    *space = '"';
    memcpy(space + 1, key, size); // our own keys need no escape
    memcpy(space + 1 + size, "\":", 2);
}

static void escape(struct buffer *to, unsigned char c)
{
    static const char shorts[] = "\"\"\\\\\bb\ff\nn\rr\tt";
    for (const char *p = shorts; *p; p += 2)
        if ((unsigned char)*p == c) {
            buffer_add(to, (char[]){'\\', p[1]}, 2);
            return;
        }
    buffer_format(to, "\\u%04x", c);
}

static bool is_plain(unsigned char c)
{
    return c >= 0x20 && c < 0x7F && c != '"' && c != '\\';
}

// Most texts have nothing to escape, and are copied whole.
static bool write_plain(struct writer *w, const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (!is_plain((unsigned char)text[i]))
            return false;
    char *space = space_for_value(w, size + 2);
    if (!space)
        return true;
    *space = '"';
    memcpy(space + 1, text, size);
    space[1 + size] = '"';
    return true;
}

void writer_text_sized(struct writer *w, const char *text, size_t size)
{
    if (write_plain(w, text, size))
        return;
    before_value(w);
    buffer_byte(w->to, '"');
    const unsigned char *s = (const unsigned char *)text;
    size_t plain = 0; // start of the stretch not yet copied
    for (size_t i = 0; i < size;) {
        unsigned char c = s[i];
        if (is_plain(c)) {
            i++;
            continue;
        }
        size_t n = utf8_length(s + i, size - i);
        if (n > 1) {
            i += n;
            continue;
        }
        buffer_add(w->to, text + plain, i - plain);
        if (n == 0)
            buffer_text(w->to, "\xEF\xBF\xBD");
        else
            escape(w->to, c);
        plain = ++i;
    }
    buffer_add(w->to, text + plain, size - plain);
    buffer_byte(w->to, '"');
}

void writer_text(struct writer *w, const char *text)
{
    if (text)
        writer_text_sized(w, text, strlen(text));
    else
        writer_null(w);
}

void writer_int(struct writer *w, int64_t n)
{
    before_value(w);
    buffer_int(w->to, n);
}

void writer_known(struct writer *w, int64_t n)
{
    if (n < 0)
        writer_null(w);
    else
        writer_int(w, n);
}

void writer_real(struct writer *w, double n)
{
    if (!isfinite(n)) {
        writer_null(w);
        return;
    }
    before_value(w);
    buffer_format(w->to, "%.10g", n);
}

void writer_bool(struct writer *w, bool b)
{
    before_value(w);
    buffer_text(w->to, b ? "true" : "false");
}

void writer_null(struct writer *w)
{
    char *space = space_for_value(w, 4);
    if (space)
        memcpy(space, "null", 4);
}

void writer_moment(struct writer *w, wall t)
{
    if (!wall_is_set(t)) {
        writer_null(w);
        return;
    }
    char text[MOMENT_TEXT];
    wall_format(t, text);
    char *space = space_for_value(w, MOMENT_TEXT + 1);
    if (!space)
        return;
    *space = '"';
    memcpy(space + 1, text, MOMENT_TEXT - 1);
    space[MOMENT_TEXT] = '"';
}

void writer_ms(struct writer *w, int64_t us)
{
    if (us < 0) {
        writer_null(w);
        return;
    }
    before_value(w);
    buffer_int(w->to, us / 1000);
    int64_t rest = us % 1000;
    if (rest) {
        char digits[4] = {'.', (char)('0' + rest / 100), (char)('0' + rest / 10 % 10),
                          (char)('0' + rest % 10)};
        buffer_add(w->to, digits, sizeof digits);
    }
}

void writer_raw(struct writer *w, const char *json, size_t size)
{
    if (!json) {
        writer_null(w);
        return;
    }
    before_value(w);
    buffer_add(w->to, json, size);
}
