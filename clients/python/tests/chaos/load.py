"""Clients that ask for runs until each is acknowledged, with one key for all tries, and write that down.

Some go through the app, whose route enqueues; the others use the client: one by one, and twenty together.
"""

import random
import threading
import time
from collections.abc import Callable

import httpx
from evidence import APP_TASKS, WORK_TASKS, Ask

from punctual import Punctual
from punctual.errors import PunctualError
from support.waiting import wait_for

CLIENTS = 4
BATCH = 20
AGAIN_S = 0.05
GIVE_UP_S = 60.0

KINDS = {"trigger": 50, "order": 40, "batch": 10}  # each batch is twenty, so two thirds of the runs
PLANS = {"quick": 85, "slow": 8, "again": 3, "error": 2, "fail": 2}


class Load:
    """All clients. `release` lets them ask for more runs; `finish` waits until all are acknowledged."""

    def __init__(self, server_url: str, app_url: str, runs: int, seed: int) -> None:
        self.asks: list[Ask] = []
        self._server_url, self._app_url = server_url, app_url
        self._runs, self._made, self._allowed = runs, 0, 0
        self._gate = threading.Condition()
        self._trouble: list[str] = []
        chances = [random.Random(f"{seed} {number}") for number in range(CLIENTS)]
        self._threads = [
            threading.Thread(target=self._work, args=(chance,), daemon=True) for chance in chances
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def release(self, runs: int) -> None:
        with self._gate:
            self._allowed += runs
            self._gate.notify_all()

    def wait(self, acknowledged: int) -> None:
        """Until so many are acknowledged, so that the blows do not run ahead of the load."""
        wait_for(lambda: self.acknowledged >= acknowledged, "the load goes on", within=2 * GIVE_UP_S)

    def finish(self) -> None:
        self.release(self._runs)
        for thread in self._threads:
            thread.join()

    @property
    def acknowledged(self) -> int:
        return sum(ask.answered is not None for ask in list(self.asks))

    # --- one client ---

    def _work(self, chance: random.Random) -> None:
        with (
            Punctual(self._server_url, api_key="") as client,
            httpx.Client(trust_env=False, timeout=15) as http,
        ):
            while asks := self._next(chance):
                self._until_acknowledged(asks, lambda asks=asks: self._send(client, http, asks))

    def _next(self, chance: random.Random) -> list[Ask]:
        """What to ask for next, when that is allowed; nothing when all was asked for."""
        with self._gate:
            while self._made >= self._allowed and self._made < self._runs:
                self._gate.wait()
            kind = chance.choices(list(KINDS), list(KINDS.values()))[0]
            count = min(BATCH if kind == "batch" else 1, self._runs - self._made)
            marks = [f"mark-{number:06d}" for number in range(self._made, self._made + count)]
            self._made += count
            asks = [
                Ask(mark, kind, self._task(kind, chance), self._plan(chance), time.time()) for mark in marks
            ]
            self.asks += asks
        return asks

    def _task(self, kind: str, chance: random.Random) -> str:
        return "app-async" if kind == "order" else chance.choice(APP_TASKS + WORK_TASKS)

    def _plan(self, chance: random.Random) -> str:
        return chance.choices(list(PLANS), list(PLANS.values()))[0]

    def _until_acknowledged(self, asks: list[Ask], send: Callable[[], list[str]]) -> None:
        deadline = time.monotonic() + GIVE_UP_S
        while True:
            try:
                runs = send()
            except (PunctualError, httpx.HTTPError):
                for ask in asks:
                    ask.unknown += 1
            else:
                for ask, run in zip(asks, runs, strict=True):
                    ask.run, ask.answered = run, time.time()
                return
            if time.monotonic() > deadline:
                return  # "nothing is lost" names it
            time.sleep(AGAIN_S)

    def _send(self, client: Punctual, http: httpx.Client, asks: list[Ask]) -> list[str]:
        """The ids of the runs. The same key each time: the mark."""
        (first, *_), bodies = asks, [{"mark": ask.mark, "plan": ask.plan} for ask in asks]
        if first.kind == "order":
            answer = http.post(f"{self._app_url}/orders", json=bodies[0])
            return [answer.raise_for_status().json()["run"]]
        if first.kind == "trigger":
            return [client.trigger_task(first.task, bodies[0], idempotency_key=first.mark).id]
        wishes = [{"task": ask.task, "payload": body} for ask, body in zip(asks, bodies, strict=True)]
        return client.create_runs(wishes, idempotency_key=first.mark)
