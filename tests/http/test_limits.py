"""Priorities, max_running, rate limits and endpoints that are down, as receivers see them."""

import json
import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest

from support.receiver import Answer, Receiver, Request
from support.server import Factory, Server
from support.waiting import instant, wait_for
from support.words import create_run, get_run, http_task, put_task, quick_retry, trigger, wait_final, wait_state

SLACK_S = 0.05  # from the start of an attempt to its arrival: two attempts may differ in it by so much


def batch(server: Server, wishes: list[dict[str, Any]]) -> list[str]:
    answer = server.api.post("/v1/runs/batch", json=wishes)
    assert answer.status_code == 201, answer.text
    return answer.json()["ids"]


def most_at_once(requests: list[Request]) -> int:
    """How many were open at the same time. An end counts before a beginning at the same instant."""
    moments = sorted([(r.time, 1) for r in requests] + [(r.answered, -1) for r in requests if r.answered])
    most = now = 0
    for _, step in moments:
        now += step
        most = max(most, now)
    return most


@pytest.fixture(name="other")
def other_receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.mark.parametrize("most", [1, 3])
def test_no_more_of_a_task_run_at_once_than_it_allows(server: Server, receiver: Receiver, most: int) -> None:
    receiver.script("/job", Answer(delay=0.05))
    put_task(server, "job", http_task(receiver.url("/job"), max_running=most))
    put_task(server, "free", http_task(receiver.url("/free")))
    runs = batch(server, [{"task": "job"}] * 12)
    trigger(server, "free")
    receiver.wait("/free")
    assert len(receiver.at("/job")) < 12, "another task of the endpoint does not wait for this one's limit"
    for run in runs:
        assert wait_final(server, run)["state"] == "succeeded"
    assert most_at_once(receiver.at("/job")) == most


def test_those_who_wait_for_a_limit_are_not_late(server: Server, receiver: Receiver) -> None:
    receiver.script("/job", Answer(hang=True))
    put_task(server, "job", http_task(receiver.url("/job"), max_running=1))
    batch(server, [{"task": "job"}] * 3)
    receiver.wait("/job")
    wait_for(lambda: "punctual_held_back 2" in server.api.get("/metrics").text, "two are held back")
    assert "punctual_lag_seconds 0\n" in server.api.get("/metrics").text
    assert server.api.get("/ready").status_code == 200


def test_the_most_urgent_of_those_who_wait_start_first(server: Server, receiver: Receiver) -> None:
    put_task(server, "job", http_task(receiver.url("/job"), max_running=1, priority=3))
    receiver.script("/job", Answer(delay=0.3), Answer())
    first = trigger(server, "job")
    assert first["priority"] == 3
    receiver.wait("/job")
    low = trigger(server, "job", {"priority": 0})
    plain = trigger(server, "job")
    high = create_run(server, {"task": "job", "priority": 9})
    assert [run["priority"] for run in (low, plain, high)] == [0, 3, 9]
    requests = receiver.wait("/job", 4)
    assert [r.headers["webhook-id"] for r in requests] == [run["id"] for run in (first, high, plain, low)]
    again = server.api.post(f"/v1/runs/{wait_final(server, high['id'])['id']}/retry", json={})
    assert again.json()["priority"] == 9, "a retry is as urgent as what it repeats"


def test_a_rate_limit_holds_in_every_window(server: Server, receiver: Receiver) -> None:
    put_task(server, "job", http_task(receiver.url("/job"), rate_limit={"limit": 3, "per": "500ms"}))
    batch(server, [{"task": "job"}] * 12)
    times = sorted(r.time for r in receiver.wait("/job", 12))
    assert all(times[i + 3] - times[i] > 0.5 - SLACK_S for i in range(len(times) - 3)), times


def test_tasks_and_single_runs_share_a_key(server: Server, receiver: Receiver, other: Receiver) -> None:
    limit = {"limit": 2, "per": "600ms", "key": "stripe"}
    put_task(server, "a", http_task(receiver.url("/a"), rate_limit=limit))
    put_task(server, "b", http_task(other.url("/b"), rate_limit=limit))
    single = {"http": {"url": receiver.url("/c")}, "rate_limit": limit}
    batch(server, [{"task": "a"}, {"task": "b"}, single] * 3)
    receiver.wait("/a", 3), other.wait("/b", 3), receiver.wait("/c", 3)
    times = sorted(r.time for r in receiver.requests + other.requests)
    assert all(times[i + 2] - times[i] > 0.6 - SLACK_S for i in range(len(times) - 2)), times


