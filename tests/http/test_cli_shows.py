"""The command line, against an API with canned answers: lists, pages, terminals."""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

from support.cli import RUN, a_run, a_task, an_attempt, instant, on_a_terminal, punctual, without_colours
from support.fake_api import Answer, FakeApi
from support.server import ROOT


def test_lists_follow_the_cursor_up_to_the_limit(api: FakeApi) -> None:
    pages = {
        None: {"runs": [a_run(id=f"run_{n:013}") for n in range(100)], "next_cursor": "a&b"},
        "a&b": {"runs": [a_run(id=f"run_{n:013}") for n in range(100, 150)], "next_cursor": "more"},
    }
    api.on("GET /v1/runs", lambda asked: Answer(200, pages[asked.query.get("cursor")]))
    done = punctual(api, "runs", "--limit", "150", "--json")
    answer = json.loads(done.stdout)
    assert [run["id"] for run in answer["runs"]] == [f"run_{n:013}" for n in range(150)]
    assert answer["next_cursor"] == "more"
    assert [asked.query["limit"] for asked in api.asked] == ["100", "50"]


def test_an_empty_page_that_promises_more_is_the_last(api: FakeApi) -> None:
    api.on("GET /v1/tasks", Answer(200, {"tasks": [], "next_cursor": "x"}))
    done = punctual(api, "tasks")
    assert done.returncode == 0
    assert "No tasks yet" in done.stdout
    assert len(api.asked) == 1


def test_filters_of_runs_are_sent(api: FakeApi) -> None:
    api.on("GET /v1/runs", Answer(200, {"runs": [], "next_cursor": None}))
    punctual(api, "runs", "--task", "x", "--state", "failed", "--from", "2h", "--to", "2030-01-01T00:00:00Z")
    query = api.asked[-1].query
    assert (query["task"], query["state"], query["to"]) == ("x", "failed", "2030-01-01T00:00:00.000Z")
    age = datetime.now(UTC) - datetime.fromisoformat(query["from"])
    assert timedelta(hours=2) <= age < timedelta(hours=2, seconds=20)


def test_queues_are_shown_with_what_waits_and_who_works(api: FakeApi) -> None:
    emails = {
        "name": "emails",
        "due": 3,
        "scheduled": 1,
        "running": 12,
        "waiting_workers": 0,
        "oldest_due_at": instant(minutes=2),
        "max_running": 20,
        "rate_limit": {"limit": 100, "per": "1m"},
        "opens_at": None,
    }
    idle = {**emails, "name": "b", "due": 0, "oldest_due_at": None, "max_running": None, "waiting_workers": 2}
    idle["rate_limit"] = None
    api.on("GET /v1/queues", Answer(200, {"queues": [emails, idle]}))
    lines = punctual(api, "queues").stdout.splitlines()
    assert re.split("  +", lines[0]) == ["QUEUE", "DUE", "OLDEST", "RUNNING", "RATE", "SCHEDULED", "WORKERS WAITING"]
    assert re.split("  +", lines[1]) == ["emails", "3", "2 min ago", "12 of 20", "100 in 1m", "1", "0"]
    assert re.split("  +", lines[2]) == ["b", "0", "-", "12", "-", "1", "2"]
    assert json.loads(punctual(api, "queues", "--json").stdout)["queues"] == [emails, idle]
    api.on("GET /v1/queues", Answer(200, {"queues": []}))
    assert punctual(api, "queues").stdout == "No queue has runs or workers.\n"


def test_a_task_of_a_queue_is_shown_as_one(api: FakeApi) -> None:
    definition = {"queue": {"name": "emails"}, "retry": {"max_attempts": 1}}
    api.on("GET /v1/tasks/nightly-invoices", Answer(200, a_task(definition=definition)))
    api.on("GET /v1/tasks/nightly-invoices/upcoming", Answer(200, {"upcoming": []}))
    api.on("GET /v1/runs", Answer(200, {"runs": [], "next_cursor": None}))
    shown = punctual(api, "task", "nightly-invoices").stdout
    assert re.search("queue +emails", shown)
    assert "as long as its lease; one attempt" in shown


def test_tasks_are_shown_with_what_matters(api: FakeApi) -> None:
    paused = {"at": instant(hours=1), "by": "kim", "reason": "move"}
    nothing = a_task(name="new", figures=None, next=[], definition={"schedule": {"rrule": "x"}})
    api.on(
        "GET /v1/tasks",
        Answer(200, {"tasks": [a_task(), a_task(name="b", paused=paused), nothing], "next_cursor": None}),
    )
    lines = punctual(api, "tasks").stdout.splitlines()
    assert lines[0].split() == ["TASK", "SCHEDULE", "NEXT", "ERRORS", "P50", "P95"]
    assert re.split("  +", lines[1]) == [
        "nightly-invoices",
        "every day at 02:30",
        "in 7 h",
        "2 %",
        "120 ms",
        "1.4 s",
    ]
    assert re.split("  +", lines[2])[2] == "paused"
    assert re.split("  +", lines[3]) == ["new", "?", "-", "-", "-", "-"]


