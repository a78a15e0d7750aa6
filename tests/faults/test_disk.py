"""The disk is full, or cannot be written: the server says so and stops, and has all that it acknowledged (P4, P19)."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from support.server import Factory, Server
from support.small_disk import SmallDisk, small_disk
from support.waiting import wait_for
from support.words import FAR, all_runs, http_task

PAYLOAD = {"text": "x" * 20_000}
MEGABYTES = 12


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk", MEGABYTES) as disk:
        yield disk


@pytest.fixture
def on_disk(disk: SmallDisk, server_factory: Factory) -> Server:
    """After `disk`, so it ends before the disk goes."""
    server = server_factory(start=False)
    server.store = disk.path / "punctual.db"
    return server


def create_until_refused(server: Server, limit: int) -> tuple[list[str], int]:
    """Ids of what was acknowledged, and the status of the first that was not; 0: no answer."""
    acknowledged: list[str] = []
    for _ in range(limit):
        try:
            body = {**http_task("http://127.0.0.1:9/"), "payload": PAYLOAD, "delay": FAR}
            answer = server.api.post("/v1/runs", json=body)
        except httpx.TransportError:
            return acknowledged, 0
        if answer.status_code != 201:
            return acknowledged, answer.status_code
        acknowledged.append(answer.json()["id"])
    raise AssertionError("the disk never became full")


def listens_or_ends(server: Server) -> str | None:
    if any(line.get("event") == "listening" for line in server.log_lines(newest=True)):
        return "listens"
    return None if server.running else "ended"


def check_integrity(store: Path) -> None:
    with sqlite3.connect(f"file:{store}?mode=ro", uri=True) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


@pytest.mark.parametrize("leave_kib", [64, 256, 1024])
def test_a_full_disk_stops_the_server_and_nothing_acknowledged_is_lost(
    on_disk: Server, disk: SmallDisk, leave_kib: int
) -> None:
    on_disk.start()
    before = [on_disk.api.post("/v1/runs", json={**http_task("http://127.0.0.1:9/"), "delay": FAR}).json()["id"]]
    disk.fill(leave=leave_kib << 10)
    acknowledged, status = create_until_refused(on_disk, 500)
    assert status in (0, 503)
    assert on_disk.wait_exit() == 1
    (failed,) = on_disk.log_events("store_failed")
    assert "full" in failed["message"], failed
    assert "nothing more is accepted" in failed["message"]
    disk.clear()
    on_disk.start()
    found = {run["id"] for run in all_runs(on_disk)}
    assert found == {*before, *acknowledged}, "what failed must not be visible, and what was acknowledged must"
    on_disk.stop()
    check_integrity(on_disk.store)


def test_on_a_disk_that_is_full_at_the_start_it_says_so(on_disk: Server, disk: SmallDisk) -> None:
    on_disk.start()
    run = on_disk.api.post("/v1/runs", json={**http_task("http://127.0.0.1:9/"), "delay": FAR}).json()["id"]
    on_disk.kill()
    disk.fill()
    on_disk.launch()
    if wait_for(lambda: listens_or_ends(on_disk), "it listens or ends") == "listens":
        # It may start and read; then the first write is what fails.
        on_disk.port = on_disk._find_port() or 0
        assert create_until_refused(on_disk, 500)[0] == []
    assert on_disk.wait_exit() == 1
    words = on_disk.log_text(newest=True)
    assert "full" in words or "space" in words, words
    disk.clear()
    on_disk.start()
    assert [found["id"] for found in all_runs(on_disk)] == [run]


def test_a_store_that_cannot_be_written_stops_the_start(on_disk: Server, disk: SmallDisk) -> None:
    on_disk.start()
    run = on_disk.api.post("/v1/runs", json={**http_task("http://127.0.0.1:9/"), "delay": FAR}).json()["id"]
    on_disk.stop()
    disk.remount("ro")
    on_disk.launch()
    assert on_disk.wait_exit() == 1
    words = on_disk.log_text(newest=True)
    assert "read-only" in words.lower() or "readonly" in words.lower(), words
    assert "punctual.db" in words
    disk.remount("rw")
    on_disk.start()
    assert [found["id"] for found in all_runs(on_disk)] == [run]


def some_runs(server: Server, count: int) -> set[str]:
    wish = {**http_task("http://127.0.0.1:9/"), "payload": PAYLOAD, "delay": FAR}
    answer = server.api.post("/v1/runs/batch", json=[wish] * count)
    assert answer.status_code == 201, answer.text
    return set(answer.json()["ids"])


def names(disk: SmallDisk) -> set[str]:
    return {path.name for path in disk.path.iterdir() if path != disk.ballast}


def ends(folder: Path) -> list[int]:
    """From no room at all to nearly enough for a copy, in bytes."""
    size = (folder / "copy").stat().st_size
    return [size * part // 8 for part in range(8)]


def test_a_backup_that_has_no_room_says_so_and_leaves_nothing(server: Server, disk: SmallDisk, tmp_path: Path) -> None:
    some_runs(server, 50)
    assert server.cli("backup", str(tmp_path / "copy"), "--store", str(server.store)).returncode == 0
    for room in ends(tmp_path):
        disk.fill(leave=room)
        done = server.cli("backup", str(disk.path / "copy"), "--store", str(server.store))
        assert done.returncode == 5, (room, done.stdout, done.stderr)
        assert "full" in done.stderr or "space" in done.stderr, (room, done.stderr)
        assert names(disk) == set(), room
        disk.clear()
    assert server.cli("backup", str(disk.path / "copy"), "--store", str(server.store)).returncode == 0


def test_a_restore_that_has_no_room_leaves_the_store_as_it_was(
    on_disk: Server, disk: SmallDisk, tmp_path: Path
) -> None:
    on_disk.start()
    before = some_runs(on_disk, 50)
    assert on_disk.cli("backup", str(tmp_path / "copy"), "--store", str(on_disk.store)).returncode == 0
    later = some_runs(on_disk, 5)
    on_disk.kill()  # what came later may stand in the log only
    there = names(disk)
    line = ("restore", str(tmp_path / "copy"), "--store", str(on_disk.store), "--force")
    for room in ends(tmp_path):
        disk.fill(leave=room)
        done = on_disk.cli(*line)
        assert done.returncode == 5, (room, done.stdout, done.stderr)
        assert "full" in done.stderr or "space" in done.stderr, (room, done.stderr)
        assert names(disk) == there, room
        disk.clear()
    on_disk.start()
    assert {run["id"] for run in all_runs(on_disk)} == before | later
    on_disk.stop()
    assert on_disk.cli(*line).returncode == 0
    on_disk.start()
    assert {run["id"] for run in all_runs(on_disk)} == before
