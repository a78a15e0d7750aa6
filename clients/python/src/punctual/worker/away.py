"""What a worker does while the server is away: it waits, tells of it once, and tries again."""

from __future__ import annotations

import asyncio
import logging
import random
import time

from punctual.errors import ApiError, ConnectionFailed, PunctualError, Unauthorized
from punctual.worker.lines import tell

FIRST_WAIT_S = 0.05
LONGEST_WAIT_S = 3.0


def may_pass(error: PunctualError) -> bool:
    """Whether time may heal it: the server restarts, the network breaks, a key is exchanged."""
    if isinstance(error, ApiError):
        return error.status >= 500 or error.status == 429 or isinstance(error, Unauthorized)
    return isinstance(error, ConnectionFailed)


class Server:
    """Whether the server answers, for the log: one line when it goes, one when it is back."""

    def __init__(self) -> None:
        self._away_since: float | None = None

    def is_away(self, error: PunctualError) -> None:
        """A call was not answered."""
        if self._away_since is None:
            self._away_since = time.monotonic()
            tell(logging.WARNING, "server_away", error=str(error))

    def is_there(self) -> None:
        """A call was answered."""
        if self._away_since is not None:
            seconds = round(time.monotonic() - self._away_since, 3)
            self._away_since = None
            tell(logging.INFO, "server_back", after_s=seconds)


class Patience:
    """The waits between the tries of one call: doubling, spread by chance, up to 3 s."""

    def __init__(self, longest_s: float = LONGEST_WAIT_S) -> None:
        self._longest = longest_s
        self._wait = FIRST_WAIT_S

    async def wait(self) -> None:
        """Until the next try."""
        await asyncio.sleep(self._wait * random.uniform(0.5, 1))
        self._wait = min(self._wait * 2, self._longest)

    def reset(self) -> None:
        """It went well: the next trouble is a new one."""
        self._wait = FIRST_WAIT_S
