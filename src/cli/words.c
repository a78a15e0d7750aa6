#include "cli/words.h"

#include <string.h>

#include "cli/field.h"

#define BIT(n) (UINT64_C(1) << (n))
#define TIMES_MAX 4 // so many times of day are listed

// The bits from..to.
static uint64_t bits(int from, int to)
{
    return (to == 63 ? UINT64_MAX : BIT(to + 1) - 1) & ~(BIT(from) - 1);
}

static int lowest(uint64_t set)
{
    return __builtin_ctzll(set);
}

static int count(uint64_t set)
{
    return __builtin_popcountll(set);
}

// The n for "every n" where the set is 0, n, 2n, ... up to the size and n divides it; else 0.
static int step_of(uint64_t set, int size)
{
    int n = size / (count(set) ? count(set) : size);
    uint64_t steps = 0;
    for (int at = 0; at < size; at += n)
        steps |= BIT(at);
    return steps == set && size % n == 0 ? n : 0;
}

// "a", "a and b", "a, b and c".
static void add_joint(struct buffer *to, int at, int of)
{
    if (at > 0)
        buffer_text(to, at == of - 1 ? " and " : ", ");
}

static void add_list(struct buffer *to, uint64_t set, const char *const *names, int first)
{
    int of = count(set), at = 0;
    for (; set; set &= set - 1, at++) {
        add_joint(to, at, of);
        if (names)
            buffer_text(to, names[lowest(set) - first]);
        else
            buffer_format(to, "%d", lowest(set));
    }
}

static bool is_range(uint64_t set)
{
    return count(set) >= 3 && bits(lowest(set), 63 - __builtin_clzll(set)) == set;
}

// "Monday to Friday", "3 to 5", or a list.
static void add_set(struct buffer *to, uint64_t set, const char *const *names, int first)
{
    if (!is_range(set)) {
        add_list(to, set, names, first);
        return;
    }
    add_list(to, set & -set, names, first);
    buffer_text(to, " to ");
    add_list(to, BIT(63 - __builtin_clzll(set)), names, first);
}

static void add_every(struct buffer *to, int n, const char *unit)
{
    if (n == 1)
        buffer_format(to, "every %s", unit);
    else
        buffer_format(to, "every %d %ss", n, unit);
}

// "at 02:30", "at 09:00 and 17:00".
static bool add_times(const struct cron *cron, struct buffer *to)
{
    if (count(cron->seconds) != 1 || count(cron->minutes) * count(cron->hours) > TIMES_MAX)
        return false;
    int of = count(cron->minutes) * count(cron->hours), at = 0, second = lowest(cron->seconds);
    buffer_text(to, "at ");
    for (uint64_t hours = cron->hours; hours; hours &= hours - 1) {
        for (uint64_t minutes = cron->minutes; minutes; minutes &= minutes - 1) {
            add_joint(to, at++, of);
            buffer_format(to, "%02d:%02d", lowest(hours), lowest(minutes));
            if (second)
                buffer_format(to, ":%02d", second);
        }
    }
    return true;
}

// Times that follow a step: "every 15 minutes", "every hour at :05", "every 10 minutes from 9 to 17
// h".
static bool add_steps(const struct cron *cron, struct buffer *to)
{
    bool all_minutes = cron->minutes == bits(0, 59), all_hours = cron->hours == bits(0, 23);
    int seconds = step_of(cron->seconds, 60), minutes = step_of(cron->minutes, 60),
        hours = step_of(cron->hours, 24);
    bool on_the_minute = cron->seconds == BIT(0);
    if (all_minutes && seconds && seconds < 60)
        add_every(to, seconds, "second");
    else if (on_the_minute && minutes && minutes < 60)
        add_every(to, minutes, "minute");
    else if (on_the_minute && count(cron->minutes) == 1 && hours && hours < 24)
        add_every(to, hours, "hour");
    else
        return false;
    if (on_the_minute && count(cron->minutes) == 1) {
        if (cron->minutes != BIT(0))
            buffer_format(to, " at :%02d", lowest(cron->minutes));
    } else if (!all_hours && (is_range(cron->hours) || count(cron->hours) == 1)) {
        buffer_format(to, " from %02d:00 to %02d:59", lowest(cron->hours),
                      63 - __builtin_clzll(cron->hours));
    } else if (!all_hours) {
        return false;
    }
    return true;
}

static const char *const weekday_names[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                            "Thursday", "Friday", "Saturday"};
static const char *const month_names[] = {"January",   "February", "March",    "April",
                                          "May",       "June",     "July",     "August",
                                          "September", "October",  "November", "December"};

