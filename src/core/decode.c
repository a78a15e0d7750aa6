#include "core/decode.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/memory.h"

#define FIELDS_MAX 40
#define NAME_SHOWN 60 // bytes of an outsider's name that go into a sentence

struct place place_below(const struct place *at, const char *token,
                         char pointer[static POINTER_MAX])
{
    pointer_join(pointer, POINTER_MAX, at->pointer, token);
    return (struct place){pointer, at->faults};
}

struct place place_item(const struct place *at, size_t index, char pointer[static POINTER_MAX])
{
    char token[24];
    snprintf(token, sizeof token, "%zu", index);
    return place_below(at, token, pointer);
}

static const char *kind_text(const json_t *value)
{
    static const char *const kinds[] = {
        [JSON_OBJECT] = "an object", [JSON_ARRAY] = "a list",  [JSON_STRING] = "text",
        [JSON_INTEGER] = "a number", [JSON_REAL] = "a number", [JSON_TRUE] = "true",
        [JSON_FALSE] = "false",      [JSON_NULL] = "null",
    };
    return kinds[json_typeof(value)];
}

// What to write instead, where a wrong kind has an obvious cure.
static void hint(const json_t *value, json_type wanted, char *text, size_t size)
{
    text[0] = '\0';
    if (json_is_null(value)) {
        snprintf(text, size, ": give a value or leave the field out");
    } else if (wanted == JSON_STRING && (json_is_number(value) || json_is_boolean(value))) {
        char *written = json_write(value, NULL);
        snprintf(text, size, ": write it in quotes, \"%.40s\"", written);
        free(written);
    } else if (wanted == JSON_INTEGER && json_is_string(value)) {
        snprintf(text, size, ": write it without quotes");
    }
}

bool decode_is(const struct place *at, const json_t *value, json_type type, const char *wanted)
{
    if (json_typeof(value) == type)
        return true;
    char cure[100];
    hint(value, type, cure, sizeof cure);
    faults_add(at->faults, at->pointer, "must be %s, not %s%s", wanted, kind_text(value), cure);
    return false;
}

// Levenshtein's distance, cut off at `limit`: how many letters must change.
static size_t distance(const char *a, const char *b, size_t limit)
{
    size_t length = strlen(b), row[64];
    if (length >= sizeof row / sizeof *row || strlen(a) >= sizeof row / sizeof *row)
        return limit;
    for (size_t i = 0; i <= length; i++)
        row[i] = i;
    for (size_t i = 1; a[i - 1]; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= length; j++) {
            size_t best = diagonal + (a[i - 1] != b[j - 1]);
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            diagonal = row[j];
            row[j] = best;
        }
    }
    return row[length] < limit ? row[length] : limit;
}

const char *nearest_name(const char *text, const char *const *names, size_t count)
{
    size_t length = strlen(text), best = length / 3 + 2; // one letter in three may be wrong
    const char *nearest = NULL;
    for (size_t i = 0; i < count; i++) {
        size_t d = distance(text, names[i], best);
        if (d < best && d < strlen(names[i])) {
            best = d;
            nearest = names[i];
        }
    }
    return nearest;
}

static void unknown_field(const struct place *at, const struct field *fields, size_t count,
                          const char *name)
{
    const char *names[FIELDS_MAX];
    size_t known = 0;
    struct buffer list;
    buffer_init(&list, 400);
    for (size_t i = 0; i < count && known < FIELDS_MAX; i++) {
        if (fields[i].read == decode_later)
            continue;
        buffer_format(&list, "%s%s", known ? ", " : "", fields[i].name);
        names[known++] = fields[i].name;
    }
    const char *near = nearest_name(name, names, known);
    faults_add(at->faults, at->pointer, "unknown field \"%.*s\"%s%s%s; known are %s", NAME_SHOWN,
               name, near ? ": did you mean \"" : "", near ? near : "", near ? "\"?" : "",
               buffer_string(&list));
    buffer_done(&list);
}

static const struct field *find_field(const struct field *fields, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(fields[i].name, name) == 0)
            return &fields[i];
    return NULL;
}

// "an object with the fields url, method", for who wrote something else.
static bool is_object(const struct place *at, const struct field *fields, size_t count,
                      const json_t *value)
{
    struct buffer wanted;
    buffer_init(&wanted, 400);
    buffer_text(&wanted, "an object with the fields ");
    bool first = true;
    for (size_t i = 0; i < count; i++)
        if (fields[i].read != decode_later) {
            buffer_format(&wanted, "%s%s", first ? "" : ", ", fields[i].name);
            first = false;
        }
    bool ok = decode_is(at, value, JSON_OBJECT, buffer_string(&wanted));
    buffer_done(&wanted);
    return ok;
}

bool decode_object(const struct place *at, const struct field *fields, size_t count,
                   const json_t *value, void *into)
{
    if (!is_object(at, fields, count, value))
        return false;
    char pointer[POINTER_MAX];
    const char *name;
    json_t *member;
    json_object_foreach((json_t *)value, name, member)
    {
        struct place below = place_below(at, name, pointer);
        const struct field *field = find_field(fields, count, name);
        if (field)
            field->read(&below, field, member, into);
        else
            unknown_field(&below, fields, count, name);
    }
    for (size_t i = 0; i < count; i++)
        if (fields[i].required && !json_object_get(value, fields[i].name))
            faults_add(at->faults, at->pointer, "\"%s\" is missing", fields[i].name);
    return true;
}

static void *member_of(const struct field *field, void *into)
{
    return (char *)into + field->offset;
}

