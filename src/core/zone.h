/*
 * zone - time zones
 *
 * Reads TZif files (RFC 9636, versions 1 to 4, with the POSIX footer for the far future) of the
 * system's tzdata. A zone is immutable once loaded and shared by all threads; a table keeps every
 * zone asked for until the program ends (there are about 600).
 *
 * Not here: which local times a schedule means. That is core/cron and core/schedule.
 */
#pragma once

#include <stdbool.h>

#include "base/moment.h"

struct zone;

// Where zones are read from: $TZDIR, else /usr/share/zoneinfo. "UTC" is always there, without any
// file. STATUS_NOT_FOUND for a name that is no zone (also for "../x" and absolute paths),
// STATUS_INVALID for a broken file. Any thread. The zone is never freed.
enum status zone_find(const char *name, const struct zone **ret);
const char *zone_name(const struct zone *zone);
// Builds a zone from TZif bytes, for tests and the fuzzer. Free with zone_free.
enum status zone_read(const char *name, const void *bytes, size_t size, struct zone **ret);
void zone_free(struct zone *zone);

// Seconds east of UTC in force at t; its abbreviation ("CEST", owned by the zone) where wanted.
int zone_offset(const struct zone *zone, wall t, const char **ret_abbreviation);

// The next instant after t at which the offset changes. False where none comes before the year
// 2400.
struct zone_change {
    wall at;               // the first instant of the new offset
    int before_s, after_s; // offsets in seconds east of UTC; after > before is a gap, after <
                           // before an overlap
};
bool zone_next_change(const struct zone *zone, wall t, struct zone_change *ret);

// What a local clock reading means. `local` is microseconds since 1970-01-01T00:00:00 as that clock
// shows.
enum local_kind { LOCAL_UNIQUE, LOCAL_GAP, LOCAL_OVERLAP };
struct local_meaning {
    enum local_kind kind;
    wall first;  // unique: the instant. Overlap: the earlier one. Gap: the first instant after the
                 // gap.
    wall second; // overlap: the later instant. Otherwise the same as first.
};
struct local_meaning zone_from_local(const struct zone *zone, int64_t local_us);

// RFC 3339 with the zone's offset, to the second: "2026-03-29T03:00:00+02:00": 25 characters and a
// NUL.
#define ZONED_TEXT 26
void zone_format(const struct zone *zone, wall t, char text[static ZONED_TEXT]);
