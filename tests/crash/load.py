"""Clients that ask for runs and edit tasks while the server is killed, and write down what they were answered."""

import random
import threading
import time
from collections import deque
from typing import Any

import httpx
from evidence import FAIL, OK, UNKNOWN, Ask, Delivery, Edit, Event, Evidence

from support.receiver import Answer, Receiver, Request
from support.server import Server
from support.stream import Stream

MAX_ATTEMPTS = 4
TIMEOUT_S = 1.5
WAIT_S = 0.3
RETRY = {"max_attempts": MAX_ATTEMPTS, "backoff": "fixed", "initial": "300ms", "max": "300ms"}
CLIENTS = 3
TICKS = 3
SUBJECTS = 3
LAST_VERSION = 1_000_000

# How the receiver behaves, and how often.
MANNERS = {
    "good": (70, Answer()),
    "slow": (8, Answer(delay=0.3)),
    "fail": (12, Answer(status=500)),
    "reset": (5, Answer(reset=True)),
    "hang": (5, Answer(delay=2 * TIMEOUT_S, reset=True)),
}


class Moody:
    """A receiver that sometimes fails, hangs or resets."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self._manners: list[tuple[Request, str]] = []
        self._lock = threading.Lock()
        self.receiver = Receiver(decide=self._decide)

    def _decide(self, request: Request) -> Answer:
        weights = [weight for weight, _ in MANNERS.values()]
        with self._lock:
            manner = self._chance.choices(list(MANNERS), weights)[0]
            self._manners.append((request, manner))
        return MANNERS[manner][1]

    def deliveries(self) -> list[Delivery]:
        with self._lock:
            return [
                Delivery(
                    time=request.time,
                    run=request.run,
                    attempt=request.attempt,
                    fence=request.fence,
                    task=request.headers.get("punctual-task", ""),
                    behaviour="good" if manner == "slow" else manner,
                    answered=request.answered,
                )
                for request, manner in self._manners
            ]


class Load:
    """All clients together. `stop` returns when each has finished its last request."""

    def __init__(self, server: Server, receiver: Receiver, seen: Evidence, seed: int) -> None:
        self.url = server.url
        self.target = receiver.url("/work")
        self.seen = seen
        self.stopping = threading.Event()
        self._marks = 0
        self._lock = threading.Lock()
        self._made: deque[str] = deque(maxlen=50)  # ids that a cancel or a retry may hit
        chances = [random.Random(f"{seed}-{number}") for number in range(CLIENTS + SUBJECTS)]
        self._threads = [
            threading.Thread(target=self._create_all_day, args=(chance,), daemon=True) for chance in chances[:CLIENTS]
        ] + [
            threading.Thread(target=self._edit_all_day, args=(f"subject-{number}", chance), daemon=True)
            for number, chance in enumerate(chances[CLIENTS:])
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self.stopping.set()
        for thread in self._threads:
            thread.join()
        with self._client() as client:  # the checks of P4 and P5 always have an end to look at
            for task, last in (("subject-0", "delete"), ("subject-1", "pause")):
                for kind in ("put", last):
                    self._edit(client, task, kind, LAST_VERSION)

    # --- asking ---

    def _client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=20, trust_env=False)

    def _send(
        self, client: httpx.Client, method: str, path: str, body: Any, key: str | None = None
    ) -> tuple[str, dict[str, Any]]:
        headers = {"Idempotency-Key": key} if key else {}
        try:
            answer = client.request(method, path, json=body, headers=headers)
        except httpx.ConnectError:
            return FAIL, {}  # nothing was sent
        except httpx.TransportError:
            return UNKNOWN, {}
        return (OK, answer.json()) if answer.is_success else (FAIL, {})

    def _next_marks(self, count: int) -> list[str]:
        with self._lock:
            self._marks += count
            return [f"mark-{number:06d}" for number in range(self._marks - count, self._marks)]

    def _wish(self, mark: str, delay: float) -> dict[str, Any]:
        wish = {
            "http": {"method": "POST", "url": self.target},
            "retry": RETRY,
            "timeout": f"{round(TIMEOUT_S * 1000)}ms",
            "payload": {"mark": mark},
        }
        return {**wish, "delay": f"{round(delay * 1000)}ms"} if delay else wish

    # --- clients that create ---

    def _create_all_day(self, chance: random.Random) -> None:
        deeds = {self._create: 55, self._create_with_key: 20, self._create_wrong: 5}
        deeds |= {self._batch: 6, self._cancel: 8, self._retry: 6}
        with self._client() as client:
            while not self.stopping.is_set():
                deed = chance.choices(list(deeds), list(deeds.values()))[0]
                deed(client, chance)
                time.sleep(chance.uniform(0, 0.12))

    def _create(self, client: httpx.Client, chance: random.Random) -> None:
        delay = round(chance.choice([0, 0, chance.uniform(0, 2.5)]), 3)
        self._ask_create(client, delay, key=None)

    def _ask_create(self, client: httpx.Client, delay: float, key: str | None, marks: list[str] | None = None) -> Ask:
        marks = marks or self._next_marks(1)
        sent = time.time()
        outcome, answer = self._send(client, "POST", "/v1/runs", self._wish(marks[0], delay), key)
        runs = [answer["id"]] if outcome == OK else []
        ask = Ask("create", sent, time.time(), outcome, marks, runs, key, delay=delay)
        self.seen.asks.append(ask)
        self._made.extend(runs)
        return ask

    def _create_with_key(self, client: httpx.Client, chance: random.Random) -> None:
        """Asks again with the same key until there is an answer, and sometimes once more."""
        key = f"key-{chance.getrandbits(64):016x}"
        delay = round(chance.choice([0, 0.5]), 3)
        ask = self._ask_create(client, delay, key)
        while ask.outcome != OK and not self.stopping.is_set():
            time.sleep(0.1)
            ask = self._ask_create(client, delay, key, ask.marks)
        if chance.random() < 0.3:
            self._ask_create(client, delay, key, ask.marks)

    def _create_wrong(self, client: httpx.Client, chance: random.Random) -> None:
        marks = self._next_marks(3)
        sent = time.time()
        wishes = [self._wish(mark, 0) for mark in marks]
        wishes[chance.randrange(3)]["tmeout"] = "3s"
        outcome, _ = self._send(client, "POST", "/v1/runs/batch", wishes)
        assert outcome != OK, "a wrong batch was taken"
        self.seen.asks.append(Ask("batch", sent, time.time(), outcome, marks))

    def _batch(self, client: httpx.Client, chance: random.Random) -> None:
        marks = self._next_marks(chance.randint(2, 12))
        sent = time.time()
        wishes = [self._wish(mark, chance.choice([0, 1.0])) for mark in marks]
        outcome, answer = self._send(client, "POST", "/v1/runs/batch", wishes)
        runs = answer["ids"] if outcome == OK else []
        self.seen.asks.append(Ask("batch", sent, time.time(), outcome, marks, runs))

    def _cancel(self, client: httpx.Client, chance: random.Random) -> None:
        if not self._made:
            return
        target = self._made[-chance.randint(1, min(3, len(self._made)))]
        sent = time.time()
        outcome, _ = self._send(client, "POST", f"/v1/runs/{target}/cancel", {"reason": "the load says so"})
        self.seen.asks.append(Ask("cancel", sent, time.time(), outcome, target=target))

    def _retry(self, client: httpx.Client, chance: random.Random) -> None:
        if not self._made:
            return
        target = chance.choice(list(self._made))
        sent = time.time()
        outcome, answer = self._send(client, "POST", f"/v1/runs/{target}/retry", {})
        runs = [answer["id"]] if outcome == OK else []
        self.seen.asks.append(Ask("retry", sent, time.time(), outcome, runs=runs, target=target))

    # --- clients that edit ---

    def _edit_all_day(self, task: str, chance: random.Random) -> None:
        version, there, paused = 0, False, False
        with self._client() as client:
            while not self.stopping.is_set():
                if not there:
                    kind = "put"
                elif paused:
                    kind = chance.choice(["put", "resume", "resume", "delete"])
                else:
                    kind = chance.choice(["put", "put", "pause", "delete"])
                version += kind == "put"
                edit = self._edit(client, task, kind, version)
                if edit.outcome == OK:
                    there = kind != "delete"
                    paused = kind == "pause" or (paused and kind == "put")
                elif edit.outcome == FAIL and kind in ("delete", "resume", "pause"):
                    there = False  # an unknown delete may have been done: put it again
                self.stopping.wait(chance.uniform(0.2, 2.2))

    def _edit(self, client: httpx.Client, task: str, kind: str, version: int) -> Edit:
        method, path, body = {
            "put": ("PUT", "", tick_definition(self.target, version)),
            "pause": ("POST", "/pause", {"reason": "the load says so"}),
            "resume": ("POST", "/resume", {}),
            "delete": ("DELETE", "", None),
        }[kind]
        sent = time.time()
        outcome, answer = self._send(client, method, f"/v1/tasks/{task}{path}", body)
        running = answer.get("running", []) if kind in ("pause", "delete") else []
        edit = Edit(task, kind, sent, time.time(), outcome, version, running)
        self.seen.edits.append(edit)
        return edit


def tick_definition(target: str, version: int = 0) -> dict[str, Any]:
    return {
        "http": {"method": "POST", "url": target},
        "schedule": {"every": "1s"},
        "retry": RETRY,
        "timeout": f"{round(TIMEOUT_S * 1000)}ms",
        "payload": {"version": version},
    }


class Listener:
    """Follows /v1/events over all crashes and resumes after the last event seen."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._stream: Stream | None = None
        self.events: list[Event] = []

    def connect(self) -> None:
        self._collect()
        self._stream = Stream(self._server, after=self.events[-1].id if self.events else None)

    def _collect(self) -> None:
        if self._stream:
            self._stream.close()
            self.events += [Event(one.id, one.data["type"], one.data.get("run")) for one in self._stream.events]
            self._stream = None

    def close(self) -> list[Event]:
        self._collect()
        return self.events
