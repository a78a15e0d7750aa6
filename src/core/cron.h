/*
 * cron - one cron expression
 *
 * Follows the Open Cron Pattern Specification 1.0 to 1.2 in this version: 5 fields, 6 with seconds
 * first, 7 with years last, names, lists, ranges, steps, nicknames (@yearly, @annually, @monthly,
 * @weekly, @daily,
 * @midnight, @hourly); of 1.4 the + before the day of week and ? for * in the two day fields; and
 * `@every 15m`, which core/schedule turns into `every`. Strict: a step follows * or a full range.
 * Reads and answers; knows fields of a calendar day, no zone: core/schedule joins both.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct cron {
    uint64_t seconds, minutes; // bit n: n is allowed
    uint32_t hours;            // 0..23
    uint32_t days;             // of the month, 1..31
    uint16_t months;           // 1..12
    uint8_t weekdays;          // 0 is Sunday
    uint64_t years[4];         // bit n: 1970 + n; 1970..2199
    bool has_seconds, has_years;
    bool day_is_star, weekday_is_star; // first item begins with * or is ?: both fields must hold
                                       // then, and * alone always does
    bool and_days; // + before the day of week: both must hold (OCPS 1.4); otherwise either, where
                   // both restrict
    bool
        elapsed; // minute or hour field begins with *: follows elapsed time through DST (design, 6)
};

// `ret_detail` (size bytes) gets a sentence that says what is wrong and what to write instead.
enum status cron_parse(const char *text, struct cron *ret, char *ret_detail, size_t size);

// The first moment of local calendar time strictly after `local_us` (as in zone.h) that matches;
// false when there is none until the end of 2199. Bounded: it steps over years, months, days, never
// over minutes.
bool cron_next_local(const struct cron *cron, int64_t local_us, int64_t *ret_local_us);
