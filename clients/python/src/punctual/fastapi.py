"""PunctualApp: the tasks of a FastAPI or Starlette app.

    app = FastAPI()
    punctual = PunctualApp(app, url="http://127.0.0.1:8640")

Nothing of FastAPI is imported here: whatever has `mount` and a router with a lifespan will do.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from punctual.asgi import TaskEndpoint
from punctual.tasks import Tasks


class PunctualApp(Tasks):
    """The tasks of `app`: mounted under `path`, applied when the app starts, in the order of its lifespan.

    The settings are those of Tasks. `app.state.punctual` is this object.
    """

    def __init__(
        self,
        app: Any,
        *,
        url: str | None = None,
        api_key: str | None = None,
        app_url: str | None = None,
        secret: str | Sequence[str] | None = None,
        path: str = "/punctual",
        apply: bool = True,
    ) -> None:
        super().__init__(url=url, api_key=api_key, app_url=app_url, secret=secret, path=path, apply=apply)
        if not hasattr(app, "mount") or not hasattr(getattr(app, "router", None), "lifespan_context"):
            raise TypeError(
                "PunctualApp takes a FastAPI or Starlette app; for others: tasks = Tasks(...), "
                "app = tasks.asgi(app)"
            )
        app.mount(self.path, TaskEndpoint(self))
        app.state.punctual = self
        inner = app.router.lifespan_context

        @asynccontextmanager
        async def lifespan(its_app: Any) -> AsyncIterator[Any]:
            async with inner(its_app) as state:
                self.start()
                try:
                    yield state
                finally:
                    await self.stop()

        app.router.lifespan_context = lifespan
