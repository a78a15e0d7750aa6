/*
 * moment - instants and durations
 *
 * Two kinds of time that do not mix: `wall` is UTC and may jump; `steady` only moves forward (it
 * counts while the machine sleeps). Both are microseconds. Calendars use wall; timeouts, leases and
 * backoff use steady. Durations are plain int64_t whose name ends in _us.
 *
 * Nothing here fetches a time: see base/now.h, which only dispatch, api, cli and server may
 * include.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef struct wall {
    int64_t us; // since 1970-01-01T00:00:00Z, without leap seconds
} wall;

typedef struct steady {
    int64_t us; // CLOCK_BOOTTIME
} steady;

#define MICROSECOND INT64_C(1)
#define MILLISECOND INT64_C(1000)
#define SECOND INT64_C(1000000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

// "Not set". Earlier than every instant, so a comparison with it never means "due".
#define WALL_NONE ((wall){INT64_MIN})
// "Never": later than every instant.
#define WALL_NEVER ((wall){INT64_MAX})

static inline bool wall_is_set(wall t)
{
    return t.us != INT64_MIN && t.us != INT64_MAX;
}

static inline wall wall_plus(wall t, int64_t us)
{
    return (wall){t.us + us};
}

static inline steady steady_plus(steady t, int64_t us)
{
    return (steady){t.us + us};
}

// RFC 3339 in UTC with milliseconds, "2026-03-29T01:00:00.000Z": 24 characters and a NUL.
#define MOMENT_TEXT 25
void wall_format(wall t, char text[static MOMENT_TEXT]);

// Reads an RFC 3339 instant with any offset ("2026-12-24T18:00:00+01:00", "...Z"; a fraction of up
// to nine digits, cut to microseconds; years 1970 to 9999). The whole of `length` bytes must match.
enum status wall_parse(const char *text, size_t length, wall *ret);

// Days since 1970-01-01 of a proleptic Gregorian date, and back (Howard Hinnant, "chrono-Compatible
// Low-Level Date Algorithms", days_from_civil and civil_from_days). month 1..12, day 1..31.
int64_t days_from_civil(int64_t year, int month, int day);
void civil_from_days(int64_t days, int64_t *year, int *month, int *day);
// 0 is Sunday.
int weekday_from_days(int64_t days);
int days_in_month(int64_t year, int month);

// Reads a duration: "250ms", "90s", "1h30m", "2d", "1w" (units w d h m s ms us, each once, largest
// first, a fraction only in the last), or ISO 8601 "PT1H30M", "P1D". Never negative; at most 100
// years. STATUS_INVALID otherwise.
enum status duration_parse(const char *text, size_t length, int64_t *ret_us);

// The shortest text that duration_parse reads back, e.g. "1h30m", "250ms", "0s". Needs
// DURATION_TEXT bytes.
#define DURATION_TEXT 40
void duration_format(int64_t us, char text[static DURATION_TEXT]);
