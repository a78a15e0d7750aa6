"""The auditor: silent on what is right, and finds each fault that is planted in a store."""

import json
import shutil
import sqlite3
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from support.oracle import occurrences
from support.receiver import Answer, Receiver
from support.server import Factory, Server
from support.waiting import timestamp, wait_for
from support.words import (
    all_runs,
    create_run,
    http_task,
    problem,
    put_task,
    quick_retry,
    trigger,
    wait_final,
    wait_state,
)

S = 1_000_000


def audit(server: Server, *arguments: str, store: Path | None = None) -> tuple[int, dict[str, Any]]:
    where = ["--store", str(store)] if store else []
    done = server.cli("audit", "--json", *arguments, *where)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def kinds(found: dict[str, Any]) -> set[str]:
    return {one["kind"] for one in found["differences"]}


# --- a store that is right ---


@pytest.fixture(scope="module")
def right(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A stopped server whose store has seen a bit of everything. Faults are planted in copies of it."""
    server = Server(tmp_path_factory.mktemp("audited")).start()
    receiver = Receiver()
    receiver.script("/flaky", Answer(status=500), Answer(status=500), Answer())
    put_task(server, "tick", http_task(receiver.url("/tick"), schedule={"every": "1s"}))
    put_task(server, "paused", http_task(receiver.url("/paused"), schedule={"every": "1s"}))
    put_task(server, "edited", http_task(receiver.url("/edited"), schedule={"every": "1s"}))
    put_task(server, "deleted", http_task(receiver.url("/deleted"), schedule={"every": "1s"}))
    flaky = create_run(
        server,
        http_task(receiver.url("/flaky"), retry=quick_retry(3)),
    )
    receiver.wait("/tick", 2)
    receiver.wait("/paused")
    server.api.post("/v1/tasks/paused/pause", json={"reason": "a test"}).raise_for_status()
    put_task(server, "edited", http_task(receiver.url("/edited"), schedule={"every": "2s"}))
    server.api.delete("/v1/tasks/deleted").raise_for_status()
    wait_final(server, flaky["id"])
    wait_for(lambda: len(all_runs(server, task="paused", state="skipped")) >= 2, "occurrences are skipped")
    server.kill()
    time.sleep(4.2)
    server.start()
    wait_for(lambda: all_runs(server, task="tick", state="missed"), "the outage is recorded")
    receiver.wait("/tick", 5)
    server.stop()
    receiver.close()
    return server


@pytest.fixture
def plant(right: Server, tmp_path: Path) -> Callable[..., tuple[int, dict[str, Any]]]:
    """Runs statements on a copy of the store, and audits it."""

    def planted(*statements: str, arguments: tuple[str, ...] = ()) -> tuple[int, dict[str, Any]]:
        copy = tmp_path / "copy.db"
        shutil.copy(right.store, copy)
        with sqlite3.connect(copy) as db:
            for statement in statements:
                assert db.execute(statement).rowcount != 0, statement
        db.close()
        return audit(right, *arguments, store=copy)

    return planted


def test_nothing_is_found_where_nothing_is_wrong(plant: Callable[..., tuple[int, dict[str, Any]]]) -> None:
    code, found = plant()
    assert found["differences"] == []
    assert code == 0
    assert found["ok"] is True
    assert found["tasks"] == 4
    assert found["occurrences"] > 10
    assert found["runs"] > 10
    books = found["books"]
    ended = sum(books[state] for state in ("succeeded", "failed", "canceled", "missed", "skipped"))
    assert books["due"] == ended + books["live"]


RUN = (
    "(SELECT id FROM runs WHERE task_id = (SELECT id FROM tasks WHERE name = '{}') AND {} ORDER BY id LIMIT 1 OFFSET 1)"
)
TICK = RUN.format("tick", "state = 4")
FLAKY = "(SELECT run_id FROM attempts WHERE number = 3)"
PLANTS = {
    "a run of an occurrence is gone": ("no_record", f"DELETE FROM runs WHERE id = {TICK}"),
    "a missed occurrence is gone": ("no_record", "DELETE FROM runs WHERE id = " + RUN.format("tick", "state = 7")),
    "a skipped occurrence is gone": ("no_record", "DELETE FROM runs WHERE id = " + RUN.format("paused", "state = 8")),
    "a cursor went too far": (
        "no_record",
        "UPDATE cursors SET next_at = next_at + 3000000 WHERE task_id = (SELECT id FROM tasks WHERE name = 'tick')",
    ),
    "an occurrence twice": (
        "double",
        "INSERT INTO runs (id, task_id, revision_id, generation, state, trigger, attempts, fence, scheduled_for,"
        " due_at, finished_at, lane, reason) SELECT (SELECT max(id) + 1 FROM runs), task_id, revision_id,"
        f" generation + 7, 8, 0, 0, 0, scheduled_for, due_at, finished_at, lane, 'planted' FROM runs WHERE id = {TICK}",
    ),
    "an occurrence that never was": (
        "phantom",
        f"UPDATE runs SET scheduled_for = scheduled_for + 1000 WHERE id = {TICK}",
    ),
    "a run before its time": ("early", f"UPDATE runs SET started_at = scheduled_for - 1 WHERE id = {TICK}"),
    "a run while its task was paused": (
        "while_paused",
        "UPDATE runs SET started_at = (SELECT at + 1500000 FROM audit WHERE what = 'paused'), attempts = 0 WHERE id = "
        + RUN.format("paused", "state = 8"),
    ),
    "an attempt is gone": ("attempts", f"DELETE FROM attempts WHERE run_id = {FLAKY} AND number = 2"),
    "the last attempt is gone": ("attempts", "DELETE FROM attempts WHERE number = 3"),
    "an attempt too many": ("attempts", f"UPDATE runs SET attempts = attempts - 1 WHERE id = {FLAKY}"),
    "an attempt that was not allowed": (
        "attempts",
        "UPDATE revisions SET definition = json_set(definition, '$.retry.max_attempts', 2)"
        f" WHERE id = (SELECT revision_id FROM runs WHERE id = {FLAKY})",
    ),
    "a fence that stands still": (
        "fences",
        f"UPDATE attempts SET fence = (SELECT fence FROM attempts WHERE run_id = {FLAKY} AND number = 1)"
        " WHERE number = 2",
    ),
    "a success that was none": ("state", f"UPDATE attempts SET outcome = 1 WHERE run_id = {FLAKY}"),
    "an end that is not dated": ("state", f"UPDATE runs SET finished_at = NULL WHERE id = {TICK}"),
    "a live run with an end": ("state", f"UPDATE runs SET state = 3 WHERE id = {TICK}"),
    "a miss without a reason": (
        "reason",
        "UPDATE runs SET reason = NULL WHERE id = " + RUN.format("tick", "state = 7"),
    ),
    "a run that the books do not know": (
        "books",
        "INSERT INTO runs (id, generation, state, trigger, attempts, fence, due_at, finished_at, lane, reason)"
        " SELECT max(id) + 1, 0, 6, 1, 0, 0, 1, 1, 1, 'planted' FROM runs",
    ),
    "books that lost a run": ("books", "UPDATE books SET entered = entered - 1 WHERE state = 0"),
    "a dead letter of a run that is none": (
        "books",
        f"INSERT INTO dead_letters (run_id) SELECT id FROM runs WHERE id = {TICK}",
    ),
    "a one-off is gone": ("books", f"DELETE FROM runs WHERE id = {FLAKY}"),
}


@pytest.mark.parametrize("fault", PLANTS)
def test_a_planted_fault_is_found(plant: Callable[..., tuple[int, dict[str, Any]]], fault: str) -> None:
    kind, statement = PLANTS[fault]
    # An occurrence after the server's end shows only once its second has come.
    code, found = wait_for(lambda: (done := plant(statement))[0] and done, "a difference")
    assert code == 1
    assert kind in kinds(found), found["differences"]
    assert found["differences_total"] == len(found["differences"])
    for one in found["differences"]:
        assert one["detail"]


def test_an_edit_that_allows_fewer_attempts_is_no_fault(server: Server, receiver: Receiver) -> None:
    receiver.script("/job", Answer(status=500))
    put_task(server, "job", http_task(receiver.url("/job"), retry=quick_retry(4, initial="1s", max="1s")))
    run = trigger(server, "job")["id"]
    wait_state(server, run, "waiting")
    put_task(server, "job", http_task(receiver.url("/job"), retry=quick_retry(1)))
    assert wait_final(server, run)["attempt_count"] == 2, "the second was allowed by the first one's definition"
    assert audit(server)[1]["differences"] == []
    server.stop()
    allowed = "UPDATE revisions SET definition = json_set(definition, '$.retry.max_attempts', 1)"
    with sqlite3.connect(server.store) as db:
        db.execute(allowed)
    db.close()
    (one,) = audit(server, store=server.store)[1]["differences"]
    assert (one["kind"], one["task"], one["run"]) == ("attempts", "job", run)
    assert one["detail"] == "it had 2 attempts, and its definition allowed 1"


def test_a_difference_names_task_and_instant(plant: Callable[..., tuple[int, dict[str, Any]]], right: Server) -> None:
    with sqlite3.connect(right.store) as db:
        (nominal,) = db.execute(f"SELECT scheduled_for FROM runs WHERE id = {TICK}").fetchone()
    db.close()
    _, found = plant(f"DELETE FROM runs WHERE id = {TICK}", arguments=("--task", "tick"))
    (one,) = found["differences"]
    assert (one["task"], one["at"], one["run"]) == ("tick", timestamp(nominal / S), None)
    _, other = plant(f"DELETE FROM runs WHERE id = {TICK}", arguments=("--task", "paused"))
    assert other["differences"] == []


def test_what_history_has_cleared_is_not_judged(plant: Callable[..., tuple[int, dict[str, Any]]]) -> None:
    _, found = plant(
        "DELETE FROM runs WHERE task_id = (SELECT id FROM tasks WHERE name = 'tick')",
        "INSERT INTO settings VALUES ('history_cleared_until', (SELECT max(finished_at) FROM runs))",
        arguments=("--task", "tick"),
    )
    assert found["differences"] == []
    assert found["audited_from"] > found["from"]


def test_what_is_still_to_be_recorded_is_pending(plant: Callable[..., tuple[int, dict[str, Any]]]) -> None:
    found = wait_for(lambda: (done := plant()[1])["pending"] and done, "occurrences since the server stopped")
    assert found["differences"] == []


def test_the_words_for_people(right: Server, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    shutil.copy(right.store, copy)
    with sqlite3.connect(copy) as db:
        db.execute(f"DELETE FROM runs WHERE id = {TICK}")
    db.close()
    done = right.cli("audit", "--store", str(copy))
    assert done.returncode == 1
    assert "no_record" in done.stdout
    assert "it was due and has no run" in done.stdout
    assert "books: " in done.stdout


# --- held against Python's zoneinfo ---

TRANSITIONS = [
    ("30 2 * * *", "Europe/Berlin", datetime(2026, 3, 27, 12, 0, 30, tzinfo=UTC)),
    ("30 2 * * *", "Europe/Berlin", datetime(2025, 10, 24, 12, 0, 30, tzinfo=UTC)),
    ("*/20 * * * *", "America/New_York", datetime(2025, 10, 31, 12, 0, 30, tzinfo=UTC)),
    ("0,15,30,45 0,1,2,3 * * *", "Australia/Lord_Howe", datetime(2025, 10, 3, 2, 0, 30, tzinfo=UTC)),
]


@pytest.mark.parametrize(("cron", "zone", "start"), TRANSITIONS)
def test_what_was_due_is_what_zoneinfo_says(
    server: Server, tmp_path: Path, cron: str, zone: str, start: datetime
) -> None:
    put_task(server, "subject", http_task("http://127.0.0.1:9/", schedule={"cron": cron, "timezone": zone}))
    server.stop()
    end = start + timedelta(days=4)
    due = [round(one.timestamp() * S) for one in occurrences(cron, zone, start, end)]
    with sqlite3.connect(server.store) as db:
        db.execute("UPDATE audit SET at = ?", (round((start - timedelta(days=1)).timestamp() * S),))
        for at in due:
            db.execute(
                "INSERT INTO runs (id, task_id, generation, state, trigger, attempts, fence, scheduled_for, due_at,"
                " finished_at, lane, reason) VALUES ((SELECT coalesce(max(id), 0) + 1 FROM runs), 1, 1, 7, 0, 0, 0,"
                " ?1, ?1, ?1 + 5, 1, 'written by a test')",
                (at,),
            )
    db.close()
    window = ("--task", "subject", "--from", start.isoformat(), "--to", end.isoformat())
    code, found = audit(server, *window, store=server.store)
    assert found["differences"] == []
    assert (code, found["occurrences"], found["runs"]) == (0, len(due), len(due))
    for gone in (due[0], due[len(due) // 2], due[-1]):
        copy = tmp_path / "copy.db"
        shutil.copy(server.store, copy)
        with sqlite3.connect(copy) as db:
            db.execute("DELETE FROM runs WHERE scheduled_for = ?", (gone,))
        db.close()
        _, found = audit(server, *window, store=copy)
        assert [(one["kind"], one["at"]) for one in found["differences"]] == [("no_record", timestamp(gone / S))]
    server.start()


# --- edits after an outage ---


def an_outage_of_a_minute(server: Server, receiver: Receiver) -> None:
    """A stopped server with a task of every second, as if it had been away for the last minute."""
    put_task(server, "tick", http_task(receiver.url("/tick"), schedule={"every": "1s"}))
    receiver.wait("/tick")
    server.kill()
    with sqlite3.connect(server.store) as db:
        db.execute("UPDATE cursors SET next_at = next_at - 60000000")
        db.execute("UPDATE audit SET at = (SELECT next_at - 1 FROM cursors)")
    db.close()


@pytest.mark.parametrize("edit", ["changed", "deleted"])
def test_an_edit_that_comes_first_after_an_outage_leaves_nothing_without_a_record(
    server: Server, receiver: Receiver, edit: str
) -> None:
    an_outage_of_a_minute(server, receiver)
    tasks = {"tick": http_task(receiver.url("/tick"), schedule={"every": "2s"})} if edit == "changed" else {}
    file = server.folder / "tasks.json"
    file.write_text(json.dumps({"version": 1, "tasks": tasks}))
    server.arguments += ["--apply", str(file)]
    server.start()
    if edit == "deleted":
        server.api.delete("/v1/tasks/tick").raise_for_status()
    found = server.api.get("/v1/audit").json()
    assert found["differences"] == []
    assert found["occurrences"] >= 60
    assert len(all_runs(server, task="tick", state="missed")) >= 50 if edit == "changed" else True


# --- of a server that runs ---


def test_the_api_answers_an_audit(server: Server, receiver: Receiver) -> None:
    put_task(server, "tick", http_task(receiver.url("/tick"), schedule={"every": "1s"}))
    receiver.wait("/tick", 2)
    found = server.api.get("/v1/audit").json()
    assert found["differences"] == []
    assert found["ok"] is True
    assert found["occurrences"] >= 1
    code, same = audit(server, "--task", "tick")
    assert code == 0
    assert same["differences"] == []


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("to=2100-01-01T00:00:00Z", "to"),
        ("from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", "from"),
        ("from=yesterday", "from"),
        ("task=No%20name", "task"),
        ("tasks=a", "tasks"),
    ],
)
def test_an_audit_that_makes_no_sense_is_refused(shared_server: Server, query: str, parameter: str) -> None:
    found = problem(shared_server.api.get(f"/v1/audit?{query}"), 400)
    assert any(parameter in error["parameter"] for error in found["errors"])


def test_an_unknown_task_is_not_found(shared_server: Server) -> None:
    assert '"nobody"' in problem(shared_server.api.get("/v1/audit?task=nobody"), 404)["detail"]
    assert shared_server.cli("audit", "--task", "nobody").returncode == 4


def test_a_fault_fails_ready_and_shows_in_metrics_and_log(server_factory: Factory, receiver: Receiver) -> None:
    server = server_factory()
    put_task(server, "tick", http_task(receiver.url("/tick"), schedule={"every": "1s"}))
    receiver.wait("/tick", 4)
    server.stop()
    with sqlite3.connect(server.store) as db:
        db.execute(f"DELETE FROM runs WHERE id = {TICK}")
    db.close()
    server.start()
    answer = wait_for(
        lambda: (r := server.api.get("/ready")).status_code == 503 and r.json(), "the audit fails", within=60
    )
    assert answer["checks"]["audit"]["ok"] is False
    assert answer["checks"]["audit"]["differences"] >= 1
    assert "punctual audit" in answer["checks"]["audit"]["detail"]
    assert any(line["kind"] == "no_record" and line["task"] == "tick" for line in server.log_events("audit_difference"))
    wait_for(lambda: "punctual_audit_differences 0\n" not in server.api.get("/metrics").text, "the metric shows it")


def test_the_audit_that_never_ends_is_silent_where_all_is_right(server: Server, receiver: Receiver) -> None:
    put_task(server, "tick", http_task(receiver.url("/tick"), schedule={"every": "1s"}))
    check = wait_for(
        lambda: (c := server.api.get("/ready").json()["checks"]["audit"])["until"] and c, "a round", within=60
    )
    assert check["ok"] is True
    assert server.log_events("audit_difference") == []
