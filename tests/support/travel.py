"""A server whose time passes at request, and the words for it."""

from typing import Any

import httpx

from support.server import Factory, Server

START = "2026-10-01T00:00:00Z"


def server_at(factory: Factory, start: str = START, **options: Any) -> Server:
    return factory(f"--test-clock={start}", **options)


def ask(server: Server, **wish: Any) -> httpx.Response:
    return server.api.post("/v1/test/clock", json=wish)


def advance(server: Server, by: str, **wish: Any) -> dict[str, Any]:
    """Lets so much time pass; everything that was due by then has ended."""
    answer = ask(server, advance=by, **wish)
    assert answer.status_code == 200, answer.text
    return answer.json()


def go_to(server: Server, moment: str, **wish: Any) -> dict[str, Any]:
    answer = ask(server, to=moment, **wish)
    assert answer.status_code == 200, answer.text
    return answer.json()


def look(server: Server) -> dict[str, Any]:
    answer = server.api.get("/v1/test/clock")
    assert answer.status_code == 200, answer.text
    return answer.json()
