/*
 * monitor - a task whose job runs elsewhere and checks in
 *
 * Reading and writing the target `monitor`, and which instants it expects a check-in at. The struct
 * is in core/task.h. What a check-in does to a run is decided in scheduler/checkin.c.
 *
 * Used by core/target, core/task_decode and the scheduler. Plain calculation; any thread.
 */
#pragma once

#include "base/writer.h"
#include "core/decode.h"
#include "core/task.h"
#include "core/upcoming.h"

// The reading function for the row "monitor"; `field->offset` leads to a struct target.
void monitor_read(const struct place *at, const struct field *field, const json_t *value,
                  void *into);
void monitor_write(struct writer *w, const struct target *target);

// What makes no sense for a job that runs elsewhere is a fault where the task says it, and is
// dropped where a set's defaults do.
void monitor_check(const struct place *at, const json_t *value, struct task *task);

// When the check-in of an occurrence must have come; the effective instant itself for tasks of
// other kinds.
wall monitor_due(const struct task *task, wall effective);
// Whether a check-in at `now` is the one of an occurrence yet to come: its clock may go a little
// ahead of ours. At most a minute, the grace, and half the time to the occurrence after it.
bool monitor_is_early(const struct task *task, wall now, struct upcoming_item *ret);
