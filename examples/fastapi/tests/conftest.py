"""Each test has a database of its own."""

from pathlib import Path

import pytest

from shop import database


@pytest.fixture(autouse=True)
def own_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "URL", f"sqlite+aiosqlite:///{tmp_path}/shop.db")
