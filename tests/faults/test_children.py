"""Commands that do not want to go: none of their processes survives the end of the run, or of the server.

Each starts `sleep` with a number made up for the test, and is looked for by that number.
"""

import os
import secrets
import signal
from pathlib import Path
from typing import Any

import pytest

from support.processes import children, descriptors, marked
from support.receiver import Receiver
from support.server import Factory, Server, pid_is_gone
from support.waiting import wait_for
from support.words import command_task, create_run, wait_final, wait_state

# MARK is the time to sleep. What takes long enough to be killed at the timeout of 1 s; UP is a file that
# says that everything has been started.
HELD = {
    "ignores SIGTERM": "trap '' TERM; touch UP; while :; do sleep MARK; done",
    "ignores SIGTERM in a child": "(trap '' TERM; exec sleep MARK) & touch UP; wait; wait",
    "a child in a session of its own": "setsid sleep MARK & touch UP; wait",
    "a daemon, forked twice": "(setsid sh -c 'sleep MARK & sleep MARK' &) ; touch UP; exec sleep MARK",
    "a daemon without our environment": "(env -i setsid nohup sleep MARK >/dev/null 2>&1 &); touch UP; sleep MARK",
    "forks wildly": "i=0; while [ $i -lt 50 ]; do i=$((i+1)); (setsid sleep MARK &) & done; touch UP; sleep MARK",
    "forks a chain": "f() { [ $1 -gt 0 ] && (f $(($1-1))) & [ $1 = 20 ] || exec setsid sleep MARK; exec sleep MARK; };"
    " touch UP; f 20",
    "endless output": "touch UP; sleep MARK & exec yes",
    "closes its output and goes on": "exec >/dev/null 2>&1; touch UP; sleep MARK",
    "stops itself": "sleep MARK & touch UP; kill -STOP $$",
    "stops its keeper": "sleep MARK & setsid sleep MARK & touch UP; kill -STOP $PPID; wait",
}
# What ends by itself, and leaves something behind.
LEFT = {
    "holds the pipe": "sleep MARK &",
    "a session of its own": "setsid sleep MARK & sleep 0.1",
    "a daemon that lets go of everything": "(setsid sleep MARK </dev/null >/dev/null 2>&1 &) ; sleep 0.1",
    "fifty of them": "i=0; while [ $i -lt 50 ]; do i=$((i+1)); setsid sleep MARK & done; sleep 0.1",
}


@pytest.fixture
def commanding(server_factory: Factory) -> Server:
    return server_factory("--allow-commands")


@pytest.fixture
def mark() -> str:
    return f"{1000 + secrets.randbelow(1000)}.{secrets.randbelow(10**9):09d}"


def shell(script: str, mark: str, folder: Path, **more: Any) -> dict[str, Any]:
    return command_task("/bin/sh", "-c", script.replace("MARK", mark).replace("UP", str(folder / "up")), **more)


def nothing_lives(mark: str) -> bool:
    return all(pid_is_gone(pid) for pid in marked(mark))


@pytest.mark.parametrize("name", HELD)
def test_none_survives_the_timeout(commanding: Server, mark: str, tmp_path: Path, name: str) -> None:
    run = create_run(commanding, shell(HELD[name], mark, tmp_path, timeout="1s"))
    wait_for((tmp_path / "up").exists, "it has started everything")
    assert wait_for(lambda: marked(mark), "there is something to kill")
    done = wait_final(commanding, run["id"])
    assert done["state"] == "failed"
    assert done["attempts"][0]["outcome"] == "timed_out", done
    assert nothing_lives(mark), "what the record calls over was still alive"


@pytest.mark.parametrize("name", LEFT)
def test_none_survives_the_end(commanding: Server, mark: str, tmp_path: Path, name: str) -> None:
    done = wait_final(commanding, create_run(commanding, shell(LEFT[name], mark, tmp_path))["id"])
    assert done["state"] == "succeeded"
    assert done["attempts"][0]["response_time_ms"] < 5000
    assert nothing_lives(mark)


def test_none_survives_a_cancel(commanding: Server, mark: str, tmp_path: Path) -> None:
    run = create_run(commanding, shell(HELD["a daemon, forked twice"], mark, tmp_path, timeout="10m"))
    wait_for((tmp_path / "up").exists, "it has started everything")
    assert commanding.api.post(f"/v1/runs/{run['id']}/cancel", json={}).status_code == 200
    assert wait_final(commanding, run["id"])["state"] == "canceled"
    wait_for(lambda: nothing_lives(mark), "nothing of it lives")


