"""Stopping with SIGTERM: what runs is finished, up to a limit."""

import re
import time

import pytest

from support.receiver import Answer, Receiver
from support.server import ROOT, Factory, Server
from support.waiting import wait_for
from support.words import create_run, get_run, http_task, put_task, quick_retry, wait_final


def test_an_idle_server_stops_with_0(server: Server) -> None:
    server.stop()


def test_what_runs_is_finished_first(server: Server, receiver: Receiver) -> None:
    receiver.script("/slow", Answer(delay=1.5))
    run = create_run(server, http_task(receiver.url("/slow")))
    receiver.wait("/slow")
    server.stop()
    server.start()
    done = get_run(server, run["id"])
    assert done["state"] == "succeeded"
    assert len(receiver.at("/slow")) == 1


def test_what_hangs_is_cut_at_the_limit_and_tried_again(server_factory: Factory, receiver: Receiver) -> None:
    server = server_factory(config="drain: 1s\n")
    receiver.script("/slow", Answer(hang=True), Answer())
    run = create_run(server, http_task(receiver.url("/slow"), timeout="10m", retry=quick_retry(3)))
    receiver.wait("/slow")
    server.stop()
    server.start()
    done = wait_final(server, run["id"])
    assert done["state"] == "succeeded"
    assert [attempt["number"] for attempt in done["attempts"]] == [1, 2]
    assert done["attempts"][0]["outcome"] in ("lost", "canceled")


def test_nothing_new_is_started_while_it_stops(server_factory: Factory, receiver: Receiver) -> None:
    server = server_factory(config="drain: 3s\n")
    receiver.script("/slow", Answer(delay=2.5))
    put_task(server, "tick", http_task(receiver.url("/tick"), schedule={"every": "1s"}))
    create_run(server, http_task(receiver.url("/slow")))
    receiver.wait("/slow")
    server.terminate()
    at = time.time()
    assert server.wait_exit() == 0
    late = [request for request in receiver.at("/tick") if request.time > at + 1.2]
    assert late == []


def test_an_open_event_stream_does_not_hold_it(server: Server) -> None:
    with server.api.stream("GET", "/v1/events") as answer:
        assert answer.status_code == 200
        server.terminate()
        assert server.wait_exit(15) == 0


def test_a_second_start_finds_everything_again(server: Server, receiver: Receiver) -> None:
    put_task(server, "tick", http_task(receiver.url("/tick"), schedule={"every": "1s"}))
    receiver.wait("/tick")
    server.stop()
    server.start()
    back = time.time()
    wait_for(lambda: [request for request in receiver.at("/tick") if request.time > back], "it fires again")


@pytest.mark.parametrize("count", [5])
def test_starting_and_stopping_again_and_again(server_factory: Factory, count: int) -> None:
    server = server_factory(start=False)
    for _ in range(count):
        server.start()
        assert server.api.get("/health").status_code == 200
        server.stop()


def test_systemd_does_not_start_again_what_is_configured_wrongly(server_factory: Factory) -> None:
    unit = (ROOT / "packaging" / "punctual.service").read_text()
    final = re.search(r"^RestartPreventExitStatus=(.*)$", unit, re.MULTILINE)
    assert final
    server = server_factory(start=False, config="drain: soon\n")
    server.launch()
    assert str(server.wait_exit()) in final[1].split()
    server.set_config(None)
    tasks = server.folder / "tasks.yaml"
    tasks.write_text("version: 1\ntasks: {a: {schedule: {cron: never}}}\n")
    server.arguments += ["--apply", str(tasks)]
    server.launch()
    assert str(server.wait_exit()) in final[1].split()
