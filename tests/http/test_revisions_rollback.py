"""The history of edits, and going back."""

from typing import Any

from support.server import Server
from support.waiting import instant
from support.words import all_of, get_task, http_task, problem, put_task

URL = "http://127.0.0.1:9/never"


def edit(server: Server, seconds: int, author: str = "") -> dict[str, Any]:
    headers = {"Punctual-Author": author} if author else {}
    return put_task(server, "subject", http_task(URL, timeout=f"{seconds}s"), **headers)


def revisions(server: Server) -> list[dict[str, Any]]:
    return all_of(server, "/v1/tasks/subject/revisions", "revisions")


def rollback(server: Server, **body: Any) -> Any:
    return server.api.post("/v1/tasks/subject/rollback", json=body)


def test_each_edit_is_kept_newest_first(server: Server) -> None:
    edit(server, 10, "ann")
    edit(server, 20, "bob")
    edit(server, 20, "bob")
    found = revisions(server)
    assert [one["revision"] for one in found] == [2, 1]
    assert [one["author"] for one in found] == ["bob", "ann"]
    assert [one["definition"]["timeout"] for one in found] == ["20s", "10s"]
    assert [change["field"] for change in found[0]["changed"]] == ["/timeout"]
    assert instant(found[0]["at"]) >= instant(found[1]["at"])


def test_the_history_comes_page_by_page(server: Server) -> None:
    for seconds in range(1, 8):
        edit(server, seconds)
    found = all_of(server, "/v1/tasks/subject/revisions", "revisions", limit=3)
    assert [one["revision"] for one in found] == [7, 6, 5, 4, 3, 2, 1]


def test_a_rollback_makes_an_earlier_revision_the_newest(server: Server) -> None:
    edit(server, 10)
    edit(server, 20)
    edit(server, 30)
    answer = rollback(server, revision=1)
    assert answer.status_code == 200, answer.text
    task = get_task(server, "subject")
    assert task["revision"] == 4
    assert task["definition"]["timeout"] == "10s"
    assert len(revisions(server)) == 4


def test_a_rollback_without_a_number_goes_one_back(server: Server) -> None:
    edit(server, 10)
    edit(server, 20)
    assert rollback(server).status_code == 200
    assert get_task(server, "subject")["definition"]["timeout"] == "10s"


def test_a_rollback_to_what_never_was_is_refused(server: Server) -> None:
    edit(server, 10)
    problem(rollback(server, revision=7))
    problem(rollback(server, revision="one"), pointer="/revision")
    problem(rollback(server, revision=-1), pointer="/revision")
    problem(server.api.post("/v1/tasks/nobody/rollback", json={"revision": 1}), 404)
    assert get_task(server, "subject")["revision"] == 1


def test_a_rollback_of_the_first_revision_says_that_none_is_before_it(server: Server) -> None:
    edit(server, 10)
    refused = problem(rollback(server), 404)
    assert "one revision only" in refused["detail"]


def test_a_rollback_heeds_if_match(server: Server) -> None:
    edit(server, 10)
    edit(server, 20)
    answer = server.api.post("/v1/tasks/subject/rollback", json={"revision": 1}, headers={"If-Match": '"no-such-tag"'})
    problem(answer, 412)
    assert get_task(server, "subject")["revision"] == 2


def test_pausing_is_in_the_history_and_makes_no_revision(server: Server) -> None:
    edit(server, 10)
    server.api.post("/v1/tasks/subject/pause", json={"reason": "x"}, headers={"Punctual-Author": "ann"})
    assert get_task(server, "subject")["revision"] == 1
    newest = revisions(server)[0]
    assert newest["what"] == "paused"
    assert newest["author"] == "ann"
    assert newest["note"] == "x"
