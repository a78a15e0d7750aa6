"""Single runs that share requests: group commit in the client.

    run_id = client.enqueue("welcome-mail", payload={"user": 7})

One request is under way at a time. What other threads (or tasks of the event loop) enqueue meanwhile goes
together into the next one. So nobody waits for a timer, a lone call is sent at once, and a hundred callers at
once cost one request and one sync of the server's disk. Each call returns when its own run is on that disk, and
raises its own error: a batch is all or nothing on the server, so one that is refused is taken apart until only
what is wrong in it fails.

Each request carries an idempotency key of its own, so one whose answer was lost is repeated and creates nothing
twice. A call with an `idempotency_key` of the caller's goes alone, because a batch has one key for all.
"""

from __future__ import annotations

import asyncio
import copy
import threading
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from punctual import calls
from punctual.calls import Call
from punctual.durations import Duration, Instant
from punctual.errors import ApiError, Conflict, Forbidden, Invalid, NotFound, PunctualError
from punctual.models import Run

MOST_RUNS = 1000  # of one request
MOST_BYTES = 4 << 20  # of one request; the server takes 8 MiB

# About what was sent, rather than about the server or who sent it: a smaller batch may fare better.
_REFUSALS = (Invalid, Forbidden, NotFound, Conflict)


@dataclass(eq=False)
class _Wish:
    """One call that waits for its run."""

    call: Call[Run]
    run_id: str | None = None
    error: BaseException | None = None

    @property
    def body(self) -> bytes:
        return self.call.body or b""

    def answer(self) -> str:
        if self.error is not None:
            raise self.error
        assert self.run_id is not None
        return self.run_id


def _take(waiting: list[Any], body_of: Callable[[Any], bytes]) -> list[Any]:
    """Takes the first of those that wait out of the list: as many as fit one request, at least one."""
    size = count = 0
    for wish in waiting[:MOST_RUNS]:
        size += len(body_of(wish)) + 1
        if count > 0 and size > MOST_BYTES:
            break
        count += 1
    taken = waiting[:count]
    del waiting[:count]
    return taken


def _batch_call(bodies: Iterable[bytes]) -> Call[list[str]]:
    """The runs were written as JSON when they were asked for: here they only become one list."""
    return calls.create_runs_written(b"[" + b",".join(bodies) + b"]")


def _marked(refusal: ApiError, count: int) -> set[int]:
    """Which rows of the batch the refusal points at: "/7/payload" is about row 7."""
    rows = set()
    for pointer in refusal.pointers:
        first = pointer.lstrip("/").split("/")[0]
        if first.isdigit() and int(first) < count:
            rows.add(int(first))
    return rows


def _smaller(batch: list[_Wish], refusal: ApiError) -> list[list[_Wish]]:
    """The parts in which a refused batch is tried again: each row that is pointed at alone, the rest halved.

    So one bad run among a thousand costs four further requests, and nothing but bad ones about two for each.
    """
    rows = _marked(refusal, len(batch))
    rest = [wish for row, wish in enumerate(batch) if row not in rows]
    middle = (len(rest) + 1) // 2
    parts = [[batch[row]] for row in sorted(rows)] + [rest[:middle], rest[middle:]]
    return [part for part in parts if part]


def _fail(batch: list[_Wish], error: BaseException) -> None:
    """The same trouble for all of them, but an exception of its own for each: every raise writes into one."""
    for wish in batch:
        own = copy.copy(error) if len(batch) > 1 else error
        if own is not error:
            own.__cause__ = error
        wish.error = own


# --- threads ---


@dataclass(eq=False)
class _ThreadWish(_Wish):
    woken: threading.Event = field(default_factory=threading.Event)  # settled, or to lead the next request


