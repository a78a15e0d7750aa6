/*
 * schedule - when
 *
 * One of cron, every, at, in a zone, with the written rule for daylight saving (design, 6). Plain
 * calculation: the same schedule and instant always give the same answer, and next(t) > t.
 *
 * Room is left for RRULE, L, W, # and H: each would be one more `kind`, or more bits in struct
 * cron.
 */
#pragma once

#include "base/json.h"
#include "base/moment.h"
#include "core/cron.h"
#include "core/fault.h"
#include "core/zone.h"

enum schedule_kind { SCHEDULE_CRON, SCHEDULE_EVERY, SCHEDULE_AT };
enum dst_gap { DST_GAP_RUN, DST_GAP_SKIP };
enum dst_overlap { DST_OVERLAP_FIRST, DST_OVERLAP_BOTH };

struct schedule {
    enum schedule_kind kind;
    char *expression; // as written: the cron text, the duration, the instant
    struct cron cron;
    int64_t every_us; // anchored at `start` where given, else at 1970-01-01T00:00:00Z
    wall at;
    const struct zone *zone; // never NULL; UTC where not said
    enum dst_gap gap;
    enum dst_overlap overlap;
    int64_t jitter_us; // 0: none
    wall start,
        end; // no occurrence before start, none at or after end; WALL_NONE and WALL_NEVER: open
};

// What the daylight saving rule made of an occurrence.
enum dst_note {
    DST_NONE,
    DST_MOVED,      // its local time does not exist: it runs at the first instant after the gap
    DST_SKIPPED,    // ... and the schedule says skip: recorded, not run
    DST_FIRST_PASS, // its local time comes twice: this is the first
    DST_SECOND_PASS,
};
const char *dst_note_text(enum dst_note note); // a sentence; "" for DST_NONE

struct occurrence {
    wall nominal;
    enum dst_note dst;
};

// The first occurrence strictly after t. False when none is left.
bool schedule_next(const struct schedule *schedule, wall t, struct occurrence *ret);

// The effective instant: nominal plus a positive offset below jitter, fixed by a hash of (name,
// nominal), so restarts do not move it.
wall schedule_effective(const struct schedule *schedule, const char *task, wall nominal);

// Decodes {"cron"|"every"|"at": ..., "timezone", "dst_gap", "dst_overlap", "jitter", "start",
// "end"}. Faults carry pointers below `pointer`. `timezone` is the default zone's name (NULL: UTC).
// On STATUS_OK the caller owns ret: schedule_done.
enum status schedule_decode(const json_t *value, const char *pointer, const char *timezone,
                            struct faults *faults, struct schedule *ret);
void schedule_done(struct schedule *schedule);

// The canonical JSON of the schedule: an object that schedule_decode reads back to the same;
// defaults left out. New reference.
json_t *schedule_encode(const struct schedule *schedule);
