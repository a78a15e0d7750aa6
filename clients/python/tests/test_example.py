"""The example service: its own tests, its lint and types, and the demonstration of a day."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from punctual import server
from support.server import ROOT, binary
from support.waiting import wait_for

LIMIT_S = 280  # mypy looks at all it imports, and the machine may be busy
pytestmark = pytest.mark.timeout(LIMIT_S + 20)
EXAMPLE = ROOT / "examples" / "fastapi"
SOURCE = Path(server.__file__).parents[1]
ENVIRONMENT = {
    **os.environ,
    "PUNCTUAL_SERVER": str(binary()),
    "PYTHONPATH": str(SOURCE),
    "MYPYPATH": f"{SOURCE}:{SOURCE.parent / 'server' / 'src'}",
    "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
}
ROW = re.compile(r"^(\d\d:\d\d)  (\S+) +(\d+)  (\w+) +(\d+)", re.MULTILINE)


def run(*words: str, folder: Path = EXAMPLE) -> str:
    done = subprocess.run(
        words, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_its_tests_pass() -> None:
    output = run(
        sys.executable, "-m", "pytest", "-q", "-p", "punctual.pytest_plugin", "-p", "no:cacheprovider"
    )
    assert re.search(r"^\d+ passed", output, re.MULTILINE), output


def test_it_is_clean_to_ruff_and_mypy(tmp_path: Path) -> None:
    run("ruff", "check", "--no-cache", ".")
    run("ruff", "format", "--no-cache", "--check", ".")
    run("mypy", "--cache-dir", str(tmp_path))


def test_the_demonstration_shows_a_day_and_ends() -> None:
    output = run(str(ROOT / "tools" / "demo"), "--end", folder=ROOT)
    rows = ROW.findall(output)
    assert ("02:30", "nightly-invoices", "1", "succeeded", "200") in rows
    assert [row[2:4] for row in rows if row[1] == "send-invoice"].count(("1", "succeeded")) == 4
    assert ("06:35", "send-invoice", "2", "succeeded", "200") in rows
    assert len([row for row in rows if row[1] == "health"]) == 12
    assert "cold" in output
    assert "warm" in output
    assert "the audit finds 0 differences" in output


def test_the_demonstration_ends_in_order_with_ctrl_c(tmp_path: Path) -> None:
    output = tmp_path / "output"
    with output.open("wb") as file:
        demo = subprocess.Popen(
            [ROOT / "tools" / "demo"],
            env={**ENVIRONMENT, "TMPDIR": str(tmp_path)},
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    try:
        wait_for(lambda: "Ctrl-C ends both" in output.read_text(), "the day is over", within=LIMIT_S - 60)
        os.killpg(demo.pid, signal.SIGINT)  # as a terminal does
        assert demo.wait(30) == 0
    finally:
        demo.kill()
        demo.wait()
    assert output.read_text().endswith("demo: both have ended\n")
    assert [path for path in tmp_path.iterdir() if path != output] == []
