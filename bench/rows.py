"""The rows of the bench. Each measures us and its yardstick in turn, round by round, in one run.

Each row's function takes a Bench and answers a list of Row. Rates differ from machine to machine and from
minute to minute; ratios taken within one round do not, much.
"""

import contextlib
import json
import shutil
import signal
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from parts import BenchError, Listener, Server, Sink, one_off, program

FAR = 365 * 86400  # seconds ahead: never due while we measure


@dataclass
class Row:
    what: str
    unit: str
    ours: list[float]
    reach: str
    reached: bool
    yardstick: str = ""
    theirs: list[float] = field(default_factory=list)
    ratio: list[float] = field(default_factory=list)  # ours / theirs of the same round
    cpu_us: list[float] = field(default_factory=list)  # the server's, per operation
    their_cpu_us: list[float] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass
class Bench:
    folder: Path
    rounds: int
    seconds: int
    quick: bool
    perf: Path | None  # where profiles go

    @contextlib.contextmanager
    def server(self, name: str) -> Iterator[Server]:
        place = self.folder / name
        shutil.rmtree(place, ignore_errors=True)
        with Server(place) as server:
            yield server
        shutil.rmtree(place, ignore_errors=True)

    def disk_now(self) -> str:
        """What a sync costs at this moment: shared disks change from round to round."""
        sync = program("fdatasync", file=self.folder / "sync.tmp", count=100)
        return f"disk p50 {sync['p50_us']} us, p99 {sync['p99_us']} us"

    @contextlib.contextmanager
    def profile(self, server: Server, name: str) -> Iterator[None]:
        """With --perf: where the server's time goes meanwhile."""
        if not self.perf:
            yield
            return
        data = self.folder / "perf.data"
        words = ["perf", "record", "-q", "-F", "499", "-g", "-p", str(server.pid), "-o", str(data)]
        recorder = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            yield
        finally:
            recorder.send_signal(signal.SIGINT)
            recorder.wait()
        words = ["perf", "report", "-i", str(data), "--stdio", "--no-children", "-g", "none"]
        words += ["--sort", "comm,dso,symbol", "--percent-limit", "0.5"]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        self.perf.mkdir(parents=True, exist_ok=True)
        (self.perf / f"{name}.txt").write_text(done.stdout)
        data.unlink(missing_ok=True)


def ratio_row(what: str, unit: str, yardstick: str, reach: float) -> Row:
    return Row(what, unit, [], f">= {reach:.0%}", False, yardstick)


def judge_ratio(row: Row, reach: float) -> Row:
    row.ratio = [ours / theirs for ours, theirs in zip(row.ours, row.theirs, strict=True)]
    row.reached = statistics.median(row.ratio) >= reach
    return row


def loaded(server: Server, **options: object) -> tuple[float, float, dict]:
    """Requests per second and the server's CPU microseconds for each, under bench-load."""
    before = server.cpu_s()
    result = program("load", port=server.port, **options)
    rate = result["requests"] / result["seconds"]
    return rate, (server.cpu_s() - before) * 1e6 / max(result["requests"], 1), result


def create(bench: Bench) -> list[Row]:
    """One run per request, synced before the answer, against the same server's answers without storage."""
    rows = []
    body = json.dumps(one_off("http://127.0.0.1:9/hook", time.time() + FAR))
    post = {"method": "POST", "path": "/v1/runs", "body": body, "expect": 201}
    for connections in (64, 256):
        row = ratio_row(f"durable create, {connections} connections", "runs/s", "GET /health", 0.45)
        options = {"connections": connections, "seconds": bench.seconds}
        with bench.server("create") as server:
            program("load", port=server.port, connections=connections, seconds=1)
            program("load", port=server.port, connections=connections, seconds=1, **post)
            for number in range(bench.rounds):
                rate, cpu, _ = loaded(server, **options, path="/health")
                row.theirs.append(rate)
                row.their_cpu_us.append(cpu)
                with bench.profile(server, f"create-{connections}-{number}"):
                    rate, cpu, result = loaded(server, **options, **post)
                row.ours.append(rate)
                row.cpu_us.append(cpu)
                row.notes.append(f"p50 {result['p50_us']} us, p99 {result['p99_us']} us; {bench.disk_now()}")
        rows.append(judge_ratio(row, 0.45))
    return rows


