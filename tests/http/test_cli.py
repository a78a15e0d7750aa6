"""The command line, against an API with canned answers: what it asks, how it ends."""

import json
import re
import socket
from pathlib import Path

import pytest

from support.cli import RUN, a_run, a_task, an_attempt, instant, on_a_terminal, punctual, without_colours
from support.fake_api import Answer, FakeApi, problem

COMMANDS = (
    *("apply", "diff", "tasks", "task", "runs", "run", "trigger", "pause", "resume"),
    *("cancel", "retry", "rollback", "queues", "events", "next", "version"),
)


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
