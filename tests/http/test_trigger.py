"""A task run by hand."""

import time

from support.receiver import Receiver
from support.server import Server
from support.waiting import instant, timestamp
from support.words import FAR, get_run, http_task, problem, put_task, trigger, wait_final


def test_a_task_runs_now(server: Server, receiver: Receiver) -> None:
    put_task(server, "hand", http_task(receiver.url("/hand"), payload={"kind": "daily"}))
    run = trigger(server, "hand")
    assert run["task"] == "hand"
    assert run["trigger"] == "api"
    assert run["revision"] == 1
    assert wait_final(server, run["id"])["state"] == "succeeded"
    (request,) = receiver.at("/hand")
    assert request.json() == {"kind": "daily"}


def test_no_body_is_fine(server: Server, receiver: Receiver) -> None:
    put_task(server, "hand", http_task(receiver.url("/hand")))
    answer = server.api.post("/v1/tasks/hand/runs")
    assert answer.status_code == 201, answer.text
    receiver.wait("/hand")


def test_a_payload_of_the_request_replaces_the_one_of_the_task(server: Server, receiver: Receiver) -> None:
    put_task(server, "hand", http_task(receiver.url("/hand"), payload={"kind": "daily"}))
    run = trigger(server, "hand", {"payload": {"kind": "monthly"}})
    assert receiver.wait("/hand")[0].json() == {"kind": "monthly"}
    assert get_run(server, run["id"])["payload"] == {"kind": "monthly"}


def test_a_delay_is_waited_for(server: Server, receiver: Receiver) -> None:
    put_task(server, "hand", http_task(receiver.url("/hand")))
    asked = time.time()
    run = trigger(server, "hand", {"delay": "1s"})
    (request,) = receiver.wait("/hand")
    assert request.time >= asked + 1.0
    assert request.time >= instant(run["due_at"])


def test_run_at_is_kept(server: Server, receiver: Receiver) -> None:
    put_task(server, "hand", http_task(receiver.url("/hand")))
    at = timestamp(time.time() + 1.2)
    run = trigger(server, "hand", {"run_at": at})
    assert run["scheduled_for"] == at
    assert run["state"] == "scheduled"
    (request,) = receiver.wait("/hand")
    assert request.time >= instant(at)


def test_a_trigger_does_not_move_the_schedule(server: Server, receiver: Receiver) -> None:
    definition = http_task(receiver.url("/hand"), schedule={"every": "1h"})
    before = put_task(server, "hand", definition)["next"]
    trigger(server, "hand")
    receiver.wait("/hand")
    assert server.api.get("/v1/tasks/hand").json()["next"] == before


def test_triggering_what_is_not_there_is_404(server: Server) -> None:
    problem(server.api.post("/v1/tasks/nobody/runs", json={}), 404)


def test_delay_and_run_at_exclude_each_other(server: Server) -> None:
    put_task(server, "hand", http_task("http://127.0.0.1:9/"))
    both = {"delay": FAR, "run_at": timestamp(time.time() + 1000)}
    problem(server.api.post("/v1/tasks/hand/runs", json=both))
    problem(server.api.post("/v1/tasks/hand/runs", json={"dealy": "1s"}), pointer="/dealy")
    problem(server.api.post("/v1/tasks/hand/runs", json={"delay": "soon"}), pointer="/delay")
    problem(server.api.post("/v1/tasks/hand/runs", json={"run_at": "tomorrow"}), pointer="/run_at")
    assert server.api.get("/v1/runs").json()["runs"] == []
