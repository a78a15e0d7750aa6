"""What a worker says to the server: it takes runs from a queue, and tells what became of them."""

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import httpx

from support.server import Server
from support.waiting import wait_for


def queue_task(queue: str = "emails", **more: Any) -> dict[str, Any]:
    return {"queue": {"name": queue}, "retry": {"max_attempts": 1}, **more}


def lease(server: Server, queue: str = "emails", **wish: Any) -> list[dict[str, Any]]:
    answer = server.api.post(f"/v1/queues/{queue}/lease", json=wish)
    assert answer.status_code == 200, answer.text
    return answer.json()["runs"]


def lease_one(server: Server, queue: str = "emails", **wish: Any) -> dict[str, Any]:
    (run,) = lease(server, queue, **{"wait": "10s", **wish})
    return run


def say(server: Server, word: str, *rows: dict[str, Any]) -> list[dict[str, Any]]:
    """heartbeat, complete, fail or release; the answer to each row."""
    answer = server.api.post(f"/v1/leases/{word}", json={"leases": list(rows)})
    assert answer.status_code == 200, answer.text
    found = answer.json()["leases"]
    assert [one["run"] for one in found] == [row["run"] for row in rows]
    return found


def say_one(server: Server, word: str, held: dict[str, Any], **more: Any) -> dict[str, Any]:
    (found,) = say(server, word, {"run": held["run"], "fence": held["fence"], **more})
    return found


def queue_of(server: Server, queue: str = "emails") -> dict[str, Any]:
    answer = server.api.get(f"/v1/queues/{queue}")
    assert answer.status_code == 200, answer.text
    return answer.json()


class Waiting:
    """A worker that waits in a thread of its own, on a connection of its own."""

    def __init__(self, server: Server, queue: str = "emails", **wish: Any) -> None:
        self._pool = ThreadPoolExecutor(1)
        before = queue_of(server, queue)["waiting_workers"]
        self._answer: Future[httpx.Response] = self._pool.submit(
            httpx.post, f"{server.url}/v1/queues/{queue}/lease", json=wish, timeout=90, trust_env=False
        )
        wait_for(lambda: queue_of(server, queue)["waiting_workers"] == before + 1, "the worker waits")

    def answer(self) -> httpx.Response:
        with self._pool:
            return self._answer.result(90)

    def runs(self) -> list[dict[str, Any]]:
        answer = self.answer()
        assert answer.status_code == 200, answer.text
        return answer.json()["runs"]
