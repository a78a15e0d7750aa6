-- Dead letters and notices of failure. docs/internals/store.md explains.

-- How somebody dealt with a failed run, as JSON; NULL: a dead letter while the run's state is 5, failed.
ALTER TABLE runs ADD COLUMN handled TEXT;
CREATE INDEX runs_dead ON runs (state) WHERE state = 5 AND handled IS NULL;
CREATE INDEX runs_dead_of_task ON runs (task_id) WHERE state = 5 AND handled IS NULL AND task_id IS NOT NULL;

-- What is still to be told of a task's failures: one row per task that has told of any.
CREATE TABLE notices (
    task_id INTEGER PRIMARY KEY,
    told_at INTEGER,
    due_at INTEGER,
    failing INTEGER NOT NULL,
    well INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    missed INTEGER NOT NULL,
    first_run INTEGER,
    last_run INTEGER,
    reasons TEXT NOT NULL
);
