/*
 * task_definition - what the decoder, the encoder and the sets of tasks share
 *
 * Not for others: they use core/task.h.
 */
#pragma once

#include "base/buffer.h"
#include "core/decode.h"
#include "core/task.h"

// A task as it is where its definition says nothing.
extern const struct task task_plain;

// Lets go of all that the task holds, but not of the task.
void task_clear(struct task *task);

// Writes the canonical JSON: fields in one order, and only those that differ from task_plain.
void task_encode(const struct task *task, struct buffer *to);

// Whether `defaults` of a set can stand: {timezone, timeout, retry, expect, notify, overlap,
// catch_up, priority, max_running, rate_limit}.
void task_check_defaults(const struct place *at, const json_t *defaults);
