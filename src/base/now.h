/*
 * now - the two clocks
 *
 * The only place that fetches a time. core, store and scheduler may not include this: `now` is
 * given to them, so that whole days can be simulated (src/LAYERS says so and tools/layers checks
 * it).
 *
 * With a test clock (serve --test-clock) the wall clock stands still where it was stopped, until it
 * is stopped at a later moment: by the roof before its threads start, then by server/travel.c
 * alone. The steady clock always goes on: what waits for others by it (timeouts of attempts,
 * connections) waits for real.
 */
#pragma once

#include "base/moment.h"

wall wall_now(void);     // CLOCK_REALTIME, or where it was stopped
steady steady_now(void); // CLOCK_BOOTTIME

// From now on the wall clock of this process shows this moment. Any thread may look at it
// meanwhile.
void wall_stop(wall at);
bool wall_is_stopped(void);
