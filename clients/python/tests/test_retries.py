"""Calls that are made again: over broken connections and kills of the real server, without harm."""

import asyncio
import multiprocessing
import threading
from collections.abc import Iterator

import pytest
from breaking import BreakingWay

from punctual import AsyncPunctual, ConnectionFailed, NotFound, Punctual, Stale
from support.receiver import Receiver
from support.server import Factory, Server
from support.waiting import wait_for

SILENT = {"http": {"url": "http://127.0.0.1:9/"}}
LATER = {**SILENT, "delay": "8000h"}


@pytest.fixture
def way(server: Server) -> Iterator[BreakingWay]:
    with BreakingWay(server.port) as made:
        yield made


@pytest.fixture
def broken(way: BreakingWay) -> Iterator[Punctual]:
    """A client whose way to the server can be broken."""
    with Punctual(way.url) as made:
        yield made


@pytest.fixture
def lasting(server_factory: Factory) -> Server:
    """A server that comes back at the same place."""
    server = server_factory()
    server.listen = f"127.0.0.1:{server.port}"
    return server


def test_a_create_whose_answer_is_lost_runs_once(
    way: BreakingWay, broken: Punctual, server: Server, receiver: Receiver
) -> None:
    way.cut("POST", times=2)
    run = broken.create_run({"http": {"url": receiver.url("/once")}})
    assert way.cuts == 0
    assert len([each for each in way.requests if each.startswith(b"POST /v1/runs ")]) == 3
    wait_for(lambda: broken.get_run(run.id).is_final, "it is over")
    assert len(receiver.wait("/once")) == 1
    assert [each["id"] for each in server.api.get("/v1/runs").json()["runs"]] == [run.id]


@pytest.mark.anyio
async def test_the_same_with_asyncio(way: BreakingWay, server: Server) -> None:
    way.cut("POST", times=2)
    async with AsyncPunctual(way.url) as client:
        run = await client.create_run(LATER)
    assert [each["id"] for each in server.api.get("/v1/runs").json()["runs"]] == [run.id]


def test_a_batch_whose_answer_is_lost_is_made_once(
    way: BreakingWay, broken: Punctual, server: Server
) -> None:
    way.cut("POST")
    ids = broken.create_runs([LATER] * 5)
    assert {each["id"] for each in server.api.get("/v1/runs").json()["runs"]} == set(ids)


def test_reading_and_defining_are_made_again(way: BreakingWay, broken: Punctual) -> None:
    way.cut("PUT")
    assert broken.put_task("a", SILENT).revision == 1
    way.cut("GET")
    assert broken.get_task("a").revision == 1
    way.cut("GET")
    assert [task.name for task in broken.tasks()] == ["a"]
    way.cut("POST")
    assert broken.pause_task("a", "why").paused is not None


def test_a_delete_whose_answer_is_lost_finds_nothing(way: BreakingWay, broken: Punctual) -> None:
    broken.put_task("a", SILENT)
    way.cut("DELETE")
    with pytest.raises(NotFound):
        broken.delete_task("a")


def test_a_completion_whose_answer_is_lost_is_told_as_repeated(way: BreakingWay, broken: Punctual) -> None:
    broken.put_task("mail", {"queue": {"name": "emails"}})
    broken.create_run("mail")
    (run,) = broken.lease("emails", wait="10s")
    way.cut("POST")
    (answer,) = broken.complete_leases([{"run": run.run, "fence": run.fence}])
    assert (answer.ok, answer.repeated) == (True, True)


