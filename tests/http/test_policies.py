"""What becomes of runs when things go wrong: overlap, catch_up, deadline, delivery."""

import itertools
import time
from typing import Any

import pytest

from support.receiver import Answer, Receiver
from support.server import Factory, Server
from support.waiting import instant, wait_for
from support.words import (
    all_runs,
    create_run,
    get_run,
    get_task,
    http_task,
    put_task,
    quick_retry,
    trigger,
    wait_final,
    wait_state,
)

POLICIES = {
    "overlap": "skip",
    "catch_up": {"policy": "all", "window": "6h", "max": 20},
    "deadline": "1h",
    "delivery": "at_most_once",
}


def test_policies_are_part_of_the_definition_and_shown(shared_server: Server) -> None:
    put_task(shared_server, "shown", http_task("http://127.0.0.1:9/", **POLICIES))
    definition = get_task(shared_server, "shown")["definition"]
    assert {name: definition[name] for name in POLICIES} == POLICIES
    shown = shared_server.cli("task", "shown")
    assert shown.returncode == 0, shown.stderr
    for word in ("overlap", "skip", "catch_up", "6h", "deadline", "1h", "delivery", "at_most_once"):
        assert word in shown.stdout, shown.stdout


def test_defaults_are_left_out_and_make_no_revision(shared_server: Server) -> None:
    plain = put_task(shared_server, "plain", http_task("http://127.0.0.1:9/"))
    spelled = http_task(
        "http://127.0.0.1:9/",
        overlap="allow",
        catch_up={"policy": "latest", "max": 100},
        delivery="at_least_once",
    )
    assert put_task(shared_server, "plain", spelled)["revision"] == plain["revision"]


def test_an_edit_of_a_policy_names_it(shared_server: Server) -> None:
    put_task(shared_server, "edited", http_task("http://127.0.0.1:9/"))
    body = {"version": 1, "tasks": {"edited": http_task("http://127.0.0.1:9/", overlap="queue")}}
    answer = shared_server.api.post("/v1/apply", json=body, params={"dry_run": "true"})
    (task,) = answer.json()["tasks"]
    assert task["changes"] == [{"field": "/overlap", "before": "allow", "after": "queue"}]


def test_a_set_has_defaults_for_them(shared_server: Server, tmp_path: Any) -> None:
    path = tmp_path / "set.yaml"
    path.write_text(
        "version: 1\n"
        "defaults: {overlap: skip, catch_up: {policy: all, max: 3}}\n"
        "tasks:\n"
        "  from-set: {http: {url: 'http://127.0.0.1:9/'}, catch_up: {window: 1h}}\n"
    )
    applied = shared_server.cli("apply", str(path))
    assert applied.returncode == 0, applied.stderr
    definition = get_task(shared_server, "from-set")["definition"]
    assert definition["overlap"] == "skip"
    assert definition["catch_up"] == {"policy": "all", "window": "1h", "max": 3}


@pytest.mark.parametrize(
    ("field", "value", "pointer"),
    [
        ("overlap", "forbid", "/overlap"),
        ("overlap", True, "/overlap"),
        ("catch_up", "latest", "/catch_up"),
        ("catch_up", {"policy": "some"}, "/catch_up/policy"),
        ("catch_up", {"policy": "all", "max": 0}, "/catch_up/max"),
        ("catch_up", {"policy": "all", "max": 10001}, "/catch_up/max"),
        ("catch_up", {"window": "-1h"}, "/catch_up/window"),
        ("catch_up", {"windw": "1h"}, "/catch_up/windw"),
        ("deadline", "0s", "/deadline"),
        ("deadline", 60, "/deadline"),
        ("delivery", "exactly_once", "/delivery"),
    ],
)
def test_a_bad_policy_is_named_with_its_place(shared_server: Server, field: str, value: Any, pointer: str) -> None:
    answer = shared_server.api.put("/v1/tasks/bad", json=http_task("http://127.0.0.1:9/", **{field: value}))
    assert answer.status_code == 400, answer.text
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]


@pytest.mark.parametrize("field", ["overlap", "catch_up"])
def test_a_single_run_has_no_use_for_some(shared_server: Server, field: str) -> None:
    body = {**http_task("http://127.0.0.1:9/"), field: POLICIES[field]}
    answer = shared_server.api.post("/v1/runs", json=body)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["pointer"] == f"/{field}"


# --- overlap ---


def test_skip_records_the_run_that_came_with_the_live_one_in_its_reason(server: Server, receiver: Receiver) -> None:
    receiver.script("/hang", Answer(hang=True))
    put_task(server, "job", http_task(receiver.url("/hang"), overlap="skip"))
    live = trigger(server, "job")
    receiver.wait("/hang")
    beside = wait_final(server, trigger(server, "job")["id"])
    assert beside["state"] == "skipped"
    assert live["id"] in beside["reason"]
    metrics = server.api.get("/metrics").text
    assert 'punctual_task_runs_total{task="job",state="skipped"} 1' in metrics
    assert len(receiver.at("/hang")) == 1


