"""What each attempt tells about caches, database calls and time."""

from typing import Any

import pytest

from support.receiver import Answer, Receiver
from support.server import Server
from support.waiting import wait_for
from support.words import create_run, http_task, put_task, wait_final


def attempt_after(server: Server, receiver: Receiver, answer: Answer) -> dict[str, Any]:
    receiver.script("/x", answer)
    run = create_run(server, http_task(receiver.url("/x")))
    (attempt,) = wait_final(server, run["id"])["attempts"]
    return attempt


@pytest.mark.parametrize(
    ("header", "cache"),
    [
        ("edge; hit", "warm"),
        ('"Our Cache"; hit; ttl=376', "warm"),
        ("edge; fwd=uri-miss", "cold"),
        ("edge; fwd=stale; stored", "cold"),
        ("origin; fwd=uri-miss, edge; hit", "warm"),
        ("origin; fwd=miss, edge; fwd=uri-miss", "cold"),
        ("edge", "unknown"),
        ("", "unknown"),
        ("=;;,", "unknown"),
    ],
)
def test_the_cache_status_is_read(server: Server, receiver: Receiver, header: str, cache: str) -> None:
    attempt = attempt_after(server, receiver, Answer(headers={"Cache-Status": header}))
    assert attempt["cache"] == cache


@pytest.mark.parametrize(
    ("header", "calls", "time_ms"),
    [
        ('db;dur=53;desc="6 queries"', 6, 53),
        ('db; dur=53.5; desc="1 query"', 1, 53.5),
        ('cache;dur=2, db;dur=10;desc="2 queries", app;dur=47', 2, 10),
        ("db;dur=12", None, 12),
        ('db;desc="3 queries"', 3, None),
        ("app;dur=47", None, None),
        ("", None, None),
        (";;;,,=,db;dur=abc", None, None),
        ('db;desc="unclosed', None, None),
    ],
)
def test_the_server_timing_is_read(
    server: Server, receiver: Receiver, header: str, calls: int | None, time_ms: float | None
) -> None:
    attempt = attempt_after(server, receiver, Answer(headers={"Server-Timing": header}))
    assert attempt["db_calls"] == calls
    assert attempt["db_time_ms"] == time_ms


def test_a_server_timing_in_a_trailer_is_read(server: Server, receiver: Receiver) -> None:
    answer = Answer(trailers={"Server-Timing": 'db;dur=5;desc="4 queries"'})
    attempt = attempt_after(server, receiver, answer)
    assert attempt["db_calls"] == 4


def test_what_is_not_told_is_null_and_never_zero(server: Server, receiver: Receiver) -> None:
    attempt = attempt_after(server, receiver, Answer())
    assert attempt["cache"] == "unknown"
    assert attempt["db_calls"] is None
    assert attempt["db_time_ms"] is None


def test_an_attempt_without_an_answer_has_no_numbers(server: Server) -> None:
    run = create_run(server, http_task("http://127.0.0.1:1/"))
    (attempt,) = wait_final(server, run["id"])["attempts"]
    assert attempt["status"] is None
    assert attempt["phases"]["first_byte_ms"] is None
    assert attempt["db_calls"] is None


def test_the_response_time_is_the_whole_of_it(server: Server, receiver: Receiver) -> None:
    attempt = attempt_after(server, receiver, Answer(delay=0.3))
    assert attempt["response_time_ms"] >= 300
    assert attempt["phases"]["first_byte_ms"] >= 250
    known = [value for value in attempt["phases"].values() if value is not None]
    assert sum(known) <= attempt["response_time_ms"] + 1


def test_each_attempt_is_one_line_of_the_log(server: Server, receiver: Receiver) -> None:
    headers = {"Cache-Status": "edge; hit", "Server-Timing": 'db;dur=5;desc="4 queries"'}
    receiver.script("/x", Answer(status=500), Answer(headers=headers))
    retry = {"max_attempts": 2, "initial": "100ms"}
    put_task(server, "logged", http_task(receiver.url("/x"), retry=retry))
    run = create_run(server, {"task": "logged"})
    wait_final(server, run["id"])

    def lines() -> list[dict[str, Any]] | None:
        found = [line for line in server.log_events("attempt") if line["run"] == run["id"]]
        return found if len(found) >= 2 else None

    first, second = wait_for(lines, "two log lines")
    assert first["task"] == second["task"] == "logged"
    # What can be read back of an attempt stands in its line, too: all but the response.
    for line, attempt in zip((first, second), wait_final(server, run["id"])["attempts"], strict=True):
        measures = {name: attempt[name] for name in attempt if name not in ("phases", "response")} | attempt["phases"]
        assert {name: line.get(name, "missing") for name in measures} == measures
    assert (first["outcome"], second["outcome"]) == ("failed", "succeeded")
    assert first["cache"] == "unknown"
    assert first["db_calls"] is None
    assert second["cache"] == "warm"
    assert second["db_calls"] == 4
    for line in (first, second):
        assert line["response_time_ms"] > 0
        assert line["lateness_ms"] >= 0
        assert {"time", "level"} <= line.keys()


def test_no_secret_and_no_payload_in_the_log(server: Server, receiver: Receiver) -> None:
    run = create_run(server, {**http_task(receiver.url("/x")), "payload": {"iban": "very-private"}})
    wait_final(server, run["id"])
    assert server.secret not in server.log_text()
    assert "very-private" not in server.log_text()
