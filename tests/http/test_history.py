"""History stays within its limits, and clearing takes nothing that is still needed."""

import re
from typing import Any

import pytest

from support.receiver import Answer, Receiver
from support.server import Factory, Server
from support.waiting import wait_for
from support.words import (
    FAR,
    all_runs,
    create_run,
    get_run,
    get_task,
    http_task,
    put_task,
    quick_retry,
    trigger,
    wait_final,
)


def metric(server: Server, name: str) -> float:
    text = server.api.get("/metrics").text
    found = re.search(rf"^{name} (\S+)$", text, re.MULTILINE)
    assert found, f"no {name}"
    return float(found[1])


def test_no_more_runs_are_kept_than_the_limit(server_factory: Factory, receiver: Receiver) -> None:
    server = server_factory(config="history: {rows: 10}\n")
    put_task(server, "quiet", http_task(receiver.url("/quiet")))
    kept = trigger(server, "quiet")
    wait_final(server, kept["id"])
    pending = create_run(server, {**http_task(receiver.url("/far")), "delay": FAR})
    receiver.script("/fails", Answer(status=500))
    waiting = create_run(
        server,
        http_task(receiver.url("/fails"), retry={"max_attempts": 2, "initial": "1h", "max": "1h"}),
    )
    for number in range(60):
        create_run(server, http_task(receiver.url(f"/job/{number}")))
    wait_for(lambda: metric(server, "punctual_history_runs") <= 10, "only ten are left", within=40)
    left = all_runs(server)
    ended = [run for run in left if run["state"] in ("succeeded", "failed")]
    assert len(ended) <= 10
    assert get_run(server, pending["id"])["state"] == "scheduled"
    wait_for(lambda: get_run(server, waiting["id"])["state"] == "waiting", "it waits for its second attempt")
    assert get_run(server, kept["id"])["state"] == "succeeded", "the latest run of a task stays"
    assert metric(server, "punctual_history_cleared_total") >= 50
    assert metric(server, "punctual_store_bytes") > 0
    found = server.api.get("/v1/audit").json()
    assert found["differences"] == []
    assert found["audited_from"] > found["from"]
    assert found["books"]["cleared"] >= 50
    server.stop()
    audited = server.cli("audit", "--store", str(server.store))
    assert audited.returncode == 0, audited.stdout
    server.start()
    assert get_task(server, "quiet")["name"] == "quiet"


def test_a_dead_letter_is_listed_as_long_as_its_run_is_kept(server_factory: Factory, receiver: Receiver) -> None:
    server = server_factory(config="history: {rows: 5}\n")
    receiver.script("/fails", Answer(status=500))
    for _ in range(3):
        run = create_run(server, http_task(receiver.url("/fails"), retry=quick_retry(1)))
        wait_final(server, run["id"])
    assert (
        len(server.api.get("/v1/dead-letters").json()["dead_letters"]) == metric(server, "punctual_dead_letters") == 3
    )
    for _ in range(6):
        create_run(server, http_task(receiver.url("/job")))
    wait_for(lambda: metric(server, "punctual_dead_letters") == 0, "they are cleared", within=40)
    assert server.api.get("/v1/dead-letters").json()["dead_letters"] == []
    answer = server.api.post("/v1/dead-letters/retry", json={"runs": [run["id"]]})
    assert answer.status_code == 404, "what was cleared cannot be retried"


def test_what_is_old_goes_and_its_key_still_answers(server_factory: Factory, receiver: Receiver) -> None:
    server = server_factory(config="history: {age: 1s}\n")
    body: dict[str, Any] = http_task(receiver.url("/old"))
    first = server.api.post("/v1/runs", json=body, headers={"Idempotency-Key": "mine"})
    run = first.json()["id"]
    wait_final(server, run)
    create_run(server, {**http_task(receiver.url("/far")), "delay": FAR})
    wait_for(lambda: server.api.get(f"/v1/runs/{run}").status_code == 404, "it is cleared", within=40)
    again = server.api.post("/v1/runs", json=body, headers={"Idempotency-Key": "mine"})
    assert again.status_code in (200, 201)
    assert again.json()["id"] == run
    assert len(receiver.at("/old")) == 1
    # The definition went with the run, and comes again with the next.
    anew = create_run(server, body)
    assert anew["id"] != run
    assert wait_final(server, anew["id"])["state"] == "succeeded"


def test_a_task_is_cleared_while_it_runs_on(server_factory: Factory, receiver: Receiver) -> None:
    server = server_factory(config="history: {rows: 3}\n")
    put_task(server, "tick", http_task(receiver.url("/tick"), schedule={"every": "1s"}, retry=quick_retry(2)))
    receiver.wait("/tick", 6)
    wait_for(lambda: metric(server, "punctual_history_cleared_total") >= 2, "some are cleared")
    assert server.api.get("/v1/audit").json()["differences"] == []
    assert len(all_runs(server, task="tick")) <= 6


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("history: {rows: 0}", "/history/rows: must be a limit such as 5000000, at least 1"),
        ("history: {rows: many}", "/history/rows"),
        ("history: {age: 10ms}", '/history/age: must be a limit such as "90d", at least 1s'),
        ("history: {age: 5}", "/history/age"),
        ("history: {bytes: 10XB}", '/history/bytes: must be a limit such as "10GiB", at least 128MiB'),
        ("history: {bytes: 127MiB}", "/history/bytes"),
        ("history: {days: 5}", "days"),
        ("history: 90d", "/history"),
    ],
)
def test_a_limit_that_makes_no_sense_stops_the_start(server_factory: Factory, text: str, words: str) -> None:
    server = server_factory(start=False, config=text + "\n")
    server.launch()
    assert server.wait_exit() == 2
    assert words in server.log_text()


def test_history_without_limits_is_kept(server_factory: Factory, receiver: Receiver) -> None:
    server = server_factory(config="history: {age: unlimited, rows: unlimited, bytes: unlimited}\n")
    runs = [create_run(server, http_task(receiver.url("/job"))) for _ in range(5)]
    for run in runs:
        wait_final(server, run["id"])
    assert len(all_runs(server)) == 5
    assert metric(server, "punctual_history_cleared_total") == 0


def test_the_books_are_the_same_in_metrics_api_and_database(server: Server, receiver: Receiver) -> None:
    receiver.script("/fails", Answer(status=500))
    for path in ("/works", "/fails", "/works"):
        wait_final(server, create_run(server, http_task(receiver.url(path)))["id"])
    gone = create_run(server, {**http_task(receiver.url("/far")), "delay": FAR})
    server.api.post(f"/v1/runs/{gone['id']}/cancel", json={}).raise_for_status()
    create_run(server, {**http_task(receiver.url("/far")), "delay": FAR})
    wanted = {"due": 5, "succeeded": 2, "failed": 1, "canceled": 1, "missed": 0, "skipped": 0, "live": 1}
    for state, count in wanted.items():
        assert metric(server, rf'punctual_books_runs\{{state="{state}"\}}') == count
    assert server.api.get("/v1/audit").json()["books"] == {**wanted, "cleared": 0}
    states = [run["state"] for run in all_runs(server)]
    assert len(states) == wanted["due"]
    for state in ("succeeded", "failed", "canceled"):
        assert states.count(state) == wanted[state]
