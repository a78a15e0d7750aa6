"""Tasks without FastAPI: plain ASGI, Starlette, and what frameworks without an event loop call. No server."""

import base64
import json
import secrets
import time
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from punctual import ConfigurationMissing, Fail, PunctualApp, Retry, Run, Tasks, db_call, sign

pytestmark = pytest.mark.anyio

SECRET = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
NOBODY = "http://127.0.0.1:9"  # no server is there


def make(**settings: Any) -> Tasks:
    return Tasks(**{"url": NOBODY, "app_url": "http://app", "secret": SECRET, "apply": False, **settings})


def signed(body: bytes, run: str = "run_0000000000001", **more: str) -> dict[str, str]:
    sent = int(time.time())
    return {
        "Webhook-Id": run,
        "Webhook-Timestamp": str(sent),
        "Webhook-Signature": sign(SECRET, run, sent, body),
        **more,
    }


async def post(app: Any, path: str, body: bytes = b"null", **more: str) -> httpx.Response:
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
        return await client.post(path, content=body, headers=signed(body, **more))


async def inner(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 418, "headers": []})
    await send({"type": "http.response.body", "body": scope["path"].encode()})


# --- one around another app ---


async def test_tasks_are_served_beside_an_app() -> None:
    tasks = make()

    @tasks.task(name="echo.1")
    async def echo(run: Run) -> Any:
        return [run.id, run.task, run.attempt, run.fence, str(run.scheduled_for), run.payload]

    app = tasks.asgi(inner)
    at = "2026-03-28T01:30:00.000Z"
    numbers = {"Punctual-Attempt": "2", "Punctual-Fence": "7", "Punctual-Scheduled-For": at}
    answer = await post(app, "/punctual/echo.1", b'{"n":1}', **numbers)
    assert answer.status_code == 200, answer.text
    assert answer.json() == ["run_0000000000001", "echo.1", 2, 7, "2026-03-28 01:30:00+00:00", {"n": 1}]
    for other in ("/", "/punctual", "/punctual/a/b", "/other/punctual/echo.1", "/punctualecho.1"):
        answer = await post(app, other)
        assert (answer.status_code, answer.text) == (418, other)


async def test_tasks_alone_are_an_app() -> None:
    answer = await post(make().asgi(), "/elsewhere")
    assert (answer.status_code, answer.json()["title"]) == (404, "Not found")


async def test_under_a_root_path() -> None:
    tasks = make(path="/jobs")

    @tasks.task()
    def plain() -> int:
        return 1

    app = tasks.asgi(inner)
    for root, path in (("/api", "/api/jobs/plain"), ("/api", "/jobs/plain"), ("", "/jobs/plain")):
        transport = httpx.ASGITransport(app=app, root_path=root)
        async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
            assert (await client.post(path, content=b"", headers=signed(b""))).json() == 1


async def test_a_starlette_app_will_do() -> None:
    app = Starlette()
    punctual = PunctualApp(app, url=NOBODY, app_url="http://app", secret=SECRET, apply=False)

    @punctual.task()
    def plain() -> int:
        with db_call():
            return 1

    answer = await post(app, "/punctual/plain")
    assert answer.json() == 1
    assert 'desc="1 query"' in answer.headers["server-timing"]
    assert app.state.punctual is punctual


def test_other_apps_are_told_how() -> None:
    with pytest.raises(TypeError, match=r"tasks\.asgi\(app\)"):
        PunctualApp(inner)


# --- lifespan ---


async def live(app: Any) -> list[str]:
    """A server's part of the lifespan: start, then stop. What the app said, in order."""
    said: list[str] = []
    messages = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])

    async def receive() -> Any:
        return next(messages)

    async def send(message: Any) -> None:
        said.append(message["type"].removeprefix("lifespan."))

    await app({"type": "lifespan"}, receive, send)
    return said


class Started(Tasks):
    """Notes when it starts and stops."""

    def __init__(self) -> None:
        super().__init__(secret=SECRET)
        self.seen: list[str] = []

    def start(self) -> None:
        self.seen.append("tasks start")

    async def stop(self) -> None:
        self.seen.append("tasks stop")


