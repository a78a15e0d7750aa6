"""A way to the real server that breaks: it passes requests on, and cuts when a test says so."""

import contextlib
import re
import socket
import threading
from types import TracebackType

HEAD = re.compile(rb"[A-Z]+ /\S* HTTP/1.1\r\n")


class BreakingWay:
    """Listens on loopback, forwards bytes to the server and back.

    `cuts`: for so many requests whose first line begins with `method`, the answer of the server is awaited
    and thrown away, and the connection is cut. So the server has done what was asked, and nobody heard of it.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._method = b""
        self.cuts = 0
        self.requests: list[bytes] = []
        self.passed = b""  # all that came back from the server
        self._open = threading.Event()
        self._open.set()
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> "BreakingWay":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def cut(self, method: str, times: int = 1) -> None:
        self._method, self.cuts = method.encode(), times

    def shut(self) -> None:
        """Cuts every connection that stands, and lets no new one through until `open`."""
        self._open.clear()
        self.break_all()

    def open(self) -> None:
        """Lets connections through again."""
        self._open.set()

    def break_all(self) -> None:
        """Cuts every connection that stands."""
        for each in list(self._sockets):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._listener.close()
        self.open()
        self.break_all()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._open.wait()
                server = socket.create_connection(("127.0.0.1", self._port))
                self._sockets += [client, server]
                asked: list[bytes] = []  # on this connection
                for work in (self._ask, self._answer):
                    threading.Thread(target=work, args=(client, server, asked), daemon=True).start()

    def _ask(self, client: socket.socket, server: socket.socket, asked: list[bytes]) -> None:
        with contextlib.suppress(OSError):
            while piece := client.recv(65536):
                if HEAD.match(piece):  # the body may come in pieces of its own
                    self.requests.append(piece)
                    asked.append(piece)
                server.sendall(piece)
            server.shutdown(socket.SHUT_WR)

    def _answer(self, client: socket.socket, server: socket.socket, asked: list[bytes]) -> None:
        with contextlib.suppress(OSError):
            while piece := server.recv(65536):
                if self.cuts and asked[-1].startswith(self._method):
                    self.cuts -= 1
                    break
                client.sendall(piece)
                self.passed += piece
        for each in (client, server):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
