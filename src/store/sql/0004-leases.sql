-- Leases: who has the right to work on a run that the server does not carry out itself, and until when.
--
-- kind: 0 a worker of a queue, 1 a call back after a 202. Each deadline is kept on both clocks: the steady one counts
-- as long as the machine is not started anew (boot tells), the wall clock after that. *_most NULL: prolonged without end.
CREATE TABLE leases (
    run_id INTEGER PRIMARY KEY,
    kind INTEGER NOT NULL,
    length_us INTEGER NOT NULL,
    until INTEGER NOT NULL,
    steady_until INTEGER NOT NULL,
    most INTEGER,
    steady_most INTEGER,
    boot INTEGER NOT NULL,
    worker TEXT
);

-- The lane of a queue has the highest bit set, and is below 0 here; those of endpoints have lost it.
UPDATE runs SET lane = lane & 9223372036854775807 WHERE state IN (0, 3) AND lane < 0;
CREATE INDEX runs_queued ON runs (lane, due_at) WHERE lane < 0 AND state IN (0, 3);
