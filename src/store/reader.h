/*
 * reader - reading the store without disturbing a turn
 *
 * A read-only connection of its own, one per thread that reads: lists, history, statistics. Never
 * writes, never checkpoints. What has been answered with 2xx is visible to every question asked
 * later.
 *
 * Used by api/, on the front's threads.
 */
#pragma once

#include "core/task_view.h"
#include "store/store.h"

struct reader;

// A list whose payloads or definitions are longer than this together is not read to its end:
// STATUS_TOO_LARGE. No answer can hold it, and its length is for others to choose.
#define READER_LIST_MAX ((size_t)REPLY_MAX)

enum status reader_open_sqlite(const char *where, struct reader **ret, char *why, size_t size);
void reader_close(struct reader *reader); // NULL is fine

// Not deleted. STATUS_NOT_FOUND.
enum status reader_find_task(struct reader *reader, const char *name, struct task_record *ret);
// Tasks by name after `after`, not deleted; at most max. STATUS_TOO_LARGE.
enum status reader_list_tasks(struct reader *reader, const char *after, size_t max,
                              struct task_record *ret, size_t *ret_count);

struct revision_record {
    int number;
    wall at;
    char *author, *note; // NULL where not said
    char *what;          // "created", "changed", "rolled back", "paused", "resumed", "deleted"
    char *changed;       // JSON array
    char *definition;
    size_t definition_size;
    int64_t id; // of the audit record, for paging
};
void revision_record_done(struct revision_record *record);
// The history of edits, newest first, with id < before (INT64_MAX for the first page). Deleted
// tasks too.
enum status reader_list_revisions(struct reader *reader, const char *task, int64_t before,
                                  size_t max, struct revision_record *ret, size_t *ret_count);
// One revision's definition. STATUS_NOT_FOUND.
enum status reader_find_revision(struct reader *reader, const char *task, int number,
                                 char **ret_definition, size_t *ret_size);

struct run_filter {
    const char *task; // NULL: all
    int state;        // enum run_state (RUN_DUE too), -1: all
    wall from, to;    // of due_at: from <= due_at < to; WALL_NONE, WALL_NEVER: open
    run_id before;    // ids below this one; 0: from the newest
    wall now;         // to tell scheduled from due
};
// Newest first. STATUS_NOT_FOUND where the task was never there. STATUS_TOO_LARGE.
enum status reader_list_runs(struct reader *reader, const struct run_filter *filter, size_t max,
                             struct run *ret, size_t *ret_count);
enum status reader_find_run(struct reader *reader, run_id id, struct run *ret);
// All attempts of a run in order: *ret is an array to free after attempt_done on each.
enum status reader_list_attempts(struct reader *reader, run_id id, struct attempt **ret,
                                 size_t *ret_count);

// Dead letters: failed runs that nobody has dealt with.
struct dead_filter {
    const char *task;   // NULL: all
    wall from, to;      // of finished_at: from <= finished_at < to; WALL_NONE, WALL_NEVER: open
    const char *reason; // a text that the reason contains; NULL: any
};
struct dead_letter {
    struct run run;
    struct attempt last; // number, outcome, status and error of the last attempt; number 0: none
};
void dead_letter_done(struct dead_letter *letter);
// Newest first, ids below `before` (0: from the newest). STATUS_NOT_FOUND where the task was never
// there; so do the two below.
enum status reader_list_dead(struct reader *reader, const struct dead_filter *filter, run_id before,
                             size_t max, struct dead_letter *ret, size_t *ret_count);
// The oldest ones' ids, oldest first.
enum status reader_oldest_dead(struct reader *reader, const struct dead_filter *filter, size_t max,
                               run_id *ret, size_t *ret_count);
// How many there are; stops counting at `most`.
enum status reader_count_dead(struct reader *reader, const struct dead_filter *filter, size_t most,
                              size_t *ret);
// The same of all of them, quickly.
enum status reader_count_open_dead(struct reader *reader, size_t most, size_t *ret);

// Over the newest finished attempts of a task, at most `newest` (1 to 1,000).
enum status reader_task_figures(struct reader *reader, int64_t task, size_t newest,
                                struct task_figures *ret);

// What a due run may wait for. The definition that it was made with: free with free().
// STATUS_NOT_FOUND.
enum status reader_find_definition(struct reader *reader, int64_t revision_id,
                                   char **ret_definition, size_t *ret_size);
// The other runs of a task that are live: how many of them are running, counted up to `most`, and
// one that is running or between two attempts; 0: there is none.
enum status reader_find_live(struct reader *reader, int64_t task, run_id besides, size_t most,
                             size_t *ret_running, run_id *ret_live);
// The start under a rate limit's key that so many places back is (1: the newest). STATUS_NOT_FOUND.
enum status reader_find_start(struct reader *reader, uint64_t key, int back, wall *ret);

// Rows of the journal with turn > after_turn, oldest first.
struct journal_row {
    int64_t turn;
    wall at;
    char *events; // JSON objects, one per line
    size_t size;
};
enum status reader_read_journal(struct reader *reader, int64_t after_turn, size_t max,
                                struct journal_row *ret, size_t *ret_count);
// The oldest and newest turn kept; 0 where the journal is empty.
enum status reader_journal_range(struct reader *reader, int64_t *ret_oldest, int64_t *ret_newest);

// What waits in each queue, or in that with this lane (0: all): at most `max`, those with nothing
// left out. The caller frees the names, also after a failure.
enum status reader_list_queues(struct reader *reader, uint64_t lane, wall now, size_t max,
                               struct queue_load *ret, size_t *ret_count);

// How many runs are stored in each state (stored states: no RUN_DUE). May take long on a large
// store: for audits and tests.
enum status reader_count_runs(struct reader *reader, int64_t counts[RUN_STATE_COUNT]);

// A value kept by name, as store_put_setting wrote it. Free with free(). STATUS_NOT_FOUND.
enum status reader_get_setting(struct reader *reader, const char *name, char **ret);
