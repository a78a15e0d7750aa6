"""What the server answers, as values that cannot be changed.

Each is made by `from_json`, which takes what it knows and passes over fields that a newer server adds.
Instants are datetimes in UTC; what the server does not know is None, never 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, Literal, TypeVar

from punctual.durations import instant_of

Json = Mapping[str, Any]
T = TypeVar("T")

RunState = Literal[
    "scheduled", "due", "running", "waiting", "succeeded", "failed", "canceled", "missed", "skipped"
]

_FINAL = frozenset(("succeeded", "failed", "canceled", "missed", "skipped"))


@dataclass(frozen=True)
class Pause:
    """Since when a task is paused, by whom and why."""

    at: datetime
    by: str | None
    reason: str | None

    @classmethod
    def from_json(cls, row: Json) -> Pause:
        return cls(instant_of(row["at"]), row.get("by"), row.get("reason"))


@dataclass(frozen=True)
class Figures:
    """How a task is doing, over its newest finished attempts (at most 1,000)."""

    attempts: int
    failed: int
    error_rate: float | None
    p50_ms: float | None
    p95_ms: float | None
    cache: dict[str, int]
    db_calls_p50: int | None

    @classmethod
    def from_json(cls, row: Json) -> Figures:
        return cls(
            attempts=row.get("attempts", 0),
            failed=row.get("failed", 0),
            error_rate=row.get("error_rate"),
            p50_ms=row.get("p50_ms"),
            p95_ms=row.get("p95_ms"),
            cache=dict(row.get("cache") or {}),
            db_calls_p50=row.get("db_calls_p50"),
        )


@dataclass(frozen=True)
class Task:
    """A task as the server keeps it.

    `definition` is what was put. `next` has up to three coming instants, none while it is paused. `figures`
    is there where one task was read or figures were asked for. `running`, after an edit, names the runs that
    had started under the old definition.
    """

    name: str
    revision: int
    created_at: datetime
    changed_at: datetime
    paused: Pause | None
    definition: dict[str, Any]
    next: tuple[datetime, ...]
    figures: Figures | None
    running: tuple[str, ...]

    @classmethod
    def from_json(cls, row: Json) -> Task:
        return cls(
            name=row["name"],
            revision=row["revision"],
            created_at=instant_of(row["created_at"]),
            changed_at=instant_of(row["changed_at"]),
            paused=_one(Pause.from_json, row.get("paused")),
            definition=dict(row.get("definition") or {}),
            next=tuple(instant_of(text) for text in row.get("next") or ()),
            figures=_one(Figures.from_json, row.get("figures")),
            running=tuple(row.get("running") or ()),
        )


@dataclass(frozen=True)
class Attempt:
    """One try at a run. Times are in milliseconds."""

    number: int
    outcome: str
    started_at: datetime | None
    lateness_ms: float | None
    response_time_ms: float | None
    phases: dict[str, float | None]
    status: int | None
    error: str | None
    cache: str
    db_calls: int | None
    db_time_ms: float | None
    response: str | None
    node: str | None
    fence: int | None

    @classmethod
    def from_json(cls, row: Json) -> Attempt:
        return cls(
            number=row["number"],
            outcome=row["outcome"],
            started_at=_instant(row.get("started_at")),
            lateness_ms=row.get("lateness_ms"),
            response_time_ms=row.get("response_time_ms"),
            phases=dict(row.get("phases") or {}),
            status=row.get("status"),
            error=row.get("error"),
            cache=row.get("cache", "unknown"),
            db_calls=row.get("db_calls"),
            db_time_ms=row.get("db_time_ms"),
            response=row.get("response"),
            node=row.get("node"),
            fence=row.get("fence"),
        )


@dataclass(frozen=True)
class Handled:
    """How somebody dealt with a failed run: "retried" (as `run`) or "discarded"."""

    how: str
    run: str | None
    by: str | None
    note: str | None
    at: datetime

    @classmethod
    def from_json(cls, row: Json) -> Handled:
        return cls(row["how"], row.get("run"), row.get("by"), row.get("note"), instant_of(row["at"]))


@dataclass(frozen=True)
class Run:
    """A run as the server keeps it.

    `payload` is what this run was given; None: nothing of its own, so it gets that of its definition.
    `definition`, `result` and `attempts` are there only where one run was read (`get_run`).
    """

    id: str
    task: str | None
    revision: int | None
    state: RunState
    reason: str | None
    trigger: str
    created_at: datetime | None
    scheduled_for: datetime | None
    due_at: datetime | None
    deadline_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    priority: int | None
    payload: Any
    retry_of: str | None
    attempt_count: int
    handled: Handled | None
    definition: dict[str, Any] | None
    result: Any
    attempts: tuple[Attempt, ...]

    @classmethod
    def from_json(cls, row: Json) -> Run:
        get = row.get
        return cls(
            row["id"],
            get("task"),
            get("revision"),
            row["state"],
            get("reason"),
            row["trigger"],
            _instant(get("created_at")),
            _instant(get("scheduled_for")),
            _instant(get("due_at")),
            _instant(get("deadline_at")),
            _instant(get("started_at")),
            _instant(get("finished_at")),
            get("priority"),
            get("payload"),
            get("retry_of"),
            get("attempt_count", 0),
            _one(Handled.from_json, get("handled")),
            get("definition"),
            get("result"),
            tuple(Attempt.from_json(attempt) for attempt in get("attempts") or ()),
        )

    @property
    def is_final(self) -> bool:
        """Whether it is over: no move leaves a final state."""
        return self.state in _FINAL


@dataclass(frozen=True)
class Occurrence:
    """A coming instant of a task.

    `at` is nominal, `local` the same on the clock of the schedule's zone, `effective_at` with jitter,
    `schedule` the place of its schedule in the task's list, `dst` what the daylight saving rule did.
    """

    at: datetime
    local: str
    effective_at: datetime
    schedule: int
    dst: str | None

    @classmethod
    def from_json(cls, row: Json) -> Occurrence:
        at = instant_of(row["at"])
        return cls(
            at,
            row.get("local", ""),
            _instant(row.get("effective_at")) or at,
            row.get("schedule", 0),
            row.get("dst"),
        )


@dataclass(frozen=True)
class Change:
    """A field that differs. `before` is None where it was not there, `after` where it is gone."""

    field: str
    before: Any
    after: Any

    @classmethod
    def from_json(cls, row: Json) -> Change:
        return cls(row["field"], row.get("before"), row.get("after"))


@dataclass(frozen=True)
class Revision:
    """One edit of a task: who, when, what and why."""

    revision: int
    at: datetime
    what: str
    author: str | None
    note: str | None
    changed: tuple[Change, ...]
    definition: dict[str, Any]

    @classmethod
    def from_json(cls, row: Json) -> Revision:
        return cls(
            revision=row["revision"],
            at=instant_of(row["at"]),
            what=row["what"],
            author=row.get("author"),
            note=row.get("note"),
            changed=_many(Change.from_json, row.get("changed")),
            definition=dict(row.get("definition") or {}),
        )


@dataclass(frozen=True)
class PlannedTask:
    """What apply did, or would do, with one task: "created", "changed", "removed" or "unchanged"."""

    name: str
    action: str
    revision: int | None
    changes: tuple[Change, ...]
    running: tuple[str, ...]
    note: str | None

    @classmethod
    def from_json(cls, row: Json) -> PlannedTask:
        return cls(
            name=row["name"],
            action=row["action"],
            revision=row.get("revision"),
            changes=_many(Change.from_json, row.get("changes")),
            running=tuple(row.get("running") or ()),
            note=row.get("note"),
        )


@dataclass(frozen=True)
class Plan:
    """What apply did, or with `dry_run` would do. The four numbers count tasks."""

    dry_run: bool
    tasks: tuple[PlannedTask, ...]
    created: int
    changed: int
    removed: int
    unchanged: int

    @classmethod
    def from_json(cls, row: Json) -> Plan:
        return cls(
            dry_run=row.get("dry_run", False),
            tasks=_many(PlannedTask.from_json, row.get("tasks")),
            created=row.get("created", 0),
            changed=row.get("changed", 0),
            removed=row.get("removed", 0),
            unchanged=row.get("unchanged", 0),
        )


@dataclass(frozen=True)
class LeasedRun:
    """A run that is yours until `lease_until`. Say `run` and `fence` with every word about it."""

    run: str
    task: str | None
    attempt: int
    fence: int
    lease_until: datetime
    scheduled_for: datetime | None
    due_at: datetime
    priority: int
    payload: Any

    @classmethod
    def from_json(cls, row: Json) -> LeasedRun:
        return cls(
            run=row["run"],
            task=row.get("task"),
            attempt=row["attempt"],
            fence=row["fence"],
            lease_until=instant_of(row["lease_until"]),
            scheduled_for=_instant(row.get("scheduled_for")),
            due_at=instant_of(row["due_at"]),
            priority=row.get("priority", 5),
            payload=row.get("payload"),
        )


@dataclass(frozen=True)
class LeaseAnswer:
    """The answer to one row about a lease.

    `status` 200: done; 404: there is no such run; 409: the fence is not the newest, the lease has ended or
    the run is over, and nothing was changed. `repeated` with a 409: this completion is recorded already.
    """

    run: str
    status: int
    lease_until: datetime | None = None
    error: str | None = None
    repeated: bool = False

    @classmethod
    def from_json(cls, row: Json) -> LeaseAnswer:
        return cls(
            run=row["run"],
            status=row["status"],
            lease_until=_instant(row.get("lease_until")),
            error=row.get("error"),
            repeated=row.get("repeated", False),
        )

    @property
    def ok(self) -> bool:
        """Whether what was said is on the server's disk: by this call, or by one whose answer was lost."""
        return self.status == 200 or self.repeated