# --- terminals


def test_a_narrow_terminal_cuts_with_an_ellipsis_and_a_pipe_cuts_nothing(api: FakeApi) -> None:
    long = a_run(state="failed", reason="expected status 200, and 503 came after five attempts in ten minutes")
    api.on("GET /v1/runs", Answer(200, {"runs": [long], "next_cursor": None}))
    for columns in (80, 60, 40, 20):
        shown = without_colours(on_a_terminal(api, columns, "runs"))
        assert max(len(line) for line in shown.splitlines()) <= columns
        assert "…" in shown
    assert len(without_colours(on_a_terminal(api, 60, "runs", COLUMNS="100")).splitlines()[1]) > 60
    assert long["reason"] in punctual(api, "runs", COLUMNS="40").stdout


def test_colours_only_on_a_terminal_and_not_with_no_color(api: FakeApi) -> None:
    api.on("GET /v1/runs", Answer(200, {"runs": [a_run()], "next_cursor": None}))
    assert "\x1b[32msucceeded\x1b[0m" in on_a_terminal(api, 80, "runs")
    assert "\x1b" not in on_a_terminal(api, 80, "runs", NO_COLOR="1")
    assert "\x1b" not in on_a_terminal(api, 80, "runs", TERM="dumb")
    assert "\x1b" not in punctual(api, "runs").stdout


def test_what_an_endpoint_answered_cannot_move_the_cursor(api: FakeApi) -> None:
    evil = an_attempt(outcome="failed", error="\x1b[2J\x1b]0;title\x07", response="\x1b[31mred\r\nback")
    api.on(f"GET /v1/runs/{RUN}", Answer(200, a_run(reason="\x1b[2J", attempts=[evil])))
    shown = on_a_terminal(api, 80, "run", RUN, NO_COLOR="1")
    assert "\x1b" not in shown
    assert "\x07" not in shown


def test_json_is_one_document_also_on_a_terminal(api: FakeApi) -> None:
    api.on("GET /v1/tasks/x", Answer(200, a_task()))
    assert json.loads(on_a_terminal(api, 40, "task", "x", "--json")) == json.loads(
        punctual(api, "task", "x", "--json").stdout
    )


# --- one task, one run


def answer_task(api: FakeApi, task: dict[str, Any]) -> None:
    dst = "its local time does not exist: it runs at the first instant after the gap"
    first = {"at": "2026-03-28T01:30:00.000Z", "local": "2026-03-28T02:30:00+01:00", "schedule": 0}
    second = {"at": "2026-03-29T01:00:00.000Z", "local": "2026-03-29T03:00:00+02:00", "schedule": 0}
    at = [
        first | {"effective_at": "2026-03-28T01:32:00.000Z", "dst": None},
        second | {"effective_at": "2026-03-29T01:00:00.000Z", "dst": dst},
    ]
    api.on("GET /v1/tasks/nightly-invoices", Answer(200, task))
    api.on("GET /v1/tasks/nightly-invoices/upcoming", Answer(200, {"occurrences": at}))
    api.on("GET /v1/runs", Answer(200, {"runs": [a_run()], "next_cursor": None}))


def test_a_task_is_one_page_of_80_columns(api: FakeApi) -> None:
    answer_task(api, a_task())
    shown = on_a_terminal(api, 80, "task", "nightly-invoices", NO_COLOR="1")
    assert max(len(line) for line in shown.splitlines()) <= 80
    assert shown.count("\n") < 50
    words = " ".join(shown.split())
    for part in (
        "nightly-invoices revision 3, changed 3 h ago",
        "Create the invoices for the day before",
        "schedule every day at 02:30, Europe/Berlin (30 2 * * *), up to 5m later",
        "POST https://app.example.com/tasks/nightly-invoices",
        '{"kind":"daily"}',
        "10m each; 5 attempts, exponential backoff from 5s to 10m",
        "status 200, /ok is true, within 2m",
        "Sat 2026-03-28 02:30:00 +01:00",
        "jitter +2 min",
        "Sun 2026-03-29 03:00:00 +02:00",
        "2026-03-29: its local time does not exist: it runs at the first instant after the gap",
        "owner billing@example.com",
        "input kind is daily or monthly",
        "result one invoice per customer with usage",
        "rollback punctual rollback nightly-invoices, then void the day's invoices in the admin",
        "noticed at the invoices page of the customer portal",
        "the last 100 attempts errors 2 % (2 of 100 did not succeed)",
        "p50 120 ms, p95 1.4 s",
        "80 warm, 15 cold, 5 unknown",
        "6 calls (p50)",
        f"{RUN} succeeded 2 min ago 2.0 s schedule",
    ):
        assert part in words, part


