"""Every operation of the API's own description has a method in both clients, with all it can be asked."""

import dataclasses
import inspect
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from recorder import Asked, AsyncRecorder, Recorder

from punctual import ApiError, AsyncPunctual, CatchUp, Expect, Punctual, RateLimit, Runbook, models
from punctual.errors import Fault
from punctual.registry import TaskOptions
from support.server import Server

AT = "2026-03-28T00:00:00Z"
WINDOW = {"from_": AT, "to": AT}
LEASE = [{"run": "run_0c4x9k2m1p7qz", "fence": 1}]
RUN = "run_0c4x9k2m1p7qz"

# The operation; the method that is it, with every parameter that goes into the query.
METHODS: dict[str, tuple[str, tuple[Any, ...], dict[str, Any]]] = {
    "GET /v1/tasks": ("tasks", (), {"figures": True}),
    "GET /v1/tasks/{name}": ("get_task", ("t",), {}),
    "PUT /v1/tasks/{name}": ("put_task", ("t", {}), {"note": "n"}),
    "PATCH /v1/tasks/{name}": ("patch_task", ("t", {}), {"note": "n"}),
    "DELETE /v1/tasks/{name}": ("delete_task", ("t",), {"note": "n"}),
    "POST /v1/tasks/{name}/pause": ("pause_task", ("t", "why"), {}),
    "POST /v1/tasks/{name}/resume": ("resume_task", ("t",), {}),
    "POST /v1/tasks/{name}/runs": ("trigger_task", ("t",), {}),
    "POST /v1/tasks/{name}/rollback": ("rollback_task", ("t",), {}),
    "GET /v1/tasks/{name}/upcoming": ("upcoming", ("t",), {**WINDOW, "limit": 3}),
    "GET /v1/tasks/{name}/revisions": ("revisions", ("t",), {}),
    "POST /v1/apply": ("apply", ({"tasks": {}},), {"dry_run": True, "prune": True, "note": "n"}),
    "POST /v1/runs": ("create_run", ("t",), {}),
    "POST /v1/runs/batch": ("create_runs", (["t"],), {}),
    "GET /v1/runs": ("runs", (), {**WINDOW, "task": "t", "state": "failed"}),
    "GET /v1/runs/{id}": ("get_run", (RUN,), {}),
    "POST /v1/runs/{id}/cancel": ("cancel_run", (RUN,), {}),
    "POST /v1/runs/{id}/retry": ("retry_run", (RUN,), {}),
    "POST /v1/runs/{id}/complete": ("complete_run", (RUN, 1), {}),
    "POST /v1/runs/{id}/heartbeat": ("heartbeat_run", (RUN, 1), {}),
    "POST /v1/queues/{queue}/lease": ("lease", ("q",), {}),
    "POST /v1/leases/heartbeat": ("heartbeat_leases", (LEASE,), {}),
    "POST /v1/leases/complete": ("complete_leases", (LEASE,), {}),
    "POST /v1/leases/fail": ("fail_leases", ([{**LEASE[0], "error": "e"}],), {}),
    "POST /v1/leases/release": ("release_leases", (LEASE,), {}),
    "GET /v1/queues": ("queues", (), {}),
    "GET /v1/queues/{queue}": ("get_queue", ("q",), {}),
    "POST /v1/checkins/{name}": ("checkin", ("t",), {}),
    "GET /v1/dead-letters": ("dead_letters", (), {**WINDOW, "task": "t", "reason": "r"}),
    "POST /v1/dead-letters/retry": ("retry_dead_letters", ([RUN],), {"dry_run": True}),
    "POST /v1/dead-letters/discard": ("discard_dead_letters", ([RUN],), {"dry_run": True}),
    "GET /v1/events": ("events", (), {"task": "t", "types": ["gap"], "after": "999999"}),
    "GET /v1/audit": ("audit", (), {**WINDOW, "task": "t"}),
    "GET /v1/test/clock": ("test_clock", (), {}),
    "POST /v1/test/clock": ("test_clock", (), {"advance": 0}),
    "GET /metrics": ("metrics", (), {}),
    "GET /health": ("health", (), {}),
    "GET /ready": ("ready", (), {}),
    "GET /openapi.json": ("openapi", (), {}),
    "GET /docs": ("docs", (), {}),
}

