"""The command line, as a test calls it, and what an API with canned answers has to show."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
from datetime import UTC, datetime, timedelta
from typing import Any

from support.fake_api import FakeApi
from support.server import Server, binary

RUN = "run_0c4x9k2m1p7qz"


def instant(**ago: float) -> str:
    return (datetime.now(UTC) - timedelta(**ago)).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def a_run(**changed: Any) -> dict[str, Any]:
    return {
        "id": RUN,
        "task": "nightly-invoices",
        "revision": 3,
        "state": "succeeded",
        "reason": None,
        "trigger": "schedule",
        "scheduled_for": instant(minutes=2, seconds=30),
        "due_at": instant(minutes=2, seconds=30),
        "started_at": instant(minutes=2, seconds=30),
        "finished_at": instant(minutes=2, seconds=28),
        "payload": {"kind": "daily"},
        "retry_of": None,
    } | changed


def an_attempt(**changed: Any) -> dict[str, Any]:
    return {
        "number": 1,
        "started_at": instant(minutes=2),
        "lateness_ms": 0.412,
        "response_time_ms": 34.5,
        "phases": {"dns_ms": 1.25, "connect_ms": 2, "tls_ms": None, "first_byte_ms": 30},
        "outcome": "succeeded",
        "status": 200,
        "error": None,
        "cache": "cold",
        "db_calls": 6,
        "db_time_ms": 12.5,
        "response": '{"ok": true}',
        "fence": 1,
    } | changed


def a_task(**changed: Any) -> dict[str, Any]:
    return {
        "name": "nightly-invoices",
        "revision": 3,
        "created_at": instant(days=30),
        "changed_at": instant(hours=3),
        "paused": None,
        "definition": {
            "summary": "Create the invoices for the day before",
            "schedule": {"cron": "30 2 * * *", "timezone": "Europe/Berlin", "jitter": "5m"},
            "http": {"method": "POST", "url": "https://app.example.com/tasks/nightly-invoices"},
            "payload": {"kind": "daily"},
            "timeout": "10m",
            "retry": {"max_attempts": 5, "backoff": "exponential", "initial": "5s", "max": "10m"},
            "expect": {"status": 200, "json": {"/ok": True}, "max_duration": "2m"},
            "runbook": {
                "owner": "billing@example.com",
                "expected_input": "kind is daily or monthly",
                "expected_result": "one invoice per customer with usage",
                "rollback": "punctual rollback nightly-invoices, then void the day's invoices in the admin",
                "noticed_at": "the invoices page of the customer portal",
            },
        },
        "next": [instant(hours=-7.5)],
        "figures": {
            "attempts": 100,
            "failed": 2,
            "error_rate": 0.02,
            "p50_ms": 120.5,
            "p95_ms": 1480,
            "cache": {"warm": 80, "cold": 15, "unknown": 5},
            "db_calls_p50": 6,
        },
    } | changed


def environment(api: FakeApi | Server | None, extra: dict[str, str]) -> dict[str, str]:
    dropped = ("PUNCTUAL", "NO_COLOR", "COLUMNS", "TERM", "HTTP_PROXY", "ALL_PROXY")
    kept = {name: value for name, value in os.environ.items() if not name.upper().startswith(dropped)}
    return kept | {"TERM": "xterm"} | ({"PUNCTUAL_URL": api.url} if api else {}) | extra


def punctual(api: FakeApi | None, *arguments: str, stdin: str = "", **extra: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [binary(), *arguments],
        env=environment(api, extra),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def on_a_terminal(api: FakeApi, columns: int, *arguments: str, **extra: str) -> str:
    """Standard output of a command on a terminal so wide."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    process = subprocess.Popen(
        [binary(), *arguments],
        env=environment(api, extra),
        stdin=subprocess.DEVNULL,
        stdout=slave,
        stderr=subprocess.PIPE,
    )
    os.close(slave)
    shown = b""
    while True:
        try:
            piece = os.read(master, 65536)
        except OSError:  # Linux says EIO when the other end is closed
            break
        if not piece:
            break
        shown += piece
    os.close(master)
    process.communicate(timeout=30)
    return shown.decode().replace("\r\n", "\n")


def without_colours(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)
