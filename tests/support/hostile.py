"""Receivers that behave badly: each kind is one function that is given a connection.

A kind says how an attempt against it must end: outcomes that are true of it, and what its words must have.
"""

import contextlib
import gzip
import os
import socket
import ssl
import struct
import subprocess
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

OK = b"HTTP/1.1 200 OK\r\n"
EMPTY = OK + b"Content-Length: 0\r\n\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
DRIP_S = 0.05
LIVES_S = 30.0  # no connection is served for longer


class Peer:
    """One connection, as the receiver sees it."""

    def __init__(self, connection: socket.socket, stop: threading.Event) -> None:
        self.connection = connection
        self.stop = stop
        self.until = time.monotonic() + LIVES_S

    def request(self) -> bytes:
        """Reads one request, body and all. Empty at the end of the connection."""
        text = b""
        while b"\r\n\r\n" not in text:
            piece = self.connection.recv(65536)
            if not piece:
                return b""
            text += piece
        head, _, body = text.partition(b"\r\n\r\n")
        size = 0
        for line in head.split(b"\r\n"):
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                size = int(value)
        while len(body) < size:
            piece = self.connection.recv(65536)
            if not piece:
                return b""
            body += piece
        return head

    def send(self, *pieces: bytes) -> None:
        self.connection.sendall(b"".join(pieces))

    def going_on(self) -> bool:
        return not self.stop.is_set() and time.monotonic() < self.until

    def drip(self, text: bytes, repeat: bytes = b"") -> None:
        """A byte at a time; then `repeat` for ever."""
        for byte in text:
            if not self.going_on():
                return
            self.send(bytes([byte]))
            self.stop.wait(DRIP_S)
        while repeat and self.going_on():
            self.send(repeat)
            self.stop.wait(DRIP_S)

    def flood(self, piece: bytes) -> None:
        while self.going_on():
            self.send(piece)

    def hold(self) -> None:
        self.stop.wait(max(0.0, self.until - time.monotonic()))

    def reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()


Serve = Callable[[Peer], None]


def answer(*pieces: bytes) -> Serve:
    """The request, then these bytes, then the end of the connection.

    For answers after which a connection cannot be used again: after a whole one the next request may already be on
    its way when the end comes, and is rightly said to be broken.
    """

    def serve(peer: Peer) -> None:
        if peer.request():
            peer.send(*pieces)

    return serve


def answer_and_hold(*pieces: bytes) -> Serve:
    def serve(peer: Peer) -> None:
        while peer.going_on() and peer.request():
            peer.send(*pieces)

    return serve


def answer_and_drip(text: bytes, repeat: bytes) -> Serve:
    def serve(peer: Peer) -> None:
        peer.request()
        peer.drip(text, repeat)

    return serve


def answer_and_flood(start: bytes, piece: bytes) -> Serve:
    def serve(peer: Peer) -> None:
        peer.request()
        peer.send(start)
        peer.flood(piece)

    return serve


def answer_and_reset(*pieces: bytes) -> Serve:
    def serve(peer: Peer) -> None:
        peer.request()
        if pieces:
            peer.send(*pieces)
        peer.stop.wait(0.05)
        peer.reset()

    return serve


def half_open(peer: Peer) -> None:
    peer.hold()


def close_at_once(peer: Peer) -> None:
    peer.connection.close()


def reset_at_once(peer: Peer) -> None:
    peer.connection.recv(65536)
    peer.reset()


