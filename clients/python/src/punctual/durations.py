"""Durations and instants, between Python's types and the texts of the API.

A duration of the API is a text such as "1h30m" or "250ms"; an instant is RFC 3339 with an offset.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

Duration = str | timedelta | int | float
"""How long: "10m", timedelta(minutes=10), or a number of seconds."""

Instant = str | datetime
"""When: "2026-12-24T18:00:00+01:00", or a datetime that knows its zone."""

_UNITS = (
    ("d", 86_400_000_000),
    ("h", 3_600_000_000),
    ("m", 60_000_000),
    ("s", 1_000_000),
    ("ms", 1_000),
    ("us", 1),
)
_MICROSECOND = timedelta(microseconds=1)
_PART = re.compile(r"(\d+)(w|d|h|ms|us|m|s)")


def duration_text(value: Duration) -> str:
    """What the API calls this duration: a text stays as it is, a number is seconds, 5400 is "1h30m".

    Raises ValueError where it is negative or no number, TypeError where it is no duration at all.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, (timedelta, int, float)):
        raise TypeError(
            f'a duration is a text such as "10m", a timedelta or a number of seconds, not {value!r}'
        )
    try:
        span = value if isinstance(value, timedelta) else timedelta(seconds=value)
    except (ValueError, OverflowError) as trouble:
        raise ValueError(f"{value!r} is no duration: {trouble}") from None
    left = span // _MICROSECOND
    if left < 0:
        raise ValueError(f"a duration cannot be negative, and {value!r} is")
    text = ""
    for unit, size in _UNITS:
        count, left = divmod(left, size)
        if count:
            text += f"{count}{unit}"
    return text or "0s"


def instant_text(value: Instant) -> str:
    """What the API calls this instant. A text stays as it is; a datetime without a zone is a ValueError."""
    if isinstance(value, str):
        return value
    if not isinstance(value, datetime):
        raise TypeError(f"an instant is an RFC 3339 text or a datetime, not {value!r}")
    if value.tzinfo is None or value.utcoffset() is None:
        raise ValueError(
            f"{value!r} does not say in which zone it is: give tzinfo, such as datetime.now(timezone.utc)"
        )
    return value.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")


def instant_of(text: str) -> datetime:
    """The datetime, in UTC, of an instant as the server writes it: "2026-03-28T01:30:00.000Z"."""
    return datetime.fromisoformat(text[:-1] + "+00:00" if text.endswith("Z") else text)


def duration_seconds(value: Duration, unknown: float = 60.0) -> float:
    """How many seconds that is; `unknown` for a text whose form is not one of ours, such as ISO 8601."""
    if isinstance(value, timedelta):
        return value.total_seconds()
    if not isinstance(value, str):
        return float(value)
    sizes = {"w": 604_800_000_000, **dict(_UNITS)}
    parts = _PART.findall(value)
    if "".join(number + unit for number, unit in parts) != value:
        return unknown
    return sum(int(number) * sizes[unit] for number, unit in parts) / 1_000_000
