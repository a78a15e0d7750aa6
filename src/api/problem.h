/*
 * problem - what went wrong, as RFC 9457 problem+json
 *
 * One table gives each kind its HTTP code, title and type. The first kinds are those of enum
 * status, one to one; the others only exist over HTTP. Knows no connection: it writes into a
 * buffer.
 */
#pragma once

#include "base/buffer.h"
#include "base/status.h"
#include "core/fault.h"

#define PROBLEM_TYPE "application/problem+json"

enum problem {
    PROBLEM_NONE, // all is well
    PROBLEM_INVALID,
    PROBLEM_UNAUTHORIZED,
    PROBLEM_FORBIDDEN,
    PROBLEM_NOT_FOUND,
    PROBLEM_METHOD,
    PROBLEM_CONFLICT,
    PROBLEM_STALE,
    PROBLEM_TOO_LARGE,
    PROBLEM_MEDIA,
    PROBLEM_MISMATCH,
    PROBLEM_FAILED,
    PROBLEM_UNAVAILABLE,
    PROBLEM_COUNT
};

enum problem problem_of_status(enum status status);
int problem_code(enum problem problem);
// The word behind "/docs#problem-" in `type`.
const char *problem_word(enum problem problem);

// Writes the whole object. `instance` is the path asked for. `faults` may be NULL or empty: no
// `errors` then. A fault whose pointer begins with '?' is about the query parameter of that name.
void problem_write(struct buffer *to, enum problem problem, const char *detail,
                   const char *instance, const struct faults *faults);
