#include "core/schedule.h"

#include <stdlib.h>
#include <string.h>

#include "base/map.h"

// The instants that are calculated with: 1970 to 9999. Beyond them sums could overflow.
#define LEAST (-SECOND)
#define MOST (INT64_C(253402300800) * SECOND)

// --- cron in a zone ---
//
// A zone is a chain of spans with one offset each. Within a span local time and UTC run in step, so
// the next matching local time is the next occurrence, unless it lies beyond the span's end. Then
// the search goes on in the next span, and the change between both is where the daylight saving
// rule decides. What is an occurrence depends on the change and on the pattern only, never on where
// the search began.

// The last local moment of the span that holds t.
static bool span_end(const struct zone *zone, wall t, int64_t *ret_local_us)
{
    struct zone_change change;
    if (!zone_next_change(zone, t, &change))
        return false;
    *ret_local_us = change.at.us + change.before_s * SECOND - 1;
    return true;
}

// The next occurrence of local time after `local`, in the span with this offset that ends at `end`.
static bool next_in_span(const struct schedule *s, int64_t local, int offset_s, wall end,
                         struct occurrence *ret)
{
    while (cron_next_local(&s->cron, local, &local)) {
        wall t = {local - offset_s * SECOND};
        if (t.us >= end.us)
            return false;
        struct local_meaning meaning = zone_from_local(s->zone, local);
        if (meaning.kind != LOCAL_OVERLAP) {
            *ret = (struct occurrence){t, DST_NONE};
            return true;
        }
        bool first = t.us == meaning.first.us;
        if (first || s->cron.elapsed || s->overlap == DST_OVERLAP_BOTH) {
            *ret = (struct occurrence){t, first ? DST_FIRST_PASS : DST_SECOND_PASS};
            return true;
        }
        // All that the first pass has shown comes a second time here: go behind it at once.
        if (!span_end(s->zone, meaning.first, &local))
            return false;
    }
    return false;
}

// Whether a fixed time lies in the gap that this change makes.
static bool gap_swallows(const struct schedule *s, const struct zone_change *change)
{
    int64_t local = change->at.us + change->before_s * SECOND - 1;
    int64_t end = change->at.us + change->after_s * SECOND;
    while (local < end && cron_next_local(&s->cron, local, &local) && local < end) {
        struct local_meaning meaning = zone_from_local(s->zone, local);
        if (meaning.kind == LOCAL_GAP && meaning.first.us == change->at.us)
            return true;
        // Another change close by has brought this time back: it exists after all, and so does what
        // follows it.
        if (meaning.kind != LOCAL_GAP && !span_end(s->zone, meaning.second, &local))
            return false;
    }
    return false;
}

static bool next_cron(const struct schedule *s, wall t, struct occurrence *ret)
{
    int offset_s = zone_offset(s->zone, t, NULL);
    int64_t local = t.us + offset_s * SECOND;
    for (;;) {
        struct zone_change change;
        bool more = zone_next_change(s->zone, t, &change);
        if (next_in_span(s, local, offset_s, more ? change.at : WALL_NEVER, ret))
            return true;
        if (!more)
            return false;
        t = change.at;
        offset_s = change.after_s;
        local = t.us + offset_s * SECOND - 1; // the first instant of the new span counts
        if (!s->cron.elapsed && change.after_s > change.before_s && gap_swallows(s, &change)) {
            wall soon = wall_plus(t, 1);
            if (!next_in_span(s, local, offset_s, soon, ret)) // a time that is really there wins
                *ret = (struct occurrence){t, s->gap == DST_GAP_SKIP ? DST_SKIPPED : DST_MOVED};
            return true;
        }
    }
}

// --- every and at ---

static bool next_every(const struct schedule *s, wall t, struct occurrence *ret)
{
    int64_t anchor = wall_is_set(s->start) ? s->start.us : 0;
    int64_t passed = t.us < anchor ? 0 : (t.us - anchor) / s->every_us + 1;
    *ret = (struct occurrence){{anchor + passed * s->every_us}, DST_NONE};
    return true;
}

static bool next_at(const struct schedule *s, wall t, struct occurrence *ret)
{
    *ret = (struct occurrence){s->at, DST_NONE};
    return t.us < s->at.us;
}

// --- the whole ---

static bool (*const next_of_kind[])(const struct schedule *, wall, struct occurrence *) = {
    [SCHEDULE_CRON] = next_cron,
    [SCHEDULE_EVERY] = next_every,
    [SCHEDULE_AT] = next_at,
};

bool schedule_next(const struct schedule *schedule, wall t, struct occurrence *ret)
{
    struct occurrence found;
    if (t.us < LEAST)
        t.us = LEAST;
    if (wall_is_set(schedule->start) && t.us < schedule->start.us)
        t.us = schedule->start.us - 1; // start itself counts
    if (t.us >= MOST || !next_of_kind[schedule->kind](schedule, t, &found) ||
        (wall_is_set(schedule->end) && found.nominal.us >= schedule->end.us))
        return false;
    *ret = found;
    return true;
}

wall schedule_effective(const struct schedule *schedule, const char *task, wall nominal)
{
    if (schedule->jitter_us <= 0)
        return nominal;
    struct {
        uint64_t task;
        int64_t nominal;
    } key = {task ? hash_bytes(task, strlen(task)) : 0, nominal.us};
    uint64_t offset = hash_bytes(&key, sizeof key) % (uint64_t)schedule->jitter_us;
    return wall_plus(nominal, (int64_t)offset);
}

const char *dst_note_text(enum dst_note note)
{
    static const char *const texts[] = {
        [DST_NONE] = "",
        [DST_MOVED] =
            "the clock jumps over its local time: it runs at the first instant after the gap",
        [DST_SKIPPED] = "the clock jumps over its local time: it is skipped",
        [DST_FIRST_PASS] = "its local time comes twice: this is the first",
        [DST_SECOND_PASS] = "its local time comes twice: this is the second",
    };
    return texts[note];
}

void schedule_done(struct schedule *schedule)
{
    free(schedule->expression);
    schedule->expression = NULL;
}
