#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "core/monitor.h"
#include "core/notify.h"
#include "core/target.h"
#include "core/task_definition.h"
#include "core/zone_names.h"

#define PAYLOAD_DEPTH_MAX 64
#define EXPECT_POINTERS_MAX 100
#define COUNT(array) (sizeof(array) / sizeof *(array))

const struct task task_plain = {
    .timeout_us = 30 * SECOND,
    .retry = {.max_attempts = ATTEMPTS_PLAIN,
              .backoff = BACKOFF_EXPONENTIAL,
              .initial_us = 5 * SECOND,
              .max_us = 10 * MINUTE},
    .expect = {.status_least = 200, .status_most = 299},
    .priority = PRIORITY_PLAIN,
    .catch_up = {.policy = CATCH_UP_LATEST, .max = 100},
    .notify = {.on = (1u << NOTICE_KIND_COUNT) - 1, .cooldown_us = 15 * MINUTE},
};

// A task being decoded, and what holds for its schedules.
struct draft {
    struct task task; // first: the offsets of its members are the draft's
    char *timezone;
};
_Static_assert(offsetof(struct draft, task) == 0, "rows address a task's members in a draft");

static void read_schedules(const struct place *at, const struct field *field, const json_t *value,
                           void *into);
static void read_payload(const struct place *at, const struct field *field, const json_t *value,
                         void *into);
static void read_status(const struct place *at, const struct field *field, const json_t *value,
                        void *into);
static void read_expected_headers(const struct place *at, const struct field *field,
                                  const json_t *value, void *into);
static void read_expected_json(const struct place *at, const struct field *field,
                               const json_t *value, void *into);
static void read_secret_name(const struct place *at, const struct field *field, const json_t *value,
                             void *into);
static void read_timezone(const struct place *at, const struct field *field, const json_t *value,
                          void *into);

static const char *const backoffs[] = {"exponential", "linear", "fixed", NULL};
static const char *const completions[] = {"response", "callback", NULL};

static const struct field retry_fields[] = {
    {"max_attempts", decode_int, offsetof(struct retry, max_attempts), 1, 100},
    {"backoff", decode_choice, offsetof(struct retry, backoff), .more = backoffs},
    {"initial", decode_duration, offsetof(struct retry, initial_us), MILLISECOND, DAY},
    {"max", decode_duration, offsetof(struct retry, max_us), MILLISECOND, DAY},
};
static const struct field_table retry_table = {retry_fields, COUNT(retry_fields)};

static const struct field expect_fields[] = {
    {"status", read_status},
    {"headers", read_expected_headers},
    {"json", read_expected_json, offsetof(struct expect, json)},
    {"exit_code", decode_int, offsetof(struct expect, exit_code), 0, 255},
    {"max_duration", decode_duration, offsetof(struct expect, max_duration_us), MILLISECOND, DAY},
};
static const struct field_table expect_table = {expect_fields, COUNT(expect_fields)};

static const char *const overlaps[] = {"allow", "skip", "queue", "replace", NULL};
static const char *const deliveries[] = {"at_least_once", "at_most_once", NULL};
static const char *const catch_up_policies[] = {"skip", "latest", "all", NULL};

static const struct field catch_up_fields[] = {
    {"policy", decode_choice, offsetof(struct catch_up, policy), .more = catch_up_policies},
    {"window", decode_duration, offsetof(struct catch_up, window_us), SECOND, 366 * DAY},
    {"max", decode_int, offsetof(struct catch_up, max), 1, CATCH_UP_MAX},
};
static const struct field_table catch_up_table = {catch_up_fields, COUNT(catch_up_fields)};

static const struct field runbook_fields[] = {
    {"owner", decode_text, offsetof(struct runbook, owner), 1, 4000},
    {"expected_input", decode_text, offsetof(struct runbook, expected_input), 1, 4000},
    {"expected_result", decode_text, offsetof(struct runbook, expected_result), 1, 4000},
    {"rollback", decode_text, offsetof(struct runbook, rollback), 1, 4000},
    {"noticed_at", decode_text, offsetof(struct runbook, noticed_at), 1, 4000},
};
static const struct field_table runbook_table = {runbook_fields, COUNT(runbook_fields)};

