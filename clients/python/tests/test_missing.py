"""Where a package is missing that only a part of the client needs, the message says which, and what to do."""

import subprocess
import sys

import pytest
from pages import SOURCE

OUTBOX = "import punctual.outbox"
RELAY = "from punctual.outbox.command import main"
TASK = """
from punctual import Run, Worker

worker = Worker(queue="mail")


@worker.task()
def welcome(run: Run, payload: dict) -> None: ...
"""


@pytest.mark.parametrize(
    ("missing", "program", "extra"),
    [
        ("sqlalchemy", OUTBOX, "sqlalchemy"),
        ("sqlalchemy", RELAY, "sqlalchemy"),
        ("pydantic", TASK, "fastapi"),
    ],
)
def test_a_missing_package_is_named(missing: str, program: str, extra: str) -> None:
    """Not by this package's own name: on the index that is another program."""
    hidden = f"import sys\nsys.modules[{missing!r}] = None\n"
    done = subprocess.run(
        [sys.executable, "-c", hidden + program],
        env={"PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    last = done.stderr.splitlines()[-1]
    assert done.returncode == 1
    assert "which is not installed: pip install" in last
    assert missing in last
    assert f"the extra [{extra}] of this package" in last
    assert "punctual[" not in last
