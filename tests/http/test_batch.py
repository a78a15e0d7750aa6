"""Many runs in one request: all or nothing."""

import json
from typing import Any

import httpx

from support.receiver import Receiver
from support.server import Server
from support.words import FAR, all_runs, http_task, problem, put_task

NDJSON = {"Content-Type": "application/x-ndjson"}


def wishes(count: int, **more: Any) -> list[dict[str, Any]]:
    return [{"task": "many", "payload": number, **more} for number in range(count)]


def as_lines(items: list[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(item).encode() + b"\n" for item in items)


def batch(server: Server, items: Any, **options: Any) -> httpx.Response:
    return server.api.post("/v1/runs/batch", json=items, **options)


def prepare(server: Server, url: str = "http://127.0.0.1:9/") -> None:
    put_task(server, "many", http_task(url))


def test_an_array_makes_a_run_of_each(server: Server, receiver: Receiver) -> None:
    prepare(server, receiver.url("/many"))
    answer = batch(server, wishes(20))
    assert answer.status_code == 201, answer.text
    body = answer.json()
    assert body["count"] == 20
    assert len(set(body["ids"])) == 20
    found = receiver.wait("/many", 20)
    assert {request.run: request.json() for request in found} == {run: number for number, run in enumerate(body["ids"])}


def test_ndjson_makes_a_run_of_each_line(server: Server, receiver: Receiver) -> None:
    prepare(server, receiver.url("/many"))
    answer = server.api.post("/v1/runs/batch", content=as_lines(wishes(20)), headers=NDJSON)
    assert answer.status_code == 201, answer.text
    assert answer.json()["count"] == 20
    receiver.wait("/many", 20)


def test_ndjson_without_a_last_newline_and_with_empty_lines(server: Server) -> None:
    prepare(server)
    lines = as_lines(wishes(2, delay=FAR)).replace(b"\n", b"\r\n\r\n").rstrip()
    answer = server.api.post("/v1/runs/batch", content=lines, headers=NDJSON)
    assert answer.status_code == 201, answer.text
    assert answer.json()["count"] == 2


def test_targets_may_be_mixed(server: Server, receiver: Receiver) -> None:
    prepare(server, receiver.url("/many"))
    answer = batch(server, [{"task": "many"}, http_task(receiver.url("/inline"))])
    assert answer.json()["count"] == 2
    receiver.wait("/many")
    receiver.wait("/inline")


def test_one_wrong_item_stops_all_and_is_named(server: Server) -> None:
    prepare(server)
    items = wishes(30)
    items[17] = {"task": "many", "delay": "soon"}
    problem(batch(server, items), pointer="/17/delay")
    items[17] = {"task": "many", "unknown": 1}
    problem(batch(server, items), pointer="/17/unknown")
    items[17] = http_task("gopher://x/")
    problem(batch(server, items), pointer="/17/http/url")
    assert all_runs(server) == []


def test_one_unknown_task_stops_all_and_is_named(server: Server) -> None:
    prepare(server)
    items = wishes(30)
    items[17] = {"task": "nobody"}
    answer = batch(server, items)
    problem(answer)
    assert "17" in answer.text
    assert all_runs(server) == []


def test_one_wrong_line_stops_all_and_is_named(server: Server) -> None:
    prepare(server)
    lines = as_lines(wishes(5)) + b'{"task": "many",,}\n' + as_lines(wishes(5))
    answer = server.api.post("/v1/runs/batch", content=lines, headers=NDJSON)
    problem(answer, pointer="/5")
    lines = as_lines(wishes(5)) + b'{"task": "many", "delay": -1}\n' + as_lines(wishes(5))
    answer = server.api.post("/v1/runs/batch", content=lines, headers=NDJSON)
    problem(answer, pointer="/5/delay")
    assert all_runs(server) == []


def test_ten_thousand_are_taken_and_one_more_is_refused(server: Server) -> None:
    prepare(server)
    problem(batch(server, wishes(10_001, delay=FAR)))
    assert all_runs(server) == []
    problem(server.api.post("/v1/runs/batch", content=as_lines(wishes(10_001, delay=FAR)), headers=NDJSON))
    assert all_runs(server) == []
    answer = batch(server, wishes(10_000, delay=FAR))
    assert answer.status_code == 201, answer.text
    assert len(set(answer.json()["ids"])) == 10_000


def test_what_is_no_array_is_refused(server: Server) -> None:
    prepare(server)
    for body in ({"task": "many"}, "many", 7, None, [[]], ["many"], [None]):
        problem(batch(server, body))
    assert all_runs(server) == []


def test_a_batch_survives_a_crash(server: Server) -> None:
    prepare(server)
    ids = batch(server, wishes(250, delay=FAR)).json()["ids"]
    server.kill()
    server.start()
    assert sorted(run["id"] for run in all_runs(server)) == sorted(ids)
