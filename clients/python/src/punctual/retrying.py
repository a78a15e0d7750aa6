"""Whether a call is made again, and after how long: plain calculation, without a clock or a connection.

A call may be sent again after its outcome has become unknown only where a repeat does nothing further: it
carries an idempotency key, it only reads, or it says how things shall be. Every call is sent again where the
server cannot have heard it, and where the server asked for that (429).
"""

from __future__ import annotations

from punctual.errors import ApiError, ConnectionFailed, PunctualError, TooManyRequests, Unavailable

FIRST_WAIT_S = 0.1
LONGEST_WAIT_S = 2.0
LONGEST_RETRY_AFTER_S = 30.0


def wait_before_retry(
    error: PunctualError,
    *,
    repeatable: bool,
    tried: int,
    retries: int,
    chance: float,
) -> float | None:
    """Seconds to wait before the call is made again; None: give up, and raise `error`.

    `tried` counts the tries so far, `chance` is a random number from 0 to 1 that spreads the waits. The wait
    doubles from 0.1 s to 2 s; what the server asked for (Retry-After) is the least of it, and beyond 30 s a
    reason to give up.
    """
    if tried > retries or not _may_repeat(error, repeatable):
        return None
    wait = backoff(tried, chance)
    asked = error.retry_after if isinstance(error, ApiError) else None
    if asked is None:
        return wait
    return None if asked > LONGEST_RETRY_AFTER_S else max(wait, asked)


def backoff(tried: int, chance: float) -> float:
    """Seconds to wait after so many tries that failed in a row; between the half and the whole, by chance."""
    return min(FIRST_WAIT_S * 2.0 ** min(tried - 1, 10), LONGEST_WAIT_S) * (0.5 + chance / 2)


def _may_repeat(error: PunctualError, repeatable: bool) -> bool:
    if isinstance(error, ConnectionFailed):
        return repeatable or not error.sent
    if isinstance(error, TooManyRequests):
        return True
    return repeatable and isinstance(error, Unavailable)
