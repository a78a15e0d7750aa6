"""The rows about Python: what a service pays to enqueue, and what one worker process gets done.

Beside us stand Celery and Dramatiq on Redis, and Procrastinate on PostgreSQL, all of them made to lose
nothing that they have acknowledged. Each is given the same callers and the same tasks, in turn, round by
round. One that this machine does not have is named in the notes, and its row has our figures alone.
"""

import contextlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

import services
from parts import BenchError
from rows import Bench, Row, judge_ratio, ratio_row
from services import NotHereError

THREADS = 64
TASKS = 256
OURS = "our_jobs"


@dataclass(frozen=True)
class Rival:
    """A system to compare with: its program in bench/jobs, what it needs, and how far ahead we want to be."""

    name: str
    program: str
    service: Callable[[Path], AbstractContextManager[str]]
    reach: float | None  # None: the ratio is shown, and not judged


CELERY = Rival("Celery", "celery_jobs", services.redis, 10)
DRAMATIQ = Rival("Dramatiq", "dramatiq_jobs", services.redis, 3)
PROCRASTINATE = Rival("Procrastinate", "procrastinate_jobs", services.postgresql, 3)
BATCHES = replace(PROCRASTINATE, reach=None)
ALL = [CELERY, DRAMATIQ, PROCRASTINATE]
SYNCED = {
    services.redis: "Redis, appendfsync always",
    services.postgresql: "PostgreSQL, synchronous_commit on",
}


def enqueue(bench: Bench) -> list[Row]:
    """One task a call, each acknowledged on the disk: 64 threads, then 256 asyncio tasks.

    And 100 a call from 4 threads, beside the only other one that has such a call.
    """
    options = {"seconds": bench.seconds}
    threads = {**options, "shape": "threads", "callers": THREADS}
    tasks = {**options, "shape": "tasks", "callers": TASKS}
    many = {**options, "callers": 4}
    return [
        *against(bench, f"enqueue from Python, {THREADS} threads", ALL, "enqueue", threads),
        *against(bench, f"enqueue from Python, {TASKS} tasks", [PROCRASTINATE], "enqueue", tasks),
        *against(bench, "enqueue from Python, 100 a call", [BATCHES], "enqueue-many", many),
    ]


def worker(bench: Bench) -> list[Row]:
    """One worker process carries out prepared tasks that do nothing, 20 at once, to the last answer."""
    rows = []
    for rival, count in ((CELERY, 4_000), (DRAMATIQ, 20_000), (PROCRASTINATE, 4_000)):
        theirs = {"count": count // 4 if bench.quick else count}
        ours = {"count": 10_000 if bench.quick else 40_000}
        rows += against(bench, "worker, no-op", [rival], "drain", ours, theirs)
    return rows


def against(
    bench: Bench, what: str, rivals: list[Rival], command: str, ours: dict, theirs: dict | None = None
) -> list[Row]:
    """A row for each rival. In each round we are measured once, then each of them, on a store made for it."""
    rows = [
        ratio_row(what, "runs/s", f"{rival.name} ({SYNCED[rival.service]})", rival.reach or 0)
        for rival in rivals
    ]
    missing: dict[str, str] = {}
    for _ in range(bench.rounds):
        with bench.server("python") as server:
            before = server.cpu_s()
            mine = services.job(OURS, command, f"http://127.0.0.1:{server.port}", bench.folder, **ours)
            server_us = (server.cpu_s() - before) * 1e6 / mine["tasks"]
        for rival, row in zip(rivals, rows, strict=True):
            measured = None
            if rival.name not in missing:
                try:
                    with rival.service(bench.folder) as url:
                        measured = services.job(rival.program, command, url, bench.folder, **(theirs or ours))
                except (NotHereError, BenchError) as trouble:
                    missing[rival.name] = str(trouble)
            note(row, mine, measured, server_us)
    for rival, row in zip(rivals, rows, strict=True):
        if rival.name in missing or not row.theirs:
            row.notes.append(f"{rival.name} was not measured: {missing.get(rival.name, 'no round')}")
            row.theirs, row.their_cpu_us, row.reach = [], [], ""
        else:
            judge_ratio(row, rival.reach or 0)
            row.reach = row.reach if rival.reach else ""
    return rows


def note(row: Row, mine: dict, theirs: dict | None, server_us: float) -> None:
    """One round: rates, the CPU time of the Python process per task, and latencies where there are some."""
    row.ours.append(mine["tasks"] / mine["seconds"])
    row.cpu_us.append(mine["cpu_s"] * 1e6 / mine["tasks"])
    words = [f"CPU is the Python process's; our server's: {server_us:.0f} us"]
    with contextlib.suppress(KeyError):
        words.append(f"a call: p50 {mine['p50_us']} us, p99 {mine['p99_us']} us")
    if theirs is not None:
        row.theirs.append(theirs["tasks"] / theirs["seconds"])
        row.their_cpu_us.append(theirs["cpu_s"] * 1e6 / theirs["tasks"])
        with contextlib.suppress(KeyError):
            words.append(f"theirs: p50 {theirs['p50_us']} us, p99 {theirs['p99_us']} us")
    row.notes.append("; ".join(words))


PYTHON_ROWS: dict[str, Callable[[Bench], list[Row]]] = {"enqueue": enqueue, "worker": worker}
