"""What the functions of app and workers do, and the log that each process keeps of it.

One line is one write to a file opened for appending, so it is whole and outlives kill -9. `began` is written
before anything else is done, `done` when the work is over and before anybody is told, `raised` for a failure
that was planned.
"""

import json
import os
import time
from pathlib import Path
from typing import Any

from punctual import Fail, Retry
from punctual.registry import Run

FOLDER = "CHAOS_FOLDER"  # the environment variable that names where the logs are

# How a run goes, by the payload's `plan`; and how long its work takes, in seconds.
QUICK, SLOW, AGAIN, ERROR, FAIL = "quick", "slow", "again", "error", "fail"
WORK_S = {QUICK: 0.002, SLOW: 0.4, AGAIN: 0.002, ERROR: 0.002, FAIL: 0.002}


class Logbook:
    """The log of this process; opened when the first line is written, after any fork."""

    def __init__(self) -> None:
        self._file: int | None = None

    def write(self, what: str, run: Run) -> None:
        if self._file is None:
            path = Path(os.environ[FOLDER]) / f"steps-{os.getpid()}.log"
            self._file = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o644)
        line = {
            "time": time.time(),
            "what": what,
            "pid": os.getpid(),
            "run": run.id,
            "attempt": run.attempt,
            "fence": run.fence,
        }
        os.write(self._file, (json.dumps(line) + "\n").encode())


logbook = Logbook()


def say_up() -> None:
    """This process has loaded its functions: it serves in a moment."""
    up_path(Path(os.environ[FOLDER]), os.getpid()).touch()


def up_path(folder: Path, pid: int) -> Path:
    """What is there once the process is up."""
    return folder / f"up-{pid}"


def plan_of(run: Run) -> str:
    """Runs of the schedule have no payload of their own: they are quick."""
    return (run.payload or {}).get("plan", QUICK)


def begin(run: Run) -> float:
    """Writes that it begins. Returns how many seconds the work takes."""
    logbook.write("began", run)
    return WORK_S[plan_of(run)]


def end(run: Run) -> dict[str, Any]:
    """Writes how it ends: raises what is planned, or returns a result by which the attempt is known."""
    plan = plan_of(run)
    if plan == FAIL or (plan in (AGAIN, ERROR) and run.attempt == 1):
        logbook.write("raised", run)
        if plan == FAIL:
            raise Fail("planned to fail for good")
        raise Retry("planned to be tried again") if plan == AGAIN else RuntimeError("planned to break")
    logbook.write("done", run)
    return {"mark": (run.payload or {}).get("mark"), "pid": os.getpid(), "fence": run.fence}
