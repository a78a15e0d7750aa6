"""Clients that behave badly: the server stays up, answers the others, and what it answered is true."""

import contextlib
import json
import random
import re
import resource
import socket
import struct
import time
from collections.abc import Iterator

import pytest

from support.processes import descriptors, resident_mb
from support.server import Server
from support.waiting import wait_for
from support.words import FAR, all_runs, http_task, put_task

PLACES = 4096  # connections the server takes
GROWTH_MB = 256  # for thousands of connections at once


def dial(server: Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=20)


def pid_of(server: Server) -> int:
    assert server.process is not None
    return server.process.pid


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def post(body: bytes, more: str = "") -> bytes:
    head = f"POST /v1/runs HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{more}"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def read_answer(connection: socket.socket) -> tuple[int, bytes]:
    """Status and body; 0 where the connection ended without an answer."""
    text = b""
    while b"\r\n\r\n" not in text:
        piece = connection.recv(65536)
        if not piece:
            return 0, text
        text += piece
    head, _, body = text.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
    while length and len(body) < int(length[1]):
        piece = connection.recv(65536)
        if not piece:
            break
        body += piece
    return int(head.split()[1]), body


def is_well(server: Server) -> bool:
    return server.api.get("/health").status_code == 200 and server.api.get("/ready").status_code == 200


def count_at_rest(server: Server) -> int:
    """How many runs there are, once nothing more of what was sent comes in."""
    counts = [-1]

    def same_again() -> bool:
        time.sleep(0.2)
        counts.append(len(all_runs(server)))
        return counts[-1] == counts[-2]

    wait_for(same_again, "no more runs come")
    return counts[-1]


@pytest.fixture
def watched(server: Server) -> Iterator[Server]:
    """The server must be well afterwards, and have given back what the attack took."""
    pid = pid_of(server)
    assert is_well(server)
    before, memory = descriptors(pid), resident_mb(pid)
    yield server
    assert is_well(server)
    wait_for(lambda: descriptors(pid) <= before + 4, "its descriptors are given back", within=30)
    assert resident_mb(pid) < memory + GROWTH_MB


@pytest.fixture
def many_descriptors() -> Iterator[int]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = PLACES + 1000
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"this process may have {hard} descriptors, and {wanted} are needed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield wanted
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_slow_headers_do_not_keep_others_out(watched: Server) -> None:
    slow = [dial(watched) for _ in range(200)]
    for connection in slow:
        connection.sendall(b"GET /v1/runs HTTP/1.1\r\nHost: x\r\n")
    for n in range(5):
        for connection in slow:
            connection.sendall(f"X-{n}: y\r\n".encode())
        began = time.monotonic()
        assert watched.api.get("/v1/tasks").status_code == 200
        assert time.monotonic() - began < 5
    for connection in slow:
        connection.close()


