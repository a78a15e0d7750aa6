"""What a request or a run costs: calls of the database and their time, and whether a cache was warm.

    app.add_middleware(Visibility)              # Starlette, FastAPI, or Visibility(app) around any ASGI app

Every response then says `Server-Timing: db;dur=12.5;desc="6 queries"`, and `Cache-Status` where the code has
said how its cache did: `punctual.report(cache="hit")`. Punctual keeps both with each attempt.

Counted are the statements of SQLAlchemy, of any engine, sync or async; those of any DB-API connection that
`wrap_connection` has wrapped; blocks of `with db_call():`; and what `report` adds. A request has a `Measure`,
held by a context variable: it is shared with what the request awaits, with the tasks it starts and with
threads of `run_in_threadpool` and `asyncio.to_thread`, and with nothing else. (A bare `threading.Thread`
starts with an empty context before Python 3.14: what it does is counted only inside of `copy_context()`.)

Unknown is never 0: where nothing in this process has ever been counted, nothing is said.
"""

from __future__ import annotations

import importlib.util
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import timedelta
from typing import Any, Literal

Cache = Literal["hit", "miss", "warm", "cold", "unknown"]

_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]
_App = Callable[[_Message, _Receive, _Send], Awaitable[None]]

_WARMTH = {"hit": "warm", "warm": "warm", "miss": "cold", "cold": "cold", "unknown": None}
_SCOPE_KEY = "punctual.visibility"

_current: ContextVar[Measure | None] = ContextVar("punctual_measure", default=None)
_anything_counted = False  # in this process: an engine has connected, or a connection was wrapped


class Measure:
    """What one request or run has cost so far. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls = 0
        self._seconds = 0.0
        self._calls_known = False
        self._time_known = False
        self._cache: str | None = None

    def add(self, calls: int | None, seconds: float | None) -> None:
        """Adds calls of the database, and the seconds that they took; None: not known."""
        with self._lock:
            if calls is not None:
                self._calls_known = True
                self._calls += calls
            if seconds is not None:
                self._time_known = True
                self._seconds += seconds

    def note_cache(self, cache: Cache) -> None:
        """Takes note of one look into a cache. One hit among several makes the whole warm."""
        if cache not in _WARMTH:
            raise ValueError(f'cache is "hit", "miss", "warm", "cold" or "unknown", not {cache!r}')
        warmth = _WARMTH[cache]
        with self._lock:
            if warmth is not None and self._cache != "warm":
                self._cache = warmth

    @property
    def db_calls(self) -> int | None:
        """How many calls; None where nothing counts them."""
        return self._calls if self._calls_known or _anything_counted else None

    @property
    def db_time_ms(self) -> float | None:
        """Their time in ms: a sum, so calls side by side count each in full. None where it is not known."""
        if self._time_known or (_anything_counted and not self._calls):
            return round(self._seconds * 1000, 3)
        return None

    @property
    def cache(self) -> str | None:
        """ "warm", "cold", or None where nobody said."""
        return self._cache

    def as_report(self) -> dict[str, Any]:
        """What is known, as the API's fields `cache`, `db_calls` and `db_time_ms`: for a completion."""
        said = {"cache": self.cache, "db_calls": self.db_calls, "db_time_ms": self.db_time_ms}
        return {name: value for name, value in said.items() if value is not None}

    def headers(self) -> list[tuple[str, str]]:
        """What is known, as `Server-Timing` and `Cache-Status` (RFC 9211)."""
        lines = []
        if self.db_calls is not None:
            took = f";dur={self.db_time_ms:g}" if self.db_time_ms is not None else ""
            word = "query" if self.db_calls == 1 else "queries"
            lines.append(("server-timing", f'db{took};desc="{self.db_calls} {word}"'))
        if self._cache is not None:
            lines.append(("cache-status", "app; hit" if self._cache == "warm" else "app; fwd=miss"))
        return lines


def current_measure() -> Measure | None:
    """The measure of the request or run under way; None outside of one."""
    return _current.get()


@contextmanager
def measuring() -> Iterator[Measure]:
    """What is counted inside the block goes to the measure that this gives."""
    _hook_sqlalchemy()
    measure = Measure()
    token = _current.set(measure)
    try:
        yield measure
    finally:
        _current.reset(token)


def report(
    *,
    cache: Cache | None = None,
    db_calls: int | None = None,
    db_time: float | timedelta | None = None,
) -> None:
    """Adds to what is known of the request or run under way; does nothing outside of one.

    `cache`: "hit" or "warm", "miss" or "cold". `db_calls` is added to what has been counted, for stores
    that nothing here counts; `db_time` is theirs, in seconds or as a timedelta. Raises ValueError for other
    words and for negative numbers.
    """
    seconds = db_time.total_seconds() if isinstance(db_time, timedelta) else db_time
    if (db_calls is not None and db_calls < 0) or (seconds is not None and seconds < 0):
        raise ValueError("db_calls and db_time cannot be negative")
    if cache is not None and cache not in _WARMTH:
        raise ValueError(f'cache is "hit", "miss", "warm", "cold" or "unknown", not {cache!r}')
    measure = _current.get()
    if measure is None:
        return
    if cache is not None:
        measure.note_cache(cache)
    measure.add(db_calls, seconds)


