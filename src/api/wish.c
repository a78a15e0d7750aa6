#include "api/wish.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "core/decode.h"

// 2200-01-01T00:00:00Z: schedules end there too (OCPS).
static const wall latest = {INT64_C(7258118400) * SECOND};

static void fault_at(struct faults *faults, const char *pointer, const char *field,
                     const char *detail)
{
    char place[POINTER_MAX];
    pointer_join(place, sizeof place, pointer, field);
    faults_add(faults, place, "%s", detail);
}

static void read_payload(const json_t *object, const char *pointer, struct faults *faults,
                         struct wish *wish)
{
    const json_t *payload = json_object_get(object, "payload");
    if (!payload || json_is_null(payload))
        return;
    wish->payload = json_write(payload, &wish->payload_size);
    if (wish->payload_size > TASK_PAYLOAD_MAX)
        fault_at(faults, pointer, "payload", "may have at most 256 KiB as compact JSON");
}

static void read_delay(const json_t *delay, const char *pointer, wall now, struct faults *faults,
                       struct wish *wish)
{
    int64_t us;
    if (!json_is_string(delay) ||
        duration_parse(json_string_value(delay), json_string_length(delay), &us) != STATUS_OK)
        fault_at(faults, pointer, "delay",
                 "must be a duration such as \"90s\", \"1h30m\" or \"PT10M\"");
    else if (us >= latest.us - now.us)
        fault_at(faults, pointer, "delay", "must end before the year 2200");
    else
        wish->due_at = wall_plus(now, us);
}

static void read_run_at(const json_t *run_at, const char *pointer, wall now, struct faults *faults,
                        struct wish *wish)
{
    wall t;
    if (!json_is_string(run_at) ||
        wall_parse(json_string_value(run_at), json_string_length(run_at), &t) != STATUS_OK)
        fault_at(faults, pointer, "run_at",
                 "must be an instant with an offset, such as \"2026-12-24T18:00:00+01:00\"");
    else if (t.us < now.us - WISH_PAST_MOST)
        fault_at(faults, pointer, "run_at", "lies more than a year in the past");
    else if (t.us >= latest.us)
        fault_at(faults, pointer, "run_at", "must be before the year 2200");
    else
        wish->due_at = t;
}

static void read_priority(const json_t *object, const char *pointer, struct faults *faults,
                          struct wish *wish)
{
    const json_t *priority = json_object_get(object, "priority");
    json_int_t n = json_integer_value(priority);
    if (!priority)
        return;
    if (!json_is_integer(priority) || n < 0 || n > PRIORITY_MOST)
        fault_at(faults, pointer, "priority",
                 "must be a whole number from 0 to 9; 9 is the most urgent");
    wish->has_priority = true;
    wish->priority = (int)n;
}

void wish_read_when(json_t *object, const char *pointer, wall now, struct faults *faults,
                    struct wish *wish)
{
    const json_t *delay = json_object_get(object, "delay");
    const json_t *run_at = json_object_get(object, "run_at");
    wish->due_at = WALL_NONE;
    read_payload(object, pointer, faults, wish);
    read_priority(object, pointer, faults, wish);
    if (delay && run_at)
        fault_at(faults, pointer, "delay", "and run_at exclude each other: give one");
    else if (delay)
        read_delay(delay, pointer, now, faults, wish);
    else if (run_at)
        read_run_at(run_at, pointer, now, faults, wish);
    json_object_del(object, "payload");
    json_object_del(object, "priority");
    json_object_del(object, "delay");
    json_object_del(object, "run_at");
}

// Fields of a definition that a single run has no use for.
static const struct {
    const char *field, *detail;
} useless[] = {
    {"schedule", "is not for a single run: use delay or run_at, or define a task with PUT "
                 "/v1/tasks/{name}"},
    {"monitor", "is not for a single run: define a task with PUT /v1/tasks/{name}"},
    {"notify", "is not for a single run: it belongs to a task"},
    {"summary", "is not for a single run: it belongs to a task"},
    {"runbook", "is not for a single run: it belongs to a task"},
    {"max_running", "is not for a single run: it belongs to a task; rate_limit with a key "
                    "holds back single runs"},
    {"overlap", "is not for a single run: it has no others beside it"},
    {"catch_up", "is not for a single run: it has no schedule"},
};

static const char *const useful[] = {
    "task",     "http",       "command",        "queue",      "payload", "delay",
    "run_at",   "priority",   "timeout",        "retry",      "expect",  "deadline",
    "delivery", "completion", "signing_secret", "rate_limit",
};
#define COUNT(array) (sizeof(array) / sizeof *(array))

