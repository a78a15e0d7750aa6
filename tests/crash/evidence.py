"""What was seen from outside: the logs that the promises are checked against.

Nothing in here comes from the server's own mouth but `runs`, `tasks` and `events`, which are read through
the API after the last crash.
"""

from dataclasses import dataclass, field
from typing import Any

OK, FAIL, UNKNOWN = "ok", "fail", "unknown"

Run = dict[str, Any]  # as the API shows it, with attempts


@dataclass
class Ask:
    """One request of a client and what became of it.

    ok: answered with 2xx. fail: refused, or never sent. unknown: the connection broke before an answer.
    """

    kind: str  # create, batch, cancel, retry
    sent: float
    answered: float
    outcome: str
    marks: list[str] = field(default_factory=list)  # one for each run asked for, in its payload
    runs: list[str] = field(default_factory=list)  # ids in the answer
    key: str | None = None
    target: str | None = None  # the run that is canceled or retried
    delay: float = 0.0


@dataclass
class Edit:
    """One request about a task: put (with a version), pause, resume or delete."""

    task: str
    kind: str
    sent: float
    answered: float
    outcome: str
    version: int = 0
    running: list[str] = field(default_factory=list)


@dataclass
class Delivery:
    """One request as the receiver saw it, and how it behaved."""

    time: float
    run: str
    attempt: int
    fence: int
    task: str
    behaviour: str  # good, fail, hang, reset
    answered: float | None


@dataclass
class Kill:
    at: float  # just before the signal
    dead: float
    up: float  # listens again


@dataclass
class Tick:
    """A task that fires every second and is never edited."""

    name: str
    sent: float
    answered: float


@dataclass
class Event:
    id: str
    type: str
    run: str | None


@dataclass
class Evidence:
    asks: list[Ask] = field(default_factory=list)
    edits: list[Edit] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)
    kills: list[Kill] = field(default_factory=list)
    ticks: list[Tick] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    runs: dict[str, Run] = field(default_factory=dict)
    tasks: dict[str, Any] = field(default_factory=dict)
    read_at: float = 0.0  # when the reading of the runs began
    max_attempts: int = 0
    timeout: float = 0.0
    half_wait: float = 0.0  # the shortest wait between two attempts that the policy allows
    wrong_ids: list[str] = field(default_factory=list)  # runs listed twice


def mark_of(run: Run) -> str | None:
    payload = run.get("payload")
    return payload.get("mark") if isinstance(payload, dict) else None
