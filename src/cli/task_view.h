/*
 * task_view - a task as people read it
 *
 * What it is, when it runs next, what to know about it (the runbook), and how it has been doing: on
 * one page of 80 columns.
 */
#pragma once

#include "base/json.h"
#include "cli/screen.h"

// `occurrences` and `runs` are the lists of the same name of the API; either may be NULL.
void task_view(struct screen *screen, const json_t *task, const json_t *occurrences,
               const json_t *runs);
