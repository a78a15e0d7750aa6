#include "server/config.h"

#include <unistd.h>

#include "base/buffer.h"
#include "base/memory.h"
#include "dispatch/signature.h"
#include "test.h"

#define KEY "0123456789abcdef"

static const char *const variables[] = {"PUNCTUAL_LISTEN", "PUNCTUAL_STORE", "PUNCTUAL_API_KEY",
                                        "PUNCTUAL_SIGNING_SECRET"};

// Parses "--listen x --store y" (words between single spaces) with the environment "NAME=value" or
// "".
static enum status parse(const char *line, const char *variable, struct config *config,
                         struct faults *faults)
{
    char *argv[20] = {(char *)"serve"}, *words = memory_text(line), *rest = words, *word;
    int argc = 1;
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
        unsetenv(variables[i]);
    if (*variable) {
        char *pair = memory_text(variable), *value = strchr(pair, '=');
        *value = '\0';
        setenv(pair, value + 1, 1);
        free(pair);
    }
    while ((word = strsep(&rest, " ")))
        if (*word)
            argv[argc++] = word;
    enum status status = config_parse(argc, argv, config, faults);
    if (status == STATUS_OK) // what is kept must not point into argv
        memset(words, 'x', strlen(line));
    free(words);
    return status;
}

// A file with `text`, for --config. Removed by forget().
static char path[] = "/tmp/punctual-config-XXXXXX";

static void write_file(const char *text)
{
    memcpy(path + sizeof path - 7, "XXXXXX", 6);
    int fd = mkstemp(path);
    CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
}

static enum status parse_file(const char *text, struct config *config, struct faults *faults)
{
    char line[100];
    write_file(text);
    snprintf(line, sizeof line, "--config %s", path);
    enum status status = parse(line, "", config, faults);
    unlink(path);
    return status;
}

TEST(without_a_word_the_server_keeps_to_this_machine)
{
    struct faults faults = {0};
    struct config config;
    CHECK_INT(STATUS_OK, parse("", "", &config, &faults));
    CHECK_TEXT("127.0.0.1", config.address);
    CHECK_INT(8640, config.port);
    CHECK_TEXT("punctual.db", config.store);
    CHECK(config.loopback && config.allow_loopback && !config.allow_private &&
          !config.allow_commands);
    CHECK(!config.apply && !config.api_key && config.secret_count == 0 &&
          config.allowed_count == 0);
    CHECK(config.threads >= 1);
    CHECK_INT(30 * SECOND, config.drain_us);
    CHECK_INT(10, config.breaker.failures);
    CHECK_INT(30 * SECOND, config.breaker.open_for_us);
    CHECK_INT(100, config.catch_up_per_s);
    CHECK_INT(LEVEL_INFO, config.log_level);
    config_done(&config);
}

