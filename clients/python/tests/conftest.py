"""Fixtures: the real server, as the tests from outside have it (tests/support), and clients of it.

The server's binary comes from the environment variable PUNCTUAL, else build/punctual.
"""

from collections.abc import Iterator

import pytest

from punctual import Punctual
from support.fixtures import (
    pytest_configure,
    pytest_runtest_makereport,
    receiver,
    server,
    server_factory,
    shared_server,
)
from support.server import Server

__all__ = [
    "pytest_configure",
    "pytest_runtest_makereport",
    "receiver",
    "server",
    "server_factory",
    "shared_server",
]


@pytest.fixture
def anyio_backend() -> str:
    """Tests marked `anyio` run on asyncio."""
    return "asyncio"


@pytest.fixture
def client(server: Server) -> Iterator[Punctual]:
    """A client of a server that was started for this test."""
    with Punctual(server.url) as made:
        yield made
