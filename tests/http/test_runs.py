"""Creating, listing and reading runs."""

import contextlib
import re
import sqlite3
import threading
import time
from typing import Any

import pytest

from support.receiver import Answer, Receiver
from support.server import Factory, Server
from support.waiting import instant, timestamp
from support.words import (
    FAR,
    all_runs,
    create_run,
    get_run,
    get_task,
    http_task,
    problem,
    put_task,
    quick_retry,
    wait_final,
    wait_state,
)

RUN_FIELDS = {
    "id",
    "task",
    "revision",
    "state",
    "reason",
    "trigger",
    "scheduled_for",
    "due_at",
    "deadline_at",
    "started_at",
    "finished_at",
    "payload",
    "retry_of",
    "attempts",
}
ATTEMPT_FIELDS = {
    "number",
    "started_at",
    "lateness_ms",
    "response_time_ms",
    "phases",
    "outcome",
    "status",
    "error",
    "cache",
    "db_calls",
    "db_time_ms",
    "response",
    "node",
    "fence",
}


def test_an_inline_run_is_made_and_done(server: Server, receiver: Receiver) -> None:
    receiver.script("/once", Answer(body=b'{"ok": true, "count": 3}'))
    answer = server.api.post("/v1/runs", json={**http_task(receiver.url("/once")), "payload": {"n": 1}})
    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert re.fullmatch(r"run_[0-9a-hjkmnp-tv-z]{13}", made["id"])
    assert answer.headers["location"].endswith(f"/v1/runs/{made['id']}")
    run = wait_final(server, made["id"])
    assert run.keys() >= RUN_FIELDS
    assert run["state"] == "succeeded"
    assert run["task"] is None
    assert run["trigger"] == "api"
    assert run["payload"] == {"n": 1}
    assert run["retry_of"] is None
    assert run["reason"] is None
    assert run["result"] == {"ok": True, "count": 3}
    assert receiver.at("/once")[0].json() == {"n": 1}


def test_a_one_off_shows_what_it_calls(server_factory: Factory) -> None:
    server = server_factory("--allow-commands")
    hook = {"method": "PUT", "url": "http://127.0.0.1:9/once?x=1", "headers": {"X-Team": "billing"}}
    for target, line in (
        ({"http": hook}, "http +PUT http://127.0.0.1:9/once"),
        ({"command": {"argv": ["/bin/echo", "two words"]}}, "command +/bin/echo two words"),
        ({"queue": {"name": "emails"}}, "queue +emails"),
    ):
        run = create_run(server, {**target, "delay": FAR, "payload": {"n": 1}})
        assert "definition" not in run
        found = get_run(server, run["id"])
        put_task(server, "same", target)
        assert found["definition"] == get_task(server, "same")["definition"]
        assert re.search(rf"^ +{line}", server.cli("run", run["id"]).stdout, re.MULTILINE)
        again = server.api.post(f"/v1/runs/{run['id']}/cancel", json={}).json()
        assert "definition" not in again
    assert all("definition" not in one for one in all_runs(server))
    assert "definition" not in get_run(server, create_run(server, {"task": "same", "delay": FAR})["id"])


def test_an_attempt_has_all_its_fields(server: Server, receiver: Receiver) -> None:
    run = wait_final(server, create_run(server, http_task(receiver.url("/once")))["id"])
    (attempt,) = run["attempts"]
    assert attempt.keys() >= ATTEMPT_FIELDS
    assert attempt["number"] == 1
    assert attempt["outcome"] == "succeeded"
    assert attempt["status"] == 200
    assert attempt["error"] is None
    assert attempt["fence"] >= 1
    assert attempt["lateness_ms"] >= 0
    assert attempt["response_time_ms"] > 0
    assert attempt["phases"].keys() >= {"dns_ms", "connect_ms", "tls_ms", "first_byte_ms"}
    assert attempt["phases"]["tls_ms"] is None, "there was no TLS"
    assert "ok" in attempt["response"]


def test_the_moments_of_a_run_are_in_order(server: Server, receiver: Receiver) -> None:
    run = wait_final(server, create_run(server, {**http_task(receiver.url("/once")), "delay": "300ms"})["id"])
    moments = [run["scheduled_for"], run["due_at"], run["started_at"], run["finished_at"]]
    assert moments == sorted(moments)
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", moment) for moment in moments)


