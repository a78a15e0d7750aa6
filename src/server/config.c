#include "server/config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/memory.h"
#include "core/yaml.h"
#include "server/config_fields.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define FILE_MAX (1 << 20)

const char config_help[] =
    "punctual serve - run the server\n"
    "\n"
    "  --listen ADDRESS:PORT  where to listen (127.0.0.1:8640); beyond loopback an API key is "
    "needed\n"
    "  --store PATH           the database file (punctual.db)\n"
    "  --apply FILE           apply the tasks of this YAML file at the start; a mistake in it "
    "stops the start\n"
    "  --config FILE          read the server's configuration from this YAML file\n"
    "  --allow-commands       let tasks run commands on this machine\n"
    "  --test-clock[=MOMENT]  for tests: a clock that stands still, at MOMENT such as\n"
    "                         2026-01-31T09:00:00+01:00, until POST /v1/test/clock moves it\n"
    "  --help                 show this\n"
    "\n"
    "Environment, stronger than the file and weaker than the options:\n"
    "  PUNCTUAL_LISTEN, PUNCTUAL_STORE   as --listen and --store\n"
    "  PUNCTUAL_API_KEY                  the key that clients must send, at least 16 characters\n"
    "  PUNCTUAL_SIGNING_SECRET           the default secret that signs deliveries, whsec_... or "
    "whsk_...\n"
    "\n"
    "SIGTERM stops it in order: nothing new is taken, and what runs may finish.\n";

enum option {
    OPTION_LISTEN,
    OPTION_STORE,
    OPTION_APPLY,
    OPTION_CONFIG,
    OPTION_ALLOW_COMMANDS,
    OPTION_TEST_CLOCK,
    OPTION_HELP,
    OPTION_COUNT
};

static const struct {
    const char *name;
    const char *field; // NULL: not a field
    const char *value; // what it takes, for messages; NULL: nothing
    bool optional;     // it stands alone, too
} options[OPTION_COUNT] = {
    [OPTION_LISTEN] = {"--listen", "listen", "ADDRESS:PORT"},
    [OPTION_STORE] = {"--store", "store", "PATH"},
    [OPTION_APPLY] = {"--apply", "apply", "FILE"},
    [OPTION_CONFIG] = {"--config", NULL, "FILE"},
    [OPTION_ALLOW_COMMANDS] = {"--allow-commands", "allow_commands", NULL},
    [OPTION_TEST_CLOCK] = {"--test-clock", "test_clock", "MOMENT", .optional = true},
    [OPTION_HELP] = {"--help", NULL, NULL},
};

static const struct {
    const char *name, *field;
} variables[] = {
    {"PUNCTUAL_LISTEN", "listen"},
    {"PUNCTUAL_STORE", "store"},
    {"PUNCTUAL_API_KEY", "api_key"},
    {"PUNCTUAL_SIGNING_SECRET", "signing_secret"},
};

// --- the whole ---

static const char alone[] = ""; // the value of an option that has none

struct arguments { // the last value of each option
    const char *values[OPTION_COUNT];
};

static void read_arguments(int argc, char **argv, struct faults *faults, struct arguments *ret);
static void read_file(const char *path, struct faults *faults, struct config *config);
static void check_together(struct config *config, struct faults *faults);

static int usual_threads(void)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    return cores <= 2 ? 1 : cores / 2 > THREADS_MAX ? THREADS_MAX : (int)(cores / 2);
}

// `text` NULL stands for `true`.
static void set_field(struct config *config, struct faults *faults, const char *source,
                      const char *name, const char *text)
{
    json_t *value = text ? json_string(text) : json_true();
    if (!value)
        faults_add(faults, source, "must be UTF-8");
    for (size_t i = 0; i < config_fields.count && value; i++) {
        const struct field *field = &config_fields.fields[i];
        if (strcmp(field->name, name) == 0)
            field->read(&(struct place){source, faults}, field, value, config);
    }
    json_decref(value);
}

enum status config_parse(int argc, char **argv, struct config *ret, struct faults *faults)
{
    struct config config = {
        .address = memory_text("127.0.0.1"),
        .port = 8640,
        .loopback = true,
        .store = memory_text("punctual.db"),
        .threads = usual_threads(),
        .catch_up_per_s = 100,
        .drain_us = 30 * SECOND,
        .breaker = {.failures = 10, .open_for_us = 30 * SECOND},
        .history = {.age_us = 90 * DAY, .rows = 5000000, .bytes = INT64_C(10) << 30},
        .log_level = LEVEL_INFO,
        .clock = {.at = WALL_NONE}};
    struct arguments arguments = {0};
    size_t before = faults->count;
    read_arguments(argc, argv, faults, &arguments);
    bool help = arguments.values[OPTION_HELP];
    if (arguments.values[OPTION_CONFIG] && !help)
        read_file(arguments.values[OPTION_CONFIG], faults, &config);
    for (size_t i = 0; i < COUNT(variables); i++) {
        const char *value = getenv(variables[i].name);
        if (value && *value)
            set_field(&config, faults, variables[i].name, variables[i].field, value);
    }
    for (size_t i = 0; i < OPTION_COUNT; i++)
        if (options[i].field && arguments.values[i])
            set_field(&config, faults, options[i].name, options[i].field,
                      arguments.values[i] == alone ? NULL : arguments.values[i]);
    if (faults->count == before)
        check_together(&config, faults);
    if (help || faults->count > before) {
        config_done(&config);
        return help ? STATUS_END : STATUS_INVALID;
    }
    *ret = config;
    return STATUS_OK;
}

