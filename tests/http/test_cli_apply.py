"""The command line, against an API with canned answers: apply and diff."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from support.cli import environment, punctual
from support.fake_api import Answer, FakeApi, problem
from support.server import binary

FILE = """version: 1
tasks:
  nightly-invoices:
    schedule: {cron: "61 2 * * *"}
    http:
      url: "${APP_URL}/invoices"
"""


def plan(**counts: int) -> dict[str, Any]:
    changes = [{"field": "/schedule/cron", "before": "30 2 * * *", "after": "0 3 * * *"}]
    tasks = [
        {"name": "health", "action": "created", "revision": 1, "changes": []},
        {"name": "nightly-invoices", "action": "changed", "revision": 4, "changes": changes},
        {"name": "same", "action": "unchanged", "revision": 1, "changes": []},
    ]
    return {
        "dry_run": False,
        "tasks": tasks,
        "created": 1,
        "changed": 1,
        "removed": 0,
        "unchanged": 1,
    } | counts


@pytest.fixture
def file(tmp_path: Path) -> str:
    (tmp_path / "punctual.yaml").write_text(FILE)
    return str(tmp_path / "punctual.yaml")


def test_apply_reads_the_file_with_the_callers_environment_and_sends_json(api: FakeApi, file: str) -> None:
    api.on("POST /v1/apply", Answer(200, plan()))
    done = punctual(api, "apply", file, "--prune", "--note", "a & b", APP_URL="https://app.example.com")
    assert done.returncode == 0, done.stderr
    asked = api.asked[-1]
    assert asked.query == {"prune": "true", "note": "a & b"}
    assert asked.headers["Content-Type"] == "application/json"
    assert asked.body["tasks"]["nightly-invoices"]["http"]["url"] == "https://app.example.com/invoices"
    assert done.stdout == (
        "created health\n"
        "changed nightly-invoices\n"
        "    /schedule/cron\n"
        '      - "30 2 * * *"\n'
        '      + "0 3 * * *"\n'
        "1 created, 1 changed, 1 unchanged\n"
    )


def test_apply_reads_punctual_yaml_of_the_folder_or_standard_input(api: FakeApi, tmp_path: Path) -> None:
    api.on("POST /v1/apply", Answer(200, plan(created=0, changed=0)))
    assert punctual(api, "apply", "-", stdin="version: 1\ntasks: {}\n").returncode == 0
    assert api.asked[-1].body == {"version": 1, "tasks": {}}
    (tmp_path / "punctual.yaml").write_text("version: 1\n")
    done = subprocess.run([binary(), "apply"], cwd=tmp_path, env=environment(api, {}), timeout=30, check=False)
    assert done.returncode == 0
    assert api.asked[-1].body == {"version": 1}


def test_diff_is_a_dry_run_whose_exit_code_tells(api: FakeApi, file: str) -> None:
    api.on("POST /v1/apply", Answer(200, plan(dry_run=True)))
    done = punctual(api, "diff", file, APP_URL="x")
    assert done.returncode == 1
    assert api.asked[-1].query == {"dry_run": "true"}
    assert "would change nightly-invoices" in done.stdout
    assert "nothing was done yet" in done.stdout
    same = {"dry_run": True, "tasks": [], "created": 0, "changed": 0, "removed": 0, "unchanged": 3}
    api.on("POST /v1/apply", Answer(200, same))
    done = punctual(api, "diff", file, APP_URL="x")
    assert (done.returncode, done.stdout) == (0, "3 unchanged\n")


def test_a_definition_that_the_server_refuses_is_shown_with_line_and_column(api: FakeApi, file: str) -> None:
    errors = [{"pointer": "/tasks/nightly-invoices/schedule/cron", "detail": "a minute is 0 to 59"}]
    api.on(
        "POST /v1/apply",
        problem(400, "The request makes no sense", "the set has errors; nothing was changed", errors),
    )
    for command in ("apply", "diff"):
        done = punctual(api, command, file, APP_URL="x")
        assert done.returncode == 1
        assert "nothing was changed" in done.stderr
        place = f"{file}:4:22: /tasks/nightly-invoices/schedule/cron: a minute is 0 to 59"
        assert place in done.stderr, done.stderr


def test_a_file_that_is_no_yaml_never_leaves_the_machine(api: FakeApi, file: str) -> None:
    done = punctual(api, "apply", file)  # APP_URL is not set
    assert done.returncode == 1
    assert f"{file}:6:" in done.stderr
    assert "APP_URL" in done.stderr
    assert api.asked == []


def test_with_json_a_fault_is_a_problem_document_whoever_finds_it(api: FakeApi, file: str) -> None:
    pointer = "/tasks/nightly-invoices/schedule/cron"
    errors = [{"pointer": pointer, "detail": "a minute is 0 to 59", "line": 1, "column": 77}]
    api.on("POST /v1/apply", problem(400, "The request makes no sense", "the set has errors", errors))
    for command in ("apply", "diff"):
        local = json.loads(punctual(api, command, file, "--json").stdout)  # APP_URL is not set
        served = json.loads(punctual(api, command, file, "--json", APP_URL="x").stdout)
        assert local.keys() <= served.keys()
        assert local["status"] == 400
        assert "nothing was changed" in local["detail"]
        (found,) = local["errors"]
        assert found["line"] == 6
        assert "APP_URL" in found["detail"]
        assert served["errors"] == [{"pointer": pointer, "detail": "a minute is 0 to 59", "line": 4, "column": 22}]


def test_standard_input_is_called_that_whoever_finds_the_fault(api: FakeApi) -> None:
    assert "standard input:1:10: " in punctual(api, "apply", "-", stdin="version: [1\n").stderr
    errors = [{"pointer": "/version", "detail": "must be 1"}]
    api.on("POST /v1/apply", problem(400, "The request makes no sense", "the set has errors", errors))
    assert "standard input:1:10: " in punctual(api, "apply", "-", stdin="version: 2\n").stderr


def test_a_refusal_without_places_is_no_fault_of_the_file(api: FakeApi, file: str) -> None:
    api.on("POST /v1/apply", problem(403, "Not allowed", "commands are not allowed here"))
    assert punctual(api, "apply", file, APP_URL="x").returncode == 4
