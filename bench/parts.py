"""What the rows of the bench start and ask: the server, the sink, the programs of bench/*.c, the machine.

Python's standard library only.
"""

import base64
import contextlib
import http.client
import http.server
import json
import os
import platform
import signal
import socket
import subprocess
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
TICK_S = 1 / os.sysconf("SC_CLK_TCK")


class BenchError(Exception):
    """Something did not go as it must for a measurement to count."""


def program(name: str, **options: object) -> dict:
    """Runs one of bench/*.c to its end; its one line of JSON."""
    words = [str(BUILD / f"bench-{name}")]
    for option, value in options.items():
        words += ["--" + option.replace("_", "-"), str(value)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BenchError(f"{' '.join(words)[:300]} ended with {done.returncode}: {done.stderr}{done.stdout}")
    return json.loads(done.stdout)


def instant(seconds: float) -> str:
    """RFC 3339 in UTC with milliseconds."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    """Punctual as it is released, with a store of its own in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.process: subprocess.Popen | None = None

    def start(self) -> float:
        """Seconds from exec to the first 200 of /health."""
        line = [str(BUILD / "punctual"), "serve", "--listen", f"127.0.0.1:{self.port}"]
        line += ["--store", str(self.folder / "punctual.db")]
        env = {**os.environ, "PUNCTUAL_SIGNING_SECRET": "whsec_" + base64.b64encode(os.urandom(32)).decode()}
        log = (self.folder / "server.log").open("ab")
        begin = time.monotonic()
        self.process = subprocess.Popen(
            line, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env, start_new_session=True
        )
        log.close()
        while time.monotonic() - begin < 120:
            with contextlib.suppress(OSError, http.client.HTTPException):
                if self.ask("GET", "/health")[0] == 200:
                    return time.monotonic() - begin
            if self.process.poll() is not None:
                break
            time.sleep(0.002)
        raise BenchError(f"the server did not start:\n{self.last_words()}")

    def last_words(self) -> str:
        return "".join((self.folder / "server.log").read_text(errors="replace").splitlines(True)[-10:])

    def stop(self, with_signal: int = signal.SIGTERM) -> None:
        if self.process is None:
            return
        self.process.send_signal(with_signal)
        try:
            code = self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise BenchError("the server did not stop within 60 s of SIGTERM") from None
        finally:
            self.process = None
        if with_signal == signal.SIGTERM and code != 0:
            raise BenchError(f"the server ended with {code}:\n{self.last_words()}")

    def __enter__(self) -> "Server":
        self.start()
        return self

    def __exit__(self, *problem: object) -> None:
        if problem[0] is None:
            self.stop()
        elif self.process:
            self.process.kill()
            self.process.wait()

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, dict]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            text = None if body is None else json.dumps(body)
            connection.request(method, path, text, {"Content-Type": "application/json"} if text else {})
            answer = connection.getresponse()
            content = answer.read()
            return answer.status, json.loads(content) if content else {}
        finally:
            connection.close()

    def create(self, runs: list[dict]) -> None:
        """In batches of 10,000, the most that one request may carry."""
        for start in range(0, len(runs), 10_000):
            status, answer = self.ask("POST", "/v1/runs/batch", runs[start : start + 10_000])
            if status not in (200, 201):
                raise BenchError(f"POST /v1/runs/batch answered {status}: {str(answer)[:500]}")

    def has(self, state: str) -> bool:
        status, answer = self.ask("GET", f"/v1/runs?state={state}&limit=1")
        if status != 200:
            raise BenchError(f"GET /v1/runs answered {status}: {str(answer)[:500]}")
        rows = next((value for value in answer.values() if isinstance(value, list)), [])
        return bool(rows)

    def cpu_s(self) -> float:
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) * TICK_S

    def cpu_fine_s(self) -> float:
        """In nanoseconds rather than ticks, but only of threads that still live."""
        tasks = Path(f"/proc/{self.pid}/task").glob("*/schedstat")
        return sum(int(path.read_text().split()[0]) for path in tasks) / 1e9

    def memory_mib(self) -> float:
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        raise BenchError("the server's memory cannot be read")

    def store_mib(self) -> float:
        return sum(p.stat().st_size for p in self.folder.glob("punctual.db*")) / (1 << 20)


class Sink:
    """bench-sink as a process."""

    def __init__(self, lateness: bool = False) -> None:
        words = [str(BUILD / "bench-sink")] + (["--lateness", "yes"] if lateness else [])
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, start_new_session=True)
        self.port = json.loads(self.process.stdout.readline())["port"]
        self.url = f"http://127.0.0.1:{self.port}/hook"

    def count(self) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("GET", "/")
            return json.loads(connection.getresponse().read())["count"]
        finally:
            connection.close()

    def report(self) -> dict:
        """What has come since the last report."""
        self.process.send_signal(signal.SIGUSR1)
        return json.loads(self.process.stdout.readline())

    def wait_for(self, count: int, within: float) -> None:
        end = time.monotonic() + within
        while (seen := self.count()) < count:
            if time.monotonic() > end:
                raise BenchError(f"only {seen} of {count} deliveries reached the sink within {within:g} s")
            time.sleep(0.02)

    def __enter__(self) -> "Sink":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait()


class Listener:
    """A slow receiver that remembers each arrival: (wall time, what Punctual-Scheduled-For says)."""

    def __init__(self) -> None:
        self.arrivals: list[tuple[float, float]] = []
        arrivals = self.arrivals

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                now = time.time()
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                planned = self.headers.get("Punctual-Scheduled-For", "")
                with contextlib.suppress(ValueError):
                    arrivals.append((now, datetime.fromisoformat(planned).timestamp()))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def one_off(url: str, at: float, number: int = 1) -> dict:
    return {"http": {"url": url}, "payload": {"n": number}, "run_at": instant(at)}


def revision() -> str:
    def git(*words: str) -> str:
        done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
        return done.stdout.strip()

    return (git("rev-parse", "--short=10", "HEAD") or "unknown") + (
        "-dirty" if git("status", "--porcelain", "--untracked-files=no") else ""
    )


def machine() -> dict:
    model = "unknown"
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    return {
        "cpu": model,
        "cores": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "load_before": round(os.getloadavg()[0], 2),
    }
