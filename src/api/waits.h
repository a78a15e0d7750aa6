/*
 * waits - why a due run has not started
 *
 * What the store and the scheduler's pulse tell for certain: a pause, an endpoint that is down,
 * another run of its task, a limit, no worker that takes it. What only the scheduler's memory knows
 * is left unsaid, and so is who is next among those who wait for the same.
 *
 * Used by runs.c, for one run at a time.
 */
#pragma once

#include "api/request.h"
#include "core/run.h"

// Fills run->reason of a due run that has none, where the cause is known.
void waits_explain(struct request *r, struct reader *reader, struct run *run);
