"""Waiting until something is so, and reading instants. Deadlines are generous: no test asserts speed."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar

PATIENCE_S = 20.0

Result = TypeVar("Result")


class StillNotSoError(AssertionError):
    """What was waited for did not come in time."""


def wait_for(
    question: Callable[[], Result],
    what: str = "",
    within: float = PATIENCE_S,
    pause: float = 0.02,
) -> Result:
    """Asks again and again until the answer is true, and returns that answer."""
    deadline = time.monotonic() + within
    while True:
        answer = question()
        if answer:
            return answer
        if time.monotonic() >= deadline:
            name = what or getattr(question, "__name__", "the condition")
            raise StillNotSoError(f"after {within:g} s still not so: {name}; the last answer: {answer!r}")
        time.sleep(pause)


def instant(text: str) -> float:
    """An RFC 3339 instant as seconds since 1970."""
    return datetime.fromisoformat(text).timestamp()


def timestamp(seconds: float) -> str:
    """Seconds since 1970 as RFC 3339 in UTC with milliseconds, cut and not rounded."""
    whole = int(seconds)
    millis = int((seconds - whole) * 1000)
    return datetime.fromtimestamp(whole, UTC).strftime("%Y-%m-%dT%H:%M:%S") + f".{millis:03d}Z"