@dataclass(frozen=True)
class Queue:
    """What waits in a queue, and who works. `opens_at` is when its rate limit lets the next run start."""

    name: str
    due: int
    scheduled: int
    running: int
    waiting_workers: int
    oldest_due_at: datetime | None
    max_running: int | None
    rate_limit: dict[str, Any] | None
    opens_at: datetime | None

    @classmethod
    def from_json(cls, row: Json) -> Queue:
        return cls(
            name=row["name"],
            due=row.get("due", 0),
            scheduled=row.get("scheduled", 0),
            running=row.get("running", 0),
            waiting_workers=row.get("waiting_workers", 0),
            oldest_due_at=_instant(row.get("oldest_due_at")),
            max_running=row.get("max_running"),
            rate_limit=row.get("rate_limit"),
            opens_at=_instant(row.get("opens_at")),
        )


@dataclass(frozen=True)
class LastAttempt:
    """How the last attempt of a dead letter ended."""

    number: int
    outcome: str
    status: int | None
    error: str | None

    @classmethod
    def from_json(cls, row: Json) -> LastAttempt:
        return cls(row["number"], row["outcome"], row.get("status"), row.get("error"))


@dataclass(frozen=True)
class DeadLetter:
    """A failed run that nobody has dealt with."""

    run: str
    task: str | None
    trigger: str | None
    scheduled_for: datetime | None
    failed_at: datetime | None
    reason: str | None
    attempt_count: int
    last_attempt: LastAttempt | None

    @classmethod
    def from_json(cls, row: Json) -> DeadLetter:
        return cls(
            run=row["run"],
            task=row.get("task"),
            trigger=row.get("trigger"),
            scheduled_for=_instant(row.get("scheduled_for")),
            failed_at=_instant(row.get("failed_at")),
            reason=row.get("reason"),
            attempt_count=row.get("attempt_count", 0),
            last_attempt=_one(LastAttempt.from_json, row.get("last_attempt")),
        )


