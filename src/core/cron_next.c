// The calendar side of a cron expression: from one matching moment to the next. core/cron.c reads
// the text.

#include "base/moment.h"
#include "core/cron.h"

#define FIRST_YEAR 1970
#define LAST_YEAR 2199
#define DAY_S 86400

struct date {
    int64_t year;
    int month, day;
};

// The lowest bit of `bits` at or above `from`; -1 where there is none.
static int bit_from(uint64_t bits, int from)
{
    uint64_t rest = from < 64 ? bits >> from : 0;
    return rest ? from + __builtin_ctzll(rest) : -1;
}

static int64_t year_from(const struct cron *cron, int64_t year)
{
    for (int n = (int)(year < FIRST_YEAR ? 0 : year - FIRST_YEAR); n <= LAST_YEAR - FIRST_YEAR;) {
        int bit = bit_from(cron->years[n / 64], n % 64);
        if (bit >= 0)
            return FIRST_YEAR + n / 64 * 64 + bit;
        n = (n / 64 + 1) * 64;
    }
    return -1;
}

// The days of a month that match, bit n for day n. A field that begins with * narrows what the
// other one allows, if at all; where neither does, either is enough (OCPS 1.0, 6.1), unless + asks
// for both (OCPS 1.4, 4.1.2).
static uint32_t days_of_month(const struct cron *cron, int64_t year, int month)
{
    uint64_t week = cron->weekdays; // bit 0 is Sunday, repeated to fill six weeks
    week |= week << 7 | week << 14 | week << 21 | week << 28 | week << 35;
    int first = weekday_from_days(days_from_civil(year, month, 1));
    uint32_t by_weekday = (uint32_t)(week >> first << 1);
    uint32_t both = cron->days & by_weekday, either = cron->days | by_weekday;
    uint32_t all = (uint32_t)((UINT64_C(2) << days_in_month(year, month)) - 2);
    return all & (cron->day_is_star || cron->weekday_is_star || cron->and_days ? both : either);
}

// The first date that matches, not before `from`. Steps over years and months, never over days.
static bool date_from(const struct cron *cron, struct date from, struct date *ret)
{
    struct date at = from;
    for (;;) {
        int64_t year = year_from(cron, at.year);
        if (year < 0)
            return false;
        if (year != at.year)
            at = (struct date){year, 1, 1};
        int month = bit_from(cron->months, at.month);
        if (month < 0) {
            at = (struct date){at.year + 1, 1, 1};
            continue;
        }
        if (month != at.month)
            at = (struct date){at.year, month, 1};
        int day = bit_from(days_of_month(cron, at.year, at.month), at.day);
        if (day >= 0) {
            *ret = (struct date){at.year, at.month, day};
            return true;
        }
        at = (struct date){at.year, at.month + 1, 1};
    }
}

// The first second of a day that matches, not before `from`; -1 where none is left.
static int second_from(const struct cron *cron, int from)
{
    int hour = from / 3600, minute = from / 60 % 60, second = from % 60;
    int h = bit_from(cron->hours, hour);
    if (h == hour) {
        int m = bit_from(cron->minutes, minute);
        if (m == minute) {
            int s = bit_from(cron->seconds, second);
            if (s >= 0)
                return h * 3600 + m * 60 + s;
            m = bit_from(cron->minutes, minute + 1);
        }
        if (m >= 0)
            return h * 3600 + m * 60 + bit_from(cron->seconds, 0);
        h = bit_from(cron->hours, hour + 1);
    }
    if (h < 0)
        return -1;
    return h * 3600 + bit_from(cron->minutes, 0) * 60 + bit_from(cron->seconds, 0);
}

bool cron_next_local(const struct cron *cron, int64_t local_us, int64_t *ret_local_us)
{
    // Nothing lies before 1970 or after 2199, so the sums below stay small.
    int64_t least = -SECOND, most = days_from_civil(LAST_YEAR + 1, 1, 1) * DAY;
    int64_t after = local_us < least ? least : local_us > most ? most : local_us;
    int64_t second = after / SECOND - (after % SECOND < 0) + 1;
    struct date today, next;
    int64_t days = second / DAY_S;
    civil_from_days(days, &today.year, &today.month, &today.day);
    if (!date_from(cron, today, &next))
        return false;
    int of_day = -1;
    if (next.year == today.year && next.month == today.month && next.day == today.day) {
        of_day = second_from(cron, (int)(second % DAY_S));
        if (of_day < 0) {
            civil_from_days(days + 1, &today.year, &today.month, &today.day);
            if (!date_from(cron, today, &next))
                return false;
        }
    }
    if (of_day < 0)
        of_day = second_from(cron, 0);
    *ret_local_us = days_from_civil(next.year, next.month, next.day) * DAY + of_day * SECOND;
    return true;
}
