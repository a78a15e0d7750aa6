"""What the pages for newcomers show is true: it is run, against a real server."""

from pathlib import Path

import pytest
from pages import BLOCK, NAMED, ROOT, SOURCE, run_page, tools_of_this_repository

from support.server import binary

PAGES = ["docs/start/python.md", "docs/guides/coming-from.md"]


@pytest.mark.timeout(240)
@pytest.mark.parametrize("page", PAGES)
def test_the_examples_of_a_page_work(page: str, tmp_path: Path) -> None:
    path = tools_of_this_repository(tmp_path / "bin", binary())
    folder = tmp_path / "work"
    folder.mkdir()
    done = run_page(ROOT / page, folder, path, PYTHONPATH=str(SOURCE))
    assert "--- block" in done.stdout, f"{page} has no example that is run"
    assert done.returncode == 0, done.stdout


def test_the_quick_start_shows_what_happened(tmp_path: Path) -> None:
    """The run of its last example was tried twice and has succeeded, as the page says."""
    path = tools_of_this_repository(tmp_path / "bin", binary())
    folder = tmp_path / "work"
    folder.mkdir()
    shown = run_page(ROOT / "docs/start/python.md", folder, path, PYTHONPATH=str(SOURCE)).stdout
    last = shown.rpartition("--- block")[2]
    assert "succeeded" in last
    assert "answered 503 Service Unavailable: the first attempt fails" in last


def test_examples_for_other_schedulers_are_python() -> None:
    """What is shown of Celery and APScheduler is not run, for they are not here; it can be read at least."""
    page = (ROOT / "docs/guides/coming-from.md").read_text()
    others = [text for kind, text in BLOCK.findall(page) if kind == "python" and not NAMED.match(text)]
    assert len(others) == 2
    for text in others:
        compile(text, "example", "exec")
