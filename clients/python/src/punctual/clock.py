"""What time it is for those who judge how old a signature is.

A test that moves the server's clock moves this one, too: deliveries then bear the time of the test.
"""

from __future__ import annotations

import time
from collections.abc import Callable

_source: Callable[[], float] = time.time


def now() -> float:
    """Seconds since 1970-01-01T00:00:00Z."""
    return _source()


def set_now(source: Callable[[], float] | None) -> None:
    """From now on `now()` is what `source` says, in every thread; None goes back to the system's clock."""
    global _source
    _source = source or time.time
