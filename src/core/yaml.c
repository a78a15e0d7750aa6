#include "core/yaml.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/buffer.h"
#include "base/memory.h"
#include "core/decode.h"
#include "core/expand.h"
#include "core/yaml_places.h"

#define INPUT_MAX (8 << 20)
#define NODES_MAX 1000000
#define EXPANDED_MAX (32 << 20) // all texts together, with their variables filled in

struct frame {     // a map or a list that is open
    json_t *value; // belongs to the frame around it
    size_t place;
    char *key; // of a map: the key whose value comes next, NULL: a key comes next
    size_t key_place;
    size_t items; // of a list
};

struct reader {
    const char *text;
    size_t size;
    yaml_parser_t parser;
    char *(*environment)(const char *);
    struct faults *faults;
    struct yaml_places *places;
    struct frame frames[JSON_DEPTH_MAX];
    int depth;
    json_t *root;
    size_t nodes, expanded;
    bool stop; // something after which the rest cannot be read
};

// --- faults ---

static void set_place(struct reader *r, size_t before, size_t line, size_t column)
{
    if (r->faults->count == before || before >= FAULT_MAX)
        return;
    r->faults->items[before].line = (int)line + 1;
    r->faults->items[before].column = (int)column + 1;
}

#define FAULT(r, mark, place, ...)                                               \
    do {                                                                         \
        char fault_pointer[POINTER_MAX];                                         \
        size_t fault_before = (r)->faults->count;                                \
        places_pointer((r)->places, place, fault_pointer, sizeof fault_pointer); \
        faults_add((r)->faults, fault_pointer, __VA_ARGS__);                     \
        set_place(r, fault_before, (mark).line, (mark).column);                  \
    } while (0)

// What libyaml says, and what we say instead. `context`: where the trouble began tells more than
// where it showed.
static const struct problem {
    const char *theirs, *ours;
    bool context;
} problems[] = {
    {"mapping values are not allowed in this context",
     "a ':' stands where no key can be: check the indentation, or put the text in quotes", false},
    {"did not find expected key",
     "a key is expected here: indent this line like its neighbours, and put texts that begin with "
     "a quote wholly in "
     "quotes",
     false},
    {"could not find expected ':'", "a key without its ':' (and a space after it)", true},
    {"did not find expected ',' or ']'", "a list that begins here lacks a ',' or its ']'", true},
    {"did not find expected ',' or '}'", "a map that begins here lacks a ',' or its '}'", true},
    {"did not find expected '-' indicator",
     "an item of a list is expected here: begin it with '- '", false},
    {"did not find expected node content", "a value is missing here", false},
    {"found unexpected end of stream", "the quotes that begin here are never closed", true},
    {"found unexpected document indicator", "the quotes that begin here are never closed", true},
    {"found unknown escape character",
     "unknown escape: in double quotes write \\\\ for a backslash, or use single quotes", false},
    {"did not find expected alphabetic or numeric character",
     "a text that begins with * or & stands in quotes, as in \"*/5 * * * *\"", true},
    {"did not find expected comment or line break",
     "behind | or > the text begins on the next line; put a text that begins with one of them in "
     "quotes",
     true},
    {"block sequence entries are not allowed in this context",
     "a '- ' stands where no list can be: check the indentation", false},
    {"found a tab character that violates indentation", "a tab cannot indent: use spaces", false},
    {"found a tab character where an indentation space is expected",
     "a tab cannot indent: use spaces", false},
    {"did not find expected <document start>",
     "the file goes on behind its end: write one map, and check the indentation", false},
};

// The reader of bytes knows only an offset.
static yaml_mark_t mark_at(const struct reader *r, size_t offset)
{
    yaml_mark_t mark = {.index = offset};
    for (size_t i = 0; i < offset && i < r->size; i++)
        if (r->text[i] == '\n') {
            mark.line++;
            mark.column = 0;
        } else if (((unsigned char)r->text[i] & 0xC0) != 0x80) {
            mark.column++;
        }
    return mark;
}

