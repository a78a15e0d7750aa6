"""The tasks of an app as plain ASGI, for any framework: `app = tasks.asgi(app)`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any

from punctual.delivery import BODY_MOST, Answer, log, problem
from punctual.visibility import Visibility

if TYPE_CHECKING:
    from punctual.tasks import Tasks

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

_NOT_POST = problem(405, "Method not allowed", "deliveries come by POST", headers=[("allow", "POST")])


class TaskEndpoint:
    """Serves the deliveries to all tasks of an app; the last part of the path is the task's name."""

    def __init__(self, tasks: Tasks) -> None:
        self._tasks = tasks
        self._measured = Visibility(self._serve)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})
            return
        await self._measured(scope, receive, send)

    async def _serve(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["method"] != "POST":
            await _respond(send, _NOT_POST)
            return
        body = await _body(receive)
        if body is None:
            return
        if isinstance(body, Answer):
            await _respond(send, body)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        name = scope["path"].rpartition("/")[2]
        await _respond(send, await self._tasks.deliver(name, headers, body))


class TasksApp:
    """Serves the tasks under their path, and everything else from `app`; 404 where there is none.

    Takes part in the lifespan: the tasks start after `app` has started, and stop when it has stopped.
    """

    def __init__(self, tasks: Tasks, app: App | None = None) -> None:
        self.punctual = tasks
        self._app = app
        self._endpoint = TaskEndpoint(tasks)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(scope, receive, send)
        elif self._is_ours(scope):
            await self._endpoint(scope, receive, send)
        elif self._app is not None:
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await _respond(
                send, problem(404, "Not found", f"only the tasks under {self.punctual.path} are here")
            )
        else:
            await send({"type": "websocket.close", "code": 1000})

    def _is_ours(self, scope: Message) -> bool:
        path = str(scope["path"])
        root = str(scope.get("root_path", ""))
        inside = path[len(root) :] if root and path.startswith(root) else path
        rest = inside.removeprefix(self.punctual.path + "/")
        return rest != inside and "/" not in rest

    async def _live(self, scope: Message, receive: Receive, send: Send) -> None:
        """The app's own lifespan with ours inside it; only ours where the app knows of none."""
        heard = started = False

        async def listen() -> Message:
            nonlocal heard
            message = await receive()
            heard = True
            return message

        async def tell(message: Message) -> None:
            nonlocal started
            if message["type"] == "lifespan.startup.complete":
                started = True
                await self._start(send)
                return
            if message["type"] == "lifespan.shutdown.complete":
                await self.punctual.stop()
            if message["type"] == "lifespan.startup.failed":
                started = True
            await send(message)

        if self._app is not None:
            try:
                await self._app(scope, listen, tell)
            except Exception:
                if started:
                    raise  # not before: the specification has apps raise where they know no lifespan
            if started:
                return
        if not heard:
            await receive()
        if await self._start(send):
            await receive()
            await self.punctual.stop()
            await send({"type": "lifespan.shutdown.complete"})

    async def _start(self, send: Send) -> bool:
        """Whether the tasks have started; the server is told either way."""
        try:
            self.punctual.start()
        except Exception as trouble:
            log.error("the app does not start: %s", trouble)
            await send({"type": "lifespan.startup.failed", "message": str(trouble)})
            return False
        await send({"type": "lifespan.startup.complete"})
        return True


def tasks_of(app: Any) -> Tasks | None:
    """The tasks of an app, of PunctualApp (`app.state.punctual`) or of `Tasks.asgi`; None without any."""
    from punctual.tasks import Tasks

    found = (
        app.punctual if isinstance(app, TasksApp) else getattr(getattr(app, "state", None), "punctual", None)
    )
    return found if isinstance(found, Tasks) else None


async def _body(receive: Receive) -> bytes | Answer | None:
    """All of it; an answer where it is too large, None where the sender has gone."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        part = message.get("body", b"")
        size += len(part)
        if size > BODY_MOST:
            return problem(413, "Too large", f"a delivery has at most {BODY_MOST >> 10} KiB")
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)


async def _respond(send: Send, answer: Answer) -> None:
    headers = [(b"content-length", str(len(answer.body)).encode())]
    headers += [(name.encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
