"""Failed runs stay listed until somebody has retried or discarded them."""

import sqlite3
from typing import Any

import httpx
import pytest

from support.receiver import Answer, Receiver
from support.server import Server
from support.words import all_of, create_run, get_run, http_task, problem, put_task, trigger, wait_final

ANNA = {"Punctual-Author": "anna"}


def fail(server: Server, receiver: Receiver, task: str = "broken") -> str:
    receiver.script("/bad", Answer(status=503))
    put_task(server, task, http_task(receiver.url("/bad")))
    return wait_final(server, trigger(server, task)["id"])["id"]


def dead(server: Server, **params: Any) -> list[str]:
    return [letter["run"] for letter in all_of(server, "/v1/dead-letters", "dead_letters", **params)]


def deal(server: Server, how: str, body: dict[str, Any], **params: Any) -> httpx.Response:
    return server.api.post(f"/v1/dead-letters/{how}", json=body, params=params, headers=ANNA)


def test_a_failed_run_is_listed_with_its_reason_and_last_attempt(server: Server, receiver: Receiver) -> None:
    run = fail(server, receiver)
    (letter,) = server.api.get("/v1/dead-letters").json()["dead_letters"]
    assert letter["run"] == run
    assert letter["task"] == "broken"
    assert letter["failed_at"] == get_run(server, run)["finished_at"]
    assert "503" in letter["reason"]
    assert letter["attempt_count"] == 1
    assert letter["last_attempt"]["status"] == 503
    assert letter["last_attempt"]["outcome"] == "failed"


def test_the_metrics_count_those_that_are_open(server: Server, receiver: Receiver) -> None:
    run = fail(server, receiver)
    fail(server, receiver)
    assert "punctual_dead_letters 2\n" in server.api.get("/metrics").text
    deal(server, "discard", {"runs": [run], "note": "known"})
    assert "punctual_dead_letters 1\n" in server.api.get("/metrics").text


def test_a_retry_makes_a_new_run_and_says_who_and_why(server: Server, receiver: Receiver) -> None:
    run = fail(server, receiver)
    receiver.script("/bad", Answer(status=200))
    answer = deal(server, "retry", {"runs": [run], "note": "it is back"})
    assert answer.status_code == 201, answer.text
    body = answer.json()
    assert body["retried"] == 1
    again = body["runs"][0]["retried_as"]
    assert wait_final(server, again)["state"] == "succeeded"
    assert get_run(server, again)["retry_of"] == run
    old = get_run(server, run)
    assert old["state"] == "failed"
    assert old["handled"]["how"] == "retried"
    assert old["handled"]["run"] == again
    assert old["handled"]["by"] == "anna"
    assert old["handled"]["note"] == "it is back"
    assert dead(server) == []


def test_retrying_one_twice_is_a_conflict(server: Server, receiver: Receiver) -> None:
    run = fail(server, receiver)
    receiver.script("/bad", Answer(status=200))
    assert deal(server, "retry", {"runs": [run]}).status_code == 201
    refusal = problem(deal(server, "retry", {"runs": [run]}), 409, pointer="/runs/0")
    assert "dealt with already" in refusal["detail"]
    problem(deal(server, "discard", {"runs": [run]}), 409, pointer="/runs/0")


def test_the_same_key_retries_once(server: Server, receiver: Receiver) -> None:
    run = fail(server, receiver)
    receiver.script("/bad", Answer(status=200))
    answers = [
        server.api.post("/v1/dead-letters/retry", json={"runs": [run]}, headers={"Idempotency-Key": "once"})
        for _ in range(2)
    ]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json() == answers[1].json()


def test_a_discarded_one_is_on_record_after_a_crash(server: Server, receiver: Receiver) -> None:
    run = fail(server, receiver)
    answer = deal(server, "discard", {"runs": [run], "note": "nobody reads it"})
    assert answer.status_code == 200, answer.text
    server.kill()
    server.start()
    handled = get_run(server, run)["handled"]
    assert (handled["how"], handled["by"], handled["note"]) == ("discarded", "anna", "nobody reads it")
    assert dead(server) == []


