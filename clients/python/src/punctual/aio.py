"""AsyncPunctual, the client for asyncio: the same methods as Punctual in client.py, to be awaited."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping
from contextlib import aclosing
from datetime import timedelta
from types import TracebackType
from typing import Any, Literal, TypeVar
from weakref import WeakKeyDictionary

import httpx

from punctual import calls
from punctual.base import (
    DEFAULT_RETRIES,
    DEFAULT_TIMEOUT_S,
    SILENCE_S,
    failure_of,
    refusal_of,
    request_of,
    result_of,
    settings_of,
)
from punctual.calls import Call
from punctual.durations import Duration, Instant
from punctual.enqueue import AsyncEnqueuer
from punctual.errors import PunctualError
from punctual.lanes import AsyncLanes
from punctual.models import (
    Audit,
    Clock,
    DeadLetter,
    Event,
    Handling,
    LeaseAnswer,
    LeasedRun,
    Occurrence,
    Page,
    Plan,
    Queue,
    Readiness,
    Revision,
    Run,
    RunState,
    Task,
)
from punctual.retrying import wait_before_retry
from punctual.sse import Follower

T = TypeVar("T")


class AsyncPunctual:
    """A server of Punctual, for asyncio. It keeps connections, so make one and use it for long.

        async with AsyncPunctual("http://127.0.0.1:8640") as punctual:
            run = await punctual.create_run("nightly-invoices", payload={"kind": "monthly"}, delay="10m")
            async for task in punctual.tasks():
                print(task.name)

    It may be made before there is a loop, and used in several: each has connections of its own. What the
    parameters mean, which calls are made again, and what they raise is said at Punctual.
    """

    _lanes_class: type[AsyncLanes] = AsyncLanes

    def __init__(
        self,
        url: str | None = None,
        api_key: str | None = None,
        *,
        author: str | None = None,
        timeout: float | timedelta = DEFAULT_TIMEOUT_S,
        retries: int = DEFAULT_RETRIES,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._settings = settings_of(url, api_key, author, timeout, retries)
        self._transport = transport
        self._lanes: WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncLanes] = WeakKeyDictionary()
        self._enqueuers: WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncEnqueuer] = WeakKeyDictionary()
        self._process = os.getpid()

    @property
    def url(self) -> str:
        """Where the server is."""
        return self._settings.url

    async def __aenter__(self) -> AsyncPunctual:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Closes the connections of this loop."""
        lanes = self._lanes.pop(asyncio.get_running_loop(), None)
        if lanes is not None:
            await lanes.aclose()

    # --- tasks ---

    async def put_task(
        self,
        name: str,
        definition: Mapping[str, Any],
        *,
        note: str | None = None,
        if_match: int | str | None = None,
        if_none_match: bool = False,
    ) -> Task:
        """Defines a task: makes it, or changes it to be so. Where it is so already nothing is changed.

        `definition` is what the reference of a task says, with policies, timedeltas and datetimes allowed.
        `note` says why, for the history. `if_match` is the revision that must be the newest and
        `if_none_match=True` means that the task must not exist; else Stale is raised.
        """
        return await self._send(
            calls.put_task(name, definition, note=note, if_match=if_match, if_none_match=if_none_match)
        )

    async def get_task(self, name: str) -> Task:
        """Reads a task, with its next instants and its figures."""
        return await self._send(calls.get_task(name))

    async def patch_task(
        self,
        name: str,
        changes: Mapping[str, Any],
        *,
        note: str | None = None,
        if_match: int | str | None = None,
    ) -> Task:
        """Changes some fields of a task (RFC 7396): what is not named stays, None takes a field away."""
        return await self._send(calls.patch_task(name, changes, note=note, if_match=if_match))

    async def delete_task(
        self, name: str, *, note: str | None = None, if_match: int | str | None = None
    ) -> Task:
        """Deletes a task and cancels its pending runs. Answers the task as it was.

        Where the answer to a first try was lost, the second says NotFound: then it is deleted.
        """
        return await self._send(calls.delete_task(name, note=note, if_match=if_match))

    def tasks(
        self, *, figures: bool = False, limit: int | None = None, page_size: int | None = None
    ) -> AsyncIterator[Task]:
        """All tasks by name, or the first `limit`; fetched page after page (of 100) while you iterate."""
        return self._all(calls.tasks(figures=figures, page_size=page_size), limit)

    async def pause_task(self, name: str, reason: str) -> Task:
        """Nothing of it fires until it is resumed. `running` names the runs that had started."""
        return await self._send(calls.pause_task(name, reason))

    async def resume_task(self, name: str, *, note: str | None = None) -> Task:
        """Lets a paused task start again. What was due meanwhile is not made up for."""
        return await self._send(calls.resume_task(name, note=note))

    async def rollback_task(
        self,
        name: str,
        revision: int | None = None,
        *,
        note: str | None = None,
        if_match: int | str | None = None,
    ) -> Task:
        """Makes an earlier revision the newest; the one before the newest where none is named."""
        return await self._send(calls.rollback_task(name, revision, note=note, if_match=if_match))

    async def upcoming(
        self,
        name: str,
        *,
        from_: Instant | None = None,
        to: Instant | None = None,
        limit: int | None = None,
    ) -> list[Occurrence]:
        """The coming occurrences of a task, in order; 10 where no limit is said, 1000 at most."""
        return await self._send(calls.upcoming(name, from_=from_, to=to, limit=limit))

    def revisions(
        self, name: str, *, limit: int | None = None, page_size: int | None = None
    ) -> AsyncIterator[Revision]:
        """Who edited a task, the newest edit first."""
        return self._all(calls.revisions(name, page_size=page_size), limit)

    async def apply(
        self,
        tasks: Mapping[str, Any] | str,
        *,
        dry_run: bool = False,
        prune: bool = False,
        note: str | None = None,
    ) -> Plan:
        """Applies a whole set: `{"tasks": {name: definition}, "defaults": ...}`, or a punctual.yaml's text.

        All of it or nothing. `dry_run` only says what would be done, `prune` removes tasks the set does not
        name. Where the answer to a first try was lost, the second calls "unchanged" what the first has done.
        """
        return await self._send(calls.apply(tasks, dry_run=dry_run, prune=prune, note=note))

    # --- runs ---

    async def create_run(
        self,
        what: str | Mapping[str, Any],
        *,
        payload: Any = None,
        delay: Duration | None = None,
        run_at: Instant | None = None,
        priority: int | None = None,
        idempotency_key: str | None = None,
    ) -> Run:
        """Makes one run: of a task by its name, or of a target of its own, `{"http": {"url": ...}}`.

        At once, after `delay`, or at `run_at`. Without a payload it gets the task's own. When this returns,
        the run survives a crash of the server.

        The same `idempotency_key` and request give the same run, however often they are sent; the same key
        with another request is Invalid. Without one a key is made for this call, so its tries make one run.
        """
        return await self._send(
            calls.create_run(
                what,
                payload=payload,
                delay=delay,
                run_at=run_at,
                priority=priority,
                idempotency_key=idempotency_key,
            )
        )

    async def enqueue(
        self,
        what: str | Mapping[str, Any],
        *,
        payload: Any = None,
        delay: Duration | None = None,
        run_at: Instant | None = None,
        priority: int | None = None,
        idempotency_key: str | None = None,
    ) -> str:
        """Makes one run as `create_run` does, and answers its id. Many calls at once share requests.

        What others enqueue while one request is under way goes together into the next, so a hundred calls at
        once cost little more than one. Each still returns when its own run survives a crash of the server,
        and raises its own error. A call with an `idempotency_key` goes alone.
        """
        call = calls.create_run(
            what,
            payload=payload,
            delay=delay,
            run_at=run_at,
            priority=priority,
            idempotency_key=idempotency_key,
        )
        if idempotency_key is not None:
            return (await self._send(call)).id
        return await self._own_enqueuer().enqueue(call)

    async def create_runs(
        self, wishes: Iterable[Mapping[str, Any] | str], *, idempotency_key: str | None = None
    ) -> list[str]:
        """Makes up to 10,000 runs, all or none, and answers their ids in the order given.

        Each wish is a task's name, or says as a dict what one run is: `{"task": name, "payload": ...,
        "delay": ...}` or a target of its own. Much faster than one call for each.
        """
        return await self._send(calls.create_runs(wishes, idempotency_key=idempotency_key))

    async def trigger_task(
        self,
        name: str,
        payload: Any = None,
        *,
        delay: Duration | None = None,
        run_at: Instant | None = None,
        priority: int | None = None,
        idempotency_key: str | None = None,
    ) -> Run:
        """Runs a task now or later. NotFound where there is none of this name."""
        return await self._send(
            calls.trigger_task(
                name,
                payload=payload,
                delay=delay,
                run_at=run_at,
                priority=priority,
                idempotency_key=idempotency_key,
            )
        )

    async def get_run(self, run: str) -> Run:
        """Reads a run with its attempts and its result."""
        return await self._send(calls.get_run(run))

    def runs(
        self,
        *,
        task: str | None = None,
        state: RunState | None = None,
        from_: Instant | None = None,
        to: Instant | None = None,
        limit: int | None = None,
        page_size: int | None = None,
    ) -> AsyncIterator[Run]:
        """Runs, the newest first, without their attempts."""
        call = calls.runs(task=task, state=state, from_=from_, to=to, page_size=page_size)
        return self._all(call, limit)

    async def cancel_run(self, run: str, *, reason: str | None = None) -> Run:
        """Ends a run that is not over; what runs is stopped. Conflict where it is over.

        Where the answer to a first try was lost, the second says Conflict: then it is canceled.
        """
        return await self._send(calls.cancel_run(run, reason=reason))

    async def retry_run(
        self, run: str, *, note: str | None = None, idempotency_key: str | None = None
    ) -> Run:
        """Makes a new run of one that is over, linked to it by `retry_of`."""
        return await self._send(calls.retry_run(run, note=note, idempotency_key=idempotency_key))

    async def complete_run(
        self,
        run: str,
        fence: int,
        *,
        result: Any = None,
        error: str | None = None,
        retry_after: Duration | None = None,
        final: bool = False,
        db_calls: int | None = None,
        db_time_ms: float | None = None,
        cache: Literal["warm", "cold", "unknown"] | None = None,
    ) -> Run:
        """Ends a run whose endpoint answered 202: it succeeded with `result`, or failed with `error`.

        `fence` is the header Punctual-Fence of the request. Of a failure, `retry_after` is the least wait
        before the next attempt, and `final=True` means that there shall be none. Conflict where the fence is
        not the newest or the run is over; so says also the second try where the answer to the first was lost.
        """
        return await self._send(
            calls.complete_run(
                run,
                fence,
                result=result,
                error=error,
                retry_after=retry_after,
                final=final,
                db_calls=db_calls,
                db_time_ms=db_time_ms,
                cache=cache,
            )
        )

    async def heartbeat_run(self, run: str, fence: int, *, extend: Duration | None = None) -> LeaseAnswer:
        """Keeps a run open whose endpoint answered 202, for `extend` from now."""
        return await self._send(calls.heartbeat_run(run, fence, extend=extend))

    # --- queues and leases ---

    async def lease(
        self,
        queue: str,
        *,
        max: int = 1,
        wait: Duration | None = None,
        lease: Duration | None = None,
        worker: str | None = None,
    ) -> list[LeasedRun]:
        """Takes up to `max` runs (1000) from a queue; none where nothing is due within `wait` (60 s at most).

        They are yours for `lease` (30 s where not said, 1 s to 24 h). `worker` is your name, kept with each
        attempt. Not made again where its answer was lost: what it leased comes again when the lease ends.
        """
        return await self._send(calls.lease(queue, max=max, wait=wait, lease=lease, worker=worker))

    async def heartbeat_leases(self, leases: Iterable[Mapping[str, Any]]) -> list[LeaseAnswer]:
        """Keeps leases from running out: up to 1000 rows of `run`, `fence` and, if you like, `extend`."""
        return await self._send(calls.heartbeat_leases(leases))

    async def complete_leases(self, leases: Iterable[Mapping[str, Any]]) -> list[LeaseAnswer]:
        """Runs are done: up to 1000 rows of `run`, `fence`, `result`, `db_calls`, `db_time_ms`, `cache`."""
        return await self._send(calls.complete_leases(leases))

    async def fail_leases(self, leases: Iterable[Mapping[str, Any]]) -> list[LeaseAnswer]:
        """Runs have failed: up to 1000 rows of `run`, `fence`, `error`, `retry_after`, `final` and so on."""
        return await self._send(calls.fail_leases(leases))

    async def release_leases(self, leases: Iterable[Mapping[str, Any]]) -> list[LeaseAnswer]:
        """Gives runs back that were not begun: up to 1000 rows of `run` and `fence`. No attempt counts."""
        return await self._send(calls.release_leases(leases))

    async def get_queue(self, name: str) -> Queue:
        """Reads one queue: what waits in it, and who works."""
        return await self._send(calls.get_queue(name))

    async def queues(self) -> list[Queue]:
        """All queues by name."""
        return await self._send(calls.queues())

    # --- check-ins and dead letters ---

    async def checkin(
        self,
        name: str,
        status: Literal["start", "success", "failure"] = "success",
        *,
        run: str | None = None,
        message: str | None = None,
        duration_ms: float | None = None,
        idempotency_key: str | None = None,
    ) -> Run:
        """Says for the job of a monitor that it has started, succeeded or failed."""
        return await self._send(
            calls.checkin(
                name,
                status,
                run=run,
                message=message,
                duration_ms=duration_ms,
                idempotency_key=idempotency_key,
            )
        )

    def dead_letters(
        self,
        *,
        task: str | None = None,
        from_: Instant | None = None,
        to: Instant | None = None,
        reason: str | None = None,
        limit: int | None = None,
        page_size: int | None = None,
    ) -> AsyncIterator[DeadLetter]:
        """The failed runs that nobody has dealt with, the newest first. `reason` is a part of theirs."""
        call = calls.dead_letters(task=task, from_=from_, to=to, reason=reason, page_size=page_size)
        return self._all(call, limit)

    async def retry_dead_letters(
        self,
        runs: Iterable[str] | None = None,
        *,
        task: str | None = None,
        from_: Instant | None = None,
        to: Instant | None = None,
        reason: str | None = None,
        max: int | None = None,
        note: str | None = None,
        dry_run: bool = False,
        idempotency_key: str | None = None,
    ) -> Handling:
        """Runs dead letters again, as new runs: these `runs`, all or none, or the oldest of a filter.

        A filter that matches more than 1,000 needs `max` (10,000 at most). `dry_run` only says which.
        """
        return await self._send(
            calls.handle_dead_letters(
                "retry",
                runs=runs,
                task=task,
                from_=from_,
                to=to,
                reason=reason,
                max=max,
                note=note,
                dry_run=dry_run,
                idempotency_key=idempotency_key,
            )
        )

    async def discard_dead_letters(
        self,
        runs: Iterable[str] | None = None,
        *,
        task: str | None = None,
        from_: Instant | None = None,
        to: Instant | None = None,
        reason: str | None = None,
        max: int | None = None,
        note: str | None = None,
        dry_run: bool = False,
        idempotency_key: str | None = None,
    ) -> Handling:
        """Takes dead letters off the list without running them again; chosen as in `retry_dead_letters`."""
        return await self._send(
            calls.handle_dead_letters(
                "discard",
                runs=runs,
                task=task,
                from_=from_,
                to=to,
                reason=reason,
                max=max,
                note=note,
                dry_run=dry_run,
                idempotency_key=idempotency_key,
            )
        )

    # --- the server ---

    def events(
        self,
        *,
        task: str | None = None,
        types: str | Iterable[str] | None = None,
        after: str | None = None,
    ) -> AsyncIterator[Event]:
        """What happens, as it happens, for ever. After a lost connection it goes on where it was.

        From now on, or after the event with the id `after`; "0" is all that is kept. `types` are such as
        "run.succeeded". An event of the type "gap" says that some are no longer kept. It raises where the
        first connection fails for good, and where the server refuses.
        """
        call = calls.events(task=task, types=types, after=after)
        return self._follow(Follower(call, self._settings.retries))

    async def audit(
        self,
        *,
        from_: Instant | None = None,
        to: Instant | None = None,
        task: str | None = None,
    ) -> Audit:
        """Holds what was due in a window against what is recorded."""
        return await self._send(calls.audit(from_=from_, to=to, task=task))

    async def test_clock(
        self,
        *,
        advance: Duration | None = None,
        to: Instant | None = None,
        wait: Duration | None = None,
        leases: Literal["wait", "expire"] | None = None,
    ) -> Clock:
        """Where the clock of a server for tests stands; with `advance` or `to` it moves there first.

        On its way every run happens at its moment and ends, and only then the clock goes on; `advance=0` ends
        what is due. `wait` (30 s where not said) is how long that may take; Conflict where it is not enough.
        `leases="expire"` does not wait for workers that hold leases. Forbidden where the clock is a real one.
        """
        return await self._send(calls.test_clock(advance=advance, to=to, wait=wait, leases=leases))

    async def metrics(self) -> str:
        """The metrics, in Prometheus' text form."""
        return await self._send(calls.metrics())

    async def health(self) -> bool:
        """True while the server serves. ConnectionFailed where it does not."""
        return await self._send(calls.health())

    async def ready(self) -> Readiness:
        """Whether it does its work in time, check by check. A check that fails is an answer, no exception."""
        return await self._send(calls.ready())

    async def openapi(self) -> dict[str, Any]:
        """The description of the API, OpenAPI 3.1."""
        return await self._send(calls.openapi())

    async def docs(self) -> str:
        """The page that shows the description, HTML."""
        return await self._send(calls.docs())

    # --- sending ---

    async def _send(self, call: Call[T]) -> T:
        tried = 0
        while True:
            tried += 1
            try:
                return await self._try(call)
            except PunctualError as error:
                wait = wait_before_retry(
                    error,
                    repeatable=call.repeatable,
                    tried=tried,
                    retries=self._settings.retries,
                    chance=random.random(),
                )
                if wait is None:
                    raise
            await asyncio.sleep(wait)

    async def _try(self, call: Call[T]) -> T:
        lanes = self._own_lanes()
        request = request_of(self._settings, call)
        lane = lanes.take()
        try:
            answer = await lane.handle_async_request(request)
            body = await answer.aread()
        except BaseException as trouble:
            await lanes.drop(lane)
            if isinstance(trouble, httpx.TransportError):
                raise failure_of(call, self.url, trouble) from trouble
            raise
        await lanes.give_back(lane)
        return result_of(call, answer.status_code, answer.headers, body)

    def _own_lanes(self) -> AsyncLanes:
        """Connections belong to a loop, and to a process: a forked one must not speak on its parent's."""
        if self._process != os.getpid():
            self._lanes = WeakKeyDictionary()
            self._enqueuers = WeakKeyDictionary()
            self._process = os.getpid()
        loop = asyncio.get_running_loop()
        lanes = self._lanes.get(loop)
        if lanes is None:
            lanes = self._lanes[loop] = self._lanes_class(self.url, self._transport)
        return lanes

    def _own_enqueuer(self) -> AsyncEnqueuer:
        self._own_lanes()  # notices a fork
        loop = asyncio.get_running_loop()
        enqueuer = self._enqueuers.get(loop)
        if enqueuer is None:
            enqueuer = self._enqueuers[loop] = AsyncEnqueuer(self._send)
        return enqueuer

    async def _all(self, call: Call[Page[T]], limit: int | None) -> AsyncIterator[T]:
        left = limit
        while left is None or left > 0:
            page = await self._send(call)
            for item in page.items[:left]:
                yield item
            if page.next_cursor is None:
                return
            left = None if left is None else left - len(page.items)
            call = call.at_cursor(page.next_cursor)

    async def _follow(self, follower: Follower) -> AsyncIterator[Event]:
        while True:
            error: PunctualError | None = None
            try:
                async with aclosing(self._stream(follower.call())) as pieces:
                    async for piece in pieces:
                        for event in follower.heard(piece):
                            yield event
            except PunctualError as trouble:
                error = trouble
            wait = follower.lost(error, random.random())
            if wait is None:
                assert error is not None
                raise error
            await asyncio.sleep(wait)

    async def _stream(self, call: Call[None]) -> AsyncGenerator[bytes, None]:
        lanes = self._own_lanes()
        request = request_of(self._settings, call, SILENCE_S)
        lane = lanes.take()
        try:
            answer = await lane.handle_async_request(request)
            try:
                if answer.status_code != 200:
                    raise refusal_of(answer.status_code, answer.headers, await answer.aread())
                async for piece in answer.aiter_bytes():
                    yield piece
            finally:
                await answer.aclose()
        except httpx.TransportError as trouble:
            raise failure_of(call, self.url, trouble) from trouble
        finally:
            await lanes.drop(lane)