// A byte that begins no value: mostly a tab, @ or `.
static void strange_character(struct reader *r)
{
    yaml_mark_t mark = r->parser.problem_mark;
    yaml_mark_t seen = {0};
    size_t at = 0;
    while (at < r->size && (seen.line < mark.line || seen.column < mark.column)) {
        if (r->text[at] == '\n')
            seen = (yaml_mark_t){.line = seen.line + 1};
        else
            seen.column += ((unsigned char)r->text[at] & 0xC0) != 0x80;
        at++;
    }
    char c = at < r->size ? r->text[at] : ' ';
    if (c == '\t')
        FAULT(r, mark, PLACE_ROOT, "a tab cannot indent: use spaces");
    else
        FAULT(r, mark, PLACE_ROOT, "'%c' cannot begin a text: put the text in quotes", c);
}

static void syntax_fault(struct reader *r)
{
    const yaml_parser_t *p = &r->parser;
    const char *theirs = p->problem ? p->problem : "it cannot be read";
    r->stop = true;
    if (p->error == YAML_READER_ERROR) {
        FAULT(r, mark_at(r, p->problem_offset), PLACE_ROOT,
              "%s: write the file in UTF-8, without control characters", theirs);
        return;
    }
    if (strcmp(theirs, "found character that cannot start any token") == 0) {
        strange_character(r);
        return;
    }
    for (size_t i = 0; i < sizeof problems / sizeof *problems; i++)
        if (strcmp(problems[i].theirs, theirs) == 0) {
            FAULT(r, problems[i].context && p->context ? p->context_mark : p->problem_mark,
                  PLACE_ROOT, "%s", problems[i].ours);
            return;
        }
    FAULT(r, p->problem_mark, PLACE_ROOT, "%s%s%s", p->context ? p->context : "",
          p->context ? ": " : "", theirs);
}

// --- scalars ---

static json_t *named_value(const char *text)
{
    // YAML 1.2.2, 10.3.2: null and booleans of the core schema; yes, no and on are texts.
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL"};
    static const char *const trues[] = {"true", "True", "TRUE"};
    static const char *const falses[] = {"false", "False", "FALSE"};
    for (size_t i = 0; i < sizeof nulls / sizeof *nulls; i++)
        if (strcmp(text, nulls[i]) == 0)
            return json_null();
    for (size_t i = 0; i < 3; i++)
        if (strcmp(text, trues[i]) == 0 || strcmp(text, falses[i]) == 0)
            return json_boolean(strcmp(text, trues[i]) == 0);
    return NULL;
}

// RFC 8259, 6: the numbers of JSON, so that 007, 0x1F and +1 stay the texts that they were meant to
// be.
static bool is_number(const char *text, bool *ret_integer)
{
    const char *digits = "0123456789", *p = text + (*text == '-');
    size_t whole = strspn(p, digits);
    *ret_integer = true;
    if (whole == 0 || (whole > 1 && *p == '0'))
        return false;
    p += whole;
    if (*p == '.') {
        size_t fraction = strspn(++p, digits);
        *ret_integer = false;
        if (fraction == 0)
            return false;
        p += fraction;
    }
    if (*p == 'e' || *p == 'E') {
        p += 1 + (p[1] == '+' || p[1] == '-');
        *ret_integer = false;
        if (strspn(p, digits) == 0)
            return false;
        p += strspn(p, digits);
    }
    return *p == '\0';
}

// NULL, with a fault, where it is beyond what JSON numbers hold here.
static json_t *number_value(struct reader *r, const yaml_event_t *event, size_t place, bool integer)
{
    const char *text = (const char *)event->data.scalar.value;
    errno = 0;
    json_t *value = integer ? json_integer(strtoll(text, NULL, 10)) : json_real(strtod(text, NULL));
    if (value && errno != ERANGE)
        return value;
    json_decref(value);
    FAULT(r, event->start_mark, place,
          "%.40s is too large a number: put it in quotes to keep it as text", text);
    return NULL;
}

static json_t *text_value(struct reader *r, const yaml_event_t *event, size_t place)
{
    struct buffer expanded;
    char why[300];
    json_t *value = NULL;
    buffer_init(&expanded, EXPANDED_MAX - r->expanded);
    if (text_expand((const char *)event->data.scalar.value, r->environment, &expanded, why,
                    sizeof why) != STATUS_OK)
        FAULT(r, event->start_mark, place, "%s", why);
    else if (!(value = json_stringn(buffer_string(&expanded), expanded.size)))
        FAULT(r, event->start_mark, place, "holds a variable whose value is not UTF-8");
    r->expanded += expanded.size;
    buffer_done(&expanded);
    return value;
}

