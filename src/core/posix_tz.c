#include "core/posix_tz.h"

#include <string.h>

#include "base/moment.h"

#define DAY_S 86400

struct text {
    const char *at, *end;
};

static bool take(struct text *t, char wanted)
{
    if (t->at == t->end || *t->at != wanted)
        return false;
    t->at++;
    return true;
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

// "CET", or "<+03>" where it holds more than letters.
static bool take_name(struct text *t, char name[static TZ_ABBREVIATION])
{
    bool quoted = take(t, '<');
    const char *start = t->at;
    while (t->at < t->end &&
           (is_letter(*t->at) || (quoted && (is_digit(*t->at) || *t->at == '+' || *t->at == '-'))))
        t->at++;
    size_t length = (size_t)(t->at - start);
    if (length < 3 || length >= TZ_ABBREVIATION || (quoted && !take(t, '>')))
        return false;
    memcpy(name, start, length);
    name[length] = '\0';
    return true;
}

static bool take_number(struct text *t, int least, int most, int *ret)
{
    int n = 0, digits = 0;
    for (; t->at < t->end && is_digit(*t->at) && digits < 4; t->at++, digits++)
        n = n * 10 + (*t->at - '0');
    *ret = n;
    return digits > 0 && n >= least && n <= most;
}

// "[+-]hh[:mm[:ss]]" in seconds.
static bool take_time(struct text *t, int hours_most, int *ret_s)
{
    int sign = take(t, '-') ? -1 : 1, hours, minutes = 0, seconds = 0;
    if (sign == 1)
        take(t, '+');
    if (!take_number(t, 0, hours_most, &hours))
        return false;
    if (take(t, ':')) {
        if (!take_number(t, 0, 59, &minutes))
            return false;
        if (take(t, ':') && !take_number(t, 0, 59, &seconds))
            return false;
    }
    *ret_s = sign * (hours * 3600 + minutes * 60 + seconds);
    return true;
}

static bool take_day(struct text *t, struct posix_rule *rule)
{
    if (take(t, 'J')) {
        rule->kind = POSIX_JULIAN;
        return take_number(t, 1, 365, &rule->day);
    }
    if (take(t, 'M')) {
        rule->kind = POSIX_WEEKDAY;
        return take_number(t, 1, 12, &rule->month) && take(t, '.') &&
               take_number(t, 1, 5, &rule->week) && take(t, '.') &&
               take_number(t, 0, 6, &rule->day);
    }
    rule->kind = POSIX_ORDINAL;
    return take_number(t, 0, 365, &rule->day);
}

static bool take_rule(struct text *t, struct posix_rule *rule)
{
    rule->time_s = 2 * 3600;
    return take(t, ',') && take_day(t, rule) && (!take(t, '/') || take_time(t, 167, &rule->time_s));
}

bool posix_tz_parse(const char *text, size_t length, struct posix_tz *ret)
{
    struct text t = {text, text + length};
    struct posix_tz tz = {0};
    int west_s; // POSIX counts offsets westward
    if (!take_name(&t, tz.standard) || !take_time(&t, 24, &west_s))
        return false;
    tz.standard_s = -west_s;
    if (t.at < t.end) {
        tz.has_summer = true;
        if (!take_name(&t, tz.summer))
            return false;
        tz.summer_s = tz.standard_s + 3600;
        if (t.at < t.end && *t.at != ',') {
            if (!take_time(&t, 24, &west_s))
                return false;
            tz.summer_s = -west_s;
        }
        if (!take_rule(&t, &tz.start) || !take_rule(&t, &tz.end))
            return false;
    }
    if (t.at != t.end)
        return false;
    *ret = tz;
    return true;
}

// The days since 1970 of the rule's day in `year`.
static int64_t rule_day(const struct posix_rule *rule, int64_t year)
{
    int64_t first = days_from_civil(year, 1, 1);
    if (rule->kind == POSIX_ORDINAL)
        return first + rule->day;
    if (rule->kind == POSIX_JULIAN)
        return first + rule->day - 1 + (rule->day >= 60 && days_in_month(year, 2) == 29);
    int64_t of_month = days_from_civil(year, rule->month, 1);
    int ahead = (rule->day - weekday_from_days(of_month) + 7) % 7 + 7 * (rule->week - 1);
    if (ahead >= days_in_month(year, rule->month))
        ahead -= 7; // week 5 is the last, be it the fourth
    return of_month + ahead;
}

int64_t posix_rule_instant(const struct posix_rule *rule, int64_t year, int offset_s)
{
    return rule_day(rule, year) * DAY_S + rule->time_s - offset_s;
}
