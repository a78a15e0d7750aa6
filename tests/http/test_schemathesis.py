"""schemathesis holds a running server against its own /openapi.json, and finds nothing.

All its checks, from examples and from what it generates, right and wrong; the same cases each time. What it cannot
know is in tests/openapi. SCHEMATHESIS=deep looks for some minutes longer, by its phase `coverage` too.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.server import ROOT, Factory

FOLDER = ROOT / "tests" / "openapi"
KEY = "a-key-for-this-test-only"
LIMIT_S = 1800
QUICK = ["--phases=examples,fuzzing,stateful", "--max-examples=5"]
DEEP = ["--phases=examples,coverage,fuzzing,stateful", "--max-examples=100"]


def look(url: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs schemathesis against a server that listens on loopback."""
    return subprocess.run(
        [
            Path(sys.executable).parent / "schemathesis",
            f"--config-file={FOLDER / 'schemathesis.toml'}",
            "run",
            f"{url}/openapi.json",
            f"--header=Authorization: Bearer {KEY}",
            "--generation-deterministic",
            "--continue-on-failure",
            "--no-color",
            *arguments,
        ],
        cwd=folder,
        env={**os.environ, "SCHEMATHESIS_HOOKS": "hooks", "PYTHONPATH": str(FOLDER)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )


@pytest.mark.timeout(LIMIT_S)
def test_schemathesis_finds_nothing(server_factory: Factory, tmp_path: Path) -> None:
    deep = os.environ.get("SCHEMATHESIS") == "deep"
    server = server_factory("--test-clock", env={"PUNCTUAL_API_KEY": KEY})
    # A stream of events does not end: each case would sit out its limit. tests/http/test_events.py has it.
    done = look(server.url, tmp_path, "--exclude-path=/v1/events", *(DEEP if deep else QUICK))
    assert done.returncode == 0, done.stdout
    assert "Test cases" in done.stdout, done.stdout
    if deep:
        print(done.stdout)
