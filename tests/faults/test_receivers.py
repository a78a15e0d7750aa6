"""Endpoints that behave badly: each attempt ends in time, with the truth as its outcome, and harms nobody else."""

import os
import socket
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.hostile import EMPTY, OK, Certificates, Hostile, Kind, Peer, in_tls, plain_kinds, tls_kinds
from support.processes import descriptors, resident_mb
from support.receiver import Receiver
from support.server import Factory, Server
from support.waiting import instant, wait_for
from support.words import create_run, get_run, http_task, quick_retry, wait_final

TIMEOUT_S = {False: 1, True: 6}  # with TLS: a handshake under sanitizers on a busy machine takes its time
AT_ONCE = 4
GROWTH_MB = 96  # of the whole table together; the sanitizer keeps a little of what was freed
PLAIN = plain_kinds()
TLS_NAMES = [kind.name for kind in tls_kinds(Certificates(Path()))]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Receiver]]:
    """One server and one good receiver for all kinds, so that what leaks adds up."""
    folder = tmp_path_factory.mktemp("hostile")
    options = os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=4:malloc_context_size=5"
    server = Server(folder, env={"ASAN_OPTIONS": options.strip(":")}).start()
    receiver = Receiver()
    yield server, receiver
    receiver.close()
    server.end()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


def pid_of(server: Server) -> int:
    assert server.process is not None
    return server.process.pid


def descriptors_after_a_good_run(house: tuple[Server, Receiver]) -> int:
    """Connections that the other side has closed are let go of when the next request is made."""
    server, receiver = house
    count = descriptors(pid_of(server))
    wait_final(server, create_run(server, http_task(receiver.url("/good")))["id"])
    return count


def check_kind(house: tuple[Server, Receiver], kind: Kind) -> list[dict[str, Any]]:
    server, receiver = house
    pid = pid_of(server)
    server.api.get("/health")
    memory = resident_mb(pid)
    before = descriptors(pid)
    timeout = TIMEOUT_S[kind.tls]
    with Hostile(kind.serve) as hostile:
        url = f"{'https' if kind.tls else 'http'}://127.0.0.1:{hostile.port}/"
        body = http_task(url, timeout=f"{timeout}s", payload={"n": 1})
        bad = [create_run(server, body)["id"] for _ in range(AT_ONCE)]
        good = [
            create_run(server, {**http_task(receiver.url("/good")), "delay": f"{n * 100}ms"})["id"] for n in range(5)
        ]
        done = [wait_final(server, run) for run in bad]
        late = []
        for run in good:
            (attempt,) = wait_final(server, run)["attempts"]
            assert attempt["outcome"] == "succeeded", attempt
            late.append(attempt["lateness_ms"])
        # Whoever waited for the hostile one would be late by its timeout.
        assert statistics.median(late) < 700 * timeout, "a hostile endpoint made another one late"
        assert hostile.connections <= AT_ONCE
    for run in done:
        (attempt,) = run["attempts"]
        took = instant(run["finished_at"]) - instant(attempt["started_at"])
        assert took < timeout + 2, f"it took {took:.1f} s"
        said = f"{attempt['outcome']}: {attempt['error']}"
        assert attempt["outcome"] in kind.outcomes, said
        words = [word.format(timeout=timeout) for word in kind.words]
        assert not words or any(word in said for word in words), said
        assert (attempt["error"] is None) == (attempt["outcome"] == "succeeded"), attempt
        assert len((attempt["response"] or "").encode()) <= 4096 * 3, "more of the answer was kept than is said"
    assert resident_mb(pid) < memory + GROWTH_MB
    wait_for(lambda: descriptors_after_a_good_run(house) <= before + 8, "its descriptors are given back", pause=0.3)
    return done


@pytest.mark.parametrize("kind", PLAIN, ids=lambda kind: kind.name)
def test_hostile(house: tuple[Server, Receiver], kind: Kind) -> None:
    check_kind(house, kind)


@pytest.mark.parametrize("name", TLS_NAMES)
def test_hostile_in_tls(house: tuple[Server, Receiver], certificates: Certificates, name: str) -> None:
    (kind,) = [kind for kind in tls_kinds(certificates) if kind.name == name]
    check_kind(house, kind)


def outcome_with_trust_in(server_factory: Factory, certificates: Certificates, trusted: Path) -> tuple[str, str | None]:
    """Outcome and error of an attempt at a self-signed endpoint where SSL_CERT_FILE names that file."""
    server = server_factory(env={"SSL_CERT_FILE": str(trusted)})
    with Hostile(in_tls(certificates.context("believed", "127.0.0.1"))) as endpoint:
        run = create_run(server, http_task(f"https://127.0.0.1:{endpoint.port}/"))
        (attempt,) = wait_final(server, run["id"])["attempts"]
    return attempt["outcome"], attempt["error"]


def test_a_certificate_is_believed_where_ssl_cert_file_says_so(
    server_factory: Factory, certificates: Certificates
) -> None:
    certificates.context("believed", "127.0.0.1")()
    believed = certificates.folder / "believed.pem"
    assert outcome_with_trust_in(server_factory, certificates, believed) == ("succeeded", None)


def test_a_missing_file_of_certificates_is_told_in_words(
    server_factory: Factory, certificates: Certificates, tmp_path: Path
) -> None:
    outcome, error = outcome_with_trust_in(server_factory, certificates, tmp_path / "not-there.pem")
    assert outcome == "unreachable"
    assert "or name one in SSL_CERT_FILE" in (error or "")