static void check_together(struct config *config, struct faults *faults)
{
    config->allow_loopback |= config->loopback;
    if (!config->loopback && !config->api_key)
        faults_add(faults, "api_key",
                   "listening on %s, which others can reach, needs an API key: start with "
                   "PUNCTUAL_API_KEY=$(openssl rand -hex 32), or listen on 127.0.0.1:%d",
                   config->address, config->port);
    if (!config->loopback && config->clock.stands)
        faults_add(
            faults, "test_clock",
            "whoever reaches %s could let time pass: with a test clock listen on 127.0.0.1:%d",
            config->address, config->port);
}

// --- the command line ---

static void unknown_option(const char *argument, struct faults *faults)
{
    const char *names[OPTION_COUNT];
    for (size_t i = 0; i < OPTION_COUNT; i++)
        names[i] = options[i].name;
    const char *near = nearest_name(argument, names, OPTION_COUNT);
    if (argument[0] != '-')
        faults_add(
            faults, argument,
            "is not understood: `punctual serve` takes only options, see punctual serve --help");
    else
        faults_add(faults, argument, "unknown option%s%s%s: see punctual serve --help",
                   near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
}

// --name VALUE and --name=VALUE. Returns how many arguments were used.
static int read_argument(int argc, char **argv, struct faults *faults, struct arguments *ret)
{
    size_t length = strcspn(argv[0], "=");
    const char *value = argv[0][length] ? argv[0] + length + 1 : NULL;
    size_t at = 0;
    while (at < OPTION_COUNT &&
           (strlen(options[at].name) != length || strncmp(options[at].name, argv[0], length) != 0))
        at++;
    if (at == OPTION_COUNT && strcmp(argv[0], "-h") != 0) {
        unknown_option(argv[0], faults);
        return 1;
    }
    if (at == OPTION_COUNT)
        at = OPTION_HELP;
    if (!options[at].value) {
        if (value)
            faults_add(faults, options[at].name, "takes no value");
        ret->values[at] = alone;
        return 1;
    }
    if (!value && options[at].optional) {
        ret->values[at] = alone;
        return 1;
    }
    if (!value && argc < 2) {
        faults_add(faults, options[at].name, "needs a value: %s %s", options[at].name,
                   options[at].value);
        return 1;
    }
    ret->values[at] = value ? value : argv[1];
    return value ? 1 : 2;
}

static void read_arguments(int argc, char **argv, struct faults *faults, struct arguments *ret)
{
    for (int i = 1; i < argc;)
        i += read_argument(argc - i, argv + i, faults, ret);
}

// --- the file ---

static bool read_text(const char *path, struct faults *faults, struct buffer *ret)
{
    FILE *file = fopen(path, "re");
    char chunk[4096];
    size_t size;
    if (!file) {
        faults_add(faults, "--config", "cannot read %s: %s", path, strerror(errno));
        return false;
    }
    while ((size = fread(chunk, 1, sizeof chunk, file)) > 0 && !ret->overflow)
        buffer_add(ret, chunk, size);
    bool whole = !ferror(file) && !ret->overflow;
    if (!whole)
        faults_add(faults, "--config", "cannot read %s: %s", path,
                   ret->overflow ? "it is larger than 1 MiB" : strerror(errno));
    fclose(file);
    return whole;
}

// Moves the faults of a file over, their pointers led by file, line and column.
static void tell_faults(const char *path, const struct faults *found, struct faults *faults)
{
    for (size_t i = 0; i < faults_kept(found); i++) {
        const struct fault *fault = &found->items[i];
        struct buffer where;
        buffer_init(&where, 8192);
        buffer_format(&where, "%s:%d:%d%s%s", path, fault->line, fault->column,
                      *fault->pointer ? ": " : "", fault->pointer);
        faults_add(faults, buffer_string(&where), "%s", fault->detail);
        buffer_done(&where);
    }
    faults->count += found->count - faults_kept(found);
}

static void read_file(const char *path, struct faults *faults, struct config *config)
{
    struct buffer text;
    struct faults found = {0};
    json_t *value;
    struct yaml_places *places;
    buffer_init(&text, FILE_MAX);
    if (read_text(path, faults, &text) &&
        yaml_read(buffer_string(&text), text.size, getenv, &found, &value, &places) == STATUS_OK) {
        decode_object(&(struct place){"", &found}, config_fields.fields, config_fields.count, value,
                      config);
        yaml_place_faults(places, &found);
        yaml_places_free(places);
        json_decref(value);
    }
    tell_faults(path, &found, faults);
    faults_done(&found);
    buffer_done(&text);
}
