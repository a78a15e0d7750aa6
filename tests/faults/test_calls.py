"""Every call of sockets, processes and threads of the server, failing once and for ever, with each errno that matters.

A row is one call in one part of the server. While it fails the server gets a small load over HTTP: runs to a
receiver, commands, reads. What must be so is the same for all rows (class House): the server lives, or says why it
ends; what it acknowledged is there; an outcome is what receivers and commands saw; afterwards all works again; no
descriptor stays behind and nothing turns in circles.
"""

import contextlib
import errno
import http.client
import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from support.calls import Calls, Strike
from support.processes import children, cpu_seconds, descriptors
from support.receiver import Answer, Receiver
from support.server import Server
from support.waiting import wait_for
from support.words import FINAL, command_task, get_run, http_task

AT_ONCE = 8  # rows under way; most of a row is waiting
WINDOW = 0.4  # seconds of looking at what an idle server costs
SHARE = 0.5  # of a core, while its calls fail
SPARE = 6  # descriptors: connections kept open for the next request
KEPT, CLOSED = Answer(), Answer(headers={"Connection": "close"})
RETRY = {"max_attempts": 100, "backoff": "fixed", "initial": "100ms", "max": "100ms"}


@dataclass(frozen=True)
class Row:
    part: str
    strike: Strike

    @property
    def name(self) -> str:
        often = "for-ever" if self.strike.forever else "once"
        named = errno.errorcode.get(self.strike.error, str(self.strike.error))
        return f"{self.part}-{self.strike.call}-{named}-{often}"


# By part: how its threads are called, then its calls, each with what it may answer.
PARTS: dict[str, tuple[str, dict[str, list[int]]]] = {
    "front": (
        "MHD",
        {
            "accept4": [errno.EMFILE, errno.ENOBUFS, errno.ECONNABORTED, errno.EINTR],
            "recv": [errno.ECONNRESET, errno.ENOMEM, errno.EINTR],
            "sendmsg": [errno.EPIPE, errno.ENOBUFS, errno.EINTR],
            "setsockopt": [errno.ENOBUFS],
            "poll": [errno.EINTR, errno.ENOMEM],
        },
    ),
    "back": (
        "punctual",
        {
            "poll": [errno.EINTR, errno.ENOMEM],
            "timerfd_settime": [errno.ECANCELED],
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
            "timerfd_settime": [errno.ENOMEM],
            "pipe2": [errno.EMFILE],
            "socketpair": [errno.EMFILE],
            "memfd_create": [errno.EMFILE],
            "pwrite": [errno.ENOSPC],
            "mkostemp": [errno.ENOSPC, errno.EACCES],
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
            "signalfd": [errno.EMFILE],
            "pread": [errno.EIO],
            "mmap": [errno.ENOMEM],
            "pipe2": [errno.EMFILE],
            "vfork": [errno.EAGAIN, errno.ENOMEM],
            "open": [errno.EMFILE],
            "dup2": [errno.EMFILE],
            "execvpe": [errno.EAGAIN, errno.ETXTBSY, errno.EIO],
            "send": [errno.ENOBUFS],
            "poll": [errno.EINTR, errno.ENOMEM],
            "waitid": [errno.EINTR],
            "waitpid": [errno.EINTR],
        },
    ),
}

# What no system answers for ever: a signal each time, or an event counter that cannot be read.
PASSES = {errno.EINTR, errno.EIO}
# libmicrohttpd asks again at once, so while this lasts its thread turns in a circle.
CIRCLES = {("front", "poll"), ("front", "accept4")}


def rows() -> list[Row]:
    return [
        Row(part, Strike(call, error, who, nth=1, forever=forever))
        for part, (who, calls) in PARTS.items()
        for call, errors in calls.items()
        for error in errors
        for forever in ((False, True) if error not in PASSES else (False,))
    ]


