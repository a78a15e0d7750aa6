"""What a decorator declares, and what a function is called with. No server."""

import pickle
import threading
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import Any

import anyio
import anyio.to_thread
import pytest
from pydantic import BaseModel, ConfigDict

from punctual import CatchUp, Expect, PayloadInvalid, RateLimit, Retry, Run, Tasks
from punctual.registry import Handler, declare, definition_of

pytestmark = pytest.mark.anyio


class Order(BaseModel):
    number: int
    at: datetime | None = None


class StrictOrder(BaseModel):
    model_config = ConfigDict(strict=True)
    at: datetime


@dataclass
class Point:
    x: int


# --- what a function is given ---


async def takes_run(run: Run) -> Any:
    return run.payload


async def takes_another_name(context: Run) -> Any:
    return context.payload


def takes_payload(payload: Any) -> Any:
    return payload


def takes_bare(payload) -> Any:  # type: ignore[no-untyped-def]
    return payload


async def takes_model(run: Run, order: Order) -> Any:
    return order.number


def takes_it_by_keyword(*, order: Order, run: Run) -> Any:
    return (run.attempt, order.number)


async def takes_a_dataclass(point: Point) -> Any:
    return point.x


async def takes_a_list(numbers: list[int], unused: int = 0, *more: int, **others: int) -> Any:
    return sum(numbers)


async def takes_nothing() -> Any:
    return "nothing"


def gives_an_awaitable(run: Run) -> Any:
    return takes_run(run)


class Callable:
    async def __call__(self, run: Run) -> Any:
        return run.payload


@pytest.mark.parametrize(
    ("function", "payload", "value"),
    [
        (takes_run, {"a": 1}, {"a": 1}),
        (takes_another_name, 5, 5),
        (takes_payload, [1], [1]),
        (takes_bare, None, None),
        (takes_model, {"number": 3}, 3),
        (takes_it_by_keyword, {"number": "4"}, (1, 4)),
        (takes_a_dataclass, {"x": 6}, 6),
        (takes_a_list, [1, 2], 3),
        (takes_nothing, {"a": 1}, "nothing"),
        (gives_an_awaitable, 7, 7),
        (Callable(), 8, 8),
        (partial(takes_run), 9, 9),
    ],
)
async def test_a_function_gets_what_it_asks_for(function: Any, payload: Any, value: Any) -> None:
    assert await Handler(function).call(Run(payload=payload)) == value


async def test_long_tasks_keep_no_route_waiting() -> None:
    """More of them than the threads that all of an app's plain routes share."""
    done = threading.Event()
    began = threading.Semaphore(0)

    def long(run: Run) -> bool:
        began.release()
        return done.wait(30)

    async with anyio.create_task_group() as group:
        for _ in range(50):
            group.start_soon(Handler(long).call, Run())
        for _ in range(50):
            assert await anyio.to_thread.run_sync(began.acquire, True, 30)
        await anyio.to_thread.run_sync(done.set)


def test_without_an_event_loop_both_kinds_run() -> None:
    assert Handler(takes_run).call_here(Run(payload=1)) == 1
    assert Handler(takes_payload).call_here(Run(payload=2)) == 2


async def test_strict_models_read_json_and_not_python() -> None:
    async def function(order: StrictOrder) -> datetime:
        return order.at

    at = await Handler(function).call(Run(payload={"at": "2026-03-28T02:30:00Z"}))
    assert at == datetime(2026, 3, 28, 2, 30, tzinfo=timezone.utc)


async def test_each_place_that_does_not_validate_is_named() -> None:
    with pytest.raises(PayloadInvalid) as caught:
        await Handler(takes_model).call(Run(payload={"number": "x", "at": "y"}))
    assert [error["pointer"] for error in caught.value.errors] == ["/number", "/at"]
    assert "/number: " in str(caught.value)
    assert pickle.loads(pickle.dumps(caught.value)).errors == caught.value.errors
    with pytest.raises(PayloadInvalid) as caught:
        await Handler(takes_model).call(Run(payload=None))
    assert caught.value.errors[0]["pointer"] == ""


def test_a_function_that_cannot_be_called_is_refused_where_it_is_declared() -> None:
    def three(run: Run, a: int, b: int) -> None: ...
    def twice(run: Run, context: Run) -> None: ...
    def unknown(run: Run, payload: "Nowhere") -> None: ...  # type: ignore[name-defined]  # noqa: F821

    for function, words in (
        (three, r"takes \(run, a, b\)"),
        (twice, r"takes \(run, context\)"),
        (unknown, "Nowhere, which is not known"),
    ):
        with pytest.raises(TypeError, match=words):
            Handler(function)


def test_a_run_whose_annotation_is_not_imported_is_found_by_its_name() -> None:
    def function(run: "Elsewhere") -> None: ...  # type: ignore[name-defined]  # noqa: F821

    assert Handler(function).arguments(Run())[0] == [Run()]


