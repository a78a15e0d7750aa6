"""The pytest plugin: the fixtures `punctual` and `async_punctual`, and what they need to know of the app.

    # pyproject.toml
    [tool.pytest.ini_options]
    punctual_app = "shop.main:app"

    # a test
    def test_invoices_are_made_every_night(punctual):
        punctual.advance("1d")
        punctual.assert_ran_at("nightly-invoices", "2026-01-01T02:30:00+01:00")

Installing the package is enough for pytest to find it. docs/guides/testing.md has more.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:  # whoever does not use the fixtures does not pay for the imports
    from punctual.testing import AsyncTimeTravel, TimeTravel

TRAVEL: pytest.StashKey[TimeTravel] = pytest.StashKey()
MARKER = (
    'punctual(start="2026-03-28T00:00:00+01:00"): where the clock of the fixture `punctual` stands at first'
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addini("punctual_app", "the ASGI app under test, as module:name")
    parser.addini("punctual_start", "where the clock of the fixture `punctual` stands at first: an instant")
    parser.addini(
        "punctual_tasks", "a file of tasks to apply as well, such as punctual.yaml (from the ini file)"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", MARKER)


@pytest.fixture
def punctual_app(request: pytest.FixtureRequest) -> Any:
    """The app under test: what `punctual_app` in the ini file names, else None. Override it to make one
    yourself."""
    named = str(request.config.getini("punctual_app") or "")
    return _load(named) if named else None


@pytest.fixture
def punctual(request: pytest.FixtureRequest, punctual_app: Any) -> Iterator[TimeTravel]:
    """The real server, with a clock that stands still until the test moves it, and the app under test."""
    from punctual.errors import PunctualError
    from punctual.testing import START, TimeTravel

    marker = request.node.get_closest_marker("punctual")
    start = marker.kwargs.get("start") if marker else None
    travel = TimeTravel(
        punctual_app,
        start=start or str(request.config.getini("punctual_start") or START),
        tasks=_beside_ini(request.config, str(request.config.getini("punctual_tasks") or "")),
    )
    try:
        travel.start()
    except PunctualError as trouble:  # no server, a mistake in a task, an app that does not start
        pytest.fail(f"the fixture punctual: {trouble}", pytrace=False)
    request.node.stash[TRAVEL] = travel
    yield travel
    travel.stop()


@pytest.fixture
def async_punctual(punctual: TimeTravel) -> AsyncTimeTravel:
    """The same for tests that are coroutines: its methods are awaited."""
    from punctual.testing import AsyncTimeTravel

    return AsyncTimeTravel(punctual)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """A test that fails shows what ran until then."""
    outcome: Any = yield
    report: pytest.TestReport = outcome.get_result()
    travel = item.stash.get(TRAVEL, None)
    if travel is not None and report.when == "call" and report.failed:
        try:
            words = travel.report()
        except Exception as error:  # the failure of the test is what counts
            words = f"the server does not say: {error}"
        report.sections.append((f"punctual: what ran until {travel.now:%Y-%m-%d %H:%M:%S} UTC", words))


def _load(named: str) -> Any:
    """The object that "module:name" names; "module:make()" calls it."""
    module, _, name = named.partition(":")
    if not module or not name:
        raise pytest.UsageError(f'punctual_app = "{named}": write module:name, such as shop.main:app')
    try:
        found: Any = importlib.import_module(module)
    except ModuleNotFoundError as missing:
        if missing.name and not module.startswith(missing.name):
            raise  # the module is there, and misses another
        raise pytest.UsageError(
            f'punctual_app = "{named}": there is no module {missing.name}. Is its folder in pythonpath (ini)?'
        ) from None
    for part in name.removesuffix("()").split("."):
        if not hasattr(found, part):
            raise pytest.UsageError(f'punctual_app = "{named}": {module} has no {part}')
        found = getattr(found, part)
    return found() if name.endswith("()") else found


def _beside_ini(config: pytest.Config, file: str) -> Path | None:
    if not file:
        return None
    path = (config.inipath.parent if config.inipath else config.rootpath) / file
    if not path.is_file():
        raise pytest.UsageError(f"punctual_tasks: there is no file {path}")
    return path
