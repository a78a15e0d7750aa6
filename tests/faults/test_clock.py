"""The process stands still, or the wall clock is set: nothing fires twice, and what was missed follows the rule."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from support.faketime import WallClock
from support.receiver import Answer, Receiver
from support.server import Factory, Server
from support.waiting import instant, wait_for
from support.words import all_runs, create_run, get_run, http_task, put_task, quick_retry, wait_final
from support.worker import Waiting, lease, lease_one, queue_task, say_one


@pytest.fixture
def clock(tmp_path: Path) -> WallClock:
    return WallClock(tmp_path)


@pytest.fixture
def clocked(clock: WallClock, server_factory: Factory) -> Server:
    return server_factory(env=clock.environment())


def occurrences(server: Server, task: str) -> list[dict[str, Any]]:
    return sorted(all_runs(server, task=task), key=lambda run: run["scheduled_for"])


def check_complete_and_single(server: Server, receiver: Receiver, task: str) -> list[dict[str, Any]]:
    """One record for each second from the first to the last, and no run delivered twice."""
    runs = occurrences(server, task)
    at = [instant(run["scheduled_for"]) for run in runs]
    assert len(set(at)) == len(at), "an occurrence has two runs"
    assert at == [at[0] + n for n in range(len(at))], "an occurrence has no record"
    for run in runs:
        delivered = [request for request in receiver.requests if request.run == run["id"]]
        expected = 0 if run["state"] in ("missed", "skipped") else 1
        if run["state"] in ("succeeded", "missed", "skipped"):
            assert len(delivered) == expected, run
        assert run["state"] not in ("missed", "skipped") or run["reason"], run
    return runs


def test_a_server_that_was_stopped_for_a_while_makes_up_by_the_rule(server: Server, receiver: Receiver) -> None:
    put_task(server, "tick", http_task(receiver.url("/tick"), schedule={"every": "1s"}))
    receiver.wait("/tick", 2)
    assert server.process is not None
    os.kill(server.process.pid, signal.SIGSTOP)
    time.sleep(13)  # longer than what counts as merely late
    os.kill(server.process.pid, signal.SIGCONT)
    woken = time.time()
    wait_for(lambda: [r for r in receiver.at("/tick") if r.time > woken + 2], "it fires again")
    runs = check_complete_and_single(server, receiver, "tick")
    assert [run for run in runs if run["state"] == "missed"], "nothing is recorded as missed"
    assert len([run for run in runs if run["trigger"] == "catch_up"]) <= 1


def test_an_attempt_that_was_under_way_meanwhile_is_not_made_twice(server: Server, receiver: Receiver) -> None:
    receiver.script("/slow", Answer(delay=2))
    run = create_run(server, http_task(receiver.url("/slow"), timeout="30s"))
    receiver.wait("/slow")
    assert server.process is not None
    os.kill(server.process.pid, signal.SIGSTOP)
    time.sleep(3)
    os.kill(server.process.pid, signal.SIGCONT)
    assert wait_final(server, run["id"])["state"] == "succeeded"
    assert len(receiver.at("/slow")) == 1


def test_a_lease_that_ended_while_the_server_stood_still_is_anothers(server: Server) -> None:
    run = create_run(server, queue_task(retry=quick_retry(3)))
    first = lease_one(server, lease="1s", worker="first")
    other = Waiting(server, wait="30s", lease="60s", worker="second")
    assert server.process is not None
    os.kill(server.process.pid, signal.SIGSTOP)
    time.sleep(2)
    os.kill(server.process.pid, signal.SIGCONT)
    (second,) = other.runs()
    assert (second["run"], second["attempt"]) == (run["id"], 2)
    assert second["fence"] > first["fence"]
    assert say_one(server, "complete", first, result="of the first")["status"] == 409
    assert say_one(server, "complete", second, result="of the second")["status"] == 200
    done = get_run(server, run["id"])
    assert [attempt["outcome"] for attempt in done["attempts"]] == ["lost", "succeeded"]
    assert done["result"] == "of the second"


WORKER = """
import json, sys, urllib.request
def call(path, body):
    kind = {"Content-Type": "application/json"}
    request = urllib.request.Request(sys.argv[1] + path, json.dumps(body).encode(), kind)
    return json.load(urllib.request.urlopen(request))