def test_queue_runs_one_after_the_other(server: Server, receiver: Receiver) -> None:
    receiver.script("/slow", Answer(delay=0.15))
    put_task(server, "job", http_task(receiver.url("/slow"), overlap="queue"))
    runs = [trigger(server, "job")["id"] for _ in range(5)]
    for run in runs:
        assert wait_final(server, run)["state"] == "succeeded"
    requests = receiver.wait("/slow", 5)
    assert [request.run for request in requests] == runs
    for before, after in itertools.pairwise(requests):
        assert before.answered is not None
        assert before.answered <= after.time + 0.05


def test_replace_cancels_the_live_run_and_starts_the_new_one(server: Server, receiver: Receiver) -> None:
    receiver.script("/hang", Answer(hang=True), Answer())
    put_task(server, "job", http_task(receiver.url("/hang"), overlap="replace"))
    old = trigger(server, "job")["id"]
    receiver.wait("/hang")
    new = trigger(server, "job")["id"]
    assert wait_final(server, new)["state"] == "succeeded"
    canceled = get_run(server, old)
    assert canceled["state"] == "canceled"
    assert new in canceled["reason"]


def test_a_queue_survives_kill_9(server: Server, receiver: Receiver) -> None:
    receiver.script("/first", Answer(hang=True), Answer())
    put_task(server, "job", http_task(receiver.url("/first"), overlap="queue", retry=quick_retry(3)))
    runs = [trigger(server, "job")["id"] for _ in range(4)]
    receiver.wait("/first")
    server.kill()
    server.start()
    for run in runs:
        assert wait_final(server, run)["state"] == "succeeded"
    sent = [request.run for request in receiver.wait("/first", 5)]
    assert sent == [runs[0], *runs]


# --- deadline ---


def test_a_run_that_waits_too_long_is_missed(server: Server, receiver: Receiver) -> None:
    put_task(server, "job", http_task(receiver.url("/late"), deadline="1s"))
    run = trigger(server, "job", {"delay": "500ms"})["id"]
    assert server.api.post("/v1/tasks/job/pause", json={"reason": "maintenance"}).status_code == 200
    missed = wait_final(server, run)
    assert missed["state"] == "missed"
    assert "deadline" in missed["reason"]
    assert instant(missed["finished_at"]) - instant(missed["due_at"]) >= 1.0
    server.api.post("/v1/tasks/job/resume", json={})
    assert receiver.at("/late") == []


def test_a_run_shows_its_deadline(server: Server, receiver: Receiver) -> None:
    put_task(server, "late", http_task(receiver.url("/late"), deadline="1h"))
    put_task(server, "free", http_task(receiver.url("/free")))
    run = trigger(server, "late", {"delay": "1h"})["id"]
    read = server.api.get(f"/v1/runs/{run}").json()
    assert instant(read["deadline_at"]) - instant(read["due_at"]) == pytest.approx(3600)
    listed = server.api.get("/v1/runs", params={"task": "late"}).json()["runs"]
    assert [row["deadline_at"] for row in listed] == [read["deadline_at"]]
    without = trigger(server, "free", {"delay": "1h"})
    assert without["deadline_at"] is None


def test_a_one_off_has_a_deadline_over_a_restart(server: Server, receiver: Receiver) -> None:
    body = {**http_task(receiver.url("/once")), "deadline": "1s", "delay": "300ms"}
    run = create_run(server, body)["id"]
    server.kill()
    time.sleep(1.5)
    server.start()
    assert wait_final(server, run)["state"] == "missed"
    assert receiver.at("/once") == []


# --- delivery ---


def test_at_most_once_a_run_cut_off_by_a_crash_is_not_sent_again(server: Server, receiver: Receiver) -> None:
    receiver.script("/once", Answer(hang=True))
    put_task(server, "job", http_task(receiver.url("/once"), delivery="at_most_once", retry=quick_retry(5)))
    run = trigger(server, "job")["id"]
    receiver.wait("/once")
    server.kill()
    server.start()
    failed = wait_final(server, run)
    assert failed["state"] == "failed"
    assert "outcome is unknown" in failed["reason"]
    assert len(failed["attempts"]) == 1
    assert len(receiver.at("/once")) == 1


