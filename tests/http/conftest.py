"""Fixtures: the real server, freshly started for each test, and a receiver for what it sends."""

from support.fixtures import (
    api,
    pytest_configure,
    pytest_runtest_makereport,
    receiver,
    server,
    server_factory,
    shared_server,
)

__all__ = [
    "api",
    "pytest_configure",
    "pytest_runtest_makereport",
    "receiver",
    "server",
    "server_factory",
    "shared_server",
]
