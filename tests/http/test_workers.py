"""Queues: workers take runs under leases, and tell what became of them."""

import contextlib
import socket
import threading
import time
from typing import Any

import httpx
import pytest

from support.server import Factory, Server
from support.waiting import instant, wait_for
from support.words import (
    FAR,
    all_runs,
    create_run,
    get_run,
    problem,
    put_task,
    quick_retry,
    trigger,
    wait_final,
    wait_state,
)
from support.worker import Waiting, lease, lease_one, queue_of, queue_task, say, say_one


def fake(held: dict[str, Any], **other: Any) -> dict[str, Any]:
    return {"run": held["run"], "fence": held["fence"], **other}


def test_a_worker_takes_a_run_and_completes_it(server: Server) -> None:
    put_task(server, "mail", queue_task(payload={"kind": "daily"}))
    run = trigger(server, "mail")
    held = lease_one(server, worker="mailer-7", lease="60s")
    assert held["run"] == run["id"]
    assert held["task"] == "mail"
    assert held["payload"] == {"kind": "daily"}
    assert (held["attempt"], held["fence"]) == (1, 1)
    assert get_run(server, run["id"])["state"] == "running"
    found = say_one(server, "complete", held, result={"sent": 3}, db_calls=2, db_time_ms=4.5, cache="warm")
    assert found == {"run": run["id"], "status": 200}
    done = get_run(server, run["id"])
    assert done["state"] == "succeeded"
    assert done["result"] == {"sent": 3}
    (attempt,) = done["attempts"]
    assert attempt["outcome"] == "succeeded"
    assert attempt["node"] == "mailer-7"
    assert (attempt["db_calls"], attempt["db_time_ms"], attempt["cache"]) == (2, 4.5, "warm")
    assert attempt["lateness_ms"] >= 0
    assert attempt["response_time_ms"] >= 0


def test_a_payload_of_the_run_comes_before_that_of_the_task(server: Server) -> None:
    put_task(server, "mail", queue_task(payload={"kind": "daily"}))
    trigger(server, "mail", {"payload": {"kind": "monthly"}})
    assert lease_one(server)["payload"] == {"kind": "monthly"}


def test_who_waits_is_answered_when_a_run_is_due_and_not_before(server: Server) -> None:
    waiting = Waiting(server, wait="60s")
    run = create_run(server, {**queue_task(), "delay": "1s"})
    (held,) = waiting.runs()
    assert held["run"] == run["id"]
    (started,) = [get_run(server, run["id"])["started_at"]]
    assert instant(started) >= instant(run["due_at"])


def test_a_wait_that_is_over_is_answered_empty(server: Server) -> None:
    before = time.monotonic()
    assert lease(server, wait="300ms") == []
    assert time.monotonic() - before >= 0.3
    assert lease(server) == []
    assert queue_of(server)["waiting_workers"] == 0


def test_batches_go_out_in_the_order_of_their_due_time(server: Server) -> None:
    runs = [create_run(server, queue_task())["id"] for _ in range(5)]
    first, second = lease(server, max=3), lease(server, max=3)
    assert [held["run"] for held in first + second] == runs
    answers = say(server, "complete", *[fake(held) for held in first + second])
    assert [answer["status"] for answer in answers] == [200] * 5
    assert [get_run(server, run)["state"] for run in runs] == ["succeeded"] * 5


def test_the_most_urgent_go_out_first(server: Server) -> None:
    runs = [create_run(server, {**queue_task(), "priority": priority})["id"] for priority in (3, 0, 9, 3)]
    assert [held["run"] for held in lease(server, max=3)] == [runs[2], runs[0], runs[3]]
    assert [held["run"] for held in lease(server, max=3)] == [runs[1]]


def test_each_run_goes_to_one_worker(server: Server) -> None:
    workers = [Waiting(server, wait="60s", max=10) for _ in range(3)]
    for _ in range(3):
        create_run(server, queue_task())
        wait_for(lambda: queue_of(server)["due"] == 0, "it is taken")
    taken = [held["run"] for worker in workers for held in worker.runs()]
    assert len(taken) == len(set(taken)) == 3


def test_a_worker_that_dies_loses_its_run_to_another(server: Server) -> None:
    run = create_run(server, queue_task(retry=quick_retry(3)))
    first = lease_one(server, lease="1s")
    second = lease_one(server, wait="30s", lease="60s")
    assert second["run"] == first["run"]
    assert second["attempt"] == 2
    assert second["fence"] > first["fence"]
    for word, more in (("heartbeat", {}), ("complete", {}), ("fail", {"error": "late"}), ("release", {})):
        assert say_one(server, word, first, **more)["status"] == 409
    assert get_run(server, run["id"])["state"] == "running"
    assert say_one(server, "complete", second)["status"] == 200
    done = get_run(server, run["id"])
    assert [attempt["outcome"] for attempt in done["attempts"]] == ["lost", "succeeded"]
    assert "the lease ran out" in done["attempts"][0]["error"]


