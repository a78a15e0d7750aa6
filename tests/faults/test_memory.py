"""Memory is out where somebody outside says how much is wanted: an answer that says so, and nothing is lost.

The server here is the one without sanitizers, which have an allocator of their own. The allocations that fail are of
one thread and of at least some size (tests/faults/preload/allocations.c).
"""

import errno
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.calls import Calls, Strike
from support.receiver import Answer, Receiver
from support.server import ROOT, Server
from support.waiting import wait_for
from support.words import FAR, all_runs, create_run, http_task, problem, wait_final

PLAIN = ROOT / "build" / "punctual"
LARGE = 256 << 10
NOWHERE = "http://127.0.0.1:9/"
TRIES = 40


class Starving:
    """A server that allocations can be denied to."""

    def __init__(self, folder: Path) -> None:
        self.calls = Calls(folder, "liballocations.so")
        self.server = Server(folder, env=self.calls.environment(), program=PLAIN)

    def deny(self, who: str, least: int, nth: int = 1, forever: bool = True) -> Any:
        return self.calls.failing(Strike("malloc", errno.ENOMEM, who, nth, forever, least))


@pytest.fixture
def starving(tmp_path: Path) -> Iterator[Starving]:
    if not PLAIN.exists():
        pytest.skip("needs the server without sanitizers: tools/build release punctual")
    made = Starving(tmp_path)
    made.server.start()
    yield made
    made.calls.disarm()
    if made.server.running:
        made.server.stop()


def run_of(size: int) -> dict[str, Any]:
    return {**http_task(NOWHERE), "payload": {"text": "x" * size}, "delay": FAR}


def large_batch() -> list[dict[str, Any]]:
    return [run_of(2000) for _ in range(400)]


BODIES = {
    "a run": ("/v1/runs", "application/json", json.dumps(run_of(900_000))),
    "a batch": ("/v1/runs/batch", "application/json", json.dumps(large_batch())),
    "lines": ("/v1/runs/batch", "application/x-ndjson", "\n".join(map(json.dumps, large_batch()))),
    "tasks": (
        "/v1/apply",
        "application/yaml",
        "version: 1\ntasks:\n" + "".join(f"  t{n}: {{http: {{url: '{NOWHERE}'}}}}\n" for n in range(9000)),
    ),
}


@pytest.mark.parametrize("name", BODIES)
def test_a_body_that_there_is_no_memory_for_is_refused_and_the_next_is_served(starving: Starving, name: str) -> None:
    path, kind, body = BODIES[name]
    api, server = starving.server.api, starving.server
    kept = create_run(server, run_of(10))["id"]
    with starving.deny("MHD", LARGE):
        answer = api.post(path, content=body, headers={"Content-Type": kind})
        assert "no memory" in problem(answer, 503)["detail"]
        assert starving.calls.struck > 0
        other = create_run(server, run_of(10))["id"]
    assert {run["id"] for run in all_runs(server)} == {kept, other}
    assert server.api.get("/v1/tasks").json()["tasks"] == []


def test_a_response_that_there_is_no_memory_for_is_cut_and_its_run_ends_truly(
    starving: Starving, receiver: Receiver
) -> None:
    text = json.dumps({"ok": True, "text": "x" * 500_000}).encode()
    receiver.script("/long", Answer(body=text))
    any_end = http_task(receiver.url("/long"))
    expecting = {**any_end, "expect": {"json": {"/ok": True}}}
    with starving.deny("dispatcher", 64 << 10):
        ends = [wait_final(starving.server, create_run(starving.server, body)["id"]) for body in (any_end, expecting)]
        assert starving.calls.struck > 0
    assert ends[0]["state"] == "succeeded"
    assert ends[1]["state"] == "failed", "what was not read is not known to be as expected"
    assert ends[1]["attempts"][0]["error"]
    assert len(receiver.at("/long")) == 2


def test_each_allocation_of_a_request_may_fail_and_no_acknowledged_run_is_lost(starving: Starving) -> None:
    """Small ones end the process, which says so; a restart is safe, and a batch is there whole or not at all."""
    server, acknowledged, unknown = starving.server, 0, 0
    batch = [run_of(20) for _ in range(10)]
    for nth in range(1, TRIES + 1):
        with starving.deny("MHD", 0, nth=nth * nth // 4 + 1, forever=False):
            try:
                answer = server.api.post("/v1/runs/batch", json=batch)
                acknowledged += answer.status_code == 201
                assert answer.status_code in (201, 400, 413, 500, 503), answer.text
            except httpx.TransportError:
                unknown += 1
        if wait_for(lambda: not server.running or answers(server), "it ends or lives") and not server.running:
            server.wait_exit()
            assert "out of memory" in server.log_text(newest=True)
        if server.process is None:
            server.start()
    found = len(all_runs(server))
    assert found % 10 == 0, "half a batch"
    assert acknowledged <= found // 10 <= acknowledged + unknown


def answers(server: Server) -> bool:
    try:
        return server.api.get("/health").status_code == 200
    except httpx.TransportError:
        return False
