"""Bad input of every kind: a clear answer, nothing changed, and the server lives on."""

import contextlib
import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from support.server import Factory, Server
from support.words import FAR, all_of, all_runs, http_task, problem, put_task

URL = "http://127.0.0.1:9/"
JSON = {"Content-Type": "application/json"}


def world(server: Server) -> Any:
    """All that a request could have changed."""
    tasks = [(task["name"], task["revision"], task["paused"]) for task in all_of(server, "/v1/tasks", "tasks")]
    return tasks, [(run["id"], run["state"]) for run in all_runs(server)]


@pytest.fixture
def untouched(shared_server: Server) -> Iterator[Server]:
    """The shared server, which must be alive and unchanged afterwards."""
    before = world(shared_server)
    yield shared_server
    assert shared_server.api.get("/health").status_code == 200
    assert world(shared_server) == before


def target(**more: Any) -> dict[str, Any]:
    return http_task(URL, **more)


# A definition, and where the error must point to.
DEFINITIONS: list[tuple[Any, str]] = [
    ({}, ""),
    ([], ""),
    ("task", ""),
    (7, ""),
    (None, ""),
    (target(unknown=1), "/unknown"),
    (target(Timeout="1s"), "/Timeout"),
    ({"http": {"url": URL}, "command": {"argv": ["/bin/true"]}}, "/command"),
    ({"http": {}}, "/http"),
    ({"http": {"url": 7}}, "/http/url"),
    ({"http": {"url": ""}}, "/http/url"),
    ({"http": {"url": "example.com/x"}}, "/http/url"),
    ({"http": {"url": "ftp://example.com/"}}, "/http/url"),
    ({"http": {"url": "file:///etc/passwd"}}, "/http/url"),
    ({"http": {"url": "http:///x"}}, "/http/url"),
    ({"http": {"url": "http://exa mple.com/"}}, "/http/url"),
    ({"http": {"url": "http://example.com/\r\nX: y"}}, "/http/url"),
    ({"http": {"url": "http://example.com:99999/"}}, "/http/url"),
    ({"http": {"url": "http://" + "x" * 10_000 + "/"}}, "/http/url"),
    ({"http": {"url": URL, "method": "GE T"}}, "/http/method"),
    ({"http": {"url": URL, "method": "POST\r\nX: y"}}, "/http/method"),
    ({"http": {"url": URL, "method": 7}}, "/http/method"),
    ({"http": {"url": URL, "headers": ["a"]}}, "/http/headers"),
    ({"http": {"url": URL, "headers": {"X": 7}}}, "/http/headers/X"),
    ({"http": {"url": URL, "headers": {"X": "a\r\nY: b"}}}, "/http/headers/X"),
    ({"http": {"url": URL, "headers": {"X Y": "a"}}}, "/http/headers/X Y"),
    ({"http": {"url": URL, "headers": {"": "a"}}}, "/http/headers/"),
    ({"http": {"url": URL, "hedaers": {}}}, "/http/hedaers"),
    (target(summary=7), "/summary"),
    (target(timeout="soon"), "/timeout"),
    (target(timeout=-1), "/timeout"),
    (target(timeout="-1s"), "/timeout"),
    (target(timeout="0s"), "/timeout"),
    (target(timeout="25h"), "/timeout"),
    (target(timeout="1s2h"), "/timeout"),
    (target(timeout="99999999999999999999s"), "/timeout"),
    (target(retry=3), "/retry"),
    (target(retry={"max_attempts": 0}), "/retry/max_attempts"),
    (target(retry={"max_attempts": 101}), "/retry/max_attempts"),
    (target(retry={"max_attempts": 1.5}), "/retry/max_attempts"),
    (target(retry={"max_attempts": "3"}), "/retry/max_attempts"),
    (target(retry={"backoff": "wild"}), "/retry/backoff"),
    (target(retry={"initial": "x"}), "/retry/initial"),
    (target(retry={"attempts": 3}), "/retry/attempts"),
    (target(runbook={"owner": 7}), "/runbook/owner"),
    (target(runbook={"phone": "x"}), "/runbook/phone"),
    (target(runbook="read the wiki"), "/runbook"),
    (target(schedule={}), "/schedule"),
    (target(schedule="daily"), "/schedule"),
    (target(schedule={"cron": "* * * * *", "every": "1m"}), "/schedule"),
    (target(schedule={"cron": "* * * *"}), "/schedule/cron"),
    (target(schedule={"cron": ""}), "/schedule/cron"),
    (target(schedule={"cron": 7}), "/schedule/cron"),
    (target(schedule={"cron": "60 * * * *"}), "/schedule/cron"),
    (target(schedule={"cron": "* 24 * * *"}), "/schedule/cron"),
    (target(schedule={"cron": "* * 32 * *"}), "/schedule/cron"),
    (target(schedule={"cron": "* * * 13 *"}), "/schedule/cron"),
    (target(schedule={"cron": "* * * * 8"}), "/schedule/cron"),
    (target(schedule={"cron": "0/15 * * * *"}), "/schedule/cron"),
    (target(schedule={"cron": "*/0 * * * *"}), "/schedule/cron"),
    (target(schedule={"cron": "10/10 * * * *"}), "/schedule/cron"),
    (target(schedule={"cron": "5-1 * * * *"}), "/schedule/cron"),
    (target(schedule={"cron": "1,,2 * * * *"}), "/schedule/cron"),
    (target(schedule={"cron": "@sometimes"}), "/schedule/cron"),
    (target(schedule={"cron": "@reboot"}), "/schedule/cron"),
    (target(schedule={"cron": "* * * * * * * *"}), "/schedule/cron"),
    (target(schedule={"cron": "0 0 0 1 1 * 1969"}), "/schedule/cron"),
    (target(schedule={"cron": "1" * 5000 + " * * * *"}), "/schedule/cron"),
    (target(schedule={"cron": "30 2 30 2 *"}), "/schedule/cron"),
    (target(schedule={"cron": "0 0 31 4,6,9,11 *"}), "/schedule/cron"),
    (target(schedule={"cron": "* * * * *", "timezone": "Europe/Atlantis"}), "/schedule/timezone"),
    (target(schedule={"cron": "* * * * *", "timezone": "../../etc/passwd"}), "/schedule/timezone"),
    (target(schedule={"cron": "* * * * *", "timezone": "/etc/localtime"}), "/schedule/timezone"),
    (target(schedule={"cron": "* * * * *", "timezone": ""}), "/schedule/timezone"),
    (target(schedule={"cron": "* * * * *", "timezone": "Europe"}), "/schedule/timezone"),
    (target(schedule={"cron": "* * * * *", "timezone": 1}), "/schedule/timezone"),
    (target(schedule={"cron": "* * * * *", "dst_gap": "jump"}), "/schedule/dst_gap"),
    (target(schedule={"cron": "* * * * *", "dst_overlap": "twice"}), "/schedule/dst_overlap"),
    (target(schedule={"cron": "* * * * *", "jitter": "-5m"}), "/schedule/jitter"),
    (target(schedule={"cron": "* * * * *", "jiter": "5m"}), "/schedule/jiter"),
    (target(schedule={"every": "0s"}), "/schedule/every"),
    (target(schedule={"every": "sometimes"}), "/schedule/every"),
    (target(schedule={"every": 60}), "/schedule/every"),
    (target(schedule={"at": "tomorrow"}), "/schedule/at"),
    (target(schedule={"at": "2026-12-24 18:00:00"}), "/schedule/at"),
    (target(schedule={"at": "2026-02-30T00:00:00Z"}), "/schedule/at"),
    (target(schedule={"at": "2026-12-24T18:00:00"}), "/schedule/at"),
    (target(schedule={"every": "1m", "start": "x"}), "/schedule/start"),
    (target(schedule=[{"every": "1m"}, {"every": "x"}]), "/schedule/1/every"),
    (target(schedule=[{"every": "1m"}] * 17), "/schedule"),
    (target(payload="x" * 300_000), "/payload"),
]


