"""Every call of the API as data: built here once, sent by both clients.

A Call says what to send, how to read the answer, and whether it may be sent again when its outcome is
unknown (`repeatable`). Nothing here knows of connections.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar
from urllib.parse import quote, urlencode

from punctual.durations import Duration, Instant, duration_seconds, duration_text, instant_text
from punctual.encoding import encode
from punctual.models import (
    Audit,
    Clock,
    DeadLetter,
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
    Task,
)

T = TypeVar("T")
Query = Mapping[str, str]

JSON = "application/json"
_JSON_HEADERS = {"Content-Type": JSON}
_PAGE = 100


@dataclass(frozen=True)
class Call(Generic[T]):
    """One call: what is sent, and how its answer is read.

    `repeatable`: sending it twice does nothing more than sending it once. `also` is a status besides 2xx
    that is an answer and no failure. `patience_s` is how much longer than usual the answer may take.
    """

    method: str
    path: str
    read: Callable[[bytes], T]
    query: Query | None = None
    body: bytes | None = None
    headers: Mapping[str, str] | None = None
    repeatable: bool = True
    also: int = 0
    patience_s: float = 0

    @property
    def target(self) -> str:
        """Path and query, as they are sent."""
        return f"{self.path}?{urlencode(self.query)}" if self.query else self.path

    def at_cursor(self, cursor: str) -> Call[T]:
        """The same call, for the page that begins there."""
        return replace(self, query={**(self.query or {}), "cursor": cursor})

    def with_header(self, name: str, value: str) -> Call[T]:
        """The same call, with one header more."""
        return replace(self, headers={**(self.headers or {}), name: value})


# --- tasks ---


def put_task(
    name: str,
    definition: Mapping[str, Any],
    *,
    note: str | None,
    if_match: int | str | None,
    if_none_match: bool,
) -> Call[Task]:
    return Call(
        "PUT",
        _task(name),
        _task_of,
        _query(note=note),
        encode(definition),
        {**_JSON_HEADERS, **_conditions(if_match, if_none_match)},
        repeatable=if_match is None and not if_none_match,
    )


def get_task(name: str) -> Call[Task]:
    return Call("GET", _task(name), _task_of)


def patch_task(
    name: str, changes: Mapping[str, Any], *, note: str | None, if_match: int | str | None
) -> Call[Task]:
    return Call(
        "PATCH",
        _task(name),
        _task_of,
        _query(note=note),
        encode(changes),
        {"Content-Type": "application/merge-patch+json", **_conditions(if_match)},
        repeatable=if_match is None,
    )


def delete_task(name: str, *, note: str | None, if_match: int | str | None) -> Call[Task]:
    return Call(
        "DELETE",
        _task(name),
        _task_of,
        _query(note=note),
        headers=_conditions(if_match),
        repeatable=if_match is None,
    )


def tasks(*, figures: bool, page_size: int | None) -> Call[Page[Task]]:
    query = _query(limit=page_size or _PAGE, figures=figures or None)
    return Call("GET", "/v1/tasks", _page_of("tasks", Task.from_json), query)


def pause_task(name: str, reason: str) -> Call[Task]:
    return _post(_task(name, "/pause"), _task_of, {"reason": reason})


def resume_task(name: str, *, note: str | None) -> Call[Task]:
    return _post(_task(name, "/resume"), _task_of, _said(note=note))


def rollback_task(
    name: str, revision: int | None, *, note: str | None, if_match: int | str | None
) -> Call[Task]:
    """Without a revision it goes one back, and a repeat would go one further: so that is not repeated."""
    return _post(
        _task(name, "/rollback"),
        _task_of,
        _said(revision=revision, note=note),
        headers=_conditions(if_match),
        repeatable=revision is not None and if_match is None,
    )


def upcoming(
    name: str, *, from_: Instant | None, to: Instant | None, limit: int | None
) -> Call[list[Occurrence]]:
    query = _query(**{"from": _instant(from_)}, to=_instant(to), limit=limit)
    return Call("GET", _task(name, "/upcoming"), _rows_of("occurrences", Occurrence.from_json), query)


def revisions(name: str, *, page_size: int | None) -> Call[Page[Revision]]:
    return Call(
        "GET",
        _task(name, "/revisions"),
        _page_of("revisions", Revision.from_json),
        _query(limit=page_size or _PAGE),
    )


def apply(tasks: Mapping[str, Any] | str, *, dry_run: bool, prune: bool, note: str | None) -> Call[Plan]:
    query = _query(dry_run=dry_run or None, prune=prune or None, note=note)
    if isinstance(tasks, str):
        return Call(
            "POST", "/v1/apply", _plan_of, query, tasks.encode(), {"Content-Type": "application/yaml"}
        )
    return Call("POST", "/v1/apply", _plan_of, query, encode({"version": 1, **tasks}), _JSON_HEADERS)


# --- runs ---


def create_run(
    what: str | Mapping[str, Any],
    *,
    payload: Any,
    delay: Duration | None,
    run_at: Instant | None,
    priority: int | None,
    idempotency_key: str | None,
) -> Call[Run]:
    wish = {"task": what} if isinstance(what, str) else dict(what)
    wish.update(_when(payload, delay, run_at, priority))
    return Call("POST", "/v1/runs", _run_of, None, encode(wish), _keyed(idempotency_key))


def create_runs(wishes: Iterable[Mapping[str, Any] | str], *, idempotency_key: str | None) -> Call[list[str]]:
    rows = [{"task": wish} if isinstance(wish, str) else wish for wish in wishes]
    return Call("POST", "/v1/runs/batch", _ids_of, None, encode(rows), _keyed(idempotency_key))


def create_runs_written(body: bytes) -> Call[list[str]]:
    """The runs are a list in JSON already; the request gets a key of its own, kept over its tries."""
    return Call("POST", "/v1/runs/batch", _ids_of, None, body, _keyed(None))


def trigger_task(
    name: str,
    *,
    payload: Any,
    delay: Duration | None,
    run_at: Instant | None,
    priority: int | None,
    idempotency_key: str | None,
) -> Call[Run]:
    body = _when(payload, delay, run_at, priority)
    return Call("POST", _task(name, "/runs"), _run_of, None, encode(body), _keyed(idempotency_key))


def get_run(run: str) -> Call[Run]:
    return Call("GET", _run(run), _run_of)


def runs(
    *,
    task: str | None,
    state: str | None,
    from_: Instant | None,
    to: Instant | None,
    page_size: int | None,
) -> Call[Page[Run]]:
    query = _query(
        task=task, state=state, **{"from": _instant(from_)}, to=_instant(to), limit=page_size or _PAGE
    )
    return Call("GET", "/v1/runs", _page_of("runs", Run.from_json), query)


def cancel_run(run: str, *, reason: str | None) -> Call[Run]:
    return _post(_run(run, "/cancel"), _run_of, _said(reason=reason))


def retry_run(run: str, *, note: str | None, idempotency_key: str | None) -> Call[Run]:
    return _post(_run(run, "/retry"), _run_of, _said(note=note), headers=_keyed(idempotency_key))


def complete_run(
    run: str,
    fence: int,
    *,
    result: Any,
    error: str | None,
    retry_after: Duration | None,
    final: bool,
    db_calls: int | None,
    db_time_ms: float | None,
    cache: str | None,
) -> Call[Run]:
    body = _said(
        fence=fence,
        result=result,
        error=error,
        retry_after=_duration(retry_after),
        final=final or None,
        db_calls=db_calls,
        db_time_ms=db_time_ms,
        cache=cache,
    )
    return _post(_run(run, "/complete"), _run_of, body)


def heartbeat_run(run: str, fence: int, *, extend: Duration | None) -> Call[LeaseAnswer]:
    return _post(_run(run, "/heartbeat"), _lease_answer_of, _said(fence=fence, extend=_duration(extend)))


# --- queues and leases ---


def lease(
    queue: str, *, max: int, wait: Duration | None, lease: Duration | None, worker: str | None
) -> Call[list[LeasedRun]]:
    """Not repeated: the runs of an answer that was lost are leased, and a repeat would take others."""
    body = _said(max=max, wait=_duration(wait), lease=_duration(lease), worker=worker)
    return _post(
        _queue(queue, "/lease"),
        _rows_of("runs", LeasedRun.from_json),
        body,
        repeatable=False,
        patience_s=0 if wait is None else duration_seconds(wait),
    )


def heartbeat_leases(leases: Iterable[Mapping[str, Any]]) -> Call[list[LeaseAnswer]]:
    return _leases("heartbeat", leases)


def complete_leases(leases: Iterable[Mapping[str, Any]]) -> Call[list[LeaseAnswer]]:
    return _leases("complete", leases)


def fail_leases(leases: Iterable[Mapping[str, Any]]) -> Call[list[LeaseAnswer]]:
    return _leases("fail", leases)


def release_leases(leases: Iterable[Mapping[str, Any]]) -> Call[list[LeaseAnswer]]:
    return _leases("release", leases)


def get_queue(name: str) -> Call[Queue]:
    return Call("GET", _queue(name), lambda body: Queue.from_json(json.loads(body)))


def queues() -> Call[list[Queue]]:
    return Call("GET", "/v1/queues", _rows_of("queues", Queue.from_json))


# --- check-ins and dead letters ---


def checkin(
    name: str,
    status: str,
    *,
    run: str | None,
    message: str | None,
    duration_ms: float | None,
    idempotency_key: str | None,
) -> Call[Run]:
    body = _said(status=status, run=run, message=message, duration_ms=duration_ms)
    return _post(f"/v1/checkins/{quote(name, '')}", _run_of, body, headers=_keyed(idempotency_key))


def dead_letters(
    *,
    task: str | None,
    from_: Instant | None,
    to: Instant | None,
    reason: str | None,
    page_size: int | None,
) -> Call[Page[DeadLetter]]:
    query = _query(
        task=task, **{"from": _instant(from_)}, to=_instant(to), reason=reason, limit=page_size or _PAGE
    )
    return Call("GET", "/v1/dead-letters", _page_of("dead_letters", DeadLetter.from_json), query)


def handle_dead_letters(
    how: str,
    *,
    runs: Iterable[str] | None,
    task: str | None,
    from_: Instant | None,
    to: Instant | None,
    reason: str | None,
    max: int | None,
    note: str | None,
    dry_run: bool,
    idempotency_key: str | None,
) -> Call[Handling]:
    """`how` is "retry" or "discard"."""
    chosen = _said(task=task, **{"from": _instant(from_)}, to=_instant(to), reason=reason)
    if runs is not None and chosen:
        raise ValueError(f"runs and {', '.join(chosen)} exclude each other: give one or the other")
    if runs is None:
        body = _said(filter=chosen, max=max, note=note)
    else:
        body = _said(runs=list(runs), max=max, note=note)
    return Call(
        "POST",
        f"/v1/dead-letters/{how}",
        lambda answer: Handling.from_json(json.loads(answer)),
        _query(dry_run=dry_run or None),
        encode(body),
        _keyed(idempotency_key),
    )


# --- the server ---


def events(*, task: str | None, types: str | Iterable[str] | None, after: str | None) -> Call[None]:
    words = types if types is None or isinstance(types, str) else ",".join(types)
    return Call(
        "GET",
        "/v1/events",
        lambda body: None,
        _query(task=task, types=words, after=after),
        headers={"Accept": "text/event-stream"},
    )


def audit(*, from_: Instant | None, to: Instant | None, task: str | None) -> Call[Audit]:
    query = _query(**{"from": _instant(from_)}, to=_instant(to), task=task)
    return Call("GET", "/v1/audit", lambda body: Audit.from_json(json.loads(body)), query)


def test_clock(
    *, advance: Duration | None, to: Instant | None, wait: Duration | None, leases: str | None
) -> Call[Clock]:
    """Not repeated where it says by how much: the clock would move twice."""
    if advance is None and to is None:
        return Call("GET", "/v1/test/clock", _clock_of)
    body = _said(advance=_duration(advance), to=_instant(to), wait=_duration(wait), leases=leases)
    return _post(
        "/v1/test/clock",
        _clock_of,
        body,
        repeatable=advance is None,
        patience_s=duration_seconds("30s" if wait is None else wait, 3600),
    )


def metrics() -> Call[str]:
    return Call("GET", "/metrics", _text_of)


def health() -> Call[bool]:
    return Call("GET", "/health", lambda body: bool(json.loads(body)["ok"]))


def ready() -> Call[Readiness]:
    return Call("GET", "/ready", lambda body: Readiness.from_json(json.loads(body)), also=503)


def openapi() -> Call[dict[str, Any]]:
    return Call("GET", "/openapi.json", _dict_of)


def docs() -> Call[str]:
    return Call("GET", "/docs", _text_of)


# --- parts ---


def _post(
    path: str,
    read: Callable[[bytes], T],
    body: Mapping[str, Any],
    *,
    headers: Mapping[str, str] | None = None,
    repeatable: bool = True,
    patience_s: float = 0,
) -> Call[T]:
    return Call(
        "POST",
        path,
        read,
        None,
        encode(body),
        {**_JSON_HEADERS, **(headers or {})},
        repeatable=repeatable,
        patience_s=patience_s,
    )


def _leases(word: str, leases: Iterable[Mapping[str, Any]]) -> Call[list[LeaseAnswer]]:
    """Repeatable: what comes with a fence that is no longer current changes nothing."""
    return _post(f"/v1/leases/{word}", _rows_of("leases", LeaseAnswer.from_json), {"leases": list(leases)})


def _task(name: str, below: str = "") -> str:
    return f"/v1/tasks/{_segment(name, 'task')}{below}"


def _run(run: str, below: str = "") -> str:
    return f"/v1/runs/{_segment(run, 'run')}{below}"


def _queue(name: str, below: str = "") -> str:
    return f"/v1/queues/{_segment(name, 'queue')}{below}"


def _segment(name: str, what: str) -> str:
    if not name:
        raise ValueError(f"the name of the {what} is empty")
    return quote(name, safe="")


def _query(**fields: str | int | bool | None) -> dict[str, str]:
    return {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in fields.items()
        if value is not None
    }


def _said(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _when(
    payload: Any, delay: Duration | None, run_at: Instant | None, priority: int | None
) -> dict[str, Any]:
    body: dict[str, Any] = {}
    if payload is not None:
        body["payload"] = payload
    if delay is not None:
        body["delay"] = duration_text(delay)
    if run_at is not None:
        body["run_at"] = instant_text(run_at)
    if priority is not None:
        body["priority"] = priority
    return body


def _duration(value: Duration | None) -> str | None:
    return None if value is None else duration_text(value)


def _instant(value: Instant | None) -> str | None:
    return None if value is None else instant_text(value)


def _conditions(if_match: int | str | None, if_none_match: bool = False) -> dict[str, str]:
    headers: dict[str, str] = {}
    if if_match is not None:
        revision = str(if_match).strip('"')  # as an ETag has it
        if revision != "*" and not (revision.isascii() and revision.isdigit()):
            raise ValueError(f'if_match is a revision such as 3, or "*" for any, not {if_match!r}')
        headers["If-Match"] = "*" if revision == "*" else f'"{revision}"'
    if if_none_match:
        headers["If-None-Match"] = "*"
    return headers


def _keyed(key: str | None) -> dict[str, str]:
    """Headers of a call that creates. Without a key of the caller's it gets one, kept over its retries."""
    if key is None:
        key = secrets.token_hex(16)
    elif not (1 <= len(key) <= 255 and key.isascii() and key.isprintable()) or '"' in key or "\\" in key:
        raise ValueError(
            f"an idempotency key has 1 to 255 printable ASCII characters, no quotes or backslashes: {key!r}"
        )
    return {"Content-Type": JSON, "Idempotency-Key": f'"{key}"'}


def _text_of(body: bytes) -> str:
    return body.decode()


def _dict_of(body: bytes) -> dict[str, Any]:
    return dict(json.loads(body))


def _task_of(body: bytes) -> Task:
    return Task.from_json(json.loads(body))


def _run_of(body: bytes) -> Run:
    return Run.from_json(json.loads(body))


def _clock_of(body: bytes) -> Clock:
    return Clock.from_json(json.loads(body))


def _plan_of(body: bytes) -> Plan:
    return Plan.from_json(json.loads(body))


def _lease_answer_of(body: bytes) -> LeaseAnswer:
    return LeaseAnswer.from_json(json.loads(body))


def _ids_of(body: bytes) -> list[str]:
    return list(json.loads(body)["ids"])


def _rows_of(key: str, make: Callable[[Mapping[str, Any]], T]) -> Callable[[bytes], list[T]]:
    return lambda body: [make(row) for row in json.loads(body)[key]]


def _page_of(key: str, make: Callable[[Mapping[str, Any]], T]) -> Callable[[bytes], Page[T]]:
    def read(body: bytes) -> Page[T]:
        answer = json.loads(body)
        return Page(tuple(make(row) for row in answer[key]), answer.get("next_cursor"))

    return read
