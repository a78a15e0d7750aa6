"""The FastAPI app of the chaos test: three tasks, and a route that enqueues."""

import asyncio
import time
from typing import Any

from fastapi import FastAPI
from logbook import begin, end, say_up

from punctual.fastapi import PunctualApp
from punctual.policies import Retry
from punctual.registry import Run

PATIENT = Retry(max_attempts=100, backoff="fixed", initial="200ms", max="200ms")
TIMEOUT = "5s"

app = FastAPI()
punctual = PunctualApp(app)


@punctual.task(retry=PATIENT, timeout=TIMEOUT)
async def app_async(run: Run) -> dict[str, Any]:
    """Carried out in the event loop."""
    await asyncio.sleep(begin(run))
    return end(run)


@punctual.task(retry=PATIENT, timeout=TIMEOUT)
def app_plain(run: Run) -> dict[str, Any]:
    """Carried out in a thread."""
    time.sleep(begin(run))
    return end(run)


@punctual.task(every="1s", retry=PATIENT, timeout=TIMEOUT)
async def app_tick(run: Run) -> dict[str, Any]:
    """Comes by its schedule."""
    begin(run)
    return end(run)


@app.post("/orders")
async def order(payload: dict[str, Any]) -> dict[str, str]:
    """Enqueues a run; the mark is its key, so an order that is sent again makes no second one."""
    run = await app_async.enqueue(payload, idempotency_key=payload["mark"])
    return {"run": run.id}


say_up()
