/*
 * task - what is to be done and how it must behave
 *
 * The decoded, validated form of the object that users write in JSON or YAML (design, 5). Immutable
 * once made, shared by reference between threads. `definition` is its canonical JSON: two
 * definitions that mean the same have the same text, so comparing texts tells whether an edit
 * changes anything.
 *
 * One decoder serves PUT, PATCH, apply, YAML files and the inline targets of POST /v1/runs.
 */
#pragma once

#include <stdatomic.h>

#include "base/json.h"
#include "base/moment.h"
#include "core/fault.h"
#include "core/schedule.h"

#define TASK_NAME_MAX 100 // [a-z0-9][a-z0-9._-]*
#define TASK_SCHEDULES_MAX 16
#define CATCH_UP_MAX 10000
#define TASK_PAYLOAD_MAX (256 << 10)
#define TASK_DEFINITION_MAX (512 << 10)

enum target_kind {
    TARGET_HTTP,
    TARGET_COMMAND,
    TARGET_QUEUE,   // workers take the runs
    TARGET_MONITOR, // nothing is started: a job that runs elsewhere checks in
};

// The bit of a lane's number that tells a queue from an endpoint.
#define LANE_QUEUE (UINT64_C(1) << 63)

struct pair { // a header, or an environment variable
    char *name, *value;
};

struct target {
    enum target_kind kind;
    struct {
        char *method; // upper case; POST where not said
        char *url;    // http or https, absolute
        struct pair *headers;
        size_t header_count;
        char *body; // sent instead of the payload; NULL: the payload
    } http;
    struct {
        char **argv; // NULL-terminated, at least one
        struct pair *env;
        size_t env_count;
        char *cwd;        // NULL: the server's
        char *stdin_text; // NULL: the payload, if any
    } command;
    struct {
        char *name; // as a task's; workers take the runs
    } queue;
    struct {
        int64_t grace_us;        // how long after an occurrence its check-in may come; 5m
        int64_t max_duration_us; // how long after its start its end may come; 24h
    } monitor;
};

// What ends an attempt over HTTP: the response, or a call back after a 202.
enum completion { COMPLETION_RESPONSE, COMPLETION_CALLBACK };

enum backoff { BACKOFF_EXPONENTIAL, BACKOFF_LINEAR, BACKOFF_FIXED };

#define ATTEMPTS_PLAIN 3

struct retry {
    int max_attempts;     // 1..100; ATTEMPTS_PLAIN where not said
    enum backoff backoff; // exponential where not said
    int64_t initial_us;   // 5s where not said
    int64_t max_us;       // 10m where not said
};

// What becomes of a run whose time comes while another one of the task is live: running, or between
// two attempts.
enum overlap {
    OVERLAP_ALLOW,   // it runs beside it
    OVERLAP_SKIP,    // it is skipped
    OVERLAP_QUEUE,   // it waits until the other has ended
    OVERLAP_REPLACE, // the other is canceled, and it starts after
};

// What runs of the occurrences that fell into an outage.
enum catch_up_policy { CATCH_UP_SKIP, CATCH_UP_LATEST, CATCH_UP_ALL };

struct catch_up {
    enum catch_up_policy policy; // latest where not said
    int64_t window_us;           // how far back from the end of the outage; 0: no limit
    int max;                     // all: at most so many, the latest; 100 where not said
};

enum delivery {
    DELIVERY_AT_LEAST_ONCE,
    DELIVERY_AT_MOST_ONCE, // no second attempt once something may have been sent
};

struct expect {
    int status_least, status_most; // 200..299 where not said; a single status has both the same
    struct pair *headers;          // must be present with exactly this value
    size_t header_count;
    json_t *json;            // {"/pointer": value}, or NULL
    int exit_code;           // 0 where not said
    int64_t max_duration_us; // 0: none
};

