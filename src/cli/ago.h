/*
 * ago - times as people say them
 */
#pragma once

#include "base/moment.h"

#define AGO_TEXT 32

// "now", "in 3 h", "2 min ago": one unit, cut rather than rounded, so that "in 1 h" is never less
// than an hour.
void ago_format(wall then, wall now, char text[static AGO_TEXT]);
// How long something took: "340 us", "34 ms", "1.2 s", "3 min 5 s", "2 h 10 min", "3 d 4 h". "-"
// where negative (unknown).
void span_format(int64_t us, char text[static AGO_TEXT]);
