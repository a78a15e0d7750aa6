"""Fixtures: the same server and receiver as in tests/http."""

from support.fixtures import (
    pytest_configure,
    pytest_runtest_makereport,
    receiver,
    server,
    server_factory,
)

__all__ = [
    "pytest_configure",
    "pytest_runtest_makereport",
    "receiver",
    "server",
    "server_factory",
]
