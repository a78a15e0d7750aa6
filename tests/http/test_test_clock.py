"""A test clock stands still, and time passes at request: from one due moment to the next, exactly."""

import itertools
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from support.receiver import Answer, Receiver
from support.server import Factory, Server
from support.travel import START, advance, ask, go_to, look, server_at
from support.waiting import instant, timestamp, wait_for
from support.words import all_runs, create_run, get_run, get_task, http_task, problem, put_task, trigger
from support.worker import Waiting, lease_one, queue_of, queue_task, say_one

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.fixture
def still(server_factory: Factory) -> Server:
    return server_at(server_factory)


def started(server: Server, **params: Any) -> list[str]:
    """When each attempt of each run began, in order."""
    runs = [get_run(server, run["id"]) for run in all_runs(server, **params)]
    return sorted(attempt["started_at"] for run in runs for attempt in run["attempts"])


def daily(url: str, **more: Any) -> dict[str, Any]:
    return http_task(url, schedule={"cron": "30 2 * * *", "timezone": "Europe/Berlin"}, **more)


# --- the flag ---


def test_a_server_with_a_real_clock_refuses_to_move_it(server: Server) -> None:
    for answer in (server.api.get("/v1/test/clock"), ask(server, advance="1d")):
        assert "--test-clock" in problem(answer, 403)["detail"]
    assert server.api.get("/ready").json()["checks"]["clock"]["test"] is False


def test_it_is_refused_where_others_could_reach_it(server_factory: Factory) -> None:
    server = server_factory(
        "--test-clock", start=False, listen="0.0.0.0:0", env={"PUNCTUAL_API_KEY": "a-key-for-this-test-only"}
    )
    server.launch()
    assert server.wait_exit() == 2
    assert "test_clock" in server.log_text()
    assert "127.0.0.1" in server.log_text()


@pytest.mark.parametrize("option", ["--test-clock=", "--test-clock=yesterday", "--test-clock=2026-10-01"])
def test_a_start_that_is_no_moment_is_refused(server_factory: Factory, option: str) -> None:
    server = server_factory(option, start=False)
    server.launch()
    assert server.wait_exit() == 2
    assert "2026-01-31T09:00:00+01:00" in server.log_text()


def test_it_stands_still_where_it_was_told_and_says_so(server_factory: Factory) -> None:
    server = server_at(server_factory, "2026-10-01T02:00:00+02:00")
    assert look(server) == {"now": "2026-10-01T00:00:00.000Z", "moving_to": None, "runs": 0, "under_way": []}
    (line,) = server.log_events("test_clock")
    assert line["level"] == "warning"
    (line,) = server.log_events("listening")
    assert line["test_clock"] == line["time"] == "2026-10-01T00:00:00.000Z"
    clock = server.api.get("/ready").json()["checks"]["clock"]
    assert clock["test"] is True
    assert "test clock" in clock["detail"]
    run = create_run(server, {"http": {"url": "http://127.0.0.1:9/"}, "delay": "1s"})
    assert run["created_at"] == "2026-10-01T00:00:00.000Z"


def test_without_a_moment_it_starts_with_the_second_that_it_is(server_factory: Factory) -> None:
    before = int(time.time())
    server = server_factory("--test-clock")
    now = instant(look(server)["now"])
    assert before <= now <= time.time()
    assert now == int(now)


def test_the_configuration_may_ask_for_it(server_factory: Factory) -> None:
    server = server_factory(config="test_clock: 2026-10-01T00:00:00Z\n")
    assert look(server)["now"] == "2026-10-01T00:00:00.000Z"


# --- schedules ---


def test_a_month_of_a_daily_task_passes_with_every_run_at_its_moment(still: Server, receiver: Receiver) -> None:
    put_task(still, "daily", daily(receiver.url("/daily")))
    answer = advance(still, "31d")
    assert answer == {"now": "2026-11-01T00:00:00.000Z", "moving_to": None, "runs": 31, "under_way": []}
    # The night of October 25th has its 2:30 twice; the task runs at the first of them.
    days = [datetime(2026, 10, 1, 2, 30, tzinfo=BERLIN) + timedelta(days=n) for n in range(31)]
    expected = [timestamp(day.astimezone(UTC).timestamp()) for day in days]
    assert expected[24] == "2026-10-25T00:30:00.000Z"
    assert expected[25] == "2026-10-26T01:30:00.000Z"
    assert started(still, task="daily") == expected
    sent = [request.headers["webhook-timestamp"] for request in receiver.at("/daily")]
    assert sent == [str(int(instant(moment))) for moment in expected]
    assert {run["state"] for run in all_runs(still)} == {"succeeded"}


