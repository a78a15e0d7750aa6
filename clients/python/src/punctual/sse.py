"""Following /v1/events: decoding server-sent events (HTML Standard, 9.2), and where to go on after a loss.

Plain calculation: the clients read and wait, this says what has come and what to do next.
"""

from __future__ import annotations

import json

from punctual.calls import Call
from punctual.durations import instant_of
from punctual.errors import ApiError, PunctualError, TooManyRequests, Unavailable
from punctual.models import Event
from punctual.retrying import backoff, wait_before_retry


class Decoder:
    """Turns the bytes of a stream into events. `last_id` is where to go on."""

    def __init__(self, last_id: str = "") -> None:
        self.last_id = last_id
        self._rest = b""
        self._type = ""
        self._data: list[str] = []

    def feed(self, piece: bytes) -> list[Event]:
        """The events that are whole with this piece."""
        lines = (self._rest + piece).split(b"\n")
        self._rest = lines.pop()
        events = []
        for line in lines:
            event = self._line(line.removesuffix(b"\r").decode())
            if event is not None:
                events.append(event)
        return events

    def restart(self) -> None:
        """A new connection: what had come only in part is forgotten, it will come again."""
        self._rest, self._type, self._data = b"", "", []

    def _line(self, line: str) -> Event | None:
        if not line:
            return self._finish()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "id":
            self.last_id = value
        elif name == "event":
            self._type = value
        elif name == "data":
            self._data.append(value)
        return None

    def _finish(self) -> Event | None:
        kind, text = self._type, "\n".join(self._data)
        self._type, self._data = "", []
        if not text:
            return None
        data = json.loads(text)
        at = data.get("at")
        return Event(
            id=self.last_id,
            type=data.get("type") or kind,
            at=None if at is None else instant_of(at),
            task=data.get("task"),
            run=data.get("run"),
            data=data,
        )


class Follower:
    """One listener over many connections.

    Until the first connection stands it gives up as every call does. After that it comes back for ever, at
    the event after the last one it has seen, since a server that restarts is no reason to miss any.
    """

    def __init__(self, call: Call[None], retries: int) -> None:
        self._call = call
        self._retries = retries
        self._tried = 0
        self._stood = False
        self.decoder = Decoder()

    def call(self) -> Call[None]:
        """What to ask for now."""
        self.decoder.restart()
        self._tried += 1
        if not self.decoder.last_id:
            return self._call
        return self._call.with_header("Last-Event-ID", self.decoder.last_id)

    def heard(self, piece: bytes) -> list[Event]:
        """The stream stands, and has brought this."""
        self._stood, self._tried = True, 0
        return self.decoder.feed(piece)

    def lost(self, error: PunctualError | None, chance: float) -> float | None:
        """Seconds to wait before the next connection; None: give up and raise. `error` is None at an end."""
        tried = max(self._tried, 1)
        if error is not None and not self._stood:
            return wait_before_retry(
                error, repeatable=True, tried=tried, retries=self._retries, chance=chance
            )
        if isinstance(error, ApiError) and not isinstance(error, (Unavailable, TooManyRequests)):
            return None
        return backoff(tried, chance)
