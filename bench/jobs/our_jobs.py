"""Punctual: `enqueue` of the client, whose concurrent calls share requests, and punctual-worker."""

import asyncio
import os

from drive import arguments, drained, with_tasks, with_threads
from punctual import AsyncPunctual, Punctual, Worker

worker = Worker(queue="bench")
WISH = {"queue": {"name": "bench"}}
LATER = "24h"
CONCURRENCY = "20"


@worker.otherwise
async def noop() -> None:
    """What a task of the bench does."""


async def enqueue_with_tasks(url: str, callers: int, seconds: float) -> None:
    async with AsyncPunctual(url) as client:
        await with_tasks(callers, seconds, lambda n: client.enqueue(WISH, payload={"n": n}, delay=LATER))


def main() -> None:
    said = arguments()
    if said.command == "enqueue" and said.shape == "tasks":
        asyncio.run(enqueue_with_tasks(said.url, said.callers, said.seconds))
        return
    with Punctual(said.url) as client:
        if said.command == "enqueue":
            with_threads(
                said.callers, said.seconds, lambda n: client.enqueue(WISH, payload={"n": n}, delay=LATER)
            )
        elif said.command == "enqueue-many":
            many = [{**WISH, "payload": {"n": n}, "delay": LATER} for n in range(100)]
            with_threads(said.callers, said.seconds, lambda _: client.create_runs(many), per_call=100)
        else:
            for start in range(0, said.count, 10_000):
                client.create_runs(
                    [{**WISH, "payload": {"n": n}} for n in range(start, min(start + 10_000, said.count))]
                )
            os.environ["PUNCTUAL_URL"] = said.url

            def left() -> int:
                queue = client.get_queue("bench")
                return queue.due + queue.running

            command = ["punctual.worker", "our_jobs:worker", "--log-level", "warning"]
            drained([*command, "--concurrency", CONCURRENCY], said.count, left)


if __name__ == "__main__":
    main()
