// Reading JSON (RFC 8259) into jansson's values. Why not by jansson itself: docs/decisions/0017.

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/json.h"
#include "base/utf8.h"

#define DEPTH_MAX 2048 // of the recursion; what comes in from outside may be a lot less deep

struct reading {
    const char *at, *end;
    int depth;
    struct buffer unescaped; // the text last read, where it had escapes; or a number
    const char *wrong_at;    // of the first mistake; NULL: none so far
    char wrong[160];
};

static json_t *read_value(struct reading *r);

// Remembers the first mistake. Returns NULL, as every reader does that found one.
static json_t *fail(struct reading *r, const char *at, const char *detail)
{
    if (!r->wrong_at) {
        r->wrong_at = at;
        snprintf(r->wrong, sizeof r->wrong, "%s", at < r->end ? detail : "the text ends too early");
    }
    return NULL;
}

// For values that jansson may not have made. Said without fail: it may be the end of the text.
static json_t *made(struct reading *r, json_t *value)
{
    if (!value && !r->wrong_at) {
        r->wrong_at = r->at;
        snprintf(r->wrong, sizeof r->wrong, "there is no memory for it now");
    }
    return value;
}

static void skip_space(struct reading *r)
{
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\n' || *r->at == '\r' || *r->at == '\t'))
        r->at++;
}

static bool take(struct reading *r, char wanted)
{
    if (r->at == r->end || *r->at != wanted)
        return false;
    r->at++;
    return true;
}

// --- texts ---

static int hex4(const char *s)
{
    int n = 0;
    for (int i = 0; i < 4; i++) {
        char c = s[i];
        int digit = '0' <= c && c <= '9'   ? c - '0'
                    : 'a' <= c && c <= 'f' ? c - 'a' + 10
                    : 'A' <= c && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0)
            return -1;
        n = n * 16 + digit;
    }
    return n;
}

static void add_utf8(struct buffer *to, int c)
{
    if (c < 0x80) {
        buffer_byte(to, (char)c);
        return;
    }
    if (c < 0x800) {
        buffer_byte(to, (char)(0xC0 | c >> 6));
    } else {
        if (c < 0x10000) {
            buffer_byte(to, (char)(0xE0 | c >> 12));
        } else {
            buffer_byte(to, (char)(0xF0 | c >> 18));
            buffer_byte(to, (char)(0x80 | (c >> 12 & 0x3F)));
        }
        buffer_byte(to, (char)(0x80 | (c >> 6 & 0x3F)));
    }
    buffer_byte(to, (char)(0x80 | (c & 0x3F)));
}

// RFC 8259, 7: the four digits behind \u; two of them where the first is a high surrogate.
static bool read_code(struct reading *r)
{
    const char *escape = r->at - 2;
    int c = r->end - r->at >= 4 ? hex4(r->at) : -1;
    if (c < 0) {
        fail(r, escape, "\\u must be followed by four hexadecimal digits");
        return false;
    }
    r->at += 4;
    if (0xD800 <= c && c < 0xDC00 && r->end - r->at >= 6 && r->at[0] == '\\' && r->at[1] == 'u') {
        int low = hex4(r->at + 2);
        if (0xDC00 <= low && low < 0xE000) {
            c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
            r->at += 6;
        }
    }
    if (0xD800 <= c && c < 0xE000) {
        fail(r, escape, "half of a surrogate pair stands alone");
        return false;
    }
    if (c == 0) {
        fail(r, escape, "\\u0000 is not allowed");
        return false;
    }
    add_utf8(&r->unescaped, c);
    return true;
}

static bool read_escape(struct reading *r)
{
    static const char shorts[] = "\"\"\\\\//b\bf\fn\nr\rt\t";
    char c = r->at < r->end ? *r->at++ : '\0';
    if (c == 'u')
        return read_code(r);
    for (const char *p = shorts; *p; p += 2)
        if (c == *p) {
            buffer_byte(&r->unescaped, p[1]);
            return true;
        }
    fail(r, r->at - 1, "a backslash in a text must be followed by one of \" \\ / b f n r t u");
    return false;
}

