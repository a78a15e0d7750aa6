"""Success is what the task expects, whatever the status code says."""

from typing import Any

import pytest

from support.receiver import Answer, Receiver
from support.server import Server
from support.words import create_run, http_task, problem, wait_final

GOOD = Answer(status=200, headers={"X-Version": "7"}, body=b'{"ok": true, "n": 3, "list": [{"a": null}], "a/b": 1}')


@pytest.mark.parametrize(
    "expect",
    [
        {},
        {"status": 200},
        {"json": {"/ok": True}},
        {"json": {"/n": 3, "/list/0/a": None}},
        {"json": {"/a~1b": 1}},
        {"json": {"/list": [{"a": None}]}},
        {"headers": {"x-version": "7"}},
        {"max_duration": "30s"},
        {"status": 200, "json": {"/ok": True}, "headers": {"X-Version": "7"}, "max_duration": "30s"},
    ],
)
def test_what_is_met_succeeds(server: Server, receiver: Receiver, expect: dict[str, Any]) -> None:
    receiver.script("/x", GOOD)
    run = create_run(server, http_task(receiver.url("/x"), expect=expect))
    done = wait_final(server, run["id"])
    assert done["state"] == "succeeded", done["attempts"]


@pytest.mark.parametrize(
    ("expect", "named"),
    [
        ({"status": 201}, "201"),
        ({"json": {"/ok": False}}, "/ok"),
        ({"json": {"/missing": 1}}, "/missing"),
        ({"json": {"/n": "3"}}, "/n"),
        ({"json": {"/list/1": None}}, "/list/1"),
        ({"headers": {"X-Version": "8"}}, "X-Version"),
        ({"headers": {"X-Other": "7"}}, "X-Other"),
    ],
)
def test_what_is_missed_fails_and_says_what(
    server: Server, receiver: Receiver, expect: dict[str, Any], named: str
) -> None:
    receiver.script("/x", GOOD)
    run = create_run(server, http_task(receiver.url("/x"), expect=expect))
    done = wait_final(server, run["id"])
    assert done["state"] == "failed"
    (attempt,) = done["attempts"]
    assert attempt["outcome"] == "failed"
    assert attempt["status"] == 200
    assert named.lower() in attempt["error"].lower()


def test_an_answer_that_takes_too_long_fails(server: Server, receiver: Receiver) -> None:
    receiver.script("/x", Answer(delay=0.4))
    run = create_run(server, http_task(receiver.url("/x"), expect={"max_duration": "100ms"}))
    done = wait_final(server, run["id"])
    assert done["state"] == "failed"
    assert done["attempts"][0]["response_time_ms"] >= 400


def test_a_body_that_is_no_json_misses(server: Server, receiver: Receiver) -> None:
    receiver.script("/x", Answer(body=b"<html>ok</html>"))
    run = create_run(server, http_task(receiver.url("/x"), expect={"json": {"/ok": True}}))
    assert wait_final(server, run["id"])["state"] == "failed"


def test_a_missed_expectation_is_retried(server: Server, receiver: Receiver) -> None:
    receiver.script("/x", Answer(body=b'{"ok": false}'), Answer(body=b'{"ok": true}'))
    retry = {"max_attempts": 2, "initial": "100ms"}
    run = create_run(server, http_task(receiver.url("/x"), expect={"json": {"/ok": True}}, retry=retry))
    done = wait_final(server, run["id"])
    assert [attempt["outcome"] for attempt in done["attempts"]] == ["failed", "succeeded"]


def test_impossible_expectations_are_refused(server: Server) -> None:
    url = "http://127.0.0.1:9/"
    for expect, pointer in (
        ({"status": 42}, "/expect/status"),
        ({"status": "ok"}, "/expect/status"),
        ({"json": {"ok": True}}, "/expect/json"),
        ({"max_duration": "soon"}, "/expect/max_duration"),
        ({"body": "x"}, "/expect/body"),
        ("success", "/expect"),
    ):
        body = problem(server.api.post("/v1/runs", json=http_task(url, expect=expect)))
        assert any(error["pointer"].startswith(pointer) for error in body["errors"]), body
