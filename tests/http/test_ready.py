"""When the server is not fit for work it says so, and why; and what it cannot keep it does not promise."""

import resource
import socket
import sqlite3
import subprocess
import time
from pathlib import Path

import httpx
import pytest

from support.receiver import Answer, Receiver
from support.server import Factory, Server, binary
from support.waiting import wait_for
from support.words import FAR, create_run, get_run, http_task, problem


def fill_the_disk(server: Server) -> None:
    """From now on the log of the store can grow no more, as on a disk that is full."""
    assert server.process is not None
    log = server.store.with_name(server.store.name + "-wal").stat().st_size
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (log, log))


def test_a_full_store_stops_the_server_and_nothing_acknowledged_is_lost(server: Server, receiver: Receiver) -> None:
    receiver.script("/slow", Answer(hang=True))
    kept = [create_run(server, {**http_task(receiver.url("/far")), "delay": FAR})["id"] for _ in range(5)]
    create_run(server, http_task(receiver.url("/slow")))
    receiver.wait("/slow")  # while it drains, it can still be asked
    fill_the_disk(server)

    def refused() -> httpx.Response | None:
        answer = server.api.post("/v1/runs", json={**http_task(receiver.url("/far")), "delay": FAR})
        if answer.status_code == 201:
            kept.append(answer.json()["id"])
            return None
        return answer

    answer = wait_for(refused, "a write is refused")
    found = problem(answer, 503)
    assert "nothing was changed" in found["detail"]
    for _ in range(3):
        assert refused() is not None, "no further ok"
    ready = server.api.get("/ready")
    assert ready.status_code == 503
    store = ready.json()["checks"]["store"]
    assert store["ok"] is False
    assert "a write failed" in store["detail"]
    assert "SQLite" in store["detail"], "the words of the failure"
    assert get_run(server, kept[0])["state"] == "scheduled", "reads go on"
    receiver.release()
    assert server.wait_exit() == 1
    assert server.log_events("store_failed")

    server.start()
    assert server.api.get("/ready").status_code == 200
    for run in kept:
        assert get_run(server, run)["state"] == "scheduled"
    assert server.api.get("/v1/audit").json()["differences"] == []
    server.stop()
    with sqlite3.connect(server.store) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    db.close()
    server.start()


def test_runs_that_wait_for_room_at_their_endpoint_are_no_lag_of_the_server(server: Server, receiver: Receiver) -> None:
    receiver.script("/slow", Answer(hang=True))
    body = {**http_task(receiver.url("/slow")), "timeout": "1m"}
    answer = server.api.post("/v1/runs/batch", json=[body] * 70)
    assert answer.status_code == 201, answer.text
    wait_for(lambda: waiting_for_endpoint(server) > 0, "some wait for room")
    time.sleep(11)  # longer than what the check allows
    ready = server.api.get("/ready")
    assert ready.status_code == 200, ready.text
    assert waiting_for_endpoint(server) > 0
    receiver.release()
    receiver.script("/slow", Answer())
    wait_for(lambda: waiting_for_endpoint(server) == 0, "it has caught up", within=40)


PORTS = 66  # with 64 attempts under way at each, more than the server may have under way in all (4096)
EACH = 64


def test_runs_that_nothing_keeps_but_the_server_itself_are_its_lag(server: Server) -> None:
    """More is due than the server may have under way: what could start at its endpoint and does not is late."""
    listeners = [socket.create_server(("127.0.0.1", 0), backlog=2 * EACH) for _ in range(PORTS)]  # nobody answers
    try:
        urls = [f"http://127.0.0.1:{one.getsockname()[1]}/" for one in listeners]
        runs = [{**http_task(url), "timeout": "5m"} for _ in range(EACH) for url in urls]
        answer = server.api.post("/v1/runs/batch", json=runs)
        assert answer.status_code == 201, answer.text

        def late() -> httpx.Response | None:
            answer = server.api.get("/ready")
            return answer if answer.status_code == 503 else None

        ready = wait_for(late, "what is due has waited for more than 10 s", within=60, pause=0.2)
        checks = ready.json()["checks"]
        lag = checks.pop("lag")
        assert (lag["ok"], lag["detail"]) == (False, "runs have been due for more than 10 s")
        assert lag["lag_ms"] > 10_000
        assert all(check["ok"] for check in checks.values()), "and nothing else is wrong"
        assert int(ready.headers["retry-after"]) >= 1
    finally:
        for one in listeners:
            one.close()
    wait_for(lambda: server.api.get("/ready").status_code == 200, "it has caught up", within=60)


def waiting_for_endpoint(server: Server) -> float:
    lines = server.api.get("/metrics").text.splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("punctual_waiting_for_endpoint "))


def test_a_store_of_a_newer_version_is_refused_and_left_alone(server_factory: Factory) -> None:
    version = 999
    server = server_factory()
    server.stop()
    with sqlite3.connect(server.store) as db:
        (known,) = db.execute("PRAGMA user_version").fetchone()
        db.execute(f"PRAGMA user_version = {version}")
    db.close()
    before = server.store.read_bytes()
    server.launch()
    assert server.wait_exit() == 1
    assert f"was written by a newer version (schema {version}; this one knows {known})" in server.log_text()
    assert server.store.read_bytes() == before
    with sqlite3.connect(server.store) as db:
        db.execute(f"PRAGMA user_version = {known}")
    db.close()
    server.start()


def test_a_disk_that_became_read_only_fails_the_check_of_the_disk(server_factory: Factory, tmp_path: Path) -> None:
    if subprocess.run(["unshare", "-m", "true"], check=False, capture_output=True).returncode:
        pytest.skip("this machine lets nobody have mounts of their own")
    program = tmp_path / "in-mounts-of-its-own"
    program.write_text(f'#!/bin/sh\nexec unshare -m --propagation private {binary()} "$@"\n')
    program.chmod(0o755)
    server = server_factory(program=program)
    assert server.api.get("/ready").json()["checks"]["disk"]["ok"] is True
    assert server.process is not None
    mount = f"mount --bind {server.folder} {server.folder} && mount -o remount,bind,ro {server.folder}"
    subprocess.run(["nsenter", "-t", str(server.process.pid), "-m", "sh", "-c", mount], check=True)
    answer = server.api.get("/ready")
    assert answer.status_code == 503
    disk = answer.json()["checks"]["disk"]
    assert (disk["ok"], disk["detail"]) == (False, "the store's file system is read-only")