static json_t *scalar_value(struct reader *r, const yaml_event_t *event, size_t place)
{
    const char *text = (const char *)event->data.scalar.value;
    bool integer;
    json_t *value = NULL;
    if (event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE) {
        value = named_value(text);
        if (!value && is_number(text, &integer))
            value = number_value(r, event, place, integer);
        else if (!value)
            value = text_value(r, event, place);
    } else {
        value = text_value(r, event, place);
    }
    return value ? value : json_null(); // a fault was told, and the rest is read for more
}

// --- the tree ---

// What is common to all nodes: no anchor, no tag, not too many. False: leave it.
static bool node_is_plain(struct reader *r, const yaml_event_t *event, const void *anchor,
                          const void *tag)
{
    size_t place = r->depth ? r->frames[r->depth - 1].key_place : PLACE_ROOT;
    if (++r->nodes > NODES_MAX) {
        FAULT(r, event->start_mark, place, "the file has more than %d values", NODES_MAX);
        r->stop = true;
    }
    if (anchor)
        FAULT(r, event->start_mark, place,
              "anchors (&name) are not read: write the value out, or use `defaults`");
    if (tag)
        FAULT(r, event->start_mark, place,
              "tags (!name) are not read: take it out; quotes make a text, and their absence a "
              "number");
    return !r->stop;
}

static void read_key(struct reader *r, struct frame *frame, const yaml_event_t *event)
{
    const char *key = (const char *)event->data.scalar.value;
    yaml_mark_t mark = event->start_mark;
    int line;
    if (strcmp(key, "<<") == 0 && event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE)
        FAULT(r, mark, frame->place,
              "merge keys (<<) are not read: write the fields out, or use `defaults`");
    frame->key_place =
        places_add(r->places, frame->place, key, (int)mark.line + 1, (int)mark.column + 1, &line);
    if (line)
        FAULT(r, mark, frame->key_place,
              "\"%.60s\" is written twice, here and on line %d: keep one of them", key, line);
    frame->key = memory_text(key);
}

// Whether the next node is the key of a map.
static bool key_comes(const struct reader *r)
{
    const struct frame *frame = r->depth ? &r->frames[r->depth - 1] : NULL;
    return frame && json_is_object(frame->value) && !frame->key;
}

// The place of the value that begins here: of the item, of the key read before, or of the root.
static size_t value_place(struct reader *r, const yaml_event_t *event, bool scalar)
{
    size_t place = PLACE_ROOT;
    int line = (int)event->start_mark.line + 1, column = (int)event->start_mark.column + 1, before;
    struct frame *frame = r->depth ? &r->frames[r->depth - 1] : NULL;
    if (frame && json_is_array(frame->value)) {
        char token[24];
        snprintf(token, sizeof token, "%zu", frame->items++);
        place = frame->key_place =
            places_add(r->places, frame->place, token, line, column, &before);
    } else if (frame) {
        place = frame->key_place;
    }
    // A map or list below its key begins on another line: there the key is the better place.
    if (scalar || place == PLACE_ROOT)
        places_set(r->places, place, line, column);
    return place;
}

// Hands `value` over to the map or list that is open.
static void put(struct reader *r, json_t *value)
{
    struct frame *frame = r->depth ? &r->frames[r->depth - 1] : NULL;
    if (!frame) {
        r->root = value;
    } else if (json_is_array(frame->value)) {
        json_array_append_new(frame->value, value);
    } else {
        json_object_set_new(frame->value, frame->key, value);
        free(frame->key);
        frame->key = NULL;
    }
}

static void on_scalar(struct reader *r, const yaml_event_t *event)
{
    const char *text = (const char *)event->data.scalar.value;
    if (!node_is_plain(r, event, event->data.scalar.anchor, event->data.scalar.tag))
        return;
    if (memchr(text, '\0', event->data.scalar.length)) {
        FAULT(r, event->start_mark, PLACE_ROOT, "a text must not hold a NUL (\\0)");
        r->stop = true;
    } else if (key_comes(r)) {
        read_key(r, &r->frames[r->depth - 1], event);
    } else {
        size_t place = value_place(r, event, true);
        put(r, scalar_value(r, event, place));
    }
}

