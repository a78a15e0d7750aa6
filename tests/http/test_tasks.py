"""Defining, reading, editing and removing tasks."""

from typing import Any

import pytest

from support.receiver import Receiver
from support.server import Server
from support.waiting import instant
from support.words import all_of, get_task, http_task, problem, put_task

URL = "http://127.0.0.1:9/never"


def daily(**more: Any) -> dict[str, Any]:
    return http_task(URL, schedule={"cron": "30 2 * * *", "timezone": "Europe/Berlin"}, **more)


def test_a_new_task_is_201_and_can_be_read(server: Server) -> None:
    answer = server.api.put("/v1/tasks/nightly", json=daily(summary="Each night"))
    assert answer.status_code == 201
    made = answer.json()
    assert made["name"] == "nightly"
    assert made["revision"] == 1
    assert made["paused"] is None
    assert made["definition"]["summary"] == "Each night"
    assert made["definition"]["schedule"]["cron"] == "30 2 * * *"
    instant(made["created_at"])
    instant(made["changed_at"])
    assert get_task(server, "nightly")["definition"] == made["definition"]


def test_a_changed_task_is_200_with_the_next_revision(server: Server) -> None:
    put_task(server, "nightly", daily())
    answer = server.api.put("/v1/tasks/nightly", json=daily(timeout="20s"))
    assert answer.status_code == 200
    assert answer.json()["revision"] == 2
    assert answer.json()["definition"]["timeout"] == "20s"


def test_the_same_definition_again_changes_nothing(server: Server) -> None:
    first = put_task(server, "nightly", daily())
    answer = server.api.put("/v1/tasks/nightly", json=daily())
    assert answer.status_code == 200
    assert answer.json()["revision"] == first["revision"]
    assert answer.json()["changed_at"] == first["changed_at"]


def test_the_same_meaning_in_other_words_changes_nothing(server: Server) -> None:
    put_task(server, "same", http_task(URL, schedule={"every": "90m"}))
    again = put_task(server, "same", http_task(URL, schedule={"every": "PT1H30M"}))
    assert again["revision"] == 1


def test_a_definition_that_was_read_can_be_put_back(server: Server) -> None:
    put_task(server, "nightly", daily(payload={"a": [1, 2.5, None, "ü"]}, expect={"status": 204}))
    read = get_task(server, "nightly")
    again = put_task(server, "nightly", read["definition"])
    assert again["revision"] == read["revision"]
    assert again["definition"] == read["definition"]


def test_the_next_occurrences_are_shown(server: Server) -> None:
    made = put_task(server, "nightly", daily())
    assert made["next"], made
    put_task(server, "by-hand", http_task(URL))
    assert get_task(server, "by-hand")["next"] == []


def test_reading_what_is_not_there_is_404(server: Server) -> None:
    problem(server.api.get("/v1/tasks/nobody"), 404)
    problem(server.api.patch("/v1/tasks/nobody", json={"summary": "x"}), 404)
    problem(server.api.delete("/v1/tasks/nobody"), 404)


def test_the_etag_follows_the_revision(server: Server) -> None:
    first = server.api.put("/v1/tasks/nightly", json=daily())
    read = server.api.get("/v1/tasks/nightly")
    assert read.headers["etag"] == first.headers["etag"]
    second = server.api.put("/v1/tasks/nightly", json=daily(timeout="20s"))
    assert second.headers["etag"] != first.headers["etag"]


def test_if_match_guards_against_a_change_of_somebody_else(server: Server) -> None:
    first = server.api.put("/v1/tasks/nightly", json=daily())
    put_task(server, "nightly", daily(timeout="20s"))
    stale = {"If-Match": first.headers["etag"]}
    problem(server.api.put("/v1/tasks/nightly", json=daily(timeout="21s"), headers=stale), 412)
    problem(server.api.patch("/v1/tasks/nightly", json={"timeout": "21s"}, headers=stale), 412)
    problem(server.api.delete("/v1/tasks/nightly", headers=stale), 412)
    assert get_task(server, "nightly")["definition"]["timeout"] == "20s"


def test_if_match_with_the_newest_etag_goes_through(server: Server) -> None:
    first = server.api.put("/v1/tasks/nightly", json=daily())
    fresh = {"If-Match": first.headers["etag"]}
    answer = server.api.put("/v1/tasks/nightly", json=daily(timeout="20s"), headers=fresh)
    assert answer.status_code == 200
    assert answer.json()["revision"] == 2


