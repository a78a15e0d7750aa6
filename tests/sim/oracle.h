/*
 * oracle - when something is due, found a second way
 *
 * Shares no code with core/: zones are asked of the C library (localtime_r), calendar days too
 * (gmtime_r), and the occurrences of a cron pattern are found by looking at every minute. Slow and
 * plain; what the program says is held against it.
 *
 * Only patterns whose numbers are known from their making are understood: nothing is parsed.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/moment.h"

enum when_kind { WHEN_CRON, WHEN_EVERY, WHEN_AT };

struct when { // one schedule, as it was made
    enum when_kind kind;
    uint64_t minutes;
    uint32_t hours, days; // bits
    uint16_t months;
    uint8_t weekdays;
    bool any_day, any_weekday;
    bool elapsed; // the minute or the hour field begins with *
    int zone;
    bool gap_skip, overlap_both;
    int64_t every_us;
    wall at;
    wall start, end; // WALL_NONE, WALL_NEVER: open
    int64_t jitter_us;
};

struct instant {
    wall at;
    bool skipped; // daylight saving leaves it out: to be recorded, not run
};

struct instants {
    struct instant *items;
    size_t count, room;
};
void instants_done(struct instants *list);

// Every zone that is asked about, and when its clock changes.
int oracle_zone_count(void);
const char *oracle_zone_name(int zone);
// The n-th change of the zone's clock from 2026 on; false when there is none before 2029.
bool oracle_zone_change(int zone, int n, wall *ret);

// All instants t with after < t <= until of several schedules together, in order, each once.
void oracle_list(const struct when *schedules, int count, wall after, wall until,
                 struct instants *ret);
