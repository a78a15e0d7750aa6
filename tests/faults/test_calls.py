"""Every call of sockets, processes and threads that the server makes, failing once and for ever, with each errno that matters.

A row is one call in one part of the server. While it fails the server gets a small load over HTTP: runs to a
receiver, commands, reads. What must be so is the same for all rows (class House): the server lives, or says why it
ends; what it acknowledged is there; an outcome is what receivers and commands saw; afterwards all works again; no
descriptor stays behind and nothing turns in circles.
"""

import errno
import os
import socket
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.calls import Calls, Strike
from support.processes import cpu_seconds, descriptors
from support.receiver import Receiver
from support.server import Server
from support.waiting import wait_for
from support.words import FINAL, all_runs, command_task, get_run, http_task

AT_ONCE = 6  # rows under way; most of a row is waiting
ASKS = 3.0  # seconds for one request
WINDOW = 0.4  # seconds of looking at what an idle server costs
SHARE = 0.5  # of a core, while its calls fail
SPARE = 6  # descriptors: connections kept open for the next request
RETRY = {"max_attempts": 100, "backoff": "fixed", "initial": "100ms", "max": "100ms"}


@dataclass(frozen=True)
class Row:
    part: str
    strike: Strike

    @property
    def name(self) -> str:
        often = "for-ever" if self.strike.forever else f"once-{self.strike.nth}"
        named = errno.errorcode.get(self.strike.error, str(self.strike.error))
        return f"{self.part}-{self.strike.call}-{named}-{often}"


# By part: how its threads are called, then its calls, each with what it may answer.
PARTS: dict[str, tuple[str, dict[str, list[int]]]] = {
    "front": (
        "MHD",
        {
            "accept4": [errno.EMFILE, errno.ENOBUFS, errno.ECONNABORTED, errno.EPERM],
            "recv": [errno.ECONNRESET, errno.ENOMEM, errno.EINTR],
            "send": [errno.EPIPE, errno.ENOBUFS, errno.EINTR],
            "sendmsg": [errno.EPIPE, errno.ENOBUFS, errno.EINTR],
            "setsockopt": [errno.ENOBUFS],
            "getsockopt": [errno.ENOBUFS],
            "poll": [errno.EINTR, errno.ENOMEM],
            "read": [errno.EAGAIN],
        },
    ),
    "dispatcher": (
        "dispatcher",
        {
            "socket": [errno.EMFILE, errno.ENOBUFS, errno.EAFNOSUPPORT],
            "connect": [errno.ECONNREFUSED, errno.EADDRNOTAVAIL, errno.EPERM, errno.EAGAIN],
            "getaddrinfo": [socket.EAI_AGAIN, socket.EAI_MEMORY],
            "pthread_create": [errno.EAGAIN],
            "setsockopt": [errno.ENOBUFS],
            "getsockopt": [errno.ENOBUFS],
            "getsockname": [errno.ENOBUFS],
            "getpeername": [errno.ENOTCONN],
            "fcntl": [errno.EBADF],
            "send": [errno.EPIPE, errno.ENOBUFS, errno.ECONNRESET],
            "recv": [errno.ECONNRESET, errno.ENOMEM],
            "epoll_ctl": [errno.ENOMEM, errno.ENOSPC],
            "epoll_wait": [errno.EINTR],
            "timerfd_settime": [errno.ECANCELED],
            "pipe2": [errno.EMFILE],
            "socketpair": [errno.EMFILE],
            "memfd_create": [errno.EMFILE],
            "pwrite": [errno.ENOSPC],
            "mkostemp": [errno.ENOSPC, errno.EMFILE, errno.EACCES],
            "sendmsg": [errno.EPIPE, errno.ENOBUFS, errno.ETOOMANYREFS],
            "open": [errno.EMFILE],
            "read": [errno.EIO],
            "write": [errno.EIO],
        },
    ),
    "nursery": (
        "nursery",
        {
            "fork": [errno.EAGAIN, errno.ENOMEM],
            "recvmsg": [errno.EINTR, errno.ENOBUFS],
            "poll": [errno.EINTR, errno.ENOMEM],
            "waitpid": [errno.EINTR],
            "read": [errno.EINTR],
        },
    ),
    "keeper": (
        "keeper",
        {
            "prctl": [errno.EINVAL],
            "signalfd": [errno.EMFILE],
            "pread": [errno.EIO],
            "mmap": [errno.ENOMEM],
            "pipe2": [errno.EMFILE],
            "vfork": [errno.EAGAIN, errno.ENOMEM],
            "setsid": [errno.EPERM],
            "open": [errno.EMFILE],
            "dup2": [errno.EMFILE],
            "execvpe": [errno.EAGAIN, errno.ETXTBSY, errno.EIO],
            "send": [errno.ENOBUFS],
            "recv": [errno.EINTR],
            "poll": [errno.EINTR, errno.ENOMEM],
            "waitid": [errno.EINTR],
            "waitpid": [errno.EINTR],
        },
    ),
}


