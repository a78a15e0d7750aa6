"""enqueue: many callers share requests, each keeps its own answer and its own error."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from breaking import BreakingWay

from punctual import AsyncPunctual, ConnectionFailed, Invalid, NotFound, Punctual
from punctual.calls import Call
from punctual.enqueue import MOST_BYTES, AsyncEnqueuer, Enqueuer
from support.server import Server
from support.words import all_runs, get_run

WISH: dict[str, Any] = {"queue": {"name": "emails"}}
BAD_PRIORITY = 77


class Counting:
    """Counts the requests of an enqueuer on their way to the server, and how many runs each carries."""

    def __init__(self, client: Punctual) -> None:
        self.client = client
        self.paths: list[str] = []

    def __call__(self, call: Call[Any]) -> Any:
        self.paths.append(call.path)
        return self.client._send(call)


def call_of(payload: Any, **more: Any) -> Call[Any]:
    from punctual import calls

    named = {"delay": None, "run_at": None, "priority": None, "idempotency_key": None, **more}
    return calls.create_run(WISH, payload=payload, **named)


def at_once(count: int, work: Callable[[int], Any]) -> list[Any]:
    """What each of so many threads brings, or its exception."""

    def one(number: int) -> Any:
        try:
            return work(number)
        except Exception as error:
            return error

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


def test_a_lone_call_is_sent_at_once_and_alone(server: Server, client: Punctual) -> None:
    run = client.enqueue(WISH, payload={"n": 1}, delay="1h", priority=7)
    found = get_run(server, run)
    assert (found["payload"], found["priority"], found["state"]) == ({"n": 1}, 7, "scheduled")


def test_threads_share_requests_and_each_gets_its_own_run(server: Server, client: Punctual) -> None:
    counting = Counting(client)
    enqueuer = Enqueuer(counting)
    ids = at_once(16, lambda n: [enqueuer.enqueue(call_of(f"{n}/{m}")) for m in range(25)])
    for n, own in enumerate(ids):
        assert [get_run(server, run)["payload"] for run in own] == [f"{n}/{m}" for m in range(25)]
    assert len(all_runs(server)) == 400
    assert len(counting.paths) < 400


def test_tasks_share_requests_and_each_gets_its_own_run(server: Server) -> None:
    async def all_of_them() -> list[str]:
        async with AsyncPunctual(server.url) as client:
            return await asyncio.gather(*(client.enqueue(WISH, payload=n) for n in range(300)))

    ids = asyncio.run(all_of_them())
    assert [get_run(server, run)["payload"] for run in ids[::50]] == list(range(0, 300, 50))
    assert len({*ids}) == 300


def test_what_comes_together_goes_together(client: Punctual) -> None:
    paths: list[str] = []

    async def together() -> None:
        async with AsyncPunctual(client.url) as other:

            async def send(call: Call[Any]) -> Any:
                paths.append(call.path)
                return await other._send(call)

            enqueuer = AsyncEnqueuer(send)
            await asyncio.gather(*(enqueuer.enqueue(call_of(n)) for n in range(50)))

    asyncio.run(together())
    assert paths == ["/v1/runs/batch"]


@pytest.mark.parametrize("kind", ["threads", "tasks"])
def test_a_wrong_run_fails_alone_with_the_words_that_it_would_get_alone(
    server: Server, client: Punctual, kind: str
) -> None:
    def wish(n: int) -> tuple[Any, dict[str, Any]]:
        if n % 10 == 3:
            return WISH, {"priority": BAD_PRIORITY}
        return ("nobody", {}) if n % 10 == 6 else (WISH, {"payload": n})

    async def tasks() -> list[Any]:
        async with AsyncPunctual(server.url) as other:
            made = [other.enqueue(wish(n)[0], **wish(n)[1]) for n in range(40)]
            return await asyncio.gather(*made, return_exceptions=True)

    if kind == "threads":
        found = at_once(40, lambda n: client.enqueue(wish(n)[0], **wish(n)[1]))
    else:
        found = asyncio.run(tasks())
    for n, outcome in enumerate(found):
        if n % 10 == 3:
            assert isinstance(outcome, Invalid)
            assert outcome.pointers == ["/priority"]
        elif n % 10 == 6:
            assert isinstance(outcome, NotFound)
            assert '"nobody"' in str(outcome)
        else:
            assert get_run(server, outcome)["payload"] == n
    assert len(all_runs(server)) == 32


def test_nothing_but_wrong_runs_are_all_refused(server: Server) -> None:
    async def tasks() -> list[Any]:
        async with AsyncPunctual(server.url) as client:
            made = [client.enqueue(f"nobody-{n}") for n in range(64)]
            return await asyncio.gather(*made, return_exceptions=True)

    for n, outcome in enumerate(asyncio.run(tasks())):
        assert isinstance(outcome, NotFound)
        assert f'"nobody-{n}"' in str(outcome)
    assert all_runs(server) == []


def test_what_is_no_json_is_told_to_its_own_caller(client: Punctual) -> None:
    with pytest.raises(TypeError, match="object"):
        client.enqueue(WISH, payload=object())
    with pytest.raises(ValueError, match="JSON"):
        client.enqueue(WISH, payload=float("nan"))


def test_large_payloads_are_spread_over_requests(server: Server) -> None:
    large = "x" * 200_000
    count = 2 * MOST_BYTES // 200_000 + 2

    async def tasks() -> list[str]:
        async with AsyncPunctual(server.url) as client:
            return await asyncio.gather(*(client.enqueue(WISH, payload=large) for _ in range(count)))

    assert len({*asyncio.run(tasks())}) == count


def test_an_answer_that_was_lost_creates_nothing_twice(server: Server) -> None:
    with BreakingWay(server.port) as way:
        way.cut("POST /v1/runs", times=3)

        async def tasks() -> list[str]:
            async with AsyncPunctual(way.url) as client:
                return await asyncio.gather(*(client.enqueue(WISH, payload=n) for n in range(50)))

        ids = asyncio.run(tasks())
        assert way.cuts == 0
    assert sorted(run["id"] for run in all_runs(server)) == sorted(ids)


def test_a_key_of_ones_own_gives_the_same_run_again(server: Server, client: Punctual) -> None:
    found = at_once(8, lambda _: client.enqueue(WISH, payload=1, idempotency_key="once"))
    assert len({*found}) == 1
    assert len(all_runs(server)) == 1


def test_no_server_is_told_to_everybody_who_waits(server: Server) -> None:
    url = server.url
    server.stop()
    with Punctual(url, retries=0) as client:
        found = at_once(12, lambda n: client.enqueue(WISH, payload=n))
    assert all(isinstance(error, ConnectionFailed) for error in found)
    assert len({id(error) for error in found}) == 12


def test_a_caller_that_is_canceled_leaves_the_others_alone(server: Server) -> None:
    async def tasks() -> list[Any]:
        async with AsyncPunctual(server.url) as client:
            made = [asyncio.create_task(client.enqueue(WISH, payload=n)) for n in range(20)]
            await asyncio.sleep(0)
            for task in made[::2]:
                task.cancel()
            return await asyncio.gather(*made, return_exceptions=True)

    found = asyncio.run(tasks())
    assert all(isinstance(outcome, asyncio.CancelledError) for outcome in found[::2])
    assert [get_run(server, run)["payload"] for run in found[1::2]] == list(range(1, 20, 2))


def test_one_client_serves_several_loops(server: Server) -> None:
    client = AsyncPunctual(server.url)
    ids: list[str] = []

    async def some() -> None:
        ids.extend(await asyncio.gather(*(client.enqueue(WISH, payload=n) for n in range(5))))
        await client.aclose()

    threads = [threading.Thread(target=asyncio.run, args=(some(),)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({*ids}) == 15