def test_more_idle_connections_than_places_do_not_keep_others_out(watched: Server, many_descriptors: int) -> None:
    """Those who hold a place and say nothing lose it when others wait."""
    idle = [dial(watched) for _ in range(PLACES + 200)]
    for connection in idle[: PLACES // 2]:  # some of them drip
        with contextlib.suppress(OSError):
            connection.sendall(b"GET /health HTTP/1.1\r\nX")
    with dial(watched) as late:
        late.settimeout(30)
        late.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        status, body = read_answer(late)
    assert status == 200
    assert json.loads(body)["ok"] is True
    for connection in idle:
        connection.close()


def test_long_headers_are_refused(watched: Server) -> None:
    for header in (b"X-Big: " + b"y" * 40_000, b"\r\n".join(b"X-%d: y" % n for n in range(5000))):
        # It may close while we still send.
        with dial(watched) as connection, contextlib.suppress(ConnectionError):
            connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n" + header + b"\r\n\r\n")
            assert read_answer(connection)[0] in (0, 413, 431)
    with dial(watched) as connection, contextlib.suppress(ConnectionError):
        connection.sendall(b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n")
        assert read_answer(connection)[0] in (0, 414, 431)


def test_pipelined_requests_are_answered_in_order(watched: Server) -> None:
    count = 200
    with dial(watched) as connection:
        body = json.dumps({**http_task("http://127.0.0.1:9/"), "delay": FAR}).encode()
        requests = [
            post(body) if n % 2 else f"GET /v1/tasks/none-{n} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
            for n in range(count)
        ]
        connection.sendall(b"".join(requests[:-1]) + b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        text = b""
        while piece := connection.recv(65536):
            text += piece
    statuses = [int(found) for found in re.findall(rb"HTTP/1.1 (\d{3}) ", text)]
    assert statuses == [201 if n % 2 else 404 for n in range(count - 1)] + [200]
    assert len(all_runs(watched)) == count // 2 - 1 + count % 2


def test_a_body_that_is_cut_off_creates_nothing(watched: Server) -> None:
    body = json.dumps({**http_task("http://127.0.0.1:9/"), "delay": FAR}).encode()
    whole = post(body)
    for size in range(1, len(whole), 7):
        with dial(watched) as connection:
            connection.sendall(whole[:size])
            if size % 2:
                reset(connection)
    chunked = (
        b"POST /v1/runs HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    for rest in (b"", b'5\r\n{"ht', b"zz\r\n", b"ffffffffffffffff\r\n{", b"%x\r\n%s\r\n" % (len(body), body)):
        with dial(watched) as connection:
            connection.sendall(chunked + rest)
    assert is_well(watched)
    assert all_runs(watched) == []


def test_resets_while_the_turn_is_under_way_leave_whole_things(watched: Server) -> None:
    """Whether such a request counts is unknown to its client; but it counts whole or not at all."""
    chance = random.Random(1)
    body = json.dumps([{**http_task("http://127.0.0.1:9/"), "delay": FAR}] * 20).encode()
    batch = post(body).replace(b"/v1/runs ", b"/v1/runs/batch ")
    for _ in range(200):
        connection = dial(watched)
        connection.sendall(batch)
        time.sleep(chance.random() * 0.003)
        reset(connection)
    assert is_well(watched)
    before = count_at_rest(watched)
    assert before % 20 == 0
    keyed = [f"key-{n}" for n in range(50)]
    one = json.dumps({**http_task("http://127.0.0.1:9/"), "delay": FAR}).encode()
    for key in keyed:
        connection = dial(watched)
        connection.sendall(post(one, f'Idempotency-Key: "{key}"\r\n'))
        reset(connection)
    for key in keyed:  # and the client that asks again has it once
        with dial(watched) as connection:
            connection.sendall(post(one, f'Idempotency-Key: "{key}"\r\n'))
            assert read_answer(connection)[0] == 201
    assert len(all_runs(watched)) == before + len(keyed)


def test_readers_that_do_not_read_are_not_waited_for(watched: Server) -> None:
    for n in range(30):
        put_task(watched, f"task-{n}", http_task("http://127.0.0.1:9/", summary="x" * 200))
    deaf = []
    for _ in range(50):
        connection = dial(watched)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        connection.sendall(b"GET /v1/tasks?limit=100 HTTP/1.1\r\nHost: x\r\n\r\n" * 50)
        deaf.append(connection)
    began = time.monotonic()
    assert is_well(watched)
    assert watched.api.get("/v1/tasks").status_code == 200
    assert time.monotonic() - began < 10
    for connection in deaf:
        reset(connection)


def test_event_streams_that_are_not_read_are_let_go_of(watched: Server) -> None:
    streams = []
    for _ in range(50):
        connection = dial(watched)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        connection.sendall(b"GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n")
        streams.append(connection)
    for _ in range(20):
        assert (
            watched.api.post(
                "/v1/runs/batch", json=[{**http_task("http://127.0.0.1:9/"), "delay": FAR}] * 100
            ).status_code
            == 201
        )
    assert is_well(watched)
    for connection in streams:
        reset(connection)