async def test_the_tasks_live_inside_the_life_of_the_app() -> None:
    tasks = Started()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        tasks.seen.append("app starts")
        await send({"type": "lifespan.startup.complete"})
        await receive()
        tasks.seen.append("app stops")
        await send({"type": "lifespan.shutdown.complete"})

    assert await live(tasks.asgi(app)) == ["startup.complete", "shutdown.complete"]
    assert tasks.seen == ["app starts", "tasks start", "app stops", "tasks stop"]


async def raises_at_once(scope: Any, receive: Any, send: Any) -> None:
    raise KeyError("method")


async def raises_having_listened(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    raise KeyError("method")


async def returns(scope: Any, receive: Any, send: Any) -> None: ...


@pytest.mark.parametrize("app", [raises_at_once, raises_having_listened, returns, None])
async def test_an_app_without_a_lifespan_is_started_all_the_same(app: Any) -> None:
    tasks = Started()
    assert await live(tasks.asgi(app)) == ["startup.complete", "shutdown.complete"]
    assert tasks.seen == ["tasks start", "tasks stop"]


async def test_an_app_that_fails_to_start_starts_no_tasks() -> None:
    tasks = Started()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no"})

    assert await live(tasks.asgi(app)) == ["startup.failed"]
    assert tasks.seen == []


async def test_settings_that_are_missing_fail_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("APP_URL", raising=False)
    tasks = make(app_url=None)

    @tasks.task()
    def plain() -> None: ...

    assert await live(tasks.asgi()) == ["startup.failed"]
    with pytest.raises(ConfigurationMissing, match="set APP_URL"):
        tasks.start()
    tasks.configure(app_url="app.example.com")
    with pytest.raises(ConfigurationMissing, match="must begin with http"):
        tasks.start()
    tasks.configure(app_url="http://app", secret="nonsense")
    with pytest.raises(ConfigurationMissing, match="begins with whsec_") as caught:
        tasks.start()
    assert "nonsense" not in str(caught.value)


def test_without_tasks_nothing_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("APP_URL", raising=False)
    Tasks().start()


# --- without an event loop ---


def handled(tasks: Tasks, task: str, body: bytes = b"null") -> Any:
    return tasks.handle_delivery(signed(body, **{"Punctual-Task": task}), body)


def test_a_delivery_is_handled_without_an_event_loop() -> None:
    tasks = make()

    @tasks.task()
    async def asynchronous(run: Run) -> Any:
        with db_call():
            return run.payload

    @tasks.task()
    def plain(run: Run) -> Any:
        return run.payload

    answer = handled(tasks, "asynchronous", b"5")
    assert (answer.status, answer.body) == (200, b"5")
    assert dict(answer.headers)["server-timing"].endswith('desc="1 query"')
    assert tasks.handle_delivery(signed(b"6"), b"6", "plain").body == b"6"
    assert handled(tasks, "nobody").status == 404
    assert tasks.handle_delivery({}, b"6", "plain").status == 401
    assert tasks.handle_delivery(signed(b"6"), b"6").status == 404


def test_outcomes_without_an_event_loop(caplog: pytest.LogCaptureFixture) -> None:
    tasks = make()

    @tasks.task()
    def later(payload: Any) -> None:
        raise Retry("busy", after=payload)

    @tasks.task()
    def never() -> None:
        raise Fail("no use")

    @tasks.task()
    def broken() -> None:
        raise LookupError("empty")

    for after, seconds in ((b'"1m30s"', "90"), (b"0.2", "1"), (b"null", None), (b"-5", None)):
        answer = handled(tasks, "later", after)
        assert (answer.status, dict(answer.headers).get("retry-after")) == (503, seconds)
        assert dict(answer.headers)["punctual-outcome"] == "retry"
    assert "makes no sense" in caplog.text
    answer = handled(tasks, "never")
    assert (answer.status, json.loads(answer.body)["detail"]) == (422, "no use")
    assert dict(answer.headers)["punctual-outcome"] == "failed"
    answer = handled(tasks, "broken")
    assert (answer.status, dict(answer.headers)["punctual-outcome"]) == (500, "retry")
    assert "LookupError: empty" in caplog.text


def test_a_delivery_without_a_secret_executes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PUNCTUAL_SIGNING_SECRET", raising=False)
    assert make(secret=None).handle_delivery(signed(b""), b"", "plain").status == 500
