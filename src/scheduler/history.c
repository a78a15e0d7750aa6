// What has ended is kept within limits: cleared in small steps, a few runs more than have ended
// since, so that it keeps up without being noticed; and when nothing else is to be done, faster.
#include "scheduler/state.h"

#define LOOK_EVERY_US SECOND // while there is nothing to clear
#define LOOK_QUIET_US MINUTE // and nothing is written: then only age can make something go
#define IDLE_STEP_US (20 * MILLISECOND)
#define RUNS_A_BUSY_TURN 16 // and two for each that ended
#define RUNS_A_TURN_MOST 2000
#define BEGIN_ANEW_US (10 * MINUTE) // what had to stay then may go now

static bool has_limits(const struct scheduler_options *o)
{
    return o->history_age_us > 0 || o->history_rows > 0 || o->history_bytes > 0;
}

static struct history_limits limits_at(const struct scheduler_options *o, wall now)
{
    return (struct history_limits){
        .before = o->history_age_us > 0 ? wall_plus(now, -o->history_age_us) : WALL_NONE,
        .rows = o->history_rows,
        .bytes = o->history_bytes,
    };
}

// One call of the store. True when more is to be cleared.
static bool clear_some(struct scheduler *s, const struct history_limits *limits, size_t max)
{
    struct history_cleared cleared;
    if (!went_well(s, store_clear_history(s->store, limits, &s->history.place, max, &cleared)))
        return false;
    s->history.cleared += cleared.runs;
    for (size_t i = 0; i < cleared.definition_count; i++)
        known_forget_definition(&s->known, cleared.definitions[i]);
    return cleared.more;
}

static bool is_time_to_look(const struct scheduler *s, wall now)
{
    const struct history *h = &s->history;
    int64_t every = s->turn == h->turn ? LOOK_QUIET_US : LOOK_EVERY_US;
    // The clock may have been set back: then the next look is now.
    return !wall_is_set(h->looked) || now.us - h->looked.us >= every || now.us < h->looked.us;
}

void keep_history(struct scheduler *s, wall now, bool idle)
{
    struct history *h = &s->history;
    if (s->broken || s->stopping || !has_limits(&s->options))
        return;
    if (!h->more && !is_time_to_look(s, now))
        return;
    if (!wall_is_set(h->began) || now.us - h->began.us >= BEGIN_ANEW_US || now.us < h->began.us) {
        h->place = (struct history_place){.ended = WALL_NONE};
        h->began = now;
    }
    uint64_t ended = count_ended(&s->metrics);
    struct history_limits limits = limits_at(&s->options, now);
    size_t budget = idle ? HISTORY_STEP_MAX : RUNS_A_BUSY_TURN + 2 * (size_t)(ended - h->ended);
    if (budget > RUNS_A_TURN_MOST)
        budget = RUNS_A_TURN_MOST;
    h->ended = ended;
    h->turn = s->turn;
    h->looked = now;
    do {
        size_t max = budget < HISTORY_STEP_MAX ? budget : HISTORY_STEP_MAX;
        h->more = clear_some(s, &limits, max);
        budget -= max;
    } while (h->more && budget > 0);
}

wall history_next(const struct scheduler *s)
{
    const struct history *h = &s->history;
    return h->more && !s->stopping ? wall_plus(h->looked, IDLE_STEP_US) : WALL_NEVER;
}
