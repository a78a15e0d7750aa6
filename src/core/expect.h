/*
 * expect - whether a response is what the task expects
 *
 * A response that misses has failed, whatever its status code. Plain calculation over what came
 * back.
 */
#pragma once

#include "core/task.h"

struct response_header {
    const char *name, *value; // as received
};

struct response {
    int status; // HTTP status or exit code
    const struct response_header *headers;
    size_t header_count;
    const char *body;
    size_t body_size;
    bool body_cut;  // longer than what was kept
    bool explained; // the receiver says itself what is to become of a failure
    int64_t duration_us;
};

// True when met. Otherwise `why` (size bytes) says what was expected and what came, in words; of a
// status that the receiver has explained, what it says of it (core/detail.h).
bool expect_met(const struct expect *expect, enum target_kind kind, const struct response *response,
                char *why, size_t size);