def test_at_most_once_a_run_whose_lease_ran_out_goes_to_no_other(server: Server) -> None:
    run = create_run(server, queue_task(delivery="at_most_once", retry=quick_retry(3)))
    held = lease_one(server, lease="1s")
    done = wait_final(server, run["id"])
    assert done["state"] == "failed"
    assert "the outcome is unknown, and at_most_once allows no second delivery" in done["reason"]
    assert [attempt["outcome"] for attempt in done["attempts"]] == ["lost"]
    assert lease(server) == []
    assert say_one(server, "complete", held)["status"] == 409


def test_a_run_that_no_worker_took_by_its_deadline_is_missed(server: Server) -> None:
    put_task(server, "mail", queue_task(deadline="1s"))
    run = trigger(server, "mail")
    done = wait_final(server, run["id"])
    assert (done["state"], done["attempts"]) == ("missed", [])
    assert "deadline" in done["reason"]
    assert lease(server) == []
    assert 'punctual_task_runs_total{task="mail",state="missed"} 1\n' in server.api.get("/metrics").text


def test_heartbeats_keep_a_lease(server: Server) -> None:
    run = create_run(server, queue_task())
    held = lease_one(server, lease="1s")
    until = held["lease_until"]
    for _ in range(8):
        time.sleep(0.25)
        found = say_one(server, "heartbeat", held)
        assert found["status"] == 200
        assert found["lease_until"] > until
        until = found["lease_until"]
    assert say_one(server, "complete", held)["status"] == 200
    assert get_run(server, run["id"])["attempt_count"] == 1


def test_the_timeout_of_the_task_is_the_most(server: Server) -> None:
    run = create_run(server, queue_task(timeout="1s"))
    held = lease_one(server, lease="60s")
    say_one(server, "heartbeat", held, extend="1h")
    done = wait_final(server, run["id"])
    assert done["state"] == "failed"
    assert done["attempts"][0]["outcome"] == "timed_out"


def test_a_failure_is_retried_or_final(server: Server) -> None:
    run = create_run(server, queue_task(retry=quick_retry(5)))
    held = lease_one(server)
    assert say_one(server, "fail", held, error="the mail server is down")["status"] == 200
    again = lease_one(server)
    assert again["attempt"] == 2
    assert say_one(server, "fail", again, error="no such address", final=True)["status"] == 200
    done = get_run(server, run["id"])
    assert done["state"] == "failed"
    assert "no such address" in done["reason"]
    assert [attempt["error"] for attempt in done["attempts"]] == ["the mail server is down", "no such address"]


def test_a_failure_may_say_when_to_come_again(server: Server) -> None:
    run = create_run(server, queue_task(retry=quick_retry(5)))
    say_one(server, "fail", lease_one(server), error="slow down", retry_after="1h")
    found = get_run(server, run["id"])
    assert found["state"] == "waiting"
    assert instant(found["due_at"]) > time.time() + 3000


def test_what_is_given_back_is_there_at_once_and_does_not_count(server: Server) -> None:
    run = create_run(server, queue_task())
    first = lease_one(server)
    assert say_one(server, "release", first)["status"] == 200
    second = lease_one(server)
    assert (second["run"], second["attempt"]) == (run["id"], 1)
    assert second["fence"] > first["fence"]
    say_one(server, "complete", second)
    (attempt,) = get_run(server, run["id"])["attempts"]
    assert attempt["number"] == 1


def test_the_same_completion_again_is_told_so_and_changes_nothing(server: Server) -> None:
    run = create_run(server, queue_task())
    held = lease_one(server)
    say_one(server, "complete", held, result={"n": 1})
    before = get_run(server, run["id"])
    again = say_one(server, "complete", held, result={"n": 2})
    assert (again["status"], again["repeated"]) == (409, True)
    late = say_one(server, "fail", held, error="late")
    assert late["status"] == 409
    assert "repeated" not in late
    assert get_run(server, run["id"]) == before


def test_each_row_is_answered_on_its_own(server: Server) -> None:
    runs = [create_run(server, queue_task())["id"] for _ in range(2)]
    one, two = lease(server, max=2)
    found = say(
        server,
        "complete",
        fake(one),
        fake(two, fence=two["fence"] + 1),
        {"run": "run_0000000000001", "fence": 1},
        fake(one),
    )
    assert [row["status"] for row in found] == [200, 409, 404, 409]
    assert [get_run(server, run)["state"] for run in runs] == ["succeeded", "running"]


