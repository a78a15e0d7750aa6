"""Backups of a server at work, and what is restored from them."""

import json
import sqlite3
import stat
import threading
from pathlib import Path
from typing import Any

from support.receiver import Answer, Receiver
from support.server import Factory, Server
from support.waiting import wait_for
from support.words import FAR, all_runs, create_run, get_run, http_task, put_task, quick_retry, wait_final


def backup(server: Server, to: Path, *more: str) -> Any:
    return server.cli("backup", str(to), "--store", str(server.store), *more)


def restore(server: Server, source: Path, *more: str) -> Any:
    return server.cli("restore", str(source), "--store", str(server.store), *more)


class Load:
    """Creates runs until it is stopped, and keeps the ids that were answered."""

    def __init__(self, server: Server, url: str) -> None:
        self.server, self.url = server, url
        self.ids: list[str] = []
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        while not self.ending.is_set():
            self.ids.append(create_run(self.server, http_task(self.url))["id"])

    def stop(self) -> None:
        self.ending.set()
        self.thread.join()


def test_a_backup_under_load_is_of_one_moment(server: Server, receiver: Receiver, tmp_path: Path) -> None:
    put_task(server, "tick", http_task(receiver.url("/tick"), schedule={"every": "1s"}))
    load = Load(server, receiver.url("/load"))
    try:
        for number in range(3):
            wait_for(lambda enough=30 * (number + 1): len(load.ids) >= enough, "some runs")
            before = list(load.ids)
            to = tmp_path / f"backup-{number}"
            done = backup(server, to, "--json")
            assert done.returncode == 0, done.stderr
            copied = json.loads(done.stdout)
            assert stat.S_IMODE(to.stat().st_mode) == 0o600
            assert to.stat().st_size == copied["bytes"]
            with sqlite3.connect(f"file:{to}?mode=ro", uri=True) as db:
                assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
                assert db.execute("SELECT count(*) FROM runs").fetchone()[0] == copied["runs"]
            db.close()
            assert copied["runs"] >= len(before), "what was answered before is in it"
            audited = server.cli("audit", "--store", str(to))
            assert audited.returncode == 0, audited.stdout
    finally:
        load.stop()
    assert sorted(one.name for one in tmp_path.glob("backup*")) == ["backup-0", "backup-1", "backup-2"]


def test_what_is_restored_is_what_was_backed_up(server: Server, receiver: Receiver, tmp_path: Path) -> None:
    put_task(server, "tick", http_task(receiver.url("/tick"), schedule={"every": "1s"}))
    kept = create_run(server, http_task(receiver.url("/kept")))
    pending = create_run(server, {**http_task(receiver.url("/far")), "delay": FAR})
    wait_final(server, kept["id"])
    receiver.wait("/tick", 2)
    copied = json.loads(backup(server, tmp_path / "copy", "--json").stdout)
    later = create_run(server, http_task(receiver.url("/later")))
    wait_final(server, later["id"])
    refused = restore(server, tmp_path / "copy", "--force")
    assert refused.returncode == 4
    assert "another punctual has" in refused.stderr
    server.stop()

    refused = restore(server, tmp_path / "copy")
    assert refused.returncode == 4
    assert "--force" in refused.stderr
    done = restore(server, tmp_path / "copy", "--force", "--json")
    assert done.returncode == 0, done.stderr
    restored = json.loads(done.stdout)
    for count in ("tasks", "runs", "attempts", "schema"):
        assert restored[count] == copied[count]
    aside = Path(restored["aside"])
    assert aside.exists()

    server.start()
    assert get_run(server, kept["id"])["state"] == "succeeded"
    assert get_run(server, pending["id"])["state"] == "scheduled"
    assert server.api.get(f"/v1/runs/{later['id']}").status_code == 404
    count = len(receiver.at("/tick"))
    receiver.wait("/tick", count + 2)
    found = server.api.get("/v1/audit").json()
    assert found["differences"] == []
    assert found["ok"] is True


def test_an_attempt_under_way_at_the_backup_is_lost_and_tried_again_under_a_higher_fence(
    server_factory: Factory, receiver: Receiver, tmp_path: Path
) -> None:
    server = server_factory()
    receiver.script("/slow", Answer(hang=True), Answer())
    run = create_run(server, http_task(receiver.url("/slow"), retry=quick_retry(3)))
    (first,) = receiver.wait("/slow")
    assert backup(server, tmp_path / "copy").returncode == 0
    server.kill()
    receiver.release()
    done = restore(server, tmp_path / "copy", "--force")
    assert done.returncode == 0, done.stderr
    assert "1 runs were under way" in done.stdout
    server.start()
    ended = wait_final(server, run["id"])
    assert ended["state"] == "succeeded"
    assert [attempt["outcome"] for attempt in ended["attempts"]] == ["lost", "succeeded"]
    second = receiver.wait("/slow", 2)[1]
    assert second.run == first.run
    assert int(second.fence) > int(first.fence) + 2**20


def test_a_backup_writes_over_nothing(server: Server, tmp_path: Path) -> None:
    to = tmp_path / "copy"
    to.write_text("mine")
    done = backup(server, to)
    assert done.returncode == 4
    assert "is there already" in done.stderr
    assert to.read_text() == "mine"


def test_a_newer_store_is_neither_backed_up_nor_restored(server: Server, tmp_path: Path) -> None:
    assert backup(server, tmp_path / "copy").returncode == 0
    server.stop()
    with sqlite3.connect(tmp_path / "copy") as db:
        db.execute("PRAGMA user_version = 999")
    db.close()
    for done in (
        restore(server, tmp_path / "copy", "--force"),
        server.cli("backup", "x", "--store", str(tmp_path / "copy")),
    ):
        assert done.returncode == 4
        assert "newer version (schema 999" in done.stderr
    server.start()
    assert all_runs(server) == []


def test_wrong_arguments_are_refused(server: Server) -> None:
    for words in (["backup"], ["restore"], ["backup", "a", "b"], ["restore", "x", "--forse"]):
        done = server.cli(*words)
        assert done.returncode == 2, words
        assert done.stderr.startswith("punctual: ")
    missing = server.cli("restore", "nowhere", "--store", "new.db")
    assert missing.returncode == 5
    assert not (server.folder / "new.db").exists()
