-- How urgent a run is: 0 to 9, 9 the most. Runs of before are as urgent as a task that does not say.
ALTER TABLE runs ADD COLUMN priority INTEGER NOT NULL DEFAULT 5;

-- Starts that a rate limit counts, by the hash of its key, with the rule that they were started under: so that the
-- limit holds over a restart. Only the latest of each key are kept, as many as its largest limit.
CREATE TABLE rate_starts (
    key INTEGER NOT NULL,
    at INTEGER NOT NULL,
    run_id INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    most INTEGER NOT NULL,
    per_us INTEGER NOT NULL,
    PRIMARY KEY (key, at, run_id, attempt)
) WITHOUT ROWID;
