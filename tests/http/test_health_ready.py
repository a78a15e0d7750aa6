"""Whether the server serves, and whether it is fit to."""

from support.server import Server


def test_health_says_ok(server: Server) -> None:
    answer = server.api.get("/health")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("application/json")
    assert answer.json() == {"ok": True}


def test_ready_answers_with_each_check(server: Server) -> None:
    answer = server.api.get("/ready")
    assert answer.status_code == 200, answer.text
    for check in ("store", "lag", "disk", "clock"):
        assert answer.json()["checks"][check]["ok"] is True, check


def test_health_and_ready_answer_head(server: Server) -> None:
    for path in ("/health", "/ready"):
        answer = server.api.head(path)
        assert answer.status_code == 200
        assert answer.content == b""


def test_an_unknown_path_is_a_problem_with_404(server: Server) -> None:
    answer = server.api.get("/nothing/here")
    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("application/problem+json")


def test_a_wrong_method_is_405_and_says_which_are_right(server: Server) -> None:
    answer = server.api.delete("/health")
    assert answer.status_code == 405
    assert "GET" in answer.headers["allow"]
