#include <stdio.h>
#include <string.h>

#include "core/decode.h"
#include "core/task.h"

// What a field means where a definition leaves it out, so that a difference shows what really held:
// {"before": "1m", "after": "30s"} rather than null. `always`: also where the object around it is
// left out as well.
static const struct plain {
    const char *within, *field; // the pointer is both, in a list with the item's number between
    const char *json;
    bool always;
} plains[] = {
    {"", "/timeout", "\"30s\"", true},
    {"", "/priority", "5", true},
    {"/retry", "/max_attempts", "3", true},
    {"/retry", "/backoff", "\"exponential\"", true},
    {"/retry", "/initial", "\"5s\"", true},
    {"/retry", "/max", "\"10m\"", true},
    {"/expect", "/status", "\"2xx\"", true},
    {"/expect", "/exit_code", "0", true},
    {"", "/overlap", "\"allow\"", true},
    {"/catch_up", "/policy", "\"latest\"", true},
    {"/catch_up", "/max", "100", true},
    {"", "/delivery", "\"at_least_once\"", true},
    {"/schedule", "/timezone", "\"UTC\"", false},
    {"/schedule", "/dst_gap", "\"run\"", false},
    {"/schedule", "/dst_overlap", "\"first\"", false},
    {"/http", "/method", "\"POST\"", false},
    {"/notify", "/cooldown", "\"15m\"", false},
    {"/monitor", "/grace", "\"5m\"", false},
    {"/monitor", "/max_duration", "\"1d\"", false},
};

// Whether `pointer` is within + field, perhaps with the place in a list between them.
static bool is_plain(const struct plain *plain, const char *pointer)
{
    size_t whole = strlen(pointer), head = strlen(plain->within), tail = strlen(plain->field);
    if (whole < head + tail || strncmp(pointer, plain->within, head) != 0 ||
        strcmp(pointer + whole - tail, plain->field) != 0)
        return false;
    const char *between = pointer + head;
    size_t size = whole - head - tail;
    return size == 0 || (between[0] == '/' && strspn(between + 1, "0123456789") == size - 1);
}

// New reference.
static json_t *plain_value(const char *pointer, bool parent)
{
    for (size_t i = 0; i < sizeof plains / sizeof *plains; i++)
        if (is_plain(&plains[i], pointer) && (parent || plains[i].always))
            return json_loads(plains[i].json, JSON_DECODE_ANY, NULL);
    return json_null();
}

static void add_leaf(json_t *changes, const char *pointer, const json_t *before,
                     const json_t *after, bool had_parent, bool has_parent)
{
    json_t *change = json_object();
    json_object_set_new(change, "field", json_string(pointer));
    json_object_set_new(change, "before",
                        before ? json_deep_copy(before) : plain_value(pointer, had_parent));
    json_object_set_new(change, "after",
                        after ? json_deep_copy(after) : plain_value(pointer, has_parent));
    json_array_append_new(changes, change);
}

static bool has_members(const json_t *value)
{
    return json_object_size(value) > 0 || json_array_size(value) > 0;
}

static void compare(json_t *changes, const char *pointer, const json_t *before, const json_t *after,
                    bool had_parent, bool has_parent);

static void compare_objects(json_t *changes, const char *pointer, const json_t *before,
                            const json_t *after)
{
    char below[POINTER_MAX];
    const char *key;
    json_t *member;
    json_object_foreach((json_t *)before, key, member)
    {
        pointer_join(below, sizeof below, pointer, key);
        compare(changes, below, member, json_object_get(after, key), before != NULL, after != NULL);
    }
    json_object_foreach((json_t *)after, key, member)
    {
        if (json_object_get(before, key))
            continue;
        pointer_join(below, sizeof below, pointer, key);
        compare(changes, below, NULL, member, before != NULL, after != NULL);
    }
}

static void compare_lists(json_t *changes, const char *pointer, const json_t *before,
                          const json_t *after)
{
    char below[POINTER_MAX], token[24];
    size_t a = json_array_size(before), b = json_array_size(after);
    for (size_t i = 0; i < a || i < b; i++) {
        snprintf(token, sizeof token, "%zu", i);
        pointer_join(below, sizeof below, pointer, token);
        compare(changes, below, json_array_get(before, i), json_array_get(after, i), false, false);
    }
}

// Either side may be NULL: not there. Goes down while both sides, or the only side, have members of
// the same kind.
static void compare(json_t *changes, const char *pointer, const json_t *before, const json_t *after,
                    bool had_parent, bool has_parent)
{
    const json_t *one = before ? before : after;
    if (before && after && json_equal(before, after))
        return;
    if (has_members(one) && json_is_object(one) &&
        (!before || !after || (json_is_object(after) && has_members(after))))
        compare_objects(changes, pointer, before, after);
    else if (has_members(one) && json_is_array(one) &&
             (!before || !after || (json_is_array(after) && has_members(after))))
        compare_lists(changes, pointer, before, after);
    else
        add_leaf(changes, pointer, before, after, had_parent, has_parent);
}

json_t *task_diff(const struct task *before, const struct task *after)
{
    json_t *changes = json_array();
    struct json_place place;
    json_t *a, *b;
    if (json_read(before->definition, before->definition_size, &a, &place) != STATUS_OK)
        return changes; // never: we wrote it
    if (json_read(after->definition, after->definition_size, &b, &place) == STATUS_OK) {
        compare_objects(changes, "", a, b);
        json_decref(b);
    }
    json_decref(a);
    return changes;
}
