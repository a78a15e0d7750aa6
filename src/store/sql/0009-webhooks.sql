-- Notices are grouped by webhook. docs/internals/store.md explains.

-- In which group of its webhook a task's failures were told last, or are to be told; 0: told before there were any.
ALTER TABLE notices ADD COLUMN told_in INTEGER NOT NULL DEFAULT 0;

-- One row for each URL that was ever told: when, and what it is told next, of all tasks together.
CREATE TABLE webhooks (
    id INTEGER PRIMARY KEY,
    url TEXT NOT NULL,
    told_at INTEGER,
    recovered_at INTEGER,
    open_group INTEGER NOT NULL,
    cooldown INTEGER NOT NULL,
    tasks INTEGER NOT NULL,
    well INTEGER NOT NULL,
    recovered INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    missed INTEGER NOT NULL,
    first_run INTEGER,
    last_run INTEGER,
    reasons TEXT NOT NULL,
    named TEXT NOT NULL
);
