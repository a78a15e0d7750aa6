"""JSON as it goes out: compact, with the values of this package in the API's words."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

from punctual.durations import duration_text, instant_text


def _in_words(value: Any) -> Any:
    """What JSON does not know: policies, pydantic models, durations and instants."""
    if hasattr(value, "to_json"):
        return value.to_json()
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if isinstance(value, timedelta):
        return duration_text(value)
    if isinstance(value, datetime):
        return instant_text(value)
    raise TypeError(
        f"{type(value).__name__} cannot be sent as JSON: turn it into texts, numbers, lists and dicts first"
    )


_encode = json.JSONEncoder(
    default=_in_words, separators=(",", ":"), ensure_ascii=False, allow_nan=False
).encode


def encode(value: Any) -> bytes:
    """UTF-8. Raises TypeError for what cannot be said in JSON, ValueError for NaN and infinities."""
    return _encode(value).encode()
