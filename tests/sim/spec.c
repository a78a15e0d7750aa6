// Definitions as users write them, and when a life takes place.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "sim/world.h"

static bool odds(struct random *chance, int in_hundred)
{
    return random_below(chance, 100) < in_hundred;
}

static int pick(struct random *chance, int from, int to)
{
    return from + (int)random_below(chance, to - from + 1);
}

// --- when a life takes place ---

// Half of the lives have a clock change in their middle.
int64_t world_choose_time(struct world *w, struct random *chance)
{
    static const int64_t lengths[] = {6 * HOUR, DAY, 3 * DAY, 10 * DAY, 30 * DAY};
    int64_t length = lengths[random_below(chance, 5)];
    length = length / 2 + random_below(chance, length);
    wall begin = {INT64_C(1767225600) * SECOND + random_below(chance, 500 * DAY)};
    wall change;
    int zone = (int)random_below(chance, oracle_zone_count());
    if (odds(chance, 60) && oracle_zone_change(zone, pick(chance, 0, 2), &change) &&
        change.us > begin.us - 600 * DAY)
        begin = wall_plus(change, -random_below(chance, length));
    w->zone = zone;
    w->base_wall = begin;
    w->base_us = w->now_us = 0;
    return length;
}

// --- cron ---

// Writes the numbers of a list and sets their bits.
static uint64_t list_of(struct random *chance, int least, int most, int count, char *text)
{
    uint64_t bits = 0;
    for (int i = 0; i < count; i++)
        bits |= UINT64_C(1) << pick(chance, least, most);
    char *at = text;
    for (int n = least; n <= most; n++)
        if (bits >> n & 1)
            at += sprintf(at, "%s%d", at == text ? "" : ",", n);
    return bits;
}

static uint64_t step_of(int most, int step, char *text)
{
    uint64_t bits = 0;
    for (int n = 0; n <= most; n += step)
        bits |= UINT64_C(1) << n;
    sprintf(text, "*/%d", step);
    return bits;
}

static uint64_t all_of(int most, char *text)
{
    strcpy(text, "*");
    return (UINT64_C(2) << most) - 1;
}

// How dense a pattern may be follows from how long the life is.
static void make_times(struct random *chance, int64_t length, struct when *when, char *minute,
                       char *hour)
{
    static const int minute_steps[] = {5, 10, 15, 20, 30};
    static const int hour_steps[] = {2, 3, 4, 6, 12};
    if (length <= DAY) {
        when->minutes = odds(chance, 50)
                            ? step_of(59, minute_steps[random_below(chance, 5)], minute)
                            : list_of(chance, 0, 59, pick(chance, 1, 4), minute);
        when->hours =
            (uint32_t)(odds(chance, 60) ? all_of(23, hour) : list_of(chance, 0, 23, 12, hour));
    } else if (length <= 4 * DAY) {
        when->minutes = list_of(chance, 0, 59, pick(chance, 1, 2), minute);
        when->hours =
            (uint32_t)(odds(chance, 50) ? all_of(23, hour) : list_of(chance, 0, 23, 8, hour));
    } else {
        when->minutes = list_of(chance, 0, 59, pick(chance, 1, 2), minute);
        when->hours =
            (uint32_t)(odds(chance, 30) ? step_of(23, hour_steps[random_below(chance, 5)], hour)
                                        : list_of(chance, 0, 4, pick(chance, 1, 2), hour));
    }
    when->elapsed = *minute == '*' || *hour == '*';
}

static void make_days(struct random *chance, struct when *when, char *day, char *month, char *week)
{
    all_of(31, day);
    all_of(12, month);
    all_of(6, week);
    when->any_day = when->any_weekday = true;
    when->months = 0x1ffe;
    if (odds(chance, 15)) {
        when->any_day = false;
        when->days = (uint32_t)list_of(chance, 1, 31, 12, day);
    }
    if (odds(chance, 15)) {
        when->any_weekday = false;
        when->weekdays = (uint8_t)list_of(chance, 0, 6, 4, week);
    }
    if (odds(chance, 5))
        when->months = (uint16_t)list_of(chance, 1, 12, 8, month);
}

