"""The app of test_app_fastapi.py: a FastAPI service as a user would write it, run by uvicorn.

Each time a function is executed it appends a line to the file that EFFECTS names: (task, run, attempt, pid).
"""

import json
import logging
import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date

from fastapi import FastAPI
from pydantic import BaseModel
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import create_async_engine

import punctual as client
from punctual import Fail, PunctualApp, Retry, Run, Visibility, wrap_connection

logging.basicConfig()
logging.getLogger("punctual").setLevel(logging.INFO)  # what applying did, too
QUICK = Retry(max_attempts=3, backoff="fixed", initial="100ms", max="100ms")


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[dict[str, str]]:
    yield {"own": "lifespan"}


app = FastAPI(lifespan=lifespan)
app.add_middleware(Visibility)
punctual = PunctualApp(app)
sync_engine = create_engine("sqlite://")
async_engine = create_async_engine("sqlite+aiosqlite://")


def note(run: Run) -> None:
    line = json.dumps([run.task, run.id, run.attempt, os.getpid()]) + "\n"
    descriptor = os.open(os.environ["EFFECTS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, line.encode())  # in one piece, whoever else appends
    os.close(descriptor)


class Invoices(BaseModel):
    kind: str
    day: date
    customers: list[int] = []


@punctual.task(
    timezone="Europe/Berlin",
    schedule="30 2 * * *",
    retry=QUICK,
    owner="billing@example.com",
    expected_result="one invoice per customer",
    rollback="punctual rollback nightly-invoices",
    payload={"kind": "daily", "day": "2026-03-28"},
)
async def nightly_invoices(run: Run, payload: Invoices) -> dict[str, object]:
    """Create the invoices for the day before."""
    note(run)
    return {"kind": payload.kind, "next": payload.day, "customers": len(payload.customers)}


@punctual.task(name="plain")
def in_a_thread(run: Run) -> int:
    note(run)
    return run.attempt


@punctual.task(every="250ms", overlap="allow")
async def heartbeat(run: Run) -> None:
    note(run)


@punctual.task(retry=QUICK)
async def not_yet(run: Run) -> str:
    note(run)
    if run.attempt == 1:
        raise Retry("the bank is busy", after="2s")
    return "done"


@punctual.task(retry=QUICK)
async def hopeless(run: Run) -> None:
    note(run)
    client.report(db_calls=2, cache="miss")
    raise Fail("there is no such customer")


@punctual.task(retry=QUICK)
def hopeless_thread(run: Run) -> None:
    note(run)
    raise Fail("there is no such customer")


@punctual.task(retry=QUICK)
async def broken(run: Run) -> None:
    note(run)
    raise LookupError("the price list is empty")


@punctual.task(retry=QUICK)
async def no_json(run: Run) -> object:
    note(run)
    return object()


@punctual.task()
def asks_sync() -> str:
    with sync_engine.connect() as connection:
        for number in range(3):
            connection.execute(text("SELECT :n"), {"n": number})
    client.report(cache="hit")
    return "asked"


@punctual.task()
async def asks_async() -> str:
    async with async_engine.connect() as connection:
        for number in range(4):
            await connection.execute(text("SELECT :n"), {"n": number})
    client.report(cache="miss")
    return "asked"


@punctual.task()
def asks_driver() -> str:
    connection = wrap_connection(sqlite3.connect(":memory:"))
    connection.execute("CREATE TABLE t (n)")
    connection.cursor().executemany("INSERT INTO t VALUES (?)", [(1,), (2,)])
    connection.close()
    return "asked"


@punctual.task()
async def says_itself() -> str:
    punctual.report(cache="hit", db_calls=3)
    return "said"


@app.get("/health")
def health() -> dict[str, bool]:
    return {"ok": True}


@app.get("/report")
def report() -> dict[str, int]:
    with sync_engine.connect() as connection:
        return {"one": connection.execute(text("SELECT 1")).scalar_one()}


@app.post("/enqueue")
async def enqueue() -> dict[str, str]:
    run = await nightly_invoices.enqueue(
        {"kind": "monthly", "day": "2026-04-01", "customers": [7, 8]}, delay="300ms", idempotency_key="april"
    )
    return {"run": run.id}


@app.post("/enqueue-now")
def enqueue_now() -> dict[str, str]:
    return {"run": in_a_thread.enqueue_now({"n": 1}).id}
