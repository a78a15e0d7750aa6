#include "base/moment.h"

#include <stdio.h>
#include <string.h>

int64_t days_from_civil(int64_t year, int month, int day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

void civil_from_days(int64_t days, int64_t *year, int *month, int *day)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t day_of_era = days - era * 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t shifted = (5 * day_of_year + 2) / 153;
    *day = (int)(day_of_year - (153 * shifted + 2) / 5 + 1);
    *month = (int)(shifted < 10 ? shifted + 3 : shifted - 9);
    *year = year_of_era + era * 400 + (*month <= 2);
}

int weekday_from_days(int64_t days)
{
    int64_t day = (days + 4) % 7; // 1970-01-01 was a Thursday
    return (int)(day < 0 ? day + 7 : day);
}

int days_in_month(int64_t year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap);
}

static void put_digits(char *at, int64_t n, int count)
{
    while (count--) {
        at[count] = (char)('0' + n % 10);
        n /= 10;
    }
}

void wall_format(wall t, char text[static MOMENT_TEXT])
{
    int64_t days = t.us / DAY, rest = t.us % DAY, year;
    if (rest < 0) {
        rest += DAY;
        days--;
    }
    int month, day;
    civil_from_days(days, &year, &month, &day);
    memcpy(text, "0000-00-00T00:00:00.000Z", MOMENT_TEXT);
    put_digits(text, year, 4);
    put_digits(text + 5, month, 2);
    put_digits(text + 8, day, 2);
    put_digits(text + 11, rest / HOUR, 2);
    put_digits(text + 14, rest / MINUTE % 60, 2);
    put_digits(text + 17, rest / SECOND % 60, 2);
    put_digits(text + 20, rest / MILLISECOND % 1000, 3);
}

struct cursor {
    const char *at, *end;
};

static bool take(struct cursor *c, char wanted)
{
    if (c->at == c->end || *c->at != wanted)
        return false;
    c->at++;
    return true;
}

static bool take_number(struct cursor *c, int digits, int least, int most, int *ret)
{
    if (c->end - c->at < digits)
        return false;
    int n = 0;
    for (int i = 0; i < digits; i++) {
        if (c->at[i] < '0' || c->at[i] > '9')
            return false;
        n = n * 10 + (c->at[i] - '0');
    }
    c->at += digits;
    *ret = n;
    return n >= least && n <= most;
}

// ".5" up to nine digits, as microseconds.
static bool take_fraction(struct cursor *c, int64_t *ret_us)
{
    *ret_us = 0;
    if (!take(c, '.'))
        return true;
    int64_t unit = SECOND / 10;
    int digits = 0;
    for (; c->at < c->end && *c->at >= '0' && *c->at <= '9'; c->at++, digits++, unit /= 10)
        *ret_us += (*c->at - '0') * unit;
    return digits >= 1 && digits <= 9;
}

static bool take_offset(struct cursor *c, int64_t *ret_us)
{
    *ret_us = 0;
    if (take(c, 'Z') || take(c, 'z'))
        return true;
    int64_t sign = take(c, '+') ? 1 : take(c, '-') ? -1 : 0;
    int hours, minutes;
    if (!sign || !take_number(c, 2, 0, 23, &hours) || !take(c, ':') ||
        !take_number(c, 2, 0, 59, &minutes))
        return false;
    *ret_us = sign * (hours * HOUR + minutes * MINUTE);
    return true;
}

// RFC 3339, 5.6: date-time. A leap second (":60") is refused: it names no instant of ours.
enum status wall_parse(const char *text, size_t length, wall *ret)
{
    struct cursor c = {text, text + length};
    int year, month, day, hour, minute, second;
    int64_t fraction, offset;
    if (!take_number(&c, 4, 1970, 9999, &year) || !take(&c, '-') ||
        !take_number(&c, 2, 1, 12, &month) || !take(&c, '-') || !take_number(&c, 2, 1, 31, &day) ||
        day > days_in_month(year, month))
        return STATUS_INVALID;
    if (!take(&c, 'T') && !take(&c, 't') && !take(&c, ' '))
        return STATUS_INVALID;
    if (!take_number(&c, 2, 0, 23, &hour) || !take(&c, ':') ||
        !take_number(&c, 2, 0, 59, &minute) || !take(&c, ':') ||
        !take_number(&c, 2, 0, 59, &second) || !take_fraction(&c, &fraction) ||
        !take_offset(&c, &offset) || c.at != c.end)
        return STATUS_INVALID;
    ret->us = days_from_civil(year, month, day) * DAY + hour * HOUR + minute * MINUTE +
              second * SECOND + fraction - offset;
    return STATUS_OK;
}

