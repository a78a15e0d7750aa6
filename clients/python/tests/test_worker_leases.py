"""Leases under stress: long runs, dead workers, fences, killed servers, lost answers, and leaving."""

import signal
from pathlib import Path

import pytest
from breaking import BreakingWay
from test_worker_runs import Start, attempts, start
from worker_process import WorkerProcess

from punctual import Punctual
from support.server import Factory, Server
from support.waiting import wait_for
from support.words import create_run, get_run, wait_final, wait_state
from support.worker import lease_one, say_one

__all__ = ["start"]

ONCE = {"queue": {"name": "emails"}, "retry": {"max_attempts": 1}}
AGAIN = {"queue": {"name": "emails"}, "retry": {"max_attempts": 3, "initial": "1s"}}

NOTES_EACH = """
@worker.otherwise
async def work(run: Run, payload):
    note(run.id)
    await asyncio.sleep(payload or 0)
    return run.attempt
"""

WAITS_FOR_GO = """
@worker.otherwise
async def work(run: Run):
    note("began", run.id)
    while not os.path.exists("go"):
        await asyncio.sleep(0.02)
    note("ended", run.id)
    return run.attempt
"""


@pytest.mark.parametrize("kind", ["async", "plain"])
def test_heartbeats_keep_a_run_that_takes_longer_than_its_lease(
    server: Server, start: Start, kind: str
) -> None:
    sleep = "await asyncio.sleep(3)" if kind == "async" else "time.sleep(3)"
    word = "async def" if kind == "async" else "def"
    start(f"\n@worker.otherwise\n{word} work(run):\n    {sleep}\n    return run.attempt\n", "--lease", "1s")
    run = create_run(server, ONCE)
    assert wait_final(server, run["id"])["result"] == 1


def test_the_runs_of_a_worker_that_was_killed_go_to_another(server: Server, start: Start) -> None:
    run = create_run(server, AGAIN)
    first = start(WAITS_FOR_GO, "--lease", "1s", folder="first")
    first.wait_note(f"began {run['id']}")
    first.send(signal.SIGKILL)
    first.wait_exit()
    second = start(NOTES_EACH, folder="second")
    second.wait_note(run["id"])
    lost, done = attempts(server, run["id"])
    assert (lost["outcome"], done["outcome"]) == ("lost", "succeeded")
    assert done["fence"] > lost["fence"]


def test_a_worker_that_was_only_slow_drops_what_is_not_its_own_any_more(server: Server, start: Start) -> None:
    run = create_run(server, AGAIN)
    worker = start(WAITS_FOR_GO, "--lease", "1s", "--concurrency", "1")
    worker.wait_note(f"began {run['id']}")
    worker.send(signal.SIGSTOP)
    held = wait_for(lambda: lease_one(server), "the lease is over, and another has the run")
    assert held["run"] == run["id"]
    (worker.folder / "go").touch()
    worker.send(signal.SIGCONT)
    assert worker.wait_line("run_dropped")["fence"] < held["fence"]
    assert say_one(server, "complete", held, result="ours")["status"] == 200
    assert wait_final(server, run["id"])["result"] == "ours"


def test_an_async_function_is_canceled_when_its_run_is(server: Server, start: Start) -> None:
    run = create_run(server, ONCE)
    worker = start(
        """
@worker.otherwise
async def work():
    note("began")
    try:
        await asyncio.sleep(60)
    finally:
        note("canceled")
""",
        "--lease",
        "1s",
    )
    worker.wait_note("began")
    assert server.api.post(f"/v1/runs/{run['id']}/cancel", json={}).status_code == 200
    worker.wait_note("canceled")
    worker.wait_line("run_dropped")
    assert worker.stop() == 0


def restart(server: Server) -> None:
    """Killed, and started again at the same place."""
    server.listen = f"127.0.0.1:{server.port}"
    server.kill()
    server.start()


def test_a_server_that_is_killed_and_comes_back_costs_no_run_and_doubles_none(
    server: Server, start: Start
) -> None:
    with Punctual(server.url) as client:
        ids = client.create_runs([{**AGAIN, "payload": 0.01}] * 400)
        worker = start(NOTES_EACH, "--concurrency", "4", "--lease", "2s")
        for part in (100, 200, 300):
            wait_for(lambda part=part: len(worker.notes) >= part, f"{part} runs have begun")
            restart(server)
        more = client.create_runs([{**AGAIN, "payload": 0}] * 50)
    for run in ids + more:
        *lost, done = attempts(server, run)
        assert done["outcome"] == "succeeded"
        # Where the kill cut off the answer to a lease, nobody knew of it: it ended, and another attempt came.
        assert {attempt["outcome"] for attempt in lost} <= {"lost"}
    worker.wait_line("server_back")
    assert sorted(worker.notes) == sorted(ids + more)


def test_a_worker_may_start_before_its_server(server_factory: Factory, tmp_path: Path) -> None:
    server = server_factory()
    server.listen = f"127.0.0.1:{server.port}"
    server.stop()
    worker = WorkerProcess(tmp_path / "worker", server.url, NOTES_EACH)
    try:
        worker.wait_line("server_away")
        server.start()
        run = create_run(server, ONCE)
        assert wait_final(server, run["id"])["state"] == "succeeded"
    finally:
        worker.end()


