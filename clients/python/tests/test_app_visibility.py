"""What requests cost: counted per request, whoever else runs meanwhile. No server."""

import asyncio
import contextvars
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from typing import Any

import anyio.to_thread
import httpx
import pytest
from fastapi import BackgroundTasks, FastAPI
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from sqlalchemy import create_engine, text
from sqlalchemy.engine import Engine
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session
from sqlalchemy.pool import StaticPool

import punctual
from punctual import Visibility, db_call, report, wrap_connection
from punctual.visibility import Cache, Measure, current_measure, measuring

pytestmark = pytest.mark.anyio


@pytest.fixture
def engine() -> Iterator[Engine]:
    engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
    yield engine
    engine.dispose()


def ask(engine: Engine, times: int) -> None:
    with engine.connect() as connection:
        for _ in range(times):
            connection.execute(text("SELECT 1"))


async def get(app: Any, path: str = "/") -> httpx.Response:
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
        return await client.get(path)


def calls_of(answer: httpx.Response) -> int:
    (line,) = answer.headers.get_list("server-timing", split_commas=True)
    return int(line.partition('desc="')[2].split()[0])


def visible(route: Callable[..., Any]) -> FastAPI:
    app = FastAPI()
    app.add_middleware(Visibility)
    app.get("/")(route)
    return app


# --- SQLAlchemy ---


async def test_a_sync_engine_is_counted(engine: Engine) -> None:
    app = visible(lambda: ask(engine, 6))
    answer = await get(app)
    (line,) = answer.headers.get_list("server-timing")
    name, took, words = line.split(";")
    assert (name, words) == ("db", 'desc="6 queries"')
    assert 0 < float(took.removeprefix("dur=")) < 10_000
    assert "cache-status" not in answer.headers


async def test_an_orm_session_is_counted(engine: Engine) -> None:
    def route() -> None:
        with Session(engine) as session:
            session.execute(text("CREATE TABLE IF NOT EXISTS t (n INTEGER)"))
            session.execute(text("INSERT INTO t VALUES (:n)"), [{"n": 1}, {"n": 2}])  # executemany: one call
            session.commit()

    assert calls_of(await get(visible(route))) == 2


async def test_an_async_engine_is_counted() -> None:
    engine = create_async_engine("sqlite+aiosqlite://", poolclass=StaticPool)

    async def route() -> None:
        async with AsyncSession(engine) as session:
            for _ in range(4):
                await session.execute(text("SELECT 1"))

    answer = await get(visible(route))
    assert calls_of(answer) == 4
    assert ";dur=" in answer.headers["server-timing"]
    await engine.dispose()


async def test_a_statement_that_fails_is_a_call(engine: Engine) -> None:
    def route() -> None:
        with engine.connect() as connection:
            for _ in range(2):
                with pytest.raises(OperationalError):
                    connection.execute(text("SELECT nothing"))

    assert calls_of(await get(visible(route))) == 2


async def test_the_time_is_that_of_the_calls_alone() -> None:
    engine = create_engine("sqlite://")

    def route() -> None:
        with engine.connect() as connection:
            driver = connection.connection.driver_connection
            assert driver is not None
            driver.create_function("nap", 0, lambda: time.sleep(0.1))
            connection.execute(text("SELECT nap()"))
        time.sleep(0.2)

    line = (await get(visible(route))).headers["server-timing"]
    took = float(line.partition("dur=")[2].partition(";")[0])
    assert took >= 100
    engine.dispose()


# --- requests beside each other ---


async def test_requests_at_the_same_time_count_apart(engine: Engine) -> None:
    app = FastAPI()
    app.add_middleware(Visibility)
    all_there = asyncio.Barrier(8) if hasattr(asyncio, "Barrier") else None

    @app.get("/{times}")
    async def route(times: int) -> None:
        for _ in range(times):
            ask(engine, 1)
            await asyncio.sleep(0)
        if all_there:
            await all_there.wait()
        await run_in_threadpool(ask, engine, 1)

    answers = await asyncio.gather(*(get(app, f"/{times}") for times in range(1, 9)))
    assert [calls_of(answer) for answer in answers] == [2, 3, 4, 5, 6, 7, 8, 9]