def test_the_night_without_a_half_past_two_is_skipped_or_not_as_everywhere(server_factory: Factory) -> None:
    server = server_at(server_factory, "2026-03-28T12:00:00Z")
    put_task(server, "daily", daily("http://127.0.0.1:9/"))
    page = server.api.get("/v1/tasks/daily/upcoming").json()
    upcoming = [item["effective_at"] for item in page["occurrences"] if item["effective_at"] < "2026-03-31T12"]
    assert len(upcoming) == 3
    advance(server, "3d")
    assert started(server, task="daily") == upcoming


def test_what_is_every_so_often_comes_so_often(still: Server, receiver: Receiver) -> None:
    put_task(still, "often", http_task(receiver.url("/often"), schedule={"every": "90s"}))
    assert advance(still, "1h")["runs"] == 40
    times = [instant(moment) for moment in started(still, task="often")]
    assert {after - before for before, after in itertools.pairwise(times)} == {90.0}


def test_nothing_is_missed_on_the_way(still: Server, receiver: Receiver) -> None:
    put_task(still, "hourly", http_task(receiver.url("/x"), schedule={"every": "1h"}, deadline="1s", overlap="skip"))
    put_task(still, "daily", daily(receiver.url("/x"), catch_up={"policy": "skip"}))
    assert advance(still, "10d1s")["runs"] == 250
    assert {run["state"] for run in all_runs(still)} == {"succeeded"}
    assert still.log_events("clock_step") == []
    audit = still.api.get("/v1/audit", params={"from": START, "to": look(still)["now"]})
    assert audit.json()["differences"] == []
    assert audit.json()["occurrences"] == 250


def test_a_one_off_waits_for_its_moment(still: Server, receiver: Receiver) -> None:
    at_noon = create_run(still, {**http_task(receiver.url("/x")), "run_at": "2026-10-03T12:00:00Z"})["id"]
    assert advance(still, "2d")["runs"] == 0
    assert get_run(still, at_noon)["state"] == "scheduled"
    assert go_to(still, "2026-10-03T12:00:00Z")["runs"] == 1  # also what is due at the very moment
    (attempt,) = get_run(still, at_noon)["attempts"]
    assert attempt["started_at"] == "2026-10-03T12:00:00.000Z"
    assert attempt["lateness_ms"] == 0


def test_no_time_is_enough_for_what_is_due(still: Server, receiver: Receiver) -> None:
    receiver.script("/x", Answer(delay=0.2))
    put_task(still, "by-hand", http_task(receiver.url("/x")))
    run = trigger(still, "by-hand")["id"]
    answer = still.api.post("/v1/test/clock")
    assert answer.json() == {"now": "2026-10-01T00:00:00.000Z", "moving_to": None, "runs": 1, "under_way": []}
    assert get_run(still, run)["state"] == "succeeded"


def test_what_an_endpoint_asks_for_happens_in_its_time(still: Server, receiver: Receiver) -> None:
    """A run that makes another one while it runs: the clock has not gone on meanwhile."""
    more = Receiver(
        lambda request: (create_run(still, {**http_task(receiver.url("/then")), "delay": "1h"}), Answer())[1]
    )
    try:
        put_task(still, "first", http_task(more.url("/first"), schedule={"every": "1d"}))
        first = get_task(still, "first")["next"][0]
        advance(still, "1d1h")
        assert [request.headers["webhook-timestamp"] for request in receiver.at("/then")] == [
            str(int(instant(first)) + 3600)
        ]
    finally:
        more.close()


# --- what goes by it ---