@pytest.mark.parametrize("how", ["kill", "stop"])
def test_a_rate_limit_holds_over_a_restart(server: Server, receiver: Receiver, how: str) -> None:
    put_task(server, "job", http_task(receiver.url("/job"), rate_limit={"limit": 2, "per": "4s"}))
    runs = batch(server, [{"task": "job"}] * 4)
    receiver.wait("/job", 2)
    wait_for(lambda: sum(get_run(server, r)["state"] == "succeeded" for r in runs) == 2, "two have succeeded")
    getattr(server, how)()
    server.start()
    times = sorted(r.time for r in receiver.wait("/job", 4))
    assert times[2] - times[0] > 4 - SLACK_S, times


def test_an_edit_of_the_limit_counts_at_once(server: Server, receiver: Receiver) -> None:
    put_task(server, "job", http_task(receiver.url("/job"), rate_limit={"limit": 1, "per": "24h"}))
    batch(server, [{"task": "job"}] * 3)
    receiver.wait("/job", 1)
    put_task(server, "job", http_task(receiver.url("/job"), rate_limit={"limit": 2, "per": "24h"}))
    receiver.wait("/job", 2)
    put_task(server, "job", http_task(receiver.url("/job")))
    receiver.wait("/job", 3)


BREAKER = "breaker: {failures: 3, open_for: 1s}\n"


def test_an_endpoint_that_is_down_gets_nothing_and_no_attempt_is_used_up(
    server_factory: Factory, receiver: Receiver, other: Receiver
) -> None:
    server = server_factory(config=BREAKER)
    down = {"up": False}
    receiver._decide = lambda request: Answer() if down["up"] else Answer(status=503)
    put_task(server, "job", http_task(receiver.url("/job")))
    put_task(server, "other", http_task(other.url("/other")))
    for _ in range(3):
        assert wait_final(server, trigger(server, "job")["id"])["state"] == "failed"
    endpoint = f'punctual_endpoint_open{{endpoint="http://127.0.0.1:{receiver.port}"}} 1'
    assert endpoint in server.api.get("/metrics").text
    waiting = batch(server, [{"task": "job"}] * 5)
    assert wait_final(server, trigger(server, "other")["id"])["state"] == "succeeded", "nobody else waits"
    assert len(receiver.requests) == 3
    assert {get_run(server, run)["attempt_count"] for run in waiting} == {0}
    why = get_run(server, waiting[0])["reason"]
    assert f"http://127.0.0.1:{receiver.port} is taken to be down" in why
    assert server.api.get("/ready").status_code == 200, "to wait by policy is not to be late"
    down["up"] = True
    for run in waiting:
        assert wait_final(server, run)["state"] == "succeeded"
    assert receiver.requests[3].time - receiver.requests[2].time > 1 - SLACK_S
    assert endpoint not in server.api.get("/metrics").text


def why_due(server: Server, run: str) -> str:
    return wait_state(server, run, "due")["reason"] or ""


def test_a_due_run_says_what_it_waits_for(server: Server, receiver: Receiver) -> None:
    receiver.script("/job", Answer(hang=True))
    put_task(server, "one", http_task(receiver.url("/job"), max_running=1))
    put_task(server, "queued", http_task(receiver.url("/job"), overlap="queue", max_running=1))
    put_task(server, "rated", http_task(receiver.url("/job"), rate_limit={"limit": 2, "per": "1h"}))
    put_task(server, "mail", {"queue": {"name": "emails"}})
    single = {**http_task(receiver.url("/job")), "rate_limit": {"limit": 1, "per": "1h", "key": "singles"}}
    one = batch(server, [{"task": "one"}] * 2)
    queued = batch(server, [{"task": "queued"}] * 2)
    rated = batch(server, [{"task": "rated"}] * 3)
    singles = batch(server, [single] * 2)
    mail = batch(server, [{"task": "mail"}, {"queue": {"name": "reports"}}])
    receiver.wait("/job", 5)
    assert why_due(server, one[1]) == "waits: max_running is 1, and as many of its task run"
    assert why_due(server, queued[1]) == f"waits: {queued[0]} of the same task has not ended, and overlap is queue"
    opens = re.fullmatch("waits: rate_limit lets nothing more start before (.*)", why_due(server, rated[2]))
    first = get_run(server, rated[0])["started_at"]
    assert opens
    assert instant(opens[1]) - instant(first) == pytest.approx(3600, abs=0.01)
    assert why_due(server, singles[1]).startswith("waits: rate_limit")
    assert why_due(server, mail[0]) == "waits: for a worker that takes it from the queue emails"
    assert why_due(server, mail[1]) == "waits: for a worker that takes it from the queue reports"
    assert server.api.post("/v1/tasks/one/pause", json={"reason": "moves"}).status_code == 200
    assert why_due(server, one[1]) == "waits: its task is paused"
    assert get_run(server, one[0])["reason"] is None, "one that runs waits for nothing"