async def test_threads_and_tasks_of_a_request_count_to_it(engine: Engine) -> None:
    async def route() -> None:
        await run_in_threadpool(ask, engine, 1)
        await asyncio.to_thread(ask, engine, 2)
        asking = [asyncio.create_task(asyncio.to_thread(ask, engine, 1)) for _ in range(3)]
        await asyncio.gather(*asking)
        thread = threading.Thread(target=contextvars.copy_context().run, args=(ask, engine, 4))
        thread.start()
        thread.join()

    assert calls_of(await get(visible(route))) == 10


async def test_what_a_request_leaves_behind_counts_to_no_other(engine: Engine) -> None:
    """A background task goes on after the response; the next request begins at zero."""
    done = asyncio.Event()

    async def later() -> None:
        await anyio.to_thread.run_sync(ask, engine, 5)
        done.set()

    def route(background: BackgroundTasks) -> None:
        ask(engine, 1)
        background.add_task(later)

    app = visible(route)
    assert calls_of(await get(app)) == 1
    await done.wait()
    assert calls_of(await get(app)) == 1
    assert current_measure() is None


async def test_a_lot_of_threads_lose_no_call() -> None:
    with measuring() as measure:
        context = [contextvars.copy_context() for _ in range(8)]

        def work() -> None:
            for _ in range(2000):
                with db_call():
                    pass

        threads = [threading.Thread(target=one.run, args=(work,)) for one in context]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert measure.db_calls == 16_000


# --- other drivers ---


async def test_a_wrapped_connection_is_counted_and_otherwise_the_driver_s() -> None:
    def route() -> None:
        connection = wrap_connection(sqlite3.connect(":memory:"))
        with connection as same:
            assert same is connection
            connection.execute("CREATE TABLE t (n)")
            cursor = connection.cursor()
            assert cursor.execute("INSERT INTO t VALUES (1)") is cursor
            cursor.executemany("INSERT INTO t VALUES (?)", [(2,), (3,)])
        connection.row_factory = sqlite3.Row
        assert connection.wrapped.row_factory is sqlite3.Row
        assert [row["n"] for row in connection.execute("SELECT n FROM t ORDER BY n")] == [1, 2, 3]
        cursor = connection.execute("SELECT n FROM t ORDER BY n")
        assert next(cursor)["n"] == 1
        assert len(cursor.fetchmany(1)) == 1
        assert cursor.description[0][0] == "n"
        with pytest.raises(sqlite3.OperationalError):
            connection.execute("SELECT nothing")
        connection.executescript("SELECT 1; SELECT 2")
        assert connection.total_changes == 3
        connection.close()

    assert calls_of(await get(visible(route))) == 7


class OtherCursor(sqlite3.Cursor):
    """What other drivers have: a cursor for `with`, callproc, an execute that answers nothing."""

    def __enter__(self) -> "OtherCursor":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def callproc(self, name: str, arguments: tuple[int, ...] = ()) -> tuple[int, ...]:
        super().execute(f"SELECT {name}({','.join('?' * len(arguments))})", arguments)
        return arguments

    def execute(self, *arguments: Any) -> None:  # type: ignore[override]
        super().execute(*arguments)


async def test_a_driver_of_another_make_is_counted_alike() -> None:
    with measuring() as measure:
        connection = wrap_connection(sqlite3.connect(":memory:"))
        with connection.cursor(factory=OtherCursor) as cursor:
            assert cursor.execute("SELECT column1 FROM (VALUES (1), (2), (3))") is None
            assert [row[0] for row in cursor] == [1, 2, 3]
            assert cursor.callproc("abs", (-4,)) == (-4,)
            assert cursor.fetchone() == (4,)
            cursor.arraysize = 7
            assert cursor.wrapped.arraysize == 7
        with pytest.raises(sqlite3.ProgrammingError, match="closed cursor"):
            cursor.execute("SELECT 1")
        connection.close()
    assert measure.db_calls == 3


