"""What docs/guides/python.md and the README of the package show works against the real server."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from test_operations import METHODS

from punctual import AsyncPunctual
from punctual.retrying import LONGEST_RETRY_AFTER_S
from support.receiver import Receiver
from support.server import ROOT, Server

PAGES = [ROOT / "docs" / "guides" / "python.md", ROOT / "clients" / "python" / "README.md"]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SOURCE = ROOT / "clients" / "python" / "src"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_examples_of_a_page_work(page: Path, server: Server, receiver: Receiver, tmp_path: Path) -> None:
    """All blocks in order, as one program; places stand for those of the test."""
    program = "\n".join(BLOCK.findall(page.read_text()))
    program = program.replace("http://127.0.0.1:8640", server.url)
    program = program.replace("http://127.0.0.1:8000/", receiver.url("/"))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "nightly-invoices" in done.stdout or "scheduled" in done.stdout


def test_the_page_names_the_method_of_every_call() -> None:
    text = PAGES[0].read_text()
    assert [name for name, _, _ in METHODS.values() if f"`{name}" not in text] == []


def test_the_page_says_the_limits_that_hold() -> None:
    text = PAGES[0].read_text()
    assert f"(up to {LONGEST_RETRY_AFTER_S:g} s;" in text
    client = AsyncPunctual()
    assert f"| `timeout` | {client._settings.timeout:g} |" in text
    assert f"| `retries` | {client._settings.retries} |" in text
