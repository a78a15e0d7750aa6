"""The connection on which a worker waits for runs, and how it leaves without taking one along.

Who cancels a long poll may cancel one whose answer is already on its way: the runs in it would be nobody's until
their lease ends. So a worker that leaves closes first only its own half of the connection. From then on the
server gives it no run (it looks before it hands out, and takes them back), and an answer sent before that
still arrives and is given back.
"""

from __future__ import annotations

import contextlib
import socket
from typing import Any

import httpx


class PollTransport(httpx.AsyncBaseTransport):
    """httpx's own transport, which remembers the socket that it has connected last."""

    def __init__(self) -> None:
        # One connection: what is remembered is what is used.
        self._inner = httpx.AsyncHTTPTransport(limits=httpx.Limits(max_connections=1), trust_env=True)
        self._stream: Any = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Sends one request."""
        request.extensions = {**request.extensions, "trace": self._note}
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        """Closes the connection."""
        await self._inner.aclose()

    def say_goodbye(self) -> None:
        """Closes our half: nothing further is asked, and what is on its way may still come."""
        raw = self._stream.get_extra_info("socket") if self._stream is not None else None
        if raw is not None:
            with contextlib.suppress(OSError):
                raw.shutdown(socket.SHUT_WR)

    async def _note(self, event: str, fields: dict[str, Any]) -> None:
        if event == "connection.connect_tcp.complete":
            self._stream = fields["return_value"]