@pytest.mark.parametrize("answer", [Answer(status=500), Answer(reset=True), Answer(delay=3.0)])
def test_at_most_once_the_receiver_sees_one_request(server: Server, receiver: Receiver, answer: Answer) -> None:
    receiver.script("/once", answer)
    put_task(
        server,
        "job",
        http_task(receiver.url("/once"), delivery="at_most_once", timeout="1s", retry=quick_retry(5)),
    )
    failed = wait_final(server, trigger(server, "job")["id"])
    assert failed["state"] == "failed"
    assert "at_most_once" in failed["reason"]
    assert len(receiver.at("/once")) == 1


def test_at_most_once_each_attempt_has_a_connection_of_its_own(server: Server, receiver: Receiver) -> None:
    put_task(server, "plain", http_task(receiver.url("/plain")))
    put_task(server, "once", http_task(receiver.url("/once"), delivery="at_most_once"))
    for task in ("plain", "plain", "once", "once", "plain", "once"):
        assert wait_final(server, trigger(server, task)["id"])["state"] == "succeeded"
    kept = {request.connection for request in receiver.at("/plain")}
    fresh = [request.connection for request in receiver.at("/once")]
    assert len(kept) < 3, "a connection is used again"
    assert len(set(fresh)) == 3, "it may just have been closed by the receiver, so nobody could tell what arrived"
    first = receiver.at("/plain")[0].connection
    assert first not in fresh, "nor is one that is open already"


def test_at_most_once_what_reached_nobody_is_tried_again(server: Server) -> None:
    definition = http_task("http://127.0.0.1:1/", delivery="at_most_once", retry=quick_retry(2))
    put_task(server, "job", definition)
    failed = wait_final(server, trigger(server, "job")["id"])
    assert [attempt["outcome"] for attempt in failed["attempts"]] == ["unreachable", "unreachable"]


# --- catch_up ---


def away(server: Server, seconds: float) -> tuple[float, float]:
    server.kill()
    down = time.time()
    time.sleep(seconds)
    up = time.time()
    server.start()
    return down, up


@pytest.mark.parametrize(
    ("catch_up", "kept"),
    [({"policy": "skip"}, 0), ({"policy": "all", "max": 2}, 2), ({"policy": "all"}, 100)],
)
def test_of_an_outage_runs_what_the_policy_says(
    server: Server, receiver: Receiver, catch_up: dict[str, Any], kept: int
) -> None:
    put_task(server, "tick", http_task(receiver.url("/tick"), schedule={"every": "500ms"}, catch_up=catch_up))
    receiver.wait("/tick")
    _, up = away(server, 3.0)
    wait_for(
        lambda: [run for run in all_runs(server, task="tick", state="succeeded") if instant(run["due_at"]) > up + 1],
        "it fires again",
    )
    runs = sorted(all_runs(server, task="tick"), key=lambda run: run["scheduled_for"])
    nominal = [instant(run["scheduled_for"]) for run in runs]
    assert nominal == [nominal[0] + i / 2 for i in range(len(nominal))], "an occurrence without a record, or with two"
    caught = [run for run in runs if run["trigger"] == "catch_up"]
    missed = [run for run in runs if run["state"] == "missed"]
    assert all("not running" in run["reason"] for run in missed)
    if kept == 100:
        assert missed == []
        assert len(caught) >= 4
    else:
        assert len(missed) >= 3
        assert len(caught) == kept
        assert all(run["scheduled_for"] > missed[-1]["scheduled_for"] for run in caught)
    for run in caught:
        assert wait_final(server, run["id"])["state"] == "succeeded"


def test_while_much_is_caught_up_the_server_answers_and_fires_on_time(
    server_factory: Factory, receiver: Receiver
) -> None:
    server = server_factory(config="catch_up_per_s: 20\n")
    tasks = {f"tick-{i}": http_task(receiver.url("/tick"), schedule={"every": "100ms"}) for i in range(60)}
    tasks["all"] = http_task(receiver.url("/all"), schedule={"every": "100ms"}, catch_up={"policy": "all"})
    answer = server.api.post("/v1/apply", json={"version": 1, "tasks": tasks})
    assert answer.status_code == 200, answer.text
    receiver.wait("/all")
    away(server, 4.0)
    paused = server.api.post("/v1/tasks/tick-0/pause", json={"reason": "enough"})
    assert paused.status_code == 200
    wait_state(server, create_run(server, http_task(receiver.url("/fresh")))["id"], "succeeded")
    wait_for(
        lambda: (
            len([run for run in all_runs(server, task="all", state="succeeded") if run["trigger"] == "catch_up"]) >= 30
        ),
        "the outage is caught up",
    )
    started = sorted(
        instant(run["started_at"])
        for i in [*(f"tick-{i}" for i in range(60)), "all"]
        for run in all_runs(server, task=i)
        if run["trigger"] == "catch_up" and run["started_at"]
    )
    for first, later in zip(started, started[20:], strict=False):
        assert later - first >= 0.999, "more than 20 in a second"