@dataclass
class House:
    """A server whose calls can fail, a receiver, and what is known of the runs: acknowledged, seen, done."""

    folder: Path
    calls: Calls = field(init=False)
    server: Server = field(init=False)
    receiver: Receiver = field(init=False)
    acknowledged: list[str] = field(default_factory=list)
    unanswered: int = 0
    patience: float = 10.0  # seconds for one request

    def __post_init__(self) -> None:
        self.calls = Calls(self.folder)
        self.server = Server(self.folder, arguments=["--allow-commands"], env=self.calls.environment())
        # Of its own each: calls that open a connection are made again and again.
        self.receiver = Receiver(lambda request: KEPT if request.path == "/kept" else CLOSED)

    def end(self) -> None:
        self.calls.disarm()
        self.receiver.close()
        if self.server.running:
            self.server.kill()

    # --- the load ---

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, bytes]:
        """On a connection of its own. 0 where there was no answer: nobody knows whether it counts."""
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=self.patience)
        try:
            text = None if body is None else json.dumps(body).encode()
            connection.request(method, path, text, {"Content-Type": "application/json"} if text else {})
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException):
            return 0, b""
        finally:
            connection.close()

    def create(self, body: dict[str, Any], **more: Any) -> None:
        status, answer = self.ask("POST", "/v1/runs", {**body, **more, "retry": RETRY})
        if status in (0, 503):
            self.unanswered += 1
            return
        assert status == 201, answer
        self.acknowledged.append(json.loads(answer)["id"])

    def load(self, named: bool = True) -> None:
        mark = f"cat >/dev/null; echo $PUNCTUAL_RUN $PUNCTUAL_ATTEMPT >> {self.folder}/marks; echo done"
        command = command_task("/bin/sh", "-c", mark)
        self.unanswered = 0
        self.create(http_task(self.receiver.url("/kept")))
        self.create(http_task(self.receiver.url("/closed")), delay="150ms")
        self.create(command, payload={"read": "this"})
        self.create(command)
        if named:
            self.create(http_task(f"http://receiver.test:{self.receiver.port}/named"))
        if self.unanswered < 2:  # or it hears nobody, and each waits
            self.ask("GET", "/openapi.json")
            self.ask("GET", "/health")

    def warm_up(self) -> None:
        self.load(named=False)  # the name is looked up later, and then kept
        self.all_done()
        assert self.unanswered == 0

    def runs(self) -> dict[str, dict[str, Any]]:
        answer = self.server.api.get("/v1/runs", params={"limit": 100})
        assert answer.status_code == 200, answer.text
        return {run["id"]: run for run in answer.json()["runs"]}

    def done(self) -> bool:
        return all(run["state"] in FINAL for run in self.runs().values())

    def all_done(self) -> None:
        wait_for(self.done, "every run ends", pause=0.05)

    # --- what must be so ---

    def seen(self) -> set[tuple[str, int]]:
        """Attempts that a receiver or a command saw, each of them done."""
        marks = self.folder / "marks"
        lines = marks.read_text().splitlines() if marks.exists() else []
        done = {(run, int(attempt)) for run, attempt in map(str.split, lines)}
        return done | {(request.run, request.attempt) for request in self.receiver.requests}

    def check_books(self) -> None:
        """P4, P9, P11: what was acknowledged is there, and what is on record is what was seen."""
        kept = {run: get_run(self.server, run) for run in self.runs()}
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
        for run in self.runs().values():
            assert run["state"] == "succeeded", run

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
    found: list[int] = []
    with contextlib.suppress(OSError):  # it has ended
        for child in children(pid):
            found += [child, *descendants(child)]
    return found


def afterwards(house: House) -> None:
    """All is as before."""
    house.patience = 10.0
    house.load()
    house.all_done()
    assert house.unanswered == 0, "it does not answer"
    house.check_all_succeeded()
    house.check_books()


def until_struck(house: House, strike: Strike) -> None:
    """A busy machine may come too late for the run that is due soon, and sets no timer for it: then for another."""

    def struck() -> bool:
        if not house.calls.struck:
            house.create(http_task(house.receiver.url("/closed")), delay="300ms")
        return house.calls.struck

    wait_for(struck, f"{strike.call} fails", pause=0.5)


def once(house: House, strike: Strike) -> None:
    assert house.server.process is not None
    before = descriptors(house.server.process.pid)
    with house.calls.failing(strike):
        house.load()
        until_struck(house, strike)
        house.all_done()
    afterwards(house)
    house.check_closed(before)
    house.server.stop()