def test_a_run_with_a_task_uses_its_definition(server: Server, receiver: Receiver) -> None:
    put_task(server, "known", http_task(receiver.url("/known"), payload={"from": "task"}))
    run = wait_final(server, create_run(server, {"task": "known"})["id"])
    assert run["task"] == "known"
    assert run["revision"] == 1
    assert receiver.at("/known")[0].json() == {"from": "task"}


def test_a_run_of_an_unknown_task_is_refused(server: Server) -> None:
    problem(server.api.post("/v1/runs", json={"task": "nobody"}))
    assert all_runs(server) == []


def test_a_run_needs_exactly_one_target(server: Server) -> None:
    put_task(server, "known", http_task("http://127.0.0.1:9/"))
    problem(server.api.post("/v1/runs", json={}))
    problem(server.api.post("/v1/runs", json={"payload": 1}))
    problem(server.api.post("/v1/runs", json={"task": "known", **http_task("http://127.0.0.1:9/")}))
    assert all_runs(server) == []


@pytest.mark.parametrize("what", [{"task": "known"}, http_task("http://127.0.0.1:9/")], ids=["task", "target"])
def test_a_misspelled_field_of_a_run_is_told_with_the_right_one(server: Server, what: dict[str, Any]) -> None:
    put_task(server, "known", http_task("http://127.0.0.1:9/"))
    for wrong, right in (("dely", "delay"), ("runat", "run_at"), ("Payload", "payload"), ("prioriti", "priority")):
        for _ in range(2):  # a definition that was read once is remembered
            answer = server.api.post("/v1/runs", json={**what, wrong: "1h"})
            (error,) = problem(answer, 400, pointer=f"/{wrong}")["errors"]
            assert f'unknown field "{wrong}": did you mean "{right}"?' in error["detail"]
            assert "known are task, http, command," in error["detail"]


def test_a_run_knows_every_field_of_a_task(server: Server) -> None:
    known = problem(server.api.put("/v1/tasks/x", json={"nonsense": 1}), 400)["errors"][0]["detail"]
    fields = known.partition("known are ")[2].split(", ")
    assert "retry" in fields
    for field in fields:
        for what in ({"task": "x"}, http_task("http://127.0.0.1:9/")):
            answer = server.api.post("/v1/runs", json={**what, field: None})
            assert "unknown field" not in answer.text, f"{field}: {answer.text}"


def test_one_answer_names_what_is_unknown_and_what_is_wrong(server: Server) -> None:
    answer = server.api.post("/v1/runs", json={"http": {"url": "ftp://x/"}, "dely": "1h", "timeout": 5})
    assert {error["pointer"] for error in problem(answer, 400)["errors"]} == {"/dely", "/http/url", "/timeout"}


def test_a_delay_is_never_cut_short(server: Server, receiver: Receiver) -> None:
    runs = []
    for millis in (50, 150, 400, 900, 1300):
        asked = time.time()
        run = create_run(server, {**http_task(receiver.url(f"/in-{millis}")), "delay": f"{millis}ms"})
        runs.append((millis, asked, run))
    for millis, asked, run in runs:
        (request,) = receiver.wait(f"/in-{millis}")
        assert request.time >= asked + millis / 1000
        assert request.time >= instant(run["scheduled_for"])


def test_run_at_in_the_past_runs_at_once(server: Server, receiver: Receiver) -> None:
    run = create_run(server, {**http_task(receiver.url("/past")), "run_at": timestamp(time.time() - 60)})
    receiver.wait("/past")
    assert wait_final(server, run["id"])["state"] == "succeeded"


def test_a_run_in_the_future_is_scheduled(server: Server) -> None:
    at = timestamp(time.time() + 86_400)
    run = create_run(server, {**http_task("http://127.0.0.1:9/"), "run_at": at})
    assert run["state"] == "scheduled"
    assert run["due_at"] == at
    assert run["started_at"] is None
    assert run["finished_at"] is None
    assert get_run(server, run["id"])["attempts"] == []


def test_runs_are_listed_newest_first_page_by_page(server: Server) -> None:
    made = [
        create_run(server, {**http_task("http://127.0.0.1:9/"), "payload": number, "delay": FAR})["id"]
        for number in range(25)
    ]
    first = server.api.get("/v1/runs", params={"limit": 10}).json()
    assert len(first["runs"]) == 10
    assert first["next_cursor"]
    found = [run["id"] for run in all_runs(server, limit=10)]
    assert found == made[::-1]


