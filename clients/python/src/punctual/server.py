"""Where the server's program is, and a server of one's own: on a free port, with a store that goes away.

    with LocalServer() as server:
        client = Punctual(server.url)

For tests, demonstrations and notebooks. What must stay is started by systemd or a container, not from here.
"""

from __future__ import annotations

import atexit
import base64
import importlib.util
import json
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from punctual.errors import PunctualError

START_S = 30.0  # the longest start that is waited for; a usual one takes some 20 ms
STOP_S = 30.0
LOOK_S = 0.002  # how often the log is looked at for the port
LOG_SHOWN = 4000  # characters of the log in an error

NOT_FOUND = """the program `punctual` is not here. One of these helps:
    install the package punctual-server beside this one (Linux, glibc 2.34 or later)
    put a built `punctual` into a folder of PATH
    name it: PUNCTUAL_SERVER=/path/to/punctual"""


class ServerNotFound(PunctualError):
    """There is no program of the server on this machine; the message says how to get one."""


class ServerFailed(PunctualError):
    """The server did not start, or had ended by itself; the message has the end of its log."""


def find_server() -> Path:
    """The server's program: $PUNCTUAL_SERVER, else the package punctual-server, else `punctual` in PATH.

    Raises ServerNotFound where none of them is there, and where PUNCTUAL_SERVER names no program.
    """
    named = os.environ.get("PUNCTUAL_SERVER")
    if named:
        return _check_named(Path(named))
    if importlib.util.find_spec("punctual_server") is not None:
        from punctual_server import find_punctual_bin

        try:
            return find_punctual_bin()
        except FileNotFoundError as missing:
            raise ServerNotFound(str(missing)) from None
    found = shutil.which("punctual")
    if found is None:
        raise ServerNotFound(NOT_FOUND)
    return Path(found)


def _check_named(program: Path) -> Path:
    if not os.access(program, os.X_OK) or program.is_dir():
        raise ServerNotFound(f"PUNCTUAL_SERVER names {program}, which is no program: correct or unset it")
    return program.resolve()


def server_environment() -> dict[str, str]:
    """This process's environment for a server: without PUNCTUAL_..., meant for clients or another server."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PUNCTUAL")}
    if importlib.util.find_spec("punctual_server") is not None:
        from punctual_server import environment

        kept |= environment(kept)
    return kept


class LocalServer:
    """A server of this process, listening on 127.0.0.1; a context manager. It may be started anew.

    `arguments` go to `punctual serve`, such as "--test-clock". `folder` is where store and log are kept;
    without one they are in a temporary folder that goes away with close(). `port` 0 takes any free one, which
    is kept over restarts. `env` is added to the environment. `program` is what find_server() finds where it
    is None.

    Once started: `url` and `port` to reach it, `pid`, and `secret` (whsec_...), which signs its deliveries
    and is made for this server alone. It ends when this process ends in order; kill -9 leaves it running.
    """

    def __init__(
        self,
        *arguments: str,
        folder: Path | None = None,
        port: int = 0,
        env: Mapping[str, str] | None = None,
        program: Path | None = None,
    ) -> None:
        self.program = program or find_server()
        self.arguments = arguments
        self.port = port
        self.secret = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
        self._env = dict(env or {})
        self._temporary = None if folder else tempfile.TemporaryDirectory(prefix="punctual-")
        self.folder = folder or Path(self._temporary.name if self._temporary else "")
        self.store = self.folder / "punctual.db"
        self.log = self.folder / "server.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start = 0  # where the log of the newest process begins

    def __enter__(self) -> LocalServer:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def url(self) -> str:
        """As PUNCTUAL_URL takes it."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The process id. Raises ServerFailed where it does not run."""
        if self._process is None:
            raise ServerFailed("this server is not started: call start()")
        return self._process.pid

    @property
    def running(self) -> bool:
        """False before start, after stop or kill, and where it ended by itself."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> LocalServer:
        """Returns when it listens. Raises ServerFailed with the end of its log where it ends instead."""
        if self.running:
            return self
        self.log.touch()
        self._log_start = self.log.stat().st_size
        line = [str(self.program), "serve", "--listen", f"127.0.0.1:{self.port}", "--store", str(self.store)]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*line, *self.arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env={**server_environment(), "PUNCTUAL_SIGNING_SECRET": self.secret, **self._env},
            )
        atexit.register(self.close)
        self.port = self._wait_until_it_listens()
        return self

    def stop(self) -> None:
        """Lets what runs finish, as `punctual serve` does on SIGTERM. Raises ServerFailed where it failed."""
        code = self._end(signal.SIGTERM)
        if code not in (0, None):
            raise ServerFailed(f"the server ended with {code} when it was stopped:\n{self._end_of_log()}")

    def kill(self) -> None:
        """Ends it as a crash would. What it acknowledged is in the store, and start() goes on from there."""
        self._end(signal.SIGKILL)

    def close(self) -> None:
        """Ends it at once and removes what is temporary. May be called again."""
        self.kill()
        atexit.unregister(self.close)
        if self._temporary is not None:
            self._temporary.cleanup()

    def log_lines(self) -> list[dict[str, Any]]:
        """What the newest process has logged: objects with `event`, in their order."""
        with self.log.open("rb") as log:
            log.seek(self._log_start)
            lines = log.read().decode(errors="replace").splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}\n")]

    def _wait_until_it_listens(self) -> int:
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            ended = not self.running
            for line in self.log_lines():
                if line.get("event") == "listening":
                    return int(line["port"])
            if ended:
                code = self._end(signal.SIGKILL)
                raise ServerFailed(f"the server ended with {code} at its start:\n{self._end_of_log()}")
            time.sleep(LOOK_S)
        self.kill()
        raise ServerFailed(f"the server did not listen within {START_S:g} s:\n{self._end_of_log()}")

    def _end(self, how: signal.Signals) -> int | None:
        process, self._process = self._process, None
        if process is None:
            return None
        process.send_signal(how)
        try:
            return process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()

    def _end_of_log(self) -> str:
        return self.log.read_text(errors="replace")[-LOG_SHOWN:] if self.log.exists() else ""
