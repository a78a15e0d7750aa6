"""The process stands still, or the wall clock is set: nothing fires twice, and what was missed follows the rule."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from support.faketime import WallClock
from support.receiver import Answer, Receiver
from support.server import Factory, Server
from support.waiting import instant, wait_for
from support.words import all_runs, create_run, get_run, http_task, put_task, wait_final


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