def rows() -> Iterator[Row]:
    for part, (who, calls) in PARTS.items():
        for call, errors in calls.items():
            for error in errors:
                yield Row(part, Strike(call, error, who))
                yield Row(part, Strike(call, error, who, nth=2, forever=True))


@dataclass
class House:
    """A server whose calls can fail, a receiver, and what is known of the runs: acknowledged, seen, done."""

    folder: Path
    calls: Calls = field(init=False)
    server: Server = field(init=False)
    receiver: Receiver = field(init=False)
    acknowledged: list[str] = field(default_factory=list)
    commands: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.calls = Calls(self.folder)
        self.server = Server(self.folder, arguments=["--allow-commands"], env=self.calls.environment())
        self.receiver = Receiver()

    def end(self) -> None:
        self.calls.disarm()
        self.receiver.close()
        if self.server.running:
            self.server.kill()

    # --- the load ---

    def ask(self, method: str, path: str, body: Any = None) -> httpx.Response | None:
        """On a connection of its own. None where there was no answer: nobody knows whether it counts."""
        with httpx.Client(base_url=self.server.url, timeout=ASKS, trust_env=False) as client:
            try:
                return client.request(method, path, json=body)
            except httpx.TransportError:
                return None

    def create(self, body: dict[str, Any]) -> str | None:
        answer = self.ask("POST", "/v1/runs", {**body, "retry": RETRY})
        if answer is None or answer.status_code == 503:
            return None
        assert answer.status_code == 201, answer.text
        self.acknowledged.append(answer.json()["id"])
        return self.acknowledged[-1]

    def load(self, count: int = 2) -> None:
        name = f"http://localhost:{self.receiver.port}/named"
        mark = f"cat >/dev/null; echo $PUNCTUAL_RUN $PUNCTUAL_ATTEMPT >> {self.folder}/marks; echo done"
        for n in range(count):
            self.create(http_task(self.receiver.url(f"/{n}")))
            for payload in ({"payload": {"n": n}}, {}):
                run = self.create({**command_task("/bin/sh", "-c", mark), **payload})
                self.commands |= {run} if run else set()
        self.create(http_task(name))
        self.ask("GET", "/v1/runs?limit=1")
        self.ask("GET", "/health")

    def warm_up(self) -> None:
        self.load()
        self.all_done()
        assert len(self.acknowledged) == 7

    def done(self) -> bool:
        return all(get_run(self.server, run)["state"] in FINAL for run in self.acknowledged)

    def all_done(self) -> None:
        wait_for(self.done, "every acknowledged run ends")

    # --- what must be so ---

    def seen(self) -> set[tuple[str, int]]:
        """Attempts that a receiver or a command saw, each of them done."""
        marks = self.folder / "marks"
        lines = marks.read_text().splitlines() if marks.exists() else []
        done = {(run, int(attempt)) for run, attempt in map(str.split, lines)}
        return done | {(request.run, request.attempt) for request in self.receiver.requests}

    def check_books(self) -> None:
        """P4, P9, P11: what was acknowledged is there, and what is on record is what was seen."""
        kept = {run["id"]: get_run(self.server, run["id"]) for run in all_runs(self.server)}
        assert set(self.acknowledged) <= set(kept), "an acknowledged run is not there"
        seen, recorded = self.seen(), set()
        for run in kept.values():
            attempts = run["attempts"]
            assert [a["number"] for a in attempts] == list(range(1, len(attempts) + 1)), run
            recorded |= {(run["id"], a["number"]) for a in attempts}
            for attempt in attempts:
                known = (run["id"], attempt["number"]) in seen
                if attempt["outcome"] == "succeeded":
                    assert known, f"a success that nobody saw: {run}"
                if attempt["outcome"] in ("unreachable", "refused"):
                    assert not known, f"it was seen all the same: {run}"
                assert attempt["outcome"] == "succeeded" or attempt["error"], f"without words: {run}"
        assert seen <= recorded, f"seen and not on record: {seen - recorded}"

    def check_all_succeeded(self) -> None:
        for run in self.acknowledged:
            found = get_run(self.server, run)
            assert found["state"] == "succeeded", found

    def check_calm(self) -> None:
        """Nothing turns in circles while its calls fail."""
        assert self.server.process is not None
        pids = [self.server.process.pid, *descendants(self.server.process.pid)]
        before = sum(map(cpu_seconds, pids))
        time.sleep(WINDOW)
        used = sum(map(cpu_seconds, pids)) - before
        assert used < SHARE * WINDOW, f"{used:.2f} s of CPU within {WINDOW} s"

    def check_closed(self, before: int) -> None:
        """No descriptor stays behind."""
        assert self.server.process is not None
        pid = self.server.process.pid
        wait_for(lambda: descriptors(pid) <= before + SPARE, f"at most {before} + {SPARE} descriptors")


