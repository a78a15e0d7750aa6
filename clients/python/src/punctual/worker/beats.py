"""Heartbeats: each lease is prolonged before a third of it is gone, for as long as the run is held."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Mapping

from punctual.aio import AsyncPunctual
from punctual.durations import Duration, duration_text
from punctual.errors import PunctualError
from punctual.worker.away import Patience, Server
from punctual.worker.held import Held
from punctual.worker.lines import tell

MOST_ROWS = 1000  # of one request


class Beats:
    """Prolongs the leases of all that is held. Where one is over the run is lost, its function canceled."""

    def __init__(
        self, client: AsyncPunctual, server: Server, held: Mapping[tuple[str, int], Held], lease_s: float
    ) -> None:
        self._client = client
        self._server = server
        self._held = held
        self._every = lease_s / 4
        self._young = lease_s / 12  # a quarter and a twelfth are a third: none is older when it is prolonged

    async def run(self) -> None:
        """Until canceled."""
        patience = Patience(longest_s=self._young)
        while True:
            begin = time.monotonic()
            await asyncio.sleep(self._every)
            self._notice_standstill(time.monotonic() - begin - self._every)
            while not await self._beat_all():
                await patience.wait()
            patience.reset()

    async def beat(self, held: Held, extend: Duration | None) -> None:
        """One heartbeat that the run's own function asks for. Raises where the server is not there."""
        row = held.row if extend is None else {**held.row, "extend": duration_text(extend)}
        began = time.monotonic()
        (answer,) = await self._client.heartbeat_leases([row])
        if answer.status == 200:
            held.renewed = began
        elif not held.ended:
            held.lose(answer.error or "the lease has ended")

    async def _beat_all(self) -> bool:
        """Whether the server has answered."""
        now = time.monotonic()
        due = [held for held in self._held.values() if now - held.renewed >= self._young]
        try:
            for start in range(0, len(due), MOST_ROWS):
                await self._beat_some(due[start : start + MOST_ROWS])
        except PunctualError as error:
            self._server.is_away(error)
            return False
        if due:
            self._server.is_there()
        return True

    async def _beat_some(self, some: Iterable[Held]) -> None:
        asked = list(some)
        began = time.monotonic()
        answers = await self._client.heartbeat_leases([held.row for held in asked])
        for held, answer in zip(asked, answers, strict=True):
            if answer.status == 200:
                held.renewed = began
            elif not held.ended:  # of one that has ended, the answer to its report decides
                held.lose(answer.error or "the lease has ended")

    def _notice_standstill(self, late_s: float) -> None:
        """A function that blocks the event loop endangers every lease: somebody must hear of it."""
        if late_s > self._every / 2:
            tell(
                logging.WARNING,
                "event_loop_blocked",
                seconds=round(late_s, 3),
                hint="an async function works without await: make it a plain function, which gets a thread",
            )
