"""The chaos test: an app, queue workers and the server under load, and each of them killed again and again.

    python clients/python/tests/chaos/chaos.py --runs 10000 --seed 1
    python clients/python/tests/chaos/chaos.py --evidence FILE

4 uvicorn workers and 3 queue workers carry out runs that clients ask for, alone, in batches and through the
app, beside two schedules of one second. At random moments one process is killed (`kill -9`, by its id), or a
queue worker is stopped for longer than its lease. In the end nothing may be lost, and nothing may have been
done twice but where its outcome was unknown: decided from the logs of clients, app and workers and from the
server's record. Then bugs are planted in those logs, and each must be caught: a checker is trusted only after
it has caught seeded bugs.
"""

import argparse
import http.client
import json
import pickle
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "src"), str(HERE.parents[3] / "tests")]

import doctor
from evidence import TASKS, TICKS, Evidence, Run, by_run, executions_of
from load import Load
from promises import PROMISES
from world import World

from support.report import Report
from support.server import Server, binary
from support.waiting import wait_for
from support.words import all_of

SETTLE_S = 90.0
RUNS_FOR_EACH_BLOW = 200
FEWEST_BLOWS = 16
BLOWS = ["app"] * 7 + ["worker"] * 5 + ["server"] * 3 + ["pause"]  # a deck, shuffled again and again


# --- collecting ---


def collect(world: World, runs: int, seed: int) -> Evidence:
    """Loads and hits the processes, lets everything settle, and reads what is there."""
    seen = Evidence(blows=world.blows)
    world.start()
    load = Load(world.server.url, world.app_url, runs, seed)
    load.start()
    hit_again_and_again(world, load, runs, random.Random(seed))
    load.finish()
    seen.asks = load.asks
    settle(world.server)
    read_record(world.server, seen)
    return seen


