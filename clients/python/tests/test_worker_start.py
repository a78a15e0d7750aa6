"""How punctual-worker is started: its help, and what it says where something is wrong."""

import secrets
import subprocess
import sys
from pathlib import Path

import pytest
from worker_process import worker_environment

from punctual import Worker
from support.server import Factory

JOBS = """
from punctual import Worker
worker = Worker()
empty = Worker(queue="emails")
number = 7

@worker.task(queue="emails")
def welcome_mail(): ...
"""

NOWHERE = "http://127.0.0.1:9"


def punctual_worker(
    folder: Path, *arguments: str, url: str = NOWHERE, **env: str
) -> subprocess.CompletedProcess[str]:
    (folder / "jobs.py").write_text(JOBS)
    (folder / "broken.py").write_text("import no_such_module_at_all\n")
    return subprocess.run(
        [sys.executable, "-m", "punctual.worker", *arguments],
        cwd=folder,
        env={**worker_environment(url), **env},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["jobs"], 'say which object of which module, such as "mail:worker", not "jobs"'),
        (["nothing:worker"], 'there is no module "nothing" in '),
        (["jobs:wrker"], '"jobs:wrker" is not there: did you mean jobs:worker, jobs:empty?'),
        (["jobs:number"], '"jobs:number" is a int without tasks: did you mean jobs:worker, jobs:empty?'),
        (["jobs:empty"], '"jobs:empty" has no functions'),
        (["jobs:worker"], "which queue? Give --queue NAME"),
        (["jobs:worker", "--queue", "emails", "--concurrency", "0"], "1 or more, not 0"),
        (["jobs:worker", "--queue", "emails", "--lease", "soon"], "lease is 1s to 1d, such as"),
        (["jobs:worker", "--queue", "emails", "--lease", "100ms"], "not '100ms'"),
    ],
)
def test_a_wrong_argument_is_told_in_one_line(tmp_path: Path, arguments: list[str], says: str) -> None:
    done = punctual_worker(tmp_path, *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("punctual-worker: ")
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_trouble_inside_the_module_shows_where(tmp_path: Path) -> None:
    done = punctual_worker(tmp_path, "broken:worker", "--queue", "emails")
    assert done.returncode == 1
    assert "no_such_module_at_all" in done.stderr
    assert "broken.py" in done.stderr


def test_help_has_examples(tmp_path: Path) -> None:
    done = punctual_worker(tmp_path, "--help")
    assert done.returncode == 0
    for words in ("mail:worker --queue emails --concurrency 20", "SIGTERM", "exit codes", "PUNCTUAL_API_KEY"):
        assert words in done.stdout


def test_a_wrong_key_is_told_and_ends_the_worker(server_factory: Factory, tmp_path: Path) -> None:
    key = secrets.token_hex(16)
    server = server_factory(env={"PUNCTUAL_API_KEY": key})
    arguments = ["jobs:worker", "--queue", "emails"]
    done = punctual_worker(tmp_path, *arguments, url=server.url, PUNCTUAL_API_KEY=secrets.token_hex(16))
    assert done.returncode == 1
    assert "punctual-worker: " in done.stderr
    assert "401" in done.stderr


def test_two_functions_for_one_task_are_refused() -> None:
    worker = Worker(queue="emails")
    worker.task(name="welcome")(lambda: None)
    with pytest.raises(ValueError, match="welcome"):
        worker.task(name="welcome")(lambda: None)
    worker.handles("goodbye")(lambda: None)
    with pytest.raises(ValueError, match="goodbye"):
        worker.handles("goodbye")(lambda: None)


def test_a_task_needs_a_queue() -> None:
    with pytest.raises(ValueError, match="queue"):
        Worker().task()