def descendants(pid: int) -> list[int]:
    from support.processes import children

    found: list[int] = []
    for child in children(pid):
        found += [child, *descendants(child)]
    return found


def once(house: House, strike: Strike) -> None:
    before = descriptors(house.server.process.pid)
    with house.calls.failing(strike):
        house.load()
        house.all_done()
        assert house.calls.struck == 1, f"the call was made {house.calls.seen} times"
    house.load()
    house.all_done()
    house.check_all_succeeded()
    house.check_books()
    house.check_closed(before)
    house.server.stop()


def forever(house: House, strike: Strike) -> None:
    with house.calls.failing(strike):
        house.load()
        wait_for(lambda: house.calls.struck > 0, f"{strike.call} fails")
        house.check_calm()
        assert house.server.running, "it ended"
        house.server.kill()
    house.server.start()
    house.load()
    house.all_done()
    house.check_all_succeeded()
    house.check_books()
    house.server.stop()


def try_row(row: Row, folder: Path) -> None:
    folder.mkdir()
    house = House(folder)
    try:
        house.server.start()
        house.warm_up()
        (forever if row.strike.forever else once)(house, row.strike)
    except Exception as fault:
        raise AssertionError(f"{fault}\n--- log ---\n{house.server.log_text()[-6000:]}") from fault
    finally:
        house.end()


@pytest.fixture(scope="module")
def results(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future]]:
    """The rows that were asked for, all under way, some at once."""
    folder = tmp_path_factory.mktemp("calls")
    chosen = [i.callspec.params["row"] for i in request.session.items if "row" in getattr(i, "fixturenames", ())]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {row.name: pool.submit(try_row, row, folder / row.name) for row in chosen}


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.name)
def test_a_failing_call_loses_nothing_and_tells_no_lie(row: Row, results: dict[str, Future]) -> None:
    results[row.name].result()
