"""A line between client and real server that breaks at the worst moment: when the server has done its work.

`lose_answer(words)` makes the answer to the next request with these words disappear, with its connection.
"""

import contextlib
import socket
import threading
from types import TracebackType


class BrokenLine:
    """Listens on a port of its own and hands everything on, but for the answers that it is to lose."""

    def __init__(self, server_port: int) -> None:
        self._to = server_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.lost = 0
        self._lose: list[bytes] = []
        self._lock = threading.Lock()
        self._ends: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def lose_answer(self, words: str, times: int = 1) -> None:
        with self._lock:
            self._lose += [words.encode()] * times

    def __enter__(self) -> "BrokenLine":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()
        for end in self._ends:
            end.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with (
            contextlib.suppress(OSError),
            client,
            socket.create_connection(("127.0.0.1", self._to)) as server,
        ):
            self._ends += [client, server]
            doomed = threading.Event()
            threading.Thread(target=self._back, args=(server, client, doomed), daemon=True).start()
            while piece := client.recv(65536):
                if self._is_to_lose(piece):
                    doomed.set()
                server.sendall(piece)
            server.shutdown(socket.SHUT_WR)
            doomed.wait(30)

    def _back(self, server: socket.socket, client: socket.socket, doomed: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while piece := server.recv(65536):
                if doomed.is_set():
                    self.lost += 1
                    break
                client.sendall(piece)
        doomed.set()
        with contextlib.suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)

    def _is_to_lose(self, piece: bytes) -> bool:
        with self._lock:
            for words in self._lose:
                if words in piece:
                    self._lose.remove(words)
                    return True
        return False