def test_a_cursor_is_steady_while_new_runs_arrive(server: Server) -> None:
    body = {**http_task("http://127.0.0.1:9/"), "delay": FAR}
    made = [create_run(server, body)["id"] for _ in range(10)]
    page = server.api.get("/v1/runs", params={"limit": 5}).json()
    create_run(server, body)
    rest = server.api.get("/v1/runs", params={"limit": 50, "cursor": page["next_cursor"]}).json()
    assert [run["id"] for run in page["runs"] + rest["runs"]] == made[::-1]


def test_runs_are_filtered_by_task_and_state(server: Server, receiver: Receiver) -> None:
    receiver.script("/bad", Answer(status=500))
    put_task(server, "good", http_task(receiver.url("/good")))
    put_task(server, "bad", http_task(receiver.url("/bad")))
    good = create_run(server, {"task": "good"})["id"]
    bad = create_run(server, {"task": "bad"})["id"]
    later = create_run(server, {"task": "good", "delay": FAR})["id"]
    wait_final(server, good)
    wait_final(server, bad)
    assert [run["id"] for run in all_runs(server, task="good")] == [later, good]
    assert [run["id"] for run in all_runs(server, state="failed")] == [bad]
    assert [run["id"] for run in all_runs(server, state="scheduled")] == [later]
    assert [run["id"] for run in all_runs(server, task="good", state="succeeded")] == [good]
    assert all_runs(server, task="bad", state="canceled") == []


def test_runs_are_filtered_by_time(server: Server) -> None:
    ids = {}
    for hour in (1, 2, 3):
        at = f"2040-01-01T0{hour}:00:00.000Z"
        ids[hour] = create_run(server, {**http_task("http://127.0.0.1:9/"), "run_at": at})["id"]
    window = {"from": "2040-01-01T02:00:00Z", "to": "2040-01-01T03:00:00Z"}
    assert [run["id"] for run in all_runs(server, **window)] == [ids[2]]
    assert len(all_runs(server, **{"from": "2040-01-01T01:30:00Z"})) == 2
    assert len(all_runs(server, to="2040-01-01T01:30:00Z")) == 1


def test_wrong_filters_are_refused(server: Server) -> None:
    for params in (
        {"state": "done"},
        {"from": "yesterday"},
        {"limit": "0"},
        {"limit": "x"},
        {"cursor": "not a cursor"},
    ):
        problem(server.api.get("/v1/runs", params=params))


def test_a_run_that_is_not_there_is_404(server: Server) -> None:
    problem(server.api.get("/v1/runs/run_0000000000001"), 404)
    problem(server.api.get("/v1/runs/nonsense"), 404, 400, 422)


def test_a_failed_run_says_why_and_keeps_its_attempts(server: Server, receiver: Receiver) -> None:
    receiver.script("/bad", Answer(status=503, body=b"the database is away"))
    run = create_run(server, http_task(receiver.url("/bad"), retry=quick_retry(3)))
    done = wait_final(server, run["id"])
    assert done["state"] == "failed"
    assert done["reason"]
    assert [attempt["number"] for attempt in done["attempts"]] == [1, 2, 3]
    assert {attempt["status"] for attempt in done["attempts"]} == {503}
    assert all(attempt["outcome"] == "failed" and attempt["error"] for attempt in done["attempts"])
    assert done["attempts"][0]["response"] == "the database is away"
    fences = [attempt["fence"] for attempt in done["attempts"]]
    assert fences == sorted(set(fences))


def test_a_run_under_way_reads_running(server: Server, receiver: Receiver) -> None:
    receiver.script("/slow", Answer(hang=True))
    run = create_run(server, http_task(receiver.url("/slow")))
    receiver.wait("/slow")
    running = wait_state(server, run["id"], "running")
    assert running["started_at"]
    assert running["finished_at"] is None
    receiver.release()


def test_runs_survive_a_crash(server: Server, receiver: Receiver) -> None:
    done = wait_final(server, create_run(server, http_task(receiver.url("/once")))["id"])
    later = create_run(server, {**http_task(receiver.url("/later")), "delay": FAR})
    server.kill()
    server.start()
    assert get_run(server, done["id"]) == done
    assert get_run(server, later["id"])["state"] == "scheduled"


def test_another_program_may_lock_the_store_for_a_moment(server: Server) -> None:
    with contextlib.closing(sqlite3.connect(server.store, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        release = threading.Timer(0.5, other.execute, ["ROLLBACK"])
        release.start()
        create_run(server, http_task("http://127.0.0.1:9/", delay=FAR))
        release.join()
    assert server.api.get("/health").status_code == 200
