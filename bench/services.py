"""What the rows about Python start beside our server: Redis, PostgreSQL, and the programs of bench/jobs.

Each runs on loopback, on a free port, with settings and a folder of its own next to the other stores, and is
ended by its process id. None of them loses what it has acknowledged: Redis writes and syncs its log before it
answers (appendfsync always), PostgreSQL its own (synchronous_commit).
"""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from parts import BUILD, ROOT, BenchError, free_port

JOBS = ROOT / "bench" / "jobs"
LOCK = ROOT / "bench" / "requirements.lock"
VENV = BUILD / "bench-venv"
START_S = 60


class NotHereError(Exception):
    """A yardstick that this machine does not have; the row says so and goes on."""


def python() -> Path:
    """Of a virtual environment with the packages of bench/requirements.lock, made where it is not there."""
    kept = VENV / "requirements.lock"
    if not kept.exists() or kept.read_bytes() != LOCK.read_bytes():
        shutil.rmtree(VENV, ignore_errors=True)
        pip = [VENV / "bin" / "python", "-m", "pip", "--quiet", "--disable-pip-version-check", "install"]
        options = ["--require-hashes", "--only-binary", ":all:", "-r", LOCK]
        for line in ([os.environ.get("PYTHON", sys.executable), "-m", "venv", VENV], [*pip, *options]):
            done = subprocess.run(line, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                raise NotHereError(f"the packages of bench/requirements.lock: {done.stderr.strip()[-300:]}")
        shutil.copy(LOCK, kept)
    return VENV / "bin" / "python"


def job(program: str, command: str, url: str, folder: Path, **options: object) -> dict:
    """Runs one of bench/jobs to its end; its one line of JSON."""
    words = [str(python()), str(JOBS / f"{program}.py"), command, "--url", url]
    for option, value in options.items():
        words += [f"--{option}", str(value)]
    env = {**os.environ, "PYTHONPATH": str(ROOT / "clients" / "python" / "src"), "BENCH_BROKER": url}
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=env, cwd=folder)
    if done.returncode != 0:
        raise BenchError(f"{program} {command} ended with {done.returncode}: {done.stderr.strip()[-1500:]}")
    return json.loads(done.stdout.splitlines()[-1])


@contextlib.contextmanager
def redis(folder: Path) -> Iterator[str]:
    """A Redis that syncs every write before it answers; its url."""
    binary = shutil.which("redis-server")
    if binary is None:
        raise NotHereError("redis-server is not installed (tools/setup bench)")
    place = folder / "redis"
    place.mkdir(exist_ok=True)
    port = free_port()
    line = [binary, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(place), "--daemonize", "no"]
    line += ["--appendonly", "yes", "--appendfsync", "always", "--save", ""]
    with _running(line, port, place):
        yield f"redis://127.0.0.1:{port}/0"


@contextlib.contextmanager
def postgresql(folder: Path) -> Iterator[str]:
    """A PostgreSQL with its usual settings, synchronous_commit said once more; its url."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: float(path.parts[-3]))
    if not found:
        raise NotHereError("postgresql is not installed (tools/setup bench)")
    place = folder / "postgresql"
    place.mkdir(exist_ok=True)
    user = _unprivileged(place)
    port = free_port()
    data = place / "data"
    init = [*user, str(found[-1].with_name("initdb")), "-D", str(data), "-A", "trust", "-U", "bench"]
    done = subprocess.run(init, capture_output=True, text=True, check=False, cwd=place)
    if done.returncode != 0:
        raise NotHereError(f"initdb of PostgreSQL: {done.stderr.strip()[-300:]}")
    settings = {
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "fsync": "on",
        "synchronous_commit": "on",
    }
    line = [*user, str(found[-1]), "-D", str(data), "-p", str(port)]
    line += [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    with _running(line, port, place, signal.SIGINT):
        yield f"postgresql://bench@127.0.0.1:{port}/postgres"


def _unprivileged(place: Path) -> list[str]:
    """PostgreSQL refuses to run as root: then it is its own user of Debian's, who must reach the folder."""
    if os.geteuid() != 0:
        return []
    shutil.chown(place, "postgres")
    for above in place.parents:
        if above.stat().st_mode & 0o001:
            continue
        if BUILD not in above.parents:
            raise NotHereError(f"PostgreSQL cannot run as root, and its own user cannot reach {above}")
        above.chmod(above.stat().st_mode | 0o011)
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]


@contextlib.contextmanager
def _running(line: list[str], port: int, place: Path, end: int = signal.SIGTERM) -> Iterator[None]:
    log_path = place / "log"
    with log_path.open("wb") as log:
        process = subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=place)
    try:
        _wait_until_it_listens(process, port, line[0], log_path)
        yield
    finally:
        process.send_signal(end)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        shutil.rmtree(place, ignore_errors=True)


def _wait_until_it_listens(process: subprocess.Popen, port: int, name: str, log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise BenchError(f"{name} did not start: {log.read_text(errors='replace')[-500:]}")
