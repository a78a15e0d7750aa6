"""The worker at work: takes runs of a queue, carries them out, reports them.

    fetch      one long poll at a time asks for as many runs as there is room for
    carry out  each run in a task of its own, at most `concurrency` at once, plain functions in threads
    reports    in batches, until the server has answered (reports.py)
    beats      prolong the leases of all that is held (beats.py)

A run is held from its lease until its report is answered. `stop` ends it gracefully: nothing further is
taken, what has not begun is given back at once, and what runs may end within the limit.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import time
import traceback
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from punctual.aio import AsyncPunctual
from punctual.delivery import result_text
from punctual.durations import Duration, duration_seconds, duration_text
from punctual.errors import PunctualError
from punctual.models import LeasedRun
from punctual.policies import Fail, Retry
from punctual.registry import Run, allow_threads, definition_of
from punctual.tasks import Tasks
from punctual.visibility import measuring
from punctual.worker.away import Patience, Server, may_pass
from punctual.worker.beats import Beats
from punctual.worker.handlers import handler_of
from punctual.worker.held import AHEAD_MOST, Held, Pace
from punctual.worker.lines import tell
from punctual.worker.poll import PollClient
from punctual.worker.reports import Report, Reports, Word

ERROR_BYTES = 4000
RESULT_BYTES = 64 << 10
RETRY_AFTER_MOST_S = 24 * 3600.0
LAST_ANSWER_S = 0.3  # how long an answer may be under way that was sent before we left
UNWIND_S = 1.0  # for the functions that are canceled at the limit
LAST_WORDS_S = 3.0  # for the reports about them


def _own_name() -> str:
    return f"{socket.gethostname()[:150]}-{os.getpid()}"


@dataclass(frozen=True)
class Settings:
    """How a worker works.

    `concurrency` is how many runs at once. `lease` is how long a run is ours without a heartbeat, 1 s to
    24 h: so long it takes until another worker gets the runs of one that died. `wait` is how long one poll
    waits for a run, up to 60 s. `drain` is how long runs may go on after `stop`. `name` is shown with each
    attempt. `apply`: the declared tasks of queues are put on the server at the start.
    """

    queue: str
    concurrency: int = 10
    lease: Duration = "30s"
    wait: Duration = "30s"
    drain: Duration = "25s"
    name: str = field(default_factory=_own_name)
    apply: bool = True

    def __post_init__(self) -> None:
        if self.concurrency < 1:
            raise ValueError(f"concurrency is how many runs at once: 1 or more, not {self.concurrency}")
        for name, value, least, most in (
            ("lease", self.lease, 1, 86400),
            ("wait", self.wait, 0, 60),
            ("drain", self.drain, 0, 86400),
        ):
            if not least <= duration_seconds(value, unknown=-1) <= most:
                raise ValueError(
                    f'{name} is {duration_text(least)} to {duration_text(most)}, such as "20s", not {value!r}'
                )


class Engine:
    """One worker at work. `run` returns when it has stopped; a signal handler of the loop may call `stop`."""

    def __init__(self, tasks: Tasks, settings: Settings) -> None:
        self._tasks = tasks
        self._settings = settings
        lease_s = duration_seconds(settings.lease)
        # No call may take so long that a lease ends meanwhile. What is repeated is decided here.
        patience_s = min(10.0, max(1.0, lease_s / 3))
        self._client = tasks.connect(AsyncPunctual, timeout=patience_s, retries=0)
        self._poll = tasks.connect(PollClient, timeout=patience_s, retries=0)
        self._server = Server()
        self._held: dict[tuple[str, int], Held] = {}
        self._unstarted: deque[Held] = deque()
        self._running: set[Held] = set()
        self._pace = Pace()
        self._room = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._stop = asyncio.Event()
        self._cut_off = False
        self._reports = Reports(self._client, self._server, self._let_go, self._is_busy)
        self._beats = Beats(self._client, self._server, self._held, lease_s)

    def stop(self) -> None:
        """Begins the drain; `run` returns when it is over."""
        self._stop.set()
        self._room.set()

    async def run(self) -> bool:
        """Works until `stop`. True: nothing was left behind. Raises PunctualError where it cannot begin."""
        allow_threads(self._settings.concurrency)
        with measuring():
            pass  # hooks what is to be counted, which takes a moment that the first run should not wait
        fetching = asyncio.create_task(self._fetch())
        helpers = [asyncio.create_task(self._beats.run()), asyncio.create_task(self._reports.run())]
        stopping = asyncio.ensure_future(self._stop.wait())
        applying = asyncio.create_task(self._apply())
        everything: list[asyncio.Task[Any]] = [fetching, stopping, applying, *helpers]
        tell(logging.INFO, "worker_started", worker=self._settings.name, queue=self._settings.queue,
             concurrency=self._settings.concurrency, server=self._client.url)  # fmt: skip
        try:
            await asyncio.wait([fetching, stopping, *helpers], return_when=asyncio.FIRST_COMPLETED)
            clean = await self._drain(fetching)
            for task in (fetching, *helpers):
                if task.done() and not task.cancelled():
                    task.result()  # only trouble ends these before the stop: it is raised here
            return clean
        finally:
            for task in everything:
                task.cancel()
            await asyncio.gather(*everything, return_exceptions=True)
            await self._poll.aclose()
            await self._client.aclose()

    async def _apply(self) -> None:
        """Puts the tasks that are declared for queues on the server, which may not be there yet."""
        mine = {task.name: definition_of(task, {}) for task in self._tasks.declared if task.is_of_a_queue}
        if not (mine and self._settings.apply and self._tasks.applies_at_start):
            return
        patience = Patience()
        while True:
            try:
                plan = await self._client.apply({"tasks": mine})
            except PunctualError as error:
                if not may_pass(error):
                    tell(logging.ERROR, "tasks_refused", error=str(error))
                    return
                self._server.is_away(error)
                await patience.wait()
            else:
                tell(logging.INFO, "tasks_applied", created=plan.created, changed=plan.changed,
                     unchanged=plan.unchanged)  # fmt: skip
                return

    def _is_busy(self) -> bool:
        return bool(self._running or self._unstarted)

    # --- taking ---

    async def _fetch(self) -> None:
        settings = self._settings
        patience = Patience()
        welcome = False
        while not self._stop.is_set():
            most = await self._wait_for_room()
            if self._stop.is_set():
                return
            try:
                runs = await self._poll.lease(
                    settings.queue, max=most, wait=settings.wait, lease=settings.lease, worker=settings.name
                )
            except PunctualError as error:
                if self._stop.is_set():
                    return
                if not may_pass(error) or (not welcome and getattr(error, "status", 0) == 401):
                    raise
                self._server.is_away(error)
                await patience.wait()
                continue
            welcome = True
            patience.reset()
            self._server.is_there()
            for run in runs:
                self._take(run)
            self._start_more()

    async def _wait_for_room(self) -> int:
        """How many runs may be taken now: at least one."""
        while True:
            ahead = self._pace.ahead
            in_hand = len(self._running) + len(self._unstarted)
            room = self._settings.concurrency + ahead - in_hand
            # Where runs are taken ahead of time, not one by one: half of them go together.
            if self._stop.is_set() or (room > ahead // 2 and self._reports.open < 2 * AHEAD_MOST):
                return max(1, min(room, AHEAD_MOST))
            self._room.clear()
            await self._room.wait()

    def _take(self, leased: LeasedRun) -> None:
        held = Held(leased, renewed=time.monotonic())
        self._held[held.key] = held
        if self._stop.is_set():
            self._give_back(held)
            return
        if not self._running and not self._unstarted:
            self._pace.begin()
        self._unstarted.append(held)

    def _start_more(self) -> None:
        while self._unstarted and len(self._running) < self._settings.concurrency:
            held = self._unstarted.popleft()
            if held.lost is not None:
                self._drop(held)
                continue
            self._running.add(held)
            self._idle.clear()
            held.task = asyncio.get_running_loop().create_task(self._carry_out(held))

    # --- carrying out ---

    async def _carry_out(self, held: Held) -> None:
        began = time.perf_counter()
        with measuring() as measure:
            word, said = await self._outcome(held)
            cost = measure.as_report()
        held.took_ms = round((time.perf_counter() - began) * 1000, 3)
        held.ended = True
        self._running.discard(held)
        self._pace.end_one()
        if held.lost is not None:
            self._drop(held)
        else:
            row = {**held.row, **said, **cost}
            self._reports.add(Report(held, word, row, 200 + len(str(said.get("result", "")))))
        self._start_more()
        self._room.set()
        if not self._running:
            self._idle.set()

    async def _outcome(self, held: Held) -> tuple[Word, dict[str, Any]]:
        """Calls the function, and puts into the API's words how it went."""
        run = self._run_of(held)
        try:
            handler = handler_of(self._tasks, run.task)
            held.can_cancel = handler.is_async
            result = await handler.call(run)
            return "complete", _result_of(held, result)
        except Retry as wish:
            return "fail", {"error": _cut(_text_of(wish)), **_retry_after(wish)}
        except Fail as trouble:
            return "fail", {"error": _cut(_text_of(trouble) or "the task has failed for good"), "final": True}
        except asyncio.CancelledError:
            if self._cut_off:
                limit = duration_text(self._settings.drain)
                return "fail", {"error": f"its worker stopped, and it was not over within {limit}"}
            return "fail", {"error": "the function was canceled"}
        except BaseException as trouble:  # also sys.exit: it ends the run, not the worker
            held.traceback = traceback.format_exc()
            return "fail", {"error": _cut(f"{type(trouble).__name__}: {_text_of(trouble)}")}

    def _run_of(self, held: Held) -> Run:
        leased = held.leased

        async def beat(extend: Duration | None) -> None:
            await self._beats.beat(held, extend)

        return Run(
            id=leased.run,
            task=leased.task,
            attempt=leased.attempt,
            fence=leased.fence,
            scheduled_for=leased.scheduled_for,
            payload=leased.payload,
            beat=beat,
        )

    def _drop(self, held: Held) -> None:
        """It is not ours any more: whatever came out of it is nobody's business."""
        tell(logging.WARNING, "run_dropped", **held.words, error=held.lost)
        self._let_go(held)

    def _let_go(self, held: Held) -> None:
        self._held.pop(held.key, None)
        self._room.set()

    # --- leaving ---

    async def _drain(self, fetching: asyncio.Task[None]) -> bool:
        limit_s = duration_seconds(self._settings.drain)
        began = time.monotonic()
        tell(logging.INFO, "drain_began", running=len(self._running), unstarted=len(self._unstarted))
        while self._unstarted:
            self._give_back(self._unstarted.popleft())
        self._poll.say_goodbye()
        await asyncio.wait([fetching], timeout=LAST_ANSWER_S)
        fetching.cancel()
        if not await _within(limit_s - (time.monotonic() - began), self._idle.wait()):
            self._cut_off = True
            for held in self._running:
                held.cancel()
            await _within(UNWIND_S, self._idle.wait())
        # The server may be away just now; within the limit it may come back.
        await _within(max(LAST_WORDS_S, limit_s - (time.monotonic() - began)), self._reports.all_said())
        left = len(self._held)
        tell(logging.WARNING if left else logging.INFO, "worker_stopped", left_behind=left or None)
        return left == 0

    def _give_back(self, held: Held) -> None:
        held.ended = True
        self._reports.add(Report(held, "release", held.row))


