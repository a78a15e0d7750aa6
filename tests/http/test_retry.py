"""What is tried again, when, and what is not."""

import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from support.receiver import Answer, Receiver
from support.server import Server
from support.waiting import instant, timestamp
from support.words import create_run, get_task, http_task, put_task, quick_retry, wait_final, wait_state

TURN_S = 3.0  # how long after the answer a busy machine may decide


def first_wait(server: Server, receiver: Receiver, retry: dict[str, Any], answer: Answer | None = None) -> float:
    """How long the server means to wait after the first attempt: due_at while waiting, minus its end."""
    receiver.script("/bad", answer or Answer(status=500))
    run = create_run(server, http_task(receiver.url("/bad"), retry=retry))
    waiting = wait_state(server, run["id"], "waiting")
    (attempt,) = waiting["attempts"]
    ended = instant(attempt["started_at"]) + attempt["response_time_ms"] / 1000
    return instant(waiting["due_at"]) - ended


def within(wait: float, half: float, full: float) -> bool:
    return half - 0.005 <= wait <= full + TURN_S


def test_a_failure_waits_and_is_tried_again(server: Server, receiver: Receiver) -> None:
    receiver.script("/flaky", Answer(status=500), Answer(status=502), Answer())
    run = create_run(server, http_task(receiver.url("/flaky"), retry=quick_retry(5)))
    done = wait_final(server, run["id"])
    assert done["state"] == "succeeded"
    assert [attempt["outcome"] for attempt in done["attempts"]] == ["failed", "failed", "succeeded"]
    assert [request.attempt for request in receiver.at("/flaky")] == [1, 2, 3]
    assert {request.run for request in receiver.at("/flaky")} == {run["id"]}


def test_after_the_last_attempt_it_has_failed(server: Server, receiver: Receiver) -> None:
    receiver.script("/bad", Answer(status=500))
    run = create_run(server, http_task(receiver.url("/bad"), retry=quick_retry(3)))
    done = wait_final(server, run["id"])
    assert done["state"] == "failed"
    time.sleep(1.0)
    assert len(receiver.at("/bad")) == 3


@pytest.mark.parametrize(
    ("retry", "half", "full"),
    [
        ({"max_attempts": 3, "backoff": "fixed", "initial": "60s"}, 30, 60),
        ({"max_attempts": 3, "backoff": "linear", "initial": "60s"}, 30, 60),
        ({"max_attempts": 3, "backoff": "exponential", "initial": "60s"}, 30, 60),
        ({"max_attempts": 3, "backoff": "exponential", "initial": "10s", "max": "10s"}, 5, 10),
    ],
)
def test_the_wait_lies_within_its_bounds(
    server: Server, receiver: Receiver, retry: dict[str, Any], half: float, full: float
) -> None:
    assert within(first_wait(server, receiver, retry), half, full)


@pytest.mark.parametrize(("backoff", "factor"), [("fixed", 1), ("linear", 3), ("exponential", 4)])
def test_the_third_wait_grows_as_it_is_said(server: Server, receiver: Receiver, backoff: str, factor: int) -> None:
    receiver.script("/bad", Answer(status=500))
    retry = {"max_attempts": 4, "backoff": backoff, "initial": "400ms"}
    run = create_run(server, http_task(receiver.url("/bad"), retry=retry))
    assert wait_final(server, run["id"])["state"] == "failed"
    third, fourth = receiver.at("/bad")[2:4]
    assert third.answered is not None
    assert fourth.time - third.answered >= 0.2 * factor - 0.005


def test_the_wait_is_drawn_by_chance(server: Server, receiver: Receiver) -> None:
    retry = {"max_attempts": 2, "backoff": "fixed", "initial": "10m"}
    waits = {round(first_wait(server, receiver, retry)) for _ in range(8)}
    assert len(waits) > 3
    assert all(within(wait, 300, 600) for wait in waits)


def test_retry_after_in_seconds_is_honoured(server: Server, receiver: Receiver) -> None:
    slow_down = Answer(status=429, headers={"Retry-After": "120"})
    assert first_wait(server, receiver, quick_retry(3), slow_down) >= 119


def test_retry_after_is_really_waited_for(server: Server, receiver: Receiver) -> None:
    receiver.script("/busy", Answer(status=503, headers={"Retry-After": "2"}), Answer())
    run = create_run(server, http_task(receiver.url("/busy"), retry=quick_retry(3)))
    assert wait_final(server, run["id"])["state"] == "succeeded"
    first, second = receiver.at("/busy")
    assert first.answered is not None
    assert second.time - first.answered >= 2.0 - 0.005


def test_retry_after_as_a_date_is_honoured(server: Server, receiver: Receiver) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=300), usegmt=True)
    slow_down = Answer(status=503, headers={"Retry-After": date})
    assert 250 <= first_wait(server, receiver, quick_retry(3), slow_down) <= 301


@pytest.mark.parametrize("value", ["99999999", "99999999999999999999999", "Fri, 31 Dec 2199 23:59:59 GMT"])
def test_retry_after_is_capped(server: Server, receiver: Receiver, value: str) -> None:
    slow_down = Answer(status=503, headers={"Retry-After": value})
    assert first_wait(server, receiver, quick_retry(3), slow_down) <= 86_400 + TURN_S