def forever(house: House, strike: Strike, calm: bool = True) -> None:
    house.patience = 1.0
    with house.calls.failing(strike):
        house.load()
        until_struck(house, strike)
        if calm:
            house.check_calm()
        assert house.server.running, "it ended"
        house.server.kill()
    house.server.start()
    afterwards(house)
    house.server.stop()


def try_row(row: Row, folder: Path) -> None:
    folder.mkdir()
    house = House(folder)
    try:
        house.server.start()
        house.warm_up()
        if row.strike.forever:
            forever(house, row.strike, calm=(row.part, row.strike.call) not in CIRCLES)
        else:
            once(house, row.strike)
    except Exception as fault:
        raise AssertionError(f"{fault}\n--- log ---\n{house.server.log_text()[-6000:]}") from fault
    finally:
        house.end()


# --- the start ---

# Calls between the first line of the program and "listening".
STARTING = {
    "socket": errno.EMFILE,
    "bind": errno.EADDRINUSE,
    "listen": errno.EADDRINUSE,
    "setsockopt": errno.ENOBUFS,
    "getsockname": errno.ENOBUFS,
    "getaddrinfo": socket.EAI_MEMORY,
    "eventfd": errno.EMFILE,
    "epoll_create1": errno.EMFILE,
    "epoll_ctl": errno.ENOSPC,
    "timerfd_create": errno.EMFILE,
    "signalfd": errno.EMFILE,
    "socketpair": errno.EMFILE,
    "pidfd_open": errno.EMFILE,
    "fork": errno.EAGAIN,
    "pthread_create": errno.EAGAIN,
    "fcntl": errno.EMFILE,
    "open": errno.EMFILE,
    "read": errno.EIO,
    "prctl": errno.EINVAL,
    "fstat": errno.EIO,
    "mmap": errno.ENOMEM,
}


def start_with(house: House, strike: Strike) -> bool:
    """Starts while the call fails. False once the call is not made so often."""
    house.calls.arm(strike)
    house.server.launch()
    assert house.server.process is not None
    wait_for(lambda: house.server.process.poll() is not None or listens(house.server), "it listens or ends")
    reached = house.calls.struck > 0
    house.calls.disarm()
    if house.server.process.poll() is None:
        house.server._find_port()
        house.server.kill()
    else:
        code = house.server.wait_exit()
        house.server.check_log()
        text = house.server.log_text(newest=True)
        assert code == 1, f"call {strike.nth} of {strike.call}: it ended with {code}\n{text}"
        assert "punctual: " in text, f"call {strike.nth} of {strike.call}: it does not say why:\n{text}"
    return reached


def listens(server: Server) -> bool:
    return any(line.get("event") == "listening" for line in server.log_lines(newest=True))


def try_start(call: str, folder: Path) -> None:
    folder.mkdir()
    house = House(folder)
    try:
        nth, forever = 1, Strike(call, STARTING[call], forever=True)
        while start_with(house, Strike(call, STARTING[call], nth=nth)):
            nth += 1
        assert nth > 1, "it is never called"
        start_with(house, forever)
        house.server.start()
        afterwards(house)
        house.server.stop()
    finally:
        house.end()


# --- all of it ---


@pytest.fixture(scope="module")
def results(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future]]:
    """What was asked for, all under way, some at once."""
    folder = tmp_path_factory.mktemp("calls")
    chosen = [getattr(item, "callspec", None) for item in request.session.items if item.path == request.path]
    params = [spec.params for spec in chosen if spec]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        starts = [given["call"] for given in params if "call" in given]  # the longest first
        asked = {call: pool.submit(try_start, call, folder / call) for call in starts}
        for row in [given["row"] for given in params if "row" in given]:
            asked[row.name] = pool.submit(try_row, row, folder / row.name)
        yield asked


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.name)
def test_a_failing_call_loses_nothing_and_tells_no_lie(row: Row, results: dict[str, Future]) -> None:
    results[row.name].result()


@pytest.mark.parametrize("call", STARTING)
def test_a_start_that_lacks_something_says_so_or_does_without(call: str, results: dict[str, Future]) -> None:
    results[call].result()