static const struct field rate_limit_fields[] = {
    {"limit", decode_int, offsetof(struct rate_limit, limit), 1, RATE_LIMIT_MOST, .required = true},
    {"per", decode_duration, offsetof(struct rate_limit, per_us), 100 * MILLISECOND, DAY,
     .required = true},
    {"key", decode_text, offsetof(struct rate_limit, key), 1, RATE_KEY_MAX},
};
static const struct field_table rate_limit_table = {rate_limit_fields, COUNT(rate_limit_fields)};

#define TIMEOUT                                                                         \
    {                                                                                   \
        "timeout", decode_duration, offsetof(struct task, timeout_us), MILLISECOND, DAY \
    }
#define RETRY                                                                      \
    {                                                                              \
        "retry", decode_fields, offsetof(struct task, retry), .more = &retry_table \
    }
#define EXPECT                                                                        \
    {                                                                                 \
        "expect", decode_fields, offsetof(struct task, expect), .more = &expect_table \
    }
#define NOTIFY                                                \
    {                                                         \
        "notify", notify_read, offsetof(struct task, notify), \
    }

#define PRIORITY                                                                  \
    {                                                                             \
        "priority", decode_int, offsetof(struct task, priority), 0, PRIORITY_MOST \
    }
#define MAX_RUNNING                                                                        \
    {                                                                                      \
        "max_running", decode_int, offsetof(struct task, max_running), 1, MAX_RUNNING_MOST \
    }
#define RATE_LIMIT                                                                                \
    {                                                                                             \
        "rate_limit", decode_fields, offsetof(struct task, rate_limit), .more = &rate_limit_table \
    }
#define OVERLAP                                                                    \
    {                                                                              \
        "overlap", decode_choice, offsetof(struct task, overlap), .more = overlaps \
    }
#define CATCH_UP                                                                            \
    {                                                                                       \
        "catch_up", decode_fields, offsetof(struct task, catch_up), .more = &catch_up_table \
    }

static const struct field task_fields[] = {
    {"summary", decode_text, offsetof(struct task, summary), 1, 1000},
    {"schedule", read_schedules},
    {"http", target_read_http, offsetof(struct task, target)},
    {"command", target_read_command, offsetof(struct task, target)},
    {"queue", target_read_queue, offsetof(struct task, target)},
    {"completion", decode_choice, offsetof(struct task, completion), .more = completions},
    {"monitor", monitor_read, offsetof(struct task, target)},
    {"payload", read_payload},
    TIMEOUT,
    RETRY,
    EXPECT,
    OVERLAP,
    CATCH_UP,
    {"deadline", decode_duration, offsetof(struct task, deadline_us), SECOND, 366 * DAY},
    {"delivery", decode_choice, offsetof(struct task, delivery), .more = deliveries},
    {"runbook", decode_fields, offsetof(struct task, runbook), .more = &runbook_table},
    NOTIFY,
    {"signing_secret", read_secret_name, offsetof(struct task, signing_secret), 1, 100},
    PRIORITY,
    MAX_RUNNING,
    RATE_LIMIT,
};

static const struct field defaults_fields[] = {
    {"timezone", read_timezone, offsetof(struct draft, timezone), 1, 100},
    TIMEOUT,
    RETRY,
    EXPECT,
    PRIORITY,
    MAX_RUNNING,
    RATE_LIMIT,
    OVERLAP,
    CATCH_UP,
    NOTIFY,
};

static void draft_init(struct draft *draft)
{
    *draft = (struct draft){.task = task_plain};
    atomic_init(&draft->task.references, 1);
}

static void draft_done(struct draft *draft)
{
    task_clear(&draft->task);
    free(draft->timezone);
}

// --- the whole ---

// "max must not be shorter than initial": at the field that was written here.
static void check_retry(const struct place *at, const json_t *value, const struct retry *retry)
{
    const json_t *written = json_object_get(value, "retry");
    if (retry->max_us >= retry->initial_us || !written)
        return;
    char pointer[POINTER_MAX], initial[DURATION_TEXT], max[DURATION_TEXT];
    struct place below = place_below(at, "retry", pointer);
    below = place_below(&below, json_object_get(written, "max") ? "max" : "initial", pointer);
    duration_format(retry->initial_us, initial);
    duration_format(retry->max_us, max);
    faults_add(at->faults, below.pointer,
               "max (%s) must not be shorter than initial (%s): raise max", max, initial);
}

