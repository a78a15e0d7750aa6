"""How runs went, said to the server in batches, until it has answered.

One request is under way at a time; what ends meanwhile goes into the next. While there is further work in
hand, requests begin at least 10 ms apart, so that thousands of short runs share a hundred requests. A request
without an answer is repeated: the server knows a completion by its fence, so the second one changes nothing.
A row that is answered with 409 is about a run that is not ours any more, and is dropped.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal

from punctual.aio import AsyncPunctual
from punctual.errors import ApiError, PunctualError
from punctual.models import LeaseAnswer
from punctual.worker.away import Patience, Server, may_pass
from punctual.worker.held import Held
from punctual.worker.lines import logger, tell

Word = Literal["complete", "fail", "release"]

MOST_ROWS = 1000  # of one request
MOST_BYTES = 4 << 20  # of one request; the server takes 8 MiB
APART_S = 0.01

_OUTCOMES = {"complete": "succeeded", "fail": "failed"}


@dataclass(eq=False)
class Report:
    """One row to be said. `size` is about how many bytes it takes."""

    held: Held
    word: Word
    row: dict[str, Any]
    size: int = 200


class Reports:
    """Says them. `gone` is called with each held run that is settled, one way or another.

    `is_busy` says whether more is to be expected at once.
    """

    def __init__(
        self,
        client: AsyncPunctual,
        server: Server,
        gone: Callable[[Held], None],
        is_busy: Callable[[], bool],
    ) -> None:
        self._calls: dict[Word, Callable[[list[dict[str, Any]]], Awaitable[list[LeaseAnswer]]]] = {
            "complete": client.complete_leases,
            "fail": client.fail_leases,
            "release": client.release_leases,
        }
        self._server = server
        self._gone = gone
        self._is_busy = is_busy
        self._waiting: dict[Word, deque[Report]] = {"release": deque(), "complete": deque(), "fail": deque()}
        self._some = asyncio.Event()
        self._none = asyncio.Event()
        self._none.set()
        self.open = 0  # not answered yet

    def add(self, report: Report) -> None:
        """To be said soon."""
        self.open += 1
        self._waiting[report.word].append(report)
        self._none.clear()
        self._some.set()

    async def all_said(self) -> None:
        """Until each report has been answered."""
        await self._none.wait()

    async def run(self) -> None:
        """Says them, until canceled."""
        began = 0.0
        while True:
            await self._some.wait()
            self._some.clear()
            while any(self._waiting.values()):
                # What ends in this same moment goes along, too.
                await asyncio.sleep(max(0.0, began + APART_S - time.monotonic()) if self._is_busy() else 0)
                began = time.monotonic()
                for word, waiting in self._waiting.items():
                    if waiting:
                        await self._say(word, _take(waiting))

    async def _say(self, word: Word, reports: list[Report]) -> None:
        patience = Patience()
        while True:
            try:
                answers = await self._calls[word]([report.row for report in reports])
                break
            except PunctualError as error:
                if not may_pass(error):
                    await self._take_apart(word, reports, error)
                    return
                self._server.is_away(error)
            await patience.wait()
        self._server.is_there()
        for report, answer in zip(reports, answers, strict=True):
            _tell_of(report, answer)
            self._settle(report)

    async def _take_apart(self, word: Word, reports: list[Report], error: PunctualError) -> None:
        """The request was refused as a whole: what is wrong is left out, and all the rest is said."""
        if len(reports) > 1:
            rows = {int(part[1]) for part in _places(error) if len(part) > 1 and part[1].isdigit()}
            good = [report for number, report in enumerate(reports) if number not in rows]
            bad = [report for number, report in enumerate(reports) if number in rows]
            middle = (len(good) + 1) // 2
            for part in (good[:middle], good[middle:], *([one] for one in bad)):
                if part:
                    await self._say(word, part)
            return
        (report,) = reports
        tell(logging.ERROR, "report_refused", **report.held.words, word=word, error=str(error))
        dropped = [report.row.pop(name) for name in ("result", "retry_after") if name in report.row]
        if dropped:  # what a function of the user's chose; without it the rest is right
            self._waiting[word].append(report)
        else:
            self._settle(report)

    def _settle(self, report: Report) -> None:
        self.open -= 1
        self._gone(report.held)
        if self.open == 0:
            self._none.set()


def _take(waiting: deque[Report]) -> list[Report]:
    taken: list[Report] = []
    size = 0
    while waiting and len(taken) < MOST_ROWS and (not taken or size + waiting[0].size <= MOST_BYTES):
        taken.append(waiting.popleft())
        size += taken[-1].size
    return taken


def _places(error: PunctualError) -> list[list[str]]:
    """The faults' pointers in parts: "/leases/7/result" is about row 7."""
    return (
        [pointer.lstrip("/").split("/") for pointer in error.pointers] if isinstance(error, ApiError) else []
    )


def _tell_of(report: Report, answer: LeaseAnswer) -> None:
    """One line for each attempt: what the server has now on record, or that it was not ours any more."""
    held = report.held
    if answer.status == 200 or answer.repeated:
        if report.word == "release":
            return
        level = logging.WARNING if report.word == "fail" else logging.INFO
        if not logger.isEnabledFor(level):
            return
        tell(
            level,
            "run_ended",
            **held.words,
            outcome=_OUTCOMES[report.word],
            took_ms=held.took_ms,
            **{name: report.row.get(name) for name in ("error", "final", "cache", "db_calls", "db_time_ms")},
            traceback=held.traceback,
        )
    else:
        tell(logging.WARNING, "run_dropped", **held.words, word=report.word, error=answer.error)
