#include "server/config_fields.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "core/target.h"
#include "core/task.h"
#include "dispatch/signature.h"
#include "server/bytes.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define API_KEY_LEAST 16
#define RANGES_MAX 256
#define SECRETS_MAX 1000
#define QUEUES_MAX 1000

// --- what a configuration holds ---

static void free_secret(struct secret *secret)
{
    free(secret->name);
    free(secret->keys[0]);
    free(secret->keys[1]);
}

// Puts the secret in the place of one with the same name. Takes what `secret` holds.
static void keep_secret(struct config *config, struct secret secret)
{
    for (size_t i = 0; i < config->secret_count; i++) {
        struct secret *kept = &config->secrets[i];
        bool same = kept->name && secret.name ? strcmp(kept->name, secret.name) == 0
                                              : kept->name == secret.name;
        if (same) {
            free_secret(kept);
            *kept = secret;
            return;
        }
    }
    config->secrets =
        memory_resize(config->secrets, config->secret_count + 1, sizeof *config->secrets);
    config->secrets[config->secret_count++] = secret;
}

void config_add_secret(struct config *config, const char *secret)
{
    keep_secret(config, (struct secret){.keys = {memory_text(secret)}});
}

void config_done(struct config *config)
{
    free(config->address);
    free(config->store);
    free(config->apply);
    free(config->api_key);
    free(config->allowed);
    for (size_t i = 0; i < config->secret_count; i++)
        free_secret(&config->secrets[i]);
    free(config->secrets);
    for (size_t i = 0; i < config->queue_count; i++)
        free(config->queues[i].name);
    free(config->queues);
    *config = (struct config){0};
}

// --- reading ---

