"""Finding the server's program, and a server of one's own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from punctual import Punctual, PunctualError
from punctual.server import LocalServer, ServerFailed, ServerNotFound, find_server
from support.server import binary


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> Path:
    """The server under test, where find_server looks first."""
    monkeypatch.setenv("PUNCTUAL_SERVER", str(binary()))
    return binary()


def without_others(monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    """No PUNCTUAL_SERVER, no package punctual_server, and this PATH."""
    monkeypatch.delenv("PUNCTUAL_SERVER", raising=False)
    monkeypatch.setenv("PATH", path)
    monkeypatch.setitem(sys.modules, "punctual_server", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)


def test_the_named_program_is_found(program: Path) -> None:
    assert find_server() == program


def test_a_name_of_no_program_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PUNCTUAL_SERVER", str(tmp_path / "punctual"))
    with pytest.raises(ServerNotFound, match="correct or unset it"):
        find_server()


def test_the_program_in_the_path_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "punctual").symlink_to(binary())
    without_others(monkeypatch, str(tmp_path))
    assert find_server() == tmp_path / "punctual"


def test_where_there_is_none_the_error_says_what_helps(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    without_others(monkeypatch, str(tmp_path))
    with pytest.raises(ServerNotFound, match="punctual-server") as told:
        find_server()
    assert isinstance(told.value, PunctualError)


def test_a_server_of_ones_own_runs_and_leaves_nothing(program: Path) -> None:
    with LocalServer() as server, Punctual(server.url) as client:
        assert client.ready().ok
        folder, pid = server.folder, server.pid
        assert server.store.exists()
    assert not folder.exists()
    assert not Path(f"/proc/{pid}").exists()


def test_what_was_acknowledged_outlives_a_kill(program: Path) -> None:
    with LocalServer() as server, Punctual(server.url) as client:
        run = client.create_run({"http": {"url": "http://127.0.0.1:9/"}}, delay="1h")
        url, first = server.url, server.pid
        server.kill()
        assert not server.running
        server.start()
        assert (server.url, server.pid != first) == (url, True)
        assert client.get_run(run.id).state == "scheduled"
        server.stop()


def test_a_named_folder_stays(program: Path, tmp_path: Path) -> None:
    with LocalServer(folder=tmp_path) as server:
        server.stop()
    assert (tmp_path / "punctual.db").exists()


def test_a_wrong_argument_is_told_in_the_servers_words(program: Path) -> None:
    with pytest.raises(ServerFailed, match="unknown option"):
        LocalServer("--colour").start()


def test_a_variable_for_clients_does_not_reach_it(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PUNCTUAL_API_KEY of the tests' own environment would lock out a client that has none."""
    monkeypatch.setenv("PUNCTUAL_API_KEY", "0123456789abcdef")
    with LocalServer() as server, Punctual(server.url, api_key="") as client:
        assert client.ready().ok


def test_it_ends_with_the_process_that_started_it(program: Path) -> None:
    script = (
        "import json\n"
        "from punctual.server import LocalServer\n"
        "server = LocalServer().start()\n"
        "print(json.dumps([server.pid, str(server.folder)]))\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    pid, folder = json.loads(done.stdout)
    assert not Path(f"/proc/{pid}").exists()
    assert not Path(folder).exists()
