"""Tasks: defined, changed with care, paused, rolled back, applied as a set."""

from datetime import datetime, timedelta, timezone

import pytest

from punctual import (
    CatchUp,
    Expect,
    Invalid,
    NotFound,
    Punctual,
    RateLimit,
    Retry,
    Runbook,
    Stale,
)
from support.server import Server

SILENT = {"http": {"url": "http://127.0.0.1:9/"}}


def test_policies_and_timedeltas_stand_in_a_definition(client: Punctual) -> None:
    task = client.put_task(
        "invoices",
        {
            **SILENT,
            "schedule": {"every": timedelta(hours=6), "start": datetime(2030, 1, 1, tzinfo=timezone.utc)},
            "timeout": timedelta(minutes=10),
            "retry": Retry(max_attempts=5, backoff="exponential", initial="5s", max=660),
            "catch_up": CatchUp("all", window="6h", max=7),
            "rate_limit": RateLimit(10, per="1m", key="bank"),
            "expect": Expect(status=200, json={"/ok": True}, max_duration=120),
            "runbook": Runbook(owner="billing@example.com", expected_result="one invoice per customer"),
        },
    )
    assert task.revision == 1
    assert task.definition["schedule"] == {"every": "6h", "start": "2030-01-01T00:00:00.000Z"}
    assert task.definition["timeout"] == "10m"
    assert task.definition["retry"]["max"] == "11m"
    assert task.definition["catch_up"] == {"policy": "all", "window": "6h", "max": 7}
    assert task.definition["rate_limit"] == {"limit": 10, "per": "1m", "key": "bank"}
    assert task.definition["expect"]["max_duration"] == "2m"
    assert task.definition["runbook"]["owner"] == "billing@example.com"
    assert task.next[0] == datetime(2030, 1, 1, tzinfo=timezone.utc)
    assert client.get_task("invoices").definition == task.definition


def test_the_same_definition_changes_nothing(client: Punctual) -> None:
    assert client.put_task("a", SILENT).revision == client.put_task("a", SILENT).revision == 1


def test_an_edit_with_an_old_revision_is_stale(client: Punctual) -> None:
    client.put_task("a", SILENT)
    changed = client.put_task("a", {**SILENT, "timeout": "1m"}, if_match=1)
    assert changed.revision == 2
    for edit in (
        lambda: client.put_task("a", SILENT, if_match=1),
        lambda: client.patch_task("a", {"timeout": "2m"}, if_match=1),
        lambda: client.rollback_task("a", if_match=1),
        lambda: client.delete_task("a", if_match=1),
    ):
        with pytest.raises(Stale, match=r"revision (is )?2") as caught:
            edit()
        assert caught.value.status == 412
    assert client.patch_task("a", {"timeout": None}, if_match="*").definition == SILENT


def test_a_revision_may_be_said_as_an_etag_has_it(client: Punctual) -> None:
    client.put_task("a", SILENT)
    assert client.put_task("a", {**SILENT, "timeout": "1m"}, if_match='"1"').revision == 2
    with pytest.raises(ValueError, match="a revision such as 3"):
        client.put_task("a", SILENT, if_match="latest")


def test_a_task_that_must_be_new_is_refused_where_it_is_not(client: Punctual) -> None:
    client.put_task("a", SILENT, if_none_match=True)
    with pytest.raises(Stale):
        client.put_task("a", SILENT, if_none_match=True)


def test_edits_are_told_with_author_and_note(server: Server) -> None:
    with Punctual(server.url, author="Ann Müller") as client:
        client.put_task("a", SILENT, note="first")
        client.patch_task("a", {"timeout": "1m"}, note="longer, für alle")
        client.pause_task("a", "the bank is closed")
        client.resume_task("a", note="it is open")
        client.rollback_task("a", 1, note="was better")
        client.delete_task("a", note="done")
        client.put_task("a", SILENT)
        edits = list(client.revisions("a", page_size=2))
    told = [(edit.what, edit.note) for edit in reversed(edits)]
    assert told[-1] == ("created", None)
    assert ("changed", "longer, für alle") in told
    assert ("rolled back", "was better") in told
    assert ("paused", "the bank is closed") in told
    assert {edit.author for edit in edits} == {"Ann Müller"}
    changed = next(edit for edit in edits if edit.what == "changed")
    assert [(c.field, c.before, c.after) for c in changed.changed] == [("/timeout", "30s", "1m")]


def test_a_paused_task_says_so(client: Punctual) -> None:
    client.put_task("a", {**SILENT, "schedule": {"every": "1h"}})
    paused = client.pause_task("a", "repairs").paused
    assert paused is not None
    assert paused.reason == "repairs"
    assert client.resume_task("a").paused is None


def test_a_deleted_task_is_gone(client: Punctual) -> None:
    client.put_task("a", SILENT)
    assert client.delete_task("a").name == "a"
    with pytest.raises(NotFound, match="there is no task"):
        client.get_task("a")


def test_tasks_come_page_after_page(client: Punctual) -> None:
    names = [f"t{number}" for number in range(7)]
    client.apply({"tasks": dict.fromkeys(names, SILENT)})
    assert [task.name for task in client.tasks(page_size=3)] == names
    assert [task.name for task in client.tasks(page_size=3, limit=4)] == names[:4]
    assert list(client.tasks(limit=0)) == []
    (first, *_) = client.tasks(figures=True)
    assert first.figures is not None
    assert first.figures.attempts == 0


def test_upcoming_occurrences_follow_daylight_saving(client: Punctual) -> None:
    schedule = {"cron": "30 2 * * *", "timezone": "Europe/Berlin"}
    client.put_task("a", {**SILENT, "schedule": schedule})
    day = datetime(2027, 3, 28, tzinfo=timezone.utc)
    (one,) = client.upcoming("a", from_=day, to=day + timedelta(hours=12), limit=5)
    assert one.at == day + timedelta(hours=1)
    assert one.local.startswith("2027-03-28T03:00:00")
    assert one.dst


def test_a_set_is_applied_as_a_whole(client: Punctual) -> None:
    first = client.apply({"tasks": {"a": SILENT, "b": SILENT}}, dry_run=True)
    assert (first.dry_run, first.created) == (True, 2)
    assert list(client.tasks()) == []
    assert client.apply({"tasks": {"a": SILENT, "b": SILENT}}, note="both").created == 2
    plan = client.apply({"tasks": {"a": {**SILENT, "timeout": "5m"}}}, prune=True)
    assert {task.name: task.action for task in plan.tasks} == {"a": "changed", "b": "removed"}
    assert [change.field for change in plan.tasks[0].changes] == ["/timeout"]
    with pytest.raises(Invalid) as caught:
        client.apply({"tasks": {"a": SILENT, "c": {"http": {}}}})
    assert caught.value.pointers == ["/tasks/c/http"]


def test_a_set_may_be_the_text_of_a_file(client: Punctual) -> None:
    text = "version: 1\ntasks:\n  a:\n    http: {url: 'http://127.0.0.1:9/'}\n"
    assert client.apply(text).created == 1
    with pytest.raises(Invalid) as caught:
        client.apply("version: 1\ntasks:\n  a:\n    htp: {}\n")
    assert caught.value.errors[0].line == 4
    assert "line 4, column" in str(caught.value)
