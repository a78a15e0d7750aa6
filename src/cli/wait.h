/*
 * wait - follows a run to its end
 */
#pragma once

#include "cli/session.h"

// Asks for the run until its state is final; says on standard error what happens meanwhile, and
// bears a server that is away for a while. On LEAVE_OK *ret is the run (the caller's); LEAVE_OK
// does not mean that the run succeeded.
enum leave wait_for_run(struct session *s, const char *id, json_t **ret);
// LEAVE_OK when the run succeeded, else LEAVE_NO.
enum leave wait_verdict(const json_t *run);
// Shows a fresh run; where --wait was given, its end. For `trigger` and `retry`. Takes the answer's
// JSON over.
enum leave wait_or_show(struct session *s, json_t *run);
