"""The pages about the outbox and about tests are true: their files are written as they stand, and run."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from punctual import testing
from support.server import ROOT, binary

LIMIT_S = 280
pytestmark = pytest.mark.timeout(LIMIT_S + 20)
SOURCE = Path(testing.__file__).parents[1]
FILE = re.compile(r"^```\w+\n# (\w+\.\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ORDERS = """
import pytest


def test_an_order_has_its_receipt(punctual):
    assert punctual.http.post("/orders", params={"customer": "ann"}).json() == {"order": 1}
    punctual.advance("10m")
    (run,) = punctual.runs("send-receipt")
    assert run.result == "receipt of order 1"


def test_an_order_that_is_rolled_back_has_none(punctual):
    assert punctual.http.post("/orders", params={"customer": "nobody"}).status_code == 500
    punctual.advance("1d")
    assert punctual.runs() == []
"""

Project = Callable[[str], Path]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A folder with the files of a page."""

    def write(page: str) -> Path:
        for name, content in FILE.findall((ROOT / "docs" / "guides" / page).read_text()):
            (tmp_path / name).write_text(content)
        return tmp_path

    return write


def run(folder: Path, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env={
            **os.environ,
            "PUNCTUAL_SERVER": str(binary()),
            "PYTHONPATH": str(SOURCE),
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        },
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_page_about_tests(project: Project) -> None:
    folder = project("testing.md")
    assert "4 passed" in run(folder, "-m", "pytest", "-q", "-p", "punctual.pytest_plugin")
    (folder / "pyproject.toml").write_text("[tool.pytest.ini_options]\npythonpath = ['.']\n")
    assert "4 passed" in run(folder, "-m", "pytest", "-q", "-p", "punctual.pytest_plugin")  # by conftest.py
    assert "2026-10-25T00:30:00+00:00  nightly-invoices" in run(folder, "night.py")


def test_the_page_about_the_outbox(project: Project) -> None:
    folder = project("outbox.md")
    (folder / "test_orders.py").write_text(ORDERS)
    (folder / "pytest.ini").write_text("[pytest]\npunctual_app = orders:app\npythonpath = .\n")
    assert "2 passed" in run(folder, "-m", "pytest", "-q", "-p", "punctual.pytest_plugin")
