"""Hands requests to an ASGI app in this process: what a server sends to a port, and what a test asks.

The app needs no socket and no server of its own. It lives in an event loop in a thread, from `start` (its
lifespan begins) to `stop` (it ends): what belongs to a loop, such as an async engine, is made there once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import unquote

import h11
import httpx

from punctual.errors import PunctualError

log = logging.getLogger("punctual.testing")

T = TypeVar("T")
Headers = list[tuple[bytes, bytes]]

START_S = 60.0
STOP_S = 30.0
PIECE = 1 << 16


class AppFailed(PunctualError):
    """The app under test did not start, or not end. What it raised is the cause."""


@dataclass
class Exchange:
    """A request, and the app's answer to it once there is one."""

    method: str
    target: str
    headers: Headers
    body: bytes
    status: int = 500
    answer_headers: Headers = field(default_factory=list)
    answer: bytes = b""

    def scope(self, state: Mapping[str, Any]) -> dict[str, Any]:
        """What ASGI calls it; `state` is that of the app's lifespan."""
        path, _, query = self.target.partition("?")
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": self.method,
            "scheme": "http",
            "path": unquote(path),
            "raw_path": path.encode("latin-1"),
            "query_string": query.encode("latin-1"),
            "root_path": "",
            "headers": [(name.lower(), value) for name, value in self.headers],
            "client": ("127.0.0.1", 0),
            "server": ("127.0.0.1", 80),
            "state": dict(state),
        }


