"""An HTTP receiver that keeps all it gets and answers as a test tells it to.

Each path has a script: answers that are given one after the other, the last one for ever. A path
without a script answers 200 with {"ok": true}.
"""

import contextlib
import itertools
import json
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from support.waiting import wait_for

OK_BODY = b'{"ok": true}'


@dataclass
class Answer:
    """What to answer. `hang` never answers until the receiver is released; `reset` cuts the connection."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = OK_BODY
    trailers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    hang: bool = False
    reset: bool = False


@dataclass
class Request:
    """One request as it came. `headers` has lower-case names."""

    time: float  # wall clock, when its head had been read
    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes
    connection: int  # which of the receiver's it came on, from 1
    answer: Answer | None = None
    answered: float | None = None  # wall clock, once the answer was written whole

    @property
    def run(self) -> str:
        return self.headers.get("webhook-id", "")

    @property
    def attempt(self) -> int:
        return int(self.headers.get("punctual-attempt", "0"))

    @property
    def fence(self) -> int:
        return int(self.headers.get("punctual-fence", "0"))

    def json(self) -> Any:
        return json.loads(self.body)


Decide = Callable[[Request], Answer]


class Receiver:
    def __init__(self, decide: Decide | None = None) -> None:
        self.requests: list[Request] = []
        self._scripts: dict[str, list[Answer]] = {}
        self._decide = decide
        self._lock = threading.Lock()
        self._released = threading.Event()
        self._http = _Http(self)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return self._http.server_address[1]

    def url(self, path: str = "/") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def script(self, path: str, *answers: Answer) -> None:
        """Sets what the path answers, one after the other; the last one is repeated."""
        with self._lock:
            self._scripts[path] = list(answers)

    def at(self, path: str) -> list[Request]:
        with self._lock:
            return [request for request in self.requests if request.path == path]

    def wait(self, path: str, count: int = 1) -> list[Request]:
        """Waits until the path has had `count` requests and returns all of them."""

        def enough() -> list[Request] | None:
            found = self.at(path)
            return found if len(found) >= count else None

        return wait_for(enough, f"{count} requests at {path}")

    def release(self) -> None:
        """Lets go of every request that hangs."""
        self._released.set()

    def close(self) -> None:
        self.release()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    # --- on the threads that serve ---

    def take(self, request: Request) -> Answer:
        with self._lock:
            self.requests.append(request)
            answers = self._scripts.get(request.path)
            if answers:
                answer = answers.pop(0) if len(answers) > 1 else answers[0]
            elif self._decide:
                answer = self._decide(request)
            else:
                answer = Answer()
            request.answer = answer
        return answer

    def hold(self, seconds: float | None) -> None:
        self._released.wait(seconds)


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 1024

    def __init__(self, receiver: Receiver) -> None:
        self.receiver = receiver
        self.connections = itertools.count(1)
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # a client that went away is what several tests are about


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: _Http

    def setup(self) -> None:
        super().setup()
        self.number = next(self.server.connections)

    def _any(self) -> None:
        now = time.time()
        parts = urlsplit(self.path)
        size = int(self.headers.get("Content-Length") or 0)
        request = Request(
            time=now,
            method=self.command,
            path=parts.path,
            query=parts.query,
            headers={name.lower(): value for name, value in self.headers.items()},
            body=self.rfile.read(size) if size else b"",
            connection=self.number,
        )
        answer = self.server.receiver.take(request)
        if answer.delay:
            self.server.receiver.hold(answer.delay)
        if answer.hang:
            self.server.receiver.hold(None)
        if answer.hang or answer.reset:
            self._cut()
            return
        self._write(answer)
        request.answered = time.time()

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _any  # noqa: N815

    def _write(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if "content-type" not in {name.lower() for name in answer.headers}:
            self.send_header("Content-Type", "application/json")
        if answer.trailers:
            self._write_chunked(answer)
        else:
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer.body)
        self.wfile.flush()

    def _write_chunked(self, answer: Answer) -> None:
        self.send_header("Transfer-Encoding", "chunked")
        self.send_header("Trailer", ", ".join(answer.trailers))
        self.end_headers()
        self.wfile.write(f"{len(answer.body):x}\r\n".encode() + answer.body + b"\r\n0\r\n")
        for name, value in answer.trailers.items():
            self.wfile.write(f"{name}: {value}\r\n".encode())
        self.wfile.write(b"\r\n")

    def _cut(self) -> None:
        """Ends the connection with a reset rather than an orderly close."""
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()

    def log_message(self, *arguments: Any) -> None:
        pass