static bool text_fits(const struct place *at, const struct field *field, const json_t *value)
{
    if (!decode_is(at, value, JSON_STRING, "text"))
        return false;
    int64_t length = (int64_t)json_string_length(value);
    if (length < field->least) {
        faults_add(at->faults, at->pointer, "is empty: give a value or leave the field out");
        return false;
    }
    if (length > field->most) {
        faults_add(at->faults, at->pointer, "must have at most %lld bytes, and has %lld",
                   (long long)field->most, (long long)length);
        return false;
    }
    return true;
}

static void set_text(char **member, const json_t *value)
{
    free(*member);
    *member = memory_text(json_string_value(value));
}

void decode_bytes(const struct place *at, const struct field *field, const json_t *value,
                  void *into)
{
    if (text_fits(at, field, value))
        set_text(member_of(field, into), value);
}

void decode_text(const struct place *at, const struct field *field, const json_t *value, void *into)
{
    if (!text_fits(at, field, value))
        return;
    // These texts are shown on terminals, where an escape sequence could do anything.
    for (const char *p = json_string_value(value); *p; p++)
        if (((unsigned char)*p < 0x20 && *p != '\n' && *p != '\t') || *p == 0x7F) {
            faults_add(at->faults, at->pointer,
                       "must not hold control characters (found 0x%02x at byte %zu)",
                       (unsigned)(unsigned char)*p, (size_t)(p - json_string_value(value)) + 1);
            return;
        }
    set_text(member_of(field, into), value);
}

void decode_int(const struct place *at, const struct field *field, const json_t *value, void *into)
{
    char wanted[80];
    snprintf(wanted, sizeof wanted, "a whole number from %lld to %lld", (long long)field->least,
             (long long)field->most);
    if (json_is_real(value)) {
        faults_add(at->faults, at->pointer, "must be %s, without a fraction", wanted);
        return;
    }
    if (!decode_is(at, value, JSON_INTEGER, wanted))
        return;
    int64_t n = json_integer_value(value);
    if (n < field->least || n > field->most)
        faults_add(at->faults, at->pointer, "must be %s, not %lld", wanted, (long long)n);
    else
        *(int *)member_of(field, into) = (int)n;
}

void decode_bool(const struct place *at, const struct field *field, const json_t *value, void *into)
{
    if (json_is_boolean(value))
        *(bool *)member_of(field, into) = json_is_true(value);
    else
        faults_add(at->faults, at->pointer, "must be true or false, not %s", kind_text(value));
}

void decode_duration(const struct place *at, const struct field *field, const json_t *value,
                     void *into)
{
    char least[DURATION_TEXT], most[DURATION_TEXT];
    int64_t us;
    duration_format(field->least, least);
    duration_format(field->most, most);
    if (json_is_number(value))
        faults_add(
            at->faults, at->pointer,
            "must be a duration with its unit, such as 250ms, 30s or 1h30m, not a bare number");
    else if (!decode_is(at, value, JSON_STRING, "a duration such as 250ms, 30s or 1h30m"))
        return;
    else if (duration_parse(json_string_value(value), json_string_length(value), &us) != STATUS_OK)
        faults_add(at->faults, at->pointer,
                   "\"%.40s\" is no duration: write 250ms, 30s, 1h30m or PT1H30M (units w d h m s "
                   "ms us, the "
                   "largest first)",
                   json_string_value(value));
    else if (us < field->least || us > field->most)
        faults_add(at->faults, at->pointer, "must be from %s to %s, not %.40s", least, most,
                   json_string_value(value));
    else
        *(int64_t *)member_of(field, into) = us;
}

void decode_choice(const struct place *at, const struct field *field, const json_t *value,
                   void *into)
{
    const char *const *names = field->more;
    struct buffer list;
    buffer_init(&list, 200);
    size_t count = 0;
    for (; names[count]; count++)
        buffer_format(&list, "%s%s",
                      !count             ? "one of "
                      : names[count + 1] ? ", "
                                         : " or ",
                      names[count]);
    if (decode_is(at, value, JSON_STRING, buffer_string(&list))) {
        const char *text = json_string_value(value);
        size_t found = 0;
        while (found < count && strcmp(names[found], text) != 0)
            found++;
        if (found < count)
            *(unsigned *)member_of(field, into) =
                (unsigned)found; // enums are unsigned int (GCC and Clang)
        else
            faults_add(at->faults, at->pointer, "must be %s, not \"%.*s\"", buffer_string(&list),
                       NAME_SHOWN, text);
    }
    buffer_done(&list);
}

void decode_fields(const struct place *at, const struct field *field, const json_t *value,
                   void *into)
{
    const struct field_table *table = field->more;
    decode_object(at, table->fields, table->count, value, member_of(field, into));
}

void decode_later(const struct place *at, const struct field *field, const json_t *value,
                  void *into)
{
    (void)value;
    (void)into;
    faults_add(at->faults, at->pointer, "\"%s\" is not in this version: take it out", field->name);
}

int json_depth(const json_t *value, int limit)
{
    int deepest = 0;
    size_t i;
    const char *key;
    json_t *member;
    if (limit <= 0 || !(json_is_array(value) || json_is_object(value)))
        return 0;
    if (json_is_array(value))
        json_array_foreach(value, i, member)
        {
            int d = json_depth(member, limit - 1);
            deepest = d > deepest ? d : deepest;
        }
    else
        json_object_foreach((json_t *)value, key, member)
        {
            int d = json_depth(member, limit - 1);
            deepest = d > deepest ? d : deepest;
        }
    return deepest + 1;
}