async def test_fetching_takes_time_and_is_no_call() -> None:
    def nap(n: int) -> int:
        time.sleep(0.05)
        return n

    connection = wrap_connection(sqlite3.connect(":memory:"))
    connection.wrapped.create_function("nap", 1, nap)
    cursor = connection.cursor()
    with measuring() as measure:
        cursor.execute("SELECT nap(column1) FROM (VALUES (1), (2), (3))")
        assert len(cursor.fetchall()) == 3
    assert measure.db_calls == 1
    assert measure.db_time_ms is not None
    assert measure.db_time_ms >= 150
    connection.close()


async def test_blocks_are_counted_by_hand() -> None:
    async def route() -> None:
        for _ in range(2):
            with db_call():
                await asyncio.sleep(0)

    assert calls_of(await get(visible(route))) == 2


# --- report, and what is said ---


def headers(**said: Any) -> dict[str, str]:
    with measuring() as measure:
        report(**said)
        return dict(measure.headers())


@pytest.mark.parametrize(
    ("cache", "line"),
    [("hit", "app; hit"), ("warm", "app; hit"), ("miss", "app; fwd=miss"), ("cold", "app; fwd=miss")],
)
def test_a_cache_is_told_as_rfc_9211_says(cache: Any, line: str) -> None:
    assert headers(cache=cache)["cache-status"] == line


def test_one_hit_makes_it_warm() -> None:
    with measuring() as measure:
        looks: list[Cache] = ["miss", "hit", "miss", "unknown"]
        for cache in looks:
            report(cache=cache)
        assert measure.cache == "warm"
        assert measure.as_report()["cache"] == "warm"


def test_reports_add_up() -> None:
    with measuring() as measure:
        report(db_calls=3, db_time=0.25)
        report(db_calls=2, db_time=timedelta(milliseconds=250))
        assert measure.as_report() == {"db_calls": 5, "db_time_ms": 500}
        assert measure.headers() == [("server-timing", 'db;dur=500;desc="5 queries"')]


def test_calls_without_a_time_say_none() -> None:
    assert headers(db_calls=1) == {"server-timing": 'db;desc="1 query"'}


def test_nothing_known_is_nothing_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("punctual.visibility._anything_counted", False)
    assert (Measure().headers(), Measure().as_report()) == ([], {})
    monkeypatch.setattr("punctual.visibility._anything_counted", True)
    assert Measure().as_report() == {"db_calls": 0, "db_time_ms": 0}


def test_outside_of_a_request_a_report_does_nothing() -> None:
    punctual.report(cache="hit", db_calls=3)
    with db_call():
        pass


@pytest.mark.parametrize("wrong", [{"cache": "lukewarm"}, {"db_calls": -1}, {"db_time": -0.1}])
def test_a_report_that_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"cache is|negative"):
        report(**wrong)


async def test_the_app_s_own_headers_stay(engine: Engine) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        ask(engine, 1)
        own = [(b"server-timing", b"render;dur=3"), (b"x-own", b"1")]
        await send({"type": "http.response.start", "status": 204, "headers": own})
        await send({"type": "http.response.body"})

    answer = await get(Visibility(app))
    assert answer.headers.get_list("server-timing")[0] == "render;dur=3"
    assert len(answer.headers.get_list("server-timing")) == 2
    assert answer.headers["x-own"] == "1"


async def test_twice_in_one_app_counts_once(engine: Engine) -> None:
    answer = await get(Visibility(Visibility(visible(lambda: ask(engine, 2)))))
    assert len(answer.headers.get_list("server-timing")) == 1


async def test_a_stream_says_what_it_cost_until_its_first_byte(engine: Engine) -> None:
    async def rows() -> AsyncIterator[str]:
        yield "a"
        ask(engine, 3)
        yield "b"

    def route() -> StreamingResponse:
        ask(engine, 1)
        return StreamingResponse(rows())

    answer = await get(visible(route))
    assert (answer.text, calls_of(answer)) == ("ab", 1)


async def test_lifespans_and_websockets_pass_through() -> None:
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append((scope["type"], send))

    async def send(message: Any) -> None: ...

    for kind in ("lifespan", "websocket"):
        await Visibility(app)({"type": kind}, send, send)  # type: ignore[arg-type]
    assert seen == [("lifespan", send), ("websocket", send)]
