"""What both clients share: settings, and what an answer or a broken connection means. No input or output."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any, TypeVar

import httpx

from punctual.calls import Call
from punctual.errors import ApiError, ConnectionFailed, error_of
from punctual.version import __version__

T = TypeVar("T")

DEFAULT_URL = "http://127.0.0.1:8640"
DEFAULT_TIMEOUT_S = 30.0
DEFAULT_RETRIES = 5
SILENCE_S = 45.0  # an event stream says something every 15 s; after three of them it is dead
_TEXT_SHOWN = 500


@dataclass(frozen=True)
class Settings:
    """Where the server is and how to speak to it. `timeout` is in seconds, for each try of a call."""

    url: str
    headers: tuple[tuple[bytes, bytes], ...]
    timeout: float
    retries: int


def settings_of(
    url: str | None, api_key: str | None, author: str | None, timeout: float | timedelta, retries: int
) -> Settings:
    """Settings from what was said, else from PUNCTUAL_URL, PUNCTUAL_API_KEY and PUNCTUAL_AUTHOR."""
    place = (url or os.environ.get("PUNCTUAL_URL") or DEFAULT_URL).rstrip("/")
    if not place.startswith(("http://", "https://")):
        raise ValueError(f"the server's url must be like {DEFAULT_URL}, not {place!r}")
    key = api_key or os.environ.get("PUNCTUAL_API_KEY")
    name = author or os.environ.get("PUNCTUAL_AUTHOR")
    headers = {b"User-Agent": b"punctual-python/" + __version__.encode()}
    if key:
        headers[b"Authorization"] = _header("the API key", f"Bearer {key}")
    if name:
        headers[b"Punctual-Author"] = _header("the author", name)
    seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else float(timeout)
    if seconds <= 0:
        raise ValueError(f"timeout is a number of seconds above 0, not {timeout!r}")
    if retries < 0:
        raise ValueError(f"retries is how often a call is made again: 0 or more, not {retries!r}")
    return Settings(place, tuple(headers.items()), seconds, retries)


def request_of(settings: Settings, call: Call[Any], silence_s: float | None = None) -> httpx.Request:
    """The request for a call. `silence_s`: how long nothing may come; the usual timeout where not said."""
    headers = [*settings.headers]
    if call.headers:
        headers += [(name.encode(), value.encode()) for name, value in call.headers.items()]
    usual = settings.timeout
    read = usual + call.patience_s if silence_s is None else silence_s
    return httpx.Request(
        call.method,
        _url(settings.url + call.target),
        headers=headers,
        content=call.body,
        extensions={"timeout": {"connect": usual, "read": read, "write": usual, "pool": usual}},
    )


def result_of(call: Call[T], status: int, headers: Mapping[str, str], body: bytes) -> T:
    """What the answer says. Raises an ApiError where it is none."""
    if not (200 <= status < 300 or status == call.also):
        raise refusal_of(status, headers, body)
    try:
        return call.read(body)
    except (ValueError, KeyError, TypeError) as trouble:
        what = f"{call.method} {call.path} was answered with {body[:_TEXT_SHOWN]!r} ({trouble!r})"
        problem = {"title": "The answer is not one of Punctual's: is the url right?", "detail": what}
        raise ApiError(status, problem) from None


def refusal_of(status: int, headers: Mapping[str, str], body: bytes) -> ApiError:
    """The exception for an answer that is none of success."""
    return error_of(status, _problem_of(status, headers, body), _retry_after(headers.get("Retry-After")))


def failure_of(call: Call[Any], url: str, trouble: Exception) -> ConnectionFailed:
    """What it means that no answer came."""
    sent = not isinstance(trouble, (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout))
    why = str(trouble) or type(trouble).__name__
    if sent:
        text = f"{call.method} {url}{call.path}: no answer came ({why}); whether it was done is not known"
    else:
        text = f"{call.method} {url}{call.path}: the server could not be reached ({why}); nothing was sent"
    return ConnectionFailed(text, sent)


@lru_cache(maxsize=256)
def _url(text: str) -> httpx.URL:
    return httpx.URL(text)


def _header(what: str, text: str) -> bytes:
    if not text.isprintable():
        raise ValueError(f"{what} has characters that a header cannot carry")
    return text.encode()


def _problem_of(status: int, headers: Mapping[str, str], body: bytes) -> Mapping[str, Any]:
    """The problem document; made up where a proxy or the HTTP library answered with something else."""
    try:
        problem = json.loads(body)
    except ValueError:
        problem = None
    if isinstance(problem, dict) and "title" in problem:
        return problem
    detail = body[:_TEXT_SHOWN].decode(errors="replace").strip()
    if "Location" in headers:
        detail = f"it is elsewhere: {headers['Location']}; redirects are not followed, give that url"
    return {"title": f"HTTP status {status}", "status": status, "detail": detail}


def _retry_after(text: str | None) -> float | None:
    """RFC 9110, 10.2.3: seconds, or a date."""
    if text is None:
        return None
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        until = parsedate_to_datetime(text)
    except ValueError:
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=timezone.utc)
    return max(0.0, (until - datetime.now(timezone.utc)).total_seconds())
