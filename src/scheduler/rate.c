#include "scheduler/rate.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

void rate_done(struct rate *rate)
{
    free(rate->starts);
    *rate = (struct rate){0};
}

// The window of one more start must hold fewer than `limit`, so the one that many places back must
// have left it. Starts that were claimed ahead may lie after `t`: they count as well.
static wall opens_by(const struct rate *rate, struct rate_rule rule, wall t)
{
    if (rate->count < (size_t)rule.limit)
        return t;
    wall leaves = {rate->starts[rate->count - (size_t)rule.limit] + rule.per_us};
    return leaves.us > t.us ? leaves : t;
}

wall rate_opens_at(const struct rate *rate, struct rate_rule rule, wall t)
{
    wall opens = opens_by(rate, rule, t);
    for (int i = 0; i < rate->rule_count; i++) {
        wall until = rate->rules[i].until;
        if (until.us <= t.us)
            continue; // out of force
        wall other = opens_by(rate, rate->rules[i].rule, t);
        if (other.us > until.us)
            other = until;
        if (other.us > opens.us)
            opens = other;
    }
    return opens;
}

static int room_by(const struct rate *rate, struct rate_rule rule, wall t)
{
    size_t out = 0, in = rate->count; // starts[out - 1] has left the window, starts[in] has not
    while (out < in) {
        size_t middle = out + (in - out) / 2;
        if (rate->starts[middle] <= t.us - rule.per_us)
            out = middle + 1;
        else
            in = middle;
    }
    size_t in_window = rate->count - out;
    return in_window < (size_t)rule.limit ? rule.limit - (int)in_window : 0;
}

int rate_room(const struct rate *rate, struct rate_rule rule, wall t)
{
    int room = room_by(rate, rule, t);
    for (int i = 0; i < rate->rule_count && room > 0; i++) {
        if (rate->rules[i].until.us <= t.us)
            continue;
        int other = room_by(rate, rate->rules[i].rule, t);
        if (other < room)
            room = other;
    }
    return room;
}

// A rule out of force is remembered for as long as the longest window, so that starts are kept for
// it.
static void forget_rules(struct rate *rate, wall t)
{
    int kept = 0;
    for (int i = 0; i < rate->rule_count; i++)
        if (rate->rules[i].until.us > t.us - DAY)
            rate->rules[kept++] = rate->rules[i];
    rate->rule_count = kept;
}

static void keep_rule(struct rate *rate, struct rate_rule rule, wall t)
{
    forget_rules(rate, t);
    int at = 0;
    while (at < rate->rule_count &&
           (rate->rules[at].rule.limit != rule.limit || rate->rules[at].rule.per_us != rule.per_us))
        at++;
    if (at == RATE_RULES) { // as strict as both
        struct rate_rule *first = &rate->rules[at = 0].rule;
        first->limit = first->limit < rule.limit ? first->limit : rule.limit;
        first->per_us = first->per_us > rule.per_us ? first->per_us : rule.per_us;
        rule = *first;
    } else if (at == rate->rule_count) {
        rate->rules[rate->rule_count].rule = rule;
        rate->rules[rate->rule_count++].until = WALL_NONE;
    }
    wall until = wall_plus(t, rule.per_us);
    if (until.us > rate->rules[at].until.us)
        rate->rules[at].until = until;
}

// No rule looks further back than its limit: how many starts matter.
static size_t starts_kept(const struct rate *rate)
{
    int most = 0;
    for (int i = 0; i < rate->rule_count; i++)
        most = rate->rules[i].rule.limit > most ? rate->rules[i].rule.limit : most;
    return (size_t)most;
}

void rate_add(struct rate *rate, struct rate_rule rule, wall t)
{
    if (rate->count && rate->starts[rate->count - 1] > t.us)
        t.us = rate->starts[rate->count - 1];
    keep_rule(rate, rule, t);
    if (rate->count == rate->capacity) {
        size_t keep = starts_kept(rate);
        size_t drop = rate->count > keep ? rate->count - keep : 0;
        rate->count -= drop;
        if (drop)
            memmove(rate->starts, rate->starts + drop, rate->count * sizeof *rate->starts);
        if (rate->count >= rate->capacity / 2) { // room for many before the next move
            rate->capacity = rate->count * 2 + 16;
            rate->starts = memory_resize(rate->starts, rate->capacity, sizeof *rate->starts);
        }
    }
    rate->starts[rate->count++] = t.us;
}

void rate_change(struct rate *rate, struct rate_rule from, struct rate_rule to)
{
    for (int i = 0; i < rate->rule_count; i++) {
        struct rate_rule *rule = &rate->rules[i].rule;
        if (rule->limit != from.limit || rule->per_us != from.per_us)
            continue;
        rate->rules[i].until.us += to.per_us - from.per_us;
        *rule = to;
    }
}

bool rate_is_past(const struct rate *rate, wall t)
{
    for (int i = 0; i < rate->rule_count; i++)
        if (rate->rules[i].until.us > t.us)
            return false;
    return true;
}

wall rate_oldest(struct rate *rate, wall t)
{
    forget_rules(rate, t);
    size_t keep = starts_kept(rate);
    if (!keep || !rate->count)
        return WALL_NEVER;
    return (wall){rate->starts[rate->count > keep ? rate->count - keep : 0]};
}

void rate_shift(struct rate *rate, int64_t step_us)
{
    for (size_t i = 0; i < rate->count; i++)
        rate->starts[i] += step_us;
    for (int i = 0; i < rate->rule_count; i++)
        rate->rules[i].until.us += step_us;
}