RUN = b'{"http": {"url": "http://127.0.0.1:9/"}, "delay": "1h"}'
CHUNKED = b"%x\r\n%s\r\n0\r\n\r\n" % (len(RUN), RUN)
LENGTH = b"Content-Length: %d\r\n" % len(RUN)


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", CHUNKED),
        (b"Transfer-Encoding: chunked\r\n" + LENGTH, CHUNKED),
        (LENGTH + b"Content-Length: 3\r\n", RUN),
        (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", CHUNKED),
        (b"Transfer-Encoding: gzip, chunked\r\n", CHUNKED),
        (b"Transfer-Encoding: xchunked\r\n", CHUNKED),
        (b"Transfer-Encoding: identity\r\n", RUN),
    ],
)
def test_a_body_whose_end_is_not_clear_is_refused_at_once(untouched: Server, headers: bytes, body: bytes) -> None:
    start = b"POST /v1/runs HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    smuggled = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
    with socket.create_connection(("127.0.0.1", untouched.port), timeout=5) as connection:
        connection.sendall(start + headers + b"\r\n" + body + smuggled)
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            while piece := connection.recv(65536):
                answer += piece
    assert answer.startswith(b"HTTP/1.1 400 "), answer
    assert answer.count(b"HTTP/1.1 ") == 1, answer


