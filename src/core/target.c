#include "core/target.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/map.h"
#include "base/memory.h"
#include "core/monitor.h"
#include "core/url.h"

#define HEADERS_MAX 64
#define HEADER_VALUE_MAX 8192
#define ARGV_MAX 256
#define ARGUMENTS_BYTES_MAX (128 << 10) // all arguments together; Linux allows more
#define ENV_MAX 256
#define ENV_VALUE_MAX (32 << 10)

static const char *const methods[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"};

// What Punctual or the HTTP client sets itself; a name that ends in - stands for all that begin so.
static const char *const reserved_headers[] = {
    "webhook-",       "punctual-",         "idempotency-key", "traceparent", "host",
    "content-length", "transfer-encoding", "connection",      "expect",
};

void pairs_free(struct pair *pairs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(pairs[i].name);
        free(pairs[i].value);
    }
    free(pairs);
}

void target_done(struct target *target)
{
    free(target->http.method);
    free(target->http.url);
    pairs_free(target->http.headers, target->http.header_count);
    free(target->http.body);
    for (char **argument = target->command.argv; argument && *argument; argument++)
        free(*argument);
    free(target->command.argv);
    pairs_free(target->command.env, target->command.env_count);
    free(target->command.cwd);
    free(target->command.stdin_text);
    free(target->queue.name);
    *target = (struct target){0};
}

// --- headers and environments: objects of text, kept sorted ---

struct pair_rules {
    const char *wanted; // after "must be "
    size_t most;
    int64_t value_most;
    const char *(*check_name)(const char *name); // NULL, or what is wrong
    const char *(*check_value)(const char *value);
};

static int by_name(const void *a, const void *b)
{
    const struct pair *p = a, *q = b;
    int order = strcasecmp(p->name, q->name);
    return order ? order : strcmp(p->name, q->name);
}

static void read_pairs(const struct place *at, const json_t *value, const struct pair_rules *rules,
                       struct pair **ret, size_t *ret_count)
{
    if (!decode_is(at, value, JSON_OBJECT, rules->wanted))
        return;
    size_t count = 0, size = json_object_size(value);
    if (size > rules->most) {
        faults_add(at->faults, at->pointer, "must have at most %zu entries, and has %zu",
                   rules->most, size);
        return;
    }
    struct pair *pairs = memory_array(size, sizeof *pairs);
    const char *name;
    json_t *member;
    char pointer[POINTER_MAX];
    json_object_foreach((json_t *)value, name, member)
    {
        struct place below = place_below(at, name, pointer);
        struct pair pair = {memory_text(name), NULL};
        const char *wrong = rules->check_name(name);
        if (wrong)
            faults_add(below.faults, below.pointer, "%s", wrong);
        decode_bytes(
            &below,
            &(struct field){.offset = offsetof(struct pair, value), .most = rules->value_most},
            member, &pair);
        if (pair.value && (wrong = rules->check_value(pair.value)))
            faults_add(below.faults, below.pointer, "%s", wrong);
        pairs[count++] = pair;
    }
    qsort(pairs, count, sizeof *pairs, by_name);
    pairs_free(*ret, *ret_count);
    *ret = pairs;
    *ret_count = count;
}

// RFC 9110, 5.6.2: token.
static bool is_token(const char *text)
{
    for (const char *p = text; *p; p++)
        if ((unsigned char)*p <= 0x20 || (unsigned char)*p >= 0x7F ||
            strchr("\"(),/:;<=>?@[\\]{}", *p))
            return false;
    return *text && strlen(text) <= 200;
}

static const char *check_header_name(const char *name)
{
    return is_token(name)
               ? NULL
               : "is no header name: write letters, digits and any of !#$%&'*+-.^_`|~, at most 200";
}

static const char *check_own_header_name(const char *name)
{
    for (size_t i = 0; i < sizeof reserved_headers / sizeof *reserved_headers; i++) {
        size_t length = strlen(reserved_headers[i]);
        bool whole = reserved_headers[i][length - 1] != '-';
        if (whole ? strcasecmp(name, reserved_headers[i]) == 0
                  : strncasecmp(name, reserved_headers[i], length) == 0)
            return "is set by Punctual itself: take it out";
    }
    return check_header_name(name);
}