def test_a_result_must_be_as_expected(server: Server) -> None:
    run = create_run(server, queue_task(expect={"json": {"/sent": 1}}))
    say_one(server, "complete", lease_one(server), result={"sent": 0})
    done = get_run(server, run["id"])
    assert done["state"] == "failed"
    assert "/sent" in done["reason"]


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_a_lease_outlives_the_server(server: Server, how: str) -> None:
    run = create_run(server, queue_task())
    held = lease_one(server, lease="60s", worker="w")
    getattr(server, how)()
    server.start()
    assert get_run(server, run["id"])["state"] == "running"
    assert lease(server) == []
    assert queue_of(server)["running"] == 1
    assert say_one(server, "heartbeat", held)["status"] == 200
    assert say_one(server, "complete", held)["status"] == 200
    (attempt,) = get_run(server, run["id"])["attempts"]
    assert (attempt["outcome"], attempt["node"]) == ("succeeded", "w")


def test_a_completion_survives_a_crash(server: Server) -> None:
    run = create_run(server, queue_task())
    say_one(server, "complete", lease_one(server))
    server.kill()
    server.start()
    assert get_run(server, run["id"])["state"] == "succeeded"


def test_who_waits_when_the_server_stops_is_answered_empty(server: Server) -> None:
    waiting = Waiting(server, wait="60s")
    server.stop()
    assert waiting.runs() == []


def test_a_worker_that_went_away_is_given_nothing(server: Server) -> None:
    body = b'{"wait": "60s", "lease": "1h"}'
    with socket.create_connection(("127.0.0.1", server.port)) as worker:
        head = f"POST /v1/queues/emails/lease HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n"
        worker.sendall(head.encode() + b"Content-Type: application/json\r\n\r\n" + body)
        wait_for(lambda: queue_of(server)["waiting_workers"] == 1, "the worker waits")
    run = create_run(server, queue_task())
    held = lease_one(server, wait="30s")
    assert (held["run"], held["attempt"]) == (run["id"], 1)


def test_a_canceled_run_is_the_workers_no_more(server: Server) -> None:
    run = create_run(server, queue_task())
    held = lease_one(server)
    assert server.api.post(f"/v1/runs/{run['id']}/cancel", json={}).status_code == 200
    found = say_one(server, "heartbeat", held)
    assert found["status"] == 409
    assert "canceled" in found["error"]
    assert get_run(server, run["id"])["state"] == "canceled"


def test_a_queue_has_a_limit(server_factory: Factory) -> None:
    server = server_factory(config="queues: {emails: {max_running: 2}}\n")
    for _ in range(3):
        create_run(server, queue_task())
    held = lease(server, max=10)
    assert len(held) == 2
    assert queue_of(server)["max_running"] == 2
    waiting = Waiting(server, wait="60s")
    say_one(server, "complete", held[0])
    assert len(waiting.runs()) == 1


def test_a_queue_has_a_rate(server_factory: Factory) -> None:
    server = server_factory(config="queues: {emails: {rate_limit: {limit: 2, per: 2s}}}\n")
    for _ in range(3):
        create_run(server, queue_task())
    asked = time.monotonic()
    assert len(lease(server, max=10)) == 2
    leased = time.monotonic()
    queue = queue_of(server)
    assert queue["rate_limit"] == {"limit": 2, "per": "2s"}
    assert queue["opens_at"] > queue["oldest_due_at"]
    assert len(Waiting(server, wait="60s").runs()) == 1
    took = time.monotonic()
    assert took - asked > 2, "no third start within the window"
    assert took - leased < 30, "the poll is answered when the window opens, not when its wait ends"
    wait_for(lambda: queue_of(server)["opens_at"] is None, "the window is past")


def test_a_rate_of_a_queue_holds_over_a_crash(server_factory: Factory) -> None:
    config = "queues: {emails: {rate_limit: {limit: 1, per: 24h}}}\n"
    server = server_factory(config=config)
    create_run(server, queue_task())
    create_run(server, queue_task())
    lease_one(server)
    opens = queue_of(server)["opens_at"]
    server.kill()
    server.start()
    assert queue_of(server)["opens_at"] == opens
    assert lease(server) == []


