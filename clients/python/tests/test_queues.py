"""Queues, as a worker meets them; dead letters and check-ins, as a person on call does."""

import pytest

from punctual import Conflict, Invalid, Punctual

QUEUED = {"queue": {"name": "emails"}, "retry": {"max_attempts": 1}}


def test_a_worker_takes_completes_fails_and_gives_back(client: Punctual) -> None:
    client.put_task("mail", QUEUED)
    client.create_runs([{"task": "mail", "payload": {"n": n}} for n in range(4)])
    runs = client.lease("emails", max=10, wait="10s", lease=60, worker="mailer-7")
    while len(runs) < 4:
        runs += client.lease("emails", max=10, wait="10s", lease=60, worker="mailer-7")
    held = [{"run": run.run, "fence": run.fence} for run in runs]
    assert {run.payload["n"] for run in runs} == {0, 1, 2, 3}
    assert runs[0].task == "mail"
    assert client.get_queue("emails").running == 4
    assert [queue.name for queue in client.queues()] == ["emails"]

    (beat,) = client.heartbeat_leases([{**held[0], "extend": "5m"}])
    assert beat.ok
    assert beat.lease_until is not None
    assert beat.lease_until > runs[0].lease_until
    (done,) = client.complete_leases([{**held[0], "result": {"sent": 1}, "db_calls": 2}])
    assert done.ok
    (again,) = client.complete_leases([held[0]])
    assert (again.status, again.repeated, again.ok) == (409, True, True)
    (failed,) = client.fail_leases([{**held[1], "error": "no such address", "final": True}])
    assert failed.ok
    (given,) = client.release_leases([held[2]])
    assert given.ok
    stale, unknown = client.complete_leases(
        [{**held[3], "fence": 99}, {"run": "run_0c4x9k2m1p7qz", "fence": 1}]
    )
    assert (stale.status, stale.ok, unknown.status) == (409, False, 404)
    assert stale.error

    (taken,) = client.lease("emails", wait="10s")
    assert (taken.run, taken.attempt) == (runs[2].run, runs[2].attempt)
    assert taken.fence > runs[2].fence
    found = client.get_run(runs[0].run)
    assert (found.state, found.result) == ("succeeded", {"sent": 1})
    assert found.attempts[0].node == "mailer-7"


def test_an_empty_queue_answers_nothing(client: Punctual) -> None:
    assert client.lease("emails") == []
    assert client.lease("emails", wait="50ms") == []
    assert client.get_queue("emails").due == 0


def fail_some(client: Punctual, count: int) -> list[str]:
    client.put_task("mail", QUEUED)
    ids = client.create_runs(["mail"] * count)
    left = set(ids)
    while left:
        runs = client.lease("emails", max=100, wait="10s")
        answers = client.fail_leases({"run": r.run, "fence": r.fence, "error": "no such user"} for r in runs)
        left -= {answer.run for answer in answers}
    return ids


def test_dead_letters_are_listed_retried_and_discarded(client: Punctual) -> None:
    ids = fail_some(client, 5)
    letters = list(client.dead_letters(task="mail", reason="no such user", page_size=2))
    assert {letter.run for letter in letters} == set(ids)
    assert letters[0].last_attempt is not None
    assert letters[0].last_attempt.error == "no such user"
    assert len(list(client.dead_letters(limit=3, page_size=2))) == 3

    plan = client.retry_dead_letters(task="mail", dry_run=True)
    assert (plan.dry_run, plan.count) == (True, 5)
    retried = client.retry_dead_letters([ids[0]], note="the user is back")
    assert (retried.count, retried.left) == (1, 0)
    new = retried.runs[0].retried_as
    assert new is not None
    assert client.get_run(new).retry_of == ids[0]
    old = client.get_run(ids[0]).handled
    assert old is not None
    assert (old.how, old.run, old.note) == ("retried", new, "the user is back")

    discarded = client.discard_dead_letters(task="mail", reason="no such", max=3)
    assert (discarded.count, discarded.left) == (3, 1)
    assert len(list(client.dead_letters())) == 1
    with pytest.raises(Conflict):
        client.retry_dead_letters([ids[0]])
    with pytest.raises(ValueError, match="exclude each other"):
        client.retry_dead_letters([ids[1]], task="mail")


def test_a_job_that_runs_elsewhere_checks_in(client: Punctual) -> None:
    client.put_task("backup", {"monitor": {"grace": "5m"}, "schedule": {"every": "24h"}})
    run = client.checkin("backup", "start")
    assert run.state == "running"
    done = client.checkin("backup", "failure", run=run.id, message="no space left", duration_ms=12.5)
    assert (done.id, done.state) == (run.id, "failed")
    one, same = (client.checkin("backup", idempotency_key="k") for _ in range(2))
    assert one.id == same.id
    with pytest.raises(Invalid):
        client.checkin("backup", "fine")  # type: ignore[arg-type]


def test_the_server_tells_about_itself(client: Punctual) -> None:
    assert client.health() is True
    ready = client.ready()
    assert ready.ok
    assert "lag_ms" in ready.checks["lag"].figures
    audit = client.audit()
    assert audit.ok
    assert audit.differences == ()
    assert audit.to > audit.from_
    assert "punctual_runs_total" in client.metrics() or "# TYPE" in client.metrics()
    assert client.openapi()["openapi"].startswith("3.1")
    assert "<html" in client.docs()