@contextmanager
def db_call(calls: int = 1) -> Iterator[None]:
    """Counts the block as a call of the database, and its time: for drivers that nothing else here counts."""
    _note_counting()
    measure = _current.get()
    begin = time.perf_counter()
    try:
        yield
    finally:
        if measure is not None:
            measure.add(calls, time.perf_counter() - begin)


class Visibility:
    """Middleware, plain ASGI: each HTTP response says in its headers what the request cost until it began.

    What a response does after its first byte, such as the queries of a stream, cannot be in its headers.
    """

    def __init__(self, app: _App) -> None:
        self.app = app
        _hook_sqlalchemy()

    async def __call__(self, scope: _Message, receive: _Receive, send: _Send) -> None:
        if scope["type"] != "http" or _SCOPE_KEY in scope:  # twice in one app counts once
            await self.app(scope, receive, send)
            return
        with measuring() as measure:

            async def send_with_headers(message: _Message) -> None:
                if message["type"] == "http.response.start":
                    more = [(name.encode(), value.encode()) for name, value in measure.headers()]
                    message = {**message, "headers": [*message.get("headers", ()), *more]}
                await send(message)

            await self.app({**scope, _SCOPE_KEY: measure}, receive, send_with_headers)


# --- SQLAlchemy ---

_hook_lock = threading.Lock()
_hooked = False  # also where there is no SQLAlchemy: it has been looked for


def _note_counting() -> None:
    global _anything_counted
    _anything_counted = True


def _hook_sqlalchemy() -> None:
    """Listens to every engine of this process, those made before and after, sync and async. Once."""
    global _hooked
    if _hooked:
        return
    with _hook_lock:
        if not _hooked and importlib.util.find_spec("sqlalchemy") is not None:
            from punctual._sqlalchemy import listen

            listen(_current.get, _note_counting)
        _hooked = True


# --- DB-API ---


def wrap_connection(connection: Any) -> Any:
    """The same connection, of any DB-API 2.0 driver (PEP 249), with its calls counted.

    Everything else is the driver's: attributes, transactions, errors. What asks for the driver's own class
    (`isinstance`) must be given `connection.wrapped`.
    """
    return CountingConnection(connection)


_CALLS = frozenset({"execute", "executemany", "executescript", "callproc"})
_FETCHES = frozenset({"fetchone", "fetchmany", "fetchall"})


class _Counting:
    """Hands everything to what it wraps, and counts the calls among it."""

    __slots__ = ("wrapped",)
    wrapped: Any

    def __init__(self, wrapped: Any) -> None:
        object.__setattr__(self, "wrapped", wrapped)
        _note_counting()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.wrapped, name)
        if name in _CALLS:
            return self._counted(found, 1)
        if name in _FETCHES:  # some drivers do the work only now: no call, but time
            return self._counted(found, 0)
        return found

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self.wrapped, name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self.wrapped, name)

    def __enter__(self) -> Any:
        return self._mine(self.wrapped.__enter__())

    def __exit__(self, *trouble: Any) -> Any:
        return self.wrapped.__exit__(*trouble)

    def _counted(self, function: Callable[..., Any], calls: int) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            with db_call(calls):
                answer = function(*arguments, **named)
            return self._mine(answer)

        return call

    def _mine(self, answer: Any) -> Any:
        """A driver that hands out itself means the counting one."""
        return self if answer is self.wrapped else answer


class CountingCursor(_Counting):
    """A cursor whose calls are counted; fetching adds its time, and no call."""

    __slots__ = ()

    def __iter__(self) -> Iterator[Any]:
        rows = iter(self.wrapped)
        while True:
            with db_call(0):
                try:
                    row = next(rows)
                except StopIteration:
                    return
            yield row

    def __next__(self) -> Any:
        with db_call(0):
            return next(self.wrapped)


class CountingConnection(_Counting):
    """A connection whose cursors count, and its own `execute` where the driver has one."""

    __slots__ = ()

    def cursor(self, *arguments: Any, **named: Any) -> CountingCursor:
        """A cursor of the driver, counting."""
        return CountingCursor(self.wrapped.cursor(*arguments, **named))

    def _mine(self, answer: Any) -> Any:
        if answer is self.wrapped:
            return self
        return CountingCursor(answer) if hasattr(answer, "fetchone") else answer