# Operations that make something: sent again, they must not make it twice.
CREATE = {
    "POST /v1/tasks/{name}/runs",
    "POST /v1/runs",
    "POST /v1/runs/batch",
    "POST /v1/runs/{id}/retry",
    "POST /v1/checkins/{name}",
    "POST /v1/dead-letters/retry",
    "POST /v1/dead-letters/discard",
}


def described(server: Server) -> dict[str, dict[str, Any]]:
    """Each operation of the server's own description."""
    paths = server.api.get("/openapi.json").json()["paths"]
    return {
        f"{method.upper()} {path}": operation
        for path, operations in paths.items()
        for method, operation in operations.items()
        if method != "parameters"
    }


def parameters(server: Server, operation: dict[str, Any], place: str) -> set[str]:
    shared = server.api.get("/openapi.json").json()["components"]["parameters"]
    rows = operation.get("parameters", [])
    whole = [shared[row["$ref"].rpartition("/")[2]] if "$ref" in row else row for row in rows]
    return {row["name"] for row in whole if row["in"] == place}


def is_of(operation: str, asked: Asked) -> bool:
    method, _, path = operation.partition(" ")
    pattern = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path))
    return method == asked.method and re.fullmatch(pattern, asked.path) is not None


def call(client: Punctual, operation: str) -> None:
    """What it says does not matter here: most of what it names is not there."""
    name, arguments, options = METHODS[operation]
    try:
        answer = getattr(client, name)(*arguments, **options)
        if isinstance(answer, Iterator):
            next(answer, None)
    except ApiError:
        pass


async def call_async(client: AsyncPunctual, operation: str) -> None:
    name, arguments, options = METHODS[operation]
    try:
        answer = getattr(client, name)(*arguments, **options)
        if isinstance(answer, AsyncIterator):
            await anext(answer, None)
        else:
            await answer
    except ApiError:
        pass


def test_each_operation_has_a_method(shared_server: Server) -> None:
    assert set(described(shared_server)) - set(METHODS) == set()


@pytest.mark.parametrize("operation", METHODS)
def test_the_method_asks_for_the_operation(shared_server: Server, operation: str) -> None:
    recorder = Recorder()
    with Punctual(shared_server.url, transport=recorder) as client:
        call(client, operation)
    recorder.close()
    assert is_of(operation, recorder.requests[0]), recorder.requests


@pytest.mark.anyio
@pytest.mark.parametrize("operation", METHODS)
async def test_the_other_client_asks_for_it_too(shared_server: Server, operation: str) -> None:
    recorder = AsyncRecorder()
    async with AsyncPunctual(shared_server.url, transport=recorder) as client:
        await call_async(client, operation)
    await recorder.aclose()
    assert is_of(operation, recorder.requests[0]), recorder.requests


@pytest.mark.parametrize("operation", METHODS)
def test_all_that_the_query_may_say_can_be_said(shared_server: Server, operation: str) -> None:
    known = described(shared_server)
    recorder = Recorder()
    with Punctual(shared_server.url, transport=recorder) as client:
        call(client, operation)
    recorder.close()
    wanted = parameters(shared_server, known.get(operation, {}), "query") - {"cursor"}
    assert wanted <= recorder.requests[0].query


@pytest.mark.parametrize("operation", METHODS)
def test_what_creates_carries_a_key(shared_server: Server, operation: str) -> None:
    recorder = Recorder()
    with Punctual(shared_server.url, transport=recorder) as client:
        call(client, operation)
        call(client, operation)
    recorder.close()
    keys = [asked.key for asked in recorder.requests if asked.key]
    assert bool(keys) == (operation in CREATE)
    assert len(set(keys)) == len(keys), "two calls have the same key"


