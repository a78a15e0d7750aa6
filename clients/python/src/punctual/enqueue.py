"""Single runs that share requests: group commit in the client.

    run_id = client.enqueue("welcome-mail", payload={"user": 7})

One request is under way at a time. What other threads (or tasks of the event loop) enqueue meanwhile goes
together into the next one. So a lone call is sent at once, and a hundred callers at once cost one request and
one sync of the server's disk. Each call returns when its own run is on that disk, and raises its own error: a
batch is all or nothing on the server, so one that is refused is taken apart until only what is wrong in it
fails.

Each request carries an idempotency key of its own, so one whose answer was lost is repeated and creates
nothing twice. A call with an `idempotency_key` of the caller's does not come here: a batch has one key for
all.
"""

from __future__ import annotations

import asyncio
import copy
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from punctual import calls
from punctual.calls import Call
from punctual.errors import ApiError, Conflict, ConnectionFailed, Forbidden, Invalid, NotFound, PunctualError
from punctual.models import Run

MOST_RUNS = 1000  # of one request
MOST_BYTES = 4 << 20  # of one request; the server takes 8 MiB
LONGEST_WAIT_S = 0.01  # for threads that come back

# About what was sent, rather than about the server or who sent it: a smaller batch may fare better.
_REFUSALS = (Invalid, Forbidden, NotFound, Conflict)


@dataclass(eq=False)
class _Wish:
    """One call that waits for its run: settled when it has either the id or an error."""

    call: Call[Run]
    run_id: str | None = None
    error: BaseException | None = None

    @property
    def body(self) -> bytes:
        return self.call.body or b""

    @property
    def is_settled(self) -> bool:
        return self.run_id is not None or self.error is not None


W = TypeVar("W", bound=_Wish)


# --- threads ---


class _ThreadWish(_Wish):
    """Its caller waits until it is settled, or may lead the next request: until `woken` is released, once."""

    def __init__(self, call: Call[Run]) -> None:
        super().__init__(call)
        self.woken = threading.Lock()  # cheaper than an Event, of which there would be one for each run
        self.woken.acquire()


class Enqueuer:
    """Shares requests among threads. A client has one.

    It has no thread of its own: the first caller sends, and then the first of those who came meanwhile.
    Threads that have just been answered come back one after the other: where the last request carried more
    callers than wait now, the next one is held back for them, a quarter of the time that the last one took at
    most.
    """

    def __init__(self, send: Callable[[Call[Any]], Any]) -> None:
        self._send = send
        self._lock = threading.Lock()
        self._waiting: list[_ThreadWish] = []
        self._is_led = False
        self._all_are_back = threading.Event()
        self._last_count = 0
        self._last_took_s = 0.0

    def enqueue(self, call: Call[Run]) -> str:
        """The run's id, once it is on the server's disk. Raises as `create_run` does."""
        wish = _ThreadWish(call)
        with self._lock:
            self._waiting.append(wish)
            follows, self._is_led = self._is_led, True
            if follows and len(self._waiting) >= self._last_count:
                self._all_are_back.set()
        if follows:
            wish.woken.acquire()
        if not wish.is_settled:
            self._lead(wish)
        if wish.error is not None:
            raise wish.error
        assert wish.run_id is not None
        return wish.run_id

    def _lead(self, own: _ThreadWish) -> None:
        """One request, with the leader's own wish first in it, for all that wait."""
        self._await_the_others()
        began = time.monotonic()
        with self._lock:
            batch = _take(self._waiting)
        try:
            self._create(batch)
        except Exception as error:
            _fail(batch, error)
        except BaseException:  # such as KeyboardInterrupt, which is the leader's own
            _fail(batch, ConnectionFailed("the thread that sent the request was interrupted", sent=True))
            raise
        finally:
            self._last_count, self._last_took_s = len(batch), time.monotonic() - began
            self._hand_over(batch, own)

    def _hand_over(self, batch: Sequence[_ThreadWish], own: _ThreadWish) -> None:
        with self._lock:
            leader = self._waiting[0] if self._waiting else None
            self._is_led = leader is not None
        for wish in batch:
            if wish is not own:
                wish.woken.release()
        if leader is not None:
            leader.woken.release()

    def _await_the_others(self) -> None:
        with self._lock:
            if len(self._waiting) >= self._last_count:
                return
            self._all_are_back.clear()
        self._all_are_back.wait(min(self._last_took_s / 4, LONGEST_WAIT_S))

    def _create(self, batch: Sequence[_ThreadWish]) -> None:
        try:
            if len(batch) == 1:
                batch[0].run_id = self._send(batch[0].call).id
            else:
                _settle(batch, self._send(_batch_call(batch)))
        except PunctualError as error:
            if not _is_worth_parting(batch, error):
                _fail(batch, error)
                return
            for part in _parts(batch, error):
                self._create(part)