async def test_a_heartbeat_without_a_lease_does_nothing() -> None:
    await Run().heartbeat("1m")


# --- definitions ---


def definition(schedule: Any = None, **options: Any) -> dict[str, Any]:
    return definition_of(declare(takes_run, schedule, **options), {})


def test_the_name_and_the_summary_come_from_the_function() -> None:
    def __send_Mail_2(run: Run) -> None:  # noqa: N802
        """Send the mails of the day.

        And more.
        """

    declared = declare(__send_Mail_2)
    assert (declared.name, declared.fields) == ("send-mail-2", {"summary": "Send the mails of the day"})


@pytest.mark.parametrize(
    ("schedule", "options", "expected"),
    [
        ("30 2 * * *", {}, {"cron": "30 2 * * *"}),
        (
            "30 2 * * *",
            {"timezone": "Europe/Berlin", "dst_gap": "skip", "jitter": timedelta(minutes=5)},
            {"cron": "30 2 * * *", "timezone": "Europe/Berlin", "dst_gap": "skip", "jitter": "5m"},
        ),
        (None, {"every": 900}, {"every": "15m"}),
        (None, {"at": datetime(2026, 12, 24, 17, tzinfo=timezone.utc)}, {"at": "2026-12-24T17:00:00Z"}),
        ([{"every": "1h"}, {"every": "7m"}], {}, [{"every": "1h"}, {"every": "7m"}]),
    ],
)
def test_schedules(schedule: Any, options: dict[str, Any], expected: Any) -> None:
    assert definition(schedule, **options) == {"schedule": expected}


def test_policies_are_written_in_the_words_of_the_api() -> None:
    assert definition(
        timeout=90,
        retry=Retry(max_attempts=5, max="10m"),
        expect=Expect(max_duration="2m"),
        catch_up=CatchUp("all", max=20),
        rate_limit=RateLimit(100, "1m", key="stripe"),
        owner="billing@example.com",
        payload={"kind": "daily"},
        priority=0,
    ) == {
        "timeout": "1m30s",
        "retry": {"max_attempts": 5, "max": "10m"},
        "expect": {"max_duration": "2m"},
        "catch_up": {"policy": "all", "max": 20},
        "rate_limit": {"limit": 100, "per": "1m", "key": "stripe"},
        "runbook": {"owner": "billing@example.com"},
        "payload": {"kind": "daily"},
        "priority": 0,
    }


@pytest.mark.parametrize(
    ("schedule", "options", "words"),
    [
        ("@daily", {"every": "1h"}, "exclude each other"),
        (None, {"timezone": "Europe/Berlin"}, "timezone without a schedule"),
        ({"every": "1h"}, {"jitter": "1m"}, "jitter beside a whole schedule"),
        (None, {"name": "No Good"}, "cannot name a task"),
        (None, {"name": "-x"}, "cannot name a task"),
        (None, {"ownr": "x"}, "a task has no ownr; it has name, queue, every"),
        (None, {"at": datetime(2026, 1, 1)}, "does not say in which zone"),
    ],
)
def test_what_makes_no_sense_is_refused_at_the_decorator(
    schedule: Any, options: dict[str, Any], words: str
) -> None:
    with pytest.raises((ValueError, TypeError), match=words):
        definition(schedule, **options)


def test_the_definitions_of_an_app() -> None:
    tasks = Tasks(app_url="https://app.example.com/api/", path="/jobs/")

    @tasks.task("@daily")
    async def nightly(run: Run) -> dict[str, int]:
        return {"n": run.payload}

    assert tasks.definitions() == {
        "nightly": {
            "http": {"method": "POST", "url": "https://app.example.com/api/jobs/nightly"},
            "schedule": {"cron": "@daily"},
        }
    }
    assert (nightly.name, nightly.__name__, repr(nightly)) == ("nightly", "nightly", "<task nightly>")
    with pytest.raises(ValueError, match='two functions are the task "nightly"'):
        tasks.task("@daily")(nightly)
    with pytest.raises(TypeError, match=r"write @punctual\.task\(\)"):
        tasks.task(nightly)  # type: ignore[arg-type]


async def test_a_task_is_still_a_function() -> None:
    tasks = Tasks()

    @tasks.task()
    async def double(run: Run) -> int:
        return int(run.payload) * 2

    assert await double(Run(payload=2)) == 4


@pytest.mark.parametrize("path", ["jobs", "/", ""])
def test_a_path_begins_with_a_slash_and_is_more(path: str) -> None:
    with pytest.raises(ValueError, match="path is such as"):
        Tasks(path=path)


async def test_a_payload_is_refused_where_it_is_enqueued() -> None:
    tasks = Tasks(url="http://127.0.0.1:9")

    @tasks.task()
    async def ship(order: Order) -> None: ...

    with pytest.raises(PayloadInvalid):
        await ship.enqueue({"number": "x"})
    with pytest.raises(PayloadInvalid):
        ship.enqueue_now({"number": "x"})