def test_queues_are_seen(server: Server) -> None:
    assert queue_of(server, "nobody") == {
        "name": "nobody",
        "due": 0,
        "scheduled": 0,
        "running": 0,
        "waiting_workers": 0,
        "oldest_due_at": None,
        "max_running": None,
        "rate_limit": None,
        "opens_at": None,
    }
    put_task(server, "mail", queue_task())
    oldest = trigger(server, "mail")
    trigger(server, "mail")
    lease_one(server)
    later = trigger(server, "mail")
    create_run(server, {**queue_task(), "delay": FAR})
    waiting = Waiting(server, "reports", wait="60s")
    emails, reports = server.api.get("/v1/queues").json()["queues"]
    assert (emails["name"], emails["due"], emails["scheduled"], emails["running"]) == ("emails", 2, 1, 1)
    assert oldest["due_at"] < emails["oldest_due_at"] <= later["due_at"]
    assert (reports["name"], reports["waiting_workers"]) == ("reports", 1)
    assert queue_of(server) == emails
    create_run(server, queue_task("reports"))
    assert len(waiting.runs()) == 1


def test_runs_without_a_worker_leave_the_server_ready(server: Server) -> None:
    create_run(server, {**queue_task(), "run_at": "2026-01-01T00:00:00Z"})
    answer = server.api.get("/ready")
    assert answer.status_code == 200, answer.text


def test_a_schedule_fills_a_queue(server: Server) -> None:
    put_task(server, "tick", queue_task("ticks", schedule={"every": "1s"}))
    held = lease_one(server, "ticks", wait="30s")
    assert held["task"] == "tick"
    assert instant(held["scheduled_for"]) <= time.time()
    say_one(server, "complete", held)


def test_a_task_that_leaves_a_queue_takes_its_runs_along(server: Server) -> None:
    put_task(server, "mail", queue_task("one"))
    run = trigger(server, "mail")
    put_task(server, "mail", queue_task("two"))
    assert lease(server, "one") == []
    assert lease_one(server, "two")["run"] == run["id"]
    assert queue_of(server, "one")["due"] == 0


def test_what_waits_is_counted(server: Server) -> None:
    waiting = Waiting(server, wait="60s")
    assert "punctual_workers_waiting 1\n" in server.api.get("/metrics").text
    run = create_run(server, queue_task(retry=quick_retry(2)))
    (held,) = waiting.runs()
    assert "punctual_leases 1\n" in server.api.get("/metrics").text
    say_one(server, "heartbeat", held, extend="1s")
    say_one(server, "release", held)
    lease_one(server, lease="1s")
    wait_state(server, run["id"], "waiting", "due")
    assert "punctual_leases_expired_total 1\n" in server.api.get("/metrics").text


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"max": 0}, "/max"),
        ({"max": 1001}, "/max"),
        ({"wait": "61s"}, "/wait"),
        ({"wait": 5}, "/wait"),
        ({"lease": "0s"}, "/lease"),
        ({"lease": "999ms"}, "/lease"),
        ({"lease": "365d"}, "/lease"),
        ({"worker": ""}, "/worker"),
        ({"worker": "x" * 201}, "/worker"),
        ({"leese": "1s"}, "/leese"),
        ([], ""),
    ],
)
def test_a_wish_that_makes_no_sense_is_refused(shared_server: Server, body: Any, pointer: str) -> None:
    problem(shared_server.api.post("/v1/queues/emails/lease", json=body), 400, pointer=pointer)


@pytest.mark.parametrize(
    ("word", "row", "pointer"),
    [
        ("complete", {"run": "x", "fence": 1}, "/leases/0/run"),
        ("complete", {"fence": 1}, "/leases/0"),
        ("complete", {"run": "run_0000000000001"}, "/leases/0"),
        ("complete", {"run": "run_0000000000001", "fence": 0}, "/leases/0/fence"),
        ("complete", {"run": "run_0000000000001", "fence": "1"}, "/leases/0/fence"),
        ("complete", {"run": "run_0000000000001", "fence": 1, "cache": "hot"}, "/leases/0/cache"),
        ("complete", {"run": "run_0000000000001", "fence": 1, "db_calls": -1}, "/leases/0/db_calls"),
        ("complete", {"run": "run_0000000000001", "fence": 1, "db_time_ms": -1}, "/leases/0/db_time_ms"),
        ("complete", {"run": "run_0000000000001", "fence": 1, "result": "x" * 70000}, "/leases/0/result"),
        ("complete", {"run": "run_0000000000001", "fence": 1, "error": "x"}, "/leases/0/error"),
        ("fail", {"run": "run_0000000000001", "fence": 1}, "/leases/0"),
        ("fail", {"run": "run_0000000000001", "fence": 1, "error": ""}, "/leases/0/error"),
        ("fail", {"run": "run_0000000000001", "fence": 1, "error": "x", "retry_after": "2d"}, "/leases/0/retry_after"),
        ("heartbeat", {"run": "run_0000000000001", "fence": 1, "extend": "0s"}, "/leases/0/extend"),
        ("heartbeat", {"run": "run_0000000000001", "fence": 1, "extend": "1w"}, "/leases/0/extend"),
        ("release", {"run": "run_0000000000001", "fence": 1, "why": "x"}, "/leases/0/why"),
        ("release", 5, "/leases/0"),
    ],
)
def test_a_word_that_makes_no_sense_is_refused(shared_server: Server, word: str, row: Any, pointer: str) -> None:
    problem(shared_server.api.post(f"/v1/leases/{word}", json={"leases": [row]}), 400, pointer=pointer)


