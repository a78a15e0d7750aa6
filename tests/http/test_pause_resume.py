"""Stop means stop."""

import time

from support.receiver import Answer, Receiver
from support.server import Server
from support.waiting import instant
from support.words import all_runs, create_run, get_task, http_task, problem, put_task, wait_state

QUIET_S = 2.5  # longer than two occurrences of every: 1s


def test_a_pause_says_who_when_and_why(server: Server) -> None:
    put_task(server, "loud", http_task("http://127.0.0.1:9/"))
    answer = server.api.post(
        "/v1/tasks/loud/pause",
        json={"reason": "the customer asked"},
        headers={"Punctual-Author": "ann@example.com"},
    )
    assert answer.status_code == 200, answer.text
    paused = answer.json()["paused"]
    assert paused["by"] == "ann@example.com"
    assert paused["reason"] == "the customer asked"
    instant(paused["at"])
    assert get_task(server, "loud")["paused"] == paused


def test_a_task_that_is_paused_already_keeps_its_first_reason(server: Server) -> None:
    put_task(server, "t", http_task("http://127.0.0.1:9/"))
    first = server.api.post("/v1/tasks/t/pause", json={"reason": "the database moves"}).json()
    again = server.api.post("/v1/tasks/t/pause", json={"reason": "another"})
    assert again.status_code == 200
    assert again.json()["paused"] == first["paused"]


def test_a_paused_task_does_not_fire_and_a_resumed_one_does(server: Server, receiver: Receiver) -> None:
    put_task(server, "loud", http_task(receiver.url("/loud"), schedule={"every": "1s"}))
    receiver.wait("/loud")
    answer = server.api.post("/v1/tasks/loud/pause", json={"reason": "quiet"})
    assert answer.status_code == 200
    at = time.time()
    started = set(answer.json()["running"])
    time.sleep(QUIET_S)
    after = {request.run for request in receiver.at("/loud") if request.time > at}
    assert after <= started, "it fired after the answer to the pause"

    assert server.api.post("/v1/tasks/loud/resume", json={}).status_code == 200
    assert get_task(server, "loud")["paused"] is None
    resumed = time.time()
    count = len(receiver.at("/loud"))
    receiver.wait("/loud", count + 1)
    replayed = [
        run
        for run in all_runs(server, task="loud")
        if at + 1.0 < instant(run["scheduled_for"]) < resumed - 1.0 and run["state"] == "succeeded"
    ]
    assert replayed == [], "what fell into the pause was run after all"


def test_runs_already_started_are_listed(server: Server, receiver: Receiver) -> None:
    receiver.script("/slow", Answer(hang=True))
    put_task(server, "slow", http_task(receiver.url("/slow"), timeout="60s"))
    run = create_run(server, {"task": "slow"})
    receiver.wait("/slow")
    answer = server.api.post("/v1/tasks/slow/pause", json={"reason": "x"})
    assert answer.json()["running"] == [run["id"]]
    receiver.release()
    wait_state(server, run["id"], "failed", "succeeded")


def test_a_pause_survives_a_crash(server: Server, receiver: Receiver) -> None:
    put_task(server, "loud", http_task(receiver.url("/loud"), schedule={"every": "1s"}))
    receiver.wait("/loud")
    server.api.post("/v1/tasks/loud/pause", json={"reason": "quiet"})
    server.kill()
    server.start()
    assert get_task(server, "loud")["paused"]["reason"] == "quiet"
    at = time.time()
    time.sleep(QUIET_S)
    late = [request for request in receiver.at("/loud") if request.time > at and request.attempt == 1]
    assert late == []


def test_an_edit_does_not_resume(server: Server) -> None:
    put_task(server, "loud", http_task("http://127.0.0.1:9/"))
    server.api.post("/v1/tasks/loud/pause", json={"reason": "quiet"})
    edited = put_task(server, "loud", http_task("http://127.0.0.1:9/", summary="new"))
    assert edited["paused"]["reason"] == "quiet"


def test_pausing_what_is_not_there_is_404(server: Server) -> None:
    problem(server.api.post("/v1/tasks/nobody/pause", json={"reason": "x"}), 404)
    problem(server.api.post("/v1/tasks/nobody/resume", json={}), 404)
