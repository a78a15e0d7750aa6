"""The command line, against an API with canned answers: what it shows, what it asks, how it ends."""

import fcntl
import json
import os
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from support.fake_api import Answer, Asked, FakeApi, problem
from support.server import ROOT, binary

RUN = "run_0c4x9k2m1p7qz"
COMMANDS = (
    *("apply", "diff", "tasks", "task", "runs", "run", "trigger", "pause", "resume"),
    *("cancel", "retry", "rollback", "queues", "events", "next", "version"),
)


def instant(**ago: float) -> str:
    return (datetime.now(UTC) - timedelta(**ago)).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def a_run(**changed: Any) -> dict[str, Any]:
    return {
        "id": RUN,
        "task": "nightly-invoices",
        "revision": 3,
        "state": "succeeded",
        "reason": None,
        "trigger": "schedule",
        "scheduled_for": instant(minutes=2, seconds=30),
        "due_at": instant(minutes=2, seconds=30),
        "started_at": instant(minutes=2, seconds=30),
        "finished_at": instant(minutes=2, seconds=28),
        "payload": {"kind": "daily"},
        "retry_of": None,
    } | changed


def an_attempt(**changed: Any) -> dict[str, Any]:
    return {
        "number": 1,
        "started_at": instant(minutes=2),
        "lateness_ms": 0.412,
        "response_time_ms": 34.5,
        "phases": {"dns_ms": 1.25, "connect_ms": 2, "tls_ms": None, "first_byte_ms": 30},
        "outcome": "succeeded",
        "status": 200,
        "error": None,
        "cache": "cold",
        "db_calls": 6,
        "db_time_ms": 12.5,
        "response": '{"ok": true}',
        "fence": 1,
    } | changed


def a_task(**changed: Any) -> dict[str, Any]:
    return {
        "name": "nightly-invoices",
        "revision": 3,
        "created_at": instant(days=30),
        "changed_at": instant(hours=3),
        "paused": None,
        "definition": {
            "summary": "Create the invoices for the day before",
            "schedule": {"cron": "30 2 * * *", "timezone": "Europe/Berlin", "jitter": "5m"},
            "http": {"method": "POST", "url": "https://app.example.com/tasks/nightly-invoices"},
            "payload": {"kind": "daily"},
            "timeout": "10m",
            "retry": {"max_attempts": 5, "backoff": "exponential", "initial": "5s", "max": "10m"},
            "expect": {"status": 200, "json": {"/ok": True}, "max_duration": "2m"},
            "runbook": {
                "owner": "billing@example.com",
                "expected_input": "kind is daily or monthly",
                "expected_result": "one invoice per customer with usage",
                "rollback": "punctual rollback nightly-invoices, then void the day's invoices in the admin",
                "noticed_at": "the invoices page of the customer portal",
            },
        },
        "next": [instant(hours=-7.5)],
        "figures": {
            "attempts": 100,
            "failed": 2,
            "error_rate": 0.02,
            "p50_ms": 120.5,
            "p95_ms": 1480,
            "cache": {"warm": 80, "cold": 15, "unknown": 5},
            "db_calls_p50": 6,
        },
    } | changed


@pytest.fixture
def api() -> Iterator[FakeApi]:
    with FakeApi() as fake:
        yield fake


def environment(api: FakeApi | None, extra: dict[str, str]) -> dict[str, str]:
    dropped = ("PUNCTUAL", "NO_COLOR", "COLUMNS", "TERM", "HTTP_PROXY", "ALL_PROXY")
    kept = {name: value for name, value in os.environ.items() if not name.upper().startswith(dropped)}
    return kept | {"TERM": "xterm"} | ({"PUNCTUAL_URL": api.url} if api else {}) | extra


