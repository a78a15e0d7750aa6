"""What docs/guides/workers.md shows of Python works against the real server."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from worker_process import worker_environment

from punctual.worker import Settings
from support.server import ROOT, Server
from support.waiting import wait_for
from support.words import create_run, put_task, wait_final

PAGE = ROOT / "docs" / "guides" / "workers.md"
BLOCK = re.compile(r"^```python\n# (\w+\.py)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With the files of the page."""
    for name, text in BLOCK.findall(PAGE.read_text()):
        (tmp_path / name).write_text(text)
    return tmp_path


def test_the_worker_of_the_page_carries_out_what_its_service_enqueues(server: Server, folder: Path) -> None:
    put_task(server, "goodbye-mail", {"queue": {"name": "emails"}, "payload": {"user": 8}})
    env = worker_environment(server.url)
    line = [sys.executable, "-m", "punctual.worker", "mail:worker", "--concurrency", "20"]
    worker = subprocess.Popen(line, cwd=folder, env=env, stdin=subprocess.DEVNULL)
    try:
        wait_for(lambda: server.api.get("/v1/tasks/welcome-mail").status_code == 200, "it applies its tasks")
        sent = subprocess.run(
            [sys.executable, "send.py"], cwd=folder, env=env, capture_output=True, text=True, timeout=60
        )
        assert sent.returncode == 0, sent.stderr
        assert wait_final(server, sent.stdout.strip())["result"] == {"sent_to": 7, "attempt": 1}
        for task, state in (("welcome-mail", "failed"), ("monthly-report", "succeeded")):
            run = create_run(server, {"task": task, "payload": {}})
            assert wait_final(server, run["id"])["state"] == state
        run = create_run(server, {"task": "goodbye-mail"})
        assert wait_final(server, run["id"])["result"] == {"sent_to": 8}
    finally:
        worker.terminate()
        assert worker.wait(60) == 0


def test_the_page_says_the_limits_that_hold() -> None:
    text = PAGE.read_text()
    usual = Settings("emails")
    assert f"`--lease` ({str(usual.lease)[:-1]} s)" in text
    assert f"`--drain` ({str(usual.drain)[:-1]} s)" in text
