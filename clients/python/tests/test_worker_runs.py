"""What a worker does with a run: arguments, results, refusals, threads, places, order."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from breaking import BreakingWay
from worker_process import WorkerProcess

from punctual import Punctual
from support.server import Server
from support.waiting import wait_for
from support.words import create_run, get_run, put_task, wait_final, wait_state

Start = Callable[..., WorkerProcess]


@pytest.fixture
def start(server: Server, tmp_path: Path) -> Iterator[Start]:
    """Starts a worker of this server; `url` may be another way to it."""
    started: list[WorkerProcess] = []

    def make(
        program: str, *options: str, folder: str = "worker", url: str | None = None, **more: str
    ) -> WorkerProcess:
        worker = WorkerProcess(tmp_path / folder, url or server.url, program, *options, **more)
        started.append(worker)
        return worker

    yield make
    for worker in started:
        worker.end()


def attempts(server: Server, run: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = wait_final(server, run)["attempts"]
    return found


def test_an_async_function_gets_the_run_and_a_validated_payload(server: Server, start: Start) -> None:
    worker = start("""
import pydantic

class Mail(pydantic.BaseModel):
    to: str
    copies: int = 1

@worker.task()
async def welcome_mail(run: Run, payload: Mail) -> dict:
    report(cache="hit", db_calls=3, db_time=0.25)
    return {"to": payload.to, "copies": payload.copies, "id": run.id, "fence": run.fence, "attempt": 1}
""")
    worker.wait_line("tasks_applied")
    run = create_run(server, {"task": "welcome-mail", "payload": {"to": "ada"}})
    (attempt,) = attempts(server, run["id"])
    assert attempt["outcome"] == "succeeded"
    assert (attempt["cache"], attempt["db_calls"], attempt["db_time_ms"]) == ("warm", 3, 250)
    result = {"to": "ada", "copies": 1, "id": run["id"], "fence": attempt["fence"], "attempt": 1}
    assert get_run(server, run["id"])["result"] == result
    line = worker.wait_line("run_ended")
    assert (line["run"], line["task"], line["outcome"], line["cache"]) == (
        run["id"],
        "welcome-mail",
        "succeeded",
        "warm",
    )


def test_a_payload_that_does_not_validate_fails_for_good_and_nothing_is_called(
    server: Server, start: Start
) -> None:
    worker = start("""
@worker.task()
def count(run: Run, payload: dict[str, int]) -> None:
    note("called")
""")
    worker.wait_line("tasks_applied")
    run = create_run(server, {"task": "count", "payload": {"n": "many"}})
    (attempt,) = attempts(server, run["id"])
    assert attempt["outcome"] == "failed"
    assert "/n" in attempt["error"]
    assert worker.notes == []


def test_exceptions_become_outcomes(server: Server, start: Start) -> None:
    worker = start("""
@worker.task(retry=Retry(max_attempts=2, initial="1s"))
async def busy(run: Run):
    raise Retry("the bank is busy", after="1s") if run.attempt == 1 else Fail("the bank is closed")

@worker.task(retry=Retry(max_attempts=5))
def hopeless():
    raise Fail("no such customer")

@worker.task(retry=Retry(max_attempts=2, initial="10m"))
async def broken():
    raise KeyError("customer")

@worker.task(retry=Retry(max_attempts=1))
async def leaves():
    raise SystemExit(3)
""")
    worker.wait_line("tasks_applied")
    runs = {
        name: create_run(server, {"task": name})["id"] for name in ("busy", "hopeless", "broken", "leaves")
    }
    assert [a["error"] for a in attempts(server, runs["busy"])] == ["the bank is busy", "the bank is closed"]
    assert [a["error"] for a in attempts(server, runs["hopeless"])] == ["no such customer"]
    assert [a["error"] for a in attempts(server, runs["leaves"])] == ["SystemExit: 3"]
    waiting = wait_state(server, runs["broken"], "waiting")
    assert waiting["attempts"][0]["error"] == "KeyError: 'customer'"
    trace = next(line for line in worker.lines("run_ended") if line["task"] == "broken")["traceback"]
    assert 'raise KeyError("customer")' in trace


def test_a_wish_that_makes_no_sense_does_not_keep_the_failure_from_being_told(
    server: Server, start: Start
) -> None:
    worker = start(
        """
class Mute(Exception):
    def __str__(self):
        raise RuntimeError

@worker.otherwise
async def anything(payload):
    raise Mute if payload == "mute" else Retry("later", after=payload)
""",
        "--concurrency",
        "1",
    )
    worker.wait_line("worker_started")
    wish = {"queue": {"name": "emails"}, "retry": {"max_attempts": 1}}
    with Punctual(server.url) as client:
        ids = client.create_runs([{**wish, "payload": after} for after in ("soon", -1, "999h", "mute")])
    assert [attempts(server, run)[0]["error"] for run in ids] == [
        "later",
        "later",
        "later",
        "Mute: its message cannot be read (RuntimeError)",
    ]
    assert worker.stop() == 0


def test_a_result_that_cannot_be_kept_is_told_and_the_work_counts_as_done(
    server: Server, start: Start
) -> None:
    worker = start(
        """
import dataclasses, datetime

@dataclasses.dataclass
class Sent:
    at: datetime.date

@worker.otherwise
async def anything(run: Run):
    sent = Sent(datetime.date(2026, 3, 28))
    return {"large": "x" * 70_000, "object": object(), "nul": "a\\0b", "sent": sent}[run.payload]