// Moves past what stands for itself; checks that it is UTF-8.
static bool skip_plain(struct reading *r)
{
    while (r->at < r->end && *r->at != '"' && *r->at != '\\') {
        unsigned char c = (unsigned char)*r->at;
        size_t n =
            c < 0x80 ? 1 : utf8_length((const unsigned char *)r->at, (size_t)(r->end - r->at));
        if (n == 0) {
            fail(r, r->at, "the text is not UTF-8");
            return false;
        }
        if (c < 0x20) {
            fail(r, r->at,
                 "a line break or control character in a text must be written as \\n, \\t or "
                 "\\u....");
            return false;
        }
        r->at += n;
    }
    return true;
}

// What stands between two quotes: in place where it has no escapes, else in r->unescaped, which
// holds it until the next text is read.
static bool read_text(struct reading *r, const char **ret, size_t *ret_size)
{
    if (!take(r, '"')) {
        fail(r, r->at, "a key in double quotes must stand here");
        return false;
    }
    const char *plain = r->at;
    if (!skip_plain(r))
        return false;
    if (r->at < r->end && *r->at == '"') {
        *ret = plain;
        *ret_size = (size_t)(r->at++ - plain);
        return true;
    }
    buffer_clear(&r->unescaped);
    buffer_add(&r->unescaped, plain, (size_t)(r->at - plain));
    while (!take(r, '"')) {
        if (r->at == r->end) {
            fail(r, r->at, "");
            return false;
        }
        if (take(r, '\\') && !read_escape(r))
            return false;
        plain = r->at;
        if (!skip_plain(r))
            return false;
        buffer_add(&r->unescaped, plain, (size_t)(r->at - plain));
    }
    *ret = buffer_string(&r->unescaped);
    *ret_size = r->unescaped.size;
    return true;
}

static json_t *read_text_value(struct reading *r)
{
    const char *text;
    size_t size;
    return read_text(r, &text, &size) ? made(r, json_stringn_nocheck(text, size)) : NULL;
}

// --- numbers ---

static bool skip_digits(struct reading *r)
{
    const char *first = r->at;
    while (r->at < r->end && '0' <= *r->at && *r->at <= '9')
        r->at++;
    return r->at > first;
}

static json_t *integer(struct reading *r, const char *text)
{
    bool negative = *text == '-';
    uint64_t n = 0, most = (uint64_t)INT64_MAX + negative;
    for (const char *p = text + negative; p < r->at; p++) {
        uint64_t digit = (uint64_t)(*p - '0');
        if (n > (most - digit) / 10)
            return fail(r, text, "the whole number does not fit into 64 bits");
        n = n * 10 + digit;
    }
    return made(r, json_integer(negative ? (json_int_t)(0 - n) : (json_int_t)n));
}

static json_t *real(struct reading *r, const char *text)
{
    buffer_clear(&r->unescaped);
    buffer_add(&r->unescaped, text, (size_t)(r->at - text));
    double n = strtod(buffer_string(&r->unescaped), NULL);
    return isfinite(n) ? made(r, json_real(n)) : fail(r, text, "the number is too large");
}

// RFC 8259, 6.
static json_t *read_number(struct reading *r)
{
    static const char detail[] = "this is not a number as JSON writes it, such as -12.5e3";
    const char *text = r->at;
    bool whole = true;
    take(r, '-');
    if (!take(r, '0') && !skip_digits(r))
        return fail(r, r->at, detail);
    if (take(r, '.')) {
        whole = false;
        if (!skip_digits(r))
            return fail(r, r->at, detail);
    }
    if (take(r, 'e') || take(r, 'E')) {
        whole = false;
        if (!take(r, '-'))
            take(r, '+');
        if (!skip_digits(r))
            return fail(r, r->at, detail);
    }
    return whole ? integer(r, text) : real(r, text);
}

// --- arrays and objects ---

static json_t *read_array(struct reading *r)
{
    json_t *array = made(r, json_array());
    r->at++;
    skip_space(r);
    if (take(r, ']'))
        return array;
    while (array) {
        json_t *value = read_value(r);
        if (!value)
            break;
        if (json_array_append_new(array, value) != 0) {
            made(r, NULL);
            break;
        }
        skip_space(r);
        if (take(r, ']'))
            return array;
        if (!take(r, ',')) {
            fail(r, r->at, "a comma or ] must stand here");
            break;
        }
    }
    json_decref(array);
    return NULL;
}

