/*
 * notify - whom a task tells of its failures
 *
 * Reading and writing the field `notify` of a definition; the struct is in core/task.h. When a
 * notice is made, and what is counted meanwhile, is decided in scheduler/notices.c.
 *
 * Used by core/task_decode and core/task_encode. Plain calculation; any thread.
 */
#pragma once

#include "base/writer.h"
#include "core/decode.h"
#include "core/task.h"

void notify_done(struct notify *notify);

// The reading function for the row "notify". null takes back what a set's defaults say.
void notify_read(const struct place *at, const struct field *field, const json_t *value,
                 void *into);
// A task that says `notify` names a URL, itself or through the defaults.
void notify_check(const struct place *at, const json_t *value, const struct notify *notify);
// "notify": {...} as one member of an open object; nothing where there is no URL.
void notify_write(struct writer *w, const struct notify *notify);