""",
        "--concurrency",
        "8",
    )
    worker.wait_line("worker_started")
    wish = {"queue": {"name": "emails"}, "retry": {"max_attempts": 1}}
    with Punctual(server.url) as client:
        ids = client.create_runs([{**wish, "payload": what} for what in ("large", "object", "nul", "sent")])
    found = [wait_final(server, run) for run in ids]
    assert [run["state"] for run in found] == ["succeeded"] * 4
    assert found[3]["result"] == {"at": "2026-03-28"}
    told = {line["run"]: line["error"] for line in worker.lines("result_not_kept")}
    assert "64 KiB" in told[ids[0]]
    assert "object" in told[ids[1]]
    assert worker.stop() == 0


def test_plain_functions_run_side_by_side_in_threads_with_the_fence(server: Server, start: Start) -> None:
    worker = start(
        """
both = threading.Barrier(2, timeout=20)

@worker.otherwise
def meet(run: Run):
    both.wait()
    return {"fence": run.fence, "main": threading.current_thread() is threading.main_thread()}
""",
        "--concurrency",
        "2",
    )
    worker.wait_line("worker_started")
    wish = {"queue": {"name": "emails"}, "retry": {"max_attempts": 1}}
    with Punctual(server.url) as client:
        ids = client.create_runs([wish, wish])
    for run in ids:
        found = wait_final(server, run)
        assert found["result"] == {"fence": found["attempts"][0]["fence"], "main": False}


def test_a_run_that_no_function_is_for_is_tried_again_later_and_says_so(server: Server, start: Start) -> None:
    put_task(server, "stranger", {"queue": {"name": "emails"}, "retry": {"max_attempts": 5}})
    worker = start("""
@worker.handles("known")
def known(): ...
""")
    worker.wait_line("worker_started")
    run = create_run(server, {"task": "stranger"})
    found = wait_state(server, run["id"], "waiting")
    assert 'no function for the task "stranger", only for known' in found["attempts"][0]["error"]


def test_a_task_of_a_file_is_carried_out_by_the_function_that_handles_it(
    server: Server, start: Start
) -> None:
    put_task(server, "goodbye-mail", {"queue": {"name": "emails"}, "payload": {"n": 7}})
    worker = start("""
@worker.handles("goodbye-mail")
def goodbye(payload):
    return payload["n"]
""")
    worker.wait_line("worker_started")
    run = create_run(server, {"task": "goodbye-mail"})
    assert wait_final(server, run["id"])["result"] == 7


@pytest.mark.parametrize("target", ["jobs:app", "jobs:punctual"])
def test_a_task_of_an_app_is_carried_out_by_a_worker_of_its_queue(
    server: Server, start: Start, target: str
) -> None:
    worker = start(
        """
from fastapi import FastAPI
from punctual import PunctualApp

app = FastAPI()
punctual = PunctualApp(app)

@punctual.task(queue="emails")
def welcome_mail(run: Run) -> str:
    return "sent"
""",
        *("--queue", "emails", "--concurrency", "20"),
        target=target,
    )
    worker.wait_line("tasks_applied")
    assert wait_final(server, create_run(server, {"task": "welcome-mail"})["id"])["result"] == "sent"


def test_many_short_runs_share_requests(server: Server, start: Start) -> None:
    """Both ways: taken in batches, and reported in batches."""
    with BreakingWay(server.port) as way, Punctual(server.url) as client:
        ids = client.create_runs([{"queue": {"name": "emails"}}] * 1000)
        worker = start("@worker.otherwise\ndef work(): ...\n", "--log-level", "warning", url=way.url)
        wait_for(lambda: client.get_queue("emails").due == 0, "all are taken", within=60)
        for run in ids:
            wait_final(server, run)
        assert worker.stop() == 0
        for path in (b"/v1/queues/emails/lease", b"/v1/leases/complete"):
            sent = [asked for asked in way.requests if asked.startswith(b"POST " + path)]
            assert len(sent) < len(ids) / 4, path


def test_never_more_than_the_concurrency_at_once(server: Server, start: Start) -> None:
    wish = {"queue": {"name": "emails"}, "retry": {"max_attempts": 1}}
    with Punctual(server.url) as client:
        ids = client.create_runs([wish] * 40)
    start(
        """
now = 0

@worker.otherwise
async def work():
    global now
    now += 1
    at_once = now
    await asyncio.sleep(0.02)
    now -= 1
    return at_once
""",
        "--concurrency",
        "3",
    )
    results = {wait_final(server, run)["result"] for run in ids}
    assert max(results) == 3


def test_the_most_urgent_first(server: Server, start: Start) -> None:
    wish = {"queue": {"name": "emails"}, "retry": {"max_attempts": 1}}
    order = [5, 1, 9, 3, 0, 7, 5, 9]
    with Punctual(server.url) as client:
        ids = client.create_runs([{**wish, "priority": n, "payload": n} for n in order])
    worker = start(
        """
@worker.otherwise
async def work(payload):
    note(payload)
""",
        "--concurrency",
        "1",
    )
    for run in ids:
        wait_final(server, run)
    assert [int(note) for note in worker.notes] == sorted(order, reverse=True)


def test_a_worker_of_slow_functions_takes_no_run_that_another_could_begin(
    server: Server, start: Start
) -> None:
    wish = {"queue": {"name": "emails"}, "retry": {"max_attempts": 1}}
    program = """
@worker.otherwise
async def work(run):
    note(run.id)
    while not os.path.exists("../go"):
        await asyncio.sleep(0.02)
"""
    first = start(program, "--concurrency", "1", folder="first")
    with Punctual(server.url) as client:
        ids = client.create_runs([wish] * 2)
    wait_for(lambda: len(first.notes) == 1, "the first run has begun")
    second = start(program, "--concurrency", "1", folder="second")
    wait_for(lambda: len(second.notes) == 1, "the other one is begun by the other worker")
    (first.folder.parent / "go").touch()
    for run in ids:
        (attempt,) = attempts(server, run)
        assert attempt["outcome"] == "succeeded"
