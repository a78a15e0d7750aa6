"""The outbox: what is committed runs, once; what is rolled back does not.

On SQLite. With PUNCTUAL_TEST_DATABASE=postgresql+psycopg://... the same tests use that database, whose table
punctual_outbox is made anew for each of them.
"""

import asyncio
import json
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from punctual import Punctual, outbox
from punctual.outbox import handover
from punctual.outbox.handover import Ask, Options, Send, round_trip
from punctual.outbox.relay import create_runs_of
from support.receiver import Receiver
from support.server import Server
from support.waiting import wait_for
from support.words import all_runs, http_task, put_task

SOURCE = Path(outbox.__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": f"{SOURCE}:{os.environ.get('PYTHONPATH', '')}"}
QUICK = Options(interval=0.05, timeout=5, lease=5.5)
SHORT_LEASE = Options(interval=0.02, timeout=0.4, lease=0.5)


@pytest.fixture
def database(tmp_path: Path) -> str:
    return os.environ.get("PUNCTUAL_TEST_DATABASE") or f"sqlite:///{tmp_path}/app.db"


@pytest.fixture
def engine(database: str) -> Iterator[Engine]:
    engine = create_engine(database)
    outbox.metadata.drop_all(engine)
    outbox.create_table(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def relay(engine: Engine, mail: Server) -> Iterator[outbox.Relay]:
    """One that is not started: the tests hand over themselves."""
    relay = outbox.Relay(engine, url=mail.url, options=QUICK)
    yield relay
    relay.stop()


@pytest.fixture
def mail(server: Server, receiver: Receiver) -> Server:
    """A server with the task send-mail."""
    put_task(server, "send-mail", http_task(receiver.url("/mail")))
    return server


def enqueue(engine: Engine, *payloads: Any, task: Any = "send-mail", **options: Any) -> None:
    with Session(engine) as session, session.begin():
        for payload in payloads:
            outbox.enqueue(session, task, payload, **options)


def rows_in(engine: Engine) -> list[Any]:
    with engine.connect() as connection:
        return list(connection.execute(select(outbox.table).order_by(outbox.table.c.id)))


def payloads(server: Server) -> list[Any]:
    """Of all runs, in the order in which they were made."""
    return [run["payload"] for run in sorted(all_runs(server), key=lambda run: run["id"])]


def hand_over_all(relay: outbox.Relay) -> None:
    while relay.hand_over():
        pass


# --- the transaction decides ---


def test_what_is_rolled_back_does_not_run(mail: Server, engine: Engine, relay: outbox.Relay) -> None:
    with Session(engine) as session:
        outbox.enqueue(session, "send-mail", {"to": "ann"})
        session.flush()
        session.rollback()
    enqueue(engine, {"to": "bob"})
    hand_over_all(relay)
    assert payloads(mail) == [{"to": "bob"}]


def test_what_is_committed_runs_and_its_row_goes(
    mail: Server, engine: Engine, relay: outbox.Relay, receiver: Receiver
) -> None:
    enqueue(engine, {"to": "ann"})
    assert all_runs(mail) == []
    assert relay.hand_over() == 1
    assert receiver.wait("/mail")[0].json() == {"to": "ann"}
    assert rows_in(engine) == []


def test_a_savepoint_that_is_rolled_back_takes_its_row_along(
    mail: Server, engine: Engine, relay: outbox.Relay
) -> None:
    with Session(engine) as session, session.begin():
        outbox.enqueue(session, "send-mail", "kept")
        inner = session.begin_nested()
        outbox.enqueue(session, "send-mail", "dropped")
        inner.rollback()
    hand_over_all(relay)
    assert payloads(mail) == ["kept"]


def test_an_async_session_enqueues_and_an_async_relay_hands_over(mail: Server, tmp_path: Path) -> None:
    async def work() -> None:
        engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/async.db")
        async with engine.begin() as connection:
            await connection.run_sync(outbox.create_table)
        async with outbox.AsyncRelay(engine, url=mail.url, options=QUICK):
            async with AsyncSession(engine) as session, session.begin():
                outbox.enqueue(session, "send-mail", {"to": "ann"})
            async with AsyncSession(engine) as session:
                outbox.enqueue(session, "send-mail", {"to": "nobody"})
                await session.flush()
                await session.rollback()
            while await _count(engine):
                await asyncio.sleep(0.01)
        await engine.dispose()

    asyncio.run(asyncio.wait_for(work(), 30))
    assert payloads(mail) == [{"to": "ann"}]


async def _count(engine: Any) -> int:
    async with engine.connect() as connection:
        return int((await connection.execute(select(func.count()).select_from(outbox.table))).scalar_one())


def test_a_commit_wakes_the_relay_of_its_process(mail: Server, engine: Engine) -> None:
    """The interval is far longer than the test may take."""
    with outbox.Relay(engine, url=mail.url, options=Options(interval=600)):
        enqueue(engine, 1)
        wait_for(lambda: payloads(mail) == [1], "the run is there", within=20)


def test_runs_are_made_in_the_order_of_enqueueing(mail: Server, engine: Engine) -> None:
    relay = outbox.Relay(engine, url=mail.url, options=Options(batch=7))
    for first in range(0, 100, 10):
        enqueue(engine, *range(first, first + 10), delay="1d")
    hand_over_all(relay)
    relay.stop()
    assert payloads(mail) == list(range(100))


def test_a_delay_counts_from_the_call(mail: Server, engine: Engine, relay: outbox.Relay) -> None:
    before = datetime.now(timezone.utc)
    enqueue(engine, 1, delay="1h30m")
    after = datetime.now(timezone.utc)
    relay.hand_over()
    due = datetime.fromisoformat(all_runs(mail)[0]["due_at"].replace("Z", "+00:00"))
    millisecond = timedelta(milliseconds=1)
    assert before - millisecond <= due - timedelta(minutes=90) <= after + millisecond


def test_a_row_may_have_a_target_of_its_own_a_time_and_a_priority(
    mail: Server, engine: Engine, relay: outbox.Relay
) -> None:
    at = datetime.now(timezone.utc) + timedelta(days=2)
    enqueue(engine, {"to": "ann"}, task={"queue": {"name": "mails"}, "timeout": "5m"}, run_at=at, priority=9)
    relay.hand_over()
    (run,) = all_runs(mail)
    assert (run["task"], run["priority"], run["payload"]) == (None, 9, {"to": "ann"})


def test_what_cannot_be_a_row_is_refused_at_once(engine: Engine) -> None:
    with Session(engine) as session:
        with pytest.raises(TypeError, match="cannot be sent as JSON"):
            outbox.enqueue(session, "send-mail", object())
        with pytest.raises(ValueError, match="256 KiB"):
            outbox.enqueue(session, "send-mail", "x" * 300_000)
        with pytest.raises(ValueError, match="exclude each other"):
            outbox.enqueue(session, "send-mail", delay="1m", run_at="2026-01-01T00:00:00Z")
        with pytest.raises(ValueError, match="a delay is"):
            outbox.enqueue(session, "send-mail", delay="soon")
        with pytest.raises(TypeError, match="a task is"):
            outbox.enqueue(session, 17)  # type: ignore[arg-type]
        session.commit()
    assert rows_in(engine) == []


# --- crashes: kill -9 at the worst moments ---

CRASH = """
import os, signal, sys
import httpx
from sqlalchemy import create_engine
from sqlalchemy.orm import Session
from punctual import Punctual, outbox
from punctual.outbox import Options

where, database, url = sys.argv[1:]
engine = create_engine(database)


def die():
    os.kill(os.getpid(), signal.SIGKILL)


class Deadly(httpx.HTTPTransport):
    def handle_request(self, request):
        if where == "before sending":
            die()
        answer = super().handle_request(request)
        answer.read()
        die()


with Session(engine) as session, session.begin():
    outbox.enqueue(session, "send-mail", {"to": "ann"})
    outbox.enqueue(session, "send-mail", {"to": "bob"})
    if where == "before commit":
        session.flush()
        die()
if where == "after commit":
    die()
outbox.Relay(engine, Punctual(url, transport=Deadly()), options=Options(timeout=0.4, lease=0.5)).hand_over()
"""


@pytest.mark.parametrize(
    ("where", "made"),
    [
        ("before commit", []),
        ("after commit", [{"to": "ann"}, {"to": "bob"}]),
        ("before sending", [{"to": "ann"}, {"to": "bob"}]),
        ("before the rows are deleted", [{"to": "ann"}, {"to": "bob"}]),
    ],
)
def test_killed_at_any_moment_it_runs_once_if_it_was_committed(
    mail: Server, engine: Engine, database: str, receiver: Receiver, where: str, made: list[Any]
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CRASH, where, database, mail.url], env=ENVIRONMENT, check=False, timeout=60
    )
    assert done.returncode == -signal.SIGKILL
    if where == "before the rows are deleted":
        assert (payloads(mail), len(rows_in(engine))) == (made, 2)
    with outbox.Relay(engine, url=mail.url, options=SHORT_LEASE):
        wait_for(lambda: not rows_in(engine), "the outbox is empty", within=30)
    assert payloads(mail) == made
    if made:
        receiver.wait("/mail", len(made))
        assert len(receiver.at("/mail")) == len(made)


def test_a_server_that_is_killed_meanwhile_gets_each_run_once(
    mail: Server, engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "punctual.outbox")
    enqueue(engine, *range(50), delay="1d")
    port = mail.port
    mail.kill()
    mail.listen = f"127.0.0.1:{port}"
    with outbox.Relay(engine, url=f"http://127.0.0.1:{port}", options=SHORT_LEASE):
        wait_for(lambda: "the outbox waits" in caplog.text, "the relay notices", within=20)
        mail.start()
        wait_for(lambda: not rows_in(engine), "the outbox is empty", within=60)
    assert payloads(mail) == list(range(50))
    assert caplog.text.count("the outbox waits") <= 3


# --- several relays ---


def test_several_relays_at_once_do_no_harm(mail: Server, engine: Engine) -> None:
    options = Options(batch=20, interval=0.01, timeout=5, lease=5.5)
    relays = [outbox.Relay(engine, url=mail.url, options=options).start() for _ in range(4)]
    for first in range(0, 600, 30):
        enqueue(engine, *range(first, first + 30), delay="1d")
    wait_for(lambda: not rows_in(engine), "the outbox is empty", within=60)
    for relay in relays:
        relay.stop()
    assert sorted(payloads(mail)) == list(range(600))


def test_relays_that_send_one_batch_at_the_same_time_make_it_once(mail: Server, engine: Engine) -> None:
    """As if the lease of the first had run out while its request was under way."""
    enqueue(engine, 1, 2, delay="1d")
    gates = threading.Barrier(3)

    def slow() -> None:
        with Punctual(mail.url) as client:
            steps = round_trip(QUICK)
            step = next(steps)
            while True:
                try:
                    if isinstance(step, Ask):
                        with engine.begin() as connection:
                            answer = step(connection)
                            connection.execute(update(outbox.table).values(taken_until=None))
                        gates.wait(20)
                    else:
                        answer = client._send(create_runs_of(step))
                    step = steps.send(answer)
                except StopIteration:
                    return

    threads = [threading.Thread(target=slow) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(2):  # both have taken the batch; both have settled it
        gates.wait(20)
    for thread in threads:
        thread.join()
    assert payloads(mail) == [1, 2]
    assert rows_in(engine) == []


# --- refusals ---


def test_a_row_that_is_refused_is_marked_and_holds_up_no_other(
    mail: Server, engine: Engine, relay: outbox.Relay
) -> None:
    enqueue(engine, 1, delay="1d")
    enqueue(engine, 2, task="nobody")
    enqueue(engine, 3, task={"http": {"url": "gopher://x/"}})
    enqueue(engine, 4, task={"command": ["true"]})
    enqueue(engine, 5, delay="1d")
    hand_over_all(relay)
    assert payloads(mail) == [1, 5]
    errors = {row.id: row.error for row in rows_in(engine)}
    assert list(errors) == [2, 3, 4]
    assert 'no task named "nobody"' in errors[2]
    assert "/http/url" in errors[3]
    assert "does not allow commands" in errors[4]
    enqueue(engine, 6, delay="1d")
    hand_over_all(relay)
    assert payloads(mail) == [1, 5, 6]


def test_what_was_refused_is_handed_over_when_it_is_put_back(
    mail: Server, engine: Engine, relay: outbox.Relay, receiver: Receiver
) -> None:
    enqueue(engine, 1, 2, task="later")
    enqueue(engine, 3, delay="1d")
    hand_over_all(relay)
    put_task(mail, "later", http_task(receiver.url("/later")))
    with engine.begin() as connection:
        assert [row["id"] for row in outbox.refused(connection)] == [1, 2]
        assert outbox.again(connection, 1) == 1
    hand_over_all(relay)
    assert payloads(mail) == [3, 1]
    with engine.begin() as connection:
        assert outbox.again(connection) == 1
    hand_over_all(relay)
    assert payloads(mail) == [3, 1, 2]
    assert rows_in(engine) == []


def test_a_task_that_is_not_known_yet_is_asked_for_again(
    mail: Server, engine: Engine, relay: outbox.Relay, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    enqueue(engine, 1, task="later")
    hand_over_all(relay)
    put_task(mail, "later", http_task(receiver.url("/later")))
    assert relay.hand_over() == 0  # not within a minute
    monkeypatch.setattr(handover, "UNKNOWN_TASK_PAUSE", -timedelta(hours=1))
    assert relay.hand_over() == 1
    assert payloads(mail) == [1]


def test_a_refusal_that_names_no_row_finds_the_culprit(engine: Engine) -> None:
    """The real server names it; an older one may not."""
    from punctual.errors import error_of

    enqueue(engine, *range(9))
    made: list[Any] = []

    def answer_to(step: Send) -> Any:
        found = [json.loads(line)["payload"] for line in step.lines]
        if 4 in found:
            return error_of(400, {"type": "/docs#problem-invalid", "title": "no", "detail": "one is bad"})
        made.extend(found)
        return ["run"] * len(found)

    for _ in range(9):
        drive(engine, answer_to)
    assert sorted(made) == [0, 1, 2, 3, 5, 6, 7, 8]
    assert [(row.id, row.error) for row in rows_in(engine)] == [(5, "one is bad")]


def drive(engine: Engine, answer_to: Any, options: Options = QUICK) -> int:
    """One round, with the requests answered by the test."""
    steps = round_trip(options)
    step = next(steps)
    while True:
        try:
            if isinstance(step, Ask):
                with engine.begin() as connection:
                    answer = step(connection)
            else:
                answer = answer_to(step)
            step = steps.send(answer)
        except StopIteration as end:
            return int(end.value)


def test_a_late_request_with_the_refused_row_makes_nothing_twice(
    mail: Server, engine: Engine, receiver: Receiver
) -> None:
    """The first request was refused for a task that is there a moment later, and then arrives once more."""
    enqueue(engine, 1, delay="1d")
    enqueue(engine, 2, task="later", delay="1d")
    sent: list[Send] = []

    with Punctual(mail.url, retries=0) as client:

        def answer_to(step: Send) -> Any:
            if len(sent) == 1:
                put_task(mail, "later", http_task(receiver.url("/later")))
                client._send(create_runs_of(sent[0]))
            sent.append(step)
            try:
                return client._send(create_runs_of(step))
            except Exception as error:
                return error

        drive(engine, answer_to)
    assert [len(step.lines) for step in sent] == [2, 1, 2]
    assert payloads(mail) == [1, 2]
    assert rows_in(engine) == []


# --- longer away than the server remembers ---


def test_a_batch_of_unknown_outcome_is_not_sent_after_the_life_of_its_key(
    mail: Server, engine: Engine, relay: outbox.Relay
) -> None:
    enqueue(engine, 1, delay="1d")
    drive_until_sent(engine)
    past = datetime.now(timezone.utc) - handover.KEY_LIFE - timedelta(minutes=1)
    with engine.begin() as connection:
        connection.execute(update(outbox.table).values(sent_at=past, taken_until=past))
    enqueue(engine, 2, delay="1d")
    hand_over_all(relay)
    hand_over_all(relay)
    assert payloads(mail) == [2]
    (row,) = rows_in(engine)
    assert "is not known" in row.error
    with engine.begin() as connection:
        outbox.again(connection, row.id)
    hand_over_all(relay)
    assert payloads(mail) == [2, 1]


def test_a_server_that_is_away_does_not_make_a_doubtful_batch_certain(mail: Server, engine: Engine) -> None:
    """Sent without an answer, then refused connections: it may have been made, and that is not forgotten."""
    enqueue(engine, 1, delay="1d")
    drive_until_sent(engine)
    with engine.begin() as connection:
        connection.execute(update(outbox.table).values(taken_until=None))
    (before,) = rows_in(engine)
    with pytest.raises(Exception, match="nothing was sent"):
        outbox.Relay(engine, url="http://127.0.0.1:9", options=QUICK).hand_over()
    (after,) = rows_in(engine)
    assert after.sent_at == before.sent_at is not None


def drive_until_sent(engine: Engine) -> None:
    """A relay that dies where the request would go out."""
    steps = round_trip(QUICK)
    step = next(steps)
    while isinstance(step, Ask):
        with engine.begin() as connection:
            answer = step(connection)
        step = steps.send(answer)
    steps.close()


def test_a_server_that_was_never_reached_does_not_use_the_key_up(engine: Engine) -> None:
    enqueue(engine, 1)
    with pytest.raises(Exception, match="nothing was sent"):
        outbox.Relay(engine, url="http://127.0.0.1:9", options=QUICK).hand_over()
    (row,) = rows_in(engine)
    assert (row.sent_at, row.taken_until, row.error) == (None, None, None)
    assert row.batch is not None


# --- the command and the table ---


def command(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "punctual.outbox.command", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**ENVIRONMENT, **env},
    )


def test_the_command_hands_over_until_it_is_stopped(mail: Server, tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path}/of-its-own.db"
    assert command("--database", database, "--create", "--refused").stdout == "0 refused\n"
    engine = create_engine(database)
    enqueue(engine, *range(20), delay="1d")
    line = [sys.executable, "-m", "punctual.outbox.command", "--url", mail.url, "--interval", "0.05"]
    process = subprocess.Popen(line, env={**ENVIRONMENT, "DATABASE_URL": database})
    try:
        wait_for(lambda: not rows_in(engine), "the outbox is empty", within=30)
        process.terminate()
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
    assert payloads(mail) == list(range(20))
    engine.dispose()


def test_the_command_shows_what_was_refused_and_puts_it_back(
    engine: Engine, relay: outbox.Relay, database: str
) -> None:
    enqueue(engine, {"to": "ann"}, task="nobody")
    hand_over_all(relay)
    shown = command("--database", database, "--refused").stdout
    assert '{"task":"nobody","payload":{"to":"ann"}}' in shown
    assert 'no task named "nobody"' in shown
    assert command("--database", database, "--again", "1").stdout == "1 put back\n"
    assert command("--database", database, "--refused").stdout == "0 refused\n"


def test_the_command_says_what_is_wrong_with_its_call() -> None:
    done = command(DATABASE_URL="")
    assert done.returncode == 2
    assert "give --database URL, or set DATABASE_URL" in done.stderr
    assert command("--database", "nonsense").returncode == 2
    assert command("--database", "sqlite:////no/such/folder/x.db", "--refused").returncode == 1
    assert "examples:" in command("--help").stdout


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
def test_the_table_is_printed_for_migrations(dialect: str) -> None:
    statements = command("--ddl", dialect).stdout
    assert "CREATE TABLE punctual_outbox" in statements
    assert "CREATE INDEX punctual_outbox_by_batch" in statements
    assert ("BIGSERIAL" in statements) == (dialect == "postgresql")


def test_options_that_make_no_sense_are_refused() -> None:
    for wrong in ({"batch": 0}, {"batch": 10_001}, {"interval": 0.0}, {"lease": 1.0, "timeout": 1.0}):
        with pytest.raises(ValueError, match=r"must be|give|seconds"):
            Options(**wrong)  # type: ignore[arg-type]
