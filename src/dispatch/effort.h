/*
 * effort - one attempt under way, from its order to its report
 *
 * The report is made together with the effort, so that whatever happens there is exactly one to
 * post. Knows neither sockets nor processes: those are webhook.c and command.c.
 *
 * Internal to this folder, on the dispatcher's thread.
 */
#pragma once

#include "base/map.h"
#include "base/now.h"
#include "core/expect.h"
#include "dispatch/capture.h"
#include "dispatch/dispatch.h"

// As much of a response is kept to look into: for `expect.json`, and for a failure's own words.
#define JSON_MAX (64 << 10)

struct effort {
    struct order *order;
    struct message *report;
    steady started;
    struct transfer *transfer; // while webhook.c has it
    struct child *child;       // while command.c has it
};

struct efforts {
    const struct dispatch_options *options;
    struct map by_run;
    struct letter *first, **last; // the reports of this round
};

void efforts_init(struct efforts *efforts, const struct dispatch_options *options);
void efforts_done(struct efforts *efforts); // nothing may be under way

// Takes the order. NULL where this run is under way already: the order is then reported as refused.
struct effort *effort_new(struct efforts *efforts, struct order *order);
struct effort *effort_find(const struct efforts *efforts, run_id run);
// All that are under way, for when some of them are to end: an array of `count`; free() it.
struct effort **efforts_list(const struct efforts *efforts, size_t *ret_count);

// Now it starts: writes down when, and how late that is.
void effort_started(struct effort *effort);
// What is sent or written to the command: the order's payload, else the task's; NULL where neither.
const char *effort_payload(const struct effort *effort, size_t *ret_size);
// How much of what comes back is kept while it runs.
size_t effort_capture_limit(const struct efforts *efforts, const struct effort *effort);
// Moves what was captured into the report, cut to what the configuration keeps.
void effort_keep_response(const struct efforts *efforts, struct effort *effort,
                          const struct capture *captured);

// Ends it: the report gets its outcome and why in words (NULL: nothing to say) and joins the others
// of this round. The effort and its order are gone.
void effort_end(struct efforts *efforts, struct effort *effort, enum attempt_outcome outcome,
                const char *format, ...) __attribute__((format(printf, 4, 5)));
// Ends it as succeeded or failed, as the task expects.
void effort_judge(struct efforts *efforts, struct effort *effort, const struct response *response);

// The reports of this round, for mailbox_post_all.
struct letter *efforts_take_reports(struct efforts *efforts);
