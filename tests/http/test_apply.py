"""A whole set of definitions at once: plan, do, prune; JSON and YAML; all or nothing."""

import json
import re
from pathlib import Path
from typing import Any

import httpx

from support.server import Server
from support.words import all_of, get_task, http_task, problem, put_task

URL = "http://127.0.0.1:9/never"
YAML = {"Content-Type": "application/yaml"}


def apply(server: Server, tasks: dict[str, Any], **params: str) -> dict[str, Any]:
    answer = server.api.post("/v1/apply", json={"version": 1, "tasks": tasks}, params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


def apply_yaml(server: Server, text: str, **params: str) -> httpx.Response:
    return server.api.post("/v1/apply", content=text.encode(), headers=YAML, params=params)


def names(server: Server) -> list[str]:
    return [task["name"] for task in all_of(server, "/v1/tasks", "tasks")]


def actions(plan: dict[str, Any]) -> dict[str, str]:
    return {task["name"]: task["action"] for task in plan["tasks"]}


def counts(plan: dict[str, Any]) -> tuple[int, int, int, int]:
    return plan["created"], plan["changed"], plan["removed"], plan["unchanged"]


def test_a_set_is_created_and_applying_it_again_changes_nothing(server: Server) -> None:
    wanted = {"one": http_task(URL), "two": http_task(URL, summary="second")}
    plan = apply(server, wanted)
    assert plan["dry_run"] is False
    assert actions(plan) == {"one": "created", "two": "created"}
    assert counts(plan) == (2, 0, 0, 0)
    assert names(server) == ["one", "two"]
    again = apply(server, wanted)
    assert actions(again) == {"one": "unchanged", "two": "unchanged"}
    assert counts(again) == (0, 0, 0, 2)
    assert get_task(server, "two")["revision"] == 1


def test_a_change_is_shown_field_by_field(server: Server) -> None:
    apply(server, {"one": http_task(URL, schedule={"cron": "0 1 * * *"})})
    plan = apply(server, {"one": http_task(URL, schedule={"cron": "0 2 * * *"})})
    (task,) = plan["tasks"]
    assert task["action"] == "changed"
    assert task["revision"] == 2
    (change,) = task["changes"]
    assert change["field"] == "/schedule/cron"
    assert (change["before"], change["after"]) == ("0 1 * * *", "0 2 * * *")


def test_a_dry_run_answers_the_plan_and_changes_nothing(server: Server) -> None:
    apply(server, {"one": http_task(URL), "old": http_task(URL)})
    plan = apply(
        server,
        {"one": http_task(URL, summary="new"), "three": http_task(URL)},
        dry_run="true",
        prune="true",
    )
    assert plan["dry_run"] is True
    assert actions(plan) == {"one": "changed", "three": "created", "old": "removed"}
    assert counts(plan) == (1, 1, 1, 0)
    assert names(server) == ["old", "one"]
    assert get_task(server, "one")["revision"] == 1


def test_what_is_not_in_the_set_stays_without_prune(server: Server) -> None:
    apply(server, {"one": http_task(URL), "old": http_task(URL)})
    plan = apply(server, {"one": http_task(URL)})
    assert counts(plan) == (0, 0, 0, 1)
    assert names(server) == ["old", "one"]


def test_what_is_not_in_the_set_goes_with_prune(server: Server) -> None:
    apply(server, {"one": http_task(URL), "old": http_task(URL)})
    plan = apply(server, {"one": http_task(URL)}, prune="true")
    assert actions(plan) == {"one": "unchanged", "old": "removed"}
    assert names(server) == ["one"]
    problem(server.api.get("/v1/tasks/old"), 404)


def test_a_set_comes_as_yaml_with_defaults(server: Server) -> None:
    text = f"""
version: 1
defaults: {{timezone: Europe/Berlin, retry: {{max_attempts: 7}}}}
tasks:
  nightly-invoices:
    summary: Create the invoices for the day before
    schedule: {{cron: "30 2 * * *", dst_gap: run, dst_overlap: first, jitter: 5m}}
    http: {{method: POST, url: "{URL}", headers: {{X-Team: billing}}}}
    payload: {{kind: daily}}
    timeout: 10m
    expect: {{status: 200, json: {{/ok: true}}, max_duration: 2m}}
    runbook:
      owner: billing@example.com
      expected_input: kind is daily or monthly
"""
    answer = apply_yaml(server, text)
    assert answer.status_code == 200, answer.text
    definition = get_task(server, "nightly-invoices")["definition"]
    assert definition["schedule"]["timezone"] == "Europe/Berlin"
    assert definition["retry"]["max_attempts"] == 7
    assert definition["payload"] == {"kind": "daily"}
    assert definition["runbook"]["owner"] == "billing@example.com"


def test_yaml_and_json_mean_the_same(server: Server) -> None:
    apply(server, {"one": http_task(URL, schedule={"every": "15m"}, payload={"n": 1, "s": "1"})})
    text = f"""
version: 1
tasks:
  one:
    http: {{method: POST, url: "{URL}"}}
    retry: {{max_attempts: 1}}
    timeout: 10s
    schedule: {{every: 15m}}
    payload: {{n: 1, s: "1"}}
"""
    plan = apply_yaml(server, text).json()
    assert actions(plan) == {"one": "unchanged"}


def test_one_wrong_task_stops_the_whole_set(server: Server) -> None:
    put_task(server, "old", http_task(URL))
    answer = server.api.post(
        "/v1/apply",
        json={"version": 1, "tasks": {"good": http_task(URL), "bad": http_task("ftp://example.com/")}},
        params={"prune": "true"},
    )
    problem(answer, pointer="/tasks/bad/http/url")
    assert names(server) == ["old"]


def test_every_fault_is_named_at_once(server: Server) -> None:
    answer = server.api.post(
        "/v1/apply",
        json={
            "version": 1,
            "tasks": {
                "a": http_task(URL, schedule={"cron": "61 * * * *"}),
                "b": http_task(URL, tmeout="3s"),
                "c": {"summary": "no target"},
            },
        },
    )
    body = problem(answer)
    pointers = {error["pointer"] for error in body["errors"]}
    assert "/tasks/a/schedule/cron" in pointers
    assert "/tasks/b/tmeout" in pointers
    assert any(pointer.startswith("/tasks/c") for pointer in pointers)


def test_a_fault_in_yaml_has_its_line_and_column(server: Server) -> None:
    text = f"""version: 1
tasks:
  good:
    http: {{url: "{URL}"}}
  bad:
    http: {{url: "{URL}"}}
    schedule:
      cron: "99 2 * * *"
"""
    body = problem(apply_yaml(server, text), pointer="/tasks/bad/schedule/cron")
    (error,) = [error for error in body["errors"] if error["pointer"] == "/tasks/bad/schedule/cron"]
    assert error["line"] == 8
    assert error["column"] == 13
    assert names(server) == []


def test_yaml_that_cannot_be_read_has_its_line_and_column(server: Server) -> None:
    body = problem(apply_yaml(server, "version: 1\ntasks:\n  a: [1, 2\n  b: {\n"))
    (error,) = body["errors"][:1]
    assert error["line"] >= 3
    assert error["column"] >= 1


def test_a_repeated_task_in_yaml_is_a_fault(server: Server) -> None:
    text = f"""version: 1
tasks:
  one:
    http: {{url: "{URL}"}}
  one:
    http: {{url: "{URL}/other"}}
"""
    body = problem(apply_yaml(server, text))
    assert any(error.get("line") == 5 for error in body["errors"]), body
    assert names(server) == []


def test_no_version_or_a_wrong_one_is_refused(server: Server) -> None:
    body = problem(server.api.post("/v1/apply", json={"tasks": {}}), pointer="")
    assert "version" in body["errors"][0]["detail"]
    problem(server.api.post("/v1/apply", json={"version": 2, "tasks": {}}), pointer="/version")


def test_removing_everything_needs_an_explicit_empty_set(server: Server) -> None:
    put_task(server, "old", http_task(URL))
    problem(server.api.post("/v1/apply", json={"version": 1}, params={"prune": "true"}))
    assert names(server) == ["old"]


def test_a_schedule_that_never_comes_again_is_noted(server: Server, tmp_path: Path) -> None:
    over = [
        {"cron": "0 0 12 1 1 * 2020"},
        {"at": "2020-12-24T18:00:00Z"},
        {"every": "1h", "end": "2020-01-01T00:00:00Z"},
    ]
    wanted = {f"over-{n}": http_task(URL, schedule=schedule) for n, schedule in enumerate(over)}
    wanted |= {
        "one-left": http_task(URL, schedule=[over[0], {"every": "1h"}]),
        "triggered": http_task(URL),
    }
    file = tmp_path / "punctual.yaml"
    file.write_text(json.dumps({"version": 1, "tasks": wanted}))
    note = "never again: no occurrence of its schedule is left"
    for command in ("diff", "apply"):
        lines = server.cli(command, str(file)).stdout.splitlines()
        assert [lines[i - 1].split()[-1] for i, line in enumerate(lines) if line == f"    note: {note}"] == [
            "over-0",
            "over-1",
            "over-2",
        ]
    assert "note" not in apply(server, wanted)["tasks"][0], "unchanged: it was said before"
    wanted["over-1"]["summary"] = "x"
    rows = {row["name"]: row for row in apply(server, wanted, dry_run="true")["tasks"]}
    assert [name for name, row in rows.items() if "note" in row] == ["over-1"]
    assert rows["over-1"]["note"] == note
    assert re.search(rf"^ +next +{note}$", server.cli("task", "over-1").stdout, re.MULTILINE)
    for name in ("one-left", "triggered"):
        assert "never again" not in server.cli("task", name).stdout