def batch(bench: Bench) -> list[Row]:
    """100 runs per request, against a bare loop of batched SQLite inserts on the same disk."""
    row = ratio_row("batch create, 100 per request", "runs/s", "bare SQLite, 100 per transaction", 0.40)
    body = bench.folder / "batch.json"
    far = time.time() + FAR
    body.write_text(json.dumps([one_off("http://127.0.0.1:9/hook", far, n) for n in range(100)]))
    post = {"method": "POST", "path": "/v1/runs/batch", "body_file": body, "expect": 201}
    with bench.server("batch") as server:
        program("load", port=server.port, connections=16, seconds=1, **post)
        for number in range(bench.rounds):
            file = bench.folder / "bare.db"
            bare = program("bare_sqlite", file=file, batch=100, seconds=bench.seconds)
            for leftover in bench.folder.glob("bare.db*"):
                leftover.unlink()
            row.theirs.append(bare["rows"] / bare["seconds"])
            row.their_cpu_us.append(bare["cpu_s"] * 1e6 / bare["rows"])
            with bench.profile(server, f"batch-{number}"):
                rate, cpu, result = loaded(server, connections=16, seconds=bench.seconds, **post)
            row.ours.append(rate * 100)
            row.cpu_us.append(cpu / 100)
            row.notes.append(
                f"a batch: p50 {result['p50_us']} us, p99 {result['p99_us']} us; {bench.disk_now()}"
            )
    return [judge_ratio(row, 0.40)]


def wait_recorded(server: Server, within: float) -> None:
    """Until nothing is left that could still move."""
    end = time.monotonic() + within
    while any(server.has(state) for state in ("running", "due", "waiting", "scheduled")):
        if time.monotonic() > end:
            raise BenchError(f"runs were still open {within:g} s after the last delivery")
        time.sleep(0.005)
    if server.has("failed"):
        raise BenchError("a run has failed")


def webhooks(bench: Bench) -> list[Row]:
    """Runs due at one instant, delivered signed, all durable; from that instant to the last outcome."""
    row = ratio_row("webhooks delivered, outcome durable", "runs/s", "bare libcurl multi, 100 handles", 0.50)
    count = 5_000 if bench.quick else 20_000
    with Sink() as sink, bench.server("webhooks") as server:
        for number in range(bench.rounds):
            bare = program("bare_curl", url=sink.url, count=count, handles=100)
            sink.report()
            row.theirs.append(count / bare["seconds"])
            row.their_cpu_us.append(bare["cpu_s"] * 1e6 / count)
            due = round(time.time() + 3 + count / 10_000, 3)
            server.create([one_off(sink.url, due, n) for n in range(count)])
            if time.time() > due - 0.5:
                raise BenchError("creating the runs took so long that they were due before all were there")
            time.sleep(max(0.0, due - 0.2 - time.time()))
            before = server.cpu_s()
            with bench.profile(server, f"webhooks-{number}"):
                sink.wait_for(count, 120)
                wait_recorded(server, 60)
                recorded = time.time()
            report = sink.report()
            row.ours.append(count / (recorded - due))
            row.cpu_us.append((server.cpu_s() - before) * 1e6 / count)
            at_sink = (report["last_us"] - report["first_us"]) / 1e6
            row.notes.append(
                f"{count / at_sink:,.0f}/s between first and last arrival; "
                f"first {report['first_us'] / 1e3 - due * 1e3:.1f} ms after due; "
                f"{report['requests'] - count} delivered twice; {bench.disk_now()}"
            )
            if report["first_us"] < due * 1e6 - 1:
                raise BenchError("a run was delivered before it was due")
    return [judge_ratio(row, 0.50)]