def test_the_probe_is_one_and_waits_twice_as_long_after_a_failure(server_factory: Factory, receiver: Receiver) -> None:
    server = server_factory(config=BREAKER)
    receiver.script("/job", Answer(status=500))
    put_task(server, "job", http_task(receiver.url("/job"), retry=quick_retry(20)))
    runs = batch(server, [{"task": "job"}])
    times = [r.time for r in receiver.wait("/job", 5)]
    gaps = [b - a for a, b in pairwise(times)]
    assert gaps[2] > 1 - SLACK_S, gaps
    assert gaps[3] > 2 - SLACK_S, gaps
    assert wait_state(server, runs[0], "due", "waiting", "running")["attempt_count"] == 5


def test_opening_and_closing_are_events(server_factory: Factory, receiver: Receiver) -> None:
    server = server_factory(config=BREAKER)
    receiver.script("/job", *[Answer(status=500)] * 3, Answer())
    put_task(server, "job", http_task(receiver.url("/job")))
    for _ in range(4):
        trigger(server, "job")
    receiver.wait("/job", 4)
    name = f"http://127.0.0.1:{receiver.port}"
    seen: list[dict[str, Any]] = []
    with server.api.stream("GET", "/v1/events", headers={"Last-Event-ID": "0-0"}) as events:
        for line in events.iter_lines():
            if line.startswith("data:") and "endpoint." in line:
                seen.append(json.loads(line[5:]))
            if len(seen) == 2:
                break
    assert [(e["type"], e["endpoint"]) for e in seen] == [("endpoint.opened", name), ("endpoint.closed", name)]
    assert seen[0]["failures"] == 3


def test_the_breaker_can_be_switched_off(server_factory: Factory, receiver: Receiver) -> None:
    server = server_factory(config="breaker: {failures: 0}\n")
    receiver.script("/job", Answer(status=500))
    put_task(server, "job", http_task(receiver.url("/job")))
    for run in batch(server, [{"task": "job"}] * 15):
        assert wait_final(server, run)["state"] == "failed"


@pytest.mark.parametrize(
    ("path", "body", "pointer"),
    [
        ("/v1/runs", {"task": "job", "priority": 10}, "/priority"),
        ("/v1/runs", {"task": "job", "priority": "high"}, "/priority"),
        ("/v1/runs", {"task": "job", "max_running": 3}, "/max_running"),
        ("/v1/tasks/job/runs", {"priority": -1}, "/priority"),
        ("/v1/runs", {"http": {"url": "http://127.0.0.1:9"}, "max_running": 3}, "/max_running"),
        ("/v1/runs", {"http": {"url": "http://127.0.0.1:9"}, "rate_limit": {"limit": 1, "per": "1s"}}, "/rate_limit"),
        ("/v1/runs/batch", [{"task": "job"}, {"task": "job", "priority": 1.5}], "/1/priority"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_place(server: Server, path: str, body: Any, pointer: str) -> None:
    put_task(server, "job", http_task("http://127.0.0.1:9"))
    answer = server.api.post(path, json=body)
    assert answer.status_code == 400, answer.text
    assert pointer in [error["pointer"] for error in answer.json()["errors"]], answer.text


def test_the_command_line_triggers_with_a_priority(server: Server, receiver: Receiver) -> None:
    put_task(server, "job", http_task(receiver.url("/job")))
    done = server.cli("trigger", "job", "--priority", "8", "--json")
    assert done.returncode == 0, done.stderr
    assert '"priority":8' in done.stdout.replace(" ", "")
    bad = server.cli("trigger", "job", "--priority", "high")
    assert bad.returncode != 0
    assert "0 to 9" in bad.stderr