def punctual(api: FakeApi | None, *arguments: str, stdin: str = "", **extra: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [binary(), *arguments],
        env=environment(api, extra),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def on_a_terminal(api: FakeApi, columns: int, *arguments: str, **extra: str) -> str:
    """Standard output of a command on a terminal so wide."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    process = subprocess.Popen(
        [binary(), *arguments],
        env=environment(api, extra),
        stdin=subprocess.DEVNULL,
        stdout=slave,
        stderr=subprocess.PIPE,
    )
    os.close(slave)
    shown = b""
    while True:
        try:
            piece = os.read(master, 65536)
        except OSError:  # Linux says EIO when the other end is closed
            break
        if not piece:
            break
        shown += piece
    os.close(master)
    process.communicate(timeout=30)
    return shown.decode().replace("\r\n", "\n")


def without_colours(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


# --- help and wrong use


@pytest.mark.parametrize("arguments", [(), ("help",), ("--help",), ("-h",)])
def test_help_lists_every_command_and_the_exit_codes(arguments: tuple[str, ...]) -> None:
    done = punctual(None, *arguments)
    assert done.returncode == 0
    for name in COMMANDS:
        assert re.search(rf"^  {name} +\S", done.stdout, re.M), name
    assert re.search(r"^ +130 +interrupted$", done.stdout, re.M)


def test_help_of_a_command_has_options_and_examples() -> None:
    first, second = punctual(None, "help", "trigger"), punctual(None, "trigger", "x", "--help")
    assert first.returncode == second.returncode == 0
    assert first.stdout == second.stdout
    assert "--payload JSON" in first.stdout
    assert "--url URL" in first.stdout
    assert "punctual trigger nightly-invoices --wait\n" in first.stdout


def test_help_fits_80_columns(api: FakeApi) -> None:
    for name in ("", "apply", "diff", "runs", "trigger", "rollback", "events"):
        for line in without_colours(on_a_terminal(api, 80, "help", *([name] if name else []))).splitlines():
            assert len(line) <= 80, line


def test_an_unknown_command_suggests_the_nearest() -> None:
    done = punctual(None, "taks")
    assert done.returncode == 2
    assert 'there is no command "taks"; did you mean "task' in done.stderr
    assert punctual(None, "help", "xyzzy").returncode == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("runs", "--tsak", "x"), "did you mean --task?"),
        (("task",), "NAME is missing"),
        (("task", "a", "b"), '"b" is too much'),
        (("task", ""), "can be no name"),
        (("task", ".."), "can be no name"),
        (("runs", "--limit", "many"), "--limit is a whole number"),
        (("runs", "--from", "yesterday"), "--from is an instant such as"),
        (("trigger", "x", "--delay", "soon"), "--delay is a duration such as 10m"),
        (("trigger", "x", "--delay", "1m", "--at", "2030-01-01T00:00:00Z"), "exclude each other"),
        (("trigger", "x", "--payload", "{kind: 1}"), "the payload is not JSON"),
        (("trigger", "x", "--payload", "@/nowhere/at/all"), "cannot read /nowhere/at/all"),
        (("pause", "x"), "a pause says why"),
        (("rollback", "x", "--revision", "0"), "--revision is a whole number from 1"),
        (("events", "--after", "yesterday"), "--after is the id of an event"),
        (("tasks", "--url", "localhost:8640"), "it must be like http://127.0.0.1:8640"),
        (("tasks", "--api-key-file", "/nowhere/at/all"), "cannot read the API key"),
        (("apply", "/nowhere/at/all.yaml"), "cannot read /nowhere/at/all.yaml"),
    ],
)
def test_wrong_use_ends_with_2_and_says_what_would_be_right(
    api: FakeApi, arguments: tuple[str, ...], words: str
) -> None:
    done = punctual(api, *arguments)
    assert done.returncode == 2, done
    assert words in done.stderr
    assert done.stdout == ""
    assert api.asked == []


@pytest.mark.parametrize("arguments", [("help", "secret"), ("secret", "--help")])
def test_help_of_secret_says_which_store_is_read(arguments: tuple[str, ...]) -> None:
    done = punctual(None, *arguments)
    assert done.returncode == 0, done.stderr
    assert "--store PATH" in done.stdout
    assert "PUNCTUAL_STORE" in done.stdout


def test_a_secret_whose_store_is_elsewhere_says_how_to_name_it(tmp_path: Path) -> None:
    done = punctual(None, "secret", "show", f"--store={tmp_path}/none.db")
    assert done.returncode == 1
    assert f"{tmp_path}/none.db cannot be opened" in done.stderr
    assert "--store PATH" in done.stderr


def test_version() -> None:
    assert re.fullmatch(r"punctual \d+\.\d+\.\d+\n", punctual(None, "version").stdout)
    assert re.fullmatch(r"punctual \d+\.\d+\.\d+\n", punctual(None, "--version").stdout)
    assert list(json.loads(punctual(None, "version", "--json").stdout)) == ["version"]


# --- how it ends


def test_a_server_that_is_not_there_is_exit_code_3() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    done = punctual(None, "tasks", "--url", f"http://127.0.0.1:{port}")
    assert done.returncode == 3
    assert f"cannot reach http://127.0.0.1:{port}" in done.stderr
    assert "punctual serve" in done.stderr


def test_a_refusal_is_exit_code_4_and_told_with_its_places(api: FakeApi) -> None:
    errors = [{"pointer": "/payload", "detail": "is at most 256 KiB", "line": 1, "column": 5}]
    api.on("POST /v1/tasks/x/runs", problem(400, "The request makes no sense", "the run has errors", errors))
    done = punctual(api, "trigger", "x")
    assert done.returncode == 4
    assert done.stderr.splitlines()[0] == "punctual: The request makes no sense (400): the run has errors"
    assert done.stderr.splitlines()[1] == "  /payload: is at most 256 KiB (line 1, column 5)"
    as_json = punctual(api, "trigger", "x", "--json")
    assert as_json.returncode == 4
    assert json.loads(as_json.stdout)["errors"] == errors


def test_trouble_of_the_server_is_exit_code_5(api: FakeApi) -> None:
    api.on("GET /v1/tasks", problem(503, "Not now", "the server is stopping"))
    done = punctual(api, "tasks")
    assert done.returncode == 5
    assert "Not now (503): the server is stopping" in done.stderr


@pytest.mark.parametrize("body", [b"<html>hello</html>", b"", b"{"])
def test_something_that_is_no_punctual_server_is_told_as_such(api: FakeApi, body: bytes) -> None:
    api.on("GET /v1/tasks", Answer(200, body, "text/html"))
    done = punctual(api, "tasks")
    assert done.returncode == 5
    assert "is this the address of a Punctual server?" in done.stderr


def test_a_missing_key_says_where_keys_come_from(api: FakeApi) -> None:
    api.on("GET /v1/tasks", problem(401, "An API key is needed", "send Authorization: Bearer"))
    done = punctual(api, "tasks")
    assert done.returncode == 4
    assert "PUNCTUAL_API_KEY" in done.stderr


# --- what it sends


def test_key_and_author_are_sent(api: FakeApi, tmp_path: Path) -> None:
    api.on("POST /v1/tasks/x/resume", Answer(200, a_task()))
    punctual(api, "resume", "x", PUNCTUAL_API_KEY="from-environment", PUNCTUAL_AUTHOR="kim")
    assert api.asked[-1].headers["Authorization"] == "Bearer from-environment"
    assert api.asked[-1].headers["Punctual-Author"] == "kim"
    (tmp_path / "key").write_text("from-file\n")
    punctual(api, "resume", "x", "--api-key-file", str(tmp_path / "key"), "--author", "lee", PUNCTUAL_AUTHOR="kim")
    assert api.asked[-1].headers["Authorization"] == "Bearer from-file"
    assert api.asked[-1].headers["Punctual-Author"] == "lee"
    punctual(api, "resume", "x")
    assert "Authorization" not in api.asked[-1].headers
    assert re.fullmatch(r"[^@]+@[^@]+", api.asked[-1].headers["Punctual-Author"])


def test_a_name_is_escaped_into_the_path(api: FakeApi) -> None:
    assert punctual(api, "run", "a/../b?c").returncode == 4
    assert api.asked[-1].path == "/v1/runs/a%2F..%2Fb%3Fc"


def test_pause_sends_the_reason(api: FakeApi) -> None:
    api.on("POST /v1/tasks/x/pause", Answer(200, a_task() | {"running": [RUN]}))
    done = punctual(api, "pause", "x", "--reason", "the database moves")
    assert done.returncode == 0
    assert api.asked[-1].body == {"reason": "the database moves"}
    assert f"still running: {RUN}" in done.stdout


def test_rollback_names_the_revision_only_where_given(api: FakeApi) -> None:
    api.on("POST /v1/tasks/x/rollback", Answer(200, a_task(revision=4)))
    assert "revision 4" in punctual(api, "rollback", "x").stdout
    assert api.asked[-1].body == {}
    punctual(api, "rollback", "x", "--revision", "2", "--note", "wrong endpoint")
    assert api.asked[-1].body == {"revision": 2, "note": "wrong endpoint"}


def test_cancel_says_what_became_of_the_run(api: FakeApi) -> None:
    api.on(f"POST /v1/runs/{RUN}/cancel", Answer(200, a_run(state="canceled")))
    assert punctual(api, "cancel", RUN, "--reason", "by mistake").stdout == f"{RUN} is canceled.\n"
    assert api.asked[-1].body == {"reason": "by mistake"}


# --- trigger and retry


def test_trigger_sends_payload_and_time_and_a_fresh_key_each_time(api: FakeApi, tmp_path: Path) -> None:
    api.on("POST /v1/tasks/x/runs", Answer(201, a_run(state="scheduled", due_at=instant(minutes=-9.5))))
    done = punctual(api, "trigger", "x", "--payload", '{"a": 1.5}', "--delay", "10m")
    assert done.returncode == 0
    assert done.stdout.startswith(f"{RUN} is scheduled; its time: ")
    assert "in 9 min" in done.stdout
    assert api.asked[-1].body == {"payload": {"a": 1.5}, "delay": "10m"}
    (tmp_path / "payload.json").write_text("[1, 2]")
    punctual(api, "trigger", "x", "--payload", f"@{tmp_path}/payload.json", "--at", "2030-01-01T01:00:00+01:00")
    assert api.asked[-1].body == {"payload": [1, 2], "run_at": "2030-01-01T00:00:00.000Z"}
    punctual(api, "trigger", "x", "--payload", "-", stdin='"text"')
    assert api.asked[-1].body == {"payload": "text"}
    keys = {asked.headers["Idempotency-Key"] for asked in api.asked}
    assert len(keys) == 3
    assert all(re.fullmatch("[0-9a-f]{32}", key) for key in keys)


@pytest.mark.parametrize(("state", "code"), [("succeeded", 0), ("failed", 1), ("canceled", 1), ("skipped", 1)])
@pytest.mark.parametrize(("command", "call"), [("trigger", "tasks/x/runs"), ("retry", "runs/x/retry")])
def test_wait_follows_the_run_to_its_end(api: FakeApi, command: str, call: str, state: str, code: int) -> None:
    api.on(f"POST /v1/{call}", Answer(201, a_run(state="due")))
    waiting = a_run(state="waiting", due_at=instant(seconds=-4.9), attempts=[an_attempt(outcome="failed")])
    ended = a_run(state=state, attempts=[an_attempt(outcome="failed"), an_attempt(number=2)])
    api.on(f"GET /v1/runs/{RUN}", Answer(200, a_run(state="running")), Answer(200, waiting), Answer(200, ended))
    done = punctual(api, command, "x", "--wait", "--json")
    assert done.returncode == code
    assert json.loads(done.stdout) == ended
    assert done.stderr.splitlines()[0] == "running"
    assert done.stderr.splitlines()[1].startswith("waiting: attempt 1 did not succeed, the next is in ")
    assert done.stderr.splitlines()[2] == state


def test_a_short_wait_is_told_in_milliseconds(api: FakeApi) -> None:
    api.on("POST /v1/tasks/x/runs", Answer(201, a_run(state="due")))
    waiting = a_run(state="waiting", due_at=instant(seconds=-0.9), attempts=[an_attempt(outcome="failed")])
    api.on(f"GET /v1/runs/{RUN}", Answer(200, waiting), Answer(200, a_run()))
    told = punctual(api, "trigger", "x", "--wait").stderr
    assert re.search(r"the next is (in \d+ (ms|us)|now)$", told, re.MULTILINE), told  # now: on a slow machine


def test_wait_bears_a_server_that_restarts(api: FakeApi) -> None:
    api.on("POST /v1/tasks/x/runs", Answer(201, a_run(state="due")))
    away = problem(503, "Not now", "the server is stopping")
    api.on(f"GET /v1/runs/{RUN}", away, away, Answer(200, a_run(attempts=[an_attempt()])))
    done = punctual(api, "trigger", "x", "--wait")
    assert done.returncode == 0
    assert done.stderr.count("the server is away") == 1


# --- lists


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
    }
    idle = {**emails, "name": "b", "due": 0, "oldest_due_at": None, "max_running": None, "waiting_workers": 2}
    api.on("GET /v1/queues", Answer(200, {"queues": [emails, idle]}))
    lines = punctual(api, "queues").stdout.splitlines()
    assert re.split("  +", lines[0]) == ["QUEUE", "DUE", "OLDEST", "RUNNING", "SCHEDULED", "WORKERS WAITING"]
    assert re.split("  +", lines[1]) == ["emails", "3", "2 min ago", "12 of 20", "1", "0"]
    assert re.split("  +", lines[2]) == ["b", "0", "-", "12", "1", "2"]
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


# --- apply and diff

FILE = """version: 1
tasks:
  nightly-invoices:
    schedule: {cron: "61 2 * * *"}
    http:
      url: "${APP_URL}/invoices"
"""


def plan(**counts: int) -> dict[str, Any]:
    changes = [{"field": "/schedule/cron", "before": "30 2 * * *", "after": "0 3 * * *"}]
    tasks = [
        {"name": "health", "action": "created", "revision": 1, "changes": []},
        {"name": "nightly-invoices", "action": "changed", "revision": 4, "changes": changes},
        {"name": "same", "action": "unchanged", "revision": 1, "changes": []},
    ]
    return {
        "dry_run": False,
        "tasks": tasks,
        "created": 1,
        "changed": 1,
        "removed": 0,
        "unchanged": 1,
    } | counts


@pytest.fixture
def file(tmp_path: Path) -> str:
    (tmp_path / "punctual.yaml").write_text(FILE)
    return str(tmp_path / "punctual.yaml")


def test_apply_reads_the_file_with_the_callers_environment_and_sends_json(api: FakeApi, file: str) -> None:
    api.on("POST /v1/apply", Answer(200, plan()))
    done = punctual(api, "apply", file, "--prune", "--note", "a & b", APP_URL="https://app.example.com")
    assert done.returncode == 0, done.stderr
    asked = api.asked[-1]
    assert asked.query == {"prune": "true", "note": "a & b"}
    assert asked.headers["Content-Type"] == "application/json"
    assert asked.body["tasks"]["nightly-invoices"]["http"]["url"] == "https://app.example.com/invoices"
    assert done.stdout == (
        "created health\n"
        "changed nightly-invoices\n"
        "    /schedule/cron\n"
        '      - "30 2 * * *"\n'
        '      + "0 3 * * *"\n'
        "1 created, 1 changed, 1 unchanged\n"
    )


def test_apply_reads_punctual_yaml_of_the_folder_or_standard_input(api: FakeApi, tmp_path: Path) -> None:
    api.on("POST /v1/apply", Answer(200, plan(created=0, changed=0)))
    assert punctual(api, "apply", "-", stdin="version: 1\ntasks: {}\n").returncode == 0
    assert api.asked[-1].body == {"version": 1, "tasks": {}}
    (tmp_path / "punctual.yaml").write_text("version: 1\n")
    done = subprocess.run([binary(), "apply"], cwd=tmp_path, env=environment(api, {}), timeout=30, check=False)
    assert done.returncode == 0
    assert api.asked[-1].body == {"version": 1}


def test_diff_is_a_dry_run_whose_exit_code_tells(api: FakeApi, file: str) -> None:
    api.on("POST /v1/apply", Answer(200, plan(dry_run=True)))
    done = punctual(api, "diff", file, APP_URL="x")
    assert done.returncode == 1
    assert api.asked[-1].query == {"dry_run": "true"}
    assert "would change nightly-invoices" in done.stdout
    assert "nothing was done yet" in done.stdout
    same = {"dry_run": True, "tasks": [], "created": 0, "changed": 0, "removed": 0, "unchanged": 3}
    api.on("POST /v1/apply", Answer(200, same))
    done = punctual(api, "diff", file, APP_URL="x")
    assert (done.returncode, done.stdout) == (0, "3 unchanged\n")


def test_a_definition_that_the_server_refuses_is_shown_with_line_and_column(api: FakeApi, file: str) -> None:
    errors = [{"pointer": "/tasks/nightly-invoices/schedule/cron", "detail": "a minute is 0 to 59"}]
    api.on(
        "POST /v1/apply",
        problem(400, "The request makes no sense", "the set has errors; nothing was changed", errors),
    )
    for command in ("apply", "diff"):
        done = punctual(api, command, file, APP_URL="x")
        assert done.returncode == 1
        assert "nothing was changed" in done.stderr
        place = f"{file}:4:22: /tasks/nightly-invoices/schedule/cron: a minute is 0 to 59"
        assert place in done.stderr, done.stderr


def test_a_file_that_is_no_yaml_never_leaves_the_machine(api: FakeApi, file: str) -> None:
    done = punctual(api, "apply", file)  # APP_URL is not set
    assert done.returncode == 1
    assert f"{file}:6:" in done.stderr
    assert "APP_URL" in done.stderr
    assert api.asked == []


def test_a_refusal_without_places_is_no_fault_of_the_file(api: FakeApi, file: str) -> None:
    api.on("POST /v1/apply", problem(403, "Not allowed", "commands are not allowed here"))
    assert punctual(api, "apply", file, APP_URL="x").returncode == 4


# --- events


def an_event(event_id: str, **fields: Any) -> str:
    return f"id: {event_id}\ndata: {json.dumps(fields)}\n\n"


ATTEMPT = {"number": 1, "outcome": "failed", "status": 503, "response_time_ms": 33.2}
SEEN = {"cache": "cold", "db_calls": 6, "error": "no"}
EVENTS = (
    ": hello\n\n"
    + an_event("7-0", type="run.running", at="2026-03-29T01:00:00.001Z", task="a", run="run_1")
    + an_event("7-1", type="run.running", at="2026-03-29T01:00:00.001Z", task="b", run="run_2")
    + an_event(
        "8-0",
        type="attempt.finished",
        at="2026-03-29T01:00:00.034Z",
        task="a",
        run="run_1",
        **ATTEMPT,
        **SEEN,
    )
)


class Following:
    """`punctual events`, until the test has seen enough."""

    def __init__(self, api: FakeApi, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [binary(), "events", *arguments],
            env=environment(api, {}),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # A shell that puts pytest into the background has its children ignore SIGINT.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def until(self, lines: int) -> list[str]:
        assert self.process.stdout
        seen, deadline = b"", time.monotonic() + 20
        while seen.count(b"\n") < lines and time.monotonic() < deadline:
            if select.select([self.process.stdout], [], [], 0.1)[0]:
                piece = os.read(self.process.stdout.fileno(), 65536)
                if not piece:
                    break
                seen += piece
        return seen.decode().splitlines()

    def interrupt(self) -> tuple[int, str]:
        self.process.send_signal(signal.SIGINT)
        _, errors = self.process.communicate(timeout=20)
        return self.process.returncode, errors.decode()


def stream_of(*pieces: str) -> Any:
    """Each connection gets the next piece and is closed."""
    left = list(pieces)

    def answer(_: Asked) -> Answer:
        return Answer(200, left.pop(0).encode() if left else b": nothing\n\n", "text/event-stream")

    return answer


def test_events_are_lines_and_ctrl_c_ends_with_130(api: FakeApi) -> None:
    api.on("GET /v1/events", stream_of(EVENTS))
    following = Following(api, "--after", "6-0")
    lines = following.until(3)
    api.wait_for(2)
    code, errors = following.interrupt()
    assert code == 130
    assert lines[0] == "2026-03-29T01:00:00.001Z run.running      a run_1"
    assert lines[2].endswith("attempt.finished a run_1 #1 failed with 503 in 33 ms, cold, 6 db calls: no")
    assert api.asked[0].headers["Last-Event-ID"] == "6-0"
    assert "connecting again" in errors


def test_events_resume_where_the_connection_broke(api: FakeApi) -> None:
    second = an_event("9-0", type="run.succeeded", task="a", run="run_1")
    api.on("GET /v1/events", stream_of(EVENTS, second))
    following = Following(api, "--task", "a", "--json")
    lines = [json.loads(line) for line in following.until(3)]
    assert following.interrupt()[0] == 130
    assert [line["id"] for line in lines] == ["7-0", "8-0", "9-0"]
    assert "Last-Event-ID" not in api.asked[0].headers
    assert api.asked[1].headers["Last-Event-ID"] == "8-0"
    assert api.asked[0].query == {"task": "a"}


def test_missing_events_are_told(api: FakeApi) -> None:
    api.on("GET /v1/events", stream_of('event: gap\ndata: {"type":"gap","after":3}\n\n' + EVENTS))
    following = Following(api)
    following.until(3)
    assert "events are missing here" in following.interrupt()[1]


def test_events_that_are_refused_end_at_once(api: FakeApi) -> None:
    api.on("GET /v1/events", problem(401, "An API key is needed", "send one"))
    done = punctual(api, "events")
    assert done.returncode == 4
    assert "An API key is needed (401): send one" in done.stderr


def test_a_first_connection_that_fails_ends_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert punctual(None, "events", "--url", f"http://127.0.0.1:{port}").returncode == 3