@dataclass(frozen=True)
class HandledLetter:
    """A dead letter that was dealt with: retried as another run, or discarded (`retried_as` is None)."""

    run: str
    task: str | None
    retried_as: str | None

    @classmethod
    def from_json(cls, row: Json) -> HandledLetter:
        return cls(row["run"], row.get("task"), row.get("retried_as"))


@dataclass(frozen=True)
class RefusedLetter:
    """A dead letter of a filter that could not be dealt with, and why."""

    run: str
    detail: str

    @classmethod
    def from_json(cls, row: Json) -> RefusedLetter:
        return cls(row["run"], row.get("detail", ""))


@dataclass(frozen=True)
class Handling:
    """What became of dead letters: how many were dealt with, which (the first of many), what is left.

    `left` is how many more the filter matches, `refused` has the first 100 that could not be dealt with.
    """

    count: int
    runs: tuple[HandledLetter, ...]
    refused: tuple[RefusedLetter, ...]
    left: int
    dry_run: bool

    @classmethod
    def from_json(cls, row: Json) -> Handling:
        return cls(
            count=row["retried"] if "retried" in row else row.get("discarded", 0),
            runs=_many(HandledLetter.from_json, row.get("runs")),
            refused=_many(RefusedLetter.from_json, row.get("refused")),
            left=row.get("left", 0),
            dry_run=row.get("dry_run", False),
        )


