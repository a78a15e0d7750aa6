"""What can go wrong in a call, as exceptions.

    PunctualError
        ConnectionFailed        no answer came
        ApiError                the server answered with a problem document (RFC 9457)
            Invalid             400, 413, 415, 422: the request makes no sense, or not twice with this key
            Unauthorized        401: the API key is missing or wrong
            Forbidden           403: the server's configuration does not allow it
            NotFound            404
            Conflict            409: the state does not allow it
                Stale           412: it has changed since you read it
            TooManyRequests     429
            Unavailable         502, 503, 504: not now

Each survives pickling, so it may cross processes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


class PunctualError(Exception):
    """The root of all that this package raises about the server."""


class ConnectionFailed(PunctualError):
    """No answer came: the server is not there, is too slow, or the connection broke.

    `sent` says whether the server may have heard the request. Where it is true the outcome is unknown.
    """

    def __init__(self, message: str, sent: bool = True) -> None:
        super().__init__(message, sent)
        self.message = message
        self.sent = sent

    def __str__(self) -> str:
        return self.message


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong in a request, and where.

    `pointer` is a JSON pointer (RFC 6901) into the body; `parameter` stands instead of it for one of the
    query. `line` and `column` are there where the body was YAML.
    """

    detail: str
    pointer: str | None = None
    parameter: str | None = None
    line: int | None = None
    column: int | None = None

    @property
    def place(self) -> str:
        """Where it is, for a person: "/schedule/cron" or "?limit"."""
        if self.parameter is not None:
            return f"?{self.parameter}"
        at = self.pointer or "the body"
        return f"{at} (line {self.line}, column {self.column})" if self.line else at

    def __str__(self) -> str:
        return f"{self.place}: {self.detail}"


class ApiError(PunctualError):
    """The server refused, or failed, and said why.

    `status` is the HTTP status, `problem` the whole problem document, `errors` each single fault of the
    request with its place. `title` says what kind of trouble it is, `detail` what is wrong.
    `retry_after` is the wait in seconds that the server asked for, or None.
    """

    def __init__(self, status: int, problem: Mapping[str, Any], retry_after: float | None = None) -> None:
        super().__init__(status, dict(problem), retry_after)
        self.status = status
        self.retry_after = retry_after
        self.problem: dict[str, Any] = dict(problem)
        self.title = str(problem.get("title") or f"HTTP status {status}")
        self.detail = str(problem.get("detail") or "")
        self.errors = [_fault(row) for row in problem.get("errors") or () if isinstance(row, Mapping)]

    @property
    def pointers(self) -> list[str]:
        """Where in the body the faults are, as JSON pointers."""
        return [fault.pointer for fault in self.errors if fault.pointer is not None]

    def __str__(self) -> str:
        head = f"{self.title} ({self.status})"
        lines = [f"{head}: {self.detail}" if self.detail else head]
        lines += [f"  {fault}" for fault in self.errors]
        more = int(self.problem.get("errors_in_all") or 0) - len(self.errors)
        if more > 0:
            lines.append(f"  and {more} more")
        return "\n".join(lines)


class Invalid(ApiError):
    """The request makes no sense (`errors` names each place), or its idempotency key is another one's."""


class Unauthorized(ApiError):
    """The API key is missing or wrong: give `api_key`, or set PUNCTUAL_API_KEY."""


class Forbidden(ApiError):
    """The server's configuration does not allow it."""


class NotFound(ApiError):
    """There is no such task, run or queue."""


class Conflict(ApiError):
    """The state does not allow it, such as canceling a run that has ended."""


class Stale(Conflict):
    """`if_match` does not hold: it has changed since you read it. Read it again and decide again."""


class TooManyRequests(ApiError):
    """Too much was asked within a while, also after the waits that the server asked for."""


class Unavailable(ApiError):
    """The server is stopping, its store has failed, or a proxy did not reach it, also after all retries."""


_KINDS: dict[int, type[ApiError]] = {
    400: Invalid,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    412: Stale,
    413: Invalid,
    415: Invalid,
    422: Invalid,
    429: TooManyRequests,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
}


def error_of(status: int, problem: Mapping[str, Any], retry_after: float | None = None) -> ApiError:
    """The exception for an answer with this status and problem document."""
    return _KINDS.get(status, ApiError)(status, problem, retry_after)


def _fault(row: Mapping[str, Any]) -> Fault:
    return Fault(
        detail=str(row.get("detail", "")),
        pointer=row.get("pointer"),
        parameter=row.get("parameter"),
        line=row.get("line"),
        column=row.get("column"),
    )
