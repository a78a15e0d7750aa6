"""One run per idempotency key."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from support.receiver import Receiver
from support.server import Server
from support.words import FAR, all_runs, http_task, problem, put_task, wait_final

BODY: dict[str, Any] = {**http_task("http://127.0.0.1:9/"), "delay": FAR}


def create(server: Server, key: str, body: Any = None, path: str = "/v1/runs") -> httpx.Response:
    return server.api.post(path, json=BODY if body is None else body, headers={"Idempotency-Key": key})


def test_the_same_key_and_body_give_the_same_run(server: Server) -> None:
    first = create(server, '"order-17"')
    second = create(server, '"order-17"')
    assert first.status_code == second.status_code == 201
    assert first.json() == second.json()
    assert second.headers.get("location") == first.headers.get("location")
    assert len(all_runs(server)) == 1


def test_a_bare_key_is_the_same_as_a_quoted_one(server: Server) -> None:
    assert create(server, '"order-17"').json()["id"] == create(server, "order-17").json()["id"]


def test_another_key_makes_another_run(server: Server) -> None:
    assert create(server, "a").json()["id"] != create(server, "b").json()["id"]


def test_the_same_key_with_another_body_is_refused(server: Server) -> None:
    create(server, "order-17")
    problem(create(server, "order-17", {**BODY, "payload": {"other": True}}), 422)
    assert len(all_runs(server)) == 1


def test_the_same_key_at_another_route_is_refused(server: Server) -> None:
    put_task(server, "known", http_task("http://127.0.0.1:9/"))
    create(server, "order-17", {"delay": FAR}, "/v1/tasks/known/runs")
    problem(create(server, "order-17"), 422)
    assert len(all_runs(server)) == 1


def test_a_key_is_remembered_over_a_crash(server: Server) -> None:
    first = create(server, "order-17").json()
    server.kill()
    server.start()
    assert create(server, "order-17").json()["id"] == first["id"]
    problem(create(server, "order-17", {**BODY, "payload": 1}), 422)
    assert len(all_runs(server)) == 1


def test_a_refused_request_does_not_use_its_key_up(server: Server) -> None:
    problem(create(server, "order-17", {**BODY, "delay": "soon"}))
    assert create(server, "order-17").status_code == 201


@pytest.mark.parametrize("path", ["/v1/runs/batch", "/v1/tasks/known/runs"])
def test_every_post_that_creates_heeds_a_key(server: Server, path: str) -> None:
    put_task(server, "known", http_task("http://127.0.0.1:9/"))
    body: Any = [BODY, BODY] if path.endswith("batch") else {"delay": FAR}
    first, second = create(server, "k", body, path), create(server, "k", body, path)
    assert first.status_code == second.status_code == 201, first.text
    assert first.json() == second.json()
    assert len(all_runs(server)) == (2 if path.endswith("batch") else 1)


def test_a_retry_heeds_a_key(server: Server) -> None:
    run = server.api.post("/v1/runs", json=http_task("http://127.0.0.1:9/")).json()
    wait_final(server, run["id"])
    path = f"/v1/runs/{run['id']}/retry"
    first, second = create(server, "k", {}, path), create(server, "k", {}, path)
    assert first.status_code == second.status_code == 201, first.text
    assert first.json()["id"] == second.json()["id"]
    assert len(all_runs(server)) == 2


def test_many_at_once_make_one_run(server: Server, receiver: Receiver) -> None:
    body = http_task(receiver.url("/once"))
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: create(server, "crowd", body), range(48)))
    ids = {answer.json()["id"] for answer in answers if answer.status_code == 201}
    assert len(ids) == 1
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert len(all_runs(server)) == 1
    wait_final(server, ids.pop())
    assert len(receiver.at("/once")) == 1


def test_a_key_that_is_too_long_or_empty_is_refused(server: Server) -> None:
    for key in ("x" * 5000, '""', '"open'):
        problem(create(server, key))
    assert all_runs(server) == []