TEST(an_address_is_read_in_its_usual_forms)
{
    static const struct row {
        const char *text, *address;
        int port;
        bool loopback;
    } rows[] = {
        {"127.0.0.1:9000", "127.0.0.1", 9000, true}, {"127.1.2.3:1", "127.1.2.3", 1, true},
        {"localhost:8640", "127.0.0.1", 8640, true}, {"[::1]:0", "::1", 0, true},
        {":8640", "0.0.0.0", 8640, false},           {"0.0.0.0:80", "0.0.0.0", 80, false},
        {"[::]:65535", "::", 65535, false},          {"192.0.2.7:80", "192.0.2.7", 80, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct faults faults = {0};
        struct config config;
        char line[100];
        test_row = rows[i].text;
        snprintf(line, sizeof line, "--listen=%s", rows[i].text);
        CHECK_INT(STATUS_OK, parse(line, "PUNCTUAL_API_KEY=" KEY, &config, &faults));
        CHECK_TEXT(rows[i].address, config.address);
        CHECK_INT(rows[i].port, config.port);
        CHECK_INT(rows[i].loopback, config.loopback);
        CHECK_INT(rows[i].loopback, config.allow_loopback);
        config_done(&config);
    }
}

TEST(options_win_over_the_environment_and_that_over_the_file)
{
    struct faults faults = {0};
    struct config config;
    char line[200];
    write_file(
        "listen: 127.0.0.1:1\nstore: file.db\napi_key: file-0123456789abcdef\napply: a.yaml\n");
    snprintf(line, sizeof line, "--config %s --listen 127.0.0.1:3 --allow-commands", path);
    CHECK_INT(STATUS_OK, parse(line, "PUNCTUAL_LISTEN=127.0.0.1:2", &config, &faults));
    CHECK_INT(3, config.port);
    CHECK_TEXT("file.db", config.store);
    CHECK_TEXT("a.yaml", config.apply);
    CHECK(config.allow_commands);
    config_done(&config);
    snprintf(line, sizeof line, "--config=%s", path);
    CHECK_INT(STATUS_OK, parse(line, "PUNCTUAL_STORE=env.db", &config, &faults));
    CHECK_INT(1, config.port);
    CHECK_TEXT("env.db", config.store);
    CHECK_TEXT("file-0123456789abcdef", config.api_key);
    config_done(&config);
    unlink(path);
}

TEST(a_test_clock_starts_where_it_is_told_or_stands_alone)
{
    static const struct row {
        const char *line;
        bool stands;
        int64_t at_us;
    } rows[] = {
        {"", false, INT64_MIN},
        {"--test-clock", true, INT64_MIN},
        {"--test-clock --listen 127.0.0.1:1", true, INT64_MIN},
        {"--test-clock=1970-01-01T01:00:01+01:00", true, SECOND},
        {"--test-clock=1970-01-01T00:00:01Z --listen [::1]:1", true, SECOND},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct faults faults = {0};
        struct config config;
        test_row = rows[i].line;
        CHECK_INT(STATUS_OK, parse(rows[i].line, "", &config, &faults));
        CHECK_INT(rows[i].stands, config.clock.stands);
        CHECK_INT(rows[i].at_us, config.clock.at.us);
        config_done(&config);
    }
}

TEST(a_file_says_everything)
{
    struct faults faults = {0};
    struct config config;
    struct buffer text;
    char *first = signing_secret_new(), *second = signing_secret_new(),
         *third = signing_secret_new();
    buffer_init(&text, 4096);
    buffer_format(&text,
                  "listen: \"[::]:8640\"\n"
                  "api_key: " KEY "\n"
                  "allow_commands: true\n"
                  "allow_targets: [loopback, private, 192.0.2.0/24, fd00::/8]\n"
                  "signing_secret: [%s, %s]\n"
                  "secrets: {billing: %s}\n"
                  "queues: {emails: {max_running: 20}, other: {rate_limit: {limit: 5, per: 2s}}}\n"
                  "threads: 3\ncatch_up_per_s: 7\ndrain: 1m\nbreaker: {failures: 5, open_for: "
                  "1m}\nlog_level: debug\n",
                  first, second, third);
    enum status status = parse_file(buffer_string(&text), &config, &faults);
    if (status != STATUS_OK)
        TEST_FAIL("%s: %s", faults.items[0].pointer, faults.items[0].detail);
    CHECK(config.allow_commands && config.allow_loopback && config.allow_private &&
          !config.loopback);
    CHECK_INT(2, config.allowed_count);
    CHECK_INT(3, config.threads);
    CHECK_INT(MINUTE, config.drain_us);
    CHECK_INT(5, config.breaker.failures);
    CHECK_INT(MINUTE, config.breaker.open_for_us);
    CHECK_INT(7, config.catch_up_per_s);
    CHECK_INT(LEVEL_DEBUG, config.log_level);
    CHECK_INT(2, config.secret_count);
    CHECK(!config.secrets[0].name);
    CHECK_TEXT(first, config.secrets[0].keys[0]);
    CHECK_TEXT(second, config.secrets[0].keys[1]);
    CHECK_TEXT("billing", config.secrets[1].name);
    CHECK_TEXT(third, config.secrets[1].keys[0]);
    CHECK(!config.secrets[1].keys[1]);
    CHECK_INT(2, config.queue_count);
    CHECK_TEXT("emails", config.queues[0].name);
    CHECK_INT(20, config.queues[0].max_running);
    CHECK_INT(0, config.queues[0].rate.limit);
    CHECK_INT(0, config.queues[1].max_running);
    CHECK_INT(5, config.queues[1].rate.limit);
    CHECK_INT(2 * SECOND, config.queues[1].rate.per_us);
    config_add_secret(&config, third);
    CHECK_INT(2, config.secret_count);
    CHECK_TEXT(third, config.secrets[0].keys[0]);
    config_done(&config);
    buffer_done(&text);
    free(first);
    free(second);
    free(third);
}

TEST(a_wrong_option_or_variable_is_named_with_what_would_be_right)
{
    static const struct row {
        const char *line, *variable, *pointer, *word;
    } rows[] = {
        {"--lisen x", "", "--lisen", "did you mean --listen?"},
        {"--listen", "", "--listen", "--listen ADDRESS:PORT"},
        {"--listen 8640", "", "--listen", "127.0.0.1:8640"},
        {"--listen 127.0.0.1", "", "--listen", "127.0.0.1:8640"},
        {"--listen ::1:8640", "", "--listen", "[::1]:8640"},
        {"--listen example.com:80", "", "--listen", "[::1]:8640"},
        {"--listen 127.0.0.1:65536", "", "--listen", "no address with a port"},
        {"--listen 127.0.0.1:-1", "", "--listen", "no address with a port"},
        {"--listen=]:1", "", "--listen", "no address with a port"},
        {"--store=", "", "--store", "is empty"},
        {"--allow-commands=no", "", "--allow-commands", "takes no value"},
        {"--test-clock=", "", "--test-clock", "2026-01-31T09:00:00+01:00"},
        {"--test-clock=now", "", "--test-clock", "2026-01-31T09:00:00+01:00"},
        {"--test-clock 2026-01-31T09:00:00Z", "", "2026-01-31T09:00:00Z", "takes only options"},
        {"--test-clock --listen :1", "PUNCTUAL_API_KEY=" KEY, "test_clock", "127.0.0.1:1"},
        {"tasks.yaml", "", "tasks.yaml", "takes only options"},
        {"--config /nonexistent/x.yaml", "", "--config", "No such file"},
        {"--config /", "", "--config", "cannot read /"},
        {"--listen 0.0.0.0:8640", "", "api_key", "PUNCTUAL_API_KEY=$(openssl rand -hex 32)"},
        {"", "PUNCTUAL_LISTEN=:8640", "api_key", "0.0.0.0"},
        {"", "PUNCTUAL_LISTEN=x", "PUNCTUAL_LISTEN", "127.0.0.1:8640"},
        {"", "PUNCTUAL_API_KEY=short", "PUNCTUAL_API_KEY", "openssl rand -hex 32"},
        {"", "PUNCTUAL_API_KEY=0123456789 abcdef", "PUNCTUAL_API_KEY", "without spaces"},
        {"", "PUNCTUAL_SIGNING_SECRET=x", "PUNCTUAL_SIGNING_SECRET", "openssl rand -base64 32"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct faults faults = {0};
        struct config config;
        test_row = *rows[i].line ? rows[i].line : rows[i].variable;
        CHECK_INT(STATUS_INVALID, parse(rows[i].line, rows[i].variable, &config, &faults));
        CHECK_TEXT(rows[i].pointer, faults.items[0].pointer);
        CHECK_HAS(rows[i].word, faults.items[0].detail);
        faults_done(&faults);
    }
}

TEST(a_mistake_in_the_file_is_named_with_line_and_column)
{
    static const struct row {
        const char *text, *place, *word;
    } rows[] = {
        {"listen: 127.0.0.1:1\nlisten_on: x\n", ":2:12: /listen_on",
         "unknown field \"listen_on\": did you mean \"listen\"?"},
        {"a: b: c\n", ":1:5", "':'"},
        {"[]\n", ":1:1", "must be an object with the fields listen, store"},
        {"threads: 0\n", ":1:10: /threads", "from 1 to 64"},
        {"breaker: {failures: -1}\n", ":1:21: /breaker/failures", "from 0 to 10000"},
        {"breaker: {open_for: 6m}\n", ":1:21: /breaker/open_for", "from 100ms to 5m"},
        {"drain: 30\n", ":1:8: /drain", "with its unit"},
        {"log_level: loud\n", ":1:12: /log_level", "debug, info, warning or error"},
        {"allow_commands: \"yes\"\n", ":1:17: /allow_commands", "true or false"},
        {"test_clock: 1\n", ":1:13: /test_clock", "true, or the moment"},
        {"allow_targets: private\n", ":1:16: /allow_targets", "a list"},
        {"allow_targets: [all]\n", ":1:17: /allow_targets/0", "no range"},
        {"allow_targets:\n  - 10.0.0.0/99\n", ":2:5: /allow_targets/0", "no range"},
        {"signing_secret: whsec_short\n", ":1:17: /signing_secret", "openssl"},
        {"signing_secret: []\n", ":1:1: /signing_secret", "one or two"},
        {"queues: [emails]\n", ":1:1: /queues", "{\"emails\": {\"max_running\": 20}}"},
        {"queues: {Emails: {}}\n", ":1:10: /queues/Emails", "no queue name"},
        {"queues: {emails: {max_running: 0}}\n", ":1:32: /queues/emails/max_running", "from 1 to"},
        {"queues: {emails: {most: 1}}\n", ":1:25: /queues/emails/most", "max_running"},
        {"queues: {emails: {rate_limit: {limit: 0, per: 1s}}}\n",
         ":1:39: /queues/emails/rate_limit/limit", "from 1 to 10000"},
        {"queues: {emails: {rate_limit: {limit: 5, per: 2d}}}\n",
         ":1:47: /queues/emails/rate_limit/per", "from 100ms to 1d"},
        {"queues: {emails: {rate_limit: {limit: 5}}}\n", ":1:19: /queues/emails/rate_limit",
         "\"per\" is missing"},
        {"queues: {emails: {rate_limit: {limit: 5, per: 1s, key: all}}}\n",
         ":1:56: /queues/emails/rate_limit/key", "unknown field"},
        {"secrets: {a: {b: c}}\n", ":1:11: /secrets/a", "must be a secret"},
        {"api_key: ${NOT_SET_ANYWHERE}\n", ":1:10: /api_key", "is not set"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct faults faults = {0};
        struct config config;
        test_row = rows[i].text;
        CHECK_INT(STATUS_INVALID, parse_file(rows[i].text, &config, &faults));
        CHECK_HAS(path, faults.items[0].pointer);
        CHECK_TEXT(rows[i].place, faults.items[0].pointer + strlen(path));
        CHECK_HAS(rows[i].word, faults.items[0].detail);
        CHECK_INT(1, faults.count);
        faults_done(&faults);
    }
}

TEST(who_asks_for_help_gets_nothing_else)
{
    struct faults faults = {0};
    struct config config;
    CHECK_INT(STATUS_END, parse("--help --config /nonexistent", "", &config, &faults));
    CHECK_INT(STATUS_END, parse("-h", "", &config, &faults));
    CHECK_INT(0, faults.count);
    CHECK_HAS("--listen ADDRESS:PORT", config_help);
}

TEST(no_fault_repeats_a_secret)
{
    struct faults faults = {0};
    struct config config;
    CHECK_INT(STATUS_INVALID, parse("", "PUNCTUAL_API_KEY=sesame", &config, &faults));
    CHECK_INT(STATUS_INVALID, parse("", "PUNCTUAL_SIGNING_SECRET=whsec_sesame", &config, &faults));
    CHECK_INT(2, faults.count);
    for (size_t i = 0; i < faults.count; i++)
        CHECK(!strstr(faults.items[i].detail, "sesame"));
    faults_done(&faults);
}

TESTS_MAIN
