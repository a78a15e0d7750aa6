"""Punctual, the client for programs with threads. aio.py has the same methods for asyncio."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import closing
from datetime import timedelta
from itertools import islice
from types import TracebackType
from typing import Any, Literal, TypeVar

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
from punctual.enqueue import Enqueuer
from punctual.errors import PunctualError
from punctual.lanes import Lanes
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


class Punctual:
    """A server of Punctual. Threads may share one; it keeps connections, so make one and use it for long.

        with Punctual("http://127.0.0.1:8640") as punctual:
            run = punctual.create_run("nightly-invoices", payload={"kind": "monthly"}, delay="10m")

    `url` and `api_key` are PUNCTUAL_URL (else http://127.0.0.1:8640) and PUNCTUAL_API_KEY where not given.
    `author` is who asks, for the history of tasks; PUNCTUAL_AUTHOR where not given. `timeout` is how many
    seconds each try of a call may take, `retries` how often a call is made again. `transport` is one of
    httpx, for those who bring their own.

    A call that fails is made again where that cannot do harm: where nothing was sent, where the server asked
    for it (429), and, of the calls whose repetition does nothing more, also where no answer came or the
    answer was 502, 503 or 504. These are all calls but `lease`, `rollback_task` without a revision,
    `test_clock(advance=...)`, and edits with `if_match` or `if_none_match`. Calls that create carry an
    Idempotency-Key, kept over all tries.

    Every method raises an ApiError with the server's words where it refuses, and ConnectionFailed where no
    answer came.
    """

    def __init__(
        self,
        url: str | None = None,
        api_key: str | None = None,
        *,
        author: str | None = None,
        timeout: float | timedelta = DEFAULT_TIMEOUT_S,
        retries: int = DEFAULT_RETRIES,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._settings = settings_of(url, api_key, author, timeout, retries)
        self._transport = transport
        self._lanes = Lanes(self.url, transport)
        self._enqueuer = Enqueuer(self._send)
        self._process = os.getpid()

    @property
    def url(self) -> str:
        """Where the server is."""
        return self._settings.url

    def __enter__(self) -> Punctual:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections. No call may follow."""
        self._own_lanes().close()

    # --- tasks ---

    def put_task(
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
        return self._send(
            calls.put_task(name, definition, note=note, if_match=if_match, if_none_match=if_none_match)
        )

    def get_task(self, name: str) -> Task:
        """Reads a task, with its next instants and its figures."""
        return self._send(calls.get_task(name))

    def patch_task(
        self,
        name: str,
        changes: Mapping[str, Any],
        *,
        note: str | None = None,
        if_match: int | str | None = None,
    ) -> Task:
        """Changes some fields of a task (RFC 7396): what is not named stays, None takes a field away."""
        return self._send(calls.patch_task(name, changes, note=note, if_match=if_match))

    def delete_task(self, name: str, *, note: str | None = None, if_match: int | str | None = None) -> Task:
        """Deletes a task and cancels its pending runs. Answers the task as it was.

        Where the answer to a first try was lost, the second says NotFound: then it is deleted.
        """
        return self._send(calls.delete_task(name, note=note, if_match=if_match))

    def tasks(
        self, *, figures: bool = False, limit: int | None = None, page_size: int | None = None
    ) -> Iterator[Task]:
        """All tasks by name, or the first `limit`; fetched page after page (of 100) while you iterate."""
        return self._all(calls.tasks(figures=figures, page_size=page_size), limit)

    def pause_task(self, name: str, reason: str) -> Task:
        """Nothing of it fires until it is resumed. `running` names the runs that had started."""
        return self._send(calls.pause_task(name, reason))

    def resume_task(self, name: str, *, note: str | None = None) -> Task:
        """Lets a paused task start again. What was due meanwhile is not made up for."""
        return self._send(calls.resume_task(name, note=note))

    def rollback_task(
        self,
        name: str,
        revision: int | None = None,
        *,
        note: str | None = None,
        if_match: int | str | None = None,
    ) -> Task:
        """Makes an earlier revision the newest; the one before the newest where none is named."""
        return self._send(calls.rollback_task(name, revision, note=note, if_match=if_match))

    def upcoming(
        self,
        name: str,
        *,
        from_: Instant | None = None,
        to: Instant | None = None,
        limit: int | None = None,
    ) -> list[Occurrence]:
        """The coming occurrences of a task, in order; 10 where no limit is said, 1000 at most."""
        return self._send(calls.upcoming(name, from_=from_, to=to, limit=limit))

    def revisions(
        self, name: str, *, limit: int | None = None, page_size: int | None = None
    ) -> Iterator[Revision]:
        """Who edited a task, the newest edit first."""
        return self._all(calls.revisions(name, page_size=page_size), limit)

    def apply(
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
        return self._send(calls.apply(tasks, dry_run=dry_run, prune=prune, note=note))

    # --- runs ---

    def create_run(
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
        return self._send(
            calls.create_run(
                what,
                payload=payload,
                delay=delay,
                run_at=run_at,
                priority=priority,
                idempotency_key=idempotency_key,
            )
        )

    def enqueue(
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
            return self._send(call).id
        return self._own_enqueuer().enqueue(call)

    def create_runs(
        self, wishes: Iterable[Mapping[str, Any] | str], *, idempotency_key: str | None = None
    ) -> list[str]:
        """Makes up to 10,000 runs, all or none, and answers their ids in the order given.

        Each wish is a task's name, or says as a dict what one run is: `{"task": name, "payload": ...,
        "delay": ...}` or a target of its own. Much faster than one call for each.
        """
        return self._send(calls.create_runs(wishes, idempotency_key=idempotency_key))

    def trigger_task(
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
        return self._send(
            calls.trigger_task(
                name,
                payload=payload,
                delay=delay,
                run_at=run_at,
                priority=priority,
                idempotency_key=idempotency_key,
            )
        )

    def get_run(self, run: str) -> Run:
        """Reads a run with its attempts and its result."""
        return self._send(calls.get_run(run))

    def runs(
        self,
        *,
        task: str | None = None,
        state: RunState | None = None,
        from_: Instant | None = None,
        to: Instant | None = None,
        limit: int | None = None,
        page_size: int | None = None,
    ) -> Iterator[Run]:
        """Runs, the newest first, without their attempts."""
        call = calls.runs(task=task, state=state, from_=from_, to=to, page_size=page_size)
        return self._all(call, limit)

    def cancel_run(self, run: str, *, reason: str | None = None) -> Run:
        """Ends a run that is not over; what runs is stopped. Conflict where it is over.

        Where the answer to a first try was lost, the second says Conflict: then it is canceled.
        """
        return self._send(calls.cancel_run(run, reason=reason))

    def retry_run(self, run: str, *, note: str | None = None, idempotency_key: str | None = None) -> Run:
        """Makes a new run of one that is over, linked to it by `retry_of`."""
        return self._send(calls.retry_run(run, note=note, idempotency_key=idempotency_key))

    def complete_run(
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
        return self._send(
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

    def heartbeat_run(self, run: str, fence: int, *, extend: Duration | None = None) -> LeaseAnswer:
        """Keeps a run open whose endpoint answered 202, for `extend` from now."""
        return self._send(calls.heartbeat_run(run, fence, extend=extend))

    # --- queues and leases ---

    def lease(
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
        return self._send(calls.lease(queue, max=max, wait=wait, lease=lease, worker=worker))

    def heartbeat_leases(self, leases: Iterable[Mapping[str, Any]]) -> list[LeaseAnswer]:
        """Keeps leases from running out: up to 1000 rows of `run`, `fence` and, if you like, `extend`."""
        return self._send(calls.heartbeat_leases(leases))

    def complete_leases(self, leases: Iterable[Mapping[str, Any]]) -> list[LeaseAnswer]:
        """Runs are done: up to 1000 rows of `run`, `fence`, `result`, `db_calls`, `db_time_ms`, `cache`."""
        return self._send(calls.complete_leases(leases))

    def fail_leases(self, leases: Iterable[Mapping[str, Any]]) -> list[LeaseAnswer]:
        """Runs have failed: up to 1000 rows of `run`, `fence`, `error`, `retry_after`, `final` and so on."""
        return self._send(calls.fail_leases(leases))

    def release_leases(self, leases: Iterable[Mapping[str, Any]]) -> list[LeaseAnswer]:
        """Gives runs back that were not begun: up to 1000 rows of `run` and `fence`. No attempt counts."""
        return self._send(calls.release_leases(leases))

    def get_queue(self, name: str) -> Queue:
        """Reads one queue: what waits in it, and who works."""
        return self._send(calls.get_queue(name))

    def queues(self) -> list[Queue]:
        """All queues by name."""
        return self._send(calls.queues())

    # --- check-ins and dead letters ---

    def checkin(
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
        return self._send(
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
    ) -> Iterator[DeadLetter]:
        """The failed runs that nobody has dealt with, the newest first. `reason` is a part of theirs."""
        call = calls.dead_letters(task=task, from_=from_, to=to, reason=reason, page_size=page_size)
        return self._all(call, limit)

    def retry_dead_letters(
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
        return self._send(
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

    def discard_dead_letters(
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
        return self._send(
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
    ) -> Iterator[Event]:
        """What happens, as it happens, for ever. After a lost connection it goes on where it was.

        From now on, or after the event with the id `after`; "0" is all that is kept. `types` are such as
        "run.succeeded". An event of the type "gap" says that some are no longer kept. It raises where the
        first connection fails for good, and where the server refuses.
        """
        call = calls.events(task=task, types=types, after=after)
        return self._follow(Follower(call, self._settings.retries))

    def audit(
        self,
        *,
        from_: Instant | None = None,
        to: Instant | None = None,
        task: str | None = None,
    ) -> Audit:
        """Holds what was due in a window against what is recorded."""
        return self._send(calls.audit(from_=from_, to=to, task=task))

    def test_clock(
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
        return self._send(calls.test_clock(advance=advance, to=to, wait=wait, leases=leases))

    def metrics(self) -> str:
        """The metrics, in Prometheus' text form."""
        return self._send(calls.metrics())

    def health(self) -> bool:
        """True while the server serves. ConnectionFailed where it does not."""
        return self._send(calls.health())

    def ready(self) -> Readiness:
        """Whether it does its work in time, check by check. A check that fails is an answer, no exception."""
        return self._send(calls.ready())

    def openapi(self) -> dict[str, Any]:
        """The description of the API, OpenAPI 3.1."""
        return self._send(calls.openapi())

    def docs(self) -> str:
        """The page that shows the description, HTML."""
        return self._send(calls.docs())

    # --- sending ---

    def _send(self, call: Call[T]) -> T:
        tried = 0
        while True:
            tried += 1
            try:
                return self._try(call)
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
            time.sleep(wait)

    def _try(self, call: Call[T]) -> T:
        lanes = self._own_lanes()
        request = request_of(self._settings, call)
        lane = lanes.take()
        try:
            answer = lane.handle_request(request)
            body = answer.read()
        except BaseException as trouble:
            lanes.drop(lane)
            if isinstance(trouble, httpx.TransportError):
                raise failure_of(call, self.url, trouble) from trouble
            raise
        lanes.give_back(lane)
        return result_of(call, answer.status_code, answer.headers, body)

    def _own_lanes(self) -> Lanes:
        """A process that was forked must not speak on its parent's connections: it gets its own."""
        if self._process != os.getpid():
            self._lanes = Lanes(self.url, self._transport)
            self._enqueuer = Enqueuer(self._send)
            self._process = os.getpid()
        return self._lanes

    def _own_enqueuer(self) -> Enqueuer:
        self._own_lanes()  # notices a fork: the parent's may be in the middle of a request
        return self._enqueuer

    def _all(self, call: Call[Page[T]], limit: int | None) -> Iterator[T]:
        return islice(self._walk(call), limit)

    def _walk(self, call: Call[Page[T]]) -> Iterator[T]:
        while True:
            page = self._send(call)
            yield from page.items
            if page.next_cursor is None:
                return
            call = call.at_cursor(page.next_cursor)

    def _follow(self, follower: Follower) -> Iterator[Event]:
        while True:
            error: PunctualError | None = None
            try:
                with closing(self._stream(follower.call())) as pieces:
                    for piece in pieces:
                        yield from follower.heard(piece)
            except PunctualError as trouble:
                error = trouble
            wait = follower.lost(error, random.random())
            if wait is None:
                assert error is not None
                raise error
            time.sleep(wait)

    def _stream(self, call: Call[None]) -> Generator[bytes, None, None]:
        lanes = self._own_lanes()
        request = request_of(self._settings, call, SILENCE_S)
        lane = lanes.take()
        try:
            answer = lane.handle_request(request)
            try:
                if answer.status_code != 200:
                    raise refusal_of(answer.status_code, answer.headers, answer.read())
                yield from answer.iter_bytes()
            finally:
                answer.close()
        except httpx.TransportError as trouble:
            raise failure_of(call, self.url, trouble) from trouble
        finally:
            lanes.drop(lane)
