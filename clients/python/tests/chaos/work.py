"""The queue worker's functions of the chaos test."""

import asyncio
import time
from typing import Any

from logbook import begin, end, say_up

from punctual.policies import Retry
from punctual.registry import Run
from punctual.worker import Worker

PATIENT = Retry(max_attempts=100, backoff="fixed", initial="200ms", max="200ms")

worker = Worker(queue="chaos")


@worker.task(retry=PATIENT)
async def work_async(run: Run) -> dict[str, Any]:
    """Carried out in the event loop."""
    await asyncio.sleep(begin(run))
    return end(run)


@worker.task(retry=PATIENT)
def work_plain(run: Run) -> dict[str, Any]:
    """Carried out in a thread."""
    time.sleep(begin(run))
    return end(run)


@worker.task(every="1s", retry=PATIENT)
async def work_tick(run: Run) -> dict[str, Any]:
    """Comes by its schedule."""
    begin(run)
    return end(run)


say_up()
