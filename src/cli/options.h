/*
 * options - reads a command's arguments by a table
 *
 * `--name value`, `--name=value`, flags, words; `--` ends the options. Every command also knows the
 * common ones. What it does not know is an error that suggests. Values are the caller's argv:
 * nothing is copied.
 *
 *     static const struct option_rule rules[] = {
 *         {"limit", "N", "at most so many"},
 *         {"wait", NULL, "until it is over"},
 *         {0},
 *     };
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct option_rule {
    const char *name;  // without the dashes; NULL ends the table
    const char *value; // what stands for the value in the help; NULL: a flag
    const char *help;
};

#define OPTIONS_MAX 24
#define OPTIONS_WORDS_MAX 8

struct options {
    const struct option_rule *own;
    const char *values[OPTIONS_MAX]; // the own first, then the common; a flag that was given is ""
    const char *words[OPTIONS_WORDS_MAX];
    size_t word_count;
};

// --url, --api-key-file, --author, --json: ended by {0}.
extern const struct option_rule options_common[];

// argv[0] is the command and is passed over. `words` names the words it takes: "NAME", "ID",
// "[FILE]" (may be left out), "". STATUS_INVALID: `why` (size bytes) says what is wrong and what
// may have been meant.
enum status options_read(struct options *ret, const struct option_rule *own, const char *words,
                         int argc, char **argv, char *why, size_t size);

// The name must be in the table. NULL where it was not given.
const char *options_text(const struct options *options, const char *name);
bool options_flag(const struct options *options, const char *name);
// A whole number in [least, most]; `otherwise` where it was not given.
enum status options_int(const struct options *options, const char *name, int64_t least,
                        int64_t most, int64_t otherwise, int64_t *ret, char *why, size_t size);
// The word at a place; NULL where it was left out.
const char *options_word(const struct options *options, size_t at);
