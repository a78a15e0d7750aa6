/*
 * environment - the variables of a command
 *
 * Small and clean: what Punctual says, then the task's own, then PATH, HOME, LANG and TZ of the
 * server. The first to set a name wins.
 *
 * Used by command.c.
 */
#pragma once

#include "dispatch/effort.h"

struct environment {
    char **lines; // "NAME=value", NULL-terminated
    size_t count, capacity;
};

// report_path: the file for PUNCTUAL_REPORT.
void environment_init(struct environment *environment, const struct effort *effort,
                      const char *server_url, const char *report_path);
void environment_done(struct environment *environment);
