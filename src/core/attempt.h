/*
 * attempt - one try at a run: the order to make it, and the report of what came of it
 *
 * The scheduler posts an order; the dispatcher carries it out and posts a report. Nothing else
 * passes between them, but an abort.
 */
#pragma once

#include "base/id.h"
#include "base/mailbox.h"
#include "base/moment.h"
#include "core/task.h"

enum attempt_outcome {
    ATTEMPT_SUCCEEDED,
    ATTEMPT_FAILED,      // answered or exited, and not as it should
    ATTEMPT_TIMED_OUT,   // the receiver may have done the work: unknown
    ATTEMPT_UNREACHABLE, // nothing was sent: no address, refused, TLS failed
    ATTEMPT_BROKEN,      // the connection broke after the request went out: unknown
    ATTEMPT_REFUSED,     // never tried: the target is not allowed, or the command cannot be started
    ATTEMPT_CANCELED,    // stopped on request
    ATTEMPT_LOST,        // the server stopped in the middle, or a lease ran out: unknown
    ATTEMPT_OUTCOME_COUNT
};
const char *attempt_outcome_text(enum attempt_outcome outcome); // "succeeded", "timed_out", ...

enum cache_status { CACHE_UNKNOWN, CACHE_WARM, CACHE_COLD, CACHE_STATUS_COUNT };
const char *cache_status_text(enum cache_status status); // "unknown", "warm", "cold"

// What an attempt leaves behind; also what the store keeps of it. Unknown numbers are -1, texts
// NULL.
struct attempt {
    run_id run;
    int number; // 1, 2, ... without holes
    int64_t fence;
    wall started_at;
    int64_t lateness_us; // started_at minus the instant it was due; never negative
    int64_t response_time_us;
    int64_t dns_us, connect_us, tls_us,
        first_byte_us; // each phase's own length, not the sum up to it
    enum attempt_outcome outcome;
    int status;  // HTTP status or exit code
    char *node;  // which server made it
    char *error; // in words, NULL on success
    enum cache_status cache;
    int64_t db_calls, db_time_us;
    char *response; // the first bytes of what came back, NUL-terminated, may hold any byte
    size_t response_size;
    char *report_fault; // why the PUNCTUAL_REPORT of a command was passed over; NULL: it was not;
                        // not stored
    int64_t retry_after_us; // what the endpoint asked for; not stored
    bool gone;              // the endpoint answered 410; not stored
    bool open;              // answered 202, and a call back will end it: not over yet; not stored
    bool final;             // whoever tried it says that trying again is no use; not stored
    bool explained;         // the endpoint says whether to try again: it is well; not stored
};
void attempt_init(struct attempt *a); // everything unknown
// Sets started_at and, where it is known when it was due, lateness_us.
void attempt_started(struct attempt *a, wall at, wall due_at);
void attempt_done(struct attempt *a);

enum order_kind { ORDER_ATTEMPT, ORDER_ABORT, ORDER_DRAIN };

// From the scheduler to the dispatcher; the dispatcher frees it with order_free.
struct order {
    struct letter letter;
    enum order_kind kind;
    run_id run;
    int number;
    int64_t fence;
    wall due_at;        // do not start before this
    wall scheduled_for; // nominal
    struct task *task;  // a reference of its own
    char *payload;      // JSON text, or NULL: the task's own payload
    size_t payload_size;
    int64_t
        max_wait_us; // ORDER_DRAIN: stop what still runs after this long, then post MESSAGE_DRAINED
};
void order_free(struct order *order);