def test_retries_come_after_their_backoff(still: Server, receiver: Receiver) -> None:
    retry = {"max_attempts": 5, "backoff": "exponential", "initial": "1m", "max": "1h"}
    receiver.script("/down", *[Answer(status=500)] * 4, Answer())
    run = create_run(still, http_task(receiver.url("/down"), retry=retry))["id"]
    assert advance(still, "30m")["runs"] == 1
    times = [instant(attempt["started_at"]) for attempt in get_run(still, run)["attempts"]]
    waits = [after - before for before, after in itertools.pairwise(times)]
    assert len(waits) == 4
    for wait, full in zip(waits, (60, 120, 240, 480), strict=True):
        assert full / 2 <= wait <= full
    assert get_run(still, run)["finished_at"] == timestamp(times[-1])


def test_what_is_left_to_chance_is_the_same_each_time(server_factory: Factory, receiver: Receiver) -> None:
    receiver.script("/down", Answer(status=500))
    seen = set()
    for _ in range(2):
        server = server_at(server_factory)
        create_run(server, http_task(receiver.url("/down"), retry={"max_attempts": 4, "initial": "1m"}))
        advance(server, "1h")
        seen.add(tuple(started(server)))
    assert len(seen) == 1


def test_retry_after_is_honoured_in_its_time(still: Server, receiver: Receiver) -> None:
    receiver.script("/busy", Answer(status=429, headers={"Retry-After": "7200"}), Answer())
    run = create_run(still, http_task(receiver.url("/busy"), retry={"max_attempts": 2}))["id"]
    advance(still, "1d")
    assert [attempt["started_at"][11:19] for attempt in get_run(still, run)["attempts"]] == ["00:00:00", "02:00:00"]


def test_a_rate_lets_its_runs_through_one_window_after_the_other(still: Server, receiver: Receiver) -> None:
    put_task(still, "slow", http_task(receiver.url("/x"), rate_limit={"limit": 2, "per": "1h"}))
    for _ in range(6):
        trigger(still, "slow")
    advance(still, "1d")
    hours = [moment[11:13] for moment in started(still, task="slow")]
    assert hours == ["00", "00", "01", "01", "02", "02"]


def test_a_monitor_misses_what_does_not_check_in(still: Server) -> None:
    put_task(still, "backup", {"schedule": {"every": "1d"}, "monitor": {"grace": "10m"}})
    assert advance(still, "3d")["runs"] >= 2
    assert {run["state"] for run in all_runs(still, task="backup")} & {"missed", "failed"}


# --- workers ---


def test_a_worker_gets_each_run_at_its_moment(still: Server) -> None:
    put_task(still, "mail", queue_task(schedule={"every": "1d"}))
    times: list[str] = []

    def work() -> None:
        for _ in range(10):
            held = lease_one(still, lease="1h")
            times.append(held["due_at"])
            assert look(still)["now"] == held["due_at"]
            assert say_one(still, "complete", held)["status"] == 200

    with ThreadPoolExecutor(1) as pool:
        worker = pool.submit(work)
        wait_for(lambda: queue_of(still)["waiting_workers"] == 1, "the worker waits")
        answer = advance(still, "10d")
        worker.result(30)
    assert answer["runs"] == 10
    assert started(still, task="mail") == times
    assert len(set(times)) == 10


def test_the_wait_of_a_worker_ends_in_real_time(still: Server) -> None:
    began = time.monotonic()
    assert Waiting(still, wait="300ms").runs() == []
    assert time.monotonic() - began >= 0.3
    waiting = Waiting(still, wait="2s")
    assert advance(still, "30d")["now"] == "2026-10-31T00:00:00.000Z"  # and it has not ended by that
    assert queue_of(still)["waiting_workers"] == 1
    assert waiting.runs() == []


def test_the_clock_waits_for_a_lease_or_goes_past_its_end(still: Server) -> None:
    put_task(still, "mail", queue_task(retry={"max_attempts": 2, "backoff": "fixed", "initial": "1m"}))
    run = trigger(still, "mail")["id"]
    held = lease_one(still, lease="10m", worker="mailer-1")
    refused = problem(ask(still, advance="1h", wait="200ms"), 409)
    assert run in refused["detail"]
    assert "worker" in refused["detail"]
    assert look(still)["now"] == "2026-10-01T00:00:00.000Z"
    assert look(still)["under_way"] == [{"run": run, "task": "mail", "with": "worker"}]
    advance(still, "1h", leases="expire")
    assert say_one(still, "complete", held)["status"] == 409
    found = get_run(still, run)
    assert found["attempts"][0]["outcome"] == "lost"
    again = lease_one(still)
    assert again["attempt"] == 2
    assert say_one(still, "complete", again)["status"] == 200


