"""A FastAPI app and the server, both real: deliveries, outcomes, applying at the start, what a run costs."""

import base64
import json
import re
import secrets
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from uvicorn_process import Uvicorn, free_port, uvicorn

from punctual import sign
from support.server import Factory, Server, new_secret
from support.waiting import instant, wait_for
from support.words import all_runs, get_task, trigger, wait_final, wait_state

Send = Callable[..., httpx.Response]


class World:
    """The server, the app beside it, and what the app has executed."""

    def __init__(self, server: Server, app: Uvicorn, effects: Path) -> None:
        self.server = server
        self.app = app
        self.effects = effects

    def executed(self, task: str, run: str | None = None) -> list[list[Any]]:
        """Each execution of the task, as [task, run, attempt, process]."""
        lines = [json.loads(line) for line in self.effects.read_text().splitlines()]
        return [line for line in lines if line[0] == task and run in (None, line[1])]

    def run(self, task: str, **body: Any) -> dict[str, Any]:
        """A run of the task that is over, as the server has recorded it."""
        return wait_final(self.server, trigger(self.server, task, body)["id"])


def start_app(stack: ExitStack, server: Server, folder: Path, **options: Any) -> World:
    effects = folder / "effects"
    effects.touch()
    env = {"PUNCTUAL_URL": server.url, "PUNCTUAL_SIGNING_SECRET": server.secret, "EFFECTS": str(effects)}
    return World(server, stack.enter_context(uvicorn("service:app", folder, **{**env, **options})), effects)


def has_tasks(server: Server) -> bool:
    return server.api.get("/v1/tasks/nightly-invoices").status_code == 200


