// What goes wrong.
#include "sim/world.h"

// Down for a moment or for long.
static int64_t down_for(const struct world *w, struct random *chance)
{
    return random_below(chance, 3) ? random_below(chance, 20 * SECOND)
                                   : random_below(chance, w->end_us / 10);
}

static void crash_now(struct world *w, struct random *chance)
{
    crash(w, down_for(w, chance));
}

static void stop(struct world *w, struct random *chance)
{
    stop_well(w, down_for(w, chance));
}

// The next turns meet it.
static void break_disk(struct world *w, struct random *chance)
{
    w->armed = (enum disk_fault)(1 + random_below(chance, DISK_FAULT_COUNT - 1));
    w->armed_calls = (int)random_below(chance, 6);
}

static void step_clock(struct world *w, struct random *chance)
{
    static const int64_t most[] = {2 * SECOND, 5 * MINUTE, 4 * HOUR};
    int64_t step = random_below(chance, most[random_below(chance, 3)]);
    set_clock(w, random_below(chance, 2) ? step : -step, w->drift_ppm);
    rush(w, w->now_us, 1);
}

static void drift(struct world *w, struct random *chance)
{
    set_clock(w, 0, (int)random_below(chance, 401) - 200);
}

// The machine stands still: nothing is decided for a while.
static void stand_still(struct world *w, struct random *chance)
{
    w->now_us +=
        random_below(chance, 3) ? random_below(chance, SECOND) : random_below(chance, 90 * SECOND);
    w->disturbed_us = w->now_us;
    rush(w, w->now_us, 1);
}

// Users meddle in the very moment in which something is claimed, sent or planned.
static void meddle(struct world *w, struct random *chance)
{
    int64_t turn = world_next_turn(w);
    if (w->store && turn < w->end_us)
        rush(w, turn, 1 + random_below(chance, 40 * MILLISECOND));
}

static void change_mood(struct world *w, struct random *chance)
{
    w->moods[random_below(chance, ENDPOINTS)] =
        random_below(chance, 2) ? MOOD_WELL : (enum mood)random_below(chance, MOOD_COUNT);
}

const struct event fault_events[] = {
    {"crash", 4, crash_now},   {"stop", 2, stop},      {"disk", 5, break_disk},
    {"step", 2, step_clock},   {"drift", 2, drift},    {"stand_still", 3, stand_still},
    {"mood", 12, change_mood}, {"meddle", 20, meddle},
};
const size_t fault_event_count = sizeof fault_events / sizeof *fault_events;