class Enqueuer:
    """Shares requests among threads. The client has one and calls it in `enqueue`.

    It has no thread of its own: the first caller sends, and hands over to the first of those who came meanwhile.
    """

    def __init__(self, send: Callable[[Call[Any]], Any]) -> None:
        self._send = send
        self._lock = threading.Lock()
        self._waiting: list[_ThreadWish] = []
        self._led = False

    def enqueue(self, call: Call[Run]) -> str:
        """The run's id, once it is on the server's disk. Raises as `create_run` does."""
        wish = _ThreadWish(call)
        with self._lock:
            self._waiting.append(wish)
            follows, self._led = self._led, True
        if follows:
            wish.woken.wait()
        if wish.run_id is None and wish.error is None:
            self._lead()
        return wish.answer()

    def _lead(self) -> None:
        """One request, with the leader's own wish first in it, for all that wait."""
        with self._lock:
            batch = _take(self._waiting, lambda wish: wish.body)
        try:
            self._create(batch)
        except BaseException as error:
            _fail([wish for wish in batch if wish.run_id is None and wish.error is None], error)
        finally:
            with self._lock:
                next_leader = self._waiting[0] if self._waiting else None
                self._led = next_leader is not None
            for wish in batch:
                wish.woken.set()
            if next_leader:
                next_leader.woken.set()

    def _create(self, batch: list[_ThreadWish]) -> None:
        try:
            if len(batch) == 1:
                batch[0].run_id = self._send(batch[0].call).id
                return
            ids = self._send(_batch_call(wish.body for wish in batch))
        except PunctualError as error:
            if len(batch) == 1 or not isinstance(error, _REFUSALS):
                _fail(list(batch), error)
                return
            refusal = error
        else:
            for wish, run_id in zip(batch, ids, strict=True):
                wish.run_id = run_id
            return
        for part in _smaller(list(batch), refusal):
            self._create(part)  # type: ignore[arg-type]


# --- asyncio ---


@dataclass(eq=False)
class _TaskWish(_Wish):
    future: asyncio.Future[str] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def settle(self) -> None:
        if self.future.done():  # its caller was canceled
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        elif self.run_id is not None:
            self.future.set_result(self.run_id)


class AsyncEnqueuer:
    """Shares requests among the tasks of one event loop. The client has one and calls it in `enqueue`."""

    def __init__(self, send: Callable[[Call[Any]], Awaitable[Any]]) -> None:
        self._send = send
        self._waiting: list[_TaskWish] = []
        self._sender: asyncio.Task[None] | None = None

    async def enqueue(self, call: Call[Run]) -> str:
        """The run's id, once it is on the server's disk. Raises as `create_run` does.

        Where the caller is canceled meanwhile, the run may have been created or not.
        """
        wish = _TaskWish(call)
        self._waiting.append(wish)
        if self._sender is None:
            self._sender = asyncio.get_running_loop().create_task(self._send_all())
        return await wish.future

    async def _send_all(self) -> None:
        batch: list[_TaskWish] = []
        try:
            while self._waiting:
                batch = _take(self._waiting, lambda wish: wish.body)
                batch = [wish for wish in batch if not wish.future.done()]
                if batch:
                    await self._create(batch)
        except BaseException as error:  # such as the end of the event loop: nobody is left waiting for ever
            _fail([wish for wish in [*batch, *self._waiting] if wish.run_id is None], error)
            for wish in [*batch, *self._waiting]:
                wish.settle()
            self._waiting.clear()
            raise
        finally:
            self._sender = None

    async def _create(self, batch: list[_TaskWish]) -> None:
        try:
            if len(batch) == 1:
                batch[0].run_id = (await self._send(batch[0].call)).id
            else:
                ids = await self._send(_batch_call(wish.body for wish in batch))
                for wish, run_id in zip(batch, ids, strict=True):
                    wish.run_id = run_id
        except PunctualError as error:
            if len(batch) > 1 and isinstance(error, _REFUSALS):
                for part in _smaller(list(batch), error):
                    await self._create(part)  # type: ignore[arg-type]
                return
            _fail(list(batch), error)
        for wish in batch:
            wish.settle()


def call_of(
    what: str | Mapping[str, Any],
    *,
    payload: Any = None,
    delay: Duration | None = None,
    run_at: Instant | None = None,
    priority: int | None = None,
    idempotency_key: str | None = None,
) -> Call[Run]:
    """The call of one wish. Raises TypeError and ValueError at once for what cannot be sent."""
    return calls.create_run(
        what,
        payload=payload,
        delay=delay,
        run_at=run_at,
        priority=priority,
        idempotency_key=idempotency_key,
    )
