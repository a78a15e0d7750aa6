"""What is raised when the server refuses, is not there, or is something else."""

import copy
import pickle
import secrets

import httpx
import pytest

from punctual import (
    ApiError,
    AsyncPunctual,
    Conflict,
    ConnectionFailed,
    Forbidden,
    Invalid,
    NotFound,
    Punctual,
    PunctualError,
    Stale,
    TooManyRequests,
    Unauthorized,
    Unavailable,
)
from punctual.errors import error_of
from support.receiver import Answer, Receiver
from support.server import Factory, Server


def test_a_key_is_asked_for_and_taken(server_factory: Factory, monkeypatch: pytest.MonkeyPatch) -> None:
    key = secrets.token_urlsafe(24)
    server = server_factory(env={"PUNCTUAL_API_KEY": key})
    monkeypatch.delenv("PUNCTUAL_API_KEY", raising=False)
    for wrong in (None, "x" * 24):
        with Punctual(server.url, wrong) as client, pytest.raises(Unauthorized, match="API key") as caught:
            list(client.runs())
        assert caught.value.status == 401
    with Punctual(server.url, key) as client:
        assert list(client.runs()) == []
    monkeypatch.setenv("PUNCTUAL_URL", server.url + "/")
    monkeypatch.setenv("PUNCTUAL_API_KEY", key)
    with Punctual() as client:
        assert client.url == server.url
        assert list(client.runs()) == []


def test_every_fault_of_a_definition_has_its_place(client: Punctual) -> None:
    with pytest.raises(Invalid) as caught:
        client.put_task("a", {"http": {"url": "http://x/"}, "schedule": {"cron": "61 * * * *"}, "retri": {}})
    error = caught.value
    assert error.status == 400
    assert {"/schedule/cron", "/retri"} <= set(error.pointers)
    lines = str(error).splitlines()
    assert lines[0] == f"{error.title} (400): {error.detail}"
    assert any(line.startswith("  /schedule/cron: ") for line in lines)
    assert error.problem["instance"] == "/v1/tasks/a"


def test_a_fault_in_the_query_is_named(client: Punctual) -> None:
    with pytest.raises(Invalid) as caught:
        next(client.runs(page_size=5000))
    assert caught.value.errors[0].parameter == "limit"
    assert "?limit: " in str(caught.value)


def test_what_is_not_allowed_is_forbidden(client: Punctual) -> None:
    with pytest.raises(Forbidden, match="does not allow commands"):
        client.put_task("a", {"command": ["true"]})


def test_too_much_is_told(client: Punctual) -> None:
    with pytest.raises(Invalid) as caught:
        client.put_task("a", {"http": {"url": "http://x/"}, "payload": "x" * (9 << 20)})
    assert caught.value.status == 413


def test_nobody_there(server: Server) -> None:
    server.stop()
    with Punctual(server.url, retries=1) as client:
        with pytest.raises(ConnectionFailed, match="could not be reached") as caught:
            client.create_run("a")
        assert not caught.value.sent
        with pytest.raises(ConnectionFailed, match="nothing was sent"):
            next(client.events())


@pytest.mark.anyio
async def test_nobody_there_for_asyncio(server: Server) -> None:
    server.stop()
    async with AsyncPunctual(server.url, retries=1) as client:
        with pytest.raises(ConnectionFailed, match="could not be reached"):
            await client.get_run("run_0c4x9k2m1p7qz")
        with pytest.raises(ConnectionFailed, match="nothing was sent"):
            await anext(client.events())


def test_a_server_of_something_else(receiver: Receiver) -> None:
    receiver.script("/v1/runs/run_1", Answer(status=404, body=b"<h1>not here</h1>"), Answer(body=b"hello"))
    receiver.script("/v1/runs/run_2", Answer(status=301, headers={"Location": "https://elsewhere/"}))
    with Punctual(receiver.url("/").rstrip("/")) as client:
        with pytest.raises(NotFound, match="<h1>not here</h1>"):
            client.get_run("run_1")
        with pytest.raises(ApiError, match="is the url right"):
            client.get_run("run_1")
        with pytest.raises(ApiError, match="https://elsewhere/"):
            client.get_run("run_2")


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, Invalid),
        (401, Unauthorized),
        (403, Forbidden),
        (404, NotFound),
        (409, Conflict),
        (412, Stale),
        (418, ApiError),
        (422, Invalid),
        (429, TooManyRequests),
        (500, ApiError),
        (503, Unavailable),
    ],
)
def test_each_status_has_its_kind_and_survives_pickling(status: int, kind: type[ApiError]) -> None:
    fault = {"pointer": "", "detail": "is wrong"}
    error = error_of(status, {"title": "T", "detail": "d", "errors": [fault], "errors_in_all": 3}, 1.5)
    again = pickle.loads(pickle.dumps(error))
    for each in (error, again, copy.copy(error)):
        assert type(each) is kind
        assert (each.status, each.retry_after, each.pointers) == (status, 1.5, [""])
        assert str(each) == f"T ({status}): d\n  the body: is wrong\n  and 2 more"
    assert isinstance(error, PunctualError)


def test_a_broken_connection_survives_pickling() -> None:
    error = pickle.loads(pickle.dumps(ConnectionFailed("gone", sent=False)))
    assert (str(error), error.sent) == ("gone", False)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"url": "127.0.0.1:8640"}, "must be like http://"),
        ({"api_key": "a\nb"}, "header cannot carry"),
        ({"author": "a\x00"}, "header cannot carry"),
        ({"timeout": 0}, "above 0"),
        ({"retries": -1}, "0 or more"),
    ],
)
def test_settings_that_make_no_sense(arguments: dict[str, object], words: str) -> None:
    for kind in (Punctual, AsyncPunctual):
        with pytest.raises(ValueError, match=words):
            kind(**arguments)  # type: ignore[arg-type]


def test_a_transport_of_ones_own_is_not_closed(server: Server) -> None:
    transport = httpx.HTTPTransport()
    with Punctual(server.url, transport=transport) as client:
        assert client.health()
    with Punctual(server.url, transport=transport) as client:
        assert client.health()
    transport.close()
