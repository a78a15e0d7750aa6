/*
 * status - the one way to fail
 *
 * Every function that can fail because of the world returns one of these; results come back through
 * the last parameters, written only on STATUS_OK. Our own bugs are asserts, never a status.
 *
 * Used everywhere, on any thread.
 */
#pragma once

enum status {
    STATUS_OK,
    STATUS_INVALID,     // what was asked makes no sense; the faults beside it say where and why
    STATUS_FORBIDDEN,   // understood, and not allowed by the server's configuration
    STATUS_NOT_FOUND,   // no such task, run, revision, file
    STATUS_CONFLICT,    // exists already, or is in a state that does not allow it
    STATUS_STALE,       // the caller looked at an older revision or fence
    STATUS_MISMATCH,    // the same idempotency key came with another request
    STATUS_TOO_LARGE,   // beyond a stated limit
    STATUS_UNAVAILABLE, // not now: the server is stopping, overloaded or fenced off from its store
    STATUS_FAILED,      // the world failed: disk, network, system call
    STATUS_END,         // nothing further; not an error
    STATUS_COUNT
};

// A lower-case word such as "not found"; never NULL.
const char *status_text(enum status status);
