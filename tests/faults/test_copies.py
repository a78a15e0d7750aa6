"""Every call on files that a backup and a restore make, failing once and for ever: all of it is there, or nothing."""

import errno
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.calls import Calls, Strike
from support.server import Server, binary
from support.words import FAR, http_task

Check = Callable[[int], None]  # is given the exit code
KEPT, LATER = 5, 2  # runs: of the backup, and of the store that it takes the place of

# What each may answer, and every how many-th fails: SQLite makes some by the hundred, each in the same few places.
COMMON = {
    "open": (errno.EMFILE, 1),
    "read": (errno.EIO, 1),
    "pread": (errno.EIO, 17),
    "pwrite": (errno.ENOSPC, 5),
    "fstat": (errno.EIO, 3),
    "fsync": (errno.EIO, 1),
    "ftruncate": (errno.EIO, 1),
    "fcntl": (errno.EIO, 19),
    "mmap": (errno.ENOMEM, 1),
}
WAITED_FOR = {"fcntl"}  # for ever, it is taken for a lock that another has
BACKUP = {**COMMON, "renameat2": (errno.EIO, 1)}
RESTORE = {
    **COMMON,
    "flock": (errno.EAGAIN, 1),
    "fdatasync": (errno.EIO, 1),
    "link": (errno.EPERM, 1),
    "rename": (errno.EIO, 1),
}


@dataclass(frozen=True)
class Stores:
    store: Path  # of a server that was killed: what came last stands in its log
    copy: Path


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Stores:
    folder = tmp_path_factory.mktemp("stores")
    server = Server(folder)
    server.start()
    wish = {**http_task("http://127.0.0.1:9/"), "payload": "x" * 5000, "delay": FAR}
    try:
        assert server.api.post("/v1/runs/batch", json=[wish] * KEPT).status_code == 201
        done = server.cli("backup", str(folder / "copy"), "--store", str(server.store))
        assert done.returncode == 0, done.stderr
        assert server.api.post("/v1/runs/batch", json=[wish] * LATER).status_code == 201
    finally:
        server.kill()
    return Stores(server.store, folder / "copy")


def runs_in(path: Path) -> int:
    """As who opens it next finds it, its log included."""
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        (count,) = db.execute("SELECT count(*) FROM runs").fetchone()
    db.close()
    return count


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def put_store(stores: Stores, folder: Path) -> Path:
    """The store as the killed server left it."""
    for end in ("", "-wal"):
        shutil.copyfile(f"{stores.store}{end}", folder / f"punctual.db{end}")
    return folder / "punctual.db"


def back_up(stores: Stores, folder: Path) -> tuple[list[str], Check]:
    store, copy = put_store(stores, folder), folder / "copy"

    def check(code: int) -> None:
        assert copy.exists() == (code == 0)
        assert not [name for name in names(folder) if name.endswith((".part", "-journal"))], names(folder)
        assert runs_in(store) == KEPT + LATER
        assert code != 0 or runs_in(copy) == KEPT + LATER

    return ["backup", str(copy), "--store", str(store)], check


def restore(stores: Stores, folder: Path) -> tuple[list[str], Check]:
    store = put_store(stores, folder)

    def check(code: int) -> None:
        aside = [path for path in folder.glob("punctual.db.before-*") if not path.name.endswith(("-wal", "-shm"))]
        assert not list(folder.glob("*.restoring*")), names(folder)
        if code == 0:
            (old,) = aside
            assert runs_in(store) == KEPT
            assert runs_in(old) == KEPT + LATER
        elif aside:  # it has taken the place, which may not outlive a power cut
            assert runs_in(store) == KEPT
            assert [runs_in(old) for old in aside] == [KEPT + LATER]
        else:
            assert runs_in(store) == KEPT + LATER

    return ["restore", str(stores.copy), "--store", str(store), "--force"], check


def try_one(stores: Stores, what: Callable, strike: Strike, folder: Path) -> bool:
    """False where the call is not made so often."""
    folder.mkdir()
    calls = Calls(folder.parent)
    line, check = what(stores, folder)
    calls.arm(strike)
    done = subprocess.run(
        [binary(), *line],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"PATH": "/usr/bin:/bin", **calls.environment()},
    )
    struck = calls.struck > 0
    words = f"{strike}: {done.returncode}\n{done.stdout}{done.stderr}"
    assert done.returncode in (0, 4, 5), words
    assert done.returncode == 0 or "punctual: " in done.stderr, words
    try:
        check(done.returncode)
    except (AssertionError, sqlite3.Error) as fault:
        raise AssertionError(f"{words}{fault}") from fault
    return struck


def try_all(stores: Stores, what: Callable, call: str, often: tuple[int, int], folder: Path) -> None:
    error, step = often

    def every(forever: bool) -> int:
        place = folder / ("forever" if forever else "once")
        place.mkdir()
        nth = 1
        while try_one(stores, what, Strike(call, error, nth=nth, forever=forever), place / str(nth)):
            shutil.rmtree(place / str(nth))
            nth += step
        return nth

    with ThreadPoolExecutor(2) as pool:
        reached = list(pool.map(every, (False,) if call in WAITED_FOR else (False, True)))
    assert min(reached) > 1, "it is never called"


@pytest.mark.parametrize("call", BACKUP)
def test_a_backup_is_whole_or_not_there_whatever_call_fails(stores: Stores, call: str, tmp_path: Path) -> None:
    try_all(stores, back_up, call, BACKUP[call], tmp_path)


@pytest.mark.parametrize("call", RESTORE)
def test_a_restore_takes_the_place_whole_or_leaves_it_whatever_call_fails(
    stores: Stores, call: str, tmp_path: Path
) -> None:
    try_all(stores, restore, call, RESTORE[call], tmp_path)


def test_what_a_killed_restore_has_left_is_no_part_of_the_next(stores: Stores, tmp_path: Path) -> None:
    line, check = restore(stores, tmp_path)
    for end in ("", "-journal"):
        (tmp_path / f"punctual.db.restoring{end}").write_bytes(b"left" * 1000)
    assert subprocess.run([binary(), *line], timeout=60, check=False).returncode == 0
    check(0)
