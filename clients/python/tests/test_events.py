"""Events: every one once, in order, over lost connections and restarts of the server."""

import asyncio
from contextlib import aclosing
from itertools import islice
from queue import SimpleQueue
from threading import Thread

import pytest
from breaking import BreakingWay

from punctual import ApiError, AsyncPunctual, Invalid, Punctual
from punctual.models import Event
from punctual.sse import Decoder
from support.server import Factory, Server
from support.waiting import wait_for

SILENT = {"http": {"url": "http://127.0.0.1:9/"}}


def put(client: Punctual, *names: str) -> None:
    for name in names:
        client.put_task(name, SILENT)


def tasks_of(events: "list[Event]") -> list[str | None]:
    return [event.task for event in events]


def test_all_that_is_kept_is_told(client: Punctual) -> None:
    put(client, "a", "b")
    first, second = islice(client.events(after="0"), 2)
    assert (first.type, first.task, first.run) == ("task.created", "a", None)
    assert first.at is not None
    assert first.data["revision"] == 1
    assert next(client.events(after=first.id)) == second


def test_only_what_is_asked_for_is_told(client: Punctual) -> None:
    put(client, "a", "b")
    client.pause_task("b", "why")
    client.pause_task("a", "why")
    events = client.events(after="0", task="a", types=["task.paused", "task.resumed"])
    assert next(events).data["note"] == "why"
    assert next(client.events(after="0", types="task.paused")).task == "b"


def test_a_lost_connection_loses_no_event(server: Server, client: Punctual) -> None:
    with BreakingWay(server.port) as way, Punctual(way.url) as listener:
        events = listener.events(after="0")
        put(client, "a")
        told = [next(events)]
        for name in ("b", "c"):
            way.break_all()
            put(client, name)
            told.append(next(events))
    assert tasks_of(told) == ["a", "b", "c"]


def test_a_connection_lost_before_the_first_event_loses_none(server: Server, client: Punctual) -> None:
    """The server says at the start where the listener stands."""
    put(client, "before")
    with BreakingWay(server.port) as way, Punctual(way.url) as listener:
        told: SimpleQueue[Event] = SimpleQueue()
        Thread(target=lambda: told.put(next(listener.events())), daemon=True).start()
        wait_for(lambda: b"\nid: " in way.passed, "the listener knows where it stands")
        way.shut()
        put(client, "after")
        way.open()
        assert told.get(timeout=60).task == "after"


def test_a_restart_loses_no_event(server_factory: Factory) -> None:
    server = server_factory()
    server.listen = f"127.0.0.1:{server.port}"
    with Punctual(server.url, retries=50) as client:
        put(client, "a")
        events = client.events(after="0")
        told = [next(events)]
        for end, name in ((server.kill, "b"), (server.stop, "c")):
            put(client, name)
            end()
            server.start()
            told.append(next(events))
        put(client, "d")
        told.append(next(events))
    assert tasks_of(told) == ["a", "b", "c", "d"]


@pytest.mark.anyio
async def test_a_restart_loses_no_event_for_asyncio(server_factory: Factory) -> None:
    server = server_factory()
    server.listen = f"127.0.0.1:{server.port}"

    def again() -> None:
        server.kill()
        server.start()

    async with AsyncPunctual(server.url, retries=50) as client:
        await client.put_task("a", SILENT)
        async with aclosing(client.events(after="0")) as events:
            told = [await anext(events)]
            waiting = asyncio.ensure_future(anext(events))
            await asyncio.to_thread(again)
            await client.put_task("b", SILENT)
            told.append(await waiting)
    assert tasks_of(told) == ["a", "b"]


def test_a_place_that_is_no_longer_kept_is_a_gap(client: Punctual) -> None:
    put(client, "a")
    assert next(client.events(after="999999")).type == "gap"


def test_a_place_that_makes_no_sense_is_refused(client: Punctual) -> None:
    with pytest.raises(Invalid):
        next(client.events(after="soon"))


def test_a_refusal_is_raised(server: Server) -> None:
    with Punctual(f"{server.url}/nowhere") as client, pytest.raises(ApiError):
        next(client.events())


def test_events_are_put_together_from_any_pieces() -> None:
    text = 'retry: 2000\nid: 4\n\n: here\n\nid: 5-0\r\nevent: x\ndata: {"a":\ndata: "\u2028ä"}\n\n'.encode()
    for size in range(1, len(text)):
        decoder = Decoder()
        events = [
            event for start in range(0, len(text), size) for event in decoder.feed(text[start : start + size])
        ]
        (event,) = events
        assert (event.id, event.type, event.data) == ("5-0", "x", {"a": "\u2028ä"})
    decoder = Decoder()
    assert decoder.feed(b"id: 4\n\nid: 5-0\ndata: {") == []
    decoder.restart()
    assert decoder.feed(b"\n\n") == []
