"""What can go wrong around the server: the reader of its log, its port, what piled up while it was away, poison."""

import json
import os
import socket
import sqlite3
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from support.receiver import Answer, Receiver
from support.server import Factory, Server
from support.waiting import instant, wait_for
from support.words import all_runs, command_task, create_run, http_task, put_task, quick_retry, trigger, wait_final

MINUTE_US = 60_000_000


class PipedServer(Server):
    """Its log goes into a pipe that is read only when the test says so."""

    def launch(self) -> subprocess.Popen[bytes]:
        self.reader, writer = os.pipe()
        self.process = subprocess.Popen(
            self.command(),
            stdin=subprocess.DEVNULL,
            stdout=writer,
            stderr=writer,
            env=self.environment(),
            cwd=self.folder,
        )
        os.close(writer)
        return self.process

    def read_some(self) -> None:
        with self.log_path.open("ab") as log:
            log.write(os.read(self.reader, 1 << 16))

    def _find_port(self) -> int | None:
        self.read_some()
        return super()._find_port()


@pytest.fixture
def piped(tmp_path: Path) -> Any:
    folder = tmp_path / "piped"
    folder.mkdir()
    server = PipedServer(folder)
    yield server.start()
    if server.running:
        server.kill()
    os.close(server.reader)


def test_a_log_that_nobody_reads_delays_nobody(piped: PipedServer, receiver: Receiver) -> None:
    put_task(piped, "many", http_task(receiver.url("/many")))
    for _ in range(12):  # 12,000 lines, more than the pipe and the buffer behind it hold
        answer = piped.api.post("/v1/runs/batch", json=[{"task": "many"}] * 1000)
        assert answer.status_code == 201
    last = answer.json()["ids"][-1]
    receiver.wait("/many", 12_000)
    done = wait_final(piped, last)
    assert done["state"] == "succeeded"
    assert piped.api.get("/ready").status_code == 200
    dropped = [
        line.split()[1]
        for line in piped.api.get("/metrics").text.splitlines()
        if line.startswith("punctual_log_lines_dropped_total ")
    ]
    assert int(dropped[0]) > 0
    piped.terminate()
    began = time.monotonic()
    assert piped.wait_exit() == 0
    assert time.monotonic() - began < 20, "the end waited for the reader"


def test_a_reader_that_comes_back_finds_whole_lines(piped: PipedServer, receiver: Receiver) -> None:
    put_task(piped, "many", http_task(receiver.url("/many")))
    ids = piped.api.post("/v1/runs/batch", json=[{"task": "many"}] * 500).json()["ids"]
    receiver.wait("/many", 500)
    lines: list[dict[str, Any]] = []
    text = b""
    while len([line for line in lines if line["event"] == "attempt"]) < 500:
        text += os.read(piped.reader, 1 << 16)
        *whole, text = text.split(b"\n")
        lines += [json.loads(line) for line in whole]
    assert sorted(line["run"] for line in lines if line["event"] == "attempt") == sorted(ids)


def test_a_port_in_use_leaves_the_store_as_it_was(server_factory: Factory, tmp_path: Path) -> None:
    tasks = tmp_path / "tasks.yaml"
    tasks.write_text("version: 1\ntasks:\n  new: {http: {url: 'http://127.0.0.1:9/'}, schedule: {every: 1h}}\n")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        server = server_factory(start=False)
        server.start()
        server.stop()
        server.arguments = ["--apply", str(tasks)]
        server.listen = f"127.0.0.1:{taken.getsockname()[1]}"
        server.launch()
        assert server.wait_exit() == 1
        assert "is in use" in server.log_text(newest=True)
    server.arguments, server.listen = [], "127.0.0.1:0"
    server.start()
    assert server.api.get("/v1/tasks").json()["tasks"] == []


def move_cursors_back(store: Path, minutes: int) -> None:
    with sqlite3.connect(store) as connection:
        connection.execute("UPDATE cursors SET next_at = next_at - ?", (minutes * MINUTE_US,))
    connection.close()