static void open_frame(struct reader *r, const yaml_event_t *event, json_t *value)
{
    if (key_comes(r)) {
        FAULT(r, event->start_mark, r->frames[r->depth - 1].place,
              "a key must be a text, not a map or a list; quote a "
              "value that begins with {");
        r->stop = true;
    } else if (r->depth == JSON_DEPTH_MAX) {
        FAULT(r, event->start_mark, PLACE_ROOT, "must not be nested deeper than %d",
              JSON_DEPTH_MAX);
        r->stop = true;
    }
    if (r->stop) {
        json_decref(value);
        return;
    }
    size_t place = value_place(r, event, false);
    put(r, value);
    r->frames[r->depth++] = (struct frame){.value = value, .place = place, .key_place = place};
}

static void on_map(struct reader *r, const yaml_event_t *event)
{
    if (node_is_plain(r, event, event->data.mapping_start.anchor, event->data.mapping_start.tag))
        open_frame(r, event, json_object());
}

static void on_list(struct reader *r, const yaml_event_t *event)
{
    if (node_is_plain(r, event, event->data.sequence_start.anchor, event->data.sequence_start.tag))
        open_frame(r, event, json_array());
}

static void on_close(struct reader *r, const yaml_event_t *event)
{
    (void)event;
    r->depth--;
}

static void on_alias(struct reader *r, const yaml_event_t *event)
{
    FAULT(r, event->start_mark, r->depth ? r->frames[r->depth - 1].key_place : PLACE_ROOT,
          "aliases (*name) are not read: write the value out, or put it in quotes if it is a text");
    if (key_comes(r))
        r->stop = true;
    else {
        value_place(r, event, true);
        put(r, json_null());
    }
}

static void on_document(struct reader *r, const yaml_event_t *event)
{
    if (!r->root)
        return;
    FAULT(r, event->start_mark, PLACE_ROOT,
          "a second document begins here: a file holds one; take out the ---");
    r->stop = true;
}

static void on_end(struct reader *r, const yaml_event_t *event)
{
    if (!r->root && !r->stop)
        FAULT(r, event->start_mark, PLACE_ROOT, "the file is empty");
    r->stop = true;
}

static void (*const handlers[])(struct reader *, const yaml_event_t *) = {
    [YAML_STREAM_END_EVENT] = on_end,      [YAML_DOCUMENT_START_EVENT] = on_document,
    [YAML_ALIAS_EVENT] = on_alias,         [YAML_SCALAR_EVENT] = on_scalar,
    [YAML_SEQUENCE_START_EVENT] = on_list, [YAML_SEQUENCE_END_EVENT] = on_close,
    [YAML_MAPPING_START_EVENT] = on_map,   [YAML_MAPPING_END_EVENT] = on_close,
};

static void read_events(struct reader *r)
{
    // libyaml takes no NULL, which an empty buffer is.
    yaml_parser_set_input_string(&r->parser, (const unsigned char *)(r->size ? r->text : ""),
                                 r->size);
    while (!r->stop) {
        yaml_event_t event;
        if (!yaml_parser_parse(&r->parser, &event)) {
            syntax_fault(r);
            break;
        }
        if ((size_t)event.type < sizeof handlers / sizeof *handlers && handlers[event.type])
            handlers[event.type](r, &event);
        yaml_event_delete(&event);
    }
    while (r->depth)
        free(r->frames[--r->depth].key);
}

enum status yaml_read(const char *text, size_t size, char *(*environment)(const char *),
                      struct faults *faults, json_t **ret, struct yaml_places **ret_places)
{
    size_t before = faults->count;
    struct reader r = {.text = text,
                       .size = size,
                       .environment = environment,
                       .faults = faults,
                       .places = places_new()};
    if (size > INPUT_MAX)
        faults_add(faults, "", "the file has %zu bytes: at most %d MiB are read", size,
                   INPUT_MAX >> 20);
    else if (!yaml_parser_initialize(&r.parser))
        faults_add(faults, "", "there is no memory to read the file");
    else {
        read_events(&r);
        yaml_parser_delete(&r.parser);
    }
    if (faults->count > before) {
        json_decref(r.root);
        yaml_places_free(r.places);
        return STATUS_INVALID;
    }
    *ret = r.root;
    *ret_places = r.places;
    return STATUS_OK;
}
