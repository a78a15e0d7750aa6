#include "cli/options.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/nearest.h"
#include "cli/text.h"

const struct option_rule options_common[] = {
    {"url", "URL", "the server; else PUNCTUAL_URL, else http://127.0.0.1:8640"},
    {"api-key-file", "FILE", "where the API key is; else PUNCTUAL_API_KEY"},
    {"author", "WHO", "who asks, for the record; else PUNCTUAL_AUTHOR, else user@host"},
    {"json", NULL, "print the API's JSON"},
    {0},
};

static size_t count_rules(const struct option_rule *rules)
{
    size_t count = 0;
    while (rules && rules[count].name)
        count++;
    return count;
}

// The rule at a place of both tables joined; NULL behind the last.
static const struct option_rule *rule_at(const struct option_rule *own, size_t at)
{
    size_t owned = count_rules(own);
    if (at < owned)
        return &own[at];
    return at - owned < count_rules(options_common) ? &options_common[at - owned] : NULL;
}

// The place of a rule by the first `length` bytes of `name`; OPTIONS_MAX where there is none.
static size_t find_rule(const struct option_rule *own, const char *name, size_t length)
{
    const struct option_rule *rule;
    for (size_t i = 0; (rule = rule_at(own, i)); i++)
        if (strlen(rule->name) == length && memcmp(rule->name, name, length) == 0)
            return i;
    return OPTIONS_MAX;
}

static void say_unknown(const struct option_rule *own, const char *given, size_t length, char *why,
                        size_t size)
{
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int)length, given);
    struct nearest nearest = nearest_to(name);
    const struct option_rule *rule;
    for (size_t i = 0; (rule = rule_at(own, i)); i++)
        nearest_try(&nearest, rule->name);
    if (nearest.best)
        snprintf(why, size, "there is no option --%s; did you mean --%s?", name, nearest.best);
    else
        snprintf(why, size, "there is no option --%s", name);
}

// Reads the option at argv[*at] ("--name", "--name=value"), with its value from the next argument
// where it needs one.
static enum status read_option(struct options *o, int argc, char **argv, int *at, char *why,
                               size_t size)
{
    const char *name = argv[*at] + 2, *equals = strchr(name, '=');
    size_t length = equals ? (size_t)(equals - name) : strlen(name);
    size_t place = find_rule(o->own, name, length);
    if (place == OPTIONS_MAX) {
        say_unknown(o->own, name, length, why, size);
        return STATUS_INVALID;
    }
    const struct option_rule *rule = rule_at(o->own, place);
    const char *value = equals ? equals + 1 : NULL;
    if (!rule->value && value) {
        snprintf(why, size, "--%s takes no value", rule->name);
        return STATUS_INVALID;
    }
    if (rule->value && !value) {
        if (*at + 1 == argc) {
            snprintf(why, size, "--%s needs a value: --%s %s", rule->name, rule->name, rule->value);
            return STATUS_INVALID;
        }
        value = argv[++*at];
    }
    if (o->values[place]) {
        snprintf(why, size, "--%s is there twice", rule->name);
        return STATUS_INVALID;
    }
    o->values[place] = rule->value ? value : "";
    return STATUS_OK;
}

// Whether there are as many words as "NAME [FILE]" wants.
static enum status check_words(const struct options *o, const char *words, char *why, size_t size)
{
    size_t most = 0;
    for (const char *p = words; *p; most++) {
        size_t length = strcspn(p, " ");
        if (most >= o->word_count && *p != '[') {
            snprintf(why, size, "%.*s is missing", (int)length, p);
            return STATUS_INVALID;
        }
        p += length;
        p += strspn(p, " ");
    }
    if (o->word_count > most) {
        snprintf(why, size, "\"%s\" is too much", o->words[most]);
        return STATUS_INVALID;
    }
    return STATUS_OK;
}

enum status options_read(struct options *ret, const struct option_rule *own, const char *words,
                         int argc, char **argv, char *why, size_t size)
{
    struct options o = {.own = own};
    assert(count_rules(own) + count_rules(options_common) <= OPTIONS_MAX);
    for (int i = 1; i < argc; i++)
        if (!text_is_utf8(argv[i])) { // everything ends up in JSON or a URL
            snprintf(why, size, "argument %d is not UTF-8", i);
            return STATUS_INVALID;
        }
    bool ended = false;
    for (int i = 1; i < argc; i++) {
        const char *given = argv[i];
        if (!ended && strcmp(given, "--") == 0) {
            ended = true;
        } else if (!ended && strncmp(given, "--", 2) == 0) {
            if (read_option(&o, argc, argv, &i, why, size) != STATUS_OK)
                return STATUS_INVALID;
        } else if (!ended && given[0] == '-' && given[1]) { // "-" alone is standard input
            snprintf(why, size, "there is no option %s; options are whole words, such as --json",
                     given);
            return STATUS_INVALID;
        } else if (o.word_count == OPTIONS_WORDS_MAX) {
            snprintf(why, size, "\"%s\" is too much", given);
            return STATUS_INVALID;
        } else {
            o.words[o.word_count++] = given;
        }
    }
    if (check_words(&o, words, why, size) != STATUS_OK)
        return STATUS_INVALID;
    *ret = o;
    return STATUS_OK;
}

const char *options_text(const struct options *options, const char *name)
{
    size_t place = find_rule(options->own, name, strlen(name));
    assert(place < OPTIONS_MAX);
    return options->values[place];
}

bool options_flag(const struct options *options, const char *name)
{
    return options_text(options, name) != NULL;
}

enum status options_int(const struct options *options, const char *name, int64_t least,
                        int64_t most, int64_t otherwise, int64_t *ret, char *why, size_t size)
{
    const char *text = options_text(options, name);
    if (!text) {
        *ret = otherwise;
        return STATUS_OK;
    }
    char *end;
    errno = 0;
    int64_t n = strtoll(text, &end, 10);
    if (end == text || *end || errno || n < least || n > most) {
        snprintf(why, size, "--%s is a whole number from %" PRId64 " to %" PRId64 ", not \"%s\"",
                 name, least, most, text);
        return STATUS_INVALID;
    }
    *ret = n;
    return STATUS_OK;
}

const char *options_word(const struct options *options, size_t at)
{
    return at < options->word_count ? options->words[at] : NULL;
}
