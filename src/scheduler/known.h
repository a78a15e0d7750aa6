/*
 * known - tasks and definitions held in memory
 *
 * A cache over the store: a task's record with its decoded definition, and inline definitions by
 * their text. All edits go through the scheduler, so it is never stale: an edit forgets the task.
 * When it is full it is emptied and fills again; whoever needs a definition for longer holds a
 * reference of its own.
 *
 * Used by the files of this folder, on the scheduler's thread.
 */
#pragma once

#include "base/map.h"
#include "store/store.h"

struct known_task {
    struct task_record record;
    struct task *task;    // its newest definition
    wall paused, resumed; // the pause that has ended in the turn under way
};

struct known {
    struct store *store;
    struct map by_name; // hash of the name -> known_task
    struct map by_id;   // the same entries
    struct map by_row;  // revision_id -> struct known_definition
    struct map by_text; // hash of the text -> the same entries, those inline
};

void known_init(struct known *known, struct store *store);
void known_done(struct known *known);

// Valid until the next turn at the latest, or known_forget. Deleted tasks are found too.
// STATUS_NOT_FOUND.
enum status known_task(struct known *known, const char *name, struct known_task **ret);
enum status known_task_by_id(struct known *known, int64_t id, struct known_task **ret);
// After any change of the task's row.
void known_forget(struct known *known, int64_t id);

// The row of an inline definition, made when new.
enum status known_definition_row(struct known *known, struct task *task, wall now,
                                 int64_t *ret_revision_id);
// What a run's revision_id stands for; the cache keeps its reference.
enum status known_definition(struct known *known, int64_t revision_id, struct task **ret);

// After an inline definition's row has gone.
void known_forget_definition(struct known *known, int64_t row);

// Between turns: empties what has grown too large.
void known_trim(struct known *known);