(run,) = call("/v1/queues/emails/lease", {"wait": "10s", "lease": "1s", "worker": "first"})["runs"]
print(json.dumps(run), flush=True)
sys.stdin.readline()
row = {"run": run["run"], "fence": run["fence"], "result": "of the first"}
print(json.dumps(call("/v1/leases/complete", {"leases": [row]})), flush=True)
"""


def test_a_worker_that_stood_still_beyond_its_lease_overwrites_nothing(server: Server) -> None:
    run = create_run(server, queue_task(retry=quick_retry(3)))
    line = [sys.executable, "-c", WORKER, server.url]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdin is not None
        assert worker.stdout is not None
        first = json.loads(worker.stdout.readline())
        os.kill(worker.pid, signal.SIGSTOP)
        worker.stdin.write("go on\n")  # it would now say that it is done
        worker.stdin.flush()
        second = lease_one(server, wait="30s", lease="60s", worker="second")
        assert second["run"] == first["run"] == run["id"]
        assert say_one(server, "complete", second, result="of the second")["status"] == 200
        os.kill(worker.pid, signal.SIGCONT)
        (answer,) = json.loads(worker.stdout.readline())["leases"]
    assert answer["status"] == 409
    assert "repeated" not in answer
    done = get_run(server, run["id"])
    assert done["result"] == "of the second"
    assert [(attempt["node"], attempt["outcome"]) for attempt in done["attempts"]] == [
        ("first", "lost"),
        ("second", "succeeded"),
    ]


def test_a_clock_set_forward_fires_nothing_twice(clocked: Server, clock: WallClock, receiver: Receiver) -> None:
    put_task(clocked, "tick", http_task(receiver.url("/tick"), schedule={"every": "1s"}))
    receiver.wait("/tick", 2)
    clock.set(600)
    before = len(receiver.at("/tick"))
    receiver.wait("/tick", before + 3)
    runs = check_complete_and_single(clocked, receiver, "tick")
    missed = [run for run in runs if run["state"] == "missed"]
    assert 550 < len(missed) < 601
    (step,) = clocked.log_events("clock_step")
    assert "forward by 600" in step["message"] or "forward by 599" in step["message"]


def test_a_clock_set_back_fires_nothing_twice(clocked: Server, clock: WallClock, receiver: Receiver) -> None:
    put_task(clocked, "tick", http_task(receiver.url("/tick"), schedule={"every": "1s"}))
    receiver.wait("/tick", 3)
    clock.set(-5)
    wait_for(lambda: clocked.log_events("clock_step"), "the step is noticed")
    seen = len(receiver.at("/tick"))
    receiver.wait("/tick", seen + 2)  # once the clock has come round again
    check_complete_and_single(clocked, receiver, "tick")
    assert "back by" in clocked.log_events("clock_step")[0]["message"]


def test_no_step_of_the_clock_stretches_or_cuts_a_timeout(
    clocked: Server, clock: WallClock, receiver: Receiver
) -> None:
    for offset, path in ((3600, "/forward"), (-3600, "/back")):
        receiver.script(path, Answer(hang=True))
        run = create_run(clocked, http_task(receiver.url(path), timeout="3s"))
        receiver.wait(path)
        began = time.monotonic()
        clock.set(offset)
        wait_for(lambda run=run: get_run(clocked, run["id"])["state"] == "failed", "it has timed out")
        assert 1.5 < time.monotonic() - began < 10
        attempt = get_run(clocked, run["id"])["attempts"][0]
        assert attempt["outcome"] == "timed_out"
        assert 2900 <= attempt["response_time_ms"] < 10_000


@pytest.mark.parametrize("offset", [3600, -3600])
def test_no_step_of_the_clock_shortens_or_stretches_a_lease(clocked: Server, clock: WallClock, offset: int) -> None:
    for _ in range(2):
        create_run(clocked, queue_task(retry=quick_retry(3)))
    long = lease_one(clocked, lease="60s")
    short = lease_one(clocked, lease="4s")
    began = time.monotonic()
    clock.set(offset)
    wait_for(lambda: clocked.log_events("clock_step"), "the step is noticed")
    assert lease(clocked) == [], "a lease that lasts was ended"
    again = lease_one(clocked, wait="30s", lease="60s")
    assert again["run"] == short["run"]
    assert 3 < time.monotonic() - began < 10
    assert say_one(clocked, "heartbeat", long)["status"] == 200
    assert say_one(clocked, "complete", long)["status"] == 200
    (attempt,) = get_run(clocked, long["run"])["attempts"]
    assert attempt["outcome"] == "succeeded"
