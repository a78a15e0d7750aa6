"""The table punctual_outbox, and the row that `enqueue` adds to it.

A row is one run that the server shall make. It lives from the commit of the transaction that wrote it until
the server has it, mostly for milliseconds; only rows that the server refused stay.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any, Protocol, runtime_checkable

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    DateTime,
    Dialect,
    Engine,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    event,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session, registry
from sqlalchemy.schema import CreateIndex, CreateTable, ExecutableDDLElement
from sqlalchemy.types import TypeDecorator

from punctual.clock import now
from punctual.durations import Duration, Instant, duration_seconds, instant_text
from punctual.encoding import encode

ADVISORY_LOCK = 0x70756E6374756178
"""Of PostgreSQL, for the transactions of relays; those of the application never wait for it."""

PAYLOAD_MOST = 256 << 10
"""Bytes of a payload as compact JSON; the server takes no more."""


class _Utc(TypeDecorator[datetime]):
    """An instant. Databases that keep no zone (SQLite) keep it in UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(timezone.utc)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.astimezone(timezone.utc) if value.tzinfo else value.replace(tzinfo=timezone.utc)


metadata = MetaData()
"""Of the one table, for Alembic: `target_metadata = [Base.metadata, punctual.outbox.metadata]`."""

table = Table(
    "punctual_outbox",
    metadata,
    # The order in which rows are handed over.
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    # One line of POST /v1/runs/batch. It is sent as it stands here, byte for byte.
    Column("wish", Text, nullable=False),
    Column("created_at", _Utc, nullable=False),
    # The idempotency key under which the row is being handed over. NULL: with none yet.
    Column("batch", String(64)),
    # Of the batch: until when a relay works on it, so that others leave it alone.
    Column("taken_until", _Utc),
    # Of the batch: since when the server may have it. NULL: it has not, for certain.
    Column("sent_at", _Utc),
    # At which step the row left what is sent of the batch (handover.py). NULL: it is in it.
    Column("left_out", Integer),
    # Why the server will not have it, and since when. NULL: it was not refused.
    Column("error", Text),
    Column("error_status", Integer),
    Column("refused_at", _Utc),
    Index("punctual_outbox_by_batch", "batch", "id"),
    sqlite_autoincrement=True,  # ids are never used again
)


class OutboxRow:
    """One row, mapped so that a session may add it."""

    def __init__(self, wish: str, created_at: datetime) -> None:
        self.wish = wish
        self.created_at = created_at


registry(metadata=metadata).map_imperatively(OutboxRow, table)


@runtime_checkable
class Named(Protocol):
    """Whatever has the name of a task, such as a function that `@punctual.task` decorated."""

    @property
    def name(self) -> str: ...


def enqueue(
    session: Session | AsyncSession,
    task: str | Named | Mapping[str, Any],
    payload: Any = None,
    *,
    delay: Duration | None = None,
    run_at: Instant | None = None,
    priority: int | None = None,
) -> None:
    """Makes a run of `task` if and when the transaction of `session` is committed.

    `task` is a task's name, the decorated function, or a target of its own such as `{"queue": {"name":
    "emails"}}` or `{"http": {"url": ...}, "retry": {...}}`. `delay` counts from this call, not from the
    moment the server hears of it; `run_at` is an instant with a zone. `priority` is 0 to 9.

    Raises TypeError or ValueError at once for what cannot be said in JSON, for a payload over 256 KiB, and
    where both `delay` and `run_at` are given. What only the server can tell, such as a task it does not
    know, comes later: see `refused`. Works with both kinds of session and never waits.
    """
    if delay is not None and run_at is not None:
        raise ValueError("delay and run_at exclude each other: give one")
    wish: dict[str, Any] = dict(task) if isinstance(task, Mapping) else {"task": _name(task)}
    if payload is not None:
        if len(encode(payload)) > PAYLOAD_MOST:
            raise ValueError(
                "a payload may have at most 256 KiB as JSON: keep it in your database, send its key"
            )
        wish["payload"] = payload
    at = datetime.fromtimestamp(now(), timezone.utc)
    if delay is not None:
        run_at = at + _span(delay)
    if run_at is not None:
        wish["run_at"] = instant_text(run_at)
    if priority is not None:
        wish["priority"] = priority
    session.add(OutboxRow(encode(wish).decode(), at))
    inner = session.sync_session if isinstance(session, AsyncSession) else session
    if not event.contains(inner, "after_commit", _wake_all):
        event.listen(inner, "after_commit", _wake_all)