def test_what_a_repeat_would_do_twice_is_not_made_again(way: BreakingWay, broken: Punctual) -> None:
    broken.put_task("mail", {"queue": {"name": "emails"}})
    broken.put_task("mail", {"queue": {"name": "emails"}, "timeout": "1m"})
    broken.create_runs(["mail", "mail"])
    wait_for(lambda: broken.get_queue("emails").due == 2, "both are due")
    for call in (
        lambda: broken.lease("emails"),
        lambda: broken.rollback_task("mail"),
        lambda: broken.patch_task("mail", {"timeout": "3m"}, if_match="*"),
    ):
        before = len(way.requests)
        way.cut("P")
        with pytest.raises(ConnectionFailed, match="not known") as caught:
            call()
        assert caught.value.sent
        assert len(way.requests) == before + 1
    assert broken.get_queue("emails").running == 1
    way.cut("PATCH")
    with pytest.raises(ConnectionFailed):
        broken.patch_task("mail", {"timeout": "4m"}, if_match=4)
    with pytest.raises(Stale):
        broken.patch_task("mail", {"timeout": "4m"}, if_match=4)


def test_it_gives_up_after_the_retries(way: BreakingWay) -> None:
    way.cut("POST", times=100)
    with Punctual(way.url, retries=2) as client, pytest.raises(ConnectionFailed):
        client.create_run(LATER)
    assert way.cuts == 97


def restart(server: Server) -> None:
    server.kill()
    server.start()


def test_calls_go_on_over_kills_of_the_server(lasting: Server) -> None:
    """Each run that was acknowledged is there, and none is there twice, while the server is killed."""
    made: list[str] = []
    stop = threading.Event()

    def create() -> None:
        with Punctual(lasting.url, retries=50) as client:
            while not stop.is_set():
                made.append(client.create_run(LATER).id)

    threads = [threading.Thread(target=create) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(3):
        count = len(made)
        wait_for(lambda count=count: len(made) > count + 20, "runs are made")
        restart(lasting)
    count = len(made)
    wait_for(lambda: len(made) > count + 20, "runs are made after the last kill")
    stop.set()
    for thread in threads:
        thread.join(60)
    with Punctual(lasting.url) as client:
        there = [run.id for run in client.runs(page_size=1000)]
    assert len(there) == len(set(there))
    assert sorted(made) == sorted(there)


@pytest.mark.anyio
async def test_asyncio_goes_on_over_a_kill_of_the_server(lasting: Server) -> None:
    async with AsyncPunctual(lasting.url, retries=50) as client:
        before = await asyncio.gather(*(client.create_run(LATER) for _ in range(50)))
        calls = [asyncio.ensure_future(client.create_run(LATER)) for _ in range(50)]
        await asyncio.to_thread(restart, lasting)
        after = await asyncio.gather(*calls)
        there = [run.id async for run in client.runs(page_size=1000)]
    assert sorted(run.id for run in [*before, *after]) == sorted(there)


def test_a_kept_connection_that_the_server_closed_is_no_trouble(lasting: Server) -> None:
    with Punctual(lasting.url, retries=0) as client:
        client.health()
        lasting.stop()
        lasting.start()
        assert client.health()


def test_one_client_serves_many_threads(server: Server) -> None:
    with Punctual(server.url) as client:
        threads = [threading.Thread(target=client.create_run, args=(LATER,)) for _ in range(32)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert len(list(client.runs())) == 32


def _create(client: Punctual, ids: "multiprocessing.Queue[str]") -> None:
    for _ in range(20):
        ids.put(client.create_run(LATER).id)


def test_a_forked_process_has_connections_of_its_own(server: Server) -> None:
    fork = multiprocessing.get_context("fork")
    ids: multiprocessing.Queue[str] = fork.Queue()
    with Punctual(server.url) as client:
        client.health()
        child = fork.Process(target=_create, args=(client, ids))
        child.start()
        own = [client.create_run(LATER).id for _ in range(20)]
        theirs = [ids.get(timeout=60) for _ in range(20)]
        child.join(60)
        assert sorted(own + theirs) == sorted(run.id for run in client.runs(page_size=1000))


def test_one_async_client_serves_several_loops(server: Server) -> None:
    client = AsyncPunctual(server.url)

    async def create() -> str:
        async with client:
            return (await client.create_run(LATER)).id

    assert len({asyncio.run(create()) for _ in range(3)}) == 3
