"""Commands as targets: only where allowed, captured, limited, and gone when their time is over."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from support.server import Factory, Server, pid_is_gone
from support.waiting import wait_for
from support.words import all_runs, command_task, create_run, get_run, problem, put_task, wait_final, wait_state

REFUSED = command_task("/bin/true")


@pytest.fixture
def commanding(server_factory: Factory) -> Server:
    return server_factory("--allow-commands")


def run_command(server: Server, *argv: str, **more: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    done = wait_final(server, create_run(server, command_task(*argv, **more))["id"])
    return done, done["attempts"][0]


def pids_in(path: Path, count: int) -> list[int]:
    def all_there() -> list[int] | None:
        found = [int(word) for word in path.read_text().split()] if path.exists() else []
        return found if len(found) >= count else None

    return wait_for(all_there, f"{count} process ids in {path.name}")


def test_commands_are_forbidden_unless_allowed(server: Server) -> None:
    problem(server.api.put("/v1/tasks/no", json=REFUSED), 403)
    problem(server.api.post("/v1/runs", json=REFUSED), 403)
    problem(server.api.post("/v1/runs/batch", json=[REFUSED]), 403)
    problem(server.api.post("/v1/apply", json={"version": 1, "tasks": {"no": REFUSED}}), 403)
    assert all_runs(server) == []
    problem(server.api.get("/v1/tasks/no"), 404)


def test_a_command_of_the_past_does_not_run_where_it_is_no_longer_allowed(commanding: Server, tmp_path: Path) -> None:
    proof = tmp_path / "proof"
    run = create_run(commanding, {**command_task("/usr/bin/touch", str(proof)), "delay": "2s"})
    commanding.stop()
    commanding.arguments.clear()
    commanding.start()
    done = wait_final(commanding, run["id"])
    assert done["state"] == "failed"
    assert not proof.exists()


def test_output_and_exit_code_are_kept(commanding: Server) -> None:
    done, attempt = run_command(commanding, "/bin/sh", "-c", "echo out; echo err >&2; exit 0")
    assert done["state"] == "succeeded"
    assert attempt["status"] == 0
    assert "out" in attempt["response"]
    assert "err" in attempt["response"]


def test_another_exit_code_is_a_failure(commanding: Server) -> None:
    done, attempt = run_command(commanding, "/bin/sh", "-c", "echo broken >&2; exit 3")
    assert done["state"] == "failed"
    assert attempt["outcome"] == "failed"
    assert attempt["status"] == 3
    assert "3" in attempt["error"]


def test_an_expected_exit_code_is_a_success(commanding: Server) -> None:
    done, _ = run_command(commanding, "/bin/sh", "-c", "exit 3", expect={"exit_code": 3})
    assert done["state"] == "succeeded"


def test_a_command_killed_by_a_signal_is_a_failure(commanding: Server) -> None:
    done, attempt = run_command(commanding, "/bin/sh", "-c", "kill -SEGV $$")
    assert done["state"] == "failed"
    assert attempt["error"]


def test_a_command_that_is_not_there_is_refused(commanding: Server) -> None:
    done, attempt = run_command(commanding, "/no/such/program")
    assert done["state"] == "failed"
    assert attempt["outcome"] == "refused"
    assert "/no/such/program" in attempt["error"]


def test_no_shell_reads_the_arguments(commanding: Server) -> None:
    _, attempt = run_command(commanding, "/bin/echo", "$HOME", "; ls", "*", "a  b")
    assert attempt["response"] == "$HOME ; ls * a  b\n"


def test_env_cwd_and_stdin_are_as_defined(commanding: Server, tmp_path: Path) -> None:
    target = {
        "argv": ["/bin/sh", "-c", "echo $COLOUR; pwd; cat"],
        "env": {"COLOUR": "green"},
        "cwd": str(tmp_path),
        "stdin": "from stdin",
    }
    run = create_run(commanding, {"command": target})
    done = wait_final(commanding, run["id"])
    assert done["attempts"][0]["response"] == f"green\n{tmp_path}\nfrom stdin"


def test_the_payload_comes_on_standard_input(commanding: Server) -> None:
    done, _ = run_command(commanding, "/bin/cat", payload={"n": 1})
    assert done["result"] == {"n": 1}


def test_a_command_that_does_not_read_its_input_is_fine(commanding: Server) -> None:
    done, _ = run_command(commanding, "/bin/true", payload={"text": "x" * 200_000})
    assert done["state"] == "succeeded"


def test_long_output_is_kept_in_part_and_stops_nobody(commanding: Server) -> None:
    done, attempt = run_command(commanding, "/bin/sh", "-c", "yes | head -c 5000000")
    assert done["state"] == "succeeded"
    assert 0 < len(attempt["response"]) < 1_000_000


def test_output_that_is_no_text_does_no_harm(commanding: Server) -> None:
    done, _ = run_command(commanding, "/bin/sh", "-c", r"printf 'a\000b\377\376c'")
    assert done["state"] == "succeeded"
    assert all_runs(commanding)[0]["id"] == done["id"]


def test_the_timeout_ends_the_whole_group(commanding: Server, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    script = f"sleep 300 & echo $! >> {pids}; echo $$ >> {pids}; wait"
    done, attempt = run_command(commanding, "/bin/sh", "-c", script, timeout="1s")
    assert done["state"] == "failed"
    assert attempt["outcome"] == "timed_out"
    assert attempt["response_time_ms"] >= 1000
    for pid in pids_in(pids, 2):
        wait_for(lambda pid=pid: pid_is_gone(pid), f"process {pid} is gone")


def test_a_group_that_ignores_sigterm_is_killed(commanding: Server, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    child = f"(trap '' TERM; echo $$ >> {pids}; while :; do sleep 1; done)"
    script = f"trap '' TERM; {child} & echo $! >> {pids}; wait; wait"
    done, attempt = run_command(commanding, "/bin/sh", "-c", script, timeout="500ms")
    assert done["state"] == "failed"
    assert attempt["outcome"] == "timed_out"
    for pid in pids_in(pids, 2):
        wait_for(lambda pid=pid: pid_is_gone(pid), f"process {pid} is gone")


def test_a_child_that_keeps_the_pipe_does_not_hold_the_run(commanding: Server, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    script = f"sleep 30 & echo $! >> {pids}; echo done"
    done, attempt = run_command(commanding, "/bin/sh", "-c", script, timeout="10s")
    (left,) = pids_in(pids, 1)
    if not pid_is_gone(left):
        os.kill(left, signal.SIGKILL)
    assert "done" in attempt["response"]
    assert done["finished_at"]
    assert attempt["response_time_ms"] < 25_000, "the run was held until the child let go"


def test_a_canceled_command_is_ended(commanding: Server, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    script = f"echo $$ >> {pids}; sleep 300"
    run = create_run(commanding, command_task("/bin/sh", "-c", script, timeout="10m"))
    (pid,) = pids_in(pids, 1)
    assert commanding.api.post(f"/v1/runs/{run['id']}/cancel", json={}).status_code == 200
    assert wait_final(commanding, run["id"])["state"] == "canceled"
    wait_for(lambda: pid_is_gone(pid), f"process {pid} is gone")


def test_a_canceled_command_shows_what_it_did_until_then(commanding: Server, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    script = f"echo half done; echo $$ >> {pids}; sleep 300"
    run = create_run(commanding, command_task("/bin/sh", "-c", script, timeout="10m"))
    pids_in(pids, 1)
    assert commanding.api.post(f"/v1/runs/{run['id']}/cancel", json={}).status_code == 200

    def reported() -> dict[str, Any] | None:
        (attempt,) = get_run(commanding, run["id"])["attempts"]
        return attempt if attempt["response_time_ms"] is not None else None

    attempt = wait_for(reported, "its report is there")
    assert attempt["outcome"] == "canceled"
    assert attempt["lateness_ms"] is not None
    assert attempt["response"] == "half done\n"


def test_a_report_tells_of_cache_and_database(commanding: Server) -> None:
    script = """echo '{"cache": "hit", "db_calls": 4, "db_time_ms": 12.5}' > "$PUNCTUAL_REPORT" """
    done, attempt = run_command(commanding, "/bin/sh", "-c", script)
    assert done["state"] == "succeeded"
    assert attempt["cache"] == "warm"
    assert attempt["db_calls"] == 4
    assert attempt["db_time_ms"] == 12.5


USELESS = {
    "": None,
    "no json": "line 1, column ",
    "[]": "must be an object",
    '{"db_calls": -1}': "/db_calls must be",
    '{"cache": 7}': "/cache must be",
    '{"db_calls": "many"}': "/db_calls must be",
    '{"db_time_ms": ""}': "/db_time_ms must be",
}


@pytest.mark.parametrize("report", USELESS)
def test_a_useless_report_is_as_none_and_told(commanding: Server, report: str) -> None:
    script = f"printf '%s' '{report}' > \"$PUNCTUAL_REPORT\""
    done, attempt = run_command(commanding, "/bin/sh", "-c", script)
    assert done["state"] == "succeeded"
    assert attempt["cache"] == "unknown"
    assert attempt["db_calls"] is None
    assert attempt["db_time_ms"] is None
    wait_for(lambda: commanding.log_events("attempt"), "the attempt is in the log")
    told = commanding.log_events("report_ignored")
    words = USELESS[report]
    assert len(told) == (words is not None)
    for line in told:
        assert line["level"] == "warning"
        assert (line["run"], line["number"]) == (done["id"], 1)
        assert words in line["message"]


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ('head -c 65537 /dev/zero > "$PUNCTUAL_REPORT"', "larger than 64 KiB"),
        ('ln -sf /etc/passwd "$PUNCTUAL_REPORT"', "no plain file"),
        ('rm "$PUNCTUAL_REPORT"', None),
    ],
)
def test_a_file_that_is_no_report_is_told(commanding: Server, script: str, words: str | None) -> None:
    done, _ = run_command(commanding, "/bin/sh", "-c", script)
    assert done["state"] == "succeeded"
    wait_for(lambda: commanding.log_events("attempt"), "the attempt is in the log")
    assert [words in line["message"] for line in commanding.log_events("report_ignored")] == [True] * bool(words)


def test_no_descriptor_and_no_secret_leaks_into_a_command(commanding: Server) -> None:
    script = 'for fd in /proc/$$/fd/*; do readlink "$fd"; done; echo; env'
    _, attempt = run_command(commanding, "/bin/sh", "-c", script)
    links, _, environment = attempt["response"].partition("\n\n")
    for link in links.splitlines():
        assert not link.startswith(("socket:", "anon_inode:")), links
        assert "punctual.db" not in link, links
    assert commanding.secret not in environment


def test_a_command_is_retried(commanding: Server, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    retry = {"max_attempts": 3, "initial": "100ms"}
    script = f"test -e {mark} || {{ touch {mark}; exit 1; }}"
    done, _ = run_command(commanding, "/bin/sh", "-c", script, retry=retry)
    assert done["state"] == "succeeded"
    assert [attempt["status"] for attempt in done["attempts"]] == [1, 0]


def test_a_command_under_way_at_a_crash_is_tried_again(commanding: Server, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    retry = {"max_attempts": 3, "initial": "100ms"}
    script = f"test -e {mark} || {{ echo $$ > {mark}; sleep 20; }}"
    run = create_run(commanding, command_task("/bin/sh", "-c", script, retry=retry, timeout="60s"))
    wait_for(mark.exists, "the command runs")
    wait_state(commanding, run["id"], "running")
    commanding.kill()
    commanding.start()
    done = wait_final(commanding, run["id"])
    assert done["state"] == "succeeded"
    assert [attempt["outcome"] for attempt in done["attempts"]] == ["lost", "succeeded"]


def test_many_commands_at_once(commanding: Server) -> None:
    put_task(commanding, "many", command_task("/bin/echo", "hello"))
    answer = commanding.api.post("/v1/runs/batch", json=[{"task": "many"}] * 60)
    assert answer.status_code == 201
    for run in answer.json()["ids"]:
        assert wait_final(commanding, run)["state"] == "succeeded"