@pytest.mark.parametrize("value", ["-5", "soon", "", "Wed, 21 Oct 2015 07:28:00 GMT", "1e9"])
def test_a_useless_retry_after_is_ignored(server: Server, receiver: Receiver, value: str) -> None:
    slow_down = Answer(status=503, headers={"Retry-After": value})
    assert first_wait(server, receiver, {**quick_retry(3), "initial": "20s", "max": "20s"}, slow_down) <= 20 + TURN_S


def test_410_pauses_the_task_and_is_not_tried_again(server: Server, receiver: Receiver) -> None:
    receiver.script("/gone", Answer(status=410))
    put_task(server, "gone", http_task(receiver.url("/gone"), retry=quick_retry(5)))
    run = create_run(server, {"task": "gone"})
    assert wait_final(server, run["id"])["state"] == "failed"
    paused = get_task(server, "gone")["paused"]
    assert paused is not None
    assert "410" in paused["reason"]
    time.sleep(1.0)
    assert len(receiver.at("/gone")) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 304, 307, 308])
def test_a_redirect_is_a_failure_and_not_followed(server: Server, receiver: Receiver, status: int) -> None:
    body = b"" if status == 304 else b"{}"
    receiver.script("/old", Answer(status=status, headers={"Location": receiver.url("/new")}, body=body))
    run = create_run(server, http_task(receiver.url("/old")))
    done = wait_final(server, run["id"])
    assert done["state"] == "failed"
    assert done["attempts"][0]["outcome"] == "failed"
    assert done["attempts"][0]["status"] == status
    assert receiver.at("/new") == []


def test_a_timeout_is_an_attempt_of_its_own_kind(server: Server, receiver: Receiver) -> None:
    receiver.script("/slow", Answer(hang=True))
    started = time.time()
    run = create_run(server, http_task(receiver.url("/slow"), timeout="700ms"))
    done = wait_final(server, run["id"])
    assert time.time() - started >= 0.7
    (attempt,) = done["attempts"]
    assert done["state"] == "failed"
    assert attempt["outcome"] == "timed_out"
    assert attempt["status"] is None
    assert attempt["error"]


def test_an_endpoint_that_is_not_there_is_unreachable(server: Server) -> None:
    run = create_run(server, http_task("http://127.0.0.1:1/", retry=quick_retry(2)))
    done = wait_final(server, run["id"])
    assert done["state"] == "failed"
    assert [attempt["outcome"] for attempt in done["attempts"]] == ["unreachable", "unreachable"]
    assert all(attempt["status"] is None and attempt["error"] for attempt in done["attempts"])


def test_a_host_without_an_address_is_unreachable(server: Server) -> None:
    run = create_run(server, http_task("http://no-such-host.invalid/"))
    done = wait_final(server, run["id"])
    assert done["attempts"][0]["outcome"] == "unreachable"


def test_a_reset_is_a_broken_attempt_and_one_delivery(server: Server, receiver: Receiver) -> None:
    # The first delivery warms the connection: a client library may silently send a second time on an
    # old connection that breaks, and then the receiver sees one attempt twice.
    receiver.script("/cut", Answer(), Answer(reset=True))
    warm = create_run(server, http_task(receiver.url("/cut")))
    wait_final(server, warm["id"])
    run = create_run(server, http_task(receiver.url("/cut")))
    done = wait_final(server, run["id"])
    assert done["state"] == "failed"
    assert [attempt["outcome"] for attempt in done["attempts"]] == ["broken"]
    assert len([request for request in receiver.at("/cut") if request.run == run["id"]]) == 1


def test_the_attempt_under_way_at_a_crash_counts(server: Server, receiver: Receiver) -> None:
    receiver.script("/slow", Answer(hang=True), Answer())
    run = create_run(server, http_task(receiver.url("/slow"), timeout="60s", retry=quick_retry(3)))
    receiver.wait("/slow")
    server.kill()
    server.start()
    done = wait_final(server, run["id"])
    assert done["state"] == "succeeded"
    assert [attempt["outcome"] for attempt in done["attempts"]] == ["lost", "succeeded"]
    first, second = receiver.at("/slow")
    assert (first.attempt, second.attempt) == (1, 2)
    assert second.fence > first.fence
    assert first.run == second.run


def test_a_crash_in_the_last_attempt_is_a_failure(server: Server, receiver: Receiver) -> None:
    receiver.script("/slow", Answer(hang=True))
    run = create_run(server, http_task(receiver.url("/slow"), timeout="60s"))
    receiver.wait("/slow")
    server.kill()
    server.start()
    done = wait_final(server, run["id"])
    assert done["state"] == "failed"
    assert [attempt["outcome"] for attempt in done["attempts"]] == ["lost"]
    assert len(receiver.at("/slow")) == 1


def test_a_waiting_run_waits_on_over_a_restart(server: Server, receiver: Receiver) -> None:
    receiver.script("/bad", Answer(status=500), Answer())
    retry = {"max_attempts": 2, "backoff": "fixed", "initial": "3s"}
    run = create_run(server, http_task(receiver.url("/bad"), retry=retry))
    waiting = wait_state(server, run["id"], "waiting")
    server.stop()
    server.start()
    assert wait_final(server, run["id"])["state"] == "succeeded"
    second = receiver.at("/bad")[1]
    assert timestamp(second.time) >= waiting["due_at"]
