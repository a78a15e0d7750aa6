"""The command line, against an API with canned answers: events as they happen."""

import json
import os
import select
import signal
import socket
import subprocess
import time
from typing import Any

from support.cli import environment, punctual
from support.fake_api import Answer, Asked, FakeApi, problem
from support.server import Factory, Server, binary
from support.words import command_task, create_run, wait_final


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

    def __init__(self, api: FakeApi | Server, *arguments: str) -> None:
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


def test_the_exit_code_of_a_command_is_called_that(server_factory: Factory) -> None:
    server = server_factory("--allow-commands")
    for code in (0, 200):
        done = wait_final(server, create_run(server, command_task("/bin/sh", "-c", f"exit {code}"))["id"])
        assert done["attempts"][0]["status"] == code
    following = Following(server, "--after", "0")
    lines = following.until(8)
    following.interrupt()
    words = [line.partition("#1 ")[2] for line in lines if "attempt.finished" in line]
    assert words[0].startswith("succeeded with exit code 0 in ")
    assert words[1].startswith("failed with exit code 200 in ")


def test_events_resume_where_the_connection_broke(api: FakeApi) -> None:
    second = an_event("9-0", type="run.succeeded", task="a", run="run_1")
    api.on("GET /v1/tasks/a", Answer(200, {"name": "a"}))
    api.on("GET /v1/events", stream_of(EVENTS, second))
    following = Following(api, "--task", "a", "--json")
    lines = [json.loads(line) for line in following.until(3)]
    assert following.interrupt()[0] == 130
    assert [line["id"] for line in lines] == ["7-0", "8-0", "9-0"]
    streams = [asked for asked in api.asked if asked.path == "/v1/events"]
    assert "Last-Event-ID" not in streams[0].headers
    assert streams[1].headers["Last-Event-ID"] == "8-0"
    assert streams[0].query == {"task": "a"}


def test_a_task_that_is_not_there_is_told_and_waited_for(api: FakeApi) -> None:
    api.on("GET /v1/events", stream_of(EVENTS))
    following = Following(api, "--task", "a")
    lines = following.until(2)
    code, errors = following.interrupt()
    assert (code, len(lines)) == (130, 2)
    assert 'there is no task "a" now' in errors
    api.on("GET /v1/tasks/a", Answer(200, {"name": "a"}))
    api.on("GET /v1/events", stream_of(EVENTS))
    following = Following(api, "--task", "a")
    following.until(2)
    assert "there is no task" not in following.interrupt()[1]


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
