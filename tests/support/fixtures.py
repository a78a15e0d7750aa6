"""What conftest.py of each folder takes over: the real server, freshly started for each test, and a receiver."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.fake_api import FakeApi
from support.receiver import Receiver
from support.server import Factory, Server, binary

LOG_SHOWN = 20_000


def pytest_configure(config: pytest.Config) -> None:
    if not binary().exists():
        raise pytest.UsageError(f"there is no server at {binary()}: build it, or set PUNCTUAL to its path")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    report = yield
    if report.failed:
        for server in getattr(item, "servers", []):
            report.sections.append((f"log of {server.folder.name}", server.log_text()[-LOG_SHOWN:]))
    return report


def end_all(servers: list[Server]) -> None:
    faults = []
    for server in servers:
        try:
            server.end()
        except AssertionError as fault:
            faults.append(str(fault))
    assert not faults, "\n".join(faults)


@pytest.fixture
def server_factory(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Factory]:
    """Makes servers, each with a folder of its own. `start=False` leaves starting to the test."""
    servers: list[Server] = []
    request.node.servers = servers

    def make(*arguments: str, start: bool = True, **options: Any) -> Server:
        folder = tmp_path / f"server-{len(servers) + 1}"
        folder.mkdir()
        server = Server(folder, arguments=arguments, **options)
        servers.append(server)
        return server.start() if start else server

    yield make
    end_all(servers)


@pytest.fixture
def server(server_factory: Factory) -> Server:
    return server_factory()


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for a whole file, for tests that change nothing or only what they name themselves."""
    server = Server(tmp_path_factory.mktemp("shared")).start()
    yield server
    end_all([server])


@pytest.fixture
def receiver(server_factory: Factory) -> Iterator[Receiver]:
    """Closed before the servers are stopped, so that nothing hangs while they drain."""
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture
def api() -> Iterator[FakeApi]:
    """What the command line talks to where a test says the answers itself."""
    with FakeApi() as fake:
        yield fake
