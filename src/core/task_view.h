/*
 * task_view - a task as the API shows it
 *
 * One rendering for GET on the front's threads and for the replies of the scheduler (PUT, PATCH,
 * pause, resume, rollback), so that both read the same. The definition itself is already canonical
 * JSON.
 */
#pragma once

#include "base/id.h"
#include "base/writer.h"
#include "core/task.h"

#define TASK_VIEW_NEXT 3 // how many coming instants are shown

// Over its newest finished attempts; unknown numbers are -1. error rate is failed / attempts.
struct task_figures {
    int64_t attempts, failed;
    int64_t p50_us, p95_us;
    int64_t cache_warm, cache_cold, cache_unknown;
    int64_t db_calls_p50;
};

struct task_view { // all of it is the caller's
    const char *name;
    int revision;
    wall created_at, changed_at;
    wall paused_at; // WALL_NONE: not paused
    const char *paused_by, *paused_why;
    const char *definition; // canonical JSON
    size_t definition_size;
    const struct task *task; // the same decoded, for the next instants; NULL: none are shown
    const struct task_figures *figures; // NULL: the field is left out
    const run_id *running; // runs that had started before an edit; NULL: the field is left out
    size_t running_count;
};

// Writes one object. A paused task has no next instants: nothing of it fires.
void task_write(struct writer *w, const struct task_view *view, wall now);