def test_filters_choose_and_a_dry_run_changes_nothing(server: Server, receiver: Receiver) -> None:
    first, second = fail(server, receiver, "one"), fail(server, receiver, "two")
    assert dead(server, task="one") == [first]
    assert dead(server, reason="503", limit=1) == [second, first]
    assert dead(server, reason="no such words") == []
    failed_at = get_run(server, second)["finished_at"]
    assert dead(server, **{"from": failed_at}) == [second]
    assert dead(server, to=failed_at) == [first]
    answer = deal(server, "retry", {"filter": {"task": "one"}}, dry_run="true")
    assert answer.status_code == 200
    assert answer.json()["dry_run"] is True
    assert [row["run"] for row in answer.json()["runs"]] == [first]
    assert dead(server) == [second, first]
    answer = deal(server, "discard", {"filter": {}, "max": 1})
    assert (answer.json()["discarded"], answer.json()["left"]) == (1, 1)
    assert dead(server) == [second]


def multiply(server: Server, run: str, count: int) -> None:
    """Makes `count` more dead letters of one, in the store of a server that is stopped."""
    with sqlite3.connect(server.store) as store:
        columns = [row[1] for row in store.execute("PRAGMA table_info(runs)")]
        rest = ", ".join(column for column in columns if column != "id")
        store.execute(
            f"INSERT INTO runs (id, {rest}) WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n"
            f" WHERE i < {count}) SELECT id + i, {rest} FROM runs, n WHERE state = 5"
        )
        store.execute(
            "INSERT OR IGNORE INTO dead_letters (run_id, task_id) SELECT id, task_id FROM runs WHERE state = 5"
        )
    store.close()


def test_a_filter_that_matches_thousands_must_say_how_many(server: Server, receiver: Receiver) -> None:
    run = fail(server, receiver)
    server.stop()
    multiply(server, run, 12_000)
    server.start()
    refusal = problem(deal(server, "retry", {"filter": {}}), 409, pointer="/max")
    assert "12001" in refusal["detail"]
    assert len(dead(server, limit=1000)) == 12_001
    answer = deal(server, "discard", {"filter": {}, "max": 10_000})
    assert answer.status_code == 200, answer.text
    assert (answer.json()["discarded"], answer.json()["left"]) == (10_000, 2_001)
    assert len(dead(server, limit=1000)) == 2_001


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, ""),
        ({"runs": ["run_0c4x9k2m1p7qz"], "filter": {}}, ""),
        ({"runs": []}, "/runs"),
        ({"runs": ["nonsense"]}, "/runs/0"),
        ({"runs": ["run_0c4x9k2m1p7qz"] * 2}, "/runs/1"),
        ({"runs": ["run_0c4x9k2m1p7qz"], "max": 5}, "/max"),
        ({"filter": {"tsk": "a"}}, "/filter/tsk"),
        ({"filter": {"from": "yesterday"}}, "/filter/from"),
        ({"filter": {"reason": ""}}, "/filter/reason"),
        ({"filter": [], "max": 5}, "/filter"),
        ({"filter": {}, "max": 10_001}, "/max"),
        ({"filter": {}, "note": "x" * 4001}, "/note"),
        ({"filter": {}, "everything": True}, "/everything"),
    ],
)
def test_a_wrong_selection_is_refused_with_its_place(shared_server: Server, body: dict[str, Any], pointer: str) -> None:
    for how in ("retry", "discard"):
        problem(deal(shared_server, how, body), 400, pointer=pointer)


def test_unknown_runs_and_tasks_are_not_found(shared_server: Server) -> None:
    problem(deal(shared_server, "retry", {"runs": ["run_0c4x9k2m1p7qz"]}), 404, pointer="/runs/0")
    problem(deal(shared_server, "retry", {"filter": {"task": "nobody"}}), 404)
    problem(shared_server.api.get("/v1/dead-letters", params={"task": "nobody"}), 404)
    live = create_run(shared_server, {**http_task("http://127.0.0.1:9/"), "delay": "1h"})["id"]
    problem(deal(shared_server, "discard", {"runs": [live]}), 409, pointer="/runs/0")


def test_the_command_line_lists_retries_and_discards(server: Server, receiver: Receiver) -> None:
    first, second = fail(server, receiver, "one"), fail(server, receiver, "two")
    shown = server.cli("dead")
    assert shown.returncode == 0
    assert first in shown.stdout
    assert second in shown.stdout
    assert server.cli("dead", "retry").returncode == 2
    dry = server.cli("dead", "retry", "--task", "one", "--dry-run")
    assert "1 would be retried" in dry.stdout
    assert first in dry.stdout
    receiver.script("/bad", Answer(status=200))
    assert server.cli("dead", "retry", first, "--note", "it is back").returncode == 0
    assert server.cli("dead", "retry", first).returncode == 4
    assert server.cli("dead", "discard", "--all").returncode == 0
    assert "No dead letters." in server.cli("dead").stdout
    assert "it is back" in server.cli("run", first).stdout
