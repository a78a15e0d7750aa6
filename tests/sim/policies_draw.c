// Policies as users write them.
#include <stdarg.h>
#include <stdio.h>

#include "sim/world.h"

static bool odds(struct random *chance, int in_hundred)
{
    return random_below(chance, 100) < in_hundred;
}

static int pick(struct random *chance, int from, int to)
{
    return from + (int)random_below(chance, to - from + 1);
}

static struct rule any_rule(struct random *chance)
{
    static const struct rule rules[] = {{1, 10 * SECOND}, {2, MINUTE},   {3, 10 * MINUTE},
                                        {5, MINUTE},      {2, 2 * HOUR}, {20, HOUR}};
    return rules[random_below(chance, sizeof rules / sizeof *rules)];
}

// Some lives have none, so that what is late there has no excuse.
void policies_choose(struct world *w, struct random *chance)
{
    static const int breakers[] = {0, 0, 10, 3, 1};
    static const int paces[] = {100, 10, 2};
    w->policies.on = odds(chance, 65);
    w->options.breaker_failures = breakers[random_below(chance, 5)];
    w->options.breaker_open_us = pick(chance, 1, 60) * SECOND;
    w->options.catch_up_per_s = paces[random_below(chance, 3)];
    for (int i = 0; i < SHARED_KEYS; i++)
        w->policies.shared[i] = any_rule(chance);
}

static void draw_rate(struct world *w, struct random *chance, struct policy *policy, int task)
{
    bool shared = task < 0 || odds(chance, 60);
    policy->rate_key = shared ? pick(chance, 0, SHARED_KEYS - 1) : -1;
    policy->rate =
        shared && odds(chance, 80) ? w->policies.shared[policy->rate_key] : any_rule(chance);
}

static void draw_of_task(struct random *chance, int64_t length, struct policy *policy)
{
    if (odds(chance, 45))
        policy->overlap = (enum overlap)pick(chance, OVERLAP_SKIP, OVERLAP_REPLACE);
    if (odds(chance, 25))
        policy->max_running = pick(chance, 1, 3);
    if (odds(chance, 40)) {
        policy->catch_up = (enum catch_up_policy)pick(chance, CATCH_UP_SKIP, CATCH_UP_ALL);
        policy->catch_up_max = odds(chance, 50) ? pick(chance, 1, 5) : pick(chance, 6, 200);
        policy->window_us =
            odds(chance, 50) ? (1 + random_below(chance, length / MINUTE)) * MINUTE : 0;
    }
}

void policy_draw(struct world *w, struct random *chance, struct spec *spec, int task)
{
    static const int64_t deadlines[] = {2 * SECOND, 30 * SECOND, 10 * MINUTE, 3 * HOUR};
    struct policy *policy = &spec->policy;
    *policy = (struct policy){
        .priority = PRIORITY_PLAIN, .catch_up = CATCH_UP_LATEST, .catch_up_max = 100};
    if (!w->policies.on || odds(chance, 25))
        return;
    if (task >= 0)
        draw_of_task(chance, w->end_us / 4, policy);
    if (odds(chance, 25))
        policy->deadline_us = deadlines[random_below(chance, 4)];
    if (odds(chance, 20))
        policy->at_most_once = true;
    if (odds(chance, 40))
        policy->priority = pick(chance, 0, PRIORITY_MOST);
    if (odds(chance, 25))
        draw_rate(w, chance, policy, task);
}

static void add(char **at, char *end, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void add(char **at, char *end, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    *at += vsnprintf(*at, (size_t)(end - *at), format, arguments);
    va_end(arguments);
}

void policy_write(const struct policy *p, char *text, size_t size)
{
    static const char *const overlaps[] = {"allow", "skip", "queue", "replace"};
    static const char *const catch_ups[] = {"skip", "latest", "all"};
    char *at = text, *end = text + size;
    *text = '\0';
    if (p->overlap != OVERLAP_ALLOW)
        add(&at, end, ",\"overlap\":\"%s\"", overlaps[p->overlap]);
    if (p->max_running)
        add(&at, end, ",\"max_running\":%d", p->max_running);
    if (p->deadline_us)
        add(&at, end, ",\"deadline\":\"PT%dS\"", (int)(p->deadline_us / SECOND));
    if (p->at_most_once)
        add(&at, end, ",\"delivery\":\"at_most_once\"");
    if (p->priority != PRIORITY_PLAIN)
        add(&at, end, ",\"priority\":%d", p->priority);
    if (p->catch_up != CATCH_UP_LATEST || p->window_us) {
        add(&at, end, ",\"catch_up\":{\"policy\":\"%s\"", catch_ups[p->catch_up]);
        if (p->window_us && p->catch_up != CATCH_UP_SKIP)
            add(&at, end, ",\"window\":\"PT%dM\"", (int)(p->window_us / MINUTE));
        if (p->catch_up == CATCH_UP_ALL)
            add(&at, end, ",\"max\":%d", p->catch_up_max);
        add(&at, end, "}");
    }
    if (p->rate.limit) {
        add(&at, end, ",\"rate_limit\":{\"limit\":%d,\"per\":\"PT%dS\"", p->rate.limit,
            (int)(p->rate.per_us / SECOND));
        if (p->rate_key >= 0)
            add(&at, end, ",\"key\":\"shared-%d\"", p->rate_key);
        add(&at, end, "}");
    }
}
