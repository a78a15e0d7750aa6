"""What the programs in this folder share: callers side by side, a worker that drains, a line of JSON.

Each program knows one system and has the same commands: `enqueue` (threads or tasks that each make one call
after the other), `enqueue-many` where the system has a call for many tasks, and `drain` (a worker carries out
prepared tasks that do nothing).
"""

import argparse
import asyncio
import contextlib
import json
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
WARM_S = 0.5


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=("enqueue", "enqueue-many", "drain"))
    parser.add_argument("--url", required=True)
    parser.add_argument("--shape", choices=("threads", "tasks"), default="threads")
    parser.add_argument("--callers", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--count", type=int, default=20_000)
    return parser.parse_args()


def tell(**fields: object) -> None:
    print(json.dumps(fields), flush=True)


def cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


class Calls:
    """Counts calls and how long each took, after a while to get warm."""

    def __init__(self, seconds: float) -> None:
        self.begin = time.perf_counter() + WARM_S
        self.end = self.begin + seconds
        self.took: list[float] = []

    def goes_on(self) -> bool:
        return time.perf_counter() < self.end

    def made(self, began: float) -> None:
        now = time.perf_counter()
        if self.begin <= now <= self.end:
            self.took.append(now - began)

    def report(self, seconds: float, cpu: float, per_call: int = 1) -> None:
        took = sorted(self.took)
        if not took:
            raise SystemExit("no call was made in time")
        tell(
            tasks=len(took) * per_call,
            seconds=seconds,
            cpu_s=cpu,
            p50_us=round(took[len(took) // 2] * 1e6),
            p99_us=round(took[len(took) * 99 // 100] * 1e6),
        )


def with_threads(callers: int, seconds: float, call: Callable[[int], object], per_call: int = 1) -> None:
    calls = Calls(seconds)
    trouble: list[Exception] = []

    def work() -> None:
        number = 0
        try:
            while calls.goes_on() and not trouble:
                began = time.perf_counter()
                call(number)
                calls.made(began)
                number += 1
        except Exception as error:
            trouble.append(error)

    threads = [threading.Thread(target=work) for _ in range(callers)]
    for thread in threads:
        thread.start()
    time.sleep(WARM_S)
    before = cpu_s()
    for thread in threads:
        thread.join()
    if trouble:
        raise trouble[0]
    calls.report(seconds, cpu_s() - before, per_call)


async def with_tasks(
    callers: int, seconds: float, call: Callable[[int], Awaitable[object]], per_call: int = 1
) -> None:
    calls = Calls(seconds)

    async def work() -> None:
        number = 0
        while calls.goes_on():
            began = time.perf_counter()
            await call(number)
            calls.made(began)
            number += 1

    working = [asyncio.create_task(work()) for _ in range(callers)]
    await asyncio.sleep(WARM_S)
    before = cpu_s()
    await asyncio.gather(*working)
    calls.report(seconds, cpu_s() - before, per_call)


def children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def drained(command: list[str], count: int, left: Callable[[], int], within: float = 180) -> None:
    """Starts the worker; from the first look at which some tasks are done, to the one at which none is left.

    `left` counts the tasks that are not done, or whose being done is not acknowledged. The start of the
    worker is not measured, and neither are the tasks that are done at the first look.
    """
    with (Path.cwd() / "worker.log").open("wb") as log:
        worker = subprocess.Popen(
            [sys.executable, "-m", *command], cwd=HERE, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        began, first, deadline = 0.0, count, time.monotonic() + within
        while open_now := left():
            now = time.monotonic()
            if not began and open_now < count:
                began, first = now, open_now
            if now > deadline or worker.poll() is not None:
                raise SystemExit(f"{open_now} of {count} are not done; the worker said:\n{last_words()}")
            time.sleep(0.02)
        seconds = time.monotonic() - began
        if not began or first < count / 2:
            raise SystemExit(f"{count} tasks are too few: {first} were left at the first look")
    finally:
        worker.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            worker.wait(30)
        if worker.poll() is None:
            worker.kill()
            worker.wait()
    tell(tasks=first, seconds=seconds, cpu_s=children_cpu_s() * first / count)


def last_words() -> str:
    return (Path.cwd() / "worker.log").read_text(errors="replace")[-2000:]