// RFC 9110, 5.5: field-value.
static const char *check_header_value(const char *value)
{
    for (const char *p = value; *p; p++)
        if (((unsigned char)*p < 0x20 && *p != '\t') || *p == 0x7F)
            return "must not hold line breaks or other control characters";
    size_t length = strlen(value);
    if (length && (strchr(" \t", value[0]) || strchr(" \t", value[length - 1])))
        return "must not begin or end with a space";
    return NULL;
}

void headers_read(const struct place *at, const json_t *value, bool reserved_too, struct pair **ret,
                  size_t *ret_count)
{
    const struct pair_rules rules = {
        "an object of headers such as {\"X-Team\": \"billing\"}", HEADERS_MAX, HEADER_VALUE_MAX,
        reserved_too ? check_header_name : check_own_header_name, check_header_value};
    read_pairs(at, value, &rules, ret, ret_count);
    for (size_t i = 1; i < *ret_count; i++)
        if (strcasecmp((*ret)[i - 1].name, (*ret)[i].name) == 0) {
            char pointer[POINTER_MAX];
            struct place below = place_below(at, (*ret)[i].name, pointer);
            faults_add(below.faults, below.pointer,
                       "is the same header as \"%.60s\": write it once", (*ret)[i - 1].name);
        }
}

static const char *check_env_name(const char *name)
{
    bool ok = *name && !(*name >= '0' && *name <= '9') && strlen(name) <= 200;
    for (const char *p = name; *p && ok; p++)
        ok = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') ||
             *p == '_';
    if (!ok)
        return "is no variable name: write letters, digits and _, not a digit first";
    return strncmp(name, "PUNCTUAL_", 9) == 0
               ? "is set by Punctual itself: names must not begin with PUNCTUAL_"
               : NULL;
}

static const char *check_env_value(const char *value)
{
    (void)value; // JSON text holds no NUL; anything else may stand in an environment
    return NULL;
}

// --- http ---

static void read_method(const struct place *at, const struct field *field, const json_t *value,
                        void *into)
{
    (void)field;
    struct target *target = into;
    if (!decode_is(at, value, JSON_STRING, "a method such as \"POST\""))
        return;
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        if (strcasecmp(methods[i], json_string_value(value)) == 0) {
            free(target->http.method);
            target->http.method = memory_text(methods[i]);
            return;
        }
    faults_add(at->faults, at->pointer,
               "must be one of GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, not \"%.20s\"",
               json_string_value(value));
}

static void read_url(const struct place *at, const struct field *field, const json_t *value,
                     void *into)
{
    (void)field;
    struct target *target = into;
    char origin[ORIGIN_TEXT], why[160];
    if (!decode_is(at, value, JSON_STRING, "a URL such as \"https://example.com/tasks/nightly\""))
        return;
    if (url_origin(json_string_value(value), origin, why, sizeof why) != STATUS_OK) {
        faults_add(at->faults, at->pointer, "%s", why);
        return;
    }
    free(target->http.url);
    target->http.url = memory_text(json_string_value(value));
}

static void read_headers(const struct place *at, const struct field *field, const json_t *value,
                         void *into)
{
    (void)field;
    struct target *target = into;
    headers_read(at, value, false, &target->http.headers, &target->http.header_count);
}

static const struct field http_fields[] = {
    {"method", read_method},
    {"url", read_url, .required = true},
    {"headers", read_headers},
    {"body", decode_bytes, offsetof(struct target, http.body), .most = TASK_PAYLOAD_MAX},
};