def hit_again_and_again(world: World, load: Load, runs: int, chance: random.Random) -> None:
    """Between two blows a portion of the load is let go, so that each hits something under way."""
    blows = max(FEWEST_BLOWS, runs // RUNS_FOR_EACH_BLOW)
    portion = -(-runs // blows)
    deck: list[str] = []
    began = time.monotonic()
    for number in range(1, blows + 1):
        load.release(portion)
        load.wait((number - 2) * portion)
        time.sleep(chance.uniform(0.1, 0.8))
        if not deck:
            deck = chance.sample(BLOWS, len(BLOWS))
        world.blow(deck.pop(), chance)
        if number % 10 == 0 or number == blows:
            done = Counter(blow.what for blow in list(world.blows))
            took = time.monotonic() - began
            print(f"  {took:5.1f} s: {load.acknowledged} runs acknowledged, hit: {dict(done)}", flush=True)


def settle(server: Server) -> None:
    """No further ticks; waits until no run is live. A tick that is due stays so, for its task is paused."""
    for task in TICKS:
        answer = server.api.post(f"/v1/tasks/{task}/pause", json={"reason": "the load is over"})
        assert answer.is_success, answer.text

    def settled() -> bool:
        found = [
            (state, run["task"])
            for state in ("scheduled", "due", "running", "waiting")
            for run in server.api.get("/v1/runs", params={"state": state}).json()["runs"]
        ]
        return all(state == "due" and task in TICKS for state, task in found)

    try:
        wait_for(settled, "all runs are over", within=SETTLE_S, pause=0.2)
    except AssertionError as fault:
        print(f"  {fault}", flush=True)  # "nothing is lost" names them


def read_record(server: Server, seen: Evidence) -> None:
    listed = [run["id"] for run in all_of(server, "/v1/runs", "runs", limit=1000)]
    seen.listed_twice = [run for run, count in Counter(listed).items() if count > 1]
    quarters = [listed[start::4] for start in range(4)]
    with ThreadPoolExecutor(len(quarters)) as pool:
        for runs in pool.map(lambda ids: read_runs(server.port, ids), quarters):
            seen.runs |= {run["id"]: run for run in runs}
    for task in TASKS:
        seen.revisions[task] = len(server.api.get(f"/v1/tasks/{task}/revisions").json()["revisions"])


def read_runs(port: int, ids: list[str]) -> list[Run]:
    """With http.client, which is quick: there are ten thousand."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    found = []
    for run in ids:
        connection.request("GET", f"/v1/runs/{run}")
        answer = connection.getresponse()
        body = answer.read()
        assert answer.status == 200, body
        found.append(json.loads(body))
    connection.close()
    return found


def read_logs(folder: Path, seen: Evidence) -> None:
    """What app and workers wrote down, when they have ended."""
    lines: list[dict[str, Any]] = []
    for path in folder.glob("steps-*.log"):
        lines += [json.loads(line) for line in path.read_text().splitlines()]
    seen.executions = executions_of(lines)


# --- checking ---


def too_little(seen: Evidence, runs: int) -> Iterator[str]:
    """A run of this test that hit nothing proves nothing."""
    blows = Counter(blow.what for blow in seen.blows)
    outcomes = Counter(attempt["outcome"] for run in seen.runs.values() for attempt in run["attempts"])
    if len(seen.asks) < runs:
        yield f"{len(seen.asks)} runs were asked for, not {runs}"
    for what in ("app", "worker", "server", "pause"):
        if not blows[what]:
            yield f"no blow hit: {what}"
    if not any(ask.unknown for ask in seen.asks):
        yield "every ask was answered at its first try"
    if not any(one.how == "" for one in seen.executions):
        yield "no execution was cut off"
    for outcome in ("lost", "broken", "failed", "succeeded"):
        if not outcomes[outcome]:
            yield f"no attempt was ever {outcome}"


def audit(server: Server) -> list[str]:
    """What the server's own auditor finds in the store, which no process has."""
    done = server.cli("audit", "--store", str(server.store), "--json")
    if not done.stdout:
        return [done.stderr]
    found = json.loads(done.stdout)["differences"]
    return [f"{one['kind']} {one['task']} {one['run']} {one['at']}: {one['detail']}" for one in found]


def tell(seen: Evidence) -> None:
    outcomes = Counter(attempt["outcome"] for run in seen.runs.values() for attempt in run["attempts"])
    states = Counter(run["state"] for run in seen.runs.values())
    again = sum(bool(ask.unknown) for ask in seen.asks)
    executed = by_run(seen)
    unknown = sum(first.how != "raised" for executions in executed.values() for first in executions[:-1])
    twice = sum(sum(one.how == "done" for one in executions) > 1 for executions in executed.values())
    kinds = dict(Counter(ask.kind for ask in seen.asks))
    print(f"  asked for: {len(seen.asks)}, {kinds}; more than once: {again}")
    print(f"  runs: {dict(states)}; attempts: {dict(outcomes)}")
    print(f"  executions: {len(seen.executions)}; after an unknown outcome: {unknown}; done twice: {twice}")


def check_all(report: Report, seen: Evidence) -> None:
    for name, promise in PROMISES.items():
        report.check(name, list(promise(seen)))
    for name, fault in doctor.examine(seen):
        report.check(f"caught: {name}", [fault] if fault else [])


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=10_000, help="how many are asked for (default: 10000)")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="for the load and the blows")
    parser.add_argument("--binary", type=Path, default=None, help="default: $PUNCTUAL, else build/punctual")
    parser.add_argument("--evidence", type=Path, help="check this file of an earlier run; hit nothing")
    return parser.parse_args(arguments)


def replay(path: Path) -> int:
    """Checks the logs of an earlier run, a file of this program: never take a stranger's."""
    report = Report()
    seen = pickle.loads(path.read_bytes())
    tell(seen)
    check_all(report, seen)
    return report.conclude()


def main() -> int:
    options = parse()
    if options.evidence:
        return replay(options.evidence)
    program = (options.binary or binary()).resolve()
    if not program.exists():
        sys.exit(f"chaos: there is no server at {program}: build it, or name it with --binary or PUNCTUAL")
    folder = Path(tempfile.mkdtemp(prefix="punctual-chaos-"))
    print(f"chaos: {options.runs} runs on {program}, seed {options.seed}", flush=True)
    report = Report()
    world = World(folder, program)
    try:
        seen = collect(world, options.runs, options.seed)
        report.check("app, workers and server end in order", world.stop())
        read_logs(folder, seen)
        (folder / "evidence.pickle").write_bytes(pickle.dumps(seen))
        tell(seen)
        report.check("the load was real", list(too_little(seen, options.runs)))
        report.check("the auditor finds nothing", audit(world.server))
        check_all(report, seen)
    except AssertionError as fault:
        report.check("everything starts, serves and ends", [str(fault)])
    finally:
        world.end()
    return report.conclude(folder)


if __name__ == "__main__":
    sys.exit(main())
