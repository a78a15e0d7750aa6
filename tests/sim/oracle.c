#include "sim/oracle.h"

#include <stdlib.h>
#include <time.h>

#include "base/memory.h"

#define FIRST_S INT64_C(1767139200) // 2025-12-31
#define LAST_S INT64_C(1861920000)  // 2029-01-01
#define SCANNED_S (6 * 3600) // no zone changes twice within it
#define CHANGES_MAX 40
#define MINUTES_OF_A_DAY 1440

struct change {
    int64_t at_s;
    int before_s, after_s;
};

struct clock_of_zone {
    const char *name;
    bool known;
    int offset_s; // before the first change
    int count;
    struct change changes[CHANGES_MAX];
};

// Half-hour and two-hour changes, changes at midnight, the southern half, Ramadan, none at all.
static struct clock_of_zone zones[] = {
    {"UTC"},
    {"Europe/Berlin"},
    {"America/New_York"},
    {"Australia/Lord_Howe"},
    {"Africa/Casablanca"},
    {"America/Havana"},
    {"Africa/Cairo"},
    {"Asia/Kathmandu"},
    {"Pacific/Chatham"},
    {"America/Santiago"},
    {"Antarctica/Troll"},
    {"Europe/Lisbon"},
};

static int asked_offset(int64_t at_s)
{
    time_t at = (time_t)at_s;
    struct tm local;
    localtime_r(&at, &local);
    return (int)local.tm_gmtoff;
}

// The second at which the offset changes, which lies in (low, high].
static void add_change(struct clock_of_zone *zone, int64_t low, int64_t high)
{
    int before = asked_offset(low);
    while (high - low > 1) {
        int64_t middle = low + (high - low) / 2;
        if (asked_offset(middle) == before)
            low = middle;
        else
            high = middle;
    }
    if (zone->count == CHANGES_MAX)
        abort();
    zone->changes[zone->count++] = (struct change){high, before, asked_offset(high)};
}

static struct clock_of_zone *zone_at(int number)
{
    struct clock_of_zone *zone = &zones[number];
    if (zone->known)
        return zone;
    setenv("TZ", zone->name, 1);
    tzset();
    zone->offset_s = asked_offset(FIRST_S);
    for (int64_t at = FIRST_S; at < LAST_S; at += SCANNED_S)
        if (asked_offset(at) != asked_offset(at + SCANNED_S))
            add_change(zone, at, at + SCANNED_S);
    setenv("TZ", "UTC", 1);
    tzset();
    zone->known = true;
    return zone;
}

int oracle_zone_count(void)
{
    return (int)(sizeof zones / sizeof *zones);
}

const char *oracle_zone_name(int zone)
{
    return zones[zone].name;
}

bool oracle_zone_change(int zone, int n, wall *ret)
{
    const struct clock_of_zone *at = zone_at(zone);
    if (n >= at->count)
        return false;
    *ret = (wall){at->changes[n].at_s * SECOND};
    return true;
}

void instants_done(struct instants *list)
{
    free(list->items);
    *list = (struct instants){0};
}

static void add(struct instants *list, const struct when *when, int64_t at_us, bool skipped)
{
    if ((wall_is_set(when->start) && at_us < when->start.us) ||
        (wall_is_set(when->end) && at_us >= when->end.us))
        return;
    if (list->count == list->room) {
        list->room = list->room ? list->room * 2 : 64;
        list->items = memory_resize(list->items, list->room, sizeof *list->items);
    }
    list->items[list->count++] = (struct instant){{at_us}, skipped};
}

// --- cron ---

static bool day_matches(const struct when *when, int64_t day)
{
    static int64_t seen = -1; // whoever scans minutes asks for the same day again
    static struct tm date;
    if (day != seen) {
        time_t at = (time_t)(day * 86400);
        gmtime_r(&at, &date);
        seen = day;
    }
    if (!(when->months >> (date.tm_mon + 1) & 1))
        return false;
    bool in_month = when->any_day || (when->days >> date.tm_mday & 1);
    bool in_week = when->any_weekday || (when->weekdays >> date.tm_wday & 1);
    // Where both are restricted, either will do.
    return when->any_day || when->any_weekday ? in_month && in_week : in_month || in_week;
}

static bool minute_matches(const struct when *when, int64_t local_minute)
{
    int64_t day = local_minute / MINUTES_OF_A_DAY;
    int of_day = (int)(local_minute % MINUTES_OF_A_DAY);
    return (when->minutes >> (of_day % 60) & 1) && (when->hours >> (of_day / 60) & 1) &&
           day_matches(when, day);
}

// A fixed time that the clock jumps over becomes one occurrence at the end of the jump.
static void scan_jump(const struct when *when, const struct change *change, struct instants *ret)
{
    int64_t first = (change->at_s + change->before_s) / 60;
    int64_t end = (change->at_s + change->after_s) / 60;
    if (minute_matches(when, end))
        return; // a time that is really there, and found as such
    for (int64_t minute = first; minute < end; minute++)
        if (minute_matches(when, minute)) {
            add(ret, when, change->at_s * SECOND, when->gap_skip);
            return;
        }
}

static void scan_cron(const struct when *when, wall after, wall until, struct instants *ret)
{
    const struct clock_of_zone *zone = zone_at(when->zone);
    int64_t minute = after.us / MINUTE + 1, last = until.us / MINUTE;
    int offset_s = zone->offset_s, next = 0;
    int64_t again_until_s = 0; // up to here the clock shows what it has shown before
    for (; minute <= last; minute++) {
        while (next < zone->count && zone->changes[next].at_s <= minute * 60) {
            const struct change *change = &zone->changes[next++];
            offset_s = change->after_s;
            int back_s = change->before_s - change->after_s;
            again_until_s = back_s > 0 ? change->at_s + back_s : 0;
            if (back_s < 0 && !when->elapsed && change->at_s * SECOND > after.us)
                scan_jump(when, change, ret);
        }
        bool again = minute * 60 < again_until_s;
        if (minute_matches(when, minute + offset_s / 60) &&
            (!again || when->elapsed || when->overlap_both))
            add(ret, when, minute * MINUTE, false);
    }
}

// --- the others ---

static void scan_every(const struct when *when, wall after, wall until, struct instants *ret)
{
    int64_t at = wall_is_set(when->start) ? when->start.us : 0;
    if (after.us >= at)
        at += ((after.us - at) / when->every_us + 1) * when->every_us;
    for (; at <= until.us; at += when->every_us)
        add(ret, when, at, false);
}

static int in_order(const void *left, const void *right)
{
    const struct instant *a = left, *b = right;
    if (a->at.us != b->at.us)
        return a->at.us < b->at.us ? -1 : 1;
    return a->skipped - b->skipped; // one that is wanted comes first, and stays
}

void oracle_list(const struct when *schedules, int count, wall after, wall until,
                 struct instants *ret)
{
    *ret = (struct instants){0};
    for (int i = 0; i < count; i++) {
        const struct when *when = &schedules[i];
        if (when->kind == WHEN_CRON)
            scan_cron(when, after, until, ret);
        else if (when->kind == WHEN_EVERY)
            scan_every(when, after, until, ret);
        else if (when->at.us > after.us && when->at.us <= until.us)
            add(ret, when, when->at.us, false);
    }
    if (ret->count == 0)
        return;
    qsort(ret->items, ret->count, sizeof *ret->items, in_order);
    size_t kept = 1;
    for (size_t i = 1; i < ret->count; i++)
        if (ret->items[i].at.us != ret->items[kept - 1].at.us)
            ret->items[kept++] = ret->items[i];
    ret->count = kept;
}
