"""What the documentation shows is true: its examples are run against a real server.

In README.md and the first task, blocks marked `sh` are run in order, by one `sh -e` for each file, with `punctual`
in PATH and in an empty folder. A block marked `yaml` whose first line is `# NAME.yaml` becomes that file. Other
marks (`console`, `text`, `yaml` without a name) are for the eye only, but for the `python` of the first task and
the headers that the reference lets an endpoint answer with. Links between pages must lead somewhere. Pages about
Python are run by clients/python/tests/test_pages.py and its neighbours.
"""

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from support.receiver import Answer, Receiver
from support.server import ROOT, Factory, Server, binary, new_secret
from support.words import create_run, http_task, wait_final

PAGES = [ROOT / "README.md", ROOT / "docs" / "start" / "first-task.md"]
ALL_PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)")
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
DEFAULT = "127.0.0.1:8640"
LIMIT_S = 90


def script_of(page: Path) -> str:
    """One shell script: named files are written where they stand between the commands."""
    script = ["set -e"]
    for number, (kind, content) in enumerate(BLOCK.findall(page.read_text()), 1):
        name = re.match(r"# (\S+\.yaml)\n", content)
        if kind == "sh":
            script.append(f"echo '--- block {number}'\n{content}")
        elif kind == "yaml" and name:
            script.append(f"cat > {name[1]} <<'END-OF-FILE'\n{content}END-OF-FILE")
    return "\n".join(script) + "\n"


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_the_examples_of_a_page_work(page: Path, server_factory: Factory, tmp_path: Path) -> None:
    server = server_factory("--allow-commands")
    tools, folder = tmp_path / "bin", tmp_path / "work"
    tools.mkdir()
    folder.mkdir()
    (tools / "punctual").symlink_to(binary())
    address = f"127.0.0.1:{server.port}"
    done = subprocess.run(
        ["sh", "-c", script_of(page).replace(DEFAULT, address)],
        cwd=folder,
        env={**os.environ, "PATH": f"{tools}:{os.environ['PATH']}", "PUNCTUAL_URL": f"http://{address}"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert "--- block" in done.stdout, f"{page.name} has no example that is run"
    assert done.returncode == 0, done.stdout


def test_the_readme_compares_its_two_definitions() -> None:
    """`punctual diff` exits 1 where curl and YAML differ, failing the test above; here: that it is asked."""
    assert "punctual diff " in script_of(ROOT / "README.md")


def block(page: str, kind: str, first: str) -> str:
    """The block of that kind whose text begins with `first`."""
    found = [text for mark, text in BLOCK.findall((ROOT / page).read_text()) if mark == kind]
    return next(text for text in found if text.startswith(first))


def test_the_first_task_tells_how_a_signature_is_verified(server: Server, receiver: Receiver) -> None:
    example: dict[str, Any] = {}
    exec(block("docs/start/first-task.md", "python", "# verify.py"), example)
    create_run(server, http_task(receiver.url("/hook"), payload={"n": 1}))
    (request,) = receiver.wait("/hook")
    is_genuine = example["is_genuine"]
    assert is_genuine(request.headers, request.body, server.secret)
    assert not is_genuine(request.headers, request.body + b" ", server.secret)
    assert not is_genuine(request.headers, request.body, new_secret())
    assert not is_genuine({}, request.body, server.secret)


def test_the_headers_of_the_reference_are_shown_with_the_attempt(server: Server, receiver: Receiver) -> None:
    lines = block("docs/reference/task.md", "text", "Cache-Status").splitlines()
    receiver.script("/hook", Answer(headers=dict(line.split(": ") for line in lines)))
    run = create_run(server, http_task(receiver.url("/hook")))
    (attempt,) = wait_final(server, run["id"])["attempts"]
    assert (attempt["cache"], attempt["db_calls"], attempt["db_time_ms"]) == ("warm", 6, 12.5)


def prose_of(page: Path) -> str:
    return re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def is_dead(page: Path, link: str, anchor: str) -> bool:
    """An anchor is a heading's words as those who show Markdown write them: small, with dashes, no marks."""
    if "://" in link:
        return False
    to = page.parent / link if link else page
    if not anchor:
        return not to.exists()
    titles = HEADING.findall(prose_of(to)) if to.is_file() else []
    return anchor not in (re.sub(r"[^\w\- ]", "", title).lower().replace(" ", "-") for title in titles)


@pytest.mark.parametrize("page", ALL_PAGES, ids=name_of)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    dead = [f"{link}#{anchor}" for link, anchor in LINK.findall(prose_of(page)) if is_dead(page, link, anchor)]
    assert dead == []


def test_the_example_tasks_are_right(server_factory: Factory) -> None:
    """The file that `make run` applies."""
    server = server_factory("--allow-commands", "--apply", str(ROOT / "examples" / "punctual.yaml"))
    names = {task["name"] for task in server.api.get("/v1/tasks").json()["tasks"]}
    assert {"health-check", "disk-space", "flaky", "hello"} <= names


def test_each_guarantee_names_tests_that_exist() -> None:
    page = (ROOT / "docs" / "operate" / "guarantees.md").read_text()
    rows = [line for line in page.splitlines() if re.match(r"\| P\d+ \|", line)]
    assert len(rows) == 20  # all but P8, which is about several nodes
    for row in rows:
        named = re.findall(r"`(tests/[^`]+)`", row)
        assert named or "auditor" in row, row
        for path in named:
            assert (ROOT / path).exists(), f"{path} is named and not there"