#define DURATION_MAX (36525 * DAY)

struct unit {
    const char *name;
    int64_t us;
};

// Largest first; "ms" before "m" would not matter, as the longest name that fits is taken.
static const struct unit units[] = {
    {"w", 7 * DAY}, {"d", DAY},          {"h", HOUR}, {"m", MINUTE},
    {"s", SECOND},  {"ms", MILLISECOND}, {"us", 1},
};
static const struct unit iso_date[] = {{"W", 7 * DAY}, {"D", DAY}};
static const struct unit iso_time[] = {{"H", HOUR}, {"M", MINUTE}, {"S", SECOND}};

static int take_unit(struct cursor *c, const struct unit *table, int count)
{
    int best = -1;
    size_t best_length = 0;
    for (int i = 0; i < count; i++) {
        size_t length = strlen(table[i].name);
        if (length > best_length && (size_t)(c->end - c->at) >= length &&
            memcmp(c->at, table[i].name, length) == 0) {
            best = i;
            best_length = length;
        }
    }
    c->at += best_length;
    return best;
}

// Numbers with units out of `table`, each later in the table than the one before; a fraction ends
// it.
static bool take_amounts(struct cursor *c, const struct unit *table, int count, int64_t *total)
{
    int last = -1;
    bool fraction = false;
    while (c->at < c->end && *c->at >= '0' && *c->at <= '9' && !fraction) {
        int64_t whole = 0, micro = 0, unit = SECOND / 10;
        for (; c->at < c->end && *c->at >= '0' && *c->at <= '9'; c->at++) {
            whole = whole * 10 + (*c->at - '0');
            if (whole > DURATION_MAX)
                return false;
        }
        if (take(c, '.')) {
            fraction = true;
            const char *start = c->at;
            for (; c->at < c->end && *c->at >= '0' && *c->at <= '9'; c->at++, unit /= 10)
                micro += (*c->at - '0') * unit;
            if (c->at == start)
                return false;
        }
        int at = take_unit(c, table, count);
        if (at <= last || whole > DURATION_MAX / table[at].us)
            return false;
        *total += whole * table[at].us + (int64_t)((__int128)micro * table[at].us / SECOND);
        if (*total > DURATION_MAX)
            return false;
        last = at;
    }
    return last >= 0;
}

enum status duration_parse(const char *text, size_t length, int64_t *ret_us)
{
    struct cursor c = {text, text + length};
    int64_t total = 0;
    bool ok;
    if (take(&c, 'P')) { // ISO 8601, 5.5.2, without years and months: they are no fixed length
        ok = take_amounts(&c, iso_date, 2, &total);
        if (take(&c, 'T'))
            ok = take_amounts(&c, iso_time, 3, &total);
    } else {
        ok = take_amounts(&c, units, 7, &total);
    }
    if (!ok || c.at != c.end)
        return STATUS_INVALID;
    *ret_us = total;
    return STATUS_OK;
}

void duration_format(int64_t us, char text[static DURATION_TEXT])
{
    static const char *const names[] = {"d", "h", "m", "s", "ms", "us"};
    static const int64_t sizes[] = {DAY, HOUR, MINUTE, SECOND, MILLISECOND, 1};
    size_t at = 0;
    text[0] = '\0';
    for (size_t i = 0; i < 6; i++)
        if (us >= sizes[i]) {
            at += (size_t)snprintf(text + at, DURATION_TEXT - at, "%lld%s",
                                   (long long)(us / sizes[i]), names[i]);
            us %= sizes[i];
        }
    if (at == 0)
        memcpy(text, "0s", 3);
}
