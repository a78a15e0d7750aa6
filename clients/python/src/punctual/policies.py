"""How a task must behave, as values: Retry, CatchUp, RateLimit, Expect, Runbook; and two words a task says.

    Retry(max_attempts=5, initial="5s")     the policy of a task
    raise Retry("the bank is busy", after="30s")    this attempt failed, try again after so long
    raise Fail("no such customer")          this run failed for good, trying again is no use

Whatever is not said is not sent, so that the server's defaults hold. `to_json()` of each gives the field of
a definition; the client calls it wherever such a value stands in a definition.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from punctual.durations import Duration, duration_text


class Retry(Exception):
    """The policy `retry` of a task, and the exception by which an attempt asks for another one.

    As a policy: `max_attempts` 1 to 100 (the server's default: 3), `backoff` "exponential", "linear" or
    "fixed", `initial` the first wait, `max` the longest.

    As an exception: `message` is kept with the attempt as its error, `after` is the least wait before the
    next attempt (at most 24 h); where it is None the task's policy says how long. It counts as a failed
    attempt: after the last one the run has failed.
    """

    def __init__(
        self,
        message: str = "",
        *,
        after: Duration | None = None,
        max_attempts: int | None = None,
        backoff: Literal["exponential", "linear", "fixed"] | None = None,
        initial: Duration | None = None,
        max: Duration | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.after = after
        self.max_attempts = max_attempts
        self.backoff = backoff
        self.initial = initial
        self.max = max

    def __reduce__(self) -> Any:
        return _retry_again, (self.message, self._said())

    def __str__(self) -> str:
        return self.message or "the task asks for another attempt"

    def __repr__(self) -> str:
        said = [repr(self.message)] if self.message else []
        said += [f"{name}={value!r}" for name, value in self._said().items()]
        return f"Retry({', '.join(said)})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Retry):
            return NotImplemented
        return (self.message, self._said()) == (other.message, other._said())

    def __hash__(self) -> int:
        return hash((self.message, *self._said().items()))

    def to_json(self) -> dict[str, Any]:
        """The field `retry` of a definition."""
        return _without_none(
            max_attempts=self.max_attempts,
            backoff=self.backoff,
            initial=_duration(self.initial),
            max=_duration(self.max),
        )

    def _said(self) -> dict[str, Any]:
        return _without_none(
            after=self.after,
            max_attempts=self.max_attempts,
            backoff=self.backoff,
            initial=self.initial,
            max=self.max,
        )


class Fail(Exception):
    """This run has failed for good: no further attempt, it goes to the dead letters. The message says why."""


@dataclass(frozen=True)
class CatchUp:
    """The policy `catch_up`: what runs of the occurrences that fell into an outage; the rest is missed.

    `window` is how far back from the end of the outage, `max` how many at most, the latest ones ("all").
    """

    policy: Literal["skip", "latest", "all"] = "latest"
    window: Duration | None = None
    max: int | None = None

    def to_json(self) -> dict[str, Any]:
        """The field `catch_up` of a definition."""
        return _without_none(policy=self.policy, window=_duration(self.window), max=self.max)


@dataclass(frozen=True)
class RateLimit:
    """The policy `rate_limit`: at most `limit` starts in any window of `per` (100 ms to 24 h).

    All tasks and runs with the same `key` share it; the task's own name where it is None.
    """

    limit: int
    per: Duration
    key: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The field `rate_limit` of a definition."""
        return _without_none(limit=self.limit, per=_duration(self.per), key=self.key)


@dataclass(frozen=True)
class Expect:
    """The policy `expect`: what an answer must be so that the attempt has succeeded.

    `status` is one such as 200 or a class such as "2xx"; `json` maps JSON pointers into the response to the
    values that must be there; `max_duration` is the longest time that counts as success.
    """

    status: int | str | None = None
    headers: Mapping[str, str] | None = None
    json: Mapping[str, Any] | None = None
    exit_code: int | None = None
    max_duration: Duration | None = None

    def to_json(self) -> dict[str, Any]:
        """The field `expect` of a definition."""
        return _without_none(
            status=self.status,
            headers=None if self.headers is None else dict(self.headers),
            json=None if self.json is None else dict(self.json),
            exit_code=self.exit_code,
            max_duration=_duration(self.max_duration),
        )


@dataclass(frozen=True)
class Runbook:
    """Who owns a task, what it needs and gives, how to undo it, and where trouble is noticed."""

    owner: str | None = None
    expected_input: str | None = None
    expected_result: str | None = None
    rollback: str | None = None
    noticed_at: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The field `runbook` of a definition."""
        return _without_none(
            owner=self.owner,
            expected_input=self.expected_input,
            expected_result=self.expected_result,
            rollback=self.rollback,
            noticed_at=self.noticed_at,
        )


def _without_none(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _duration(value: Duration | None) -> str | None:
    return None if value is None else duration_text(value)


def _retry_again(message: str, said: dict[str, Any]) -> Retry:
    return Retry(message, **said)