// False unless there is exactly one target.
static bool check_target(const struct place *at, const json_t *value)
{
    static const char *const targets[] = {"http", "command", "queue", "monitor"};
    const char *first = NULL;
    char pointer[POINTER_MAX];
    bool one = true;
    for (size_t i = 0; i < COUNT(targets); i++) {
        if (!json_object_get(value, targets[i]))
            continue;
        if (first) {
            faults_add(at->faults, place_below(at, targets[i], pointer).pointer,
                       "a task has one target: keep %s or %s, not both", first, targets[i]);
            one = false;
        } else {
            first = targets[i];
        }
    }
    if (!first)
        faults_add(at->faults, at->pointer,
                   "does not say what to do: add http, {\"url\": \"https://...\"}, command, "
                   "[\"program\", \"argument\"], queue, {\"name\": \"emails\"}, or monitor, "
                   "{\"grace\": \"5m\"}");
    return first && one;
}

// What belongs to the other kind of target is a fault where the task itself says it, and is dropped
// where a set's defaults do: they serve tasks of both kinds.
static void check_fit(const struct place *at, const json_t *value, struct task *task)
{
    static const struct {
        const char *part, *name;
        enum target_kind kind;
    } rows[] = {{"expect", "status", TARGET_HTTP},
                {"expect", "headers", TARGET_HTTP},
                {"expect", "exit_code", TARGET_COMMAND},
                {NULL, "signing_secret", TARGET_HTTP},
                {NULL, "completion", TARGET_HTTP}};
    static const char *const kinds[] = {[TARGET_HTTP] = "an http target",
                                        [TARGET_COMMAND] = "a command",
                                        [TARGET_QUEUE] = "a queue"};
    char pointer[POINTER_MAX];
    for (size_t i = 0; i < COUNT(rows); i++) {
        const json_t *part = rows[i].part ? json_object_get(value, rows[i].part) : value;
        if (rows[i].kind == task->target.kind || !json_object_get(part, rows[i].name))
            continue;
        struct place below = rows[i].part ? place_below(at, rows[i].part, pointer) : *at;
        below = place_below(&below, rows[i].name, pointer);
        faults_add(at->faults, below.pointer, "is for %s, and this task has %s: take it out",
                   kinds[rows[i].kind], kinds[task->target.kind]);
    }
    if (task->target.kind != TARGET_COMMAND)
        task->expect.exit_code = task_plain.expect.exit_code;
    if (task->target.kind == TARGET_HTTP)
        return;
    task->expect.status_least = task_plain.expect.status_least;
    task->expect.status_most = task_plain.expect.status_most;
    pairs_free(task->expect.headers, task->expect.header_count);
    task->expect.headers = NULL;
    task->expect.header_count = 0;
}

// How long a worker may take is its lease's matter, unless somebody says more.
static void free_of_timeout(const json_t *value, const json_t *defaults, struct task *task)
{
    if (task->target.kind == TARGET_QUEUE && !json_object_get(value, "timeout") &&
        !json_object_get(defaults, "timeout"))
        task->timeout_us = 0;
}

// The payload and a text of the target's own would go to the same place.
static void check_payload(const struct place *at, const struct task *task)
{
    const char *own = task->target.http.body            ? "http.body"
                      : task->target.command.stdin_text ? "command.stdin"
                                                        : NULL;
    char pointer[POINTER_MAX];
    if (task->payload && own)
        faults_add(at->faults, place_below(at, "payload", pointer).pointer,
                   "is sent in the place of %s: keep one of the two", own);
}

// Writes the definition, and makes of the draft a task of its own.
static struct task *draft_take(struct draft *draft, const char *name, const struct place *at)
{
    struct buffer definition;
    buffer_init(&definition, TASK_DEFINITION_MAX);
    task_encode(&draft->task, &definition);
    if (definition.overflow) {
        faults_add(at->faults, at->pointer, "must have at most %d KiB in all",
                   TASK_DEFINITION_MAX >> 10);
        buffer_done(&definition);
        return NULL;
    }
    struct task *task = memory_new(sizeof *task);
    *task = draft->task;
    draft->task = (struct task){0};
    task->definition = buffer_take(&definition, &task->definition_size);
    task->name = memory_text(name);
    task->lane = target_lane(&task->target);
    return task;
}