static bool address_is_loopback(const char *address)
{
    struct in_addr v4;
    struct in6_addr v6;
    if (inet_pton(AF_INET, address, &v4) == 1)
        return ntohl(v4.s_addr) >> 24 == 127;
    return inet_pton(AF_INET6, address, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

// "127.0.0.1:8640", "[::1]:8640", "localhost:8640"; ":8640" is every IPv4 address.
static bool split_address(const char *text, char *address, size_t size, int *ret_port)
{
    const char *colon = strrchr(text, ':');
    unsigned char bytes[16];
    char *end;
    if (!colon || colon[1] < '0' || colon[1] > '9' || strlen(colon) > 6)
        return false;
    long port = strtol(colon + 1, &end, 10);
    if (*end || port > 65535)
        return false;
    *ret_port = (int)port;
    size_t length = (size_t)(colon - text);
    if (length == 0 || (length == 9 && strncmp(text, "localhost", 9) == 0)) {
        snprintf(address, size, "%s", length ? "127.0.0.1" : "0.0.0.0");
        return true;
    }
    bool bracket = text[0] == '[' && text[length - 1] == ']';
    snprintf(address, size, "%.*s", (int)(length - (bracket ? 2 : 0)), text + bracket);
    return inet_pton(bracket ? AF_INET6 : AF_INET, address, bytes) == 1;
}

static void read_listen(const struct place *at, const struct field *field, const json_t *value,
                        void *into)
{
    struct config *config = into;
    char address[80];
    (void)field;
    if (!decode_is(at, value, JSON_STRING, "an address and a port such as \"127.0.0.1:8640\""))
        return;
    if (!split_address(json_string_value(value), address, sizeof address, &config->port)) {
        faults_add(at->faults, at->pointer,
                   "\"%.80s\" is no address with a port: write 127.0.0.1:8640, [::1]:8640, or "
                   ":8640 for every IPv4 "
                   "address",
                   json_string_value(value));
        return;
    }
    free(config->address);
    config->address = memory_text(address);
    config->loopback = address_is_loopback(address);
}

static void read_api_key(const struct place *at, const struct field *field, const json_t *value,
                         void *into)
{
    struct config *config = into;
    const char *key = json_string_value(value);
    (void)field;
    if (!decode_is(at, value, JSON_STRING, "text"))
        return;
    bool printable = true; // it travels in a header
    for (const char *p = key; *p; p++)
        printable &= *p > ' ' && *p <= '~';
    if (!printable || strlen(key) < API_KEY_LEAST || strlen(key) > 512) {
        faults_add(at->faults, at->pointer,
                   "must have 16 to 512 printable ASCII characters without spaces: make one with "
                   "openssl rand -hex 32");
        return;
    }
    free(config->api_key);
    config->api_key = memory_text(key);
}

static void read_target(const struct place *at, const json_t *value, struct config *config)
{
    const char *text = json_string_value(value);
    struct address_range range;
    if (!decode_is(at, value, JSON_STRING,
                   "\"loopback\", \"private\" or a range such as \"10.0.0.0/8\""))
        return;
    if (strcmp(text, "loopback") == 0)
        config->allow_loopback = true;
    else if (strcmp(text, "private") == 0)
        config->allow_private = true;
    else if (address_range_parse(text, &range) == STATUS_OK)
        config->allowed[config->allowed_count++] = range;
    else
        faults_add(at->faults, at->pointer,
                   "\"%.60s\" is no range of addresses: write loopback, private, 10.0.0.0/8, "
                   "fd00::/8 or 192.0.2.7",
                   text);
}

static void read_targets(const struct place *at, const struct field *field, const json_t *value,
                         void *into)
{
    struct config *config = into;
    char pointer[POINTER_MAX];
    (void)field;
    if (!decode_is(at, value, JSON_ARRAY, "a list such as [\"loopback\", \"10.0.0.0/8\"]"))
        return;
    size_t count = json_array_size(value);
    if (count > RANGES_MAX) {
        faults_add(at->faults, at->pointer, "must have at most %d items", RANGES_MAX);
        return;
    }
    free(config->allowed);
    config->allowed = memory_array(count, sizeof *config->allowed);
    config->allowed_count = 0;
    for (size_t i = 0; i < count; i++) {
        struct place below = place_item(at, i, pointer);
        read_target(&below, json_array_get(value, i), config);
    }
}

// One key, checked. NULL with a fault that does not repeat it.
static char *read_key(const struct place *at, const json_t *value)
{
    struct signing_key *key;
    char why[200];
    if (!decode_is(at, value, JSON_STRING,
                   "a secret such as \"whsec_...\", or a list of the new and the old one"))
        return NULL;
    if (signing_key_read(json_string_value(value), &key, why, sizeof why) != STATUS_OK) {
        faults_add(at->faults, at->pointer,
                   "%s; make one with: echo \"whsec_$(openssl rand -base64 32)\"", why);
        return NULL;
    }
    signing_key_free(key);
    return memory_text(json_string_value(value));
}

// "whsec_...", or [new, old] while receivers learn the new one.
static void read_secret(const struct place *at, const char *name, const json_t *value,
                        struct config *config)
{
    struct secret secret = {.name = memory_text(name)};
    size_t count = json_is_array(value) ? json_array_size(value) : 1;
    char pointer[POINTER_MAX];
    if (count < 1 || count > 2) {
        faults_add(at->faults, at->pointer,
                   "must have one or two secrets: the new one, then the old one");
        free_secret(&secret);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        struct place below = json_is_array(value) ? place_item(at, i, pointer) : *at;
        secret.keys[i] = read_key(&below, json_is_array(value) ? json_array_get(value, i) : value);
    }
    keep_secret(config, secret); // half a secret is never used: a fault stops the start
}

static void read_default_secret(const struct place *at, const struct field *field,
                                const json_t *value, void *into)
{
    (void)field;
    read_secret(at, NULL, value, into);
}

static void read_secrets(const struct place *at, const struct field *field, const json_t *value,
                         void *into)
{
    const char *name;
    json_t *member;
    char pointer[POINTER_MAX];
    (void)field;
    if (!decode_is(at, value, JSON_OBJECT, "an object from names to secrets"))
        return;
    if (json_object_size(value) > SECRETS_MAX) {
        faults_add(at->faults, at->pointer, "must have at most %d secrets", SECRETS_MAX);
        return;
    }
    json_object_foreach((json_t *)value, name, member)
    {
        struct place below = place_below(at, name, pointer);
        if (!*name || strlen(name) > 100)
            faults_add(at->faults, below.pointer, "must have a name of 1 to 100 bytes");
        read_secret(&below, name, member, into);
    }
}

// What each limit of history takes.
static const struct history_kind {
    enum status (*parse)(const char *text, size_t length, int64_t *ret);
    const char *example;
} history_age = {duration_parse, "\"90d\""}, history_rows = {NULL, "5000000"},
  history_bytes = {size_parse, "\"10GiB\""};

// "unlimited", or a number or text of its kind.
static void read_history_limit(const struct place *at, const struct field *field,
                               const json_t *value, void *into)
{
    const struct history_kind *kind = field->more;
    const char *text = json_string_value(value);
    int64_t n = -1;
    if (text && strcmp(text, "unlimited") == 0)
        n = 0;
    else if (text && kind->parse && kind->parse(text, strlen(text), &n) != STATUS_OK)
        n = -1;
    else if (json_is_integer(value) && kind->parse != duration_parse)
        n = json_integer_value(value);
    bool unlimited = text && n == 0;
    if (!unlimited && (n < field->least || n > field->most)) {
        faults_add(at->faults, at->pointer, "must be a limit such as %s%s, or \"unlimited\"",
                   kind->example,
                   kind->parse == duration_parse ? ", at least 1s"
                   : kind->parse                 ? ", at least 128MiB"
                                                 : ", at least 1");
        return;
    }
    *(int64_t *)((char *)into + field->offset) = n;
}

static const struct field rate_fields[] = {
    {"limit", decode_int, offsetof(struct rate_rule, limit), 1, RATE_LIMIT_MOST, .required = true},
    {"per", decode_duration, offsetof(struct rate_rule, per_us), 100 * MILLISECOND, DAY,
     .required = true},
};
static const struct field_table rate_table = {rate_fields, COUNT(rate_fields)};

static const struct field queue_fields[] = {
    {"max_running", decode_int, offsetof(struct queue_limit, max_running), 1, 1000000},
    {"rate_limit", decode_fields, offsetof(struct queue_limit, rate), .more = &rate_table},
};

static void read_queues(const struct place *at, const struct field *field, const json_t *value,
                        void *into)
{
    struct config *config = into;
    const char *name;
    json_t *member;
    char pointer[POINTER_MAX];
    (void)field;
    if (!decode_is(at, value, JSON_OBJECT,
                   "an object from names to limits such as {\"emails\": {\"max_running\": 20}}"))
        return;
    if (json_object_size(value) > QUEUES_MAX) {
        faults_add(at->faults, at->pointer, "must have at most %d queues", QUEUES_MAX);
        return;
    }
    config->queues = memory_array(json_object_size(value), sizeof *config->queues);
    json_object_foreach((json_t *)value, name, member)
    {
        struct place below = place_below(at, name, pointer);
        struct queue_limit *limit = &config->queues[config->queue_count++];
        queue_check_name(name, below.pointer, at->faults);
        limit->name = memory_text(name);
        decode_object(&below, queue_fields, COUNT(queue_fields), member, limit);
    }
}

// --- the table ---

static const struct field history_fields[] = {
    {"age", read_history_limit, offsetof(struct history_config, age_us), SECOND, INT64_MAX,
     .more = &history_age},
    {"rows", read_history_limit, offsetof(struct history_config, rows), 1, INT64_MAX,
     .more = &history_rows},
    {"bytes", read_history_limit, offsetof(struct history_config, bytes), 128 << 20, INT64_MAX,
     .more = &history_bytes},
};
static const struct field_table history_table = {history_fields, COUNT(history_fields)};

// true, or the moment where it starts.
static void read_test_clock(const struct place *at, const struct field *field, const json_t *value,
                            void *into)
{
    struct clock_config clock = {.stands = !json_is_false(value), .at = WALL_NONE};
    const char *text = json_string_value(value);
    bool right = json_is_boolean(value) ||
                 (text && wall_parse(text, json_string_length(value), &clock.at) == STATUS_OK);
    if (!right)
        faults_add(at->faults, at->pointer,
                   "must be true, or the moment where it starts with its offset, such as "
                   "\"2026-01-31T09:00:00+01:00\"");
    else
        *(struct clock_config *)((char *)into + field->offset) = clock;
}

static const char *const levels[] = {"debug", "info", "warning", "error",
                                     NULL}; // in the order of enum level

static const struct field breaker_fields[] = {
    {"failures", decode_int, offsetof(struct breaker, failures), 0, 10000},
    {"open_for", decode_duration, offsetof(struct breaker, open_for_us), 100 * MILLISECOND,
     5 * MINUTE},
};
static const struct field_table breaker_table = {breaker_fields, COUNT(breaker_fields)};

static const struct field fields[] = {
    {"listen", read_listen},
    {"store", decode_text, offsetof(struct config, store), 1, 4000},
    {"apply", decode_text, offsetof(struct config, apply), 1, 4000},
    {"api_key", read_api_key, offsetof(struct config, api_key)},
    {"allow_commands", decode_bool, offsetof(struct config, allow_commands)},
    {"allow_targets", read_targets},
    {"signing_secret", read_default_secret},
    {"secrets", read_secrets},
    {"queues", read_queues},
    {"threads", decode_int, offsetof(struct config, threads), 1, THREADS_MAX},
    {"catch_up_per_s", decode_int, offsetof(struct config, catch_up_per_s), 1, 10000},
    {"drain", decode_duration, offsetof(struct config, drain_us), 0, HOUR},
    {"history", decode_fields, offsetof(struct config, history), .more = &history_table},
    {"breaker", decode_fields, offsetof(struct config, breaker), .more = &breaker_table},
    {"log_level", decode_choice, offsetof(struct config, log_level), .more = levels},
    {"test_clock", read_test_clock, offsetof(struct config, clock)},
};

const struct field_table config_fields = {fields, COUNT(fields)};
