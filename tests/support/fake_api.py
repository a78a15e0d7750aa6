"""An API with canned answers, for what the command line makes of them.

It decides nothing: a test says what each call answers, and reads afterwards what was asked.
"""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit


@dataclass
class Asked:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


@dataclass
class Answer:
    status: int = 200
    body: Any = None  # bytes are sent as they are, anything else as JSON
    type: str = "application/json"


Canned = Answer | Callable[[Asked], Answer]


def problem(status: int, title: str, detail: str, errors: list[dict[str, Any]] | None = None) -> Answer:
    body: dict[str, Any] = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    if errors:
        body["errors"] = errors
    return Answer(status, body, "application/problem+json")


@dataclass
class FakeApi:
    answers: dict[str, Canned | list[Canned]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)

    def __enter__(self) -> Self:
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self.handler())
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def on(self, call: str, *answers: Canned) -> None:
        """`call` is "GET /v1/tasks". Several answers are given one after the other, the last one for ever."""
        self.answers[call] = list(answers)

    def answer(self, asked: Asked) -> Answer:
        self.asked.append(asked)
        canned = self.answers.get(f"{asked.method} {asked.path}")
        if canned is None:
            return problem(404, "There is no such thing", f"nothing at {asked.method} {asked.path}")
        if isinstance(canned, list):
            canned = canned.pop(0) if len(canned) > 1 else canned[0]
        return canned(asked) if callable(canned) else canned

    def wait_for(self, count: int) -> None:
        """Until so many calls have come."""
        deadline = time.monotonic() + 20
        while len(self.asked) < count:
            assert time.monotonic() < deadline, f"only {len(self.asked)} calls came"
            time.sleep(0.02)

    def handler(self) -> type[BaseHTTPRequestHandler]:
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                size = int(self.headers.get("Content-Length") or 0)
                raw = self.rfile.read(size)
                url = urlsplit(self.path)
                query = {name: values[0] for name, values in parse_qs(url.query).items()}
                body = json.loads(raw) if raw else None
                answer = api.answer(Asked(self.command, url.path, query, dict(self.headers.items()), body))
                text = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
                self.send_response(answer.status)
                self.send_header("Content-Type", answer.type)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_POST = handle_any  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        return Handler
