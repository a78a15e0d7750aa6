"""What was due while the server was away: each is recorded, the latest runs, the next one fires."""

import time
from typing import Any

import pytest

from support.receiver import Receiver
from support.server import Server
from support.waiting import instant, wait_for
from support.words import all_runs, http_task, put_task

AWAY_S = 4.0


def runs_of(server: Server, task: str) -> dict[int, list[dict[str, Any]]]:
    """The runs of each whole second."""
    found: dict[int, list[dict[str, Any]]] = {}
    for run in all_runs(server, task=task):
        found.setdefault(int(instant(run["scheduled_for"])), []).append(run)
    return found


def newer_than(server: Server, task: str, second: float) -> bool:
    return any(
        run["state"] == "succeeded" and instant(run["scheduled_for"]) > second for run in all_runs(server, task=task)
    )


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_every_occurrence_of_an_outage_is_recorded(server: Server, receiver: Receiver, how: str) -> None:
    put_task(server, "tick", http_task(receiver.url("/tick"), schedule={"every": "1s"}))
    receiver.wait("/tick", 2)
    getattr(server, how)()
    down = time.time()
    time.sleep(AWAY_S)
    up = time.time()
    server.start()
    back = time.time()
    wait_for(lambda: newer_than(server, "tick", back), "the next future occurrence fires")

    found = runs_of(server, "tick")
    seconds = sorted(found)
    assert seconds == list(range(seconds[0], seconds[-1] + 1)), "an occurrence without a record"
    assert all(len(runs) == 1 for runs in found.values()), "an occurrence with two"

    # Certainly due while it was away, and so certainly missed or the latest.
    away = [found[second][0] for second in seconds if down + 0.1 < second < up]
    assert len(away) >= 3
    *missed, latest = away
    for run in missed:
        assert run["state"] == "missed", run
        assert run["reason"], run
        assert run["attempts"] == [] if "attempts" in run else True
    sent = {request.run for request in receiver.at("/tick")}
    assert not sent & {run["id"] for run in missed}
    # The second in which it came back may have overtaken the last one of the outage.
    ran = [found[second][0] for second in seconds if up - 1.1 < second < back + 1]
    assert any(run["state"] == "succeeded" for run in [latest, *ran])


def test_the_latest_of_an_outage_is_run_as_catch_up(server: Server, receiver: Receiver) -> None:
    put_task(server, "slow", http_task(receiver.url("/slow"), schedule={"every": "3s"}))
    receiver.wait("/slow")
    server.stop()
    down = time.time()
    time.sleep(7.0)
    server.start()
    wait_for(lambda: newer_than(server, "slow", time.time() - 3.0) or None, "it fires again")
    runs = sorted(all_runs(server, task="slow"), key=lambda run: run["scheduled_for"])
    away = [run for run in runs if down < instant(run["scheduled_for"]) < down + 6.5]
    assert len(away) >= 2
    assert [run["state"] for run in away[:-1]] == ["missed"] * (len(away) - 1)
    caught = wait_for(
        lambda: [run for run in all_runs(server, task="slow", state="succeeded") if run["trigger"] == "catch_up"],
        "a run by catch_up",
    )
    assert len(caught) == 1
    assert caught[0]["id"] in {request.run for request in receiver.at("/slow")}


def test_a_one_off_that_fell_into_an_outage_is_run(server: Server, receiver: Receiver) -> None:
    run = server.api.post("/v1/runs", json={**http_task(receiver.url("/once")), "delay": "500ms"}).json()
    server.kill()
    time.sleep(1.5)
    server.start()
    (request,) = receiver.wait("/once")
    assert request.run == run["id"]


def test_two_restarts_add_no_second_record(server: Server, receiver: Receiver) -> None:
    put_task(server, "tick", http_task(receiver.url("/tick"), schedule={"every": "1s"}))
    receiver.wait("/tick")
    for _ in range(3):
        server.kill()
        time.sleep(1.2)
        server.start()
    back = time.time()
    wait_for(lambda: newer_than(server, "tick", back), "it fires again")
    found = runs_of(server, "tick")
    seconds = sorted(found)
    assert seconds == list(range(seconds[0], seconds[-1] + 1))
    assert all(len(runs) == 1 for runs in found.values())
