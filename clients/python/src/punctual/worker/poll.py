"""The client with which a worker waits for runs, and how it leaves without taking one along.

Who cancels a long poll may cancel one whose answer is already on its way: the runs in it would be nobody's
until their lease ends. So a worker that leaves closes first only its own half of the connection. From then on
the server gives it no run (it looks before it hands out, and takes them back), and an answer that was sent
before still arrives, and is given back.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Any

import httpx

from punctual.aio import AsyncPunctual
from punctual.lanes import AsyncLanes


class _WatchedTransport(httpx.AsyncHTTPTransport):
    """httpx's own, which remembers its connection."""

    stream: Any = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        request.extensions = {**request.extensions, "trace": self._note}
        return await super().handle_async_request(request)

    async def _note(self, event: str, fields: dict[str, Any]) -> None:
        if event == "connection.connect_tcp.complete":
            self.stream = fields["return_value"]


class _WatchedLanes(AsyncLanes):
    transport_class = _WatchedTransport
    newest: httpx.AsyncBaseTransport | None = None

    def take(self) -> httpx.AsyncBaseTransport:
        lane = self.newest = super().take()
        return lane


class PollClient(AsyncPunctual):
    """A client that can leave. For one call at a time."""

    _lanes_class = _WatchedLanes

    def say_goodbye(self) -> None:
        """Closes our half: nothing further is asked, and what is on its way may still come."""
        lanes = self._lanes.get(asyncio.get_running_loop())
        stream = getattr(getattr(lanes, "newest", None), "stream", None)
        raw = stream.get_extra_info("socket") if stream is not None else None
        if raw is not None:
            with contextlib.suppress(OSError):
                raw.shutdown(socket.SHUT_WR)
