"""A run that this worker holds, and how many it may hold."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Any

from punctual.models import LeasedRun

AHEAD_S = 0.1  # so much work, at the pace of late, may wait here unstarted
AHEAD_MOST = 1000  # the most that one lease may ask for


@dataclass(eq=False)
class Held:
    """One run under lease. `renewed` is when its lease was last known to begin anew, on the steady clock.

    `lost` says why it is not ours any more; nothing is reported about it then. `ended`: its function is over
    and its report is on the way. `can_cancel`: its function is async.
    """

    leased: LeasedRun
    renewed: float
    took_ms: float | None = None
    task: asyncio.Task[None] | None = None
    lost: str | None = None
    ended: bool = False
    can_cancel: bool = False
    traceback: str | None = None

    @property
    def key(self) -> tuple[str, int]:
        """The run and its fence: what each word about it carries."""
        return self.leased.run, self.leased.fence

    @property
    def row(self) -> dict[str, Any]:
        """The beginning of each row about it."""
        return {"run": self.leased.run, "fence": self.leased.fence}

    @property
    def words(self) -> dict[str, Any]:
        """What a line of the log says about it."""
        leased = self.leased
        return {"run": leased.run, "task": leased.task, "attempt": leased.attempt, "fence": leased.fence}

    def lose(self, why: str) -> None:
        """It is not ours any more. An async function is canceled; what a thread brings will be dropped."""
        if self.lost is None:
            self.lost = why
            self.cancel()

    def cancel(self) -> None:
        """Cancels its function where that can be done."""
        if self.task is not None and self.can_cancel:
            self.task.cancel()


class Pace:
    """How many runs end in a second while there is work: from it follows how many to take ahead of time.

    A worker of slow functions takes a run when a place is free, so that none waits here while another worker
    is idle. One of fast functions takes hundreds at once, as much as it does in a tenth of a second.
    """

    def __init__(self) -> None:
        self._gap: float | None = None  # seconds from one end to the next, smoothed
        self._last = 0.0

    def begin(self) -> None:
        """There is work, after there was none."""
        self._last = time.monotonic()

    def end_one(self) -> None:
        """A run has ended."""
        now = time.monotonic()
        gap, self._last = now - self._last, now
        self._gap = gap if self._gap is None else self._gap + (gap - self._gap) * 0.05

    @property
    def ahead(self) -> int:
        """How many unstarted runs to hold at most."""
        if self._gap is None:
            return 0
        return AHEAD_MOST if self._gap * AHEAD_MOST < AHEAD_S else int(AHEAD_S / self._gap)