def test_a_herd_of_100k_missed_occurrences_holds_nobody_up(server: Server, receiver: Receiver) -> None:
    tasks = {f"herd-{n}": http_task(receiver.url("/herd"), schedule={"cron": "* * * * *"}) for n in range(500)}
    assert server.api.post("/v1/apply", json={"version": 1, "tasks": tasks}).status_code == 200
    put_task(server, "next", http_task(receiver.url("/next"), schedule={"every": "1s"}))
    server.stop()
    move_cursors_back(server.store, 200)
    server.start()
    began = time.monotonic()
    assert server.api.get("/health").status_code == 200
    assert time.monotonic() - began < 5
    started = time.time()
    on_time = wait_for(
        lambda: [r for r in receiver.at("/next") if instant(r.headers["punctual-scheduled-for"]) > started + 2],
        "the next future occurrence fires",
    )
    assert on_time[0].time - instant(on_time[0].headers["punctual-scheduled-for"]) < 10

    def all_recorded() -> bool:
        text = server.api.get("/metrics").text
        missed = [line for line in text.splitlines() if line.startswith('punctual_runs_total{state="missed"}')]
        return int(missed[0].split()[1]) >= 500 * 198

    wait_for(all_recorded, "every one of the missed is on record", within=60)
    assert len(receiver.at("/herd")) <= 2 * 500, "at most the latest of each, and one that was due since"
    for name in ("herd-0", "herd-250", "herd-499"):
        runs = sorted(all_runs(server, task=name, limit=1000), key=lambda run: run["scheduled_for"])
        minutes = [instant(run["scheduled_for"]) for run in runs]
        assert minutes == [minutes[0] + 60 * n for n in range(len(minutes))], "one run for each minute, none twice"
        missed = [run for run in runs if run["state"] == "missed"]
        assert len(missed) >= 198
        assert all(run["reason"] and run["attempt_count"] == 0 for run in missed)
    assert told_as_missed(server) >= 500 * 198


def told_as_missed(server: Server) -> int:
    """Events of missed runs in the journal, from its beginning."""
    count = 0
    with server.api.stream("GET", "/v1/events", headers={"Last-Event-ID": "0-0"}, timeout=60) as stream:
        for line in stream.iter_lines():
            count += line == "event: run.missed"
            if count >= 500 * 198:
                break
    return count


@pytest.mark.parametrize("kind", ["endpoint", "command"])
def test_poison_ends_failed_and_holds_nobody_up(server_factory: Factory, receiver: Receiver, kind: str) -> None:
    server = server_factory("--allow-commands")
    bad = Receiver()  # an endpoint of its own: what it does must not count against the good one
    bad.script("/poison", Answer(reset=True))
    target, count = {
        "endpoint": (http_task(bad.url("/poison")), 2),
        "command": (command_task("/bin/sh", "-c", "head -c 100000 /dev/urandom; kill -SEGV $$"), 20),
    }[kind]
    put_task(server, "poison", {**target, "retry": quick_retry(4)})
    put_task(server, "good", http_task(receiver.url("/good")))
    poison = [trigger(server, "poison", {"payload": {"n": n}})["id"] for n in range(count)]
    good = [trigger(server, "good")["id"] for _ in range(20)]
    for run in good:
        done = wait_final(server, run)
        assert done["state"] == "succeeded"
        assert done["attempts"][0]["lateness_ms"] < 5000
    for run in poison:
        done = wait_final(server, run)
        assert done["state"] == "failed"
        assert [attempt["number"] for attempt in done["attempts"]] == [1, 2, 3, 4]
    assert len(all_runs(server, state="failed")) == count
    bad.close()


def test_a_run_that_ends_the_server_each_time_still_ends(server_factory: Factory, tmp_path: Path) -> None:
    """The worst poison: each attempt takes the server down. It counts, and there is a last one."""
    server = server_factory("--allow-commands")
    mark = tmp_path / "tries"
    # The shell's parent is its keeper; the keeper's, the nursery; the nursery's, the server.
    script = (
        f"echo try >> {mark}; read -r a b c nursery rest </proc/$PPID/stat; "
        "read -r a b c server rest </proc/$nursery/stat; kill -9 $server; sleep 60"
    )
    run = create_run(server, command_task("/bin/sh", "-c", script, retry=quick_retry(3)))
    for tries in range(1, 4):
        wait_for(lambda tries=tries: mark.exists() and len(mark.read_text().split()) >= tries, "it is tried")
        assert server.wait_exit() != 0
        server.start()
    done = wait_final(server, run["id"])
    assert done["state"] == "failed"
    assert [attempt["outcome"] for attempt in done["attempts"]] == ["lost"] * 3
    assert len(mark.read_text().split()) == 3
