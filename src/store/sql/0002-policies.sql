-- What overlap, catch_up and deadline need. docs/internals/store.md explains it.

-- By when a run must have started; NULL: whenever.
ALTER TABLE runs ADD COLUMN deadline_at INTEGER;
CREATE INDEX runs_deadline ON runs (deadline_at) WHERE state = 0 AND deadline_at IS NOT NULL;
-- Between two attempts: live, as overlap counts. Those that run are known to the process that runs them.
CREATE INDEX runs_waiting_of_task ON runs (task_id) WHERE state = 3 AND task_id IS NOT NULL;

-- Occurrences that fell into an outage and have no record yet: those of one task in [next_at, until_at). From run_from on
-- they run, before it they are missed; with a reason all of them are missed, for that reason. A row goes when it is worked
-- off, and the ids grow with the outages.
CREATE TABLE backlogs (
    id INTEGER PRIMARY KEY,
    task_id INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    revision_id INTEGER NOT NULL,
    next_at INTEGER NOT NULL,
    run_from INTEGER NOT NULL,
    until_at INTEGER NOT NULL,
    reason TEXT
);
CREATE INDEX backlogs_of_task ON backlogs (task_id);
