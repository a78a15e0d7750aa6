"""The coming occurrences, held against Python's zoneinfo."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from support.oracle import occurrences
from support.server import Server
from support.words import http_task, problem, put_task

URL = "http://127.0.0.1:9/never"


def upcoming(server: Server, name: str, start: datetime, end: datetime, limit: int = 100) -> list[dict[str, Any]]:
    answer = server.api.get(
        f"/v1/tasks/{name}/upcoming",
        params={
            "from": start.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "to": end.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "limit": limit,
        },
    )
    assert answer.status_code == 200, answer.text
    return answer.json()["occurrences"]


def instants(found: list[dict[str, Any]]) -> list[datetime]:
    return [datetime.fromisoformat(one["at"]).astimezone(UTC) for one in found]


def scheduled(server: Server, **schedule: Any) -> str:
    put_task(server, "subject", http_task(URL, schedule=schedule))
    return "subject"


# Around a change of the clocks: a zone, and a day near it.
CHANGES = [
    ("Europe/Berlin", datetime(2026, 3, 28, 12, 0, 30, tzinfo=UTC)),
    ("Europe/Berlin", datetime(2026, 10, 24, 12, 0, 30, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 3, 7, 12, 0, 30, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 10, 31, 12, 0, 30, tzinfo=UTC)),
    ("America/St_Johns", datetime(2026, 3, 7, 12, 0, 30, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2026, 10, 3, 2, 0, 30, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2026, 4, 4, 2, 0, 30, tzinfo=UTC)),
    ("Antarctica/Troll", datetime(2026, 3, 28, 12, 0, 30, tzinfo=UTC)),
    ("America/Santiago", datetime(2026, 9, 5, 12, 0, 30, tzinfo=UTC)),
    ("America/Santiago", datetime(2026, 4, 4, 12, 0, 30, tzinfo=UTC)),
    ("Africa/Casablanca", datetime(2027, 2, 6, 12, 0, 30, tzinfo=UTC)),
    ("Pacific/Apia", datetime(2011, 12, 29, 0, 0, 30, tzinfo=UTC)),
    ("Asia/Kolkata", datetime(2026, 3, 28, 12, 0, 30, tzinfo=UTC)),
    ("UTC", datetime(2028, 2, 28, 12, 0, 30, tzinfo=UTC)),
]
CRONS = [
    "30 2 * * *",
    "0,15,30,45 0,1,2,3 * * *",
    "0 0 * * *",
    "*/20 1-3 * * *",
    "15 * * * *",
    "59 23 * * *",
    "0 2-3 * * 0",
]


@pytest.mark.parametrize("cron", CRONS)
@pytest.mark.parametrize(("zone", "start"), CHANGES, ids=[f"{zone}-{start:%Y-%m}" for zone, start in CHANGES])
def test_a_cron_follows_the_clocks_of_its_zone(shared_server: Server, zone: str, start: datetime, cron: str) -> None:
    end = start + timedelta(days=2)
    for overlap in ("first", "both"):
        name = scheduled(shared_server, cron=cron, timezone=zone, dst_overlap=overlap)
        found = instants(upcoming(shared_server, name, start, end))
        assert found == occurrences(cron, zone, start, end, overlap=overlap), overlap


def test_a_time_in_the_gap_runs_at_its_end_with_a_note(shared_server: Server) -> None:
    name = scheduled(shared_server, cron="30 2 * * *", timezone="Europe/Berlin")
    found = upcoming(shared_server, name, datetime(2026, 3, 27, 12, tzinfo=UTC), datetime(2026, 3, 31, 0, tzinfo=UTC))
    assert [one["local"] for one in found] == [
        "2026-03-28T02:30:00+01:00",
        "2026-03-29T03:00:00+02:00",
        "2026-03-30T02:30:00+02:00",
    ]
    assert [one["at"] for one in found] == [
        "2026-03-28T01:30:00.000Z",
        "2026-03-29T01:00:00.000Z",
        "2026-03-30T00:30:00.000Z",
    ]
    assert not found[0]["dst"]
    assert found[1]["dst"]
    assert not found[2]["dst"]


def test_a_time_in_the_gap_may_be_skipped(shared_server: Server) -> None:
    name = scheduled(shared_server, cron="30 2 * * *", timezone="Europe/Berlin", dst_gap="skip")
    found = upcoming(shared_server, name, datetime(2026, 3, 28, 12, tzinfo=UTC), datetime(2026, 3, 31, 0, tzinfo=UTC))
    plain = [one["local"] for one in found if not one["dst"]]
    assert plain == ["2026-03-30T02:30:00+02:00"]
    noted = [one for one in found if one["dst"]]
    assert len(noted) == 1, "the occurrence that the gap swallows is not shown"
    assert "skip" in noted[0]["dst"]


def test_a_time_that_comes_twice_runs_once_or_twice_with_a_note(shared_server: Server) -> None:
    window = datetime(2026, 10, 25, 0, 0, tzinfo=UTC), datetime(2026, 10, 25, 12, tzinfo=UTC)
    name = scheduled(shared_server, cron="30 2 * * *", timezone="Europe/Berlin")
    (first,) = upcoming(shared_server, name, *window)
    assert first["local"] == "2026-10-25T02:30:00+02:00"
    assert first["dst"]
    name = scheduled(shared_server, cron="30 2 * * *", timezone="Europe/Berlin", dst_overlap="both")
    found = upcoming(shared_server, name, *window)
    assert [one["local"] for one in found] == ["2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00"]
    assert all(one["dst"] for one in found)


def test_every_is_anchored_and_never_touched_by_zones(shared_server: Server) -> None:
    name = scheduled(shared_server, every="90m", timezone="Europe/Berlin")
    start = datetime(2026, 3, 28, 23, 10, tzinfo=UTC)
    found = instants(upcoming(shared_server, name, start, start + timedelta(hours=12)))
    assert len(found) == 8
    assert all(int(one.timestamp()) % 5400 == 0 for one in found)


def test_every_is_anchored_at_its_start_where_it_has_one(shared_server: Server) -> None:
    name = scheduled(shared_server, every="1h", start="2030-01-01T00:10:00Z", end="2030-01-01T03:10:00Z")
    found = upcoming(shared_server, name, datetime(2029, 12, 31, tzinfo=UTC), datetime(2031, 1, 1, tzinfo=UTC))
    assert [one["at"] for one in found] == [
        "2030-01-01T00:10:00.000Z",
        "2030-01-01T01:10:00.000Z",
        "2030-01-01T02:10:00.000Z",
    ]


def test_at_is_one_occurrence(shared_server: Server) -> None:
    name = scheduled(shared_server, at="2036-12-24T18:00:00+01:00")
    found = upcoming(shared_server, name, datetime(2030, 1, 1, tzinfo=UTC), datetime(2040, 1, 1, tzinfo=UTC))
    assert [one["at"] for one in found] == ["2036-12-24T17:00:00.000Z"]


def test_a_list_of_schedules_is_merged_in_order(shared_server: Server) -> None:
    put_task(
        shared_server,
        "subject",
        http_task(URL, schedule=[{"cron": "0 6 * * *"}, {"at": "2030-05-05T07:00:00Z"}, {"cron": "0 5 * * *"}]),
    )
    found = upcoming(shared_server, "subject", datetime(2030, 5, 5, tzinfo=UTC), datetime(2030, 5, 6, tzinfo=UTC))
    assert [one["at"][11:16] for one in found] == ["05:00", "06:00", "07:00"]
    assert len({one["schedule"] for one in found}) == 3


def test_jitter_is_positive_bounded_and_stays(server: Server) -> None:
    name = scheduled(server, every="1h", jitter="10m")
    window = datetime(2030, 1, 1, tzinfo=UTC), datetime(2030, 1, 3, tzinfo=UTC)
    before = upcoming(server, name, *window)
    offsets = [
        (datetime.fromisoformat(one["effective_at"]) - datetime.fromisoformat(one["at"])).total_seconds()
        for one in before
    ]
    assert all(0 <= offset < 600 for offset in offsets)
    assert len(set(offsets)) > 10, "no chance in the jitter"
    server.stop()
    server.start()
    assert upcoming(server, name, *window) == before


def test_without_jitter_both_instants_are_the_same(shared_server: Server) -> None:
    name = scheduled(shared_server, every="1h")
    answer = shared_server.api.get(f"/v1/tasks/{name}/upcoming", params={"limit": 3})
    found = answer.json()["occurrences"]
    assert len(found) == 3
    assert all(one["effective_at"] == one["at"] for one in found)


def test_more_expressions(shared_server: Server) -> None:
    start = datetime(2026, 1, 15, 8, 30, 1, tzinfo=UTC)
    rows = [
        ("*/15 * * * * *", "2026-01-15T08:30:15.000Z"),
        ("5 4 3 2 1 * 2031", None),
        ("0 0 29 2 *", "2028-02-29T00:00:00.000Z"),
        ("0 12 * JAN,MAR MON-FRI", "2026-01-15T12:00:00.000Z"),
        ("0 0 13 * FRI", "2026-01-16T00:00:00.000Z"),
        ("@daily", "2026-01-16T00:00:00.000Z"),
        ("@hourly", "2026-01-15T09:00:00.000Z"),
        ("@weekly", "2026-01-18T00:00:00.000Z"),
        ("@monthly", "2026-02-01T00:00:00.000Z"),
        ("@yearly", "2027-01-01T00:00:00.000Z"),
        ("0 30 8 15 1 * 2027", "2027-01-15T08:30:00.000Z"),
    ]
    for cron, expected in rows:
        name = scheduled(shared_server, cron=cron)
        found = upcoming(shared_server, name, start, datetime(2100, 1, 1, tzinfo=UTC), limit=1)
        if expected:
            assert [one["at"] for one in found] == [expected], cron
        else:
            assert datetime.fromisoformat(found[0]["at"]).year == 2031, cron


def test_impossible_windows_are_refused(shared_server: Server) -> None:
    name = scheduled(shared_server, every="1h")
    for params in ({"from": "yesterday"}, {"to": "x"}, {"limit": "0"}, {"limit": "many"}, {"limit": "-1"}):
        problem(shared_server.api.get(f"/v1/tasks/{name}/upcoming", params=params))
    problem(shared_server.api.get("/v1/tasks/nobody/upcoming"), 404)


def test_a_window_that_ends_before_it_begins_is_refused(shared_server: Server) -> None:
    upcoming = f"/v1/tasks/{scheduled(shared_server, every='1h')}/upcoming"
    early, late = "2040-01-01T00:00:00Z", "2041-01-01T00:00:00Z"
    for path in (upcoming, "/v1/runs", "/v1/dead-letters"):
        (error,) = problem(shared_server.api.get(path, params={"from": late, "to": early}), 400)["errors"]
        assert error == {"parameter": "from", "detail": "must not be after `to`"}
        assert shared_server.api.get(path, params={"from": early, "to": early}).status_code == 200
    (error,) = problem(shared_server.api.get(upcoming, params={"to": "2020-01-01T00:00:00Z"}), 400)["errors"]
    assert error["parameter"] == "to"
