/*
 * now - the two clocks
 *
 * The only place that fetches a time. core, store and scheduler may not include this: `now` is
 * given to them, so that whole days can be simulated (src/LAYERS says so and tools/layers checks
 * it).
 */
#pragma once

#include "base/moment.h"

wall wall_now(void);     // CLOCK_REALTIME
steady steady_now(void); // CLOCK_BOOTTIME