async def _within(seconds: float, event: Any) -> bool:
    """Whether it came in time."""
    try:
        await asyncio.wait_for(event, max(0.0, seconds))
    except asyncio.TimeoutError:
        return False
    return True


def _text_of(trouble: BaseException) -> str:
    try:
        return str(trouble)
    except Exception as worse:
        return f"its message cannot be read ({type(worse).__name__})"


def _retry_after(wish: Retry) -> dict[str, str]:
    """At most a day. What is no duration is left out: the policy of the task says then how long."""
    try:
        after = None if wish.after is None else duration_text(wish.after)
    except (TypeError, ValueError) as trouble:
        tell(logging.ERROR, "retry_after_ignored", error=str(trouble))
        return {}
    if after is None:
        return {}
    is_too_long = duration_seconds(after, unknown=0) > RETRY_AFTER_MOST_S
    return {"retry_after": duration_text(RETRY_AFTER_MOST_S) if is_too_long else after}


def _result_of(held: Held, value: Any) -> dict[str, Any]:
    """What is kept of a result. The work is done, also where it is no JSON or too large: then nothing is."""
    if value is None:
        return {}
    try:
        text = result_text(value)
    except (TypeError, ValueError, RecursionError) as trouble:
        tell(logging.ERROR, "result_not_kept", **held.words, error=str(trouble))
        return {}
    size = len(text.encode())
    if size > RESULT_BYTES:
        why = f"it has {size} bytes and may have {RESULT_BYTES >> 10} KiB: keep it elsewhere and return where"
        tell(logging.ERROR, "result_not_kept", **held.words, error=why)
        return {}
    return {"result": json.loads(text)}


def _cut(text: str) -> str:
    """As much as the server takes: 4,000 bytes of UTF-8, nothing that is none, and no NUL."""
    clean = text.replace("\0", " ").encode(errors="replace")
    return clean[:ERROR_BYTES].decode(errors="ignore") or "it failed without a word"