static void write_cron(struct random *chance, int64_t length, int zone, struct when *when, char *to,
                       size_t size)
{
    char minute[200], hour[100], day[100], month[50], week[30];
    when->kind = WHEN_CRON;
    make_times(chance, length, when, minute, hour);
    make_days(chance, when, day, month, week);
    when->zone = odds(chance, 50) ? zone : (int)random_below(chance, oracle_zone_count());
    when->gap_skip = odds(chance, 40);
    when->overlap_both = odds(chance, 40);
    snprintf(to, size, "\"cron\":\"%s %s %s %s %s\",\"timezone\":\"%s\"%s%s", minute, hour, day,
             month, week, oracle_zone_name(when->zone),
             when->gap_skip ? ",\"dst_gap\":\"skip\"" : "",
             when->overlap_both ? ",\"dst_overlap\":\"both\"" : "");
}

// --- the others ---

static void write_every(struct random *chance, int64_t length, struct when *when, char *to,
                        size_t size)
{
    int64_t minutes = length / MINUTE / pick(chance, 10, 60);
    // Now and then more than a turn can plan falls into an outage.
    minutes = minutes < 1 || (length <= 5 * DAY && odds(chance, 5)) ? 1 : minutes;
    when->kind = WHEN_EVERY;
    when->every_us = minutes * MINUTE;
    snprintf(to, size, "\"every\":\"PT%dM\"", (int)minutes);
}

static void write_at(struct random *chance, wall now, int64_t length, struct when *when, char *to,
                     size_t size)
{
    char text[MOMENT_TEXT];
    when->kind = WHEN_AT;
    when->at.us = (now.us + random_below(chance, length)) / SECOND * SECOND;
    wall_format(when->at, text);
    snprintf(to, size, "\"at\":\"%s\"", text);
}

static void add_bound(struct random *chance, wall now, int64_t length, const char *name, char *to,
                      size_t size, wall *ret)
{
    char text[MOMENT_TEXT];
    ret->us = (now.us + random_below(chance, length)) / MINUTE * MINUTE;
    wall_format(*ret, text);
    snprintf(to + strlen(to), size - strlen(to), ",\"%s\":\"%s\"", name, text);
}

static void write_schedule(struct world *w, struct random *chance, struct when *when, char *to,
                           size_t size)
{
    wall now = wall_of(w);
    int kind = pick(chance, 0, 9);
    *when = (struct when){.start = WALL_NONE, .end = WALL_NEVER};
    if (kind < 6)
        write_cron(chance, w->end_us, w->zone, when, to, size);
    else if (kind < 9)
        write_every(chance, w->end_us, when, to, size);
    else
        write_at(chance, now, w->end_us, when, to, size);
    if (kind < 9 && odds(chance, 10))
        add_bound(chance, now, w->end_us / 2, "start", to, size, &when->start);
    if (kind < 9 && odds(chance, 10))
        add_bound(chance, wall_plus(now, w->end_us / 2), w->end_us / 2, "end", to, size,
                  &when->end);
    if (odds(chance, 20)) {
        int seconds = pick(chance, 1, 300);
        when->jitter_us = seconds * SECOND;
        snprintf(to + strlen(to), size - strlen(to), ",\"jitter\":\"PT%dS\"", seconds);
    }
}

static void make_schedules(struct world *w, struct random *chance, struct spec *spec)
{
    spec->when_count = odds(chance, 10) ? 0 : odds(chance, 75) ? 1 : pick(chance, 2, SCHEDULES);
    char *to = spec->schedules;
    size_t size = sizeof spec->schedules;
    for (int i = 0; i < spec->when_count; i++) {
        char one[400];
        write_schedule(w, chance, &spec->when[i], one, sizeof one);
        size_t used = strlen(to);
        snprintf(to + used, size - used, "%s{%s}", i ? "," : "", one);
    }
}

// --- the whole ---

static void make_policy(struct random *chance, struct spec *spec)
{
    static const int64_t initials[] = {SECOND, 5 * SECOND, MINUTE, 10 * MINUTE};
    static const int64_t timeouts[] = {5 * SECOND, 30 * SECOND, 10 * MINUTE, 2 * HOUR};
    spec->max_attempts = pick(chance, 1, 5);
    spec->backoff = pick(chance, 0, 2);
    spec->initial_us = initials[random_below(chance, 4)];
    spec->max_us = spec->initial_us * pick(chance, 1, 6);
    spec->timeout_us = timeouts[random_below(chance, 4)];
    spec->endpoint = (int)random_below(chance, ENDPOINTS);
}

