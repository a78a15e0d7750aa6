"""Tests in which time passes at request: the real server with a clock that stands still, and the app under
test.

With pytest this is the fixture `punctual` (pytest_plugin.py). Elsewhere:

    with TimeTravel(app) as punctual:
        punctual.advance("1d")
        punctual.assert_ran_at("nightly-invoices", "2026-01-01T02:30:00+01:00")

`AsyncTimeTravel` has the same methods to be awaited.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone, tzinfo
from pathlib import Path
from typing import Any, Literal

import httpx

from punctual import clock
from punctual.asgi import tasks_of
from punctual.bridge import Bridge
from punctual.client import Punctual
from punctual.durations import Duration, Instant, duration_text, instant_of, instant_text
from punctual.errors import NotFound
from punctual.models import Clock, Run, RunState
from punctual.server import LocalServer
from punctual.tasks import TaskFunction, Tasks

log = logging.getLogger("punctual.testing")

START = "2026-01-01T00:00:00Z"
"""Where the clock stands at first, where nothing else is said."""

RUNS_SHOWN = 40
ENVIRONMENT = ("PUNCTUAL_URL", "PUNCTUAL_API_KEY", "PUNCTUAL_SIGNING_SECRET", "APP_URL")

AnyTask = str | TaskFunction[Any, Any]


class TimeTravel:
    """A server with a test clock, and an app to which it delivers; both begin with `start` and end with
    `stop`.

    `app` is an ASGI app, or None for tests of queues and definitions. Its tasks (PunctualApp or Tasks) are
    pointed at this server, and applied. `start` is where the clock stands at first. `tasks` is a file such
    as punctual.yaml to apply as well; it finds APP_URL in its environment. `program` is the server's;
    find_server() finds it otherwise.

    While it runs PUNCTUAL_URL, PUNCTUAL_SIGNING_SECRET and APP_URL say where everything is, and signatures
    are judged by the clock of the server. One at a time in a process.

    `url` is the server's address, `app_url` the app's for the server, `client` a Punctual for all else.
    """

    def __init__(
        self,
        app: Any = None,
        *,
        start: Instant = START,
        tasks: Path | None = None,
        program: Path | None = None,
    ) -> None:
        self._app = app
        self._start = instant_text(start)
        self._file = tasks
        self._program = program
        self._ends = contextlib.ExitStack()
        self._now = instant_of(self._start).astimezone(timezone.utc)
        self.url = self.app_url = ""
        self.client: Punctual
        self.http: httpx.Client
        """Requests to the app: `punctual.http.get("/health")`. They need no socket."""

    # --- living ---

    def start(self) -> TimeTravel:
        """Starts the server, then the app, and applies the app's tasks. Nothing is left where it fails."""
        with contextlib.ExitStack() as ends:
            self._begin(ends)
            self._ends = ends.pop_all()
        return self

    def stop(self) -> None:
        """Ends the app, then the server. May be called again."""
        self._ends.close()

    def __enter__(self) -> TimeTravel:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _begin(self, ends: contextlib.ExitStack) -> None:
        self._bridge = bridge = Bridge(self._app, self._hear, _hand_over)
        self.app_url = bridge.listen()
        ends.callback(bridge.stop)
        self._server = LocalServer(*self._arguments(), program=self._program, env={"APP_URL": self.app_url})
        ends.callback(self._server.close)
        self.url = self._server.start().url
        ends.enter_context(_environment(self.url, self._server.secret, self.app_url))
        ends.callback(clock.set_now, None)
        clock.set_now(self._seconds)
        self.client = ends.enter_context(Punctual(self.url))
        self.http = ends.enter_context(bridge.client())
        tasks = tasks_of(self._app)
        if tasks is not None:
            ends.enter_context(_pointed_here(tasks, self.url, self._server.secret, self.app_url))
        if self._app is not None:
            bridge.start()
        if tasks is not None and tasks.definitions():
            tasks.apply_now()

    def _arguments(self) -> list[str]:
        words = [f"--test-clock={self._start}"]
        if self._file is not None:
            words += ["--apply", str(self._file.resolve())]
        return words

    # --- time ---

    @property
    def now(self) -> datetime:
        """Where the clock stands, in UTC. While time passes it is the moment of the newest delivery."""
        return self._now

    def advance(
        self,
        by: Duration = 0,
        *,
        to: Instant | None = None,
        wait: Duration = "30s",
        leases: Literal["wait", "expire"] | None = None,
    ) -> Clock:
        """Lets time pass: by so long, or to an instant. Everything due on the way is delivered at its moment.

        Returns when all of it has ended: where the clock stands, and how many runs ended. `advance()`
        delivers what is due now. `wait` is the longest this may take in real time; punctual.Conflict names
        what was not ready. With `leases="expire"` it does not wait for workers that hold runs.
        """
        self._bridge.call(_flush_outboxes())
        if to is None:
            arrived = self.client.test_clock(advance=duration_text(by), wait=wait, leases=leases)
        else:
            arrived = self.client.test_clock(to=to, wait=wait, leases=leases)
        self._now = arrived.now
        return arrived

    def _hear(self, headers: Mapping[str, str]) -> None:
        """A delivery says what time it is at the server; time does not go back."""
        stamp = headers.get("webhook-timestamp", "")
        if stamp.isascii() and stamp.isdigit():
            self._now = max(self._now, datetime.fromtimestamp(int(stamp), timezone.utc))

    def _seconds(self) -> float:
        return self._now.timestamp()

    # --- runs ---

    def trigger(
        self,
        task: AnyTask,
        payload: Any = None,
        *,
        delay: Duration | None = None,
        priority: int | None = None,
    ) -> Run:
        """Makes a run of the task and delivers what is due. The run as it is then: see `state` and
        `result`."""
        made = self.client.trigger_task(_name(task), payload=payload, delay=delay, priority=priority)
        self.advance()
        return self.client.get_run(made.id)

    def run(self, run: str) -> Run:
        """One run, with its attempts and its result."""
        return self.client.get_run(run)

    def runs(self, task: AnyTask | None = None, *, state: RunState | None = None) -> list[Run]:
        """The runs of a task, or all, the oldest first, with their attempts and results; those to come as
        well.

        One request for each: where there are many, `client.runs` is quicker.
        """
        return [self.client.get_run(run.id) for run in self._listed(task, state)]

    def _listed(self, task: AnyTask | None, state: RunState | None = None) -> list[Run]:
        name = None if task is None else _name(task)
        found = list(self.client.runs(task=name, state=state))
        return sorted(found, key=lambda run: (run.due_at or self._now, run.id))

    # --- what must be true ---

    def assert_ran_at(
        self, task: AnyTask, *instants: Instant, state: RunState = "succeeded", only: bool = False
    ) -> None:
        """Fails unless the task has a run of each of these instants, in this state.

        The instants are the nominal ones of the schedule (`scheduled_for`), so without jitter. With `only`
        there may be no others that ended: `assert_ran_at("cleanup", only=True)` says that it never ran.
        """
        __tracebackhide__ = True
        name = _name(task)
        wanted = [_utc(instant) for instant in instants]
        try:
            listed = [run for run in self._listed(name) if run.is_final]
        except NotFound:
            known = ", ".join(task.name for task in self.client.tasks())
            raise AssertionError(f"There is no task {name}; there are: {known or 'none'}.") from None
        found = {run.scheduled_for for run in listed if run.state == state}
        missing = [instant for instant in wanted if instant not in found]
        beside = [run for run in listed if run.scheduled_for not in wanted] if only else []
        if not missing and not beside:
            return
        zone = _zone(instants)
        words = [f"{name} has no run of {_shown(instant, zone)} that is {state}" for instant in missing]
        words += [
            f"{name} has a run of {_shown(run.scheduled_for, zone)}, which is {run.state}" for run in beside
        ]
        raise AssertionError("\n".join([*words, self._why_not(name, zone)]))

    def _why_not(self, name: str, zone: tzinfo) -> str:
        """What is there instead, for whoever reads the failure."""
        lines = [f"The clock stands at {_shown(self._now, zone)}."]
        runs = self.runs(name)
        lines.append(f"The runs of {name}:" if runs else f"{name} has no runs.")
        lines += table_of(runs, zone)
        coming = self.client.upcoming(name, limit=1)
        if coming:
            lines.append(f"The next is due at {_shown(coming[0].at, zone)}.")
        return "\n".join(lines)

    def report(self) -> str:
        """What ran until now, as a table."""
        return "\n".join(table_of(self.runs(), timezone.utc)) or "nothing ran"