@pytest.fixture(scope="module")
def world(shared_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with ExitStack() as stack:
        world = start_app(stack, shared_server, tmp_path_factory.mktemp("app"))
        wait_for(lambda: has_tasks(shared_server), "the app has applied its tasks")
        yield world


# --- the happy path ---


def test_the_decorator_is_the_definition(world: World) -> None:
    definition = get_task(world.server, "nightly-invoices")["definition"]
    assert definition["summary"] == "Create the invoices for the day before"
    assert definition["schedule"] == {"cron": "30 2 * * *", "timezone": "Europe/Berlin"}
    assert definition["http"] == {"url": f"{world.app.url}/punctual/nightly-invoices"}
    assert definition["runbook"] == {
        "owner": "billing@example.com",
        "expected_result": "one invoice per customer",
        "rollback": "punctual rollback nightly-invoices",
    }


def test_a_run_is_delivered_and_its_value_is_the_result(world: World) -> None:
    run = world.run("nightly-invoices", payload={"kind": "monthly", "day": "2026-04-01", "customers": [1]})
    assert run["state"] == "succeeded"
    assert run["result"] == {"kind": "monthly", "next": "2026-04-01", "customers": 1}
    assert [row[2] for row in world.executed("nightly-invoices", run["id"])] == [1]


def test_a_plain_function_runs_as_well(world: World) -> None:
    assert world.run("plain")["result"] == 1


def test_a_schedule_fires_each_occurrence_once(world: World) -> None:
    wait_for(lambda: len(world.executed("heartbeat")) >= 4, "the heartbeat is heard")
    heard = [row[1] for row in world.executed("heartbeat")]
    assert len(heard) == len(set(heard))


def test_a_value_that_is_no_json_fails_nothing(world: World) -> None:
    run = world.run("no-json")
    assert (run["state"], run["result"], run["attempt_count"]) == ("succeeded", None, 1)
    assert "is recorded as null, for it cannot be written as JSON" in world.app.log


def test_enqueue_makes_one_run_for_a_key(world: World) -> None:
    first = httpx.post(f"{world.app.url}/enqueue").json()["run"]
    again = httpx.post(f"{world.app.url}/enqueue").json()["run"]
    assert first == again
    run = wait_final(world.server, first)
    assert run["result"]["customers"] == 2
    assert instant(run["started_at"]) >= instant(run["due_at"]) > instant(run["created_at"])
    assert len(world.executed("nightly-invoices", first)) == 1


def test_enqueue_from_a_thread(world: World) -> None:
    run = httpx.post(f"{world.app.url}/enqueue-now").json()["run"]
    assert wait_final(world.server, run)["payload"] == {"n": 1}


# --- outcomes ---


def test_retry_waits_as_long_as_it_asks(world: World) -> None:
    run = world.run("not-yet")
    first, second = run["attempts"]
    assert (first["outcome"], first["status"], second["outcome"]) == ("failed", 503, "succeeded")
    assert first["error"] == "answered 503 Service Unavailable: the bank is busy"
    # The policy says 100 ms; the two seconds begin when the answer is recorded, after it started.
    assert instant(second["started_at"]) - instant(first["started_at"]) >= 2
    assert json.loads(first["response"])["detail"] == "the bank is busy"


@pytest.mark.parametrize("task", ["hopeless", "hopeless-thread"])
def test_fail_is_final(world: World, task: str) -> None:
    run = world.run(task)
    assert (run["state"], run["attempt_count"]) == ("failed", 1)
    (attempt,) = run["attempts"]
    assert (attempt["outcome"], attempt["status"]) == ("failed", 422)
    assert attempt["error"] == "answered 422 Unprocessable Content: there is no such customer"
    assert run["reason"] == f"given up for good: {attempt['error']}"
    assert len(world.executed(task, run["id"])) == 1
    assert get_task(world.server, task)["paused"] is None


def test_what_a_failed_run_cost_is_recorded(world: World) -> None:
    (attempt,) = world.run("hopeless")["attempts"]
    assert (attempt["db_calls"], attempt["cache"]) == (2, "cold")


def test_an_exception_is_retried_and_logged_with_its_traceback(world: World) -> None:
    run = world.run("broken")
    assert run["state"] == "failed"
    assert [row["status"] for row in run["attempts"]] == [500, 500, 500]
    answer = json.loads(run["attempts"][0]["response"])
    assert (answer["title"], answer["detail"]) == ("LookupError", "the price list is empty")
    words = "answered 500 Internal Server Error: the price list is empty"
    assert run["reason"] == f"out of attempts (3 of 3): {words}"
    assert len(world.executed("broken", run["id"])) == 3
    assert f"task broken, run {run['id']}, attempt 3 has failed" in world.app.log
    assert 'raise LookupError("the price list is empty")' in world.app.log


def test_a_payload_that_does_not_validate_fails_for_good_and_executes_nothing(world: World) -> None:
    run = world.run("nightly-invoices", payload={"kind": "daily", "day": "yesterday", "customers": ["x"]})
    assert (run["state"], run["attempt_count"]) == ("failed", 1)
    assert "/day" in run["reason"]
    assert "/customers/0" in run["reason"]
    assert world.executed("nightly-invoices", run["id"]) == []


def test_what_a_function_raises_does_not_make_the_app_look_down(
    server_factory: Factory, tmp_path: Path
) -> None:
    """A single 500 or 503 without a word would close the way to the app for half a minute."""
    server = server_factory(config="breaker: {failures: 1}\n")
    with ExitStack() as stack:
        world = start_app(stack, server, tmp_path)
        wait_for(lambda: has_tasks(server), "the app has applied its tasks")
        endpoint = f'punctual_endpoint_open{{endpoint="{world.app.url}"}} 1'
        for task, attempts in (("broken", 3), ("not-yet", 2), ("hopeless", 1)):
            assert world.run(task)["attempt_count"] == attempts
            assert endpoint not in server.api.get("/metrics").text


def test_a_task_may_have_a_secret_of_its_own(server_factory: Factory, tmp_path: Path) -> None:
    """The app knows only that one: what the server signs with its usual one is no delivery to it."""
    own = new_secret()
    config = 'secrets: {billing: "${BILLING_SECRET}"}\n'
    server = server_factory(config=config, env={"BILLING_SECRET": own})
    (tmp_path / "billing.py").write_text(
        "from fastapi import FastAPI\nfrom punctual import PunctualApp, Retry\n"
        "app = FastAPI()\npunctual = PunctualApp(app)\nonce = Retry(max_attempts=1)\n"
        "@punctual.task(signing_secret='billing', retry=once)\ndef charge(): return 'charged'\n"
        "@punctual.task(retry=once)\ndef usual(): return 'done'\n"
    )
    env = {"PUNCTUAL_URL": server.url, "PUNCTUAL_SIGNING_SECRET": own}
    with uvicorn("billing:app", tmp_path, **env):
        wait_for(lambda: server.api.get("/v1/tasks/charge").status_code == 200, "the tasks are applied")
        charged, usual = (wait_final(server, trigger(server, task)["id"]) for task in ("charge", "usual"))
    assert charged["result"] == "charged"
    assert [row["status"] for row in usual["attempts"]] == [401]


# --- deliveries that are none ---


@pytest.fixture
def send(world: World) -> Send:
    """Sends what the server would send, with one thing changed."""

    def post(
        task: str = "plain",
        body: bytes = b'{"n":1}',
        *,
        secret: str = world.server.secret,
        age: float = 0,
        signed: bytes | None = None,
        **headers: str,
    ) -> httpx.Response:
        run, sent = f"run_{secrets.token_hex(6)}0", int(time.time() - age)
        own = {
            "webhook-id": run,
            "webhook-timestamp": str(sent),
            "webhook-signature": sign(secret, run, sent, body if signed is None else signed),
            "punctual-attempt": "1",
            "punctual-fence": "1",
        }
        before = len(world.executed(task))
        answer = httpx.post(
            f"{world.app.url}/punctual/{task}", content=body, headers={**own, **headers}, trust_env=False
        )
        answer.extensions["executed"] = len(world.executed(task)) - before
        return answer

    return post


def refused(answer: httpx.Response, status: int) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == status
    assert answer.headers.get("punctual-outcome") == ("failed" if status == 422 else None)
    assert answer.extensions["executed"] == 0


def test_a_genuine_delivery_is_carried_out(send: Send) -> None:
    answer = send()
    assert (answer.status_code, answer.json(), answer.extensions["executed"]) == (200, 1, 1)


def test_an_old_signature_is_refused(send: Send) -> None:
    refused(send(age=301), 401)
    assert send(age=290).status_code == 200


def test_a_clock_that_is_ahead_is_refused(send: Send) -> None:
    refused(send(age=-310), 401)
    assert send(age=-290).status_code == 200


def test_another_body_is_refused(send: Send) -> None:
    refused(send(body=b'{"n": 1}', signed=b'{"n":1}'), 401)


def test_another_secret_is_refused(send: Send) -> None:
    refused(send(secret="whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()), 401)


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_a_missing_header_is_refused(send: Send, name: str) -> None:
    refused(send(**{name: ""}), 401)


def test_an_unknown_task_is_not_found(send: Send) -> None:
    refused(send("nobody"), 404)


def test_an_unknown_task_tells_strangers_nothing(send: Send) -> None:
    refused(send("nobody", age=1000), 401)


def test_a_payload_that_does_not_validate_is_refused_with_its_places(send: Send) -> None:
    answer = send("nightly-invoices", b'{"kind":"daily","day":"yesterday"}')
    refused(answer, 422)
    assert [error["pointer"] for error in answer.json()["errors"]] == ["/day"]


def test_a_body_that_is_no_json_is_refused(send: Send) -> None:
    refused(send(body=b"{"), 422)


def test_a_body_without_end_is_refused(send: Send) -> None:
    refused(send(body=b" " * (1 << 20) + b"1"), 413)


def test_only_post_delivers(world: World) -> None:
    answer = httpx.get(f"{world.app.url}/punctual/plain", trust_env=False)
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


# --- numbers ---


@pytest.mark.parametrize(
    ("task", "calls", "cache", "timed"),
    [
        ("asks-sync", 3, "warm", True),
        ("asks-async", 4, "cold", True),
        ("asks-driver", 2, "unknown", True),
        ("says-itself", 3, "warm", False),
    ],
)
def test_the_server_records_what_a_run_cost(
    world: World, task: str, calls: int, cache: str, timed: bool
) -> None:
    run = world.run(task)
    assert run["state"] == "succeeded", run
    (attempt,) = run["attempts"]
    assert (attempt["db_calls"], attempt["cache"]) == (calls, cache)
    if timed:
        assert 0 < attempt["db_time_ms"] <= attempt["response_time_ms"]
    else:
        assert attempt["db_time_ms"] is None


def test_any_route_says_what_it_cost(world: World) -> None:
    answer = httpx.get(f"{world.app.url}/report", trust_env=False)
    assert answer.headers.get_list("server-timing")[0].endswith(';desc="1 query"')
    assert "cache-status" not in answer.headers


# --- starting ---


def test_four_workers_apply_once_and_run_nothing_twice(server: Server, tmp_path: Path) -> None:
    with ExitStack() as stack:
        world = start_app(stack, server, tmp_path, workers=4)
        wait_for(lambda: all_applied([world], 4), "all four have started, and applied")
        wait_for(lambda: len(all_runs(server, task="heartbeat")) >= 8, "the heartbeat has come 8 times")
        revisions = server.api.get("/v1/tasks/nightly-invoices/revisions").json()["revisions"]
        assert len(revisions) == 1
        assert len(server.api.get("/v1/tasks/heartbeat/revisions").json()["revisions"]) == 1
    runs = [run for run in all_runs(server, task="heartbeat") if run["state"] == "succeeded"]
    assert len({run["scheduled_for"] for run in runs}) == len(runs)
    for run in runs:
        assert len(world.executed("heartbeat", run["id"])) == 1


def all_applied(replicas: list[World], count: int) -> list[tuple[int, int]]:
    """How many tasks each process has created and changed; nothing before so many have applied."""
    told = [
        (int(created), int(changed))
        for each in replicas
        for created, changed in re.findall(r"applied to \S+: (\d+) created, (\d+) changed", each.app.log)
    ]
    return told if len(told) == count else []


def test_replicas_that_start_in_the_same_moment_apply_once_and_run_nothing_twice(
    server_factory: Factory, tmp_path: Path
) -> None:
    """Three of two workers each, at one address, and all of them wait for the server."""
    with ExitStack() as stack, socket.socket() as kept:
        kept.bind(("127.0.0.1", 0))  # nobody else's server may be there meanwhile
        late = server_factory(start=False, listen=f"127.0.0.1:{kept.getsockname()[1]}")
        late.port = kept.getsockname()[1]
        first = start_app(stack, late, tmp_path, workers=2)
        options: dict[str, Any] = {"workers": 2, "APP_URL": first.app.url}
        replicas = [first, *(start_app(stack, late, tmp_path, **options) for _ in range(2))]
        for each in replicas:
            wait_for(lambda app=each.app: app.log.count("not applied to") >= 2, "both workers of it wait")
        kept.close()
        late.start()
        # They rest between tries, longer and longer.
        applied = wait_for(lambda: all_applied(replicas, 6), "all six have applied", within=60)
        assert [created > 0 for created, _ in applied].count(True) == 1, applied
        assert [changed for _, changed in applied] == [0] * 6
        wait_for(lambda: len(all_runs(late, task="heartbeat")) >= 8, "the heartbeat has come 8 times")
        for task in ("nightly-invoices", "heartbeat"):
            (revision,) = late.api.get(f"/v1/tasks/{task}/revisions").json()["revisions"]
            assert revision["what"] == "created"
    runs = [run for run in all_runs(late, task="heartbeat") if run["state"] == "succeeded"]
    assert len({run["scheduled_for"] for run in runs}) == len(runs) > 0
    for run in runs:
        assert len(first.executed("heartbeat", run["id"])) == 1


def test_other_tasks_are_not_touched(server: Server, tmp_path: Path) -> None:
    other = {"http": {"url": "http://127.0.0.1:9/other"}}
    assert server.api.put("/v1/tasks/other", json=other).status_code == 201
    with ExitStack() as stack:
        start_app(stack, server, tmp_path)
        wait_for(lambda: has_tasks(server), "the app has applied its tasks")
    assert get_task(server, "other")["revision"] == 1


def test_the_app_serves_before_the_server_is_there(server_factory: Factory, tmp_path: Path) -> None:
    late = server_factory(start=False, listen=f"127.0.0.1:{free_port()}")
    late.port = int(late.listen.rpartition(":")[2])
    with ExitStack() as stack:
        world = start_app(stack, late, tmp_path)
        wait_for(lambda: "not applied to" in world.app.log, "the log says what is missing")
        assert world.app.is_there()
        assert f"not applied to {late.url} yet, trying again in" in world.app.log
        late.start()
        wait_for(lambda: has_tasks(late), "the tasks are applied after all")
        assert world.run("plain")["state"] == "succeeded"


def test_enqueue_in_the_first_moment_does_not_wait_for_the_applying(
    server_factory: Factory, tmp_path: Path
) -> None:
    """The background waits longer and longer; who enqueues meanwhile applies first."""
    late = server_factory(start=False, listen=f"127.0.0.1:{free_port()}")
    late.port = int(late.listen.rpartition(":")[2])
    with ExitStack() as stack:
        world = start_app(stack, late, tmp_path)
        wait_for(lambda: "trying again in 2 s" in world.app.log, "it waits")
        late.start()
        run = httpx.post(f"{world.app.url}/enqueue-now", timeout=30).json()["run"]
        assert wait_state(late, run, "succeeded")["task"] == "plain"


@pytest.mark.parametrize(
    ("missing", "words"), [("APP_URL", "set APP_URL"), ("PUNCTUAL_SIGNING_SECRET", "punctual secret show")]
)
def test_a_setting_that_is_missing_stops_the_start_with_words(
    server: Server, tmp_path: Path, missing: str, words: str
) -> None:
    with ExitStack() as stack:
        world = start_app(stack, server, tmp_path, wait=False, **{missing: ""})
        wait_for(lambda: "Application startup failed" in world.app.log, "it does not start")
        assert words in world.app.log
    assert not has_tasks(server)


def test_a_definition_that_the_server_refuses_is_told_in_the_log(server: Server, tmp_path: Path) -> None:
    (tmp_path / "wrong.py").write_text(
        "from fastapi import FastAPI\nfrom punctual import PunctualApp\n"
        "app = FastAPI()\npunctual = PunctualApp(app)\n"
        "@punctual.task('61 2 * * *')\ndef wrong(): ...\n"
        "@app.get('/health')\ndef health(): return {}\n"
    )
    env = {"PUNCTUAL_URL": server.url, "PUNCTUAL_SIGNING_SECRET": server.secret}
    with uvicorn("wrong:app", tmp_path, **env) as app:
        wait_for(lambda: "were not applied" in app.log, "the log says so")
        assert "/tasks/wrong/schedule/cron" in app.log
        assert app.is_there()
