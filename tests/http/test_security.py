"""Who may call, and what may be called."""

import secrets
import socket

import httpx
import pytest

from support.receiver import Receiver
from support.server import Factory, Server
from support.words import create_run, http_task, problem, wait_final


@pytest.mark.parametrize("listen", ["0.0.0.0:0", "[::]:0"])
def test_beyond_loopback_without_a_key_it_does_not_start(server_factory: Factory, listen: str) -> None:
    server = server_factory(listen=listen, start=False)
    server.launch()
    assert server.wait_exit() > 0
    text = server.log_text().lower()
    assert "key" in text
    assert '"event":"listening"' not in text.replace(" ", "")


@pytest.fixture
def guarded(server_factory: Factory) -> tuple[Server, str]:
    key = secrets.token_urlsafe(24)
    return server_factory(listen="0.0.0.0:0", config=f"api_key: {key}\n"), key


ROUTES = [
    ("GET", "/v1/tasks"),
    ("PUT", "/v1/tasks/x"),
    ("POST", "/v1/runs"),
    ("POST", "/v1/apply"),
    ("GET", "/v1/events"),
    ("GET", "/v1/runs/run_0000000000001"),
]


def test_without_the_key_nothing_is_answered(guarded: tuple[Server, str]) -> None:
    server, key = guarded
    for method, path in ROUTES:
        body = http_task("http://127.0.0.1:9/") if method in ("PUT", "POST") else None
        problem(server.api.request(method, path, json=body), 401)
        for wrong in ("Bearer wrong", f"Bearer {key}x", f"Bearer {key[:-1]}", "Bearer", f"Basic {key}", key):
            answer = server.api.request(method, path, json=body, headers={"Authorization": wrong})
            problem(answer, 401)
            assert answer.headers["www-authenticate"].startswith("Bearer")


def test_with_the_key_it_is(guarded: tuple[Server, str]) -> None:
    server, key = guarded
    good = {"Authorization": f"Bearer {key}"}
    assert server.api.get("/v1/tasks", headers=good).status_code == 200
    answer = server.api.put("/v1/tasks/x", json=http_task("http://192.0.2.1/"), headers=good)
    assert answer.status_code == 201
    assert server.api.get("/health").status_code == 200
    assert key not in server.log_text()


def test_a_key_holds_on_loopback_too(server_factory: Factory) -> None:
    key = secrets.token_urlsafe(24)
    server = server_factory(env={"PUNCTUAL_API_KEY": key})
    problem(server.api.get("/v1/tasks"), 401)
    assert server.api.get("/v1/tasks", headers={"Authorization": f"Bearer {key}"}).status_code == 200


PAGES = [
    {"Origin": "http://example.com"},
    {"Origin": "http://127.0.0.1:1"},
    {"Origin": "null"},
    {"Host": "example.com"},
    {"Host": "example.com", "Origin": "http://example.com"},
]


@pytest.mark.parametrize("page", PAGES)
def test_a_web_page_from_elsewhere_can_do_nothing(shared_server: Server, page: dict[str, str]) -> None:
    for method, path in ROUTES:
        body = b'{"http": {"url": "http://127.0.0.1:9/"}, "delay": "1h"}' if method != "GET" else None
        problem(shared_server.api.request(method, path, content=body, headers=page), 403)
    assert shared_server.api.get("/health", headers=page).status_code == 200


def test_a_page_of_the_server_itself_may_ask(shared_server: Server) -> None:
    page = {"Origin": shared_server.url}
    assert shared_server.api.get("/v1/tasks", headers=page).status_code == 200


def test_with_a_key_any_name_and_page_will_do(guarded: tuple[Server, str]) -> None:
    server, key = guarded
    page = {"Authorization": f"Bearer {key}", "Host": "punctual.example.com", "Origin": "https://example.com"}
    assert server.api.get("/v1/tasks", headers=page).status_code == 200


PRIVATE = [
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.1",
    "224.0.0.1",
    "255.255.255.255",
    "[fe80::1]",
    "[fd00::1]",
    "[::ffff:10.0.0.1]",
    "[64:ff9b::10.0.0.1]",
    "167772161",
    "0x0a000001",
    "012.0.0.1",
]


@pytest.mark.parametrize("host", PRIVATE)
def test_targets_in_private_ranges_are_refused(shared_server: Server, host: str) -> None:
    answer = shared_server.api.post("/v1/runs", json=http_task(f"http://{host}:9/", timeout="3s"))
    if answer.status_code != 201:
        problem(answer)
        return
    done = wait_final(shared_server, answer.json()["id"])
    assert done["state"] == "failed"
    assert done["attempts"][0]["outcome"] == "refused", done["attempts"]
    assert done["attempts"][0]["error"]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]"])
def test_loopback_is_allowed_to_a_server_on_loopback(server: Server, receiver: Receiver, host: str) -> None:
    run = create_run(server, http_task(f"http://{host}:{receiver.port}/x"))
    assert wait_final(server, run["id"])["state"] == "succeeded"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0", "127.1", "[::1]", "[::ffff:127.0.0.1]", "[::]"])
def test_loopback_is_refused_to_a_server_beyond_it(guarded: tuple[Server, str], receiver: Receiver, host: str) -> None:
    server, key = guarded
    client = httpx.Client(base_url=server.url, headers={"Authorization": f"Bearer {key}"}, trust_env=False)
    server._api = client
    run = create_run(server, http_task(f"http://{host}:{receiver.port}/x", timeout="5s"))
    done = wait_final(server, run["id"])
    assert done["state"] == "failed"
    assert done["attempts"][0]["outcome"] == "refused", done["attempts"]
    assert receiver.requests == []


def test_a_slow_client_does_not_stop_the_others(server: Server) -> None:
    idle = [socket.create_connection(("127.0.0.1", server.port), timeout=5) for _ in range(200)]
    for connection in idle:
        connection.sendall(b"POST /v1/runs HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
    assert server.api.get("/health").status_code == 200
    for connection in idle:
        connection.close()
    assert server.api.get("/health").status_code == 200


def test_the_store_is_readable_by_its_owner_only(server: Server) -> None:
    files = list(server.folder.glob("punctual.db*"))
    assert server.folder / "punctual.db" in files
    for path in files:
        assert path.stat().st_mode & 0o077 == 0, f"{path.name} is {path.stat().st_mode & 0o777:o}"