class AsyncTimeTravel:
    """TimeTravel for tests that are coroutines: the same methods, to be awaited.

    The app lives in a loop of its own all the same, so what belongs to the loop of the test (an async
    engine, a session) is not for the app; the app makes its own in its lifespan.
    """

    def __init__(self, sync: TimeTravel) -> None:
        self.sync = sync
        self.url = sync.url
        self.app_url = sync.app_url

    @property
    def now(self) -> datetime:
        """See TimeTravel.now."""
        return self.sync.now

    async def advance(
        self,
        by: Duration = 0,
        *,
        to: Instant | None = None,
        wait: Duration = "30s",
        leases: Literal["wait", "expire"] | None = None,
    ) -> Clock:
        """See TimeTravel.advance. The loop of the test goes on meanwhile."""
        return await asyncio.to_thread(self.sync.advance, by, to=to, wait=wait, leases=leases)

    async def trigger(
        self,
        task: AnyTask,
        payload: Any = None,
        *,
        delay: Duration | None = None,
        priority: int | None = None,
    ) -> Run:
        """See TimeTravel.trigger."""
        return await asyncio.to_thread(self.sync.trigger, task, payload, delay=delay, priority=priority)

    async def run(self, run: str) -> Run:
        """See TimeTravel.run."""
        return await asyncio.to_thread(self.sync.run, run)

    async def runs(self, task: AnyTask | None = None, *, state: RunState | None = None) -> list[Run]:
        """See TimeTravel.runs."""
        return await asyncio.to_thread(self.sync.runs, task, state=state)

    async def assert_ran_at(
        self, task: AnyTask, *instants: Instant, state: RunState = "succeeded", only: bool = False
    ) -> None:
        """See TimeTravel.assert_ran_at."""
        await asyncio.to_thread(self.sync.assert_ran_at, task, *instants, state=state, only=only)


