"""Runs: made once however often they are asked for, found page after page, ended, made anew."""

from datetime import datetime, timedelta, timezone

import pytest
from pydantic import BaseModel

from punctual import Conflict, Invalid, NotFound, Punctual
from support.receiver import Answer, Receiver
from support.server import Server
from support.waiting import wait_for

FAR = timedelta(days=365)
SILENT = {"http": {"url": "http://127.0.0.1:9/"}}


class Mail(BaseModel):
    """A payload as an app has it."""

    to: str
    at: datetime


def test_a_run_of_a_target_is_delivered(client: Punctual, receiver: Receiver) -> None:
    receiver.script("/hook", Answer(body=b'{"sent": 1}', headers={"Content-Type": "application/json"}))
    run = client.create_run({"http": {"url": receiver.url("/hook")}}, payload={"to": "ann@example.com"})
    assert (run.trigger, run.task) == ("api", None)
    done = wait_for(lambda: (found := client.get_run(run.id)).is_final and found, "it is over")
    assert (done.state, done.result) == ("succeeded", {"sent": 1})
    (attempt,) = done.attempts
    assert (attempt.outcome, attempt.status, attempt.db_calls) == ("succeeded", 200, None)
    (request,) = receiver.wait("/hook")
    assert request.json() == {"to": "ann@example.com"}


def test_a_run_of_a_task_waits_its_delay(client: Punctual) -> None:
    client.put_task("a", SILENT)
    before = datetime.now(timezone.utc)
    run = client.create_run("a", delay=FAR, priority=9, payload=Mail(to="x", at=before))
    assert run.due_at is not None
    assert run.due_at - before > FAR - timedelta(minutes=1)
    assert (run.task, run.state, run.priority) == ("a", "scheduled", 9)
    assert Mail.model_validate(run.payload).to == "x"


def test_a_run_at_an_instant(client: Punctual) -> None:
    client.put_task("a", SILENT)
    christmas = datetime(2099, 12, 24, 18, tzinfo=timezone(timedelta(hours=1)))
    assert client.trigger_task("a", run_at=christmas).due_at == christmas
    with pytest.raises(ValueError, match="in which zone"):
        client.trigger_task("a", run_at=datetime(2099, 12, 24))


def test_one_key_makes_one_run(client: Punctual) -> None:
    first = client.create_run(SILENT, delay=FAR, idempotency_key="order-4711")
    assert client.create_run(SILENT, delay=FAR, idempotency_key="order-4711").id == first.id
    with pytest.raises(Invalid, match="another request") as caught:
        client.create_run(SILENT, delay=FAR, payload=1, idempotency_key="order-4711")
    assert caught.value.status == 422
    assert len(list(client.runs())) == 1


def test_without_a_key_two_calls_make_two_runs(client: Punctual) -> None:
    assert client.create_run(SILENT, delay=FAR).id != client.create_run(SILENT, delay=FAR).id


@pytest.mark.parametrize("key", ["", "x" * 256, 'a"b', "a\\b", "ä", "a\nb"])
def test_a_key_that_no_header_can_carry_is_refused_at_once(client: Punctual, key: str) -> None:
    with pytest.raises(ValueError, match="an idempotency key has 1 to 255"):
        client.create_run(SILENT, idempotency_key=key)


def test_many_runs_are_all_or_none(client: Punctual) -> None:
    client.put_task("a", SILENT)
    wishes = ["a", {"task": "a", "delay": timedelta(hours=1)}, {**SILENT, "delay": "2h"}]
    ids = client.create_runs(wishes, idempotency_key="batch-1")
    assert len(set(ids)) == 3
    assert client.create_runs(wishes, idempotency_key="batch-1") == ids
    with pytest.raises(Invalid) as caught:
        client.create_runs(["a", {"task": "a", "delay": "soon"}])
    assert caught.value.pointers == ["/1/delay"]
    assert len(list(client.runs())) == 3


def test_runs_come_page_after_page_the_newest_first(client: Punctual) -> None:
    client.put_task("a", SILENT)
    ids = client.create_runs([{"task": "a", "delay": "8000h"}] * 7)
    client.create_run(SILENT, delay=FAR)
    found = [run.id for run in client.runs(task="a", state="scheduled", page_size=3)]
    assert found == sorted(ids, reverse=True)
    assert [run.id for run in client.runs(task="a", limit=4, page_size=3)] == found[:4]
    soon = datetime.now(timezone.utc) + timedelta(hours=1)
    assert list(client.runs(to=soon)) == []
    assert len(list(client.runs(from_=soon))) == 8


def test_a_run_is_canceled_once(client: Punctual) -> None:
    run = client.create_run(SILENT, delay=FAR)
    canceled = client.cancel_run(run.id, reason="sent twice")
    assert (canceled.state, canceled.reason) == ("canceled", "canceled by somebody: sent twice")
    with pytest.raises(Conflict, match="canceled is final"):
        client.cancel_run(run.id)


def test_a_retried_run_is_a_new_one(client: Punctual) -> None:
    run = client.cancel_run(client.create_run(SILENT, delay=FAR).id)
    again = client.retry_run(run.id, note="once more", idempotency_key="again")
    assert (again.retry_of, again.trigger) == (run.id, "retry")
    assert client.retry_run(run.id, note="once more", idempotency_key="again").id == again.id


def test_long_work_is_kept_open_and_ended(client: Punctual, receiver: Receiver) -> None:
    receiver.script("/long", Answer(status=202))
    target = {"http": {"url": receiver.url("/long")}, "completion": "callback", "retry": {"max_attempts": 1}}
    run = client.create_run({**target, "timeout": "10m"})
    (request,) = receiver.wait("/long")
    fence = int(request.headers["punctual-fence"])
    wait_for(lambda: client.get_run(run.id).state == "running", "it is open")
    answer = wait_for(lambda: _heartbeat(client, run.id, fence), "the 202 was seen")
    assert answer.lease_until is not None
    done = client.complete_run(run.id, fence, result={"rows": 3}, db_calls=2, db_time_ms=1.5, cache="warm")
    assert done.state == "succeeded"
    (attempt,) = client.get_run(run.id).attempts
    assert (attempt.db_calls, attempt.db_time_ms, attempt.cache) == (2, 1.5, "warm")
    with pytest.raises(Conflict):
        client.complete_run(run.id, fence, error="too late", final=True, retry_after="5s")


def _heartbeat(client: Punctual, run: str, fence: int):  # type: ignore[no-untyped-def]
    """None until the server has seen the 202: before that a heartbeat has nothing to keep open."""
    try:
        return client.heartbeat_run(run, fence, extend="5m")
    except Conflict:
        return None


def test_a_task_that_is_not_there(client: Punctual) -> None:
    with pytest.raises(NotFound, match='"nobody"'):
        client.trigger_task("nobody")
    with pytest.raises(NotFound):
        client.create_run("nobody")


def test_names_are_quoted(client: Punctual) -> None:
    with pytest.raises(NotFound):
        client.get_task("a/b?c#d")
    with pytest.raises(ValueError, match="name of the task is empty"):
        client.get_task("")


def test_what_json_cannot_say_is_refused_before_it_is_sent(server: Server) -> None:
    with Punctual(server.url) as client:
        with pytest.raises(TypeError, match="set cannot be sent as JSON"):
            client.create_run(SILENT, payload={1, 2})
        with pytest.raises(ValueError, match="JSON compliant"):
            client.create_run(SILENT, payload=float("nan"))
        assert list(client.runs()) == []