def test_runs_without_a_worker_stop_nobody(still: Server) -> None:
    put_task(still, "mail", queue_task(schedule={"every": "1h"}))
    assert advance(still, "1d", wait="5s")["runs"] == 0
    assert queue_of(still)["due"] == 24


# --- endpoints that answer later ---


def test_a_callback_that_does_not_come_lets_others_be_skipped(still: Server, receiver: Receiver) -> None:
    receiver.script("/long", Answer(status=202))
    long = http_task(
        receiver.url("/long"), schedule={"every": "1h"}, completion="callback", timeout="150m", overlap="skip"
    )
    put_task(still, "long", long)
    first = get_task(still, "long")["next"][0]
    problem(ask(still, advance="5h", wait="300ms"), 409)
    assert look(still)["now"] == first
    (held,) = look(still)["under_way"]
    assert held["with"] == "callback"
    advance(still, "4h", leases="expire")
    runs = {run["scheduled_for"]: run["state"] for run in all_runs(still, task="long")}
    assert [runs[moment] for moment in sorted(runs)] == ["failed", "skipped", "skipped", "running", "skipped"]


def test_a_callback_lets_the_clock_go_on(still: Server, receiver: Receiver) -> None:
    receiver.script("/long", Answer(status=202))
    put_task(
        still, "long", http_task(receiver.url("/long"), schedule={"every": "1h"}, completion="callback", timeout="1d")
    )
    with ThreadPoolExecutor(1) as pool:
        moved = pool.submit(ask, still, advance="3h")
        for count in (1, 2, 3):
            request = receiver.wait("/long", count)[-1]
            wait_for(
                lambda run=request.run: (
                    still.api.post(f"/v1/runs/{run}/complete", json={"fence": 1}).status_code == 200
                ),
                "the run is complete",
            )
        assert moved.result(30).json()["runs"] == 3
    times = [instant(moment) for moment in started(still, task="long")]
    assert [after - before for before, after in itertools.pairwise(times)] == [3600.0, 3600.0]


# --- patience ---


def test_an_endpoint_that_hangs_holds_the_clock_and_the_request_says_so(still: Server, receiver: Receiver) -> None:
    receiver.script("/hangs", Answer(hang=True))
    put_task(still, "hangs", http_task(receiver.url("/hangs"), schedule={"every": "1h"}, timeout="30s"))
    put_task(still, "well", http_task(receiver.url("/well"), schedule={"every": "1h"}))
    moment = get_task(still, "hangs")["next"][0]
    refused = problem(ask(still, advance="1d", wait="300ms"), 409)
    (run,) = all_runs(still, task="hangs")
    assert run["id"] in refused["detail"]
    assert moment in refused["detail"]
    assert look(still) == {
        "now": moment,
        "moving_to": None,
        "runs": 0,
        "under_way": [{"run": run["id"], "task": "hangs", "with": "endpoint"}],
    }
    receiver.script("/hangs", Answer())
    receiver.release()
    assert advance(still, "1h")["under_way"] == []
    assert [one["state"] for one in all_runs(still, task="hangs")].count("succeeded") == 1


def test_the_timeout_of_an_attempt_is_real(still: Server, receiver: Receiver) -> None:
    receiver.script("/hangs", Answer(hang=True))
    run = create_run(still, http_task(receiver.url("/hangs"), timeout="1s"))["id"]
    assert advance(still, "1d")["runs"] == 1
    (attempt,) = get_run(still, run)["attempts"]
    assert attempt["outcome"] == "timed_out"
    assert attempt["response_time_ms"] >= 1000
    assert get_run(still, run)["finished_at"] == "2026-10-01T00:00:00.000Z"


def test_one_request_at_a_time_moves_it(still: Server, receiver: Receiver) -> None:
    receiver.script("/hangs", Answer(hang=True))
    create_run(still, http_task(receiver.url("/hangs"), timeout="30s"))
    receiver.wait("/hangs")
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(ask, still, advance="1h")
        wait_for(lambda: look(still)["moving_to"] == "2026-10-01T01:00:00.000Z", "the first is under way")
        assert "another request" in problem(ask(still, advance="1h"), 409)["detail"]
        receiver.release()
        assert first.result(30).json()["now"] == "2026-10-01T01:00:00.000Z"


