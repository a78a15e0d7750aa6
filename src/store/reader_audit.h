/*
 * reader_audit - what only the auditor asks
 *
 * Edits, cursors, recorded occurrences and runs with their attempts, as the rows say them: nothing
 * is decided here. audit.c asks within reader_begin and reader_end, so that what it holds against
 * each other is of one moment.
 *
 * Used by the files audit*.c of this folder, on the thread that has the reader.
 */
#pragma once

#include "store/reader.h"

// Between the two, every answer is of the same moment.
enum status reader_begin(struct reader *reader);
void reader_end(struct reader *reader);

struct audited_task {
    int64_t id;
    char name[TASK_NAME_MAX + 1];
};
// The first task, deleted ones too, whose row is after `after`. STATUS_END.
enum status reader_next_task_row(struct reader *reader, int64_t after, struct audited_task *ret);
// The one with this name. STATUS_NOT_FOUND.
enum status reader_audited_task(struct reader *reader, const char *name, struct audited_task *ret);

struct task_edit {
    wall at;
    int revision;
    enum { EDIT_DEFINED, EDIT_PAUSED, EDIT_RESUMED, EDIT_DELETED } kind;
};
// Every accepted edit of a task, in order. Free *ret.
enum status reader_task_edits(struct reader *reader, int64_t task, struct task_edit **ret,
                              size_t *ret_count);
// STATUS_NOT_FOUND.
enum status reader_definition_of(struct reader *reader, int64_t task, int number, char **ret,
                                 size_t *ret_size);

// The earliest occurrence that is still to be recorded; WALL_NEVER where no schedule has one left.
enum status reader_planned_until(struct reader *reader, int64_t task, wall *ret);

struct recorded { // an occurrence that has a run
    run_id run;
    int generation;
    wall nominal, started_at;
    uint64_t lane;
};
// Those with from <= nominal < to, of all generations, by nominal. Free *ret.
enum status reader_recorded(struct reader *reader, int64_t task, wall from, wall to,
                            struct recorded **ret, size_t *ret_count);

struct audited_run {
    run_id run;
    char task[TASK_NAME_MAX + 1]; // "": a one-off
    enum run_state state;
    enum run_trigger trigger;
    int attempts;         // how many the run says it had
    int attempts_allowed; // by its definitions; 0: not known, or not more than one attempt
    bool under_way, has_reason;
    wall scheduled_for, started_at, finished_at;
    // of the rows of its attempts:
    int rows;
    bool has_hole;    // they are not numbered 1, 2, 3...
    bool fences_fall; // or a fence does not grow
    int last_outcome; // -1: none
    int64_t fence, last_fence;
    uint64_t lane;
};
// Runs that ended: after (at, id), before `to`, in that order; at most max.
enum status reader_audit_ended(struct reader *reader, wall at, run_id id, wall to, size_t max,
                               struct audited_run *ret, size_t *ret_count);
// All runs of a task, by id after `after`.
enum status reader_audit_of_task(struct reader *reader, int64_t task, run_id after, size_t max,
                                 struct audited_run *ret, size_t *ret_count);
// Runs in one of the states between made and ended, by id.
enum status reader_audit_live(struct reader *reader, enum run_state state, run_id after, size_t max,
                              struct audited_run *ret, size_t *ret_count);

// Where history was cleared: what ended at or before this instant may be gone. WALL_NONE: nothing.
enum status reader_cleared_until(struct reader *reader, wall *ret);

struct books { // by stored state; made is entered[RUN_SCHEDULED]
    int64_t entered[RUN_STATE_COUNT], cleared[RUN_STATE_COUNT];
};
enum status reader_books(struct reader *reader, struct books *ret);
int64_t books_live(const struct books *books);    // made and not ended
int64_t books_history(const struct books *books); // ended and not cleared
// What the rows themselves say. Live ones by index; all of them reads every run.
struct counted_runs {
    int64_t in[RUN_STATE_COUNT];
    int64_t undated;      // ended without saying when
    int64_t unhandled;    // failed, and nobody has dealt with it
    int64_t unwatched;    // scheduled, with a deadline that is not in the table of deadlines
    int64_t dead_letters; // what stands for those in a table of its own
};
enum status reader_count_live(struct reader *reader, int64_t *ret);
enum status reader_count_all(struct reader *reader, struct counted_runs *ret);
