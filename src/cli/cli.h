/*
 * cli - the command line
 *
 * One table of commands (cli.c), one file per command. Finds the command, prints help, suggests
 * what may have been meant. Each command is a client of the HTTP API, except `next`, `version` and
 * those of the roof, which gives them as a table of its own, since the server stands above the
 * command line.
 *
 * Used by server/main.c.
 */
#pragma once

#include <stddef.h>

#include "cli/leave.h"
#include "cli/options.h"

struct command {
    const char *name;
    const char *usage;                 // what follows "punctual", e.g. "run ID [--json]"
    const char *summary;               // one line, without a full stop
    int (*run)(int argc, char **argv); // argv[0] is the command's name; gives the exit code

    // For `punctual help NAME`; each may be NULL. Where all are, the command shows its own help: it
    // gets --help.
    const struct option_rule *options; // the command's own; the common ones are listed below them
    const char *about;                 // what the summary has no room for
    const char *examples;              // whole lines, each ended by a newline
};

// Runs what the arguments name and gives the exit code. `more` holds the roof's commands (may be
// NULL when count is 0).
int cli_main(int argc, char **argv, const struct command *more, size_t count);