def lateness(bench: Bench) -> list[Row]:
    """1,000 fires a second for 20 s, while 100,000 others wait."""
    row = Row("lateness p99 at 1,000 fires/s, 100k pending", "ms", [], "p99 <= 5 ms, none early", False)
    fires = 5_000 if bench.quick else 20_000
    early = 0
    with Sink(lateness=True) as sink, bench.server("lateness") as server:
        far = time.time() + FAR
        server.create([one_off(sink.url, far + n, n) for n in range(100_000)])
        for number in range(bench.rounds):
            start = int(time.time()) + 4 + fires / 10_000
            server.create([one_off(sink.url, start + n / 1000, n) for n in range(fires)])
            time.sleep(max(0.0, start - 0.2 - time.time()))
            before = server.cpu_s()
            with bench.profile(server, f"lateness-{number}"):
                time.sleep(max(0.0, start + fires / 1000 - time.time()))
                sink.wait_for(fires, 60)
            cpu = server.cpu_s() - before
            late = sink.report()["lateness"]
            if late["unread"] or late["count"] < fires:
                raise BenchError(f"deliveries without a readable Punctual-Scheduled-For: {late}")
            early += late["early"]
            row.ours.append(late["p99_us"] / 1000)
            row.cpu_us.append(cpu * 1e6 / fires)
            row.notes.append(
                f"p50 {late['p50_us'] / 1e3:.2f} ms, p99 {late['p99_us'] / 1e3:.2f} ms, "
                f"p99.9 {late['p999_us'] / 1e3:.2f} ms, max {late['max_us'] / 1e3:.2f} ms, "
                f"{late['early']} early"
            )
    row.reached = early == 0 and statistics.median(row.ours) <= 5
    return [row]


def fill(bench: Bench, server: Server, count: int) -> float:
    """Inserts `count` runs that are due far ahead; runs per second."""
    far = time.time() + FAR
    begin = time.monotonic()
    for start in range(0, count, 10_000):
        server.create([one_off("http://127.0.0.1:9/hook", far + n, n) for n in range(start, start + 10_000)])
    return count / (time.monotonic() - begin)


def restart(server: Server, listener: Listener) -> tuple[float, float]:
    """Kills the server, starts it again: seconds from exec to /health, and to the first run on time."""
    now = time.time()
    server.create([one_off(listener.url, now + 0.5 + n * 0.02, n) for n in range(500)])
    time.sleep(max(0.0, now + 0.5 - time.time()))
    server.stop(signal.SIGKILL)
    listener.arrivals.clear()
    executed = time.time()
    healthy = server.start()
    end = time.monotonic() + 12
    while time.monotonic() < end:
        on_time = [
            at for at, planned in list(listener.arrivals) if 0 <= at - planned <= 0.05 and planned > executed
        ]
        if on_time:
            time.sleep(1)
            return healthy, min(on_time) - executed
        time.sleep(0.01)
    raise BenchError("no run was on time within 12 s of the start")


def start(bench: Bench) -> list[Row]:
    """Start after kill -9, memory and idle CPU, all with a million runs waiting."""
    count = 100_000 if bench.quick else 1_000_000
    seconds = 5 if bench.quick else 20
    words = f"{count // 1000}k pending"
    health = Row(f"start to /health after kill -9, {words}", "s", [], "<= 2 s", False)
    fire = Row(f"start to the first on-time fire, {words}", "s", [], "<= 2 s", False)
    memory = Row(f"memory, {words}", "MiB", [], "", True)
    idle = Row(f"idle CPU over {seconds} s, {words}", "% of a core", [], "", True)
    listener = Listener()
    try:
        with bench.server("start") as server:
            rate = fill(bench, server, count)
            memory.notes.append(f"filled at {rate:,.0f} runs/s in batches of 10,000")
            for _ in range(bench.rounds):
                healthy, on_time = restart(server, listener)
                health.ours.append(healthy)
                fire.ours.append(on_time)
                memory.ours.append(server.memory_mib())
            time.sleep(11)  # until the last of the runs that restart() made
            memory.notes.append(f"the store takes {server.store_mib():,.0f} MiB")
            for _ in range(bench.rounds):
                before = server.cpu_fine_s()
                time.sleep(seconds)
                idle.ours.append((server.cpu_fine_s() - before) / seconds * 100)
    finally:
        listener.close()
    for row in (health, fire):
        row.reached = statistics.median(row.ours) <= 2
    return [health, fire, memory, idle]


def disk(bench: Bench) -> dict:
    return program("fdatasync", file=bench.folder / "sync.tmp", count=100 if bench.quick else 500)


OWN_ROWS: dict[str, Callable[[Bench], list[Row]]] = {
    "create": create,
    "batch": batch,
    "webhooks": webhooks,
    "lateness": lateness,
    "start": start,
}
