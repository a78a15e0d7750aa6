"""Reading server-sent events (HTML Standard, 9.2) from GET /v1/events."""

import contextlib
import json
import threading
from dataclasses import dataclass
from typing import Any

import httpx

from support.server import Server
from support.waiting import wait_for


@dataclass
class Event:
    id: str
    kind: str
    data: dict[str, Any]


class Stream:
    """Collects events on a thread of its own until it is closed."""

    def __init__(self, server: Server, after: str | None = None) -> None:
        self.events: list[Event] = []
        self.status: int | None = None
        self.content_type = ""
        self._url = f"{server.url}/v1/events"
        self._headers = {"Accept": "text/event-stream", **({"Last-Event-ID": after} if after else {})}
        self._client = httpx.Client(timeout=httpx.Timeout(10, read=None), trust_env=False)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        wait_for(lambda: self.status is not None, "the stream is open")

    def _read(self) -> None:
        ends = contextlib.suppress(httpx.HTTPError, OSError, RuntimeError, ValueError)
        with ends, self._client.stream("GET", self._url, headers=self._headers) as answer:
            self.content_type = answer.headers.get("content-type", "")
            self.status = answer.status_code
            self._parse(answer)

    def _parse(self, answer: httpx.Response) -> None:
        fields: dict[str, str] = {}
        for line in answer.iter_lines():
            if self._closing.is_set():
                return
            if line == "":
                if "data" in fields:
                    self.events.append(Event(fields.get("id", ""), fields.get("event", ""), json.loads(fields["data"])))
                fields = {}
            elif not line.startswith(":"):
                name, _, value = line.partition(":")
                fields[name] = value.removeprefix(" ")

    def wait(self, kind: str, run: str | None = None) -> Event:
        """Waits until an event of this kind (and run) has come."""

        def there() -> Event | None:
            for event in list(self.events):
                if event.data.get("type") == kind and run in (None, event.data.get("run")):
                    return event
            return None

        return wait_for(there, f"the event {kind} of {run}")

    def close(self) -> None:
        self._closing.set()
        self._client.close()
