/*
 * apply_file - the task file given with --apply
 *
 * Read, checked and applied in one turn before the server listens. A wrong file stops the start,
 * with line and column.
 */
#pragma once

#include "base/status.h"
#include "dispatch/dispatch.h"
#include "scheduler/scheduler.h"
#include "server/config.h"

// STATUS_OK when there is no file to apply, or it was. Otherwise it has said on standard error what
// is wrong: STATUS_INVALID is the file's fault, or that it cannot be read.
enum status apply_file(const struct config *config, struct scheduler *scheduler,
                       struct dispatcher *dispatcher);