def _span(delay: Duration) -> timedelta:
    seconds = duration_seconds(delay, unknown=-1)
    if seconds < 0:
        raise ValueError(f'a delay is a text such as "90s" or "1h30m", a timedelta or seconds, not {delay!r}')
    return timedelta(seconds=seconds)


def _name(task: str | Named) -> str:
    if isinstance(task, str):
        return task
    if isinstance(task, Named):
        return task.name
    raise TypeError(f"a task is its name, a decorated function or a dict with a target, not {task!r}")


# --- waking the relays of this process, so that a committed row does not wait for their next look ---

_wakers: weakref.WeakSet[Waker] = weakref.WeakSet()


class Waker:
    """Calls `wake` after each commit of a session that enqueued something, on the thread of the commit."""

    def __init__(self, wake: Callable[[], object]) -> None:
        self.wake = wake
        _wakers.add(self)

    def close(self) -> None:
        _wakers.discard(self)


def _wake_all(_: Session) -> None:
    for waker in list(_wakers):
        waker.wake()


# --- the table in a database ---


def create_table(bind: Engine | Connection) -> None:
    """Makes the table where it is not there; several processes may do so at once.

    With an AsyncEngine: `await connection.run_sync(create_table)`, in `async with engine.begin()`.
    """
    if isinstance(bind, Engine):
        with bind.begin() as connection:
            create_table(connection)
        return
    if bind.dialect.name == "postgresql":
        bind.execute(select(func.pg_advisory_xact_lock(ADVISORY_LOCK)))
    bind.execute(CreateTable(table, if_not_exists=True))
    for index in table.indexes:
        bind.execute(CreateIndex(index, if_not_exists=True))


def ddl(dialect: str = "postgresql") -> str:
    """The statements that make the table, for those who write migrations by hand: "postgresql" or
    "sqlite"."""
    words = make_url(f"{dialect}://").get_dialect()()
    statements: list[ExecutableDDLElement] = [CreateTable(table)]
    statements += [CreateIndex(index) for index in table.indexes]
    texts = [str(statement.compile(dialect=words)).strip().replace("\t", "    ") for statement in statements]
    return "".join(f"{text};\n" for text in texts)


# --- what waits, and what the server refused ---


def waiting(connection: Connection) -> int:
    """How many rows are still to be handed over. Where this grows, no relay runs or the server is not
    there."""
    count = select(func.count()).select_from(table).where(table.c.error.is_(None))
    return int(connection.execute(count).scalar_one())


def refused(connection: Connection) -> list[dict[str, Any]]:
    """The rows that the server refused, the oldest first: id, wish (JSON text), created_at, refused_at,
    error."""
    columns = (table.c.id, table.c.wish, table.c.created_at, table.c.refused_at, table.c.error)
    rows = connection.execute(select(*columns).where(table.c.error.is_not(None)).order_by(table.c.id))
    return [dict(row._mapping) for row in rows]


def again(connection: Connection, *ids: int) -> int:
    """Puts rows that were refused back, to be handed over once more: these, or all. Says how many.

    Rows whose batch is still being handed over are passed over: ask again a moment later.
    """
    back = update(table).where(table.c.error.is_not(None), not_on_its_way())
    if ids:
        back = back.where(table.c.id.in_(ids))
    fresh = {"error": None, "error_status": None, "refused_at": None, "left_out": None, "taken_until": None}
    return connection.execute(back.values(fresh)).rowcount


def not_on_its_way() -> ColumnElement[bool]:
    """Of a row that was refused: no other row of its batch is still being handed over."""
    other = table.alias()
    on_its_way = select(other.c.batch).where(other.c.batch.is_not(None), other.c.error.is_(None))
    return or_(table.c.batch.is_(None), table.c.batch.not_in(on_its_way))
