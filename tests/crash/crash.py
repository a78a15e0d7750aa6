"""The crash test: load, kill -9 at random moments, restart, and hold what is left against the promises.

    python tests/crash/crash.py --kills 30 --seed 1
    python tests/crash/crash.py --self-test

The server is loaded with creates (some with idempotency keys), batches, cancels, retries and edits, while
a few tasks fire every second against a receiver that sometimes fails, hangs or resets. It is killed at
random moments and started again at once. In the end the promises are checked from what the clients were
answered, what the receiver saw, and what the API says. Then bugs are planted in those logs, and each must
be caught: a checker is trusted only after it has caught seeded bugs.

`kill -9` cannot show a missing fsync, for the page cache survives it.
"""

import argparse
import json
import pickle
import random
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parents[1])]

import doctor
import load
from evidence import OK, UNKNOWN, Evidence, Kill, Tick
from promises import PROMISES

from support.report import Report
from support.server import Server, binary
from support.waiting import wait_for
from support.words import all_of, all_runs, get_run, put_task

SETTLE_S = 60.0
SELF_TEST_KILLS = 8
CALM_EVERY, CALM_S = 8, 4.0  # kills, and seconds before such a one


# --- collecting ---


def collect(server: Server, kills: int, seed: int) -> Evidence:
    """Loads and kills the server, lets everything settle, and reads what is there."""
    seen = Evidence(max_attempts=load.MAX_ATTEMPTS, timeout=load.TIMEOUT_S, half_wait=load.WAIT_S / 2)
    moody = load.Moody(seed)
    server.start()
    server.listen = f"127.0.0.1:{server.port}"
    listener = load.Listener(server)
    listener.connect()
    make_ticks(server, moody, seen)
    clients = load.Load(server, moody.receiver, seen, seed)
    clients.start()
    kill_again_and_again(server, listener, seen, kills, random.Random(seed))
    clients.stop()
    settle(server)
    read_all(server, seen)
    seen.events = listener.close()
    server.stop()
    moody.receiver.close()
    seen.deliveries = [one for one in moody.deliveries() if one.time < seen.read_at]
    return seen


def make_ticks(server: Server, moody: load.Moody, seen: Evidence) -> None:
    for number in range(load.TICKS):
        name = f"tick-{number}"
        sent = time.time()
        put_task(server, name, load.tick_definition(moody.receiver.url("/work")))
        seen.ticks.append(Tick(name, sent, time.time()))


def kill_again_and_again(
    server: Server, listener: load.Listener, seen: Evidence, kills: int, chance: random.Random
) -> None:
    for number in range(1, kills + 1):
        time.sleep(chance.uniform(0.1, 2.0))
        if number % CALM_EVERY == 0:
            time.sleep(CALM_S)  # long enough for starts that must be on time again
        at = time.time()
        server.kill()
        dead = time.time()
        if number % 4 == 0:
            time.sleep(chance.uniform(1.0, 2.5))  # long enough for occurrences to be missed
        server.start()
        seen.kills.append(Kill(at, dead, time.time()))
        listener.connect()
        asked = Counter(ask.outcome for ask in list(seen.asks))
        print(f"  kill {number}/{kills}: back after {time.time() - at:.2f} s, {dict(asked)}", flush=True)
    time.sleep(1.0)


def settle(server: Server) -> None:
    """Waits until no run that a client asked for is live."""

    def settled() -> bool:
        live = [
            run["id"]
            for state in ("scheduled", "due", "running", "waiting")
            for run in all_runs(server, state=state)
            if run["task"] is None
        ]
        return not live

    try:
        wait_for(settled, "all runs are over", within=SETTLE_S, pause=0.5)
    except AssertionError as fault:
        print(f"  {fault}")  # P1 names them
    time.sleep(5.0)  # so that the last occurrences are well before the read


def read_all(server: Server, seen: Evidence) -> None:
    seen.read_at = time.time()
    listed = [run["id"] for run in all_runs(server)]
    seen.wrong_ids = [run for run, count in Counter(listed).items() if count > 1]
    seen.runs = {run: get_run(server, run) for run in listed}
    there = {task["name"]: task for task in all_of(server, "/v1/tasks", "tasks")}
    for name in {edit.task for edit in seen.edits} | there.keys():
        task = there.get(name)
        version = task["definition"]["payload"]["version"] if task else 0
        seen.tasks[name] = (version, task["paused"] is not None) if task else None


# --- checking ---