#define PRIORITY_MOST 9 // the most urgent
#define PRIORITY_PLAIN 5
#define MAX_RUNNING_MOST 10000
#define RATE_LIMIT_MOST 10000
#define RATE_KEY_MAX 100

struct rate_limit { // at most `limit` starts in any window of `per`, over all that share the key
    int limit;      // 1..10000; 0: none
    int64_t per_us; // 100ms..24h
    char *key;      // NULL: the task's own name
};

struct runbook { // each NULL where not said
    char *owner, *expected_input, *expected_result, *rollback, *noticed_at;
};

enum notice_kind { NOTICE_FAILED, NOTICE_MISSED, NOTICE_RECOVERED, NOTICE_KIND_COUNT };

struct notify {          // who is told when runs fail or are missed
    char *url;           // http or https; NULL: nobody
    unsigned on;         // a bit for each enum notice_kind; all where not said
    int64_t cooldown_us; // what fails within it is counted and told at its end; 15m
};

struct task {
    atomic_int references;
    char *name;       // NULL for the inline target of a one-off
    char *definition; // canonical JSON, without the name
    size_t definition_size;
    char *summary;
    struct schedule *schedules;
    size_t schedule_count;
    struct target target;
    char *payload; // JSON text, or NULL
    size_t payload_size;
    int64_t timeout_us; // 30s where not said; at most 24h; 0: none, for a queue where not said
    enum completion completion; // by the response where not said
    struct retry retry;
    struct expect expect;
    enum overlap overlap;
    struct catch_up catch_up;
    int64_t deadline_us; // a run that has not started so long after it was due is missed; 0: none
    enum delivery delivery;
    struct runbook runbook;
    int priority;    // 0..9; 5 where not said
    int max_running; // how many of its runs at once; 0: no limit
    struct rate_limit rate_limit;
    struct notify notify;
    char *
        signing_secret; // the name of a secret in the server's configuration; NULL: the default one
    uint64_t lane; // runs of one lane share an endpoint: a hash of scheme, host and port, or of
                   // "command", or of the queue's name with LANE_QUEUE set
};

// The number of the rate limit's key; 0 for a one-off that names none.
uint64_t task_rate_key(const struct task *task);

struct task *task_hold(struct task *task); // one more reference
void task_drop(struct task *task);         // NULL is fine

// Decodes one definition. `defaults` (an object or NULL) supplies `timezone`, `timeout`, `retry`,
// `expect`, `notify`, `overlap`, `catch_up`, `priority`, `max_running`, `rate_limit` where the task
// does not say; they become part of the definition. `pointer` is where value stands in the whole
// document. On STATUS_OK one reference is the caller's. STATUS_INVALID: faults say what and where.
enum status task_decode(const char *name, const json_t *value, const json_t *defaults,
                        const char *pointer, struct faults *faults, struct task **ret);

// The same from its canonical text, as the store keeps it. STATUS_INVALID only for a store written
// by another version.
enum status task_decode_text(const char *name, const char *definition, size_t size,
                             struct task **ret);

// STATUS_INVALID with a fault at `pointer` unless `name` is a task's name.
enum status task_check_name(const char *name, const char *pointer, struct faults *faults);

// A set of definitions: the body of POST /v1/apply and the content of punctual.yaml.
struct task_set {
    struct task **tasks; // by name in the order written; references
    size_t count;
};
void task_set_done(struct task_set *set);

// Decodes {"version": 1, "defaults": {...}, "tasks": {name: {...}}}. Unknown fields are faults.
enum status task_set_decode(const json_t *value, struct faults *faults, struct task_set *ret);

// Which top-level fields differ between two canonical definitions: a JSON array of
// {"field": "/schedule/cron", "before": ..., "after": ...}, down to the leaves. New reference.
json_t *task_diff(const struct task *before, const struct task *after);
// Whether the schedules differ (an edit that does so bumps the generation).
bool task_same_schedules(const struct task *a, const struct task *b);