void target_read_http(const struct place *at, const struct field *field, const json_t *value,
                      void *into)
{
    struct target *target = (struct target *)((char *)into + field->offset);
    target->kind = TARGET_HTTP;
    if (json_is_string(value)) {
        faults_add(at->faults, at->pointer, "must be an object: write {\"url\": \"%.200s\"}",
                   json_string_value(value));
        return;
    }
    decode_object(at, http_fields, sizeof http_fields / sizeof *http_fields, value, target);
    if (!target->http.method)
        target->http.method = memory_text("POST");
    if (target->http.body &&
        (strcmp(target->http.method, "GET") == 0 || strcmp(target->http.method, "HEAD") == 0)) {
        char pointer[POINTER_MAX];
        faults_add(at->faults, place_below(at, "body", pointer).pointer,
                   "a %s request carries no body: take it out or use POST", target->http.method);
    }
}

// --- command ---

static void read_argv(const struct place *at, const struct field *field, const json_t *value,
                      void *into)
{
    (void)field;
    struct target *target = into;
    if (!decode_is(at, value, JSON_ARRAY, "a list such as [\"date\", \"-u\"]"))
        return;
    size_t count = json_array_size(value), bytes = 0, i;
    if (count < 1 || count > ARGV_MAX) {
        faults_add(at->faults, at->pointer,
                   "must have 1 to %d items: the program, then its arguments", ARGV_MAX);
        return;
    }
    char **argv = memory_array(count + 1, sizeof *argv);
    char pointer[POINTER_MAX];
    json_t *item;
    json_array_foreach((json_t *)value, i, item)
    {
        struct place below = place_item(at, i, pointer);
        if (decode_is(&below, item, JSON_STRING, "text"))
            bytes += json_string_length(item) + 1;
        argv[i] = memory_text(json_is_string(item) ? json_string_value(item) : "");
    }
    if (json_is_string(json_array_get(value, 0)) && !*argv[0])
        faults_add(at->faults, place_item(at, 0, pointer).pointer,
                   "is empty: name the program to start");
    if (bytes > ARGUMENTS_BYTES_MAX)
        faults_add(at->faults, at->pointer, "must have at most %d bytes in all, and has %zu",
                   ARGUMENTS_BYTES_MAX, bytes);
    target->command.argv = argv;
}

static void read_env(const struct place *at, const struct field *field, const json_t *value,
                     void *into)
{
    (void)field;
    static const struct pair_rules rules = {
        "an object of variables such as {\"LANG\": \"C.UTF-8\"}", ENV_MAX, ENV_VALUE_MAX,
        check_env_name, check_env_value};
    struct target *target = into;
    read_pairs(at, value, &rules, &target->command.env, &target->command.env_count);
}

static void read_cwd(const struct place *at, const struct field *field, const json_t *value,
                     void *into)
{
    if (json_is_string(value) && json_string_value(value)[0] != '/')
        faults_add(at->faults, at->pointer, "must be an absolute path: begin it with /");
    else
        decode_text(at, field, value, into);
}

static const struct field command_fields[] = {
    {"argv", read_argv, .required = true},
    {"env", read_env},
    {"cwd", read_cwd, offsetof(struct target, command.cwd), .least = 1, .most = 4096},
    {"stdin", decode_bytes, offsetof(struct target, command.stdin_text), .most = TASK_PAYLOAD_MAX},
};

void target_read_command(const struct place *at, const struct field *field, const json_t *value,
                         void *into)
{
    struct target *target = (struct target *)((char *)into + field->offset);
    target->kind = TARGET_COMMAND;
    if (json_is_string(value))
        faults_add(at->faults, at->pointer,
                   "must be a list of arguments, [\"date\", \"-u\"]; for a shell write [\"sh\", "
                   "\"-c\", \"%.100s\"]",
                   json_string_value(value));
    else if (json_is_array(value))
        read_argv(at, field, value, target);
    else
        decode_object(at, command_fields, sizeof command_fields / sizeof *command_fields, value,
                      target);
}

// --- queue ---

enum status queue_check_name(const char *name, const char *pointer, struct faults *faults)
{
    struct faults told = {0};
    enum status status = task_check_name(name, "", &told); // the rules are the same
    faults_done(&told);
    if (status != STATUS_OK)
        faults_add(faults, pointer,
                   "\"%.60s\" is no queue name: write 1 to %d of a-z, 0-9, '.', '_' and '-', a "
                   "letter or digit first",
                   name, TASK_NAME_MAX);
    return status;
}