enum status task_decode(const char *name, const json_t *value, const json_t *defaults,
                        const char *pointer, struct faults *faults, struct task **ret)
{
    struct place at = {pointer, faults};
    struct draft draft;
    struct task *task = NULL;
    size_t before = faults->count;
    draft_init(&draft);
    if (name)
        task_check_name(name, pointer, faults);
    if (defaults) {
        struct faults told = {0}; // whoever gave the defaults checked them (task_check_defaults)
        decode_object(&(struct place){"", &told}, defaults_fields, COUNT(defaults_fields), defaults,
                      &draft);
        faults_done(&told);
    }
    if (decode_object(&at, task_fields, COUNT(task_fields), value, &draft)) {
        check_retry(&at, value, &draft.task.retry);
        bool has_target = check_target(&at, value);
        if (has_target && draft.task.target.kind == TARGET_MONITOR)
            monitor_check(&at, value, &draft.task);
        else if (has_target)
            check_fit(&at, value, &draft.task);
        notify_check(&at, value, &draft.task.notify);
        check_payload(&at, &draft.task);
        free_of_timeout(value, defaults, &draft.task);
    }
    if (faults->count == before)
        task = draft_take(&draft, name, &at);
    draft_done(&draft);
    if (!task)
        return STATUS_INVALID;
    *ret = task;
    return STATUS_OK;
}

enum status task_decode_text(const char *name, const char *definition, size_t size,
                             struct task **ret)
{
    struct faults faults = {0};
    struct json_place place;
    json_t *value;
    enum status status = json_read(definition, size, &value, &place);
    if (status == STATUS_OK) {
        status = task_decode(name, value, NULL, "", &faults, ret);
        json_decref(value);
    }
    faults_done(&faults);
    return status;
}

void task_check_defaults(const struct place *at, const json_t *defaults)
{
    struct draft draft;
    draft_init(&draft);
    if (decode_object(at, defaults_fields, COUNT(defaults_fields), defaults, &draft))
        check_retry(at, defaults, &draft.task.retry);
    draft_done(&draft);
}

// --- the fields ---

static void read_schedule(const struct place *at, const json_t *value, struct draft *draft)
{
    struct task *task = &draft->task;
    if (json_is_string(value)) {
        faults_add(at->faults, at->pointer,
                   "must be an object: write {\"cron\": \"%.60s\"}, or every or at",
                   json_string_value(value));
        return;
    }
    if (schedule_decode(value, at->pointer, draft->timezone, at->faults,
                        &task->schedules[task->schedule_count]) == STATUS_OK)
        task->schedule_count++;
}

static void read_schedules(const struct place *at, const struct field *field, const json_t *value,
                           void *into)
{
    (void)field;
    struct draft *draft = into;
    size_t count = json_is_array(value) ? json_array_size(value) : 1;
    if (count < 1 || count > TASK_SCHEDULES_MAX) {
        faults_add(at->faults, at->pointer,
                   "must have 1 to %d schedules; a task without any leaves the field out",
                   TASK_SCHEDULES_MAX);
        return;
    }
    draft->task.schedules = memory_array(count, sizeof *draft->task.schedules);
    if (!json_is_array(value)) {
        read_schedule(at, value, draft);
        return;
    }
    char pointer[POINTER_MAX];
    for (size_t i = 0; i < count; i++) {
        struct place below = place_item(at, i, pointer);
        read_schedule(&below, json_array_get(value, i), draft);
    }
}

// Kept as it was written, only compact: its bytes are what the receiver gets. null is "no payload".
static void read_payload(const struct place *at, const struct field *field, const json_t *value,
                         void *into)
{
    (void)field;
    struct task *task = into;
    if (json_is_null(value))
        return;
    if (json_depth(value, PAYLOAD_DEPTH_MAX + 1) > PAYLOAD_DEPTH_MAX) {
        faults_add(at->faults, at->pointer, "must not be nested deeper than %d", PAYLOAD_DEPTH_MAX);
        return;
    }
    task->payload = json_write(value, &task->payload_size);
    if (task->payload_size > TASK_PAYLOAD_MAX)
        faults_add(at->faults, at->pointer,
                   "must have at most %d KiB as compact JSON, and has %zu bytes",
                   TASK_PAYLOAD_MAX >> 10, task->payload_size);
}

