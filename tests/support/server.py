"""The real server as a process: start, learn its port, stop, kill, read its log.

The binary comes from the environment variable PUNCTUAL, else build/punctual.
"""

import base64
import contextlib
import json
import os
import re
import secrets
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

from support.waiting import wait_for

ROOT = Path(__file__).resolve().parents[2]
START_S = 30.0
STOP_S = 30.0
SANITIZER = re.compile(r"ERROR: \w+Sanitizer|WARNING: ThreadSanitizer|LeakSanitizer|: runtime error: ")


def binary() -> Path:
    return Path(os.environ.get("PUNCTUAL") or ROOT / "build" / "punctual").resolve()


def new_secret() -> str:
    """A signing secret as Standard Webhooks writes it, made up now."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


class Server:
    """One server with its store. It may be started and stopped many times."""

    def __init__(
        self,
        folder: Path,
        *,
        listen: str = "127.0.0.1:0",
        arguments: Sequence[str] = (),
        config: str | None = None,
        env: Mapping[str, str] | None = None,
        program: Path | None = None,
    ) -> None:
        self.folder = folder
        self.listen = listen
        self.arguments = list(arguments)
        self.program = program or binary()
        self.secret = new_secret()
        self.env = {"PUNCTUAL_SIGNING_SECRET": self.secret, **(env or {})}
        self.store = folder / "punctual.db"
        self.log_path = folder / "server.log"
        self.config_path = folder / "config.yaml"
        self.port = 0
        self.process: subprocess.Popen[bytes] | None = None
        self._api: httpx.Client | None = None
        self._log_start = 0  # where the log of the newest process begins
        self.set_config(config)
        self.log_path.touch()

    def set_config(self, text: str | None) -> None:
        if text is None:
            self.config_path.unlink(missing_ok=True)
        else:
            self.config_path.write_text(text)

    # --- starting and ending ---

    def command(self) -> list[str]:
        line = [str(self.program), "serve", "--listen", self.listen, "--store", str(self.store)]
        if self.config_path.exists():
            line += ["--config", str(self.config_path)]
        return line + self.arguments

    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PUNCTUAL")}
        return {**kept, **self.env}

    def launch(self) -> subprocess.Popen[bytes]:
        """Starts the process without waiting for it to listen."""
        assert self.process is None, "it runs already"
        self._log_start = self.log_path.stat().st_size
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                self.command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.environment(),
                cwd=self.folder,
            )
        return self.process

    def start(self) -> "Server":
        self.launch()
        self.port = wait_for(self._find_port, "the server listens", within=START_S, pause=0.005)
        return self

    def _find_port(self) -> int | None:
        for line in self.log_lines(newest=True):
            if line.get("event") == "listening":
                return int(line["port"])
        assert self.process is not None
        code = self.process.poll()
        assert code is None, f"the server ended with {code} instead of listening:\n{self.log_text()}"
        return None

    def wait_exit(self, within: float = STOP_S) -> int:
        assert self.process is not None
        try:
            code = self.process.wait(within)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            self._forget()
            raise AssertionError(f"the server did not end within {within:g} s") from None
        self._forget()
        return code

    def terminate(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)

    def stop(self) -> None:
        """Stops with SIGTERM, which must end with exit code 0."""
        self.terminate()
        code = self.wait_exit()
        self.check_log()
        assert code == 0, f"exit code {code} after SIGTERM, not 0"

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        self._forget()
        self.check_log()

    def end(self) -> None:
        """After a test: stopped if it still runs, and its log looked at."""
        if self.process is not None and self.process.poll() is not None:
            code = self.process.returncode
            self._forget()
            self.check_log()
            raise AssertionError(f"the server had ended with {code} before the test was over")
        if self.process is not None:
            self.stop()
        self.check_log()

    def _forget(self) -> None:
        self.process = None
        if self._api is not None:
            self._api.close()
            self._api = None

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    # --- talking ---

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def api(self) -> httpx.Client:
        if self._api is None:
            self._api = httpx.Client(base_url=self.url, timeout=30, trust_env=False)
        return self._api

    def cli(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Runs the command line against this server."""
        return subprocess.run(
            [str(self.program), *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={**self.environment(), "PUNCTUAL_URL": self.url, **env},
            cwd=self.folder,
        )

    # --- its log ---

    def log_text(self, newest: bool = False) -> str:
        with self.log_path.open("rb") as log:
            log.seek(self._log_start if newest else 0)
            return log.read().decode(errors="replace")

    def log_lines(self, newest: bool = False) -> list[dict[str, Any]]:
        lines = []
        for text in self.log_text(newest).splitlines():
            with contextlib.suppress(json.JSONDecodeError):
                line = json.loads(text)
                if isinstance(line, dict):
                    lines.append(line)
        return lines

    def log_events(self, event: str) -> list[dict[str, Any]]:
        return [line for line in self.log_lines() if line.get("event") == event]

    def check_log(self) -> None:
        text = self.log_text()
        assert not SANITIZER.search(text), f"a sanitizer found something:\n{text[-20000:]}"


Factory = Callable[..., Server]


def pid_is_gone(pid: int) -> bool:
    """True for no process and for one that only waits to be reaped."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return True
    return stat.rpartition(")")[2].split()[0] in ("Z", "X")