def answer_unasked(peer: Peer) -> None:
    peer.send(EMPTY.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    peer.request()


def not_tls(peer: Peer) -> None:
    peer.connection.recv(65536)
    peer.send(b"220 mail.example.com ESMTP ready\r\n" * 10)
    peer.hold()


def tls_stalls(peer: Peer) -> None:
    peer.connection.recv(1)
    peer.hold()


def server_hello_only(peer: Peer) -> None:
    """The first bytes of a record that promises more than ever comes."""
    peer.connection.recv(65536)
    peer.send(b"\x16\x03\x03\x40\x00")
    peer.hold()


def in_tls(make: Callable[[], ssl.SSLContext]) -> Serve:
    def serve(peer: Peer) -> None:
        with make().wrap_socket(peer.connection, server_side=True) as secure:
            inner = Peer(secure, peer.stop)
            if inner.request():
                inner.send(EMPTY)

    return serve


# --- certificates, made up at run time ---


CA = """[ca]
default_ca = own
[own]
database = {folder}/index
serial = {folder}/serial
new_certs_dir = {folder}
default_md = sha256
policy = any
copy_extensions = copy
[any]
commonName = supplied
"""


def call(line: list[str]) -> None:
    done = subprocess.run(line, check=False, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr


class Certificates:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lock = threading.Lock()

    def make(self, name: str, subject: str, expired: bool) -> tuple[Path, Path]:
        key, certificate = self.folder / f"{name}.key", self.folder / f"{name}.pem"
        with self.lock:
            if certificate.exists():
                return key, certificate
            line = ["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
            line += ["-keyout", str(key), "-subj", f"/CN={subject}"]
            line += ["-addext", f"subjectAltName={'IP' if subject[0].isdigit() else 'DNS'}:{subject}"]
            if not expired:
                call([*line, "-x509", "-out", str(certificate)])
                return key, certificate
            request = self.folder / f"{name}.csr"
            call([*line, "-out", str(request)])
            (self.folder / "index").touch()
            (self.folder / "serial").write_text("01\n")
            settings = self.folder / "ca.cnf"
            settings.write_text(CA.format(folder=self.folder))
            sign = ["openssl", "ca", "-batch", "-selfsign", "-config", str(settings), "-keyfile", str(key)]
            sign += ["-in", str(request), "-out", str(certificate), "-notext"]
            call([*sign, "-startdate", "20200101000000Z", "-enddate", "20200201000000Z"])
        return key, certificate

    def context(self, name: str, subject: str, expired: bool = False) -> Callable[[], ssl.SSLContext]:
        def make() -> ssl.SSLContext:
            key, certificate = self.make(name, subject, expired)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate, key)
            return context

        return make

    def old_context(self) -> ssl.SSLContext:
        context = self.context("old", "127.0.0.1")()
        context.set_ciphers("ALL:@SECLEVEL=0")
        with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
            context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1
        return context


# --- the table ---


@dataclass
class Kind:
    name: str
    serve: Serve
    outcomes: Sequence[str]
    words: Sequence[str] = ()  # one of these is in the error, {timeout} being the seconds the task allows
    tls: bool = False
    method: str = "POST"


TIMED_OUT = ("timed_out",)
BROKEN = ("broken",)
FAILED = ("failed",)
FINE = ("succeeded",)
NOT_REACHED = ("unreachable",)
IN_TIME = ("no complete answer within {timeout}s",)
LARGE = ("header is larger than 64 KiB",)
CUT = ("before the answer was complete",)

EARLY = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
SWITCHING = b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n"


def plain_kinds() -> list[Kind]:
    bomb = gzip.compress(bytes(8 << 20))
    return [
        Kind("slow drip of the header", answer_and_drip(OK + b"X-Slow: ", b"x"), TIMED_OUT, IN_TIME),
        Kind("slow drip of the body", answer_and_drip(OK + b"Content-Length: 9999\r\n\r\n", b"x"), TIMED_OUT, IN_TIME),
        Kind("a status line that never ends", answer_and_drip(b"HTTP/1.1 ", b"2"), (*TIMED_OUT, *FAILED)),
        Kind("endless body", answer_and_flood(OK + b"\r\n", bytes(65536)), FINE),
        Kind("endless chunks", answer_and_flood(CHUNKED, b"10000\r\n" + bytes(65536) + b"\r\n"), FINE),
        Kind(
            "gzip bomb",
            answer_and_hold(OK, b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb), bomb),
            FINE,
        ),
        Kind("half open", half_open, TIMED_OUT, IN_TIME),
        Kind("accepts and closes", close_at_once, ("broken", "unreachable"), ("closed", "broke", "cannot connect")),
        Kind("reset after the request", answer_and_reset(), BROKEN, ("closed", "broke")),
        Kind("reset within the header", answer_and_reset(OK, b"X-Half: yes"), BROKEN, ("closed", "broke")),
        Kind("reset within the body", answer_and_reset(OK, b"Content-Length: 999\r\n\r\n", b"half"), BROKEN, CUT),
        Kind("Content-Length too long", answer(OK, b"Content-Length: 999\r\n\r\n", b"short"), BROKEN, CUT),
        Kind("Content-Length too short", answer_and_hold(OK, b"Content-Length: 2\r\n\r\n", b"too long"), FINE),
        Kind("Content-Length no number", answer(OK, b"Content-Length: many\r\n\r\n"), FAILED),
        Kind("Content-Length negative", answer(OK, b"Content-Length: -5\r\n\r\n"), FAILED),
        Kind("Content-Length beyond 64 bits", answer(OK, b"Content-Length: 99999999999999999999999\r\n\r\n"), FAILED),
        Kind(
            "two Content-Lengths",
            answer_and_hold(OK, b"Content-Length: 2\r\nContent-Length: 8\r\n\r\n", b"too long"),
            FAILED,
            ("more than once",),
        ),
        Kind(
            "Content-Length and chunks",
            answer_and_hold(OK, b"Content-Length: 40\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
            (*FINE, *FAILED),
        ),
        Kind("a chunk of no size", answer(CHUNKED, b"zz\r\nhello\r\n0\r\n\r\n"), ("failed", "broken")),
        Kind("a chunk of a huge size", answer(CHUNKED, b"fffffffffffffffff\r\nhello"), ("failed", "broken")),
        Kind("a chunk that ends too soon", answer(CHUNKED, b"400\r\nhello"), BROKEN, CUT),
        Kind("endless chunk extension", answer_and_flood(CHUNKED + b"1;x=", b"y" * 65536), TIMED_OUT, IN_TIME),
        Kind("endless trailers", answer_and_flood(CHUNKED + b"0\r\n", b"X-Trailer: y\r\n" * 100), FAILED, LARGE),
        Kind(
            "a header of 1 MB", answer(OK, b"X-Big: ", b"y" * (1 << 20), b"\r\n\r\n"), FAILED, ("larger than 64 KiB",)
        ),
        Kind("10,000 headers", answer(OK, b"".join(b"X-%d: y\r\n" % n for n in range(10_000)), b"\r\n"), FAILED, LARGE),
        Kind("Set-Cookie bombs", answer(OK, b"Set-Cookie: a=%s\r\n" % (b"y" * 4000) * 100, b"\r\n"), FAILED, LARGE),
        Kind("no status line", answer(b"hello there\r\n\r\n"), FAILED, ("HTTP",)),
        Kind("HTTP/0.9", answer(b"<html>hello</html>"), FAILED, ("HTTP",)),
        Kind("HTTP/9.9", answer(b"HTTP/9.9 200 OK\r\n\r\n"), FAILED),
        Kind("random bytes", answer(os.urandom(65536)), ("failed", "broken")),
        Kind("status 999", answer_and_hold(b"HTTP/1.1 999 What\r\nContent-Length: 0\r\n\r\n"), FAILED, ("999",)),
        Kind("status 000", answer_and_hold(b"HTTP/1.1 000 No\r\nContent-Length: 0\r\n\r\n"), ("failed", "broken")),
        Kind("100 for ever", answer_and_drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), TIMED_OUT, IN_TIME),
        Kind(
            "a flood of 1xx",
            answer_and_flood(b"", b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * 50),
            FAILED,
            LARGE,
        ),
        Kind(
            "101 to nothing",
            answer_and_drip(b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n", b"x"),
            ("timed_out", "failed"),
        ),
        Kind(
            "redirect to itself",
            answer_and_hold(b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n"),
            FAILED,
            ("302",),
        ),
        Kind(
            "redirect to a private address",
            answer_and_hold(
                b"HTTP/1.1 307 There\r\nLocation: http://169.254.169.254/latest\r\nContent-Length: 0\r\n\r\n"
            ),
            FAILED,
            ("307",),
        ),
        Kind("204 with a body", answer_and_hold(b"HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\nhello"), FINE),
        Kind("no UTF-8", answer_and_hold(OK, b"X-\xff: \xfe\xfd\r\nContent-Length: 4\r\n\r\n\xff\xfe\xc0\x80"), FINE),
        Kind("NUL in the body", answer_and_hold(OK, b"Content-Length: 5\r\n\r\na\0b\0c"), FINE),
        Kind("NUL in the header", answer(OK, b"X-Nul: a\0b\r\nContent-Length: 0\r\n\r\n"), FAILED),
        Kind(
            "CR and LF alone",
            answer_and_hold(b"HTTP/1.1 200 OK\nX: a\rb\nContent-Length: 0\n\n"),
            ("succeeded", "failed"),
        ),
        Kind("a folded header", answer_and_hold(OK, b"X-Long: a\r\n b\r\n c\r\nContent-Length: 0\r\n\r\n"), FINE),
        Kind(
            "an end that was not announced", answer(EMPTY), (*FINE, *BROKEN), ("succeeded", "kept open from an earlier")
        ),
        Kind("an answer before the request", answer_unasked, ("succeeded", "failed", "broken")),
    ]


def tls_kinds(certificates: Certificates) -> list[Kind]:
    words = ("not trusted",)
    no_tls = ("TLS", "not trusted")
    expired = certificates.context("expired", "127.0.0.1", expired=True)
    return [
        Kind("self-signed", in_tls(certificates.context("self", "127.0.0.1")), NOT_REACHED, words, tls=True),
        Kind("wrong host", in_tls(certificates.context("wrong", "example.com")), NOT_REACHED, words, tls=True),
        Kind("expired", in_tls(expired), NOT_REACHED, words, tls=True),
        Kind("TLS 1.0 only", in_tls(certificates.old_context), NOT_REACHED, ("TLS could not",), tls=True),
        Kind("no TLS", not_tls, NOT_REACHED, no_tls, tls=True),
        Kind("plain HTTP", answer_and_hold(EMPTY), NOT_REACHED, ("no connection within {timeout}s", "TLS"), tls=True),
        Kind("a handshake that stalls", tls_stalls, NOT_REACHED, ("no connection within {timeout}s",), tls=True),
        Kind(
            "a record that never ends", server_hello_only, NOT_REACHED, ("no connection within {timeout}s",), tls=True
        ),
        Kind("closed in the handshake", reset_at_once, NOT_REACHED, no_tls, tls=True),
    ]


# --- one receiver of a kind ---


@dataclass
class Hostile:
    serve: Serve
    connections: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)
    _open: list[socket.socket] = field(default_factory=list)

    def __enter__(self) -> "Hostile":
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._listener.settimeout(0.05)
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._acceptor.join(5)
        self._listener.close()
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)

    @property
    def port(self) -> int:
        return self._listener.getsockname()[1]

    def _accept(self) -> None:
        while not self._stop.is_set():
            with contextlib.suppress(TimeoutError):
                connection, _ = self._listener.accept()
                self.connections += 1
                self._open.append(connection)
                thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(LIVES_S)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # The other side ends when it has had enough: that is the point.
        with contextlib.suppress(OSError, ssl.SSLError, ValueError), connection:
            self.serve(Peer(connection, self._stop))