// One "key": value. A key that comes again is a mistake: readers differ in which of the two counts.
static bool read_member(struct reading *r, json_t *object)
{
    const char *key, *key_at = r->at;
    char *kept = NULL; // where the value may overwrite it
    size_t size;
    bool ok = false;
    if (!read_text(r, &key, &size))
        return false;
    if (key == r->unescaped.data)
        key = kept = buffer_take(&r->unescaped, NULL);
    skip_space(r);
    json_t *value = take(r, ':') ? read_value(r) : fail(r, r->at, "a colon must stand here");
    if (value) {
        size_t before = json_object_size(object);
        if (json_object_setn_new_nocheck(object, key, size, value) != 0)
            made(r, NULL);
        else if (json_object_size(object) == before)
            fail(r, key_at, "this key stands in its object twice");
        else
            ok = true;
    }
    free(kept);
    return ok;
}

static json_t *read_object(struct reading *r)
{
    json_t *object = made(r, json_object());
    r->at++;
    skip_space(r);
    if (take(r, '}'))
        return object;
    while (object && read_member(r, object)) {
        skip_space(r);
        if (take(r, '}'))
            return object;
        if (!take(r, ',')) {
            fail(r, r->at, "a comma or } must stand here");
            break;
        }
        skip_space(r);
    }
    json_decref(object);
    return NULL;
}

static json_t *read_nested(struct reading *r, json_t *(*read)(struct reading *))
{
    if (++r->depth > DEPTH_MAX)
        return fail(r, r->at, "is nested too deep");
    json_t *value = read(r);
    r->depth--;
    return value;
}

static json_t *no_value(struct reading *r)
{
    return fail(r, r->at,
                "must be a value: an object, array, number, true, false, null or a text in double "
                "quotes");
}

static json_t *read_word(struct reading *r, const char *word, json_t *value)
{
    size_t size = strlen(word);
    if ((size_t)(r->end - r->at) < size || memcmp(r->at, word, size) != 0)
        return no_value(r);
    r->at += size;
    return value;
}

static json_t *read_value(struct reading *r)
{
    skip_space(r);
    switch (r->at < r->end ? *r->at : '\0') {
    case '{':
        return read_nested(r, read_object);
    case '[':
        return read_nested(r, read_array);
    case '"':
        return read_text_value(r);
    case 't':
        return read_word(r, "true", json_true());
    case 'f':
        return read_word(r, "false", json_false());
    case 'n':
        return read_word(r, "null", json_null());
    case '-':
    case '0' ... '9':
        return read_number(r);
    default:
        return no_value(r);
    }
}

// --- the whole ---

// The brackets and commas outside strings tell, before anything is allocated. A short text weighs
// little whatever it holds.
static bool is_too_heavy(const char *text, size_t size)
{
    size_t weight = 1;
    bool quoted = false;
    if (size <= JSON_WEIGHT_MAX / 4)
        return false;
    for (size_t i = 0; i < size && weight <= JSON_WEIGHT_MAX; i++) {
        char c = text[i];
        if (quoted && c == '\\')
            i++; // what is escaped ends no string
        else if (c == '"')
            quoted = !quoted;
        else if (!quoted)
            weight += c == '[' || c == '{' ? 4 : c == ',';
    }
    return weight > JSON_WEIGHT_MAX;
}

// Lines and columns are counted only where there is a mistake. A character of more than one byte is
// one column.
static void find_place(const char *text, const char *at, struct json_place *ret)
{
    ret->line = ret->column = 1;
    for (; text < at; text++) {
        if (*text == '\n') {
            ret->line++;
            ret->column = 1;
        } else if ((*text & 0xC0) != 0x80) {
            ret->column++;
        }
    }
}

enum status json_read(const char *text, size_t size, json_t **ret, struct json_place *ret_place)
{
    if (is_too_heavy(text, size)) {
        *ret_place = (struct json_place){.line = 1, .column = 1};
        snprintf(ret_place->detail, sizeof ret_place->detail,
                 "holds too many values: at most %d, where an array or object counts as four",
                 JSON_WEIGHT_MAX);
        return STATUS_INVALID;
    }
    struct reading r = {.at = text, .end = text + size};
    buffer_init(&r.unescaped, SIZE_MAX / 4); // no longer than the text
    json_t *value = read_value(&r);
    skip_space(&r);
    if (value && r.at < r.end) {
        json_decref(value);
        value = fail(&r, r.at, "nothing may follow the value");
    }
    buffer_done(&r.unescaped);
    if (value) {
        *ret = value;
        return STATUS_OK;
    }
    find_place(text, r.wrong_at, ret_place);
    snprintf(ret_place->detail, sizeof ret_place->detail, "%s", r.wrong);
    return STATUS_INVALID;
}
