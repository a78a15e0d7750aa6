/*
 * plan - a file of tasks, sent to the server, and what that makes or would make of them
 *
 * What `apply` and `diff` share. The file is read here and not by the server, so that ${NAME} comes
 * from the caller's environment; faults that the server finds are shown with the file's line and
 * column.
 */
#pragma once

#include "cli/session.h"

#define PLAN_FILE "punctual.yaml" // where none is named

struct plan {
    bool dry_run, prune;
    const char *note; // NULL: none
};

// The file named by the first word. On LEAVE_OK the answer is shown, and *ret (the caller's) is the
// server's plan. LEAVE_NO: the file or a definition in it is wrong.
enum leave plan_send(struct session *s, const struct plan *plan, json_t **ret);
// How many tasks are created, changed or removed.
int64_t plan_differences(const json_t *answer);
