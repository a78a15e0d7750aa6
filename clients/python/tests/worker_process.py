"""punctual-worker as a process: its program written by the test, its log read, its signals sent."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from support.waiting import wait_for

SOURCE = Path(__file__).resolve().parents[1] / "src"

HEAD = """
import asyncio, os, threading, time
from punctual import Fail, Retry, Run, Worker, report

worker = Worker(queue="emails")

def note(*words):
    with open("notes", "a") as notes:
        print(*words, file=notes, flush=True)
"""


def worker_environment(url: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PUNCTUAL")}
    return {**kept, "PYTHONPATH": str(SOURCE), "PUNCTUAL_URL": url}


class WorkerProcess:
    """One worker. `notes` are the lines that its functions have written with `note`."""

    def __init__(
        self, folder: Path, url: str, program: str, *options: str, target: str = "jobs:worker"
    ) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        (folder / "jobs.py").write_text(HEAD + program)
        self.log_path = folder / f"worker-{len(list(folder.glob('worker-*')))}.log"
        line = [sys.executable, "-m", "punctual.worker", target, *options]
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(
                line,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=folder,
                env=worker_environment(url),
            )

    def lines(self, event: str | None = None) -> list[dict[str, Any]]:
        found = []
        for text in self.log_path.read_text().splitlines():
            with contextlib.suppress(json.JSONDecodeError):
                line = json.loads(text)
                if event is None or line.get("event") == event:
                    found.append(line)
        return found

    def wait_line(self, event: str) -> dict[str, Any]:
        def find() -> list[dict[str, Any]]:
            assert self.process.poll() is None or self.lines(event), self.log_path.read_text()
            return self.lines(event)

        return wait_for(find, f"the worker says {event}")[0]

    @property
    def notes(self) -> list[str]:
        path = self.folder / "notes"
        return path.read_text().splitlines() if path.exists() else []

    def wait_note(self, words: str, count: int = 1) -> None:
        wait_for(lambda: self.notes.count(words) >= count, f"{count} times the note {words!r}")

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait_exit(self) -> int:
        try:
            return self.process.wait(30)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the worker did not end:\n{self.log_path.read_text()}") from None

    def stop(self) -> int:
        """SIGTERM, and its exit code."""
        self.send(signal.SIGTERM)
        return self.wait_exit()

    def end(self) -> None:
        """After the test: whatever is left of it."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
