"""A delivery of a task's run over HTTP, without the HTTP: what came is read, what it came to is answered.

    came to                     answer              what the server makes of it
    a value                     200, as JSON        the run has succeeded, the value is its result
    Retry(after=...)            503, Retry-After    the attempt failed, the next one not before that
    Fail, payload invalid       422                 failed for good
    any other exception         500                 the attempt failed, tried again by the task's policy
    no such task here           404                 as above: perhaps this replica is an older one
    no genuine signature        401                 as above; nothing was executed

What a function has raised is explained by the header Punctual-Outcome, failed or retry: the server then
goes by that and not by the status, shows the problem's detail as the error, and does not take the app to be
down, however many fail in a row.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import math
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any

from punctual.durations import duration_seconds, duration_text, instant_of
from punctual.policies import Fail, Retry
from punctual.registry import PayloadInvalid, Run

log = logging.getLogger("punctual")

RESULT_KEPT = 4096
"""So many bytes of an answer does the server keep; a longer value cannot be read back as the run's result."""

BODY_MOST = 1 << 20
"""Larger deliveries are refused: the server sends at most 256 KiB."""

_DETAIL_MOST = 2000

_FAILED = ("punctual-outcome", "failed")
_RETRY = ("punctual-outcome", "retry")


@dataclasses.dataclass(frozen=True)
class Answer:
    """An HTTP response: what the server is told about an attempt."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()

    def plus(self, headers: Sequence[tuple[str, str]]) -> Answer:
        """The same with more headers."""
        return dataclasses.replace(self, headers=(*self.headers, *headers))


def lower_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """With names in lower case; of a framework's headers as well as of a dict."""
    return {name.lower(): value for name, value in headers.items()}


def run_of(name: str, headers: Mapping[str, str], body: bytes) -> Run:
    """The run that a delivery is about; `headers` in lower case. Raises PayloadInvalid."""
    try:
        payload = json.loads(body) if body.strip() else None
    except (ValueError, RecursionError) as trouble:
        raise PayloadInvalid([{"pointer": "", "detail": f"it is not JSON: {trouble}"}]) from None
    return Run(
        id=headers["webhook-id"],
        task=name,
        attempt=_number(headers.get("punctual-attempt", "")),
        fence=_number(headers.get("punctual-fence", "")),
        scheduled_for=_instant(headers.get("punctual-scheduled-for")),
        payload=payload,
        traceparent=headers.get("traceparent"),
    )


def result_text(value: Any) -> str:
    """What a function returned, as JSON. Raises TypeError, ValueError and RecursionError where it is none."""
    return _encode(value)


def succeeded(value: Any, run: Run) -> Answer:
    """The answer of a function that has returned. The work is done, also where the value is no JSON."""
    try:
        body = result_text(value).encode()
    except (TypeError, ValueError, RecursionError) as trouble:
        log.error(
            "what %s returned is recorded as null, for it cannot be written as JSON: %s", _title(run), trouble
        )
        body = b"null"
    if len(body) > RESULT_KEPT:
        log.warning(
            "what %s returned has %d bytes, and the server keeps %d: keep it elsewhere and return where",
            *(_title(run), len(body), RESULT_KEPT),
        )
    return Answer(200, body, (("content-type", "application/json"),))


def failed(trouble: Exception, run: Run) -> Answer:
    """The answer of a function that has raised. Logged here: an unexpected exception with its traceback."""
    if isinstance(trouble, PayloadInvalid):
        log.error("%s was not executed: %s", _title(run), trouble)
        return problem(
            422, "The payload does not validate", str(trouble), errors=trouble.errors, headers=[_FAILED]
        )
    if isinstance(trouble, Fail):
        log.error("%s has failed for good: %s", _title(run), trouble)
        return problem(422, "Failed for good", _words(trouble), headers=[_FAILED])
    if isinstance(trouble, Retry):
        return _to_be_tried_again(trouble, run)
    log.error("%s has failed", _title(run), exc_info=trouble)
    return problem(500, type(trouble).__name__, _words(trouble), headers=[_RETRY])


def _to_be_tried_again(trouble: Retry, run: Run) -> Answer:
    """Retry-After has whole seconds: a shorter wait becomes one."""
    headers = [_RETRY]
    try:
        if trouble.after is not None:
            duration_text(trouble.after)
            headers.append(("retry-after", str(math.ceil(duration_seconds(trouble.after)))))
    except (TypeError, ValueError) as wrong:
        log.error(
            "%s: the task's policy says when, for Retry(after=...) makes no sense: %s", _title(run), wrong
        )
    log.warning("%s asks to be tried again: %r", _title(run), trouble)
    return problem(503, "To be tried again", str(trouble), headers=headers)


def problem(
    status: int,
    title: str,
    detail: str,
    *,
    errors: Sequence[Mapping[str, str]] = (),
    headers: Sequence[tuple[str, str]] = (),
) -> Answer:
    """A problem document (RFC 9457); the server keeps it with the attempt."""
    document: dict[str, Any] = {"title": title, "status": status, "detail": detail[:_DETAIL_MOST]}
    if errors:
        document["errors"] = [dict(error) for error in errors[:20]]
    body = json.dumps(document, ensure_ascii=False).encode("utf-8", "replace")
    return Answer(status, body, (("content-type", "application/problem+json"), *headers))


def _words(trouble: Exception) -> str:
    """Never empty: the server shows them."""
    return str(trouble) or type(trouble).__name__


def _title(run: Run) -> str:
    return f"task {run.task}, run {run.id}, attempt {run.attempt}"


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else 1


def _instant(text: str | None) -> datetime | None:
    try:
        return instant_of(text) if text else None
    except ValueError:
        return None


def _plain(value: Any) -> Any:
    """What functions like to return, and JSON does not know."""
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, (set, frozenset)):
        return list(value)
    if type(value).__name__ in ("UUID", "Decimal") or hasattr(value, "__fspath__"):
        return str(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


_encode = json.JSONEncoder(default=_plain, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode
