"""How rows are handed over exactly once: decisions and statements. The waiting and sending is relay.py's.

Rows are handed over in batches, in the order of their ids, and one batch is on its way at a time, however
many relays there are. What makes it exactly once:

1. Before anything is sent, a batch is written down: its rows get a key made up for it (`batch`), committed.
2. The batch is sent with this key as Idempotency-Key. The server makes all of its runs or none, and binds
   the key to the body of the first request it accepts: the same body again gets the same runs, another body
   is refused.
3. Only then are its rows deleted. A relay that dies at any point leaves a batch that the next one sends
   again, with the same key and the same bytes. Two that send it at once get the same runs.

When the server refuses a row, the batch is sent without it, and still under its key: so of all that was
ever sent for a batch the server accepts one body only, even when a request that was believed lost arrives
late. Which rows left at which step is written down too (`left_out`), so that the one body it has accepted
can always be found again.

The server remembers a key for a day. A batch of which it is not known for KEY_LIFE whether the server has
it is therefore not sent again: its rows are marked, and a person decides (docs/guides/outbox.md).

`round_trip` is a generator: it yields what is to be done, `Ask` (a transaction in the database) or `Send`
(a request), and is sent what came of it. So the thread and the asyncio task of relay.py share every line.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from sqlalchemy import Connection, Row, false, func, or_, select, update
from sqlalchemy import delete as delete_from

from punctual.errors import ApiError, ConnectionFailed, PunctualError
from punctual.outbox.table import ADVISORY_LOCK, not_on_its_way, table

KEY_LIFE = timedelta(hours=20)
"""How long the server certainly knows a key. It keeps them for 24 h; the rest is for clocks that differ."""

BATCH_BYTES = 4 << 20
"""Of one request. The server takes 8 MiB."""

UNKNOWN = (
    "whether the server has this run is not known: it was sent at {:%Y-%m-%d %H:%M} UTC, no answer came, and "
    "the server may have forgotten its key since. Look for the run; then delete this row, or put it back"
)
EDITED = "the server has runs of another version of this batch: were rows of the outbox edited by hand?"
FRESH: dict[str, Any] = {"error": None, "error_status": None, "left_out": None, "taken_until": None}
FREE: dict[str, Any] = {"batch": None, "sent_at": None, "left_out": None}

UNKNOWN_TASK_PAUSE = timedelta(minutes=1)
UNKNOWN_TASK_LIFE = timedelta(hours=1)
"""So often and so long a row is tried again whose task the server does not know: a deployment may be on."""


@dataclass(frozen=True)
class Options:
    """How a relay works.

    `batch`: rows in one request, 1 to 10,000. `interval`: seconds between two looks into the table; a
    commit in the relay's own process wakes it at once. `lease`: seconds for which one relay has a batch to
    itself, so the longest wait until another one takes over from one that died; longer than `timeout`.
    `timeout`: seconds for one request.
    """

    batch: int = 500
    interval: float = 1.0
    lease: float = 30.0
    timeout: float = 10.0

    def __post_init__(self) -> None:
        if not 1 <= self.batch <= 10_000:
            raise ValueError(f"batch is {self.batch}: give 1 to 10000 rows")
        if self.interval <= 0 or self.timeout <= 0:
            raise ValueError("interval and timeout are seconds, more than 0")
        if self.lease <= self.timeout:
            raise ValueError(f"lease ({self.lease:g} s) must be longer than timeout ({self.timeout:g} s)")


# --- what is asked of the driver ---


@dataclass(frozen=True)
class Ask:
    """To be called with a connection, in a transaction of its own; its result is sent back.

    Where the database fails, it may be called again in a new transaction: doing it twice does no more.
    """

    function: Callable[[Connection], Any]

    def __call__(self, connection: Connection) -> Any:
        """One relay after the other: so none waits for rows of another in turn, and no update is lost."""
        if connection.dialect.name == "postgresql":
            connection.execute(select(func.pg_advisory_xact_lock(ADVISORY_LOCK)))
        else:  # SQLite: the write lock, before anything is read
            connection.execute(update(table).where(false()).values(error=None))
        return self.function(connection)


@dataclass(frozen=True)
class Send:
    """POST /v1/runs/batch with this key and these lines; the answer, or the PunctualError, is sent back."""

    key: str
    lines: Sequence[str]


Steps = Generator["Ask | Send", Any, int]


@dataclass(frozen=True)
class Batch:
    """Rows that share a key, in the order of their ids. `doubtful`: an earlier round may have sent it."""

    key: str
    rows: Sequence[Row[Any]]
    doubtful: bool = False

    def at(self, step: int) -> list[Row[Any]]:
        """What was sent at this step: those that had not left by then."""
        return [row for row in self.rows if row.left_out is None or row.left_out > step]

    @property
    def step(self) -> int:
        return max((row.left_out or 0 for row in self.rows), default=0)

    @property
    def shape(self) -> list[tuple[int, int | None]]:
        return [(row.id, row.left_out) for row in self.rows]


def utc_now() -> datetime:
    """Leases and the life of keys are real time, whatever the clock of a test says."""
    return datetime.now(timezone.utc)


# --- one round ---


def round_trip(options: Options) -> Steps:
    """Hands over one batch. Returns how many runs were made: 0 where nothing waits or another relay is at it.

    Raises the PunctualError of a server that is not there or does not let us in: the batch stays as it is.
    """
    batch: Batch | None = yield Ask(lambda connection: _take(connection, options))
    while batch is not None:
        rows = batch.at(batch.step)
        if not rows:
            yield Ask(_refuse_all(batch))
            return 0
        answer = yield _sending(batch.key, rows)
        if not isinstance(answer, PunctualError):
            yield Ask(_settle(batch, rows))
            return len(rows)
        if _is_mismatch(answer):
            return (yield from _find_accepted(batch))
        if not isinstance(answer, ApiError) or not _is_refusal(answer):
            yield Ask(_let_go(batch, doubtful=batch.doubtful or _maybe_sent(answer)))
            raise answer
        batch = yield Ask(_leave_out(batch, rows, answer))
    return 0


def _find_accepted(batch: Batch) -> Steps:
    """The key is bound to another body, sent by us or another relay at an earlier step. Finds which."""
    for step in range(batch.step - 1, -1, -1):
        rows = batch.at(step)
        answer = yield _sending(batch.key, rows)
        if not isinstance(answer, PunctualError):
            yield Ask(_settle(batch, rows))
            return len(rows)
        if not _is_mismatch(answer):
            yield Ask(_let_go(batch, doubtful=True))
            raise answer
    fresh: Batch | None = yield Ask(lambda connection: _load(connection, batch.key, True))
    if fresh is not None and fresh.shape == batch.shape:  # else another relay was faster
        yield Ask(_give_up(batch, EDITED, keep_key=False))
    return 0


def _sending(key: str, rows: Sequence[Row[Any]]) -> Send:
    return Send(key, [row.wish for row in rows])


# --- what an answer means ---


def _is_mismatch(answer: PunctualError) -> bool:
    """The key came before with another body."""
    return isinstance(answer, ApiError) and str(answer.problem.get("type", "")).endswith("problem-mismatch")


def _is_refusal(answer: ApiError) -> bool:
    """The server understood and will not have it. Nothing was made. A proxy's own 403 or 404 is none."""
    ours = "#problem-" in str(answer.problem.get("type", ""))
    return ours and answer.status in (400, 403, 404, 409, 413, 415)


def _maybe_sent(answer: PunctualError) -> bool:
    """Whether the server may have made the runs all the same."""
    if isinstance(answer, ConnectionFailed):
        return answer.sent
    return not (isinstance(answer, ApiError) and answer.status in (401, 429))


_PLACE = re.compile(r"/(\d+)(?=/|$)")
_PLACE_IN_WORDS = re.compile(r"the run at /(\d+)")


def _named(answer: ApiError, rows: Sequence[Row[Any]]) -> dict[int, str]:
    """What is wrong with which row of the request, by id, as far as the server said."""
    named: dict[int, str] = {}
    for fault in answer.errors:
        pointer = fault.pointer or ""
        match = _PLACE.match(pointer)
        if match and int(match[1]) < len(rows):
            rest = pointer[match.end() :]
            words = f"{rest}: {fault.detail}" if rest else fault.detail
            for row in _alike(rows, int(match[1]), rest):
                named[row.id] = f"{named[row.id]}; {words}" if row.id in named else words
    in_words = _PLACE_IN_WORDS.search(answer.detail)
    if not named and in_words and int(in_words[1]) < len(rows):
        named[rows[int(in_words[1])].id] = answer.detail
    if not named and len(rows) == 1:
        named[rows[0].id] = answer.detail or answer.title
    return named


def _alike(rows: Sequence[Row[Any]], place: int, pointer: str) -> Sequence[Row[Any]]:
    """Where a task is at fault, all rows of that task are: the server names only the first."""
    if pointer != "/task":
        return [rows[place]]
    task = json.loads(rows[place].wish)["task"]
    return [row for row in rows[place:] if json.loads(row.wish).get("task") == task]


# --- statements; each is one transaction ---


def _take(connection: Connection, options: Options) -> Batch | None:
    """The batch that is on its way, if nobody works on it, else a new one."""
    now = utc_now()
    until = now + timedelta(seconds=options.lease)
    _try_unknown_again(connection, now)
    on_its_way = (table.c.batch.is_not(None), table.c.error.is_(None))
    first = connection.execute(select(table).where(*on_its_way).order_by(table.c.id).limit(1)).first()
    if first is None:
        return _claim(connection, options.batch, now, until)
    mine = (table.c.batch == first.batch, or_(table.c.taken_until.is_(None), table.c.taken_until <= now))
    since = func.coalesce(table.c.sent_at, now)
    if not connection.execute(update(table).where(*mine).values(taken_until=until, sent_at=since)).rowcount:
        return None
    batch = _load(connection, first.batch, first.sent_at is not None)
    if batch is not None and first.sent_at is not None and first.sent_at < now - KEY_LIFE:
        _give_up(batch, UNKNOWN.format(first.sent_at), keep_key=True)(connection)
        return None
    return batch


def _claim(connection: Connection, most: int, now: datetime, until: datetime) -> Batch | None:
    """Writes a new batch down. Where two relays do so at once, each gets rows of its own, or none."""
    key = f"outbox-{uuid.uuid4()}"
    waiting = (table.c.batch.is_(None), table.c.error.is_(None))
    oldest = select(table.c.id).where(*waiting).order_by(table.c.id).limit(most)
    if not connection.execute(oldest.limit(1)).first():
        return None
    connection.execute(
        update(table)
        .where(table.c.id.in_(oldest.scalar_subquery()), *waiting)
        .values(batch=key, taken_until=until, sent_at=now, left_out=None)
    )
    batch = _load(connection, key, False)
    if batch is None:
        return None
    size, fit = 0, 0
    for row in batch.rows:
        size += len(row.wish.encode()) + 1
        fit += size <= BATCH_BYTES or fit == 0
    if fit < len(batch.rows):
        beyond = (table.c.batch == key, table.c.id >= batch.rows[fit].id)
        connection.execute(update(table).where(*beyond).values(batch=None, taken_until=None, sent_at=None))
    return Batch(key, batch.rows[:fit])


def _load(connection: Connection, key: str, doubtful: bool) -> Batch | None:
    rows = connection.execute(select(table).where(table.c.batch == key).order_by(table.c.id)).all()
    return Batch(key, rows, doubtful) if rows else None


def _settle(batch: Batch, accepted: Sequence[Row[Any]]) -> Callable[[Connection], None]:
    """The server has these: they go. What was left out is free for another key, since this one is bound."""

    def settle(connection: Connection) -> None:
        for part in _parts([row.id for row in accepted]):
            connection.execute(delete_from(table).where(table.c.id.in_(part)))
        connection.execute(update(table).where(table.c.batch == batch.key).values(FREE))

    return settle


def _refuse_all(batch: Batch) -> Callable[[Connection], None]:
    """Nothing of it is left to send. What was refused keeps the key, which is bound to nothing."""

    def refuse_all(connection: Connection) -> None:
        mine = table.c.batch == batch.key
        connection.execute(update(table).where(mine, table.c.error.is_(None)).values(FREE))
        connection.execute(update(table).where(mine).values(sent_at=None))

    return refuse_all


def _let_go(batch: Batch, doubtful: bool) -> Callable[[Connection], None]:
    """Not now. Any relay may try again at once; where nothing was ever sent, the key's life has not begun."""

    def let_go(connection: Connection) -> None:
        values: dict[str, Any] = {"taken_until": None}
        if not doubtful:
            values["sent_at"] = None
        connection.execute(update(table).where(table.c.batch == batch.key).values(values))

    return let_go


def _leave_out(
    batch: Batch, rows: Sequence[Row[Any]], answer: ApiError
) -> Callable[[Connection], Batch | None]:
    """The next step of a batch that was refused: without the rows the server named.

    Where it named none, without the second half: so the culprit is alone in the end.
    """

    def leave_out(connection: Connection) -> Batch | None:
        leave = update(table).where(table.c.batch == batch.key).values(left_out=batch.step + 1)
        named = _named(answer, rows)
        by_words: dict[str, list[int]] = {}
        for row, words in named.items():
            by_words.setdefault(words, []).append(row)
        since = func.coalesce(table.c.refused_at, utc_now())
        for words, ids in by_words.items():
            refuse = leave.values(error=words, error_status=answer.status, refused_at=since)
            for part in _parts(ids):
                connection.execute(refuse.where(table.c.id.in_(part)))
        if not named:
            for part in _parts([row.id for row in rows[len(rows) // 2 :]]):
                connection.execute(leave.where(table.c.id.in_(part)))
        return _load(connection, batch.key, batch.doubtful)

    return leave_out


def _give_up(batch: Batch, words: str, *, keep_key: bool) -> Callable[[Connection], None]:
    """A person must look. Under the old key nothing is made twice as long as the server remembers it."""

    def give_up(connection: Connection) -> None:
        mine = table.c.batch == batch.key
        values = {"error": words, "error_status": None, "refused_at": utc_now()}
        connection.execute(update(table).where(mine, table.c.error.is_(None)).values(values))
        connection.execute(update(table).where(mine).values({"sent_at": None} if keep_key else FREE))

    return give_up


def _try_unknown_again(connection: Connection, now: datetime) -> None:
    """Rows whose task the server did not know: it may do so by now."""
    due = (
        table.c.error_status == 404,
        table.c.refused_at > now - UNKNOWN_TASK_LIFE,
        table.c.taken_until < now - UNKNOWN_TASK_PAUSE,
        not_on_its_way(),
    )
    connection.execute(update(table).where(*due).values(FRESH))


def _parts(ids: Sequence[int]) -> list[Sequence[int]]:
    """Databases bound how many values one statement may have."""
    return [ids[at : at + 500] for at in range(0, len(ids), 500)]