static bool is_known(const char *name)
{
    bool known = false;
    for (size_t i = 0; i < COUNT(useful); i++)
        known |= strcmp(useful[i], name) == 0;
    for (size_t i = 0; i < COUNT(useless); i++)
        known |= strcmp(useless[i].field, name) == 0;
    return known;
}

static void refuse_unknown(struct request *r, const char *name, const char *pointer)
{
    const char *near = nearest_name(name, useful, COUNT(useful));
    char place[POINTER_MAX];
    struct buffer list;
    buffer_init(&list, 400);
    for (size_t i = 0; i < COUNT(useful); i++)
        buffer_format(&list, "%s%s", i ? ", " : "", useful[i]);
    pointer_join(place, sizeof place, pointer, name);
    faults_add(&r->faults, place, "unknown field \"%.60s\"%s%s%s; known are %s", name,
               near ? ": did you mean \"" : "", near ? near : "", near ? "\"?" : "",
               buffer_string(&list));
    buffer_done(&list);
}

// {"task": "name"} and nothing else.
static void read_named(struct request *r, json_t *object, const json_t *task, const char *pointer,
                       struct wish *wish)
{
    char place[POINTER_MAX];
    pointer_join(place, sizeof place, pointer, "task");
    if (!json_is_string(task))
        faults_add(&r->faults, place, "must be the name of a task");
    else if (task_check_name(json_string_value(task), place, &r->faults) == STATUS_OK)
        wish->task_name = memory_text(json_string_value(task));
    const char *name;
    json_t *value;
    json_object_foreach(object, name, value)
    {
        if (!is_known(name))
            refuse_unknown(r, name, pointer);
        else if (strcmp(name, "task") != 0)
            fault_at(&r->faults, pointer, name,
                     "does not go with \"task\": give payload, priority, delay or run_at beside "
                     "it, or a "
                     "target of its own instead of it");
    }
}

// Takes out what no run can have, so that what is left can be looked at, too.
static void take_unknown(struct request *r, json_t *object, const char *pointer)
{
    const char *name;
    void *next;
    json_t *value;
    json_object_foreach_safe(object, next, name, value)
    {
        if (is_known(name))
            continue;
        refuse_unknown(r, name, pointer);
        json_object_del(object, name);
    }
}

static void refuse_useless(struct request *r, const json_t *object, const char *pointer)
{
    for (size_t i = 0; i < COUNT(useless); i++)
        if (json_object_get(object, useless[i].field))
            fault_at(&r->faults, pointer, useless[i].field, useless[i].detail);
    const json_t *rate_limit = json_object_get(object, "rate_limit");
    if (json_is_object(rate_limit) && !json_object_get(rate_limit, "key"))
        fault_at(&r->faults, pointer, "rate_limit",
                 "needs a key here: a single run has no name that could be one");
}

static void read_target(struct request *r, json_t *object, const char *pointer, struct wish *wish)
{
    size_t size, before = r->faults.count;
    char *text = json_write(object, &size);
    struct desk *desk = service_desk(r->service);
    wish->target = text ? desk_find_target(desk, text, size) : NULL;
    if (!wish->target) {
        take_unknown(r, object, pointer);
        size_t unknown = r->faults.count;
        refuse_useless(r, object, pointer);
        if (json_object_size(object) == 0)
            faults_add(&r->faults, pointer,
                       "must have \"task\" (a name) or a target such as \"http\": {\"url\": ...}");
        else if (r->faults.count == unknown &&
                 task_decode(NULL, object, NULL, pointer, &r->faults, &wish->target) == STATUS_OK &&
                 unknown == before && text) {
            desk_keep_target(desk, text, size, wish->target);
            text = NULL; // the desk's now
        }
    }
    free(text);
}

bool wish_read(struct request *r, json_t *object, const char *pointer, struct wish *wish,
               bool *ret_forbidden)
{
    size_t before = r->faults.count;
    *ret_forbidden = false;
    if (!json_is_object(object)) {
        faults_add(
            &r->faults, pointer,
            "must be an object such as {\"task\": \"nightly\"} or {\"http\": {\"url\": ...}}");
        return false;
    }
    wish_read_when(object, pointer, r->now, &r->faults, wish);
    const json_t *task = json_object_get(object, "task");
    if (task)
        read_named(r, object, task, pointer, wish);
    else
        read_target(r, object, pointer, wish);
    *ret_forbidden = wish->target && wish->target->target.kind == TARGET_COMMAND &&
                     !r->service->options->allow_commands;
    return r->faults.count == before && !*ret_forbidden;
}
