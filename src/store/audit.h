/*
 * audit - what should be recorded, held against what is
 *
 * Recomputes from the definitions, with the moments at which they were edited, what was due in a
 * window, and looks for the run of each occurrence; looks over the runs that ended in the window
 * and those that live; and checks the books. It reads only, and decides nothing: planning
 * (scheduler/plan.c) is not asked, so that one fault is not made twice.
 *
 * Works in bounded steps, each within one moment of the store:
 *
 *     struct audit *audit = audit_new(reader, &options);
 *     while ((status = audit_step(audit)) == STATUS_OK)
 *         ;
 *     ... audit_totals(audit), audit_difference(audit, i) ...
 *     audit_free(audit);
 *
 * Not judged: what history has cleared (audit_totals says from when on), and occurrences within a
 * second of an edit of their schedule, which may have gone either way. What a schedule has
 * still to record (the server was away, or is behind) is counted as pending and is no difference.
 *
 * Used by api/audit.c, server/auditor.c and server/audit.c, on the thread that has the reader.
 */
#pragma once

#include "store/reader.h"

enum difference_kind {
    DIFFERENCE_NO_RECORD,    // P1: an occurrence was due and has no run
    DIFFERENCE_DOUBLE,       // P3: an occurrence has two
    DIFFERENCE_PHANTOM,      // P3: no schedule said so
    DIFFERENCE_EARLY,        // P2: started before its time
    DIFFERENCE_WHILE_PAUSED, // P5: started while its task was paused
    DIFFERENCE_ATTEMPTS,     // P9: a number is missing, or they are more than allowed
    DIFFERENCE_FENCES,       // P7: a fence does not grow
    DIFFERENCE_STATE,        // P10, P11: its parts contradict its state
    DIFFERENCE_REASON,       // P1: it did not succeed and does not say why
    DIFFERENCE_BOOKS,        // P21: the counts do not fit
    DIFFERENCE_KIND_COUNT
};
const char *difference_kind_text(enum difference_kind kind); // "no_record", ...

struct difference {
    enum difference_kind kind;
    char task[TASK_NAME_MAX + 1]; // "": of a one-off, or of no task
    run_id run;                   // 0: none
    wall at;                      // the nominal instant; WALL_NONE: none
    char detail[200];             // in words
};

// Some are enough to see what is wrong; audit_totals counts all.
#define AUDIT_DIFFERENCES_MAX 1000

struct audit_options {
    wall from, to;    // of occurrences, and of the ends of runs
    const char *task; // only this one, without the books; NULL: all
    // Every run is counted for the books where there are no more than this: on a large store that
    // takes long.
    int64_t count_most;
};

struct audit_totals {
    wall from; // later than asked for where history was cleared
    int64_t tasks, occurrences, runs;
    int64_t pending;     // occurrences that are still to be recorded
    int64_t differences; // all of them
    // P21, since the store was made: what was due, and what became of it.
    int64_t due, ended[RUN_STATE_COUNT], live, cleared;
};

struct audit;

// Looks at the reader and the options' texts as long as it lives.
struct audit *audit_new(struct reader *reader, const struct audit_options *options);
void audit_free(struct audit *audit); // NULL is fine
// One bounded piece. STATUS_END: that was the last. STATUS_NOT_FOUND: there never was such a task.
// STATUS_FAILED: the store cannot be read.
enum status audit_step(struct audit *audit);
// Whether the next piece looks at tasks, which cost the more the more there are, busy or not.
bool audit_is_at_tasks(const struct audit *audit);
const struct audit_totals *audit_totals(const struct audit *audit);
// NULL behind the last that was kept.
const struct difference *audit_difference(const struct audit *audit, size_t at);
// The whole result as one JSON object, as GET /v1/audit answers it.
void audit_write(const struct audit *audit, struct writer *w);
