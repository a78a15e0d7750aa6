-- Every index on runs costs each INSERT and UPDATE something, also of runs that are not in it. What few runs have
-- stands in tables of its own. And the payload is the last column again: what came after it lay behind its overflow pages.
-- The table is written anew, which takes a large store some seconds for each million of runs, once.

-- The failed runs that nobody has handled.
CREATE TABLE dead_letters (
    run_id INTEGER PRIMARY KEY,
    task_id INTEGER
);
CREATE INDEX dead_letters_of_task ON dead_letters (task_id) WHERE task_id IS NOT NULL;
INSERT INTO dead_letters (run_id, task_id) SELECT id, task_id FROM runs WHERE state = 5 AND handled IS NULL ORDER BY id;

-- By when runs must have started. A run that starts in time leaves its row here: it goes when the deadline has passed.
CREATE TABLE deadlines (
    at INTEGER NOT NULL,
    run_id INTEGER NOT NULL,
    PRIMARY KEY (at, run_id)
) WITHOUT ROWID;
INSERT INTO deadlines (at, run_id) SELECT deadline_at, id FROM runs WHERE state = 0 AND deadline_at IS NOT NULL;

ALTER TABLE runs RENAME TO old_runs;
CREATE TABLE runs (
    id INTEGER PRIMARY KEY,
    task_id INTEGER,
    revision_id INTEGER,
    generation INTEGER NOT NULL,
    state INTEGER NOT NULL,
    trigger INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    fence INTEGER NOT NULL,
    scheduled_for INTEGER,
    due_at INTEGER,
    started_at INTEGER,
    finished_at INTEGER,
    attempt_started_at INTEGER,
    lane INTEGER NOT NULL,
    retry_of INTEGER,
    priority INTEGER NOT NULL DEFAULT 5,
    deadline_at INTEGER,
    handled TEXT,
    reason TEXT,
    payload TEXT
);
INSERT INTO runs (id, task_id, revision_id, generation, state, trigger, attempts, fence, scheduled_for, due_at, started_at,
                  finished_at, attempt_started_at, lane, retry_of, priority, deadline_at, handled, reason, payload)
SELECT id, task_id, revision_id, generation, state, trigger, attempts, fence, scheduled_for, due_at, started_at, finished_at,
       attempt_started_at, lane, retry_of, priority, deadline_at, handled, reason, payload
FROM old_runs ORDER BY id;
DROP TABLE old_runs;

-- As before, but for those of dead letters and deadlines.
CREATE INDEX runs_due ON runs (due_at) WHERE state IN (0, 3);
CREATE INDEX runs_by_state ON runs (state) WHERE state >= 2 AND state <> 4;
CREATE UNIQUE INDEX runs_occurrence ON runs (task_id, generation, scheduled_for) WHERE trigger IN (0, 3);
CREATE INDEX runs_of_task ON runs (task_id) WHERE task_id IS NOT NULL;
CREATE INDEX runs_live_of_task ON runs (task_id) WHERE state <= 3 AND task_id IS NOT NULL;
CREATE INDEX runs_waiting_of_task ON runs (task_id) WHERE state = 3 AND task_id IS NOT NULL;
CREATE INDEX runs_troubled_of_task ON runs (task_id, state) WHERE +state >= 5 AND task_id IS NOT NULL;
CREATE INDEX runs_queued ON runs (lane, due_at) WHERE lane < 0 AND state IN (0, 3);
CREATE INDEX runs_finished ON runs (finished_at) WHERE finished_at IS NOT NULL;
