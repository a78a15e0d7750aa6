/*
 * config - the server's own configuration
 *
 * What the operator decides: where to listen, where the store is, what may be called, which secrets
 * sign. From a YAML file
 * (--config), then the environment, then the command line; the later wins.
 * docs/reference/configuration.md lists it.
 *
 * Not here: tasks, which are data of the store. Used by server/serve.c, before any thread starts.
 */
#pragma once

#include "base/logline.h"
#include "core/fault.h"
#include "dispatch/dispatch.h"
#include "scheduler/scheduler.h"

struct breaker {         // when nothing more is sent to an endpoint that is down
    int failures;        // in a row; 0: always send
    int64_t open_for_us; // until the first probe
};

struct clock_config { // a test clock
    bool stands;      // there is one
    wall at;          // where it starts; WALL_NONE: not said
};

struct config {
    char *address; // "127.0.0.1", "::1", "0.0.0.0"; never a name
    int port;      // 0: any free one
    bool loopback; // the address is reached from this machine only
    char *store;
    char *apply;   // a file of tasks to apply at the start; NULL: none
    char *api_key; // NULL: none is asked for
    bool allow_commands;
    bool allow_loopback, allow_private; // as targets
    struct address_range *allowed;      // further targets
    size_t allowed_count;
    struct secret *secrets; // the default one, where there is one, has no name
    size_t secret_count;
    int threads;        // of the front
    int catch_up_per_s; // how many runs may start in a second to catch up after an outage
    int64_t drain_us;
    struct history_config { // 0: without end
        int64_t age_us, rows, bytes;
    } history;
    struct breaker breaker;
    struct queue_limit *queues;
    size_t queue_count;
    enum level log_level;
    struct clock_config clock;
};

// What `punctual serve --help` says.
extern const char config_help[];

// argv[0] is the command's name and is passed over. STATUS_INVALID: faults, whose pointers say
// which source is meant:
// "--listen", "PUNCTUAL_API_KEY" or "FILE:LINE:COLUMN: /listen". STATUS_END: help was asked for.
// `ret` is written, and config_done due, on STATUS_OK only.
enum status config_parse(int argc, char **argv, struct config *ret, struct faults *faults);
void config_done(struct config *config);

// Makes `secret` (copied) the default one that signs where a task names none.
void config_add_secret(struct config *config, const char *secret);
