/*
 * problem - the server's refusals in words
 *
 * RFC 9457 documents with the extension `errors: [{pointer, detail, line, column}]`. Not for
 * answers that are no problem document: those get a line that says so.
 */
#pragma once

#include "base/json.h"
#include "cli/leave.h"
#include "cli/screen.h"
#include "core/fault.h"

// What an HTTP status means for the exit code. 2xx is LEAVE_OK.
enum leave problem_leave(int status);

// "punctual: title (status): detail" and a line for each error. `file` (may be NULL) is the file
// that the faults are places in: "punctual.yaml:3:9: ...". `problem` may be NULL.
void problem_show(struct screen *to, int status, const json_t *problem, const char *file);
// The faults alone, one a line.
void problem_show_faults(struct screen *to, const struct faults *faults, const char *file);
// The problem's `errors` as faults. Beyond FAULT_MAX only the count grows.
void problem_faults(const json_t *problem, struct faults *ret);

// A problem document as the server's, of faults that were found before it was asked. json_decref
// it.
json_t *problem_of_file(const char *detail, const struct faults *faults);
// Puts these in the place of the problem's `errors`.
void problem_put_faults(json_t *problem, const struct faults *faults);