def integrity(store: Path) -> list[str]:
    connection = sqlite3.connect(f"{store.as_uri()}?mode=ro", uri=True)
    try:
        found = [row[0] for row in connection.execute("PRAGMA integrity_check")]
        found += [f"foreign key: {row}" for row in connection.execute("PRAGMA foreign_key_check")]
    finally:
        connection.close()
    return [] if found == ["ok"] else found


def audit(server: Server) -> list[str]:
    """What the server's own auditor finds in the store, which no process has."""
    done = server.cli("audit", "--store", str(server.store), "--json")
    if not done.stdout:
        return [done.stderr]
    found = json.loads(done.stdout)
    assert found["occurrences"] > 0, "the auditor had nothing to look at"
    return [f"{one['kind']} {one['task']} {one['run']} {one['at']}: {one['detail']}" for one in found["differences"]]


def too_little(seen: Evidence, kills: int) -> Iterator[str]:
    """A run of this test that hit nothing proves nothing."""
    outcomes = Counter(attempt["outcome"] for run in seen.runs.values() for attempt in run["attempts"])
    created = sum(len(ask.marks) for ask in seen.asks if ask.outcome == OK)
    if len(seen.kills) < kills:
        yield f"{len(seen.kills)} kills of {kills}"
    if created < 10 * kills:
        yield f"only {created} runs were asked for"
    if not any(run["state"] == "missed" for run in seen.runs.values()):
        yield "no occurrence was ever missed"
    if not any(ask.outcome == UNKNOWN for ask in seen.asks):
        yield "no request was ever cut off"
    for outcome in ("lost", "timed_out", "broken", "failed", "succeeded"):
        if not outcomes[outcome]:
            yield f"no attempt was ever {outcome}"


def tell(seen: Evidence) -> None:
    states = Counter(run["state"] for run in seen.runs.values())
    outcomes = Counter(attempt["outcome"] for run in seen.runs.values() for attempt in run["attempts"])
    asks = Counter(f"{ask.kind} {ask.outcome}" for ask in seen.asks)
    print(f"  asked: {dict(sorted(asks.items()))}")
    print(f"  edits: {dict(Counter(f'{edit.kind} {edit.outcome}' for edit in seen.edits))}")
    print(f"  runs: {dict(states)}")
    print(f"  attempts: {dict(outcomes)}, deliveries: {len(seen.deliveries)}, events: {len(seen.events)}")


def check_all(report: Report, seen: Evidence, server: Server, kills: int) -> None:
    report.check("the load was real", list(too_little(seen, kills)))
    report.check("the store is whole", integrity(server.store))
    report.check("the auditor finds nothing", audit(server))
    for name, promise in PROMISES.items():
        report.check(name, list(promise(seen)))
    for name, fault in doctor.examine(seen):
        report.check(f"caught: {name}", [fault] if fault else [])


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, help="how often to kill it (default: 30)")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="for the moments of the kills")
    parser.add_argument("--binary", type=Path, default=None, help="default: $PUNCTUAL, else build/punctual")
    parser.add_argument("--self-test", action="store_true", help=f"only {SELF_TEST_KILLS} kills, for the checker")
    parser.add_argument("--evidence", type=Path, help="check this file of an earlier run; kill nothing")
    return parser.parse_args(arguments)


def replay(path: Path) -> int:
    """Checks the logs of an earlier run once more. They are a file of this program: never take a stranger's."""
    report = Report()
    seen = pickle.loads(path.read_bytes())
    tell(seen)
    for name, promise in PROMISES.items():
        report.check(name, list(promise(seen)))
    for name, fault in doctor.examine(seen):
        report.check(f"caught: {name}", [fault] if fault else [])
    return report.conclude()


def main() -> int:
    options = parse()
    if options.evidence:
        return replay(options.evidence)
    kills = options.kills or (SELF_TEST_KILLS if options.self_test else 30)
    program = (options.binary or binary()).resolve()
    if not program.exists():
        sys.exit(f"crash: there is no server at {program}: build it, or name it with --binary or PUNCTUAL")
    folder = Path(tempfile.mkdtemp(prefix="punctual-crash-"))
    print(f"crash: {kills} kills of {program}, seed {options.seed}", flush=True)
    server = Server(folder, program=program)
    report = Report()
    try:
        seen = collect(server, kills, options.seed)
        (folder / "evidence.pickle").write_bytes(pickle.dumps(seen))
        tell(seen)
        check_all(report, seen, server, kills)
    except AssertionError as fault:
        report.check("the server stays up, starts again and stops with 0", [str(fault)])
    finally:
        if server.process is not None:
            server.process.kill()
            server.process.wait()
    return report.conclude(folder)


if __name__ == "__main__":
    sys.exit(main())
