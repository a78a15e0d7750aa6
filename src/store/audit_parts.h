/*
 * audit_parts - what the files of the auditor share
 *
 * audit.c takes the steps and keeps what was found; audit_tasks.c holds occurrences against runs;
 * audit_runs.c looks over runs and the books. For those only.
 */
#pragma once

#include "store/audit.h"
#include "store/reader_audit.h"

enum audit_phase {
    AUDIT_TASKS,
    AUDIT_ENDED,
    AUDIT_RUNNING,
    AUDIT_WAITING,
    AUDIT_BOOKS,
    AUDIT_OVER
};

struct audit {
    struct reader *reader;
    struct audit_options options;
    enum audit_phase phase;
    bool begun;
    struct audit_totals totals;
    struct difference *differences;
    size_t count;

    // AUDIT_TASKS: the task under way and how far its window is done.
    struct audited_task task;
    bool in_task;
    wall at;
    // AUDIT_ENDED and the live ones: behind which run it goes on.
    wall ended;
    run_id run;
};

void audit_found(struct audit *a, const struct difference *difference, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

// One piece of one task. STATUS_END: the task is done.
enum status audit_task(struct audit *a);
// One piece of the phase. STATUS_END: it is done.
enum status audit_ended_runs(struct audit *a);
enum status audit_live_runs(struct audit *a, enum run_state state);
enum status audit_books(struct audit *a);
