"""A monitor expects a job that runs elsewhere to check in."""

from typing import Any

import httpx
import pytest

from support.receiver import Receiver
from support.server import Server
from support.waiting import instant, wait_for
from support.words import all_runs, get_run, http_task, problem, put_task, wait_state


def monitor(every: str = "1s", **more: Any) -> dict[str, Any]:
    return {"schedule": {"every": every}, "monitor": {"grace": "1h"}, **more}


def check_in(server: Server, name: str = "backup", **body: Any) -> dict[str, Any]:
    answer = server.api.post(f"/v1/checkins/{name}", json=body)
    assert answer.status_code in (200, 201), answer.text
    return answer.json()


def wait_expected(server: Server, name: str = "backup") -> dict[str, Any]:
    """Waits until an occurrence expects its check-in."""

    def there() -> dict[str, Any] | None:
        found = [run for run in all_runs(server, task=name) if run["state"] == "scheduled"]
        return found[0] if found else None

    return wait_for(there, "an occurrence has come")


def test_a_check_in_without_a_body_is_a_success(server: Server) -> None:
    put_task(server, "backup", monitor())
    wait_expected(server)
    answer = server.api.post("/v1/checkins/backup")
    assert answer.status_code == 200, answer.text
    run = get_run(server, answer.json()["id"])
    assert (run["state"], run["trigger"]) == ("succeeded", "schedule")
    (attempt,) = run["attempts"]
    assert attempt["outcome"] == "succeeded"
    assert attempt["lateness_ms"] >= 0


def test_start_and_end_are_one_run_over_a_crash(server: Server) -> None:
    put_task(server, "backup", monitor())
    wait_expected(server)
    started = check_in(server, status="start")
    assert started["state"] == "running"
    server.kill()
    server.start()
    assert get_run(server, started["id"])["state"] == "running"
    ended = check_in(server, status="success", message="12 GiB")
    assert (ended["id"], ended["state"]) == (started["id"], "succeeded")
    assert get_run(server, started["id"])["attempts"][0]["response"] == "12 GiB"


def test_a_failure_is_a_dead_letter_with_the_jobs_words(server: Server) -> None:
    put_task(server, "backup", monitor())
    wait_expected(server)
    run = check_in(server, status="failure", message="no space left", duration_ms=1500)
    assert run["state"] == "failed"
    assert "no space left" in run["reason"]
    assert instant(run["finished_at"]) - instant(run["started_at"]) == pytest.approx(1.5, abs=0.01)
    (letter,) = server.api.get("/v1/dead-letters").json()["dead_letters"]
    assert letter["run"] == run["id"]
    refusal = problem(server.api.post(f"/v1/runs/{run['id']}/retry", json={}), 409)
    assert "runs elsewhere" in refusal["detail"]


def test_what_does_not_come_is_missed_and_told(server: Server, receiver: Receiver) -> None:
    put_task(server, "backup", monitor(monitor={"grace": "1s"}, notify={"url": receiver.url("/alerts")}))
    body = receiver.wait("/alerts")[0].json()
    assert body["type"] == "task.missed"
    assert "no check-in came within 1s of" in body["reasons"][0]["reason"]
    missed = get_run(server, body["first_run"])
    assert missed["state"] == "missed"
    assert instant(missed["finished_at"]) >= instant(missed["scheduled_for"]) + 1


def test_a_start_without_an_end_fails(server: Server) -> None:
    put_task(server, "backup", monitor(monitor={"grace": "1h", "max_duration": "1s"}))
    wait_expected(server)
    run = check_in(server, status="start")
    assert "not as ended within 1s" in wait_state(server, run["id"], "failed")["reason"]


def test_an_unexpected_check_in_is_a_run_of_its_own(server: Server) -> None:
    put_task(server, "backup", monitor("8760h"))
    answer = server.api.post("/v1/checkins/backup", json={"status": "success"})
    assert answer.status_code == 201, answer.text
    assert (answer.json()["trigger"], answer.json()["state"]) == ("api", "succeeded")
    assert answer.headers["location"] == f"/v1/runs/{answer.json()['id']}"