# --- asyncio ---


@dataclass(eq=False)
class _TaskWish(_Wish):
    future: asyncio.Future[str] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def wake(self) -> None:
        """Hands the outcome to the caller, who may have been canceled meanwhile."""
        if self.future.done():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        elif self.run_id is not None:
            self.future.set_result(self.run_id)


class AsyncEnqueuer:
    """Shares requests among the tasks of one event loop. A client has one for each loop."""

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
                batch = [wish for wish in _take(self._waiting) if not wish.future.done()]
                if batch:
                    await self._create(batch)
        except asyncio.CancelledError:  # the loop ends: nobody is left waiting for ever
            for wish in [*batch, *self._waiting]:
                wish.future.cancel()
            self._waiting.clear()
            raise
        except Exception as error:
            lost = [*batch, *self._waiting]
            self._waiting.clear()
            _fail(lost, error)
            for wish in lost:
                wish.wake()
        finally:
            self._sender = None

    async def _create(self, batch: Sequence[_TaskWish]) -> None:
        try:
            if len(batch) == 1:
                batch[0].run_id = (await self._send(batch[0].call)).id
            else:
                _settle(batch, await self._send(_batch_call(batch)))
        except PunctualError as error:
            if _is_worth_parting(batch, error):
                for part in _parts(batch, error):
                    await self._create(part)
                return
            _fail(batch, error)
        for wish in batch:
            wish.wake()


# --- batches ---


def _take(waiting: list[W]) -> list[W]:
    """Takes those that wait longest out of the list: as many as fit one request, at least one."""
    size = count = 0
    for wish in waiting[:MOST_RUNS]:
        size += len(wish.body) + 1
        if count > 0 and size > MOST_BYTES:
            break
        count += 1
    taken = waiting[:count]
    del waiting[:count]
    return taken


def _batch_call(batch: Iterable[_Wish]) -> Call[list[str]]:
    """Each run was written as JSON when it was asked for; here they only become one list."""
    return calls.create_runs_written(b"[" + b",".join(wish.body for wish in batch) + b"]")


def _settle(batch: Sequence[_Wish], ids: Sequence[str]) -> None:
    for wish, run_id in zip(batch, ids, strict=True):
        wish.run_id = run_id


def _fail(batch: Sequence[_Wish], error: BaseException) -> None:
    """All that are not settled, each with an exception of its own: whoever raises one writes into it."""
    for wish in batch:
        if not wish.is_settled:
            wish.error = copy.copy(error) if len(batch) > 1 else error
            if wish.error is not error:
                wish.error.__cause__ = error


def _is_worth_parting(batch: Sequence[_Wish], error: PunctualError) -> bool:
    return len(batch) > 1 and isinstance(error, _REFUSALS)


def _parts(batch: Sequence[W], refusal: PunctualError) -> list[list[W]]:
    """The parts in which a refused batch is tried again: each run that is pointed at alone, the others
    halved.

    So one bad run among a thousand costs four further requests, and nothing but bad ones about two for each.
    """
    rows = _rows_pointed_at(refusal)
    others = [wish for row, wish in enumerate(batch) if row not in rows]
    middle = (len(others) + 1) // 2
    alone = [[wish] for row, wish in enumerate(batch) if row in rows]
    return [part for part in (*alone, others[:middle], others[middle:]) if part]


def _rows_pointed_at(refusal: PunctualError) -> set[int]:
    """ "/7/payload" is about run 7 of the batch."""
    pointers = refusal.pointers if isinstance(refusal, ApiError) else []
    first = (pointer.lstrip("/").split("/")[0] for pointer in pointers)
    return {int(part) for part in first if part.isascii() and part.isdigit()}
