"""Connections that are kept, and handed out one request at a time.

A lane is a transport of httpx with a single connection. httpx's own pool looks at every connection it has,
for each of them, whenever a request begins or ends: with 32 requests at once a call costs 5 ms of a
processor instead of 1, with 256 it costs 19. Lanes are a stack: the one used last is used next, and those
that nobody needed for a while are closed.

The transport that a user brings is used for everything and never closed here.
"""

from __future__ import annotations

import ssl
import time
from collections import deque
from functools import lru_cache
from typing import Any, TypeVar
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx

T = TypeVar("T")

IDLE_S = 30.0  # below the server's own limit for connections that say nothing
MOST_KEPT = 256
_ONE = httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=IDLE_S)


class Lanes:
    """For threads. A lane that is taken must be given back, or closed where its connection is in doubt."""

    def __init__(self, url: str, transport: httpx.BaseTransport | None) -> None:
        self._url = url
        self._brought = transport
        self._free: deque[tuple[float, httpx.BaseTransport]] = deque()
        self._closed = False

    def take(self) -> httpx.BaseTransport:
        """The lane that was used last, or a new one."""
        if self._brought is not None:
            return self._brought
        try:
            return self._free.pop()[1]
        except IndexError:
            return httpx.HTTPTransport(limits=_ONE, **_options(self._url))

    def give_back(self, lane: httpx.BaseTransport) -> None:
        """For the next request."""
        if lane is self._brought:
            return
        if self._closed:
            lane.close()
            return
        now = time.monotonic()
        self._free.append((now, lane))
        for old in _outdated(self._free, now):
            old.close()

    def drop(self, lane: httpx.BaseTransport) -> None:
        """What became of its connection is not known."""
        if lane is not self._brought:
            lane.close()

    def close(self) -> None:
        """Closes those that are not in use; the others when they are given back."""
        self._closed = True
        while self._free:
            self._free.pop()[1].close()


class AsyncLanes:
    """The same for one event loop."""

    transport_class: type[httpx.AsyncHTTPTransport] = httpx.AsyncHTTPTransport

    def __init__(self, url: str, transport: httpx.AsyncBaseTransport | None) -> None:
        self._url = url
        self._brought = transport
        self._free: deque[tuple[float, httpx.AsyncBaseTransport]] = deque()
        self._closed = False

    def take(self) -> httpx.AsyncBaseTransport:
        """The lane that was used last, or a new one."""
        if self._brought is not None:
            return self._brought
        if self._free:
            return self._free.pop()[1]
        return self.transport_class(limits=_ONE, **_options(self._url))

    async def give_back(self, lane: httpx.AsyncBaseTransport) -> None:
        """For the next request."""
        if lane is self._brought:
            return
        if self._closed:
            await lane.aclose()
            return
        now = time.monotonic()
        self._free.append((now, lane))
        for old in _outdated(self._free, now):
            await old.aclose()

    async def drop(self, lane: httpx.AsyncBaseTransport) -> None:
        """What became of its connection is not known."""
        if lane is not self._brought:
            await lane.aclose()

    async def aclose(self) -> None:
        """Closes those that are not in use; the others when they are given back."""
        self._closed = True
        while self._free:
            await self._free.pop()[1].aclose()


def _outdated(free: deque[tuple[float, T]], now: float) -> list[T]:
    """Takes those out, from the bottom of the stack, that nobody has needed."""
    old: list[T] = []
    while len(free) > 1 and (len(free) > MOST_KEPT or now - free[0][0] > IDLE_S):
        try:
            old.append(free.popleft()[1])
        except IndexError:  # another thread was faster
            break
    return old


@lru_cache(maxsize=8)
def _options(url: str) -> dict[str, Any]:
    """Who may certify the server, and the proxy that the environment names for it."""
    place = urlsplit(url)
    # Without TLS it is not used, trusts nobody, and is quick to make.
    nobody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trust = httpx.create_ssl_context() if place.scheme == "https" else nobody
    return {"verify": trust, "proxy": _proxy(place.scheme, place.hostname or "")}


def _proxy(scheme: str, host: str) -> str | None:
    """None for this machine itself, which a proxy would look for at its own place."""
    if host in ("localhost", "::1") or host.startswith("127.") or proxy_bypass(host):
        return None
    proxies = getproxies()
    proxy = proxies.get(scheme) or proxies.get("all")
    return proxy if proxy is None or "://" in proxy else f"http://{proxy}"
