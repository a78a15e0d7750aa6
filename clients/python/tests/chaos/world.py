"""The processes of the chaos test: a server, an app with 4 uvicorn workers, 3 queue workers. Each may be hit.

uvicorn's parent starts its workers again; the server and the queue workers are started again from here.
"""

import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx
from evidence import LEASE_S, Blow
from logbook import FOLDER, up_path

from support.processes import children
from support.server import Server
from support.waiting import wait_for

HERE = Path(__file__).resolve().parent
PACKAGE = HERE.parents[1] / "src"
APP_WORKERS, QUEUE_WORKERS, CONCURRENCY = 4, 3, 10
START_S = 60.0
STOP_S = 40.0
PAUSE_S = LEASE_S + 1.5  # longer than a lease: what the worker held goes to another one meanwhile

# What the script punctual-worker does, where the package is not installed.
WORKER = "import sys; from punctual.worker.main import main; sys.exit(main())"

# An endpoint that is away comes back within a second here; and kills in a row are no reason to give up on it.
CONFIG = "breaker: {failures: 20, open_for: 200ms}\n"


def free_port() -> int:
    """A port that nobody listens at now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class World:
    """All processes; `blows` is what was done to them."""

    def __init__(self, folder: Path, program: Path) -> None:
        self.folder = folder
        self.server = Server(folder, program=program, config=CONFIG)
        self.blows: list[Blow] = []
        self._app: subprocess.Popen[bytes] | None = None
        self._app_port = free_port()
        self._workers: list[subprocess.Popen[bytes]] = []
        self._threads: list[threading.Thread] = []
        self._paused: set[int] = set()

    @property
    def app_url(self) -> str:
        return f"http://127.0.0.1:{self._app_port}"

    # --- starting and ending ---

    def start(self) -> None:
        """Returns when everything serves."""
        self.server.start()
        self.server.listen = f"127.0.0.1:{self.server.port}"
        line = [
            sys.executable,
            "-m",
            "uvicorn",
            "app:app",
            "--app-dir",
            str(HERE),
            "--port",
            str(self._app_port),
        ]
        line += ["--workers", str(APP_WORKERS), "--no-access-log", "--log-level", "warning"]
        self._app = self._run("app", line)
        self._workers = [self._start_worker() for _ in range(QUEUE_WORKERS)]
        wait_for(self._app_serves, "the app serves", within=START_S, pause=0.1)
        wait_for(self._tasks_are_there, "the tasks are applied", within=START_S, pause=0.1)
        self._several_up(self.app_pids)
        self._several_up(self._unpaused)

    def stop(self) -> list[str]:
        """Ends everything in order. Returns what did not end well."""
        for thread in self._threads:
            thread.join()
        faults = [self._stop_in_order(worker, "a queue worker") for worker in self._workers]
        if self._app is not None:
            faults.append(self._stop_in_order(self._app, "uvicorn"))
        self.server.stop()
        return [fault for fault in faults if fault]

    def end(self) -> None:
        """Leaves nothing behind, whatever happened."""
        pids = [worker.pid for worker in self._workers]
        if self._app is not None and self._app.poll() is None:
            pids += [self._app.pid, *children(self._app.pid)]
        for pid in pids:
            if Path(f"/proc/{pid}").exists():
                os.kill(pid, signal.SIGKILL)
        for process in [*self._workers, *([self._app] if self._app else [])]:
            process.wait()
        if self.server.process is not None:
            self.server.kill()

    def _stop_in_order(self, process: subprocess.Popen[bytes], what: str) -> str:
        process.terminate()
        try:
            code = process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            return f"{what} did not end within {STOP_S:g} s after SIGTERM"
        return "" if code in (0, -signal.SIGTERM) else f"{what} ended with {code} after SIGTERM"

    def _run(self, name: str, line: list[str]) -> subprocess.Popen[bytes]:
        env = self.server.environment() | {
            "PYTHONPATH": os.pathsep.join([str(PACKAGE), str(HERE)]),
            "PUNCTUAL_URL": self.server.url,
            "APP_URL": self.app_url,
            FOLDER: str(self.folder),
        }
        with (self.folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                line, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder
            )

    def _start_worker(self) -> subprocess.Popen[bytes]:
        words = ["--queue", "chaos", "--concurrency", str(CONCURRENCY), "--lease", f"{LEASE_S:g}s"]
        return self._run("workers", [sys.executable, "-c", WORKER, "work:worker", *words])

    def _app_serves(self) -> bool:
        try:
            return httpx.get(f"{self.app_url}/docs", trust_env=False).is_success
        except httpx.TransportError:
            return False

    def _tasks_are_there(self) -> bool:
        from evidence import TASKS

        there = {task["name"] for task in self.server.api.get("/v1/tasks").json()["tasks"]}
        return there >= set(TASKS)

    # --- blows ---

    def app_pids(self) -> list[int]:
        """uvicorn's workers; its other child only counts resources."""
        assert self._app is not None
        return [pid for pid in children(self._app.pid) if b"spawn_main" in command_line(pid)]

    def blow(self, what: str, chance: random.Random) -> None:
        """Hits one process: app, worker or server is killed; pause: a queue worker stands still."""
        hit: dict[str, Callable[[random.Random], None]] = {
            "app": self._kill_app_worker,
            "worker": self._kill_queue_worker,
            "server": self._kill_server,
            "pause": self._pause_queue_worker,
        }
        hit[what](chance)

    def _several_up(self, pids: Callable[[], list[int]]) -> list[int]:
        """Those that are up, once there are two: killed faster than they start, nothing would run."""

        def up() -> list[int] | None:
            there = [pid for pid in pids() if up_path(self.folder, pid).exists()]
            return there if len(there) > 1 else None

        found = wait_for(up, "two processes are up again", within=START_S)
        assert found is not None
        return found

    def _kill_app_worker(self, chance: random.Random) -> None:
        pid = chance.choice(self._several_up(self.app_pids))
        at = time.time()
        os.kill(pid, signal.SIGKILL)
        self.blows.append(Blow("app", pid, at, time.time()))

    def _unpaused(self) -> list[int]:
        return [worker.pid for worker in self._workers if worker.pid not in self._paused]

    def _kill_queue_worker(self, chance: random.Random) -> None:
        pid = chance.choice(self._several_up(self._unpaused))
        number = next(number for number, worker in enumerate(self._workers) if worker.pid == pid)
        worker, at = self._workers[number], time.time()
        worker.kill()
        worker.wait()
        self.blows.append(Blow("worker", worker.pid, at, time.time()))
        self._workers[number] = self._start_worker()

    def _kill_server(self, chance: random.Random) -> None:
        assert self.server.process is not None
        pid, at = self.server.process.pid, time.time()
        self.server.kill()
        time.sleep(chance.choice([0.0, 0.0, 0.5, 1.5]))
        self.server.start()
        self.blows.append(Blow("server", pid, at, time.time()))

    def _pause_queue_worker(self, chance: random.Random) -> None:
        """Ends by itself, in a thread. One at a time, so that the others can take over."""
        if self._paused:
            return
        pid = chance.choice(self._several_up(self._unpaused))
        self._paused.add(pid)
        at = time.time()
        os.kill(pid, signal.SIGSTOP)

        def go_on() -> None:
            time.sleep(PAUSE_S)
            os.kill(pid, signal.SIGCONT)
            self.blows.append(Blow("pause", pid, at, time.time()))
            self._paused.discard(pid)

        self._threads.append(threading.Thread(target=go_on))
        self._threads[-1].start()


def command_line(pid: int) -> bytes:
    """Empty for a process that is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
