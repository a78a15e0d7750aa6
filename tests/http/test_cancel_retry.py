"""Ending a run by hand, and running one again."""

import time
from typing import Any

import httpx

from support.receiver import Answer, Receiver
from support.server import Server
from support.waiting import wait_for
from support.words import (
    FAR,
    create_run,
    get_run,
    http_task,
    problem,
    put_task,
    quick_retry,
    wait_final,
    wait_state,
)


def cancel(server: Server, run: str) -> httpx.Response:
    return server.api.post(f"/v1/runs/{run}/cancel", json={"reason": "not wanted"})


def retry(server: Server, run: str) -> httpx.Response:
    return server.api.post(f"/v1/runs/{run}/retry", json={})


def test_a_scheduled_run_is_canceled_and_never_sent(server: Server, receiver: Receiver) -> None:
    run = create_run(server, {**http_task(receiver.url("/x")), "delay": "1500ms"})
    answer = cancel(server, run["id"])
    assert answer.status_code == 200, answer.text
    done = get_run(server, run["id"])
    assert done["state"] == "canceled"
    assert "not wanted" in done["reason"]
    assert done["finished_at"]
    time.sleep(2.5)
    assert receiver.at("/x") == []


def test_a_running_run_is_cut_off(server: Server, receiver: Receiver) -> None:
    receiver.script("/slow", Answer(hang=True))
    run = create_run(server, http_task(receiver.url("/slow"), timeout="60s", retry=quick_retry(5)))
    receiver.wait("/slow")
    assert cancel(server, run["id"]).status_code == 200
    done = wait_final(server, run["id"])
    assert done["state"] == "canceled"
    receiver.release()
    time.sleep(1.0)
    assert get_run(server, run["id"])["state"] == "canceled"
    assert len(receiver.at("/slow")) == 1


def test_an_attempt_that_was_cut_off_says_how_late_and_how_long_it_was(server: Server, receiver: Receiver) -> None:
    receiver.script("/slow", Answer(hang=True))
    run = create_run(server, http_task(receiver.url("/slow"), timeout="60s"))
    receiver.wait("/slow")
    time.sleep(0.3)
    assert cancel(server, run["id"]).status_code == 200

    def reported() -> dict[str, Any] | None:
        (attempt,) = get_run(server, run["id"])["attempts"]
        return attempt if attempt["response_time_ms"] is not None else None

    attempt = wait_for(reported, "its report is there")
    assert attempt["outcome"] == "canceled"
    assert attempt["lateness_ms"] is not None
    assert attempt["response_time_ms"] >= 300
    assert attempt["status"] is None


def test_a_waiting_run_is_not_tried_again(server: Server, receiver: Receiver) -> None:
    receiver.script("/bad", Answer(status=500))
    again = {"max_attempts": 5, "backoff": "fixed", "initial": "2s"}
    run = create_run(server, http_task(receiver.url("/bad"), retry=again))
    wait_state(server, run["id"], "waiting")
    assert cancel(server, run["id"]).status_code == 200
    assert get_run(server, run["id"])["state"] == "canceled"
    time.sleep(2.5)
    assert len(receiver.at("/bad")) == 1


def test_final_is_final(server: Server, receiver: Receiver) -> None:
    run = wait_final(server, create_run(server, http_task(receiver.url("/x")))["id"])
    refusal = problem(cancel(server, run["id"]), 409)
    assert refusal["detail"] == "the run is over already: succeeded is final"
    assert get_run(server, run["id"]) == run


def test_a_cancel_survives_a_crash(server: Server, receiver: Receiver) -> None:
    run = create_run(server, {**http_task(receiver.url("/x")), "delay": "2s"})
    assert cancel(server, run["id"]).status_code == 200
    server.kill()
    server.start()
    assert get_run(server, run["id"])["state"] == "canceled"
    time.sleep(2.5)
    assert receiver.at("/x") == []


def test_a_retry_is_a_new_run_linked_to_the_old(server: Server, receiver: Receiver) -> None:
    receiver.script("/flaky", Answer(status=500), Answer())
    put_task(server, "flaky", http_task(receiver.url("/flaky")))
    old = create_run(server, {"task": "flaky", "payload": {"n": 1}})
    assert wait_final(server, old["id"])["state"] == "failed"
    answer = retry(server, old["id"])
    assert answer.status_code == 201, answer.text
    new = wait_final(server, answer.json()["id"])
    assert new["id"] != old["id"]
    assert new["retry_of"] == old["id"]
    assert new["trigger"] == "retry"
    assert new["task"] == "flaky"
    assert new["payload"] == {"n": 1}
    assert new["state"] == "succeeded"
    assert get_run(server, old["id"])["state"] == "failed"
    first, second = receiver.at("/flaky")
    assert first.json() == second.json() == {"n": 1}
    assert first.run != second.run


def test_an_inline_run_can_be_retried(server: Server, receiver: Receiver) -> None:
    receiver.script("/flaky", Answer(status=500), Answer())
    old = wait_final(server, create_run(server, http_task(receiver.url("/flaky")))["id"])
    new = wait_final(server, retry(server, old["id"]).json()["id"])
    assert new["state"] == "succeeded"
    assert new["retry_of"] == old["id"]


def test_a_run_that_is_not_over_cannot_be_retried(server: Server) -> None:
    run = create_run(server, {**http_task("http://127.0.0.1:9/"), "delay": FAR})
    problem(retry(server, run["id"]), 409)


def test_what_is_not_there_is_404(server: Server) -> None:
    problem(cancel(server, "run_0000000000001"), 404)
    problem(retry(server, "run_0000000000001"), 404)
