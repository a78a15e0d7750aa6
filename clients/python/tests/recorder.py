"""Transports that pass everything on to the real server and keep what was asked."""

from dataclasses import dataclass, field

import httpx


@dataclass(frozen=True)
class Asked:
    """One request as it was sent."""

    method: str
    path: str
    query: frozenset[str]
    key: str | None


def _asked(request: httpx.Request) -> Asked:
    return Asked(
        request.method,
        request.url.raw_path.decode().partition("?")[0],
        frozenset(request.url.params),
        request.headers.get("Idempotency-Key"),
    )


@dataclass
class Recorder(httpx.BaseTransport):
    """For Punctual."""

    requests: list[Asked] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._to = httpx.HTTPTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(_asked(request))
        return self._to.handle_request(request)

    def close(self) -> None:
        self._to.close()


@dataclass
class AsyncRecorder(httpx.AsyncBaseTransport):
    """For AsyncPunctual."""

    requests: list[Asked] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._to = httpx.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(_asked(request))
        return await self._to.handle_async_request(request)

    async def aclose(self) -> None:
        await self._to.aclose()
