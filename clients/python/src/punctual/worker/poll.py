"""The client with which a worker waits for runs, and how it leaves without taking one along.

Who cancels a long poll may cancel one whose answer is already on its way: the runs in it would be nobody's
until their lease ends. So a worker that leaves closes first only its own half of the connection. From then on
the server gives it no run (it looks before it hands out, and takes them back), and an answer that was sent
before still arrives, and is given back.
"""

from __future__ import annotations

import contextlib
import socket
from typing import Any

import httpx

from punctual.aio import AsyncPunctual


class PollClient(AsyncPunctual):
    """A client that knows the socket of its newest connection. For one call at a time."""

    _stream: Any = None

    def say_goodbye(self) -> None:
        """Closes our half: nothing further is asked, and what is on its way may still come."""
        raw = self._stream.get_extra_info("socket") if self._stream is not None else None
        if raw is not None:
            with contextlib.suppress(OSError):
                raw.shutdown(socket.SHUT_WR)

    def _connect(self) -> httpx.AsyncClient:
        http = super()._connect()
        http.event_hooks = {"request": [self._watch]}
        return http

    async def _watch(self, request: httpx.Request) -> None:
        request.extensions = {**request.extensions, "trace": self._note}

    async def _note(self, event: str, fields: dict[str, Any]) -> None:
        if event == "connection.connect_tcp.complete":
            self._stream = fields["return_value"]