class Bridge:
    """One app, in a loop of its own, reached by a port on 127.0.0.1 (`url`) and by `client()`.

    Of each request that comes through the port, `before` is called with the headers (names in lower case),
    and `after` is awaited in the app's loop before the answer goes out.
    """

    def __init__(
        self,
        app: Any,
        before: Callable[[Mapping[str, str]], None] | None = None,
        after: Callable[[], Coroutine[Any, Any, None]] | None = None,
    ) -> None:
        self._app = app
        self._before = before
        self._after = after
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="punctual-app", daemon=True)
        self._listener: asyncio.Server | None = None
        self._lifespan = _Lifespan(app)
        self._connections: set[asyncio.Task[None]] = set()
        self.url = ""

    # --- living; called by the test's thread ---

    def listen(self) -> str:
        """Opens the port, so that the address is known before the app starts."""
        self._thread.start()
        self.url = self.call(self._listen(), START_S)
        return self.url

    def start(self) -> None:
        """Starts the app. Raises AppFailed where its lifespan does."""
        self.call(self._lifespan.start(), START_S)

    def stop(self) -> None:
        """Ends the app, then the loop. Raises AppFailed where its lifespan does."""
        try:
            self.call(self._close(), STOP_S)
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(STOP_S)
            self._loop.close()

    def call(self, work: Coroutine[Any, Any, T], within: float | None = None) -> T:
        """Runs it in the app's loop, and waits for it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(within)

    def client(self) -> httpx.Client:
        """Requests to the app, without a socket: `client().get("/health")`. Cookies are kept as usual."""
        return httpx.Client(transport=_Transport(self), base_url="http://app.test")

    # --- one request; in the app's loop ---

    async def carry_out(self, exchange: Exchange) -> Exchange:
        """Asks the app. What it raises is logged with its traceback, and is a 500 as a server would
        answer."""
        asked = False
        gone = asyncio.Event()

        async def receive() -> dict[str, Any]:
            nonlocal asked
            if asked:
                await gone.wait()
                return {"type": "http.disconnect"}
            asked = True
            return {"type": "http.request", "body": exchange.body, "more_body": False}

        async def send(message: Mapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                exchange.status = message["status"]
                exchange.answer_headers = [(bytes(n), bytes(v)) for n, v in message.get("headers", ())]
            elif message["type"] == "http.response.body":
                exchange.answer += message.get("body", b"")
                if not message.get("more_body", False):
                    gone.set()

        try:
            await self._app(exchange.scope(self._lifespan.state), receive, send)
        except Exception:
            log.exception("the app raised at %s %s", exchange.method, exchange.target)
            if not exchange.answer_headers:
                exchange.answer_headers = [(b"content-type", b"text/plain")]
                exchange.answer = b"Internal Server Error"
        return exchange

    # --- the port ---

    async def _listen(self) -> str:
        self._listener = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = self._listener.sockets[0].getsockname()[1]
        return f"http://127.0.0.1:{port}"

    async def _close(self) -> None:
        if self._listener is not None:
            self._listener.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await self._lifespan.stop()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            await self._speak(reader, writer)
        except (ConnectionError, h11.ProtocolError, asyncio.CancelledError):
            pass  # the other side has gone, or speaks no HTTP, or this is the end
        finally:
            self._connections.discard(task)
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _speak(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = h11.Connection(h11.SERVER)
        while True:
            exchange = await _read(connection, reader, writer)
            if exchange is None:
                return
            if self._before is not None:
                names = (
                    (name.decode("latin-1"), value.decode("latin-1")) for name, value in exchange.headers
                )
                self._before(dict(names))
            await self.carry_out(exchange)
            if self._after is not None:
                await self._after()
            writer.write(_written(connection, exchange))
            await writer.drain()
            if connection.our_state is not h11.DONE or connection.their_state is not h11.DONE:
                return
            connection.start_next_cycle()


async def _read(
    connection: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> Exchange | None:
    """The next request with all of its body; None where the other side has no more."""
    exchange: Exchange | None = None
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            if connection.they_are_waiting_for_100_continue:
                go_on = h11.InformationalResponse(status_code=100, headers=[])
                writer.write(connection.send(go_on) or b"")
            connection.receive_data(await reader.read(PIECE))
        elif isinstance(event, h11.Request):
            exchange = Exchange(event.method.decode(), event.target.decode(), list(event.headers), b"")
        elif isinstance(event, h11.Data) and exchange is not None:
            exchange.body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            return exchange
        else:
            return None


def _written(connection: h11.Connection, exchange: Exchange) -> bytes:
    """The response as bytes. The length is that of what came, whatever the app said."""
    kept = [
        (n, v)
        for n, v in exchange.answer_headers
        if n.lower() not in (b"content-length", b"transfer-encoding")
    ]
    has_body = exchange.method != "HEAD" and exchange.status not in (204, 304)
    length = [(b"content-length", str(len(exchange.answer)).encode())] if exchange.status != 204 else []
    out = connection.send(h11.Response(status_code=exchange.status, headers=kept + length)) or b""
    if has_body:
        out += connection.send(h11.Data(data=exchange.answer)) or b""
    return out + (connection.send(h11.EndOfMessage()) or b"")


class _Transport(httpx.BaseTransport):
    """Hands an httpx request to the app, and waits on the caller's thread."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        target = request.url.raw_path.decode("ascii")
        exchange = Exchange(request.method, target, list(request.headers.raw), request.read())
        done = self._bridge.call(self._bridge.carry_out(exchange))
        body = b"" if request.method == "HEAD" else done.answer
        return httpx.Response(done.status, headers=done.answer_headers, content=body, request=request)


class _Lifespan:
    """The lifespan of an ASGI app; one that knows of none is let alone."""

    def __init__(self, app: Any) -> None:
        self.state: dict[str, Any] = {}  # what the app's lifespan yields, for its requests
        self._app = app
        self._task: asyncio.Task[None] | None = None
        self._error: Exception | None = None

    async def start(self) -> None:
        self._told: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._said: asyncio.Queue[Mapping[str, Any]] = asyncio.Queue()
        self._task = asyncio.create_task(self._run())
        answer = await self._ask("startup")
        if answer["type"] == "lifespan.startup.failed":
            raise AppFailed(f"the app did not start: {answer.get('message') or self._error}") from self._error

    async def stop(self) -> None:
        """Nothing where it did not start, or knows of no lifespan."""
        if self._task is None or self._task.done():
            return
        answer = await self._ask("shutdown")
        await self._task
        if answer["type"] != "lifespan.shutdown.complete":
            raise AppFailed(
                f"the app did not end in order: {answer.get('message') or self._error}"
            ) from self._error

    async def _ask(self, word: str) -> Mapping[str, Any]:
        await self._told.put({"type": f"lifespan.{word}"})
        return await self._said.get()

    async def _run(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
        try:
            await self._app(scope, self._told.get, self._said.put)
        except Exception as error:
            self._error = error
        await self._said.put({"type": "lifespan.over"})