def test_a_completion_whose_answer_was_lost_is_repeated_and_counts_once(server: Server, start: Start) -> None:
    with BreakingWay(server.port) as way, Punctual(server.url) as client:
        way.cut("POST /v1/leases/complete", times=2)
        worker = start(NOTES_EACH, url=way.url)
        ids = client.create_runs([ONCE] * 20)
        for run in ids:
            (attempt,) = attempts(server, run)
            assert attempt["outcome"] == "succeeded"
        wait_for(lambda: len(worker.lines("run_ended")) == 20, "each has its line, as succeeded")
        assert worker.stop() == 0
        assert way.cuts == 0
    assert worker.lines("run_dropped") == []
    assert sorted(worker.notes) == sorted(ids)


def test_a_network_that_is_gone_for_a_while_costs_no_run_and_doubles_none(
    server: Server, start: Start
) -> None:
    with BreakingWay(server.port) as way, Punctual(server.url) as client:
        worker = start(NOTES_EACH, "--concurrency", "4", "--lease", "3s", url=way.url)
        ids = client.create_runs([{**AGAIN, "payload": 0.02}] * 200)
        wait_for(lambda: len(worker.notes) >= 60, "some have begun")
        way.shut()
        worker.wait_line("server_away")
        way.open()
        for run in ids:
            *lost, done = attempts(server, run)
            assert done["outcome"] == "succeeded"
            assert {attempt["outcome"] for attempt in lost} <= {"lost"}
        assert worker.stop() == 0
    # A run may have been begun twice only where the first attempt is on record as lost.
    for run in ids:
        assert worker.notes.count(run) <= len(attempts(server, run))


# --- leaving ---


def test_a_worker_that_leaves_gives_back_what_has_not_begun_and_finishes_what_runs(
    server: Server, start: Start
) -> None:
    worker = start(
        """
@worker.otherwise
async def work(run: Run, payload):
    if payload == "fast":
        return
    note("began")
    while not os.path.exists("go"):
        await asyncio.sleep(0.02)
""",
        "--concurrency",
        "2",
        "--lease",
        "1h",
    )
    with Punctual(server.url) as client:
        # Fast ones first: then the worker takes runs ahead of time, and has some that have not begun.
        client.create_runs([{**ONCE, "payload": "fast", "priority": 9}] * 500 + [ONCE] * 60)
        worker.wait_note("began", count=2)
        wait_for(lambda: client.get_queue("emails").running > 2, "some are held that have not begun")
        worker.send(signal.SIGTERM)
        worker.wait_line("drain_began")
        wait_for(lambda: client.get_queue("emails").running == 2, "they are given back at once")
        held = lease_one(server)
        assert held["attempt"] == 1
        (worker.folder / "go").touch()
        assert worker.wait_exit() == 0
        assert worker.lines("worker_stopped")[0].get("left_behind") is None
        assert client.get_queue("emails").running == 1  # ours


def test_a_worker_that_leaves_while_it_waits_takes_no_run_along(server: Server, start: Start) -> None:
    workers = [start(NOTES_EACH, "--lease", "1h", folder=f"worker-{n}") for n in range(4)]
    with Punctual(server.url) as client:
        wait_for(lambda: client.get_queue("emails").waiting_workers == 4, "all wait")
        for worker in workers:
            worker.send(signal.SIGTERM)
            client.create_runs([ONCE] * 3)
        for worker in workers:
            assert worker.wait_exit() == 0
        queue = client.get_queue("emails")
        assert queue.running == 0
        done = sum(len(worker.notes) for worker in workers)
        assert queue.due == 12 - done


def test_what_is_not_over_within_the_limit_is_cut_off_and_tried_again(server: Server, start: Start) -> None:
    run = create_run(server, AGAIN)
    worker = start(WAITS_FOR_GO, "--drain", "200ms")
    worker.wait_note(f"began {run['id']}")
    assert worker.stop() == 0
    found = wait_state(server, run["id"], "waiting", "due")
    assert "its worker stopped, and it was not over within 200ms" in found["attempts"][0]["error"]


def test_a_thread_that_is_not_over_within_the_limit_is_left_to_its_lease(
    server: Server, start: Start
) -> None:
    run = create_run(server, AGAIN)
    worker = start(
        """
@worker.otherwise
def work(run: Run):
    note("began")
    time.sleep(60)
""",
        *("--drain", "200ms", "--lease", "2s"),
    )
    worker.wait_note("began")
    assert worker.stop() == 1
    assert worker.lines("worker_stopped")[0]["left_behind"] == 1
    lost = wait_state(server, run["id"], "waiting", "due")["attempts"][0]
    assert lost["outcome"] == "lost"


def test_the_second_signal_stops_at_once(server: Server, start: Start) -> None:
    run = create_run(server, AGAIN)
    worker = start(WAITS_FOR_GO, "--lease", "1h")
    worker.wait_note(f"began {run['id']}")
    worker.send(signal.SIGTERM)
    worker.wait_line("drain_began")
    worker.send(signal.SIGTERM)
    assert worker.wait_exit() == 128 + signal.SIGTERM
    assert get_run(server, run["id"])["state"] == "running"