// 204, or a class such as "2xx".
static void read_status(const struct place *at, const struct field *field, const json_t *value,
                        void *into)
{
    (void)field;
    struct expect *expect = into;
    const char *text = json_string_value(value);
    json_int_t n = json_integer_value(value);
    if (text && text[0] >= '1' && text[0] <= '5' && strcmp(text + 1, "xx") == 0) {
        expect->status_least = (text[0] - '0') * 100;
        expect->status_most = expect->status_least + 99;
    } else if (json_is_integer(value) && n >= 100 && n <= 599) {
        expect->status_least = expect->status_most = (int)n;
    } else {
        faults_add(at->faults, at->pointer,
                   "must be a number from 100 to 599, or a class of them such as \"2xx\"");
    }
}

static void read_expected_headers(const struct place *at, const struct field *field,
                                  const json_t *value, void *into)
{
    (void)field;
    struct expect *expect = into;
    headers_read(at, value, true, &expect->headers, &expect->header_count);
}

// RFC 6901, 3.
static bool is_pointer(const char *text)
{
    if (*text && *text != '/')
        return false;
    for (const char *p = text; *p; p++)
        if (*p == '~' && p[1] != '0' && p[1] != '1')
            return false;
    return true;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

// The same value with the keys of all its objects sorted: their order means nothing to a
// comparison. New reference.
static json_t *sorted(const json_t *value)
{
    json_t *copy, *member;
    size_t i, count = 0;
    const char *key;
    if (json_is_array(value)) {
        copy = json_array();
        json_array_foreach((json_t *)value, i, member) json_array_append_new(copy, sorted(member));
        return copy;
    }
    if (!json_is_object(value))
        return json_deep_copy(value);
    const char **keys = memory_array(json_object_size(value), sizeof *keys);
    json_object_foreach((json_t *)value, key, member) keys[count++] = key;
    qsort(keys, count, sizeof *keys, by_text);
    copy = json_object();
    for (i = 0; i < count; i++)
        json_object_set_new(copy, keys[i], sorted(json_object_get(value, keys[i])));
    free(keys);
    return copy;
}

static void read_expected_json(const struct place *at, const struct field *field,
                               const json_t *value, void *into)
{
    struct expect *expect = into;
    (void)field;
    if (!decode_is(at, value, JSON_OBJECT,
                   "an object from JSON pointers to values such as {\"/ok\": true}"))
        return;
    if (json_object_size(value) > EXPECT_POINTERS_MAX ||
        json_depth(value, PAYLOAD_DEPTH_MAX + 1) > PAYLOAD_DEPTH_MAX) {
        faults_add(at->faults, at->pointer,
                   "must have at most %d pointers, and values nested at most %d deep",
                   EXPECT_POINTERS_MAX, PAYLOAD_DEPTH_MAX);
        return;
    }
    const char *key;
    json_t *member;
    char pointer[POINTER_MAX];
    json_object_foreach((json_t *)value, key, member)
    {
        if (!is_pointer(key))
            faults_add(at->faults, place_below(at, key, pointer).pointer,
                       "\"%.60s\" is no JSON pointer: begin it with /, as in \"/%.60s\", and write "
                       "~0 for ~",
                       key, key);
    }
    json_decref(expect->json);
    expect->json = json_object_size(value) ? sorted(value) : NULL;
}

static void read_secret_name(const struct place *at, const struct field *field, const json_t *value,
                             void *into)
{
    const char *text = json_string_value(value);
    bool is_secret = text && (strncmp(text, "whsec_", 6) == 0 || strncmp(text, "whsk_", 5) == 0);
    if (is_secret) // not repeated in the answer, nor kept
        faults_add(at->faults, at->pointer,
                   "is a secret itself: put it into the server's configuration under `secrets`, "
                   "and its name here");
    else
        decode_text(at, field, value, into);
}

static void read_timezone(const struct place *at, const struct field *field, const json_t *value,
                          void *into)
{
    const struct zone *zone;
    const char *name = json_string_value(value);
    const char *near = name && zone_find(name, &zone) != STATUS_OK ? zone_near(name) : NULL;
    if (name && near)
        faults_add(at->faults, at->pointer, "\"%.60s\" is no time zone: did you mean %s?", name,
                   near);
    else if (name && zone_find(name, &zone) != STATUS_OK)
        faults_add(at->faults, at->pointer,
                   "\"%.60s\" is no time zone: write a name such as Europe/Berlin or UTC", name);
    else
        decode_text(at, field, value, into);
}
