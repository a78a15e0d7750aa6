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
import logging
import os
import socket
import time
import traceback
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import anyio.to_thread

from punctual.aio import AsyncPunctual
from punctual.durations import Duration, duration_seconds, duration_text
from punctual.encoding import encode
from punctual.errors import PunctualError
from punctual.models import LeasedRun
from punctual.policies import Fail, Retry
from punctual.registry import Run
from punctual.visibility import measuring
from punctual.worker.away import Patience, Server, may_pass
from punctual.worker.beats import Beats
from punctual.worker.handlers import Worker
from punctual.worker.held import AHEAD_MOST, Held, Pace
from punctual.worker.lines import tell
from punctual.worker.poll import PollTransport
from punctual.worker.reports import Report, Reports, Word

ERROR_BYTES = 4000
RESULT_BYTES = 64 << 10
RETRY_AFTER_MOST_S = 24 * 3600.0
LAST_ANSWER_S = 0.3  # how long an answer may be under way that was sent before we left
LAST_WORDS_S = 3.0  # for what was cut off at the limit: to be reported


def _own_name() -> str:
    return f"{socket.gethostname()[:150]}-{os.getpid()}"


@dataclass(frozen=True)
class Settings:
    """How a worker works.

    `concurrency` is how many runs at once. `lease` is how long a run is ours without a heartbeat, 1 s to 24 h:
    so long it takes until another worker gets the runs of one that died. `wait` is how long one poll waits for
    a run, up to 60 s. `drain` is how long runs may go on after `stop`. `name` is shown with each attempt.
    """

    queue: str
    concurrency: int = 10
    lease: Duration = "30s"
    wait: Duration = "30s"
    drain: Duration = "25s"
    name: str = field(default_factory=_own_name)

    def __post_init__(self) -> None:
        if self.concurrency < 1:
            raise ValueError(f"concurrency is how many runs at once: 1 or more, not {self.concurrency}")
        if not 1 <= duration_seconds(self.lease) <= 86400:
            raise ValueError(f"lease is 1s to 24h, not {self.lease}")
        if not 0 <= duration_seconds(self.wait) <= 60:
            raise ValueError(f"wait is up to 60s, not {self.wait}")


class Engine:
    """One worker at work. `run` returns when it has stopped; `stop` may be called by a signal handler of the loop.

    Without a client it makes one from PUNCTUAL_URL and PUNCTUAL_API_KEY; `url` and `api_key` say otherwise.
    """

    def __init__(
        self, worker: Worker, settings: Settings, *, url: str | None = None, api_key: str | None = None
    ) -> None:
        self._worker = worker
        self._settings = settings
        lease_s = duration_seconds(settings.lease)
        # No call may take so long that a lease ends meanwhile; repeating is done here, where the reasons are known.
        patience_s = min(10.0, max(1.0, lease_s / 3))
        self._client = AsyncPunctual(url, api_key, timeout=patience_s, retries=0)
        self._line = PollTransport()
        self._poll = AsyncPunctual(url, api_key, timeout=patience_s, retries=0, transport=self._line)
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
        self._reports = Reports(self._client, self._server, self._let_go)
        self._beats = Beats(self._client, self._server, self._held, lease_s)

    def stop(self) -> None:
        """Begins the drain; `run` returns when it is over."""
        self._stop.set()
        self._room.set()

    async def run(self) -> bool:
        """Works until `stop`. True: nothing was left behind. Raises PunctualError where it cannot even begin."""
        limiter = anyio.to_thread.current_default_thread_limiter()
        limiter.total_tokens = max(limiter.total_tokens, self._settings.concurrency)
        fetching = asyncio.create_task(self._fetch())
        helpers = [asyncio.create_task(self._beats.run()), asyncio.create_task(self._reports.run())]
        stopping = asyncio.create_task(self._stop.wait())
        tell(logging.INFO, "worker_started", worker=self._settings.name, queue=self._settings.queue,
             concurrency=self._settings.concurrency, server=self._client.url)  # fmt: skip
        try:
            await asyncio.wait([fetching, stopping, *helpers], return_when=asyncio.FIRST_COMPLETED)
            for task in (fetching, *helpers):
                if task.done():
                    task.result()  # only trouble ends these before the stop
            return await self._drain(fetching)
        finally:
            for task in (fetching, stopping, *helpers):
                task.cancel()
            await asyncio.gather(fetching, stopping, *helpers, return_exceptions=True)
            await self._poll.aclose()
            await self._client.aclose()

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
            result = await self._worker.handler_of(run.task).call(run)
            return "complete", {} if result is None else {"result": _checked(result)}
        except Retry as wish:
            after = None if wish.after is None else min(duration_seconds(wish.after), RETRY_AFTER_MOST_S)
            said: dict[str, Any] = {} if after is None else {"retry_after": duration_text(after)}
            return "fail", {"error": _cut(str(wish)), **said}
        except Fail as trouble:
            return "fail", {"error": _cut(str(trouble) or "the task has failed for good"), "final": True}
        except asyncio.CancelledError:
            if self._cut_off:
                limit = duration_text(self._settings.drain)
                return "fail", {"error": f"its worker stopped, and it was not over within {limit}"}
            return "fail", {"error": "the function was canceled"}
        except BaseException as trouble:  # also sys.exit: it ends the run, not the worker
            held.traceback = traceback.format_exc()
            return "fail", {"error": _cut(f"{type(trouble).__name__}: {trouble}")}

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
        self._line.say_goodbye()
        await asyncio.wait([fetching], timeout=LAST_ANSWER_S)
        fetching.cancel()
        if not await _within(limit_s - (time.monotonic() - began), self._idle.wait()):
            self._cut_off = True
            for held in self._running:
                assert held.task is not None
                held.task.cancel()
            await _within(LAST_WORDS_S, self._idle.wait())
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


def _checked(result: Any) -> Any:
    """Raises TypeError and ValueError where the server would not take it: then only this run fails."""
    size = len(encode(result))
    if size > RESULT_BYTES:
        raise ValueError(
            f"the result has {size} bytes as JSON and may have {RESULT_BYTES >> 10} KiB: keep it elsewhere and say where"
        )
    return result


def _cut(text: str) -> str:
    """As much as the server takes: 4,000 bytes of UTF-8, nothing that is none, and no NUL."""
    clean = text.replace("\0", " ").encode(errors="replace")
    return clean[:ERROR_BYTES].decode(errors="ignore") or "it failed without a word"