def test_all_kinds_at_once_leak_nothing(house: tuple[Server, Receiver]) -> None:
    server, receiver = house
    pid = pid_of(server)
    memory, before = resident_mb(pid), descriptors(pid)
    hostiles = [Hostile(kind.serve).__enter__() for kind in PLAIN]
    try:
        bodies = [http_task(f"http://127.0.0.1:{hostile.port}/", timeout="1s") for hostile in hostiles]
        answer = server.api.post("/v1/runs/batch", json=bodies * 4)
        assert answer.status_code == 201
        good = [
            create_run(server, {**http_task(receiver.url("/good")), "delay": f"{n * 200}ms"})["id"] for n in range(5)
        ]
        late = [wait_final(server, run)["attempts"][0]["lateness_ms"] for run in good]
        assert statistics.median(late) < 1500
        for run in answer.json()["ids"]:
            wait_final(server, run)
    finally:
        for hostile in hostiles:
            hostile.__exit__()
    assert resident_mb(pid) < memory + GROWTH_MB
    wait_for(lambda: descriptors_after_a_good_run(house) <= before + 8, "its descriptors are given back", pause=0.3)


def test_a_port_that_is_closed(house: tuple[Server, Receiver]) -> None:
    server, _ = house
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    done = wait_final(server, create_run(server, http_task(f"http://127.0.0.1:{port}/"))["id"])
    (attempt,) = done["attempts"]
    assert attempt["outcome"] == "unreachable"
    assert "refused" in attempt["error"].lower()


def test_a_name_without_an_address(house: tuple[Server, Receiver]) -> None:
    server, _ = house
    done = wait_final(server, create_run(server, http_task("http://nobody.invalid/", timeout="3s"))["id"])
    (attempt,) = done["attempts"]
    assert attempt["outcome"] == "unreachable"
    assert "no address" in attempt["error"] or "no connection within" in attempt["error"]


def test_what_follows_an_answer_is_not_the_next_answer(house: tuple[Server, Receiver]) -> None:
    """A 204 whose "body" is a whole answer: the next request on that connection must not be given it."""
    server, _ = house

    def smuggle(peer: Peer) -> None:
        while peer.request():
            peer.send(b"HTTP/1.1 204 No Content\r\nContent-Length: 99\r\n\r\n", EMPTY)

    with Hostile(smuggle) as hostile:
        for _ in range(10):
            run = create_run(server, http_task(f"http://127.0.0.1:{hostile.port}/", expect={"status": 204}))
            done = wait_final(server, run["id"])
            assert done["state"] == "succeeded", "an answer was taken that was not for this request"


def test_a_connection_that_closes_at_its_reuse_is_never_a_silent_second_delivery(
    house: tuple[Server, Receiver],
) -> None:
    server, _ = house
    seen: list[bytes] = []

    def serve(peer: Peer) -> None:
        seen.append(peer.request())
        peer.send(EMPTY)
        second = peer.request()
        if second:
            seen.append(second)
            peer.reset()

    with Hostile(serve) as hostile:
        url = f"http://127.0.0.1:{hostile.port}/"
        runs = [wait_final(server, create_run(server, http_task(url))["id"]) for _ in range(6)]
    for run in runs:
        (attempt,) = run["attempts"]
        delivered = [head for head in seen if run["id"].encode() in head]
        assert len(delivered) == 1, "each attempt is one delivery"
        assert attempt["outcome"] in ("succeeded", "broken"), attempt


RETRY_AFTER = {
    "negative": b"-5",
    "huge": b"99999999999999999999999999",
    "of a year": b"31536000",
    "a date in the past": b"Sun, 06 Nov 1994 08:49:37 GMT",
    "the year 9999": b"Fri, 31 Dec 9999 23:59:59 GMT",
    "no date": b"Sometime, 99 Foo 20x6",
    "nothing": b"",
    "a page of text": b"z" * 30_000,
    "twice": b"1\r\nRetry-After: 999999",
    "a fraction": b"0.5",
}


@pytest.mark.parametrize("name", RETRY_AFTER)
def test_nonsense_in_retry_after(house: tuple[Server, Receiver], name: str) -> None:
    """It may put the next attempt off, within what the task's own policy and the cap allow, and never for ever."""
    server, _ = house

    def serve(peer: Peer) -> None:
        peer.request()
        peer.send(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\nRetry-After: ", RETRY_AFTER[name], b"\r\n\r\n")

    with Hostile(serve) as hostile:
        run = create_run(server, http_task(f"http://127.0.0.1:{hostile.port}/", retry=quick_retry(2)))
        waiting = wait_for(
            lambda: (found := get_run(server, run["id"]))["state"] != "running" and found["attempts"] and found,
            "its first attempt is over",
        )
        if waiting["state"] == "failed":
            return
        assert waiting["state"] in ("waiting", "due", "running"), waiting
        wait = instant(waiting["due_at"]) - time.time()
        assert wait < 24 * 3600 + 60, f"put off for {wait:.0f} s"
        server.api.post(f"/v1/runs/{run['id']}/cancel", json={})
        wait_final(server, run["id"])


def test_a_cookie_is_not_kept(house: tuple[Server, Receiver]) -> None:
    server, _ = house
    heads: list[bytes] = []

    def serve(peer: Peer) -> None:
        heads.append(peer.request())
        peer.send(OK, b"Set-Cookie: session=1; Path=/\r\nContent-Length: 0\r\n\r\n")

    with Hostile(serve) as hostile:
        for _ in range(2):
            wait_final(server, create_run(server, http_task(f"http://127.0.0.1:{hostile.port}/"))["id"])
    assert len(heads) == 2
    assert not any(b"cookie" in head.lower() for head in heads)