// " on Monday to Friday", " on day 1 of the month", " in January". Nothing for every day; false for
// what takes too many words.
static bool add_days(const struct cron *cron, struct buffer *to)
{
    bool every_day = cron->days == bits(1, 31), every_weekday = cron->weekdays == bits(0, 6);
    bool both = !every_day && !every_weekday;
    if (count(cron->days) > 5 && !every_day && !is_range(cron->days))
        return false;
    if (!every_day) {
        buffer_text(to, count(cron->days) > 1 ? " on days " : " on day ");
        add_set(to, cron->days, NULL, 0);
        buffer_text(to, " of the month");
    }
    if (both)
        // OCPS 1.0: either, unless one field begins with *; OCPS 1.4: + means both.
        buffer_text(to, cron->and_days || cron->day_is_star || cron->weekday_is_star ? " if it is a"
                                                                                     : " and");
    if (!every_weekday) {
        buffer_text(to, " ");
        if (!both || !(cron->and_days || cron->day_is_star || cron->weekday_is_star))
            buffer_text(to, "on ");
        add_set(to, cron->weekdays, weekday_names, 0);
    }
    if (cron->months != bits(1, 12)) {
        buffer_text(to, " in ");
        add_set(to, cron->months, month_names, 1);
    }
    return true;
}

bool words_cron(const struct cron *cron, struct buffer *to)
{
    if (cron->has_years || !cron->seconds || !cron->minutes || !cron->hours || !cron->days ||
        !cron->weekdays || !cron->months)
        return false;
    struct buffer time, days;
    buffer_init(&time, 1024);
    buffer_init(&days, 1024);
    bool times = add_times(cron, &time);
    bool said = times || add_steps(cron, &time);
    said = said && add_days(cron, &days);
    if (said) {
        bool every_day = cron->days == bits(1, 31) && cron->weekdays == bits(0, 6);
        buffer_format(to, "%s%s%s", every_day && times ? "every day " : "", buffer_string(&time),
                      buffer_string(&days));
    }
    buffer_done(&time);
    buffer_done(&days);
    return said;
}

// The words alone. False where the expression stands for itself.
static bool add_words(const json_t *schedule, struct buffer *to)
{
    const char *cron_text = field_text(schedule, "cron"), *every = field_text(schedule, "every"),
               *at = field_text(schedule, "at");
    char why[256];
    struct cron cron;
    if (every)
        buffer_format(to, "every %s", every);
    else if (at)
        buffer_format(to, "once, at %s", at);
    else if (!cron_text || cron_parse(cron_text, &cron, why, sizeof why) != STATUS_OK)
        return false;
    else
        return words_cron(&cron, to);
    return true;
}

void words_schedule(const json_t *schedule, struct buffer *to)
{
    const char *cron = field_text(schedule, "cron"), *zone = field_text(schedule, "timezone"),
               *jitter = field_text(schedule, "jitter"), *start = field_text(schedule, "start"),
               *end = field_text(schedule, "end");
    bool said = add_words(schedule, to);
    if (!said)
        buffer_text(to, cron ? cron : "in a way this version cannot say");
    if (cron)
        buffer_format(to, ", %s", zone ? zone : "UTC");
    if (cron && said)
        buffer_format(to, " (%s)", cron);
    if (jitter)
        buffer_format(to, ", up to %s later", jitter);
    if (start)
        buffer_format(to, ", from %s", start);
    if (end)
        buffer_format(to, ", until %s", end);
}

void words_schedules_short(const json_t *schedules, struct buffer *to)
{
    bool list = json_is_array(schedules);
    const json_t *first = list ? json_array_get(schedules, 0) : schedules;
    if (!first) {
        buffer_text(to, "on request");
        return;
    }
    if (!add_words(first, to))
        buffer_text(to, field_text(first, "cron") ? field_text(first, "cron") : "?");
    if (list && json_array_size(schedules) > 1)
        buffer_format(to, " + %zu", json_array_size(schedules) - 1);
}

// --- targets ---

static void add_http(struct buffer *to, const json_t *http)
{
    const char *method = field_text(http, "method"), *url = field_text(http, "url");
    buffer_format(to, "%s %s", method ? method : "POST", url ? url : "?");
}

static void add_command(struct buffer *to, const json_t *command)
{
    const json_t *argv = json_is_object(command) ? field(command, "argv") : command;
    size_t i;
    json_t *word;
    json_array_foreach(argv, i, word)
    {
        const char *plain = json_string_value(word);
        buffer_format(to, "%s%s", i ? " " : "", plain ? plain : "?");
    }
}

static void add_queue(struct buffer *to, const json_t *queue)
{
    const char *name = field_text(queue, "name");
    buffer_text(to, name ? name : "?");
}

static void add_monitor(struct buffer *to, const json_t *monitor)
{
    const char *grace = field_text(monitor, "grace"), *most = field_text(monitor, "max_duration");
    buffer_format(to, "a job elsewhere checks in within %s, and ends within %s",
                  grace ? grace : "5m", most ? most : "24h");
}

const char *words_target(const json_t *definition, struct buffer *to)
{
    static const struct {
        const char *kind;
        void (*add)(struct buffer *to, const json_t *target);
    } kinds[] = {{"http", add_http},
                 {"queue", add_queue},
                 {"monitor", add_monitor},
                 {"command", add_command}};
    size_t last = sizeof kinds / sizeof *kinds - 1, i = 0;
    while (i < last && !field(definition, kinds[i].kind))
        i++;
    kinds[i].add(to, field(definition, kinds[i].kind));
    return kinds[i].kind;
}