def test_the_description_says_so_too(shared_server: Server) -> None:
    known = described(shared_server)
    keyed = {
        name for name, each in known.items() if "Idempotency-Key" in parameters(shared_server, each, "header")
    }
    assert keyed == CREATE


# --- the types of the answers, and the decorator ---

# The schema of the description, and what the client makes of it.
TYPES: dict[str, type] = {
    "Task": models.Task,
    "Figures": models.Figures,
    "Run": models.Run,
    "Attempt": models.Attempt,
    "Occurrence": models.Occurrence,
    "Revision": models.Revision,
    "Change": models.Change,
    "Plan": models.Plan,
    "Audit": models.Audit,
    "Difference": models.Difference,
    "Queue": models.Queue,
    "LeasedRun": models.LeasedRun,
    "Handled": models.Handled,
    "DeadLetter": models.DeadLetter,
    "TestClock": models.Clock,
    "Fault": Fault,
}


def schemas(server: Server) -> dict[str, Any]:
    found: dict[str, Any] = server.api.get("/openapi.json").json()["components"]["schemas"]
    return found


@pytest.mark.parametrize("name", TYPES)
def test_the_type_of_an_answer_says_all_that_is_described(shared_server: Server, name: str) -> None:
    fields = {field.name.rstrip("_") for field in dataclasses.fields(TYPES[name])}
    assert set(schemas(shared_server)[name]["properties"]) == fields


@pytest.mark.parametrize(
    ("field", "policy"),
    [("catch_up", CatchUp), ("rate_limit", RateLimit), ("expect", Expect), ("runbook", Runbook)],
)
def test_a_policy_says_all_that_is_described(shared_server: Server, field: str, policy: type) -> None:
    described = schemas(shared_server)["Definition"]["properties"][field]["properties"]
    assert set(described) == {each.name for each in dataclasses.fields(policy)}


def test_the_decorator_may_say_every_field_of_a_task(shared_server: Server) -> None:
    """But what it says itself: the target, and that the function's end is the end."""
    found = schemas(shared_server)
    own = {"http", "command", "monitor", "completion"}
    whole = {"schedule", "runbook"}  # by their parts
    parts = set(found["Schedule"]["properties"]) - {"cron"}
    parts |= set(found["Definition"]["properties"]["runbook"]["properties"])
    wanted = set(found["Definition"]["properties"]) - own - whole | parts
    assert set(TaskOptions.__annotations__) - {"name"} == wanted


# --- both clients ---


def public(kind: type) -> dict[str, Any]:
    return {
        name: member
        for name, member in vars(kind).items()
        if inspect.isfunction(member) and not name.startswith("_") and name not in ("close", "aclose")
    }


def signature(method: Any) -> tuple[list[inspect.Parameter], str]:
    """The parameters with their kinds, defaults and types; and what it answers, once it is there."""
    found = inspect.signature(method)
    return list(found.parameters.values()), found.return_annotation.removeprefix("Async")


def test_both_clients_have_the_same_methods_in_the_same_order() -> None:
    assert list(public(Punctual)) == list(public(AsyncPunctual))


@pytest.mark.parametrize("name", public(Punctual))
def test_a_method_is_the_same_and_explained_alike_in_both_clients(name: str) -> None:
    method, other = getattr(Punctual, name), getattr(AsyncPunctual, name)
    assert signature(method) == signature(other)
    assert method.__doc__
    assert method.__doc__ == other.__doc__


def test_both_clients_have_the_same_settings() -> None:
    settings, others = (
        {name: each for name, each in inspect.signature(kind).parameters.items() if name != "transport"}
        for kind in (Punctual, AsyncPunctual)
    )
    assert list(settings.items()) == list(others.items())
