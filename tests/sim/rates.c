// The starts of each rate limit's key, and what they allow: every window, found by counting. By the
// wall clock, as it is promised: where the server sees it set, starts are moved with it.
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "sim/world.h"

struct rate_log *rate_log_of(struct world *w, int task, const struct policy *policy)
{
    return &w->policies.rates[policy->rate_key >= 0 ? policy->rate_key : SHARED_KEYS + task];
}

static bool same(struct rule a, struct rule b)
{
    return a.limit == b.limit && a.per_us == b.per_us;
}

// How many of the starts that are surely older than `at` lie in the window that it ends, since the
// rule is known.
static int count_window(const struct rate_log *log, const struct known_rule *known, int64_t at)
{
    int count = 0;
    for (size_t i = log->count; i-- > 0 && log->starts[i].at > at - known->rule.per_us;)
        count +=
            log->starts[i].least > at - known->rule.per_us && log->starts[i].least >= known->since;
    return count;
}

// A rule counts what started since it came, or came back after a day: what was before need not be
// remembered (docs/operate/limits.md).
static struct known_rule *know(struct world *w, struct rate_log *log, struct rule rule, int64_t at)
{
    struct known_rule *known = NULL;
    for (int i = 0; i < log->rule_count; i++)
        if (same(log->rules[i].rule, rule))
            known = &log->rules[i];
    if (!known && log->rule_count == RATE_RULES_KNOWN)
        broken(w, "sim", "too many rules of one rate limit for the simulator");
    if (!known) {
        known = &log->rules[log->rule_count++];
        *known = (struct known_rule){rule, at, at};
    }
    if (at - known->last > DAY - HOUR)
        known->since = at;
    known->last = at > known->last ? at : known->last;
    return known;
}

static void add(struct rate_log *log, struct rule rule, int64_t at, int64_t least)
{
    if (log->count && log->starts[log->count - 1].at > at)
        at = log->starts[log->count - 1].at;
    if (log->count == log->room) {
        log->room = log->room ? log->room * 2 : 64;
        log->starts = memory_resize(log->starts, log->room, sizeof *log->starts);
    }
    log->starts[log->count++] = (struct rated){at, least, rule};
}

// P17: its own rule, and those of all starts that are still in their window.
void rate_start(struct world *w, struct rate_log *log, struct rule rule, wall at)
{
    const struct known_rule *own = know(w, log, rule, at.us);
    for (int i = 0; i < log->rule_count; i++) {
        const struct known_rule *known = &log->rules[i];
        bool holds = known == own;
        for (size_t n = log->count; n-- > 0 && log->starts[n].at > at.us - known->rule.per_us;)
            holds = holds || (same(log->starts[n].rule, known->rule) &&
                              log->starts[n].least > at.us - known->rule.per_us);
        int started = holds ? count_window(log, known, at.us) : 0;
        if (started >= known->rule.limit)
            broken(w, "P17", "one more starts, and %d have within %lld s of a limit of %d", started,
                   (long long)(known->rule.per_us / SECOND), known->rule.limit);
    }
    add(log, rule, at.us, at.us);
}

// It was recorded in a turn of which nothing has left, at the instant that was claimed: within the
// claim from now at the latest.
void rate_start_unseen(struct world *w, struct rate_log *log, struct rule rule)
{
    know(w, log, rule, wall_of(w).us);
    add(log, rule, wall_of(w).us + w->options.claim_ahead_us, INT64_MIN);
}

// Starts that were made under one rule count as made under the other, for all who share the key.
void rate_edit(struct world *w, struct rate_log *log, struct rule from, struct rule to)
{
    if (same(from, to))
        return;
    int64_t now = wall_of(w).us, last = INT64_MIN;
    for (int i = 0; i < log->rule_count; i++) {
        int64_t held = rate_opens_us(w, log, log->rules[i].rule);
        held = held < w->now_us ? held : w->now_us;
        log->edited_us = held > log->edited_us ? held : log->edited_us;
    }
    for (size_t i = 0; i < log->count; i++)
        if (same(log->starts[i].rule, from)) {
            log->starts[i].rule = to;
            last = log->starts[i].at;
        }
    if (last > INT64_MIN)
        know(w, log, to, now);
}

// What started under the old rule counts as started under the new one, as far as the old one had to
// remember it.
void rate_configured(struct world *w, struct rate_log *log, struct rule from, struct rule to)
{
    int64_t since = wall_of(w).us - from.per_us, last = INT64_MIN;
    for (int i = 0; i < log->rule_count; i++)
        last = log->rules[i].last > last ? log->rules[i].last : last;
    for (int i = 0; i < log->rule_count; i++)
        since = log->rules[i].since > since ? log->rules[i].since : since;
    for (size_t i = 0; i < log->count; i++)
        log->starts[i].rule = to;
    log->rule_count = log->rule_count ? 1 : 0;
    log->rules[0] = (struct known_rule){to, since, last};
}

// Until when one rule holds back. One that is not its own holds only as long as it is in force.
static int64_t opens_by(const struct rate_log *log, struct rule rule, bool own)
{
    if (log->count < (size_t)rule.limit)
        return INT64_MIN;
    int64_t opens = log->starts[log->count - (size_t)rule.limit].at + rule.per_us;
    int64_t until = INT64_MIN;
    for (size_t i = log->count; i-- > 0 && until == INT64_MIN;)
        if (same(log->starts[i].rule, rule))
            until = log->starts[i].at + rule.per_us;
    return own || opens < until ? opens : until;
}

int64_t rate_opens_us(const struct world *w, const struct rate_log *log, struct rule rule)
{
    int64_t opens = opens_by(log, rule, true);
    for (int i = 0; i < log->rule_count; i++) {
        int64_t other = opens_by(log, log->rules[i].rule, false);
        opens = other > opens ? other : opens;
    }
    return opens == INT64_MIN ? INT64_MIN : w->now_us + (opens - wall_of(w).us);
}

static void step(struct rate_log *log, int64_t step_us)
{
    for (size_t i = 0; i < log->count; i++) {
        log->starts[i].at += step_us;
        if (log->starts[i].least != INT64_MIN)
            log->starts[i].least += step_us;
    }
    for (int i = 0; i < log->rule_count; i++) {
        log->rules[i].since += step_us;
        log->rules[i].last += step_us;
    }
}

void rates_step(struct world *w, int64_t step_us)
{
    for (int key = 0; key < RATE_KEYS; key++)
        step(&w->policies.rates[key], step_us);
    for (int i = 0; i < QUEUES; i++)
        step(&w->workers.rates[i], step_us);
}

// The clock may have been set back while the server was down: no start lies in the future then.
static void restart(struct rate_log *log, int64_t now)
{
    for (size_t i = 0; i < log->count; i++)
        if (log->starts[i].least > now)
            log->starts[i].least = now;
    for (int i = 0; i < log->rule_count; i++)
        if (log->rules[i].since > now)
            log->rules[i].since = log->rules[i].last = now;
}

void rates_restart(struct world *w)
{
    for (int key = 0; key < RATE_KEYS; key++)
        restart(&w->policies.rates[key], wall_of(w).us);
    for (int i = 0; i < QUEUES; i++)
        restart(&w->workers.rates[i], wall_of(w).us);
}
