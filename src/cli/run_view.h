/*
 * run_view - runs as people read them
 */
#pragma once

#include "base/json.h"
#include "cli/screen.h"

// One run with all its attempts.
void run_view(struct screen *screen, const json_t *run);
// A table of runs. `task`: with the name of the task.
void run_view_table(struct screen *screen, int indent, const json_t *runs, bool task);
