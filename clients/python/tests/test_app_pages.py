"""The pages about apps are true: their Python is run, as it stands, beside a real server.

A block whose first line is `# NAME.py` becomes that file.
"""

import importlib
import re
import secrets
import sys
import threading
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import httpx
import pytest
from uvicorn_process import free_port, uvicorn

from punctual import Fail, Run, report
from support.server import Server
from support.waiting import instant, wait_for
from support.words import all_runs, get_run, get_task, put_task, trigger, wait_final

GUIDES = Path(__file__).resolve().parents[3] / "docs" / "guides"
BLOCK = re.compile(r"^```python\n# (\w+\.py)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
DEFAULT = "http://127.0.0.1:8640"


def code_of(page: str) -> dict[str, str]:
    return dict(BLOCK.findall((GUIDES / page).read_text()))


@pytest.fixture
def written(tmp_path: Path, server: Server) -> Callable[[str, str], Path]:
    """Writes a file of a page, for the server of this test."""

    def write(page: str, name: str) -> Path:
        (tmp_path / name).write_text(code_of(page)[name].replace(DEFAULT, server.url))
        return tmp_path

    return write


def env_of(server: Server) -> dict[str, str]:
    return {"PUNCTUAL_SIGNING_SECRET": server.secret}


def wait_applied(server: Server, task: str) -> None:
    wait_for(lambda: server.api.get(f"/v1/tasks/{task}").status_code == 200, f"{task} is applied")


def run_of(server: Server, task: str, **body: Any) -> dict[str, Any]:
    wait_applied(server, task)
    return wait_final(server, trigger(server, task, body)["id"])


# --- fastapi.md ---


def test_the_first_example(server: Server, written: Callable[[str, str], Path]) -> None:
    with uvicorn("app:app", written("fastapi.md", "app.py"), workers=2, **env_of(server)) as app:
        assert run_of(server, "nightly-invoices")["result"] == {"invoices": 812, "attempt": 1}
        assert get_task(server, "nightly-invoices")["definition"]["retry"] == {"max_attempts": 5}
        enqueued = get_run(server, httpx.post(f"{app.url}/invoices", trust_env=False).json()["run"])
        assert (enqueued["state"], enqueued["payload"]) == ("scheduled", {"kind": "monthly"})
        wait = instant(enqueued["due_at"]) - instant(enqueued["created_at"])
        assert abs(wait - timedelta(minutes=10).total_seconds()) < 5


def test_the_example_with_a_payload(server: Server, written: Callable[[str, str], Path]) -> None:
    with uvicorn("payloads:app", written("fastapi.md", "payloads.py"), **env_of(server)):
        assert run_of(server, "create-invoices")["result"] == {"kind": "daily", "weekday": "Saturday"}
        refused = run_of(server, "create-invoices", payload={"kind": "daily", "day": "never"})
        assert (refused["state"], refused["attempt_count"]) == ("failed", 1)


def test_the_example_of_outcomes(server: Server, written: Callable[[str, str], Path]) -> None:
    with uvicorn("outcomes:app", written("fastapi.md", "outcomes.py"), **env_of(server)):
        charged = run_of(server, "charge", payload={"customer": 1})
        assert (charged["result"], charged["attempt_count"]) == ("charged", 2)
        failed = run_of(server, "charge", payload={"customer": 0})
        words = "given up for good: answered 422 Unprocessable Content: there is no customer 0"
        assert (failed["reason"], failed["attempt_count"]) == (words, 1)


def test_the_example_that_verifies_notices(server: Server, written: Callable[[str, str], Path]) -> None:
    with uvicorn("notices:app", written("fastapi.md", "notices.py"), **env_of(server)) as app:
        hook = f"{app.url}/hooks/ops"
        unreachable = {"http": {"url": "http://127.0.0.1:9"}, "retry": {"max_attempts": 1}}
        put_task(server, "failing", {**unreachable, "notify": {"url": hook}})
        trigger(server, "failing")
        wait_for(lambda: all_runs(server, state="succeeded"), "the notice is delivered")
        assert httpx.post(hook, content=b"{}", trust_env=False).status_code == 401
    (notice,) = all_runs(server, state="succeeded")
    assert get_run(server, notice["id"])["result"] == {"told": "task.failing"}


def test_the_plain_asgi_app(server: Server, written: Callable[[str, str], Path]) -> None:
    with uvicorn("asgi_app:app", written("fastapi.md", "asgi_app.py"), **env_of(server)) as app:
        assert run_of(server, "nightly-invoices")["result"] == {"invoices": 812}
        assert httpx.get(f"{app.url}/", trust_env=False).text == "the site"


class Quiet(WSGIRequestHandler):
    def log_message(self, *_arguments: Any) -> None: ...


@contextmanager
def wsgi(load: Callable[[], Any], server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Serves a WSGI app from a thread of this process, and gives its address. `load` imports it in time."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    monkeypatch.setenv("APP_URL", url)
    monkeypatch.setenv("PUNCTUAL_SIGNING_SECRET", server.secret)
    with make_server("127.0.0.1", port, load(), handler_class=Quiet) as serving:
        thread = threading.Thread(target=serving.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield url
        finally:
            serving.shutdown()
            thread.join()


def loaded(folder: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, name, raising=False)
    return importlib.import_module(name)


def delivers(server: Server, url: str, module: types.ModuleType) -> None:
    """A run succeeds, what it cost is recorded, what it raises is an outcome, and no stranger gets in."""
    assert run_of(server, "nightly-invoices")["result"] == {"invoices": 812}

    @module.tasks.task()
    def hopeless(run: Run) -> None:
        report(cache="hit", db_calls=3)
        raise Fail("there is no such customer")

    module.tasks.apply_now()
    failed = run_of(server, "hopeless")
    assert failed["reason"].endswith("answered 422 Unprocessable Content: there is no such customer")
    (attempt,) = failed["attempts"]
    assert (attempt["db_calls"], attempt["cache"]) == (3, "warm")
    for task in ("nightly-invoices", "nobody"):
        assert httpx.post(f"{url}/punctual/{task}", content=b"null", trust_env=False).status_code == 401


def test_the_plain_wsgi_app(
    server: Server, written: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = written("fastapi.md", "wsgi_app.py")
    with wsgi(lambda: loaded(folder, "wsgi_app", monkeypatch).app, server, monkeypatch) as url:
        delivers(server, url, sys.modules["wsgi_app"])


def test_the_flask_app(
    server: Server, written: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = written("fastapi.md", "flask_app.py")
    with wsgi(lambda: loaded(folder, "flask_app", monkeypatch).app, server, monkeypatch) as url:
        delivers(server, url, sys.modules["flask_app"])


def test_the_django_urls(
    server: Server, written: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = written("fastapi.md", "django_urls.py")

    def load() -> Any:
        from django.conf import settings
        from django.core.wsgi import get_wsgi_application

        settings.configure(
            ROOT_URLCONF="django_urls",
            ALLOWED_HOSTS=["127.0.0.1"],
            SECRET_KEY=secrets.token_hex(16),
            MIDDLEWARE=["django.middleware.csrf.CsrfViewMiddleware"],
        )
        app = get_wsgi_application()
        loaded(folder, "django_urls", monkeypatch)
        return app

    with wsgi(load, server, monkeypatch) as url:
        delivers(server, url, sys.modules["django_urls"])


# --- visibility.md ---


def test_the_shop_says_what_it_costs(server: Server, written: Callable[[str, str], Path]) -> None:
    with uvicorn("shop:app", written("visibility.md", "shop.py")) as app:
        first, second = (httpx.get(f"{app.url}/orders/2", trust_env=False) for _ in range(2))
    assert first.json() == second.json() == {"orders": 42}
    assert re.fullmatch(r'db;dur=[\d.]+;desc="1 query"', first.headers["server-timing"])
    assert first.headers["cache-status"] == "app; fwd=miss"
    assert second.headers["server-timing"] == 'db;dur=0;desc="0 queries"'
    assert second.headers["cache-status"] == "app; hit"


def test_other_drivers_are_counted(server: Server, written: Callable[[str, str], Path]) -> None:
    with uvicorn("drivers:app", written("visibility.md", "drivers.py")) as app:
        answer = httpx.get(f"{app.url}/stock", trust_env=False)
    assert answer.json() == {"free": 2}
    assert answer.headers["server-timing"].endswith('desc="6 queries"')