@dataclass(frozen=True)
class Difference:
    """Something that was due and is not recorded so, or the other way round."""

    kind: str
    task: str | None
    run: str | None
    at: datetime | None
    detail: str

    @classmethod
    def from_json(cls, row: Json) -> Difference:
        return cls(
            row["kind"], row.get("task"), row.get("run"), _instant(row.get("at")), row.get("detail", "")
        )


@dataclass(frozen=True)
class Audit:
    """What was due in a window, held against what is recorded. `ok`: there is no difference.

    `pending` counts occurrences that are still to be recorded. `books` are the sums since the store was made.
    """

    ok: bool
    from_: datetime
    to: datetime
    audited_from: datetime
    tasks: int
    occurrences: int
    runs: int
    pending: int
    differences_total: int
    differences: tuple[Difference, ...]
    books: dict[str, int]

    @classmethod
    def from_json(cls, row: Json) -> Audit:
        return cls(
            ok=row["ok"],
            from_=instant_of(row["from"]),
            to=instant_of(row["to"]),
            audited_from=instant_of(row["audited_from"]),
            tasks=row.get("tasks", 0),
            occurrences=row.get("occurrences", 0),
            runs=row.get("runs", 0),
            pending=row.get("pending", 0),
            differences_total=row.get("differences_total", 0),
            differences=_many(Difference.from_json, row.get("differences")),
            books=dict(row.get("books") or {}),
        )


@dataclass(frozen=True)
class Check:
    """One thing the server watches about itself. `figures` has what else it says, such as `lag_ms`."""

    ok: bool
    detail: str
    figures: dict[str, Any]

    @classmethod
    def from_json(cls, row: Json) -> Check:
        rest = {name: value for name, value in row.items() if name not in ("ok", "detail")}
        return cls(row["ok"], row.get("detail", ""), rest)


@dataclass(frozen=True)
class Readiness:
    """Whether the server does its work in time, and each check by its name."""

    ok: bool
    checks: dict[str, Check]

    @classmethod
    def from_json(cls, row: Json) -> Readiness:
        checks = row.get("checks") or {}
        return cls(row["ok"], {name: Check.from_json(check) for name, check in checks.items()})


@dataclass(frozen=True)
class UnderWay:
    """A run that has not ended, and with whom it is, in words."""

    run: str
    task: str | None
    with_: str

    @classmethod
    def from_json(cls, row: Json) -> UnderWay:
        return cls(row["run"], row.get("task"), row.get("with", ""))


@dataclass(frozen=True)
class Clock:
    """Where a test clock stands, how many runs ended on the way there, and what is under way all the same.

    `moving_to` is where somebody else moves it just now; None while it stands.
    """

    now: datetime
    runs: int
    under_way: tuple[UnderWay, ...]
    moving_to: datetime | None = None

    @classmethod
    def from_json(cls, row: Json) -> Clock:
        return cls(
            now=instant_of(row["now"]),
            runs=row.get("runs", 0),
            under_way=_many(UnderWay.from_json, row.get("under_way")),
            moving_to=_instant(row.get("moving_to")),
        )


@dataclass(frozen=True)
class Event:
    """Something that happened: `type` such as "run.succeeded", when, of which task and run, and all of it.

    `id` is where to go on: `events(after=event.id)`. The type "gap" says that some events before it are no
    longer kept.
    """

    id: str
    type: str
    at: datetime | None
    task: str | None
    run: str | None
    data: dict[str, Any]


@dataclass(frozen=True)
class Page(Generic[T]):
    """One page of a list. `next_cursor` is None at the end."""

    items: tuple[T, ...]
    next_cursor: str | None


def _instant(text: str | None) -> datetime | None:
    return None if text is None else instant_of(text)


def _one(make: Callable[[Json], T], row: Json | None) -> T | None:
    return None if row is None else make(row)


def _many(make: Callable[[Json], T], rows: list[Json] | None) -> tuple[T, ...]:
    return tuple(make(row) for row in rows or ())
