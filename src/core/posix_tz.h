/*
 * posix_tz - the rule of a zone for the years its table does not list
 *
 * The TZ text of POSIX (XBD, 8.3) with the extensions of RFC 9636, 3.3.1:
 * "CET-1CEST,M3.5.0,M10.5.0/3", "<+03>-3", days as Jn, n or Mm.w.d, times from -167 to 167 hours. A
 * text with a summer time must say when it begins and ends.
 *
 * Used by core/tzif for the footer of a file. Not for the environment variable TZ, which nothing
 * here reads.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TZ_ABBREVIATION 16 // bytes, with the NUL
// The most that an offset from UTC may be, either way (RFC 9636, 3.2 recommends less than 26
// hours).
#define TZ_OFFSET_MAX (26 * 3600)

enum posix_day {
    POSIX_JULIAN,  // 1..365, 29 February is never counted
    POSIX_ORDINAL, // 0..365, 29 February is counted
    POSIX_WEEKDAY, // the week-th such weekday of a month; week 5 is the last
};

struct posix_rule {
    enum posix_day kind;
    int month, week, day;
    int time_s; // since local midnight of that day; may lie on another day
};

struct posix_tz {
    char standard[TZ_ABBREVIATION], summer[TZ_ABBREVIATION];
    int standard_s, summer_s; // seconds east of UTC
    bool has_summer;
    struct posix_rule start, end; // of summer time, each in the local time before it
};

// Reads the whole text; false where it is not of this form.
bool posix_tz_parse(const char *text, size_t length, struct posix_tz *ret);

// The instant, in seconds since 1970, at which the rule strikes in `year` on a clock `offset_s`
// east of UTC.
int64_t posix_rule_instant(const struct posix_rule *rule, int64_t year, int offset_s);
