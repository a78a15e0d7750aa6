-- The first schema. docs/internals/store.md explains the tables, the indexes and why.
--
-- Instants are microseconds since 1970 in UTC, durations (_us) microseconds; NULL is "not set" or "unknown".
-- States, triggers, outcomes and cache statuses are the numbers of the enums in core/.

CREATE TABLE tasks (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    revision INTEGER NOT NULL,
    revision_id INTEGER,
    generation INTEGER NOT NULL,
    deleted INTEGER NOT NULL,
    paused_at INTEGER,
    paused_by TEXT,
    paused_why TEXT,
    created_at INTEGER NOT NULL,
    changed_at INTEGER NOT NULL
);

-- Definitions: the revisions of tasks, and (task_id NULL, number 0) the inline definitions of one-offs.
CREATE TABLE revisions (
    id INTEGER PRIMARY KEY,
    task_id INTEGER,
    number INTEGER NOT NULL,
    hash INTEGER NOT NULL,
    made_at INTEGER NOT NULL,
    definition TEXT NOT NULL
);
CREATE UNIQUE INDEX revisions_of_task ON revisions (task_id, number) WHERE task_id IS NOT NULL;
CREATE INDEX revisions_inline ON revisions (hash) WHERE task_id IS NULL;

-- One row per accepted edit, pause, resume and delete.
CREATE TABLE audit (
    id INTEGER PRIMARY KEY,
    task_id INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    rollback_to INTEGER,
    at INTEGER NOT NULL,
    what TEXT NOT NULL,
    author TEXT,
    note TEXT,
    changed TEXT NOT NULL
);
CREATE INDEX audit_of_task ON audit (task_id);

-- Which occurrence of a schedule comes next. next_at NULL: none is left.
CREATE TABLE cursors (
    task_id INTEGER NOT NULL,
    schedule INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    next_at INTEGER,
    dst INTEGER NOT NULL,
    PRIMARY KEY (task_id, schedule)
) WITHOUT ROWID;
CREATE INDEX cursors_next ON cursors (next_at, task_id, schedule) WHERE next_at IS NOT NULL;

-- The payload is last: what comes before it is read without touching its overflow pages.
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
    reason TEXT,
    payload TEXT
);
-- States: 0 scheduled, 2 running, 3 waiting, 4 succeeded, 5 failed, 6 canceled, 7 missed, 8 skipped.
-- Triggers: 0 schedule, 3 catch_up. Every index ends in the id, which is the rowid.
-- Conditions are comparisons (with + where the column is in the index, too, so that it is not taken for a range to search): for IN with more than two values SQLite would build a table in memory at each INSERT and UPDATE.
CREATE INDEX runs_due ON runs (due_at) WHERE state IN (0, 3);
CREATE INDEX runs_by_state ON runs (state) WHERE state >= 2 AND state <> 4;
CREATE UNIQUE INDEX runs_occurrence ON runs (task_id, generation, scheduled_for) WHERE trigger IN (0, 3);
CREATE INDEX runs_of_task ON runs (task_id) WHERE task_id IS NOT NULL;
CREATE INDEX runs_live_of_task ON runs (task_id) WHERE state <= 3 AND task_id IS NOT NULL;
CREATE INDEX runs_troubled_of_task ON runs (task_id, state) WHERE +state >= 5 AND task_id IS NOT NULL;

CREATE TABLE attempts (
    run_id INTEGER NOT NULL,
    number INTEGER NOT NULL,
    fence INTEGER NOT NULL,
    started_at INTEGER,
    outcome INTEGER NOT NULL,
    status INTEGER,
    cache INTEGER NOT NULL,
    lateness_us INTEGER,
    response_time_us INTEGER,
    dns_us INTEGER,
    connect_us INTEGER,
    tls_us INTEGER,
    first_byte_us INTEGER,
    db_calls INTEGER,
    db_time_us INTEGER,
    node TEXT,
    error TEXT,
    response BLOB,
    PRIMARY KEY (run_id, number)
) WITHOUT ROWID;

-- Idempotency keys with the answer that was given.
CREATE TABLE keys (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    fingerprint INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    body BLOB NOT NULL
);
CREATE INDEX keys_expire ON keys (expires_at);

-- One row per turn with events. `total` counts the bytes of all rows up to this one, so the size of what is kept is a
-- difference of two rows and never a sum over all.
CREATE TABLE journal (
    turn INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    total INTEGER NOT NULL,
    events TEXT NOT NULL
);

CREATE TABLE settings (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;
