-- Pending runs that are to be canceled: their task was deleted, or its schedule edited, when it had more of them than one turn
-- cancels. Those of the task up to the run `until` are as good as canceled from the moment the row is there; the rest of the work is done
-- turn by turn, and the row goes with the last of them.
CREATE TABLE sweeps (
    id INTEGER PRIMARY KEY,
    task_id INTEGER NOT NULL,
    until INTEGER NOT NULL,
    only_occurrences INTEGER NOT NULL,
    reason TEXT NOT NULL
);
