-- Keeping house: which finished run is the oldest, how many rows there are without counting them, and which inline
-- definitions are still used. On a large store the index takes some seconds, once.

CREATE INDEX runs_finished ON runs (finished_at) WHERE finished_at IS NOT NULL;

-- The books: how many runs ever entered a state, and how many of them history has cleared since. State 0 counts every
-- run made. Live runs are those made less those ended; the history is what ended less what was cleared.
CREATE TABLE books (
    state INTEGER PRIMARY KEY,
    entered INTEGER NOT NULL,
    cleared INTEGER NOT NULL
);
INSERT INTO books (state, entered, cleared)
WITH states (state) AS (VALUES (0), (4), (5), (6), (7), (8)),
     counted (state, n) AS (SELECT state, count(*) FROM runs GROUP BY state)
SELECT s.state, coalesce(CASE s.state WHEN 0 THEN (SELECT sum(n) FROM counted)
                                      ELSE (SELECT n FROM counted c WHERE c.state = s.state) END, 0), 0
FROM states s;

-- How many one-offs have an inline definition: at none it goes.
CREATE TABLE definition_uses (
    revision_id INTEGER PRIMARY KEY,
    uses INTEGER NOT NULL
);
INSERT INTO definition_uses (revision_id, uses)
SELECT revision_id, count(*) FROM runs WHERE task_id IS NULL AND revision_id IS NOT NULL GROUP BY revision_id;
