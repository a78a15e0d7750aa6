"""A task's webhook is told when its runs fail, are missed, and when it recovers."""

import time
from typing import Any

import pytest

from support.receiver import Answer, Receiver, Request
from support.server import Factory, Server
from support.waiting import wait_for
from support.words import all_runs, get_run, http_task, problem, put_task, trigger, wait_final


def notify(receiver: Receiver, **more: Any) -> dict[str, Any]:
    return {"url": receiver.url("/alerts"), "cooldown": "3s", **more}


def run_once(server: Server, task: str) -> dict[str, Any]:
    return wait_final(server, trigger(server, task)["id"])


def answered(receiver: Receiver, count: int) -> list[Request]:
    return receiver.wait("/alerts", count)


def test_a_failure_and_the_recovery_are_told_by_signed_runs(server: Server, receiver: Receiver) -> None:
    receiver.script("/job", Answer(status=500), Answer(status=200))
    definition = http_task(receiver.url("/job"), notify=notify(receiver), runbook={"owner": "billing"})
    put_task(server, "job", definition)
    failed = run_once(server, "job")
    (first,) = answered(receiver, 1)
    body = first.json()
    assert body["type"] == "task.failing"
    assert body["task"] == "job"
    assert body["count"] == 1
    assert body["first_run"] == body["last_run"] == failed["id"]
    assert body["link"] == f"/v1/runs/{failed['id']}"
    assert body["owner"] == "billing"
    assert "500" in body["reasons"][0]["reason"]
    assert first.headers["webhook-signature"].startswith("v1,")

    notice = wait_final(server, first.run)
    assert (notice["trigger"], notice["task"], notice["state"]) == ("notice", None, "succeeded")
    run_once(server, "job")
    assert answered(receiver, 2)[1].json()["type"] == "task.recovered"


def test_failures_within_the_cool_down_are_told_together_after_a_crash_too(server: Server, receiver: Receiver) -> None:
    receiver.script("/job", Answer(status=500))
    put_task(server, "job", http_task(receiver.url("/job"), notify=notify(receiver)))
    run_once(server, "job")
    answered(receiver, 1)
    runs = [run_once(server, "job")["id"] for _ in range(5)]
    server.kill()
    server.start()
    body = answered(receiver, 2)[1].json()
    assert body["count"] == 5
    assert (body["first_run"], body["last_run"]) == (runs[0], runs[-1])
    assert len(receiver.at("/alerts")) == 2


def test_a_notice_is_tried_again_and_a_failing_one_causes_no_other(server: Server, receiver: Receiver) -> None:
    receiver.script("/job", Answer(status=500))
    receiver.script("/alerts", Answer(status=503), Answer(status=410))
    put_task(server, "job", http_task(receiver.url("/job"), notify=notify(receiver)))
    run_once(server, "job")
    first, second = answered(receiver, 2)
    assert first.run == second.run
    assert wait_final(server, first.run)["state"] == "failed"
    letters = server.api.get("/v1/dead-letters").json()["dead_letters"]
    assert {letter["trigger"] for letter in letters} == {"api", "notice"}
    assert len([run for run in all_runs(server) if run["trigger"] == "notice"]) == 1


def test_the_defaults_of_a_set_name_the_webhook_and_a_task_can_refuse_it(server: Server, receiver: Receiver) -> None:
    receiver.script("/job", Answer(status=500))
    tasks = {"told": http_task(receiver.url("/job")), "quiet": http_task(receiver.url("/job"), notify=None)}
    document = {"version": 1, "defaults": {"notify": notify(receiver)}, "tasks": tasks}
    assert server.api.post("/v1/apply", json=document).status_code == 200
    run_once(server, "quiet")
    run_once(server, "told")
    assert answered(receiver, 1)[0].json()["task"] == "told"
    told = [run["task"] for run in all_runs(server) if run["trigger"] == "notice"]
    assert len(told) == 1
    assert "notify" in server.cli("task", "told").stdout


def test_many_tasks_that_fail_together_make_few_posts_to_the_webhook_they_share(
    server_factory: Factory, receiver: Receiver
) -> None:
    server = server_factory(config="breaker: {failures: 0}\n")
    receiver.script("/job", Answer(status=500))
    names = [f"job-{i:02}" for i in range(30)]
    tasks = {name: http_task(receiver.url("/job")) for name in names}
    document = {"version": 1, "defaults": {"notify": notify(receiver)}, "tasks": tasks}
    assert server.api.post("/v1/apply", json=document).status_code == 200

    def run_all() -> None:
        for run in [trigger(server, name)["id"] for name in names]:
            wait_final(server, run)

    def told() -> list[dict[str, Any]]:
        return [request.json() for request in receiver.at("/alerts")]

    start = time.monotonic()
    run_all()
    wait_for(lambda: sum(body["count"] for body in told()) == len(names), "every failure is told", 20)
    assert len(told()) <= 2 + (time.monotonic() - start) / 3  # as many as there were cool-downs
    group = next(body for body in told() if body["type"] == "tasks.failing")
    assert group["task_count"] == group["failed"] > 1
    assert len(group["tasks"]) == min(20, group["task_count"])
    assert {task["task"] for task in group["tasks"]} < set(names)
    assert get_run(server, group["tasks"][0]["last_run"])["state"] == "failed"

    receiver.script("/job", Answer(status=200))
    failures, start = len(told()), time.monotonic()
    run_all()

    def recovered() -> int:
        return sum(body.get("recovered", 1) for body in told()[failures:])

    wait_for(lambda: recovered() == len(names), "every recovery is told", 20)
    assert "tasks.recovered" in {body["type"] for body in told()}
    assert len(told()) - failures <= 2 + (time.monotonic() - start) / 3


def test_a_missed_occurrence_is_told(server: Server, receiver: Receiver) -> None:
    definition = http_task(receiver.url("/job"), schedule={"every": "1s"}, notify=notify(receiver, on=["missed"]))
    put_task(server, "job", definition)
    receiver.wait("/job")
    server.stop()
    time.sleep(3.5)  # an outage that several occurrences fall into
    server.start()
    body = answered(receiver, 1)[0].json()
    assert body["type"] == "task.missed"
    assert body["missed"] == body["count"] >= 1
    assert get_run(server, body["last_run"])["state"] == "missed"


@pytest.mark.parametrize(
    ("value", "pointer"),
    [
        ("https://example.com", "/notify"),
        ({"on": ["failed"]}, "/notify/url"),
        ({"url": "ftp://example.com"}, "/notify/url"),
        ({"url": "https://example.com", "on": ["broken"]}, "/notify/on/0"),
        ({"url": "https://example.com", "cooldown": "1ms"}, "/notify/cooldown"),
        ({"url": "https://example.com", "to": "me"}, "/notify/to"),
    ],
)
def test_a_wrong_notify_is_refused_with_its_place(shared_server: Server, value: Any, pointer: str) -> None:
    answer = shared_server.api.put("/v1/tasks/x", json=http_task("http://127.0.0.1:9/", notify=value))
    problem(answer, 400, pointer=pointer)


def test_a_single_run_has_no_notify(shared_server: Server) -> None:
    body = http_task("http://127.0.0.1:9/", notify={"url": "https://example.com"})
    problem(shared_server.api.post("/v1/runs", json=body), 400, pointer="/notify")
