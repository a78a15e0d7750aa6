"""Schedules that fire: aligned, never early, one run for each occurrence."""

import time
from typing import Any

from support.receiver import Receiver
from support.server import Server
from support.waiting import instant, timestamp, wait_for
from support.words import all_runs, http_task, put_task, trigger, wait_final


def occurrences(server: Server, task: str) -> list[dict[str, Any]]:
    """The runs that a schedule made, oldest first."""
    runs = [run for run in all_runs(server, task=task) if run["trigger"] in ("schedule", "catch_up")]
    return sorted(runs, key=lambda run: run["scheduled_for"])


def finished(server: Server, task: str, count: int) -> list[dict[str, Any]]:
    def enough() -> list[dict[str, Any]] | None:
        found = [run for run in occurrences(server, task) if run["state"] == "succeeded"]
        return found if len(found) >= count else None

    return wait_for(enough, f"{count} runs of {task}")


def test_every_second_fires_at_each_second_once(server: Server, receiver: Receiver) -> None:
    put_task(server, "tick", http_task(receiver.url("/tick"), schedule={"every": "1s"}))
    runs = finished(server, "tick", 4)
    nominal = [instant(run["scheduled_for"]) for run in runs]
    assert all(at == int(at) for at in nominal), "not aligned"
    assert nominal == [nominal[0] + step for step in range(len(nominal))], "a hole or a double"
    ids = {run["id"]: run for run in occurrences(server, "tick")}
    requests = [request for request in receiver.at("/tick") if request.run in ids]
    assert len({request.run for request in requests}) == len(requests)
    for request in requests:
        assert request.time >= instant(ids[request.run]["scheduled_for"]), "early"


def test_a_cron_with_seconds_fires(server: Server, receiver: Receiver) -> None:
    put_task(server, "even", http_task(receiver.url("/even"), schedule={"cron": "*/2 * * * * *"}))
    runs = finished(server, "even", 2)
    assert all(instant(run["scheduled_for"]) % 2 == 0 for run in runs)
    for request in receiver.at("/even"):
        assert request.time >= instant(request.headers["punctual-scheduled-for"])


def test_a_parts_of_a_second_schedule_is_kept(server: Server, receiver: Receiver) -> None:
    put_task(server, "fast", http_task(receiver.url("/fast"), schedule={"every": "1500ms"}))
    runs = finished(server, "fast", 3)
    assert all(round(instant(run["scheduled_for"]) * 1000) % 1500 == 0 for run in runs)


def test_at_fires_once(server: Server, receiver: Receiver) -> None:
    at = timestamp(time.time() + 1.5)
    put_task(server, "once", http_task(receiver.url("/once"), schedule={"at": at}))
    (run,) = finished(server, "once", 1)
    assert run["scheduled_for"] == at
    assert receiver.at("/once")[0].time >= instant(at)
    time.sleep(1.5)
    assert len(receiver.at("/once")) == 1
    assert server.api.get("/v1/tasks/once").json()["next"] == []


def test_jitter_only_ever_delays(server: Server, receiver: Receiver) -> None:
    schedule = {"every": "1s", "jitter": "900ms"}
    put_task(server, "spread", http_task(receiver.url("/spread"), schedule=schedule))
    runs = finished(server, "spread", 4)
    offsets = [instant(run["due_at"]) - instant(run["scheduled_for"]) for run in runs]
    assert all(0 <= offset < 0.9 for offset in offsets)
    assert len(set(offsets)) > 1
    due = {run["id"]: instant(run["due_at"]) for run in runs}
    for request in receiver.at("/spread"):
        if request.run in due:
            assert request.time >= due[request.run], "early"


def test_two_schedules_of_one_task_that_meet_make_one_run(server: Server, receiver: Receiver) -> None:
    schedule = [{"every": "1s"}, {"every": "2s"}]
    put_task(server, "both", http_task(receiver.url("/both"), schedule=schedule))
    finished(server, "both", 4)
    nominal = [run["scheduled_for"] for run in occurrences(server, "both")]
    assert len(nominal) == len(set(nominal))


def test_an_edit_fires_nothing_and_replays_nothing(server: Server, receiver: Receiver) -> None:
    put_task(server, "edited", http_task(receiver.url("/old"), schedule={"every": "1h"}))
    put_task(server, "edited", http_task(receiver.url("/new"), schedule={"every": "30m"}))
    put_task(server, "edited", http_task(receiver.url("/new"), schedule={"every": "20m"}, summary="x"))
    time.sleep(1.5)
    at_the_hour = {run["scheduled_for"] for run in occurrences(server, "edited") if run["state"] != "scheduled"}
    assert len(at_the_hour) <= 1, "an edit fired"
    assert len(receiver.requests) <= 1


def test_an_edit_of_the_target_holds_from_the_next_occurrence(server: Server, receiver: Receiver) -> None:
    put_task(server, "edited", http_task(receiver.url("/old"), schedule={"every": "1s"}))
    receiver.wait("/old", 2)
    put_task(server, "edited", http_task(receiver.url("/new"), schedule={"every": "1s"}))
    edited = time.time()
    receiver.wait("/new", 2)
    late = [request for request in receiver.at("/old") if request.time > edited + 1.5]
    assert late == []
    nominal = [run["scheduled_for"] for run in occurrences(server, "edited")]
    assert len(nominal) == len(set(nominal)), "an occurrence has two runs"


def test_a_deleted_task_fires_no_more(server: Server, receiver: Receiver) -> None:
    put_task(server, "tick", http_task(receiver.url("/tick"), schedule={"every": "1s"}))
    receiver.wait("/tick")
    started = set(server.api.delete("/v1/tasks/tick").json()["running"])
    at = time.time()
    time.sleep(2.5)
    assert {request.run for request in receiver.at("/tick") if request.time > at} <= started


def test_a_trigger_beside_a_schedule_is_a_run_of_its_own(server: Server, receiver: Receiver) -> None:
    put_task(server, "tick", http_task(receiver.url("/tick"), schedule={"every": "1s"}))
    receiver.wait("/tick")
    run = trigger(server, "tick")
    assert wait_final(server, run["id"])["trigger"] == "api"
    runs = finished(server, "tick", 3)
    nominal = [instant(one["scheduled_for"]) for one in runs]
    assert nominal == [nominal[0] + step for step in range(len(nominal))]
