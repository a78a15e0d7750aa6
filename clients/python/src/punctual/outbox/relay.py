"""Carries out what handover.py decides: in a thread beside the application, or in its event loop.

    with outbox.Relay(engine):                  # a thread, for an Engine
        ...

    async with outbox.AsyncRelay(engine):       # a task of the running loop, for an AsyncEngine
        ...

Both look into the table after each commit that enqueued something in this process, and at an interval for
what others committed. Any number may run at once, in any number of processes: one hands over, the others
stand by. A server or a database that is not there is waited for, with growing pauses, and said once in the
log (`punctual.outbox`).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import threading
import time
import weakref
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from punctual.aio import AsyncPunctual
from punctual.calls import Call
from punctual.client import Punctual
from punctual.errors import PunctualError
from punctual.outbox.handover import Ask, Options, Send, round_trip
from punctual.outbox.table import Waker, waiting

log = logging.getLogger("punctual.outbox")

LONGEST_PAUSE = 30.0
"""Seconds between two tries while server or database are not there."""

DATABASE_PAUSES = (0.05, 0.5)
"""Seconds before a transaction that the database refused (busy, restarting) is tried again."""

FLUSH_LOOK = 0.005
"""Seconds between two looks while another relay has the batch."""


class _Pace:
    """How long to rest after a round, and what to say of it."""

    def __init__(self, interval: float) -> None:
        self.interval = interval
        self.failures = 0
        self.said = ""

    def after(self, made: int) -> float:
        if self.failures:
            log.info("the outbox is handed over again")
        self.failures, self.said = 0, ""
        return 0.0 if made else self.interval

    def after_failure(self, error: Exception) -> float:
        words = f"{type(error).__name__}: {error}".splitlines()[0]
        if words != self.said:
            known = isinstance(error, (PunctualError, SQLAlchemyError))
            log.warning("the outbox waits: %s", words, exc_info=None if known else error)
        self.said = words
        self.failures += 1
        return min(self.interval * 2.0 ** min(self.failures - 1, 16), LONGEST_PAUSE)


class Relay:
    """Hands rows over on a thread of its own, between `start` and `stop`, or within `with`.

    `client` is a `Punctual` of yours; without one, a client for `url` and `api_key` (or PUNCTUAL_URL and
    PUNCTUAL_API_KEY) is made, and closed at the end. Neither server nor table need be there at the start.
    """

    def __init__(
        self,
        engine: Engine,
        client: Punctual | None = None,
        *,
        url: str | None = None,
        api_key: str | None = None,
        options: Options | None = None,
    ) -> None:
        self.options = options or Options()
        self._engine = engine
        self._own = client is None
        self._client = client or Punctual(url, api_key, timeout=self.options.timeout, retries=0)
        self._news = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="punctual-outbox", daemon=True)
        self._waker = Waker(self._news.set)

    def hand_over(self) -> int:
        """One batch, on the caller's thread. Says how many runs were made; 0 where nothing waits.

        Raises PunctualError where the server is not there, and the database's errors as they are.
        """
        steps = round_trip(self.options)
        answer: Any = None
        while True:
            try:
                step = steps.send(answer)
            except StopIteration as end:
                return int(end.value)
            if isinstance(step, Ask):
                answer = self._ask(step)
            else:
                try:
                    answer = self._client._send(create_runs_of(step))
                except PunctualError as error:
                    answer = error

    def _ask(self, step: Ask) -> Any:
        for pause in DATABASE_PAUSES:
            try:
                with self._engine.begin() as connection:
                    return step(connection)
            except OperationalError:
                time.sleep(pause)
        with self._engine.begin() as connection:
            return step(connection)

    def flush(self, within: float = 10.0) -> None:
        """Hands over all that waits; returns when the server has it, or has refused it. For tests.

        Raises what `hand_over` does, and TimeoutError where it takes longer than so many seconds.
        """
        deadline = time.monotonic() + within
        while self._waits():
            if not self.hand_over():
                _check_patience(deadline)
                time.sleep(FLUSH_LOOK)

    def _waits(self) -> bool:
        with self._engine.connect() as connection:
            return waiting(connection) > 0

    def start(self) -> Relay:
        """Begins. A relay starts once."""
        self._thread.start()
        _running.add(self)
        return self

    def stop(self) -> None:
        """Ends after the batch that is on its way, and waits for that; what is left is for the next relay."""
        _running.discard(self)
        self._waker.close()
        self._stopping.set()
        self._news.set()
        if self._thread.is_alive():
            self._thread.join()
        if self._own:
            self._client.close()

    def _run(self) -> None:
        pace = _Pace(self.options.interval)
        while not self._stopping.is_set():
            self._news.clear()
            try:
                pause = pace.after(self.hand_over())
            except Exception as error:  # whatever it is: a relay that ended would be missed much later
                self._stopping.wait(pace.after_failure(error))
            else:
                self._news.wait(pause)

    def __enter__(self) -> Relay:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


class AsyncRelay:
    """The same as a task of the running event loop, within `async with`, for an AsyncEngine."""

    def __init__(
        self,
        engine: AsyncEngine,
        client: AsyncPunctual | None = None,
        *,
        url: str | None = None,
        api_key: str | None = None,
        options: Options | None = None,
    ) -> None:
        self.options = options or Options()
        self._engine = engine
        self._own = client is None
        self._client = client or AsyncPunctual(url, api_key, timeout=self.options.timeout, retries=0)
        self._news = asyncio.Event()
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waker: Waker | None = None

    async def hand_over(self) -> int:
        """One batch. Says how many runs were made; 0 where nothing waits. Raises as `Relay.hand_over`
        does."""
        steps = round_trip(self.options)
        answer: Any = None
        while True:
            try:
                step = steps.send(answer)
            except StopIteration as end:
                return int(end.value)
            if isinstance(step, Ask):
                answer = await self._ask(step)
            else:
                try:
                    answer = await self._client._send(create_runs_of(step))
                except PunctualError as error:
                    answer = error

    async def _ask(self, step: Ask) -> Any:
        for pause in DATABASE_PAUSES:
            try:
                async with self._engine.begin() as connection:
                    return await connection.run_sync(step)
            except OperationalError:
                await asyncio.sleep(pause)
        async with self._engine.begin() as connection:
            return await connection.run_sync(step)

    async def flush(self, within: float = 10.0) -> None:
        """See Relay.flush."""
        deadline = time.monotonic() + within
        while await self._waits():
            if not await self.hand_over():
                _check_patience(deadline)
                await asyncio.sleep(FLUSH_LOOK)

    async def _waits(self) -> bool:
        async with self._engine.connect() as connection:
            return await connection.run_sync(waiting) > 0

    async def start(self) -> AsyncRelay:
        """Begins. A relay starts once."""
        if self._task is not None:
            raise RuntimeError("this relay has been started already")
        self._loop = loop = asyncio.get_running_loop()
        self._waker = Waker(lambda: loop.call_soon_threadsafe(self._news.set))
        self._task = loop.create_task(self._run(), name="punctual-outbox")
        _running.add(self)
        return self

    async def stop(self) -> None:
        """Ends after the batch that is on its way, and waits for that; what is left is for the next relay."""
        _running.discard(self)
        if self._waker is not None:
            self._waker.close()
        self._stopping.set()
        self._news.set()
        if self._task is not None:
            await self._task
        if self._own:
            await self._client.aclose()

    async def _run(self) -> None:
        pace = _Pace(self.options.interval)
        while not self._stopping.is_set():
            self._news.clear()
            try:
                pause = pace.after(await self.hand_over())
            except Exception as error:  # whatever it is: a relay that ended would be missed much later
                await _wait(self._stopping, pace.after_failure(error))
            else:
                await _wait(self._news, pause)

    async def __aenter__(self) -> AsyncRelay:
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        await self.stop()


_running: weakref.WeakSet[Relay | AsyncRelay] = weakref.WeakSet()


async def flush_all() -> None:
    """Flushes every relay that runs in this process: what was committed until now has its runs then. For
    tests."""
    for relay in list(_running):
        if isinstance(relay, Relay):
            await asyncio.to_thread(relay.flush)
        elif relay._loop is asyncio.get_running_loop():
            await relay.flush()
        elif relay._loop is not None and relay._loop.is_running():
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(relay.flush(), relay._loop))


def _check_patience(deadline: float) -> None:
    if time.monotonic() > deadline:
        raise TimeoutError("the outbox was not handed over in time: does another relay hang?")


async def _wait(event: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)


def create_runs_of(step: Send) -> Call[list[str]]:
    """POST /v1/runs/batch with the rows as they stand in the table, byte for byte: the key is bound to
    them."""
    return Call(
        "POST",
        "/v1/runs/batch",
        lambda body: list(json.loads(body)["ids"]),
        body="\n".join(step.lines).encode(),
        headers={"Content-Type": "application/x-ndjson", "Idempotency-Key": f'"{step.key}"'},
    )