def test_a_body_of_millions_of_values_is_refused(untouched: Server) -> None:
    for path, kind, value in (
        ("/v1/runs/batch", "application/json", "{}"),
        ("/v1/runs/batch", "application/x-ndjson", "[]"),
        ("/v1/runs", "application/json", '""'),
        ("/v1/apply", "application/json", "[{}]"),
    ):
        body = "[" + ",".join([value] * ((7 << 20) // (len(value) + 1))) + "]"
        answer = untouched.api.post(path, content=body, headers={"Content-Type": kind})
        assert "too many values: at most 1000000" in str(problem(answer))


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


def test_what_is_nested_deeper_than_clients_read_is_refused(untouched: Server) -> None:
    run = f'{{"http": {{"url": "{URL}"}}, "delay": "{FAR}", "payload": {nested(1000)}}}'
    for path, body, kind in (
        ("/v1/runs", run, "application/json"),
        ("/v1/runs/batch", run, "application/x-ndjson"),
        ("/v1/runs/batch", f"[{run}]", "application/json"),
    ):
        answer = untouched.api.post(path, content=body, headers={"Content-Type": kind})
        assert "nested deeper than 64" in str(problem(answer))


@pytest.mark.parametrize(("definition", "pointer"), DEFINITIONS, ids=range(len(DEFINITIONS)))
def test_a_wrong_definition_is_refused_with_its_place(untouched: Server, definition: Any, pointer: str) -> None:
    answer = untouched.api.put("/v1/tasks/wrong", content=json.dumps(definition), headers=JSON)
    problem(answer, pointer=pointer)


@pytest.mark.parametrize("cron", ["0/15 * * * *", "10/10 * * * *"])
def test_a_loose_step_is_told_what_to_write(untouched: Server, cron: str) -> None:
    body = problem(untouched.api.put("/v1/tasks/wrong", json=target(schedule={"cron": cron})))
    assert "/15" in body["errors"][0]["detail"] or "/10" in body["errors"][0]["detail"]
    assert "*/" in body["errors"][0]["detail"] or "-59" in body["errors"][0]["detail"]


def test_an_impossible_date_is_refused_with_a_reason(untouched: Server) -> None:
    body = problem(untouched.api.put("/v1/tasks/wrong", json=target(schedule={"cron": "30 2 30 2 *"})))
    assert len(body["errors"][0]["detail"]) > 20


BODIES: list[bytes] = [
    b"",
    b" ",
    b"{",
    b"{}}",
    b'{"http": {"url": "http://127.0.0.1:9/"},}',
    b"{'http': 1}",
    b"nonsense",
    b'"\xff\xfe"',
    b'{"summary": "\xc3\x28", "http": {"url": "http://127.0.0.1:9/"}}',
    b'{"summary": "a\\u0000b", "http": {"url": "http://127.0.0.1:9/"}}',
    b'{"summary": "a\x00b", "http": {"url": "http://127.0.0.1:9/"}}',
    b'{"summary": "\\ud800", "http": {"url": "http://127.0.0.1:9/"}}',
    b"\x00" * 100,
    b"[" * 100_000,
    b'{"a":' * 50_000,
    b"[" * 3000 + b"]" * 3000,
    b'{"http": {"url": "http://127.0.0.1:9/"}, "payload": ' + b"[" * 5000 + b"]" * 5000 + b"}",
    b'{"summary": "a", "summary": "b", "http": {"url": "http://127.0.0.1:9/"}}',
    b'{"http": {"url": "http://127.0.0.1:9/"}, "payload": 1e999}',
    b'{"http": {"url": "http://127.0.0.1:9/"}, "payload": 99999999999999999999999999}',
    b'{"http": {"url": "http://127.0.0.1:9/"}, "payload": NaN}',
    b"\xef\xbb\xbf{}",
    b"\x1f\x8b\x08\x00\x00\x00\x00\x00",
]


@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
@pytest.mark.parametrize(
    ("method", "path"),
    [("PUT", "/v1/tasks/wrong"), ("POST", "/v1/runs"), ("POST", "/v1/runs/batch"), ("POST", "/v1/apply")],
)
def test_a_body_that_is_no_json_is_refused(untouched: Server, method: str, path: str, body: bytes) -> None:
    problem(untouched.api.request(method, path, content=body, headers=JSON))


def test_broken_json_is_refused_with_its_line(untouched: Server) -> None:
    answer = untouched.api.post("/v1/runs", content=b'{\n  "task": "x",\n  oops\n}', headers=JSON)
    assert "line 3" in answer.text or '"line":3' in answer.text.replace(" ", "")
    problem(answer)


@pytest.mark.parametrize(
    "name",
    [
        "Upper",
        "-first",
        ".hidden",
        "a%20b",
        "a%2Fb",
        "%00",
        "a%00b",
        "%ff",
        "x" * 101,
        "ü",
        "a%0Ab",
        "%2e%2e",
    ],
)
@pytest.mark.parametrize("method", ["PUT", "GET", "DELETE"])
def test_what_is_no_name_is_refused(untouched: Server, method: str, name: str) -> None:
    body = json.dumps(target()) if method == "PUT" else None
    answer = untouched.api.request(method, f"/v1/tasks/{name}", content=body, headers=JSON)
    problem(answer)


def test_a_wrong_name_is_told_once(untouched: Server) -> None:
    refusal = problem(untouched.api.put("/v1/tasks/Nightly", json=target()), 400)
    assert refusal["detail"].startswith('"Nightly" is no task name: write 1 to 100 of a-z')
    assert refusal["detail"].count("Nightly") == 1
    assert "errors" not in refusal, "the body has no fault"


@pytest.mark.parametrize(
    "run",
    ["run_", "run_x", "run_zzzzzzzzzzzzzz", "run_uuuuuuuuuuuuu", "%00", "run_%ff", "x" * 4000, "-1", "0"],
)
def test_what_is_no_run_is_refused(untouched: Server, run: str) -> None:
    problem(untouched.api.get(f"/v1/runs/{run}"))
    problem(untouched.api.post(f"/v1/runs/{run}/cancel", json={}))
    problem(untouched.api.post(f"/v1/runs/{run}/retry", json={}))


RUNS: list[tuple[Any, str]] = [
    ({"task": 7}, "/task"),
    ({"task": "UPPER"}, "/task"),
    ({"task": ""}, "/task"),
    ({**http_task(URL), "delay": "x"}, "/delay"),
    ({**http_task(URL), "delay": "-1s"}, "/delay"),
    ({**http_task(URL), "delay": "101y"}, "/delay"),
    ({**http_task(URL), "run_at": "x"}, "/run_at"),
    ({**http_task(URL), "run_at": 1234567890}, "/run_at"),
    ({**http_task(URL), "run_at": "10000-01-01T00:00:00Z"}, "/run_at"),
    ({**http_task(URL), "delay": "1h", "run_at": "2040-01-01T00:00:00Z"}, ""),
    ({**http_task(URL), "schedule": {"every": "1m"}}, "/schedule"),
    ({**http_task(URL), "name": "x"}, "/name"),
    ({**http_task(URL), "payload": "x" * 300_000}, "/payload"),
]


@pytest.mark.parametrize(("body", "pointer"), RUNS, ids=range(len(RUNS)))
def test_a_wrong_run_is_refused_with_its_place(untouched: Server, body: Any, pointer: str) -> None:
    answer = problem(untouched.api.post("/v1/runs", json=body))
    pointers = [error["pointer"] for error in answer.get("errors", [])]
    assert pointer in pointers or pointer == "", answer
    batch = problem(untouched.api.post("/v1/runs/batch", json=[{**http_task(URL), "delay": FAR}, body]))
    if pointer:
        assert f"/1{pointer}" in [error["pointer"] for error in batch["errors"]], batch


@pytest.mark.parametrize("kind", ["text/plain", "application/xml", "application/x-www-form-urlencoded", "nonsense"])
@pytest.mark.parametrize(
    ("method", "path"), [("PUT", "/v1/tasks/wrong"), ("POST", "/v1/runs"), ("POST", "/v1/runs/batch")]
)
def test_a_wrong_content_type_is_415(untouched: Server, method: str, path: str, kind: str) -> None:
    answer = untouched.api.request(method, path, content=json.dumps(target()), headers={"Content-Type": kind})
    problem(answer, 415)


def test_a_charset_in_the_content_type_is_fine(server: Server) -> None:
    headers = {"Content-Type": "Application/JSON; charset=UTF-8"}
    answer = server.api.put("/v1/tasks/fine", content=json.dumps(target()), headers=headers)
    assert answer.status_code == 201, answer.text


def test_a_body_that_is_too_large_is_413(untouched: Server) -> None:
    huge = b'{"summary": "' + b"x" * (9 << 20) + b'"}'
    try:
        problem(untouched.api.put("/v1/tasks/wrong", content=huge, headers=JSON), 413)
    finally:
        untouched.api.get("/health")


def test_an_endless_chunked_body_is_413(untouched: Server) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(200):
            yield b"x" * (1 << 16)

    answer = untouched.api.put("/v1/tasks/wrong", content=endless(), headers=JSON)
    problem(answer, 413)


def raw(server: Server, data: bytes) -> bytes:
    """Sends bytes as they are and reads what comes until the end, or for a second."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(data)
        connection.settimeout(3)
        answer = b""
        try:
            while piece := connection.recv(65536):
                answer += piece
        except (TimeoutError, ConnectionResetError):
            pass
        return answer


POST_JSON = b"POST /v1/runs HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize(
    "data",
    [
        b"GARBAGE\r\n\r\n",
        b"\x00\x01\x02\x03\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 200,
        b"GET /health HTTP/9.9\r\nHost: x\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 200_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        POST_JSON + b"Content-Length: -5\r\n\r\n{}",
        POST_JSON + b"Content-Length: 99999999999999999999\r\n\r\n{}",
        POST_JSON + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n{}",
        POST_JSON + b"Content-Length: 50\r\n\r\n{",
        b"GET /v1/tasks/a\x00b HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /v1/tasks?limit=%zz&cursor=%00 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"PUT /v1/tasks/a HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 20_000 + b"\r\n",
    ],
    ids=range(14),
)
def test_what_is_no_http_does_no_harm(untouched: Server, data: bytes) -> None:
    answer = raw(untouched, data)
    if answer:
        status = int(answer.split(b" ", 2)[1])
        assert status in (100, *range(400, 600)), answer[:200]
        assert status != 500, answer[:200]


def test_unknown_query_parameters_are_refused_or_ignored(untouched: Server) -> None:
    assert untouched.api.get("/v1/runs", params={"colour": "red"}).status_code in (200, 400, 422)
    problem(untouched.api.post("/v1/apply", json={"version": 1, "tasks": {}}, params={"dry_run": "perhaps"}))


def test_nothing_wrong_gets_through_a_patch(server: Server) -> None:
    put_task(server, "good", target(schedule={"every": "1h"}))
    for patch in ([], "x", 7, {"http": None}, {"schedule": 7}, {"retry": {"max_attempts": 0}}, {"nope": 1}):
        problem(server.api.patch("/v1/tasks/good", json=patch))
    assert server.api.get("/v1/tasks/good").json()["revision"] == 1


# --- a wrong file at the start ---

WRONG = 2  # docs/operate/running.md: the configuration or the task file

FILES: list[tuple[bytes, int]] = [
    (b"version: 1\ntasks:\n  a:\n    http: {url: 'http://127.0.0.1:9/'}\n    tmeout: 3s\n", 5),
    (
        b"version: 1\ntasks:\n  a:\n    http: {url: 'http://127.0.0.1:9/'}\n    schedule: {cron: '61 * * * *'}\n",
        5,
    ),
    (b"version: 1\ntasks:\n  a: [unclosed\n", 0),
    (b"version: 1\ntasks:\n\ta: 1\n", 3),
    (b"version: 1\ntasks:\n  a: &x {http: {url: 'http://127.0.0.1:9/'}}\n  b: *x\n", 3),
    (b"version: 1\ntasks:\n  a:\n    http: {url: '${NOT_SET_ANYWHERE}/x'}\n", 4),
    (b"version: 3\ntasks: {}\n", 1),
    (b"", 0),
    (b"\xff\xfe\x00\x01", 0),
    (b"just words\n", 1),
]


@pytest.mark.parametrize(("content", "line"), FILES, ids=range(len(FILES)))
def test_a_wrong_file_stops_the_start_with_line_and_column(server_factory: Factory, content: bytes, line: int) -> None:
    server = server_factory(start=False)
    path = server.folder / "punctual.yaml"
    path.write_bytes(content)
    server.arguments = ["--apply", str(path)]
    server.launch()
    assert server.wait_exit() == WRONG, "it must end with the exit code that is documented"
    text = server.log_text()
    assert "listening" not in text
    if line:
        places = [fault for fault in server.log_lines() if fault.get("line") == line and fault.get("column", 0) >= 1]
        assert places or f":{line}:" in text or f"line {line}" in text, text


def test_a_file_that_is_not_there_stops_the_start(server_factory: Factory) -> None:
    server = server_factory("--apply", "/no/such/file.yaml", start=False)
    server.launch()
    assert server.wait_exit() == WRONG
    assert "/no/such/file.yaml" in server.log_text()


def test_a_good_file_is_applied_before_it_listens(server_factory: Factory) -> None:
    server = server_factory(start=False, env={"APP_URL": "http://127.0.0.1:9"})
    path = server.folder / "punctual.yaml"
    path.write_text(
        "version: 1\ntasks:\n  one:\n    http: {url: '${APP_URL}/x'}\n  two:\n    http: {url: '${APP_URL}/y'}\n"
    )
    server.arguments = ["--apply", str(path)]
    server.start()
    tasks = all_of(server, "/v1/tasks", "tasks")
    assert [task["name"] for task in tasks] == ["one", "two"]
    assert tasks[0]["definition"]["http"]["url"] == "http://127.0.0.1:9/x"
    server.stop()
    server.start()
    assert [task["revision"] for task in all_of(server, "/v1/tasks", "tasks")] == [1, 1]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--listen", "nonsense"],
        ["--listen", "127.0.0.1:99999"],
        ["--no-such-option"],
        ["--config", "/no/such/config.yaml"],
        ["--store", "/no/such/folder/punctual.db"],
        ["--store"],
    ],
    ids=range(6),
)
def test_wrong_options_stop_the_start_with_words(server_factory: Factory, arguments: list[str]) -> None:
    server = server_factory(*arguments, start=False)
    server.launch()
    assert server.wait_exit() > 0
    assert len(server.log_text().strip()) > 10


@pytest.mark.parametrize("config", ["drain: soon\n", "colour: red\n", "[", "signing_secret: secret\n", "api_key: 7\n"])
def test_a_wrong_configuration_stops_the_start_with_words(server_factory: Factory, config: str) -> None:
    server = server_factory(config=config, start=False)
    server.env.pop("PUNCTUAL_SIGNING_SECRET", None)
    server.launch()
    assert server.wait_exit() == WRONG
    assert "config.yaml" in server.log_text()


def test_a_store_that_is_none_stops_the_start_with_words(server_factory: Factory) -> None:
    server = server_factory(start=False)
    server.store.write_bytes(b"this is not a database" * 1000)
    server.launch()
    assert server.wait_exit() > 0
    assert "punctual.db" in server.log_text()
    assert server.store.read_bytes().startswith(b"this is not a database"), "it was overwritten"


def test_a_store_in_use_stops_the_second_server(server: Server, server_factory: Factory) -> None:
    second = server_factory(start=False)
    second.store = server.store
    second.launch()
    assert second.wait_exit() > 0
    assert server.api.get("/health").status_code == 200
