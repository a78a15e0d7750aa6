"""Durations, instants, policies and the decision to try again: calculation, as rows of a table."""

import pickle
from datetime import datetime, timedelta, timezone

import pytest

from punctual import Retry
from punctual.durations import duration_seconds, duration_text, instant_of, instant_text
from punctual.errors import ApiError, ConnectionFailed, PunctualError, error_of
from punctual.lanes import _proxy
from punctual.retrying import wait_before_retry

REACHED = ConnectionFailed("no answer", sent=True)
NOT_REACHED = ConnectionFailed("nobody there", sent=False)


def refused(status: int, retry_after: float | None = None) -> ApiError:
    return error_of(status, {}, retry_after)


@pytest.mark.parametrize(
    ("value", "text", "seconds"),
    [
        ("10m", "10m", 600),
        ("1w2d", "1w2d", 777600),
        ("PT10M", "PT10M", 60),
        (5400, "1h30m", 5400),
        (0.25, "250ms", 0.25),
        (0, "0s", 0),
        (timedelta(days=2, seconds=1), "2d1s", 172801),
        (timedelta(microseconds=7), "7us", 0.000007),
    ],
)
def test_durations(value: str | float | timedelta, text: str, seconds: float) -> None:
    assert duration_text(value) == text
    assert duration_seconds(value) == seconds


@pytest.mark.parametrize("value", [-1, timedelta(seconds=-1), float("nan"), float("inf")])
def test_no_durations(value: float | timedelta) -> None:
    with pytest.raises(ValueError, match="duration"):
        duration_text(value)


@pytest.mark.parametrize("value", [None, True, [1]])
def test_no_durations_at_all(value: object) -> None:
    with pytest.raises(TypeError, match="a duration is"):
        duration_text(value)  # type: ignore[arg-type]


def test_instants() -> None:
    at = datetime(2026, 12, 24, 18, 0, 0, 5000, tzinfo=timezone(timedelta(hours=1)))
    assert instant_text(at) == "2026-12-24T17:00:00.005000Z"
    assert instant_of(instant_text(at)) == at
    assert instant_text("2026-12-24T18:00:00+01:00") == "2026-12-24T18:00:00+01:00"
    assert instant_of("2026-12-24T17:00:00.005Z").tzinfo is not None
    with pytest.raises(TypeError, match="an instant is"):
        instant_text(5)  # type: ignore[arg-type]


def test_retry_is_a_policy_and_an_exception() -> None:
    policy = Retry(max_attempts=5, backoff="fixed", initial=timedelta(seconds=5), max=600)
    assert policy.to_json() == {"max_attempts": 5, "backoff": "fixed", "initial": "5s", "max": "10m"}
    assert Retry().to_json() == {}
    asked = pickle.loads(pickle.dumps(Retry("busy", after="30s")))
    assert (str(asked), asked.after) == ("busy", "30s")
    assert asked == Retry("busy", after="30s") != policy
    assert repr(asked) == "Retry('busy', after='30s')"
    with pytest.raises(Retry, match="asks for another attempt"):
        raise Retry(after="30s")


# error, whether a repeat does no harm, tries so far; the wait, with chance 1. Five retries are allowed.
DECISIONS: list[tuple[PunctualError, bool, int, float | None]] = [
    (NOT_REACHED, False, 1, 0.1),
    (NOT_REACHED, True, 2, 0.2),
    (REACHED, True, 5, 1.6),
    (REACHED, True, 6, None),
    (REACHED, False, 1, None),
    (refused(503), True, 1, 0.1),
    (refused(502), True, 1, 0.1),
    (refused(504), True, 1, 0.1),
    (refused(503), False, 1, None),
    (refused(429), False, 1, 0.1),
    (refused(429, 3), False, 1, 3),
    (refused(503, 0), True, 3, 0.4),
    (refused(503, 31), True, 1, None),
    (refused(500), True, 1, None),
    (refused(400), True, 1, None),
    (refused(409), True, 1, None),
]


@pytest.mark.parametrize(("error", "repeatable", "tried", "wait"), DECISIONS)
def test_whether_a_call_is_made_again(
    error: PunctualError, repeatable: bool, tried: int, wait: float | None
) -> None:
    asked = wait_before_retry(error, repeatable=repeatable, tried=tried, retries=5, chance=1.0)
    assert asked == wait


def test_waits_are_spread_and_bounded() -> None:
    waits = [
        wait_before_retry(NOT_REACHED, repeatable=True, tried=20, retries=50, chance=chance)
        for chance in (0.0, 0.5, 1.0)
    ]
    assert waits == [1.0, 1.5, 2.0]


@pytest.mark.parametrize(
    ("host", "proxy"),
    [
        ("punctual.example.com", "http://proxy.example.com:3128"),
        ("inside.example.com", None),
        ("127.0.0.1", None),
        ("localhost", None),
    ],
)
def test_a_proxy_of_the_environment_is_used(
    host: str, proxy: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "proxy.example.com:3128")
    monkeypatch.setenv("no_proxy", "inside.example.com")
    assert _proxy("http", host) == proxy
