"""Long work over HTTP: a 202 keeps the run open until the endpoint calls back."""

import time
from typing import Any

import httpx
import pytest

from support.receiver import Answer, Receiver
from support.server import Factory, Server
from support.waiting import instant, wait_for
from support.words import create_run, get_run, http_task, problem, put_task, quick_retry, wait_final

ACCEPTED = Answer(status=202, body=b'{"accepted": true}')


def long_task(url: str, **more: Any) -> dict[str, Any]:
    return http_task(url, **{"completion": "callback", "timeout": "60s", **more})


def call_back(server: Server, run: str, word: str = "complete", **body: Any) -> httpx.Response:
    return server.api.post(f"/v1/runs/{run}/{word}", json={"fence": 1, **body})


def open_run(server: Server, receiver: Receiver, **more: Any) -> str:
    """A run whose endpoint has answered 202, and whose server knows."""
    receiver.script("/long", ACCEPTED)
    run = create_run(server, long_task(receiver.url("/long"), **more))["id"]
    wait_for(lambda: call_back(server, run, "heartbeat", extend="1s").status_code == 200, "it is open")
    return run


def test_a_202_keeps_the_run_open_until_the_call_back(server: Server, receiver: Receiver) -> None:
    run = open_run(server, receiver)
    assert get_run(server, run)["state"] == "running"
    answer = call_back(server, run, result={"invoices": 812}, db_calls=7, cache="cold")
    assert answer.status_code == 200, answer.text
    assert answer.json()["state"] == "succeeded"
    done = get_run(server, run)
    assert done["result"] == {"invoices": 812}
    (attempt,) = done["attempts"]
    assert (attempt["outcome"], attempt["status"]) == ("succeeded", 202)
    assert (attempt["db_calls"], attempt["cache"]) == (7, "cold")
    (request,) = receiver.at("/long")
    assert (request.run, request.fence) == (run, 1)


def test_an_answer_at_once_is_as_good(server: Server, receiver: Receiver) -> None:
    run = create_run(server, long_task(receiver.url("/quick")))["id"]
    assert wait_final(server, run)["state"] == "succeeded"
    problem(call_back(server, run), 409)


def test_a_202_ends_a_run_that_waits_for_no_call_back(server: Server, receiver: Receiver) -> None:
    receiver.script("/x", ACCEPTED)
    run = create_run(server, http_task(receiver.url("/x")))["id"]
    assert wait_final(server, run)["state"] == "succeeded"


def test_a_failure_is_tried_again_with_a_new_fence(server: Server, receiver: Receiver) -> None:
    run = open_run(server, receiver, retry=quick_retry(3))
    assert call_back(server, run, error="the disk is full").status_code == 200
    receiver.wait("/long", 2)
    problem(call_back(server, run), 409)
    wait_for(lambda: call_back(server, run, "heartbeat", fence=2).status_code == 200, "it is open again")
    assert call_back(server, run, fence=2, error="no use", final=True).json()["state"] == "failed"
    done = get_run(server, run)
    assert [attempt["error"] for attempt in done["attempts"]] == ["the disk is full", "no use"]


def test_what_is_stale_or_twice_changes_nothing(server: Server, receiver: Receiver) -> None:
    run = open_run(server, receiver)
    problem(call_back(server, run, fence=2), 409)
    assert get_run(server, run)["state"] == "running"
    assert call_back(server, run, result=1).status_code == 200
    before = get_run(server, run)
    problem(call_back(server, run, result=2), 409)
    problem(call_back(server, run, error="late"), 409)
    problem(call_back(server, run, "heartbeat"), 409)
    assert get_run(server, run) == before
    problem(call_back(server, "run_0000000000001"), 404)
    problem(call_back(server, "nobody"), 404)


def test_no_call_back_in_time_is_a_time_out(server: Server, receiver: Receiver) -> None:
    receiver.script("/long", ACCEPTED)
    run = create_run(server, long_task(receiver.url("/long"), timeout="1s"))["id"]
    done = wait_final(server, run)
    assert done["state"] == "failed"
    (attempt,) = done["attempts"]
    assert attempt["outcome"] == "timed_out"
    assert "no call back" in attempt["error"]
    problem(call_back(server, run), 409)


def test_heartbeats_prolong(server: Server, receiver: Receiver) -> None:
    run = open_run(server, receiver, timeout="2s")
    answer = call_back(server, run, "heartbeat", extend="10m")
    assert answer.status_code == 200
    assert instant(answer.json()["lease_until"]) > time.time() + 500
    time.sleep(2.5)
    assert call_back(server, run).json()["state"] == "succeeded"


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_an_open_run_outlives_the_server(server: Server, receiver: Receiver, how: str) -> None:
    run = open_run(server, receiver)
    getattr(server, how)()
    server.start()
    assert get_run(server, run)["state"] == "running"
    assert call_back(server, run, result="done").json()["state"] == "succeeded"
    assert len(receiver.at("/long")) == 1


def test_a_call_back_may_come_before_the_202(server: Server, receiver: Receiver) -> None:
    receiver.script("/long", Answer(status=202, delay=1.0))
    run = create_run(server, long_task(receiver.url("/long")))["id"]
    receiver.wait("/long")
    assert call_back(server, run, result=5).json()["state"] == "succeeded"
    (request,) = receiver.at("/long")
    wait_for(lambda: request.answered, "the 202 is written")
    assert get_run(server, run)["result"] == 5


def test_a_result_must_be_as_expected(server: Server, receiver: Receiver) -> None:
    run = open_run(server, receiver, expect={"json": {"/ok": True}})
    assert call_back(server, run, result={"ok": False}).json()["state"] == "failed"


def test_a_canceled_run_is_not_open(server: Server, receiver: Receiver) -> None:
    run = open_run(server, receiver)
    assert server.api.post(f"/v1/runs/{run}/cancel", json={}).status_code == 200
    problem(call_back(server, run), 409)
    assert get_run(server, run)["state"] == "canceled"


def test_nobody_calls_back_about_another_run(server: Server, receiver: Receiver) -> None:
    receiver.script("/slow", Answer(hang=True))
    run = create_run(server, http_task(receiver.url("/slow")))["id"]
    receiver.wait("/slow")
    problem(call_back(server, run), 409)
    assert get_run(server, run)["state"] == "running"


@pytest.mark.parametrize(
    ("word", "body", "pointer"),
    [
        ("complete", {"fence": None}, "/fence"),
        ("complete", {"result": 1, "error": "x"}, "/result"),
        ("complete", {"final": True}, "/final"),
        ("complete", {"retry_after": "1s"}, "/retry_after"),
        ("complete", {"nonsense": 1}, "/nonsense"),
        ("heartbeat", {"extend": "2d"}, "/extend"),
        ("heartbeat", {"result": 1}, "/result"),
    ],
)
def test_a_call_back_that_makes_no_sense_is_refused(
    shared_server: Server, word: str, body: dict[str, Any], pointer: str
) -> None:
    problem(call_back(shared_server, "run_0000000000001", word, **body), 400, pointer=pointer)


def test_only_an_http_target_calls_back(server_factory: Factory) -> None:
    server = server_factory("--allow-commands")
    for target in ({"queue": {"name": "x"}}, {"command": ["true"]}):
        answer = server.api.put("/v1/tasks/x", json={**target, "completion": "callback"})
        problem(answer, 400, pointer="/completion")
    put_task(server, "x", {"http": {"url": "http://127.0.0.1:9/"}, "completion": "callback"})
