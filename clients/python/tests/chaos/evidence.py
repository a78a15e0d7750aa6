"""What was seen from outside, against which the promises are checked.

Nothing here is from the server's own mouth but `runs` and `revisions`, which are read through the API after
the last blow. Instants are seconds since 1970, all of this machine's clock.
"""

from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

Run = dict[str, Any]  # as the API shows it, with attempts

APP_TASKS = ("app-async", "app-plain")
WORK_TASKS = ("work-async", "work-plain")
TICKS = ("app-tick", "work-tick")
TASKS = (*APP_TASKS, *WORK_TASKS, *TICKS)

# Set with the tasks of the app and the command line of the workers.
TIMEOUT_S = 5.0
LEASE_S = 3.0


@dataclass
class Ask:
    """A run that a client asked for, again and again with one key, until it was told that it is there."""

    mark: str  # in the payload, and the idempotency key where the run was asked for alone
    kind: str  # trigger, batch, order
    task: str
    plan: str
    sent: float
    unknown: int = 0  # tries of which the client itself does not know what they did
    answered: float | None = None
    run: str = ""  # the id in the answer


@dataclass
class Execution:
    """One call of a task's function, from the log of the process that made it."""

    run: str
    attempt: int
    fence: int
    pid: int
    began: float
    ended: float | None = None
    how: str = ""  # done, raised, or nothing where the process did not come to the end


@dataclass
class Blow:
    """What was done to a process: killed, or stopped for a while. Somewhere in [at, over]."""

    what: str  # app, worker, server, pause
    pid: int
    at: float
    over: float


@dataclass
class Evidence:
    asks: list[Ask] = field(default_factory=list)
    executions: list[Execution] = field(default_factory=list)
    blows: list[Blow] = field(default_factory=list)
    runs: dict[str, Run] = field(default_factory=dict)
    listed_twice: list[str] = field(default_factory=list)
    revisions: dict[str, int] = field(default_factory=dict)  # of each task, how many


def by_run(seen: Evidence) -> dict[str, list[Execution]]:
    """The executions of each run, in the order of their beginnings."""
    ordered = sorted(seen.executions, key=lambda one: (one.run, one.began))
    return {run: list(group) for run, group in groupby(ordered, key=lambda one: one.run)}


def mark_of(run: Run) -> str | None:
    payload = run["payload"]
    return payload.get("mark") if isinstance(payload, dict) else None


def plan_of(run: Run) -> str:
    payload = run["payload"]
    return payload["plan"] if isinstance(payload, dict) and "plan" in payload else "quick"


def executions_of(lines: list[dict[str, Any]]) -> list[Execution]:
    """Puts each end to its beginning. An end without one counts as an execution of its own."""
    open_ones: dict[tuple[Any, ...], Execution] = {}
    found = []
    for line in sorted(lines, key=lambda line: line["time"]):
        key = (line["pid"], line["run"], line["attempt"], line["fence"])
        one = open_ones.pop(key, None) if line["what"] != "began" else None
        if one is None:
            one = Execution(line["run"], line["attempt"], line["fence"], line["pid"], line["time"])
            found.append(one)
            open_ones[key] = one
        if line["what"] != "began":
            one.ended, one.how = line["time"], line["what"]
    return found