def test_the_same_key_checks_in_once(server: Server) -> None:
    put_task(server, "backup", monitor("8760h"))
    answers = [server.api.post("/v1/checkins/backup", headers={"Idempotency-Key": "k"}) for _ in range(2)]
    assert answers[0].json()["id"] == answers[1].json()["id"]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert len(all_runs(server, task="backup")) == 1
    put_task(server, "often", monitor())
    wait_expected(server, "often")
    answers = [server.api.post("/v1/checkins/often", headers={"Idempotency-Key": "l"}) for _ in range(2)]
    assert answers[0].json() == answers[1].json()
    assert [answer.status_code for answer in answers] == [200, 200]


def test_a_running_one_can_be_canceled(server: Server) -> None:
    put_task(server, "backup", monitor("8760h"))
    run = check_in(server, status="start")["id"]
    assert server.api.post(f"/v1/runs/{run}/cancel", json={}).status_code == 200
    assert get_run(server, run)["state"] == "canceled"
    problem(server.api.post("/v1/checkins/backup", json={"run": run}), 409, pointer="/run")


def refused(server: Server, name: str, body: Any, status: int, pointer: str | None = None) -> None:
    answer: httpx.Response = server.api.post(f"/v1/checkins/{name}", json=body)
    problem(answer, status, pointer=pointer)


def test_a_check_in_for_nothing_changes_nothing(server: Server) -> None:
    put_task(server, "backup", monitor("8760h"))
    put_task(server, "webhook", http_task("http://127.0.0.1:9/"))
    refused(server, "nobody", {}, 404)
    refused(server, "webhook", {}, 409)
    refused(server, "backup", {"run": "run_0c4x9k2m1p7qz"}, 404, "/run")
    problem(server.api.post("/v1/tasks/backup/runs", json={}), 409)
    assert server.api.post("/v1/tasks/backup/pause", json={"reason": "it moves"}).status_code == 200
    refused(server, "backup", {}, 409)
    assert all_runs(server) == []


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"status": "done"}, "/status"),
        ({"status": "start", "duration_ms": 5}, "/duration_ms"),
        ({"duration_ms": -1}, "/duration_ms"),
        ({"duration_ms": "5"}, "/duration_ms"),
        ({"run": "x"}, "/run"),
        ({"message": 7}, "/message"),
        ({"message": "x" * 4001}, "/message"),
        ({"state": "success"}, "/state"),
    ],
)
def test_a_wrong_check_in_is_refused_with_its_place(shared_server: Server, body: Any, pointer: str) -> None:
    put_task(shared_server, "backup", monitor("8760h"))
    refused(shared_server, "backup", body, 400, pointer)


def test_a_monitor_says_when_and_nothing_about_what_is_started(shared_server: Server) -> None:
    put = shared_server.api.put
    problem(put("/v1/tasks/m", json={"monitor": {}}), 400, pointer="/schedule")
    problem(put("/v1/tasks/m", json=monitor(timeout="5s")), 400, pointer="/timeout")
    problem(put("/v1/tasks/m", json=monitor(command=["true"])), 400, pointer="/monitor")
    problem(shared_server.api.post("/v1/runs", json={"monitor": {}}), 400, pointer="/monitor")


def test_the_command_line_checks_in_and_shows_it(server: Server) -> None:
    put_task(server, "backup", monitor("8760h"))
    assert "none yet" in server.cli("task", "backup").stdout
    assert "running" in server.cli("checkin", "backup", "--start").stdout
    assert server.cli("checkin", "backup", "--start", "--failure").returncode == 2
    done = server.cli("checkin", "backup", "--failure", "--message", "no space left")
    assert done.returncode == 0
    assert "failed" in done.stdout
    assert "failed" in server.cli("task", "backup").stdout
    assert server.cli("checkin", "nobody").returncode == 4