@pytest.mark.parametrize("name", ["ignores SIGTERM", "a daemon, forked twice", "forks wildly", "stops itself"])
def test_none_survives_kill_9_of_the_server(commanding: Server, mark: str, tmp_path: Path, name: str) -> None:
    run = create_run(commanding, shell(HELD[name], mark, tmp_path, timeout="10m"))
    wait_for((tmp_path / "up").exists, "it has started everything")
    wait_for(lambda: marked(mark), "it lives")
    assert commanding.process is not None
    helpers = children(commanding.process.pid)
    commanding.kill()
    wait_for(lambda: nothing_lives(mark), "nothing of it lives")
    wait_for(lambda: all(pid_is_gone(pid) for pid in helpers), "the server's helpers are gone as well")
    commanding.start()
    done = wait_final(commanding, run["id"])
    assert [attempt["outcome"] for attempt in done["attempts"]] == ["lost"]


def test_none_survives_an_orderly_stop(server_factory: Factory, mark: str, tmp_path: Path) -> None:
    server = server_factory("--allow-commands", config="drain: 500ms\n")
    run = create_run(server, shell(HELD["a daemon without our environment"], mark, tmp_path, timeout="10m"))
    wait_for((tmp_path / "up").exists, "it has started everything")
    wait_state(server, run["id"], "running")
    server.stop()
    assert nothing_lives(mark)


def test_ctrl_c_at_the_terminal_lets_commands_finish(commanding: Server, mark: str, tmp_path: Path) -> None:
    """A signal to the server's whole process group must not reach its helpers first."""
    run = create_run(commanding, shell("touch UP; sleep 1; echo finished", mark, tmp_path))
    wait_for((tmp_path / "up").exists, "it runs")
    assert commanding.process is not None
    for pid in children(commanding.process.pid):
        os.kill(pid, signal.SIGINT)
        os.kill(pid, signal.SIGTERM)
    commanding.stop()
    commanding.start()
    assert wait_final(commanding, run["id"])["attempts"][0]["response"] == "finished\n"


def test_exit_by_each_signal_is_said(commanding: Server) -> None:
    for name in ("KILL", "SEGV", "ABRT", "PIPE", "USR1"):
        run = create_run(commanding, command_task("/bin/sh", "-c", f"kill -{name} $$"))
        attempt = wait_final(commanding, run["id"])["attempts"][0]
        assert attempt["outcome"] == "failed"
        assert attempt["error"] == f"killed by SIG{name}"


def test_a_huge_report_file_is_passed_over(commanding: Server) -> None:
    script = 'truncate -s 100G "$PUNCTUAL_REPORT"; echo done'
    done = wait_final(commanding, create_run(commanding, command_task("/bin/sh", "-c", script))["id"])
    assert done["state"] == "succeeded"
    assert done["attempts"][0]["db_calls"] is None


def test_hundreds_of_commands_leave_no_process_and_no_descriptor(commanding: Server) -> None:
    assert commanding.process is not None
    pid = commanding.process.pid
    commanding.api.get("/health")
    body = command_task("/bin/sh", "-c", "(setsid sleep 600 &) ; exit 0")
    wait_final(commanding, create_run(commanding, body)["id"])
    before, (nursery,) = descriptors(pid), children(pid)
    answer = commanding.api.post("/v1/runs/batch", json=[body] * 200)
    assert answer.status_code == 201
    for run in answer.json()["ids"]:
        assert wait_final(commanding, run)["state"] == "succeeded"
    wait_for(lambda: not children(nursery), "every keeper is gone")
    assert children(pid) == [nursery]
    assert descriptors(pid) <= before + 2
    assert descriptors(nursery) <= 6


def test_webhooks_stay_punctual_beside_bad_commands(
    commanding: Server, mark: str, tmp_path: Path, receiver: Receiver
) -> None:
    for _ in range(10):
        create_run(commanding, shell(HELD["endless output"], mark, tmp_path, timeout="2s"))
    wait_for((tmp_path / "up").exists, "they write")
    run = create_run(commanding, {"http": {"url": receiver.url("/good")}, "delay": "500ms", "timeout": "10s"})
    done = wait_final(commanding, run["id"])
    assert done["state"] == "succeeded"
    assert done["attempts"][0]["lateness_ms"] < 1000
    wait_for(lambda: nothing_lives(mark), "nothing of them lives")
