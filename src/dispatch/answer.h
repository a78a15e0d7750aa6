/*
 * answer - what comes back from an endpoint, as it arrives
 *
 * Looks at each header line (and trailer), keeps what the report and `expect` need, and the first
 * bytes of the body. Bounded: beyond its limits it says stop, and why.
 *
 * Used by webhook.c.
 */
#pragma once

#include "dispatch/effort.h"

#define ANSWER_HEADER_MAX (64 << 10)
#define ANSWER_BODY_MAX (1 << 20)

struct answer {
    struct attempt *attempt; // where it leaves what it finds
    const struct expect *expect;
    struct capture body;
    size_t header_size;     // of all header lines, interim responses and trailers too
    bool has_header;        // the empty line behind the header of the (last) response came
    int64_t content_length; // -1: not said
    struct buffer headers;  // "name\0value\0" of those that `expect` asks for
    size_t header_count;
    struct buffer cache_status; // its lines, joined (RFC 9110, 5.3)
    bool enough;                // the body is longer than is read: the rest was not waited for
    const char *stop;           // why no more of it was taken, in words; NULL: it was not stopped
};

void answer_init(struct answer *answer);
void answer_done(struct answer *answer);

void answer_begin(struct answer *answer, struct attempt *attempt, const struct expect *expect,
                  size_t body_limit);
// False: stop reading.
bool answer_header(struct answer *answer, const char *line, size_t size);
bool answer_body(struct answer *answer, const char *bytes, size_t size);
// All of it is there: what had to wait for the end.
void answer_end(struct answer *answer);
// Whether `expect` is met goes into the effort, which ends with it.
void answer_judge(struct answer *answer, struct efforts *efforts, struct effort *effort);