static void write_target(const struct spec *spec, char *to, size_t size)
{
    int queue = spec->endpoint - ENDPOINTS;
    if (spec->monitor)
        snprintf(to, size, "\"monitor\":{\"grace\":\"PT%dS\",\"max_duration\":\"PT%dS\"}",
                 (int)(spec->grace_us / SECOND), (int)(spec->most_us / SECOND));
    else if (queue < 0)
        snprintf(to, size, "\"http\":{\"url\":\"http://10.0.0.%d/hook\"},%s", spec->endpoint + 1,
                 spec->callback ? "\"completion\":\"callback\"," : "");
    else
        snprintf(to, size, "\"queue\":{\"name\":\"q%d\"},", queue);
    size_t used = strlen(to);
    if (spec->timeout_us)
        snprintf(to + used, size - used, "\"timeout\":\"PT%dS\",",
                 (int)(spec->timeout_us / SECOND));
}

// False where the definition was refused.
static bool write_spec(const struct world *w, struct spec *spec, const char *name)
{
    static const char *const backoffs[] = {"exponential", "linear", "fixed"};
    char schedules[1000] = "", retry[200] = "", notify[200];
    if (spec->when_count)
        snprintf(schedules, sizeof schedules, "\"schedule\":[%s],", spec->schedules);
    char text[2200], policy[500], target[100];
    policy_write(&spec->policy, policy, sizeof policy);
    write_target(spec, target, sizeof target);
    notices_write(w, &spec->notify, notify, sizeof notify);
    if (!spec->monitor)
        snprintf(retry, sizeof retry,
                 "\"retry\":{"
                 "\"max_attempts\":%d,\"backoff\":\"%s\",\"initial\":\"PT%dS\",\"max\":\"PT%dS\"}",
                 spec->max_attempts, backoffs[spec->backoff], (int)(spec->initial_us / SECOND),
                 (int)(spec->max_us / SECOND));
    snprintf(text, sizeof text, "{%s%s%s%s%s}", schedules, target, retry, policy, notify);
    json_t *value;
    struct json_place place;
    struct faults faults = {0};
    bool well = json_read(text, strlen(text), &value, &place) == STATUS_OK &&
                task_decode(name, value, NULL, "", &faults, &spec->task) == STATUS_OK;
    // Chance may have made a schedule that never comes.
    if (!well && (!faults.count || !strstr(faults.items[0].detail, "no occurrence"))) {
        fprintf(stderr, "a definition was not understood: %s: %s %s\n", text,
                faults.count ? faults.items[0].pointer : "",
                faults.count ? faults.items[0].detail : "");
        abort();
    }
    faults_done(&faults);
    json_decref(value);
    spec->text = memory_text(text);
    return well;
}

// An edit keeps something of what the task has: all but the schedules, or the schedules.
static void make_spec(struct world *w, struct random *chance, struct spec *spec, int task,
                      bool edit)
{
    *spec = (struct spec){0};
    const struct spec *old = edit ? &w->specs[w->tasks[task].spec] : NULL;
    bool keep_schedules = edit && odds(chance, 50);
    if (edit && !keep_schedules && odds(chance, 50)) {
        *spec = *old;
        spec->schedules[0] = '\0';
        spec->task = NULL;
    } else {
        make_policy(chance, spec);
        workers_draw(w, spec);
        policy_draw(w, chance, spec, task);
        workers_spare(w, spec);
        if (task >= 0 && !(keep_schedules && !old->when_count))
            jobs_draw(w, spec, old);
        if (task >= 0)
            notices_draw(w, spec, old);
    }
    if (keep_schedules) {
        memcpy(spec->when, old->when, sizeof spec->when);
        memcpy(spec->schedules, old->schedules, sizeof spec->schedules);
        spec->when_count = old->when_count;
    } else if (task >= 0) {
        do // a monitor says when its job runs
            make_schedules(w, chance, spec);
        while (spec->monitor && !spec->when_count);
    }
}

int spec_new(struct world *w, struct random *chance, int task, bool edit)
{
    char name[16];
    if (w->spec_count == SPECS)
        return -1;
    snprintf(name, sizeof name, "t%d", task);
    struct spec *spec = &w->specs[w->spec_count];
    make_spec(w, chance, spec, task, edit);
    while (!write_spec(w, spec, task >= 0 ? name : NULL)) {
        spec_done(spec);
        make_spec(w, chance, spec, task, edit);
    }
    return w->spec_count++;
}

void spec_done(struct spec *spec)
{
    task_drop(spec->task);
    free(spec->text);
}