def test_stopping_answers_who_waits(still: Server, receiver: Receiver) -> None:
    receiver.script("/hangs", Answer(hang=True))
    create_run(still, http_task(receiver.url("/hangs"), timeout="30s"))
    receiver.wait("/hangs")
    with ThreadPoolExecutor(1) as pool:
        moved = pool.submit(ask, still, advance="1h")
        wait_for(lambda: look(still)["moving_to"], "it is under way")
        still.terminate()
        problem(moved.result(30), 503)
        receiver.release()
    assert still.wait_exit() == 0


# --- bad requests ---

BAD: list[tuple[Any, str]] = [
    ({"advance": "-1h"}, "/advance"),
    ({"advance": 3600}, "/advance"),
    ({"advance": "101y"}, "/advance"),
    ({"advance": "soon"}, "/advance"),
    ({"to": "2026-09-30T23:59:59Z"}, "/to"),
    ({"to": "2026-10-02T00:00:00"}, "/to"),
    ({"to": "tomorrow"}, "/to"),
    ({"to": None}, "/to"),
    ({"to": "2200-01-01T00:00:00Z"}, "/to"),
    ({"advance": "1h", "to": "2026-10-02T00:00:00Z"}, ""),
    ({"advance": "1h", "wait": "2h"}, "/wait"),
    ({"advance": "1h", "leases": "ignore"}, "/leases"),
    ({"advance": "1h", "by": "1h"}, "/by"),
    ([], ""),
    ("1h", ""),
]


def test_what_makes_no_sense_is_refused_and_moves_nothing(still: Server) -> None:
    for body, pointer in BAD:
        answer = still.api.post("/v1/test/clock", json=body)
        problem(answer, 400, pointer=pointer)
    problem(still.api.post("/v1/test/clock", content=b"{", headers={"Content-Type": "application/json"}), 400)
    assert look(still)["now"] == "2026-10-01T00:00:00.000Z"


# --- stores ---


def test_after_a_restart_it_goes_on_where_it_stood(server_factory: Factory, receiver: Receiver) -> None:
    server = server_factory("--test-clock")
    put_task(server, "hourly", http_task(receiver.url("/x"), schedule={"every": "1h"}))
    stood = advance(server, "10d")["now"]
    server.stop()
    server.start()
    assert look(server)["now"] == stood
    assert advance(server, "1d")["runs"] == 24
    assert {run["state"] for run in all_runs(server)} == {"succeeded"}
    assert len(all_runs(server)) == 264


def test_a_later_start_is_an_outage_and_an_earlier_one_is_refused(server_factory: Factory, receiver: Receiver) -> None:
    server = server_at(server_factory)
    put_task(server, "hourly", http_task(receiver.url("/x"), schedule={"every": "1h"}, catch_up={"policy": "latest"}))
    server.stop()
    server.arguments = ["--test-clock=2026-10-02T00:00:00Z"]
    server.start()
    advance(server, "0s")
    states = [run["state"] for run in all_runs(server, task="hourly")]
    # The moment of the start is no part of the outage.
    assert (states.count("succeeded"), states.count("missed"), len(states)) == (2, 22, 24)
    server.stop()
    server.arguments = ["--test-clock=2026-10-01T12:00:00Z"]
    server.launch()
    assert server.wait_exit() == 1
    assert "2026-10-02T00:00:00.000Z" in server.log_text()


def test_leases_outlive_a_restart(server_factory: Factory) -> None:
    server = server_at(server_factory)
    put_task(server, "mail", queue_task())
    trigger(server, "mail")
    held = lease_one(server, lease="1h")
    server.kill()
    server.start()
    advance(server, "30m", leases="expire")
    assert say_one(server, "complete", held)["status"] == 200


def test_real_and_test_clocks_do_not_share_a_store(server_factory: Factory) -> None:
    server = server_factory()
    put_task(server, "real", http_task("http://127.0.0.1:9/"))
    server.stop()
    server.arguments = ["--test-clock"]
    server.launch()
    assert server.wait_exit() == 1
    assert "a store of its own" in server.log_text()
    other = server_at(server_factory)
    other.stop()
    other.arguments = []
    other.launch()
    assert other.wait_exit() == 1
    assert "--test-clock" in other.log_text(newest=True)