def test_if_match_on_what_is_not_there_is_412(server: Server) -> None:
    for tag in ("*", '"1"'):
        problem(server.api.put("/v1/tasks/nobody", json=daily(), headers={"If-Match": tag}), 412)
    problem(server.api.get("/v1/tasks/nobody"), 404)


def test_if_none_match_star_only_creates(server: Server) -> None:
    only_new = {"If-None-Match": "*"}
    assert server.api.put("/v1/tasks/nightly", json=daily(), headers=only_new).status_code == 201
    problem(server.api.put("/v1/tasks/nightly", json=daily(timeout="20s"), headers=only_new), 412)
    assert get_task(server, "nightly")["revision"] == 1


@pytest.mark.parametrize("kind", ["application/merge-patch+json", "application/json"])
def test_a_patch_merges(server: Server, kind: str) -> None:
    put_task(server, "nightly", daily(summary="old", payload={"kind": "daily"}))
    answer = server.api.patch(
        "/v1/tasks/nightly",
        content=b'{"summary": null, "schedule": {"cron": "45 2 * * *"}, "payload": {"more": 1}}',
        headers={"Content-Type": kind},
    )
    assert answer.status_code == 200, answer.text
    definition = answer.json()["definition"]
    assert "summary" not in definition or definition["summary"] is None
    assert definition["schedule"]["cron"] == "45 2 * * *"
    assert definition["schedule"]["timezone"] == "Europe/Berlin"
    assert definition["payload"] == {"kind": "daily", "more": 1}
    assert answer.json()["revision"] == 2


def test_a_patch_that_makes_the_task_wrong_changes_nothing(server: Server) -> None:
    put_task(server, "nightly", daily())
    before = get_task(server, "nightly")
    answer = server.api.patch("/v1/tasks/nightly", json={"schedule": {"cron": "61 2 * * *"}})
    problem(answer, pointer="/schedule/cron")
    after = get_task(server, "nightly")
    assert (after["revision"], after["definition"]) == (before["revision"], before["definition"])


def test_an_empty_patch_changes_nothing(server: Server) -> None:
    put_task(server, "nightly", daily())
    answer = server.api.patch("/v1/tasks/nightly", json={})
    assert answer.status_code == 200
    assert answer.json()["revision"] == 1


def test_a_deleted_task_is_gone_and_its_runs_stay(server: Server, receiver: Receiver) -> None:
    put_task(server, "short", http_task(receiver.url("/short")))
    run = server.api.post("/v1/tasks/short/runs", json={}).json()
    receiver.wait("/short")
    answer = server.api.delete("/v1/tasks/short")
    assert answer.status_code == 200
    assert answer.json()["name"] == "short"
    assert isinstance(answer.json()["running"], list)
    problem(server.api.get("/v1/tasks/short"), 404)
    problem(server.api.delete("/v1/tasks/short"), 404)
    assert all_of(server, "/v1/tasks", "tasks") == []
    assert server.api.get(f"/v1/runs/{run['id']}").json()["task"] == "short"


def test_a_task_made_again_after_a_delete_is_new_and_counts_on(server: Server) -> None:
    put_task(server, "again", daily())
    server.api.delete("/v1/tasks/again")
    answer = server.api.put("/v1/tasks/again", json=daily())
    assert answer.status_code == 201
    assert answer.json()["revision"] > 1


def test_tasks_are_listed_page_by_page(server: Server) -> None:
    names = [f"task-{number:02d}" for number in range(23)]
    for name in names:
        put_task(server, name, http_task(URL))
    page = server.api.get("/v1/tasks", params={"limit": 10}).json()
    assert len(page["tasks"]) == 10
    assert page["next_cursor"]
    found = [task["name"] for task in all_of(server, "/v1/tasks", "tasks", limit=10)]
    assert found == names


def test_a_list_that_fits_has_no_next_cursor(server: Server) -> None:
    assert server.api.get("/v1/tasks").json() == {"tasks": [], "next_cursor": None}
    put_task(server, "one", http_task(URL))
    page = server.api.get("/v1/tasks", params={"limit": 1}).json()
    assert [task["name"] for task in page["tasks"]] == ["one"]
    assert page["next_cursor"] is None


def test_figures_come_from_attempts(server: Server, receiver: Receiver) -> None:
    put_task(server, "counted", http_task(receiver.url("/counted")))
    assert isinstance(get_task(server, "counted")["figures"], dict)


def test_a_task_survives_a_restart(server: Server) -> None:
    put_task(server, "nightly", daily())
    before = get_task(server, "nightly")
    server.stop()
    server.start()
    after = get_task(server, "nightly")
    assert {**after, "next": None} == {**before, "next": None}