def table_of(runs: Sequence[Run], zone: tzinfo) -> list[str]:
    """One line for each run, the newest where there are many: instant, state, attempts, and what went
    wrong."""
    left_out = max(0, len(runs) - RUNS_SHOWN)
    lines = [f"  ... {left_out} earlier ones"] if left_out else []
    for run in runs[left_out:]:
        words = f"  {_shown(run.scheduled_for or run.due_at, zone)}  {run.task or run.id:20}  {run.state:9}"
        lines.append(f"{words} {_trouble(run)}".rstrip())
    return lines


def _trouble(run: Run) -> str:
    """Why a run did not succeed at once, in one line."""
    parts = [f"after {run.attempt_count} attempts"] if run.attempt_count > 1 else []
    if run.state != "succeeded":
        last = run.attempts[-1] if run.attempts else None
        parts.append(run.reason or (last.error if last else "") or "")
        parts.append(_said_by_app(last.response) if last and last.response else "")
    return ", ".join(part for part in parts if part)


def _said_by_app(response: str) -> str:
    """The exception behind a problem document, else how the answer begins."""
    with contextlib.suppress(ValueError, KeyError, TypeError):
        document = json.loads(response)
        return f"{document['title']}: {document['detail']}"
    return " ".join(response.split())[:200]


def _name(task: AnyTask) -> str:
    return task if isinstance(task, str) else task.name


def _utc(instant: Instant) -> datetime:
    return instant_of(instant_text(instant)).astimezone(timezone.utc)


def _zone(instants: Sequence[Instant]) -> tzinfo:
    """That of the first instant asked for, so that a failure speaks as the test does."""
    for instant in instants:
        zone = instant_of(instant).tzinfo if isinstance(instant, str) else instant.tzinfo
        if zone is not None:
            return zone
    return timezone.utc


def _shown(instant: datetime | None, zone: tzinfo) -> str:
    return "no instant" if instant is None else instant.astimezone(zone).isoformat(timespec="seconds")


# --- while it runs ---


async def _flush_outboxes() -> None:
    """What was committed with `outbox.enqueue` is a run before the clock moves."""
    relays = sys.modules.get("punctual.outbox.relay")
    if relays is not None:
        await relays.flush_all()


async def _hand_over() -> None:
    """After each delivery, so that what a task enqueued is in time."""
    try:
        await _flush_outboxes()
    except Exception:
        log.exception("what a task enqueued in its outbox was not handed over")


@contextlib.contextmanager
def _environment(url: str, secret: str, app_url: str) -> Iterator[None]:
    before = {name: os.environ.pop(name, None) for name in ENVIRONMENT}
    os.environ.update(PUNCTUAL_URL=url, PUNCTUAL_SIGNING_SECRET=secret, APP_URL=app_url)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


@contextlib.contextmanager
def _pointed_here(tasks: Tasks, url: str, secret: str, app_url: str) -> Iterator[None]:
    """The settings of the app's tasks, until the end; applying is ours, so that it is done when a test
    begins."""
    names = ("_url", "_api_key", "_app_url", "_secret", "_apply_at_start")
    before = {name: getattr(tasks, name) for name in names}
    tasks.configure(url=url, app_url=app_url, secret=secret, apply=False)
    tasks._api_key = None
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(tasks, name, value)
        tasks.configure()
