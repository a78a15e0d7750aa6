"""uvicorn as a process of its own, with as many workers as a test wants."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from support.waiting import wait_for

HERE = Path(__file__).parent
SOURCES = HERE.parent / "src"
STOP_S = 30


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Uvicorn:
    """A running app. `log` is all that it wrote so far."""

    def __init__(self, port: int, log_path: Path) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.log_path = log_path

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def is_there(self) -> bool:
        """Whether it answers, whatever it says."""
        try:
            return httpx.get(f"{self.url}/health", trust_env=False).status_code < 500
        except httpx.TransportError:
            return False


@contextmanager
def uvicorn(
    app: str, folder: Path, *, workers: int = 1, port: int | None = None, wait: bool = True, **env: str
) -> Iterator[Uvicorn]:
    """Runs `app` ("module:app", from the folder of the tests or from `folder`) until the block ends."""
    port = port or free_port()
    running = Uvicorn(port, folder / f"uvicorn-{port}.log")
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PUNCTUAL")}
    path = os.pathsep.join([str(folder), str(HERE), str(SOURCES)])
    with running.log_path.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "uvicorn", app, "--port", str(port), "--workers", str(workers)],
            env={**clean, "PYTHONPATH": path, "APP_URL": running.url, **env},
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        if wait:
            wait_for(lambda: process.poll() is not None or running.is_there(), "the app serves")
            assert process.poll() is None, running.log
        yield running
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_S)
        finally:
            process.kill()
            process.wait()