def test_a_paused_task_says_so_at_the_top(api: FakeApi) -> None:
    answer_task(api, a_task(paused={"at": instant(minutes=5), "by": "kim", "reason": "the database moves"}))
    shown = punctual(api, "task", "nightly-invoices").stdout
    assert "PAUSED by kim, 5 min ago: the database moves" in "\n".join(shown.splitlines()[:5])


def test_a_task_of_another_version_is_still_shown(api: FakeApi) -> None:
    odd = {
        "name": "nightly-invoices",
        "definition": {"schedule": [1, "x"], "queue": 5, "runbook": []},
        "next": 7,
    }
    answer_task(api, odd)
    api.on("GET /v1/tasks/nightly-invoices/upcoming", Answer(200, {"occurrences": [{"local": 5}, 6]}))
    api.on("GET /v1/runs", Answer(200, {"runs": [5, {}], "next_cursor": 5}))
    done = punctual(api, "task", "nightly-invoices")
    assert done.returncode == 0, done.stderr


def test_a_run_is_shown_with_its_attempts_and_phases(api: FakeApi) -> None:
    first = an_attempt(outcome="failed", status=503, error="expected status 200 to 299, got 503", db_calls=None)
    run = a_run(state="failed", reason="out of attempts", attempts=[first, an_attempt(number=2, status=None)])
    api.on(f"GET /v1/runs/{RUN}", Answer(200, run))
    shown = punctual(api, "run", RUN).stdout
    assert shown.splitlines()[0] == f"{RUN}  failed"
    assert re.search(r"reason +out of attempts", shown)
    rows = [line.split() for line in shown.splitlines() if re.match(r" +[12] ", line)]
    assert rows[0][:3] == ["1", "failed", "503"]
    assert "30 ms" in shown
    assert re.search(r"#1 +expected status 200 to 299, got 503", shown)
    assert '{"ok": true}' in shown
    assert json.loads(punctual(api, "run", RUN, "--json").stdout) == run


def test_the_readme_shows_a_run_as_it_is_shown(api: FakeApi) -> None:
    unavailable = {
        "outcome": "failed",
        "status": 503,
        "error": "answered 503 Service Unavailable; expected 200 to 299",
        "lateness_ms": 0.211,
        "response_time_ms": 4.4,
        "phases": {"dns_ms": 0.024, "connect_ms": 0.154, "tls_ms": None, "first_byte_ms": 4.3},
        "cache": "unknown",
        "db_calls": None,
        "response": None,
    }
    done = {
        "lateness_ms": 0.096,
        "response_time_ms": 812,
        "phases": {"dns_ms": 0, "connect_ms": 0, "tls_ms": None, "first_byte_ms": 811},
        "db_calls": 14,
        "response": None,
    }
    run = a_run(
        id="run_0sapk3fbg0000",
        revision=1,
        payload=None,  # as of every occurrence: it gets the task's
        scheduled_for="2026-11-24T01:30:00.000Z",
        due_at="2026-11-24T01:30:04.417Z",
        started_at="2026-11-24T01:30:00.000Z",
        finished_at="2026-11-24T01:30:05.230Z",
        attempts=[an_attempt(**unavailable), an_attempt(number=2, **done)],
    )
    api.on(f"GET /v1/runs/{run['id']}", Answer(200, run))
    shown = re.sub(r"( UTC), .*", r"\1, 6 h ago", punctual(api, "run", run["id"]).stdout)
    assert f"```text\n{shown}```\n" in (ROOT / "README.md").read_text()


def test_a_run_that_is_over_is_not_due(api: FakeApi) -> None:
    later = instant(minutes=-1)
    api.on(f"GET /v1/runs/{RUN}", Answer(200, a_run(due_at=later)))
    assert not re.search(r"^ +due ", punctual(api, "run", RUN).stdout, re.MULTILINE)
    api.on(f"GET /v1/runs/{RUN}", Answer(200, a_run(due_at=later, state="waiting", finished_at=None)))
    assert re.search(r"^ +due .*, in ", punctual(api, "run", RUN).stdout, re.MULTILINE)


def test_a_response_ends_where_its_words_end(api: FakeApi) -> None:
    api.on(f"GET /v1/runs/{RUN}", Answer(200, a_run(attempts=[an_attempt(response="done\r\n")])))
    assert punctual(api, "run", RUN).stdout.endswith("\n  done\n")


def test_a_narrow_terminal_leaves_out_columns_rather_than_cut_numbers(api: FakeApi) -> None:
    api.on("GET /v1/runs", Answer(200, {"runs": [a_run(reason="why")], "next_cursor": None}))
    titles, row = without_colours(on_a_terminal(api, 60, "runs")).splitlines()[:2]
    assert titles.split() == ["RUN", "TASK", "STATE", "DUE", "…"]
    assert row.endswith("2 min ago")