static void read_queue_name(const struct place *at, const struct field *field, const json_t *value,
                            void *into)
{
    (void)field;
    struct target *target = into;
    if (!decode_is(at, value, JSON_STRING, "a name such as \"emails\"") ||
        queue_check_name(json_string_value(value), at->pointer, at->faults) != STATUS_OK)
        return;
    free(target->queue.name);
    target->queue.name = memory_text(json_string_value(value));
}

static const struct field queue_fields[] = {{"name", read_queue_name, .required = true}};

void target_read_queue(const struct place *at, const struct field *field, const json_t *value,
                       void *into)
{
    struct target *target = (struct target *)((char *)into + field->offset);
    target->kind = TARGET_QUEUE;
    if (json_is_string(value))
        faults_add(at->faults, at->pointer, "must be an object: write {\"name\": \"%.100s\"}",
                   json_string_value(value));
    else
        decode_object(at, queue_fields, sizeof queue_fields / sizeof *queue_fields, value, target);
}

// --- canonical text ---

void pairs_write(struct writer *w, const struct pair *pairs, size_t count)
{
    writer_object(w);
    for (size_t i = 0; i < count; i++) {
        member_text(w, pairs[i].name, pairs[i].value); // names were checked: none needs an escape
    }
    writer_end_object(w);
}

static void write_http(struct writer *w, const struct target *target)
{
    writer_object(w);
    if (strcmp(target->http.method, "POST") != 0)
        member_text(w, "method", target->http.method);
    member_text(w, "url", target->http.url);
    if (target->http.header_count) {
        writer_key(w, "headers");
        pairs_write(w, target->http.headers, target->http.header_count);
    }
    if (target->http.body)
        member_text(w, "body", target->http.body);
    writer_end_object(w);
}

static void write_argv(struct writer *w, const struct target *target)
{
    writer_array(w);
    for (char **argument = target->command.argv; *argument; argument++)
        writer_text(w, *argument);
    writer_end_array(w);
}

// The list alone where there is nothing else to say.
static void write_command(struct writer *w, const struct target *target)
{
    if (!target->command.env_count && !target->command.cwd && !target->command.stdin_text) {
        write_argv(w, target);
        return;
    }
    writer_object(w);
    writer_key(w, "argv");
    write_argv(w, target);
    if (target->command.env_count) {
        writer_key(w, "env");
        pairs_write(w, target->command.env, target->command.env_count);
    }
    if (target->command.cwd)
        member_text(w, "cwd", target->command.cwd);
    if (target->command.stdin_text)
        member_text(w, "stdin", target->command.stdin_text);
    writer_end_object(w);
}

static void write_queue(struct writer *w, const struct target *target)
{
    writer_object(w);
    member_text(w, "name", target->queue.name);
    writer_end_object(w);
}

void target_write(struct writer *w, const struct target *target)
{
    static const struct {
        const char *key;
        void (*write)(struct writer *w, const struct target *target);
    } kinds[] = {
        [TARGET_HTTP] = {"http", write_http},
        [TARGET_COMMAND] = {"command", write_command},
        [TARGET_QUEUE] = {"queue", write_queue},
        [TARGET_MONITOR] = {"monitor", monitor_write},
    };
    writer_key(w, kinds[target->kind].key);
    kinds[target->kind].write(w, target);
}

uint64_t queue_lane(const char *name)
{
    return hash_bytes(name, strlen(name)) | LANE_QUEUE;
}

uint64_t target_lane(const struct target *target)
{
    char origin[ORIGIN_TEXT], why[160];
    if (target->kind == TARGET_QUEUE)
        return queue_lane(target->queue.name);
    if (target->kind == TARGET_MONITOR)
        return hash_bytes("monitor", strlen("monitor")) & ~LANE_QUEUE;
    if (target->kind == TARGET_COMMAND ||
        url_origin(target->http.url, origin, why, sizeof why) != STATUS_OK)
        return hash_bytes("command", strlen("command")) & ~LANE_QUEUE;
    return hash_bytes(origin, strlen(origin)) & ~LANE_QUEUE;
}
