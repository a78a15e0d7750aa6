/*
 * target - reading and writing what a task calls: an HTTP endpoint or a command
 *
 * The struct itself is in core/task.h. Here are the rules for URLs, methods, headers, arguments and
 * environments, and the canonical JSON of each. Carrying a target out is the dispatcher's.
 *
 * Used by core/task_decode and core/task_encode. Plain calculation; any thread.
 */
#pragma once

#include "base/writer.h"
#include "core/decode.h"
#include "core/task.h"

// Reading functions for the rows "http", "command" and "queue"; `field->offset` leads to a struct
// target, which is set only when everything is right. `kind` is set in any case, so that later
// checks know which was meant.
void target_read_http(const struct place *at, const struct field *field, const json_t *value,
                      void *into);
void target_read_command(const struct place *at, const struct field *field, const json_t *value,
                         void *into);
void target_read_queue(const struct place *at, const struct field *field, const json_t *value,
                       void *into);
void target_done(struct target *target);

// {"http": {...}}, {"command": ...} or {"queue": {...}} as one member of an open object.
void target_write(struct writer *w, const struct target *target);
// Targets with the same number share an endpoint, or are the same queue.
uint64_t target_lane(const struct target *target);
uint64_t queue_lane(const char *name);
// STATUS_INVALID with a fault at `pointer` unless `name` is a queue's name.
enum status queue_check_name(const char *name, const char *pointer, struct faults *faults);

// {"Name": "value"}: sorted by name, so that the order of writing makes no difference. Frees what
// stood there before.
void headers_read(const struct place *at, const json_t *value, bool reserved_too, struct pair **ret,
                  size_t *ret_count);
void pairs_write(struct writer *w, const struct pair *pairs, size_t count);
void pairs_free(struct pair *pairs, size_t count);