def test_a_batch_has_a_limit_and_a_form(shared_server: Server) -> None:
    rows = [{"run": "run_0000000000001", "fence": 1}] * 1001
    problem(shared_server.api.post("/v1/leases/release", json={"leases": rows}), 400, pointer="/leases")
    problem(shared_server.api.post("/v1/leases/release", json={}), 400)
    problem(shared_server.api.post("/v1/leases/release", json={"leases": {}}), 400, pointer="/leases")
    assert say(shared_server, "release") == []


def test_no_queue_has_a_name_like_that(shared_server: Server) -> None:
    for name in ("Emails", "-x", "a" * 101, "%C3%A4"):
        problem(shared_server.api.post(f"/v1/queues/{name}/lease", json={}), 404)
        problem(shared_server.api.get(f"/v1/queues/{name}"), 404)


def test_no_run_is_made_for_a_queue_without_a_name(shared_server: Server) -> None:
    problem(shared_server.api.post("/v1/runs", json={"queue": {"name": "X"}}), 400, pointer="/queue/name")
    problem(shared_server.api.post("/v1/runs", json={"queue": "emails"}), 400, pointer="/queue")
    assert all_runs(shared_server) == []


class Labourer(threading.Thread):
    """Takes and completes until told to stop, whatever becomes of the server; remembers what was acknowledged."""

    def __init__(self, server: Server, done: threading.Event) -> None:
        super().__init__()
        self.server = server
        self.done = done
        self.taken: list[tuple[str, int]] = []  # run and fence, of each answer that came
        self.acknowledged: list[tuple[str, int]] = []

    def run(self) -> None:
        while not self.done.is_set():
            with contextlib.suppress(httpx.HTTPError), httpx.Client(base_url=self.server.url, trust_env=False) as api:
                self.work(api)
            time.sleep(0.01)  # the server is away

    def work(self, api: httpx.Client) -> None:
        while not self.done.is_set():
            wish = {"max": 3, "wait": "200ms", "lease": "2s"}
            answer = api.post("/v1/queues/emails/lease", json=wish).raise_for_status()
            rows = [{"run": held["run"], "fence": held["fence"]} for held in answer.json()["runs"]]
            self.taken += [(row["run"], row["fence"]) for row in rows]
            said = api.post("/v1/leases/complete", json={"leases": rows}).raise_for_status().json()["leases"]
            self.acknowledged += [
                (row["run"], row["fence"]) for row, one in zip(rows, said, strict=True) if one["status"] == 200
            ]


def test_workers_come_through_kills_of_the_server(server: Server) -> None:
    task = queue_task(retry=quick_retry(50))
    runs = [run["id"] for run in (create_run(server, task) for _ in range(40))]
    done = threading.Event()
    workers = [Labourer(server, done) for _ in range(3)]
    for worker in workers:
        worker.start()
    try:
        for _ in range(4):
            before = sum(len(worker.acknowledged) for worker in workers)
            runs += [create_run(server, task)["id"] for _ in range(10)]
            wait_for(lambda before=before: sum(len(w.acknowledged) for w in workers) > before, "some is done")
            server.kill()
            server.start()
        found = [wait_final(server, run) for run in runs]
    finally:
        done.set()
        for worker in workers:
            worker.join()
    taken = [pair for worker in workers for pair in worker.taken]
    assert len(taken) == len(set(taken)), "one lease was given to two workers"
    won = {
        (run["id"], attempt["fence"])
        for run in found
        for attempt in run["attempts"]
        if attempt["outcome"] == "succeeded"
    }
    assert [run["state"] for run in found] == ["succeeded"] * len(runs)
    assert len(won) == len(runs), "a run has succeeded twice"
    assert {pair for worker in workers for pair in worker.acknowledged} <= won
    for run in found:
        assert [attempt["number"] for attempt in run["attempts"]] == list(range(1, run["attempt_count"] + 1))
