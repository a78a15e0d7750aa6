"""The pytest plugin: whole projects of a user, run by pytest, against the real server with a test clock."""

import os
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest

from punctual import testing
from punctual.testing import TimeTravel
from support.server import binary

pytest_plugins = ["pytester"]

SOURCE = Path(testing.__file__).parents[1]
PLUGINS = ("-p", "punctual.pytest_plugin", "-p", "anyio.pytest_plugin")
APP = """
from fastapi import FastAPI
from pydantic import BaseModel
from punctual import Fail, PunctualApp, Retry, Run, Visibility

app = FastAPI()
app.add_middleware(Visibility)
punctual = PunctualApp(app, url="http://127.0.0.1:9", app_url="http://nowhere.example")


class Invoices(BaseModel):
    kind: str


@punctual.task("30 2 * * *", timezone="Europe/Berlin", payload={"kind": "daily"})
async def nightly_invoices(run: Run, payload: Invoices) -> dict[str, str]:
    return {"kind": payload.kind}


@punctual.task(retry=Retry(max_attempts=3, backoff="fixed", initial="10m", max="10m"))
def flaky(run: Run) -> int:
    if run.attempt < 3:
        raise ValueError("the printer is on fire")
    return run.attempt


@punctual.task()
def hopeless(run: Run) -> None:
    raise Fail("no such customer")


@app.post("/orders")
async def order() -> dict[str, str]:
    run = await flaky.enqueue(delay="2h")
    return {"run": run.id}
"""


@pytest.fixture(autouse=True)
def program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUNCTUAL_SERVER", str(binary()))
    monkeypatch.setenv("PYTHONPATH", str(SOURCE))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")


def project(
    pytester: pytest.Pytester, tests: str, *, ini: str = "punctual_app = shop:app", app: str = APP
) -> Any:
    """Runs the tests of a project as its author would. The plugin is named, as it is not installed here."""
    pytester.makepyfile(shop=app)
    pytester.makeini(f"[pytest]\npythonpath = .\n{ini}\n")
    pytester.makepyfile(test_shop=textwrap.dedent(tests))
    return pytester.runpytest_subprocess(*PLUGINS, timeout=100)


def passes(pytester: pytest.Pytester, tests: str, count: int = 1, **options: Any) -> None:
    project(pytester, tests, **options).assert_outcomes(passed=count)


def test_a_day_passes_and_what_is_due_is_delivered(pytester: pytest.Pytester) -> None:
    passes(
        pytester,
        """
        from shop import nightly_invoices

        def test_a_night(punctual):
            assert punctual.runs("nightly-invoices") == []
            assert punctual.advance("1d").runs == 1
            punctual.assert_ran_at("nightly-invoices", "2026-01-01T02:30:00+01:00", only=True)
            (run,) = punctual.runs(nightly_invoices)
            assert run.result == {"kind": "daily"}
            assert run.attempts[0].status == 200
            assert punctual.now.isoformat() == "2026-01-02T00:00:00+00:00"
        """,
    )


def test_daylight_saving_is_a_line_of_a_test(pytester: pytest.Pytester) -> None:
    passes(
        pytester,
        """
        import pytest

        @pytest.mark.punctual(start="2026-03-28T00:00:00+01:00")
        def test_spring(punctual):
            punctual.advance(to="2026-03-31T00:00:00+02:00")
            punctual.assert_ran_at(
                "nightly-invoices",
                "2026-03-28T02:30:00+01:00", "2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00",
                only=True,
            )
        """,
    )


def test_retries_happen_in_the_time_of_the_test(pytester: pytest.Pytester) -> None:
    passes(
        pytester,
        """
        def test_retries(punctual):
            run = punctual.trigger("flaky")
            assert (run.state, run.attempts[0].status) == ("waiting", 500)
            punctual.advance("10m")
            assert punctual.run(run.id).attempt_count == 2
            punctual.advance("10m")
            run = punctual.run(run.id)
            assert (run.state, run.result) == ("succeeded", 3)

        def test_for_good(punctual):
            run = punctual.trigger("hopeless")
            assert run.state == "failed"
            assert "no such customer" in run.reason + run.attempts[-1].error
        """,
        2,
    )


def test_what_a_route_enqueues_comes_later(pytester: pytest.Pytester) -> None:
    passes(
        pytester,
        """
        def test_an_order(punctual):
            run = punctual.http.post("/orders").json()["run"]
            punctual.advance("1h59m")
            assert punctual.run(run).state == "scheduled"
            punctual.advance("1m")
            assert punctual.run(run).attempt_count == 1

        def test_with_the_frameworks_own_client(punctual):
            from fastapi.testclient import TestClient
            from shop import app
            run = TestClient(app).post("/orders").json()["run"]
            punctual.advance("3h")
            assert punctual.run(run).state == "succeeded"
        """,
        2,
    )


def test_async_tests_await_the_same(pytester: pytest.Pytester) -> None:
    passes(
        pytester,
        """
        import pytest

        @pytest.mark.anyio
        @pytest.mark.parametrize("anyio_backend", ["asyncio"])
        async def test_a_night(async_punctual):
            await async_punctual.advance("1d")
            await async_punctual.assert_ran_at("nightly-invoices", "2026-01-01T02:30:00+01:00")
            run = await async_punctual.trigger("nightly-invoices", {"kind": "monthly"})
            assert run.result == {"kind": "monthly"}
            assert len(await async_punctual.runs("nightly-invoices", state="succeeded")) == 2
        """,
    )


def test_each_test_has_a_server_and_a_start_of_its_own(pytester: pytest.Pytester) -> None:
    passes(
        pytester,
        """
        import os

        seen = set()

        def test_one(punctual):
            seen.add(punctual.url)
            punctual.advance("40d")
            assert os.environ["PUNCTUAL_URL"] == punctual.url

        def test_two(punctual):
            assert punctual.now.isoformat() == "2026-05-01T10:00:00+00:00"
            assert punctual.runs() == []

        def test_three():
            assert "PUNCTUAL_URL" not in os.environ
            from shop import punctual as tasks
            assert tasks.client().url == "http://127.0.0.1:9"
        """,
        3,
        ini="punctual_app = shop:app\npunctual_start = 2026-05-01T12:00:00+02:00",
    )


def test_the_app_may_come_from_a_fixture(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        """
        import pytest

        @pytest.fixture
        def punctual_app():
            from punctual import Tasks
            tasks = Tasks()

            @tasks.task("0 * * * *")
            def hourly(run):
                return str(run.scheduled_for)

            return tasks.asgi()
        """
    )
    passes(
        pytester,
        """
        def test_hours(punctual):
            assert punctual.advance("3h").runs == 3
            assert punctual.runs("hourly")[0].result == "2026-01-01 01:00:00+00:00"
        """,
        ini="",
    )


def test_tasks_of_a_file_are_applied_too(pytester: pytest.Pytester) -> None:
    pytester.path.joinpath("punctual.yaml").write_text(
        "version: 1\n"
        "tasks:\n"
        "  ping:\n"
        "    schedule: {every: 1h}\n"
        '    http: {method: GET, url: "${APP_URL}/openapi.json"}\n'
    )
    passes(
        pytester,
        """
        def test_ping(punctual):
            punctual.advance("2h")
            punctual.assert_ran_at("ping", "2026-01-01T01:00:00Z", "2026-01-01T02:00:00Z")
        """,
        ini="punctual_app = shop:app\npunctual_tasks = punctual.yaml",
    )


def test_a_failure_shows_what_ran_and_the_traceback_of_the_task(pytester: pytest.Pytester) -> None:
    result = project(
        pytester,
        """
        def test_wrong(punctual):
            punctual.trigger("flaky")
            punctual.advance("1d")
            punctual.assert_ran_at("nightly-invoices", "2026-01-01T02:00:00+01:00")
        """,
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*nightly-invoices has no run of 2026-01-01T02:00:00+01:00 that is succeeded",
            "*The clock stands at 2026-01-02T01:00:00+01:00.",
            "*The runs of nightly-invoices:",
            "*2026-01-01T02:30:00+01:00  nightly-invoices *succeeded",
            "*The next is due at 2026-01-02T02:30:00+01:00.",
            "*Captured log call*",
            "*ValueError: the printer is on fire",
            "*punctual: what ran until 2026-01-02 00:00:00 UTC*",
            "*flaky *succeeded *after 3 attempts",
        ]
    )


def test_a_failure_says_why_a_run_failed_and_which_tasks_there_are(pytester: pytest.Pytester) -> None:
    result = project(
        pytester,
        """
        def test_failed(punctual):
            punctual.trigger("flaky")
            punctual.advance()
            punctual.assert_ran_at("flaky", "2026-01-01T00:00:00Z")

        def test_unknown(punctual):
            punctual.assert_ran_at("nightly-invoice", "2026-01-01T00:00:00Z")

        def test_only(punctual):
            punctual.advance("1d")
            punctual.assert_ran_at("nightly-invoices", only=True)
        """,
    )
    result.assert_outcomes(failed=3)
    result.stdout.fnmatch_lines(
        [
            "*flaky *waiting *ValueError: the printer is on fire",
            "*There is no task nightly-invoice; there are: flaky, hopeless, nightly-invoices.",
            "*nightly-invoices has a run of 2026-01-01T01:30:00+00:00, which is succeeded",
        ]
    )


def test_what_is_set_up_wrongly_is_said(pytester: pytest.Pytester) -> None:
    test = "def test_it(punctual): pass"
    for ini, words in (
        ("punctual_app = shop", "*write module:name, such as shop.main:app*"),
        ("punctual_app = shopp:app", "*there is no module shopp*"),
        ("punctual_app = shop:application", "*shop has no application*"),
        ("punctual_app = shop:app\npunctual_tasks = none.yaml", "*there is no file *none.yaml*"),
    ):
        result = project(pytester, test, ini=ini)
        result.assert_outcomes(errors=1)
        result.stdout.fnmatch_lines([words])


def test_an_app_that_does_not_start_fails_the_test_with_its_reason(pytester: pytest.Pytester) -> None:
    app = """
from contextlib import asynccontextmanager
from fastapi import FastAPI

@asynccontextmanager
async def lifespan(app):
    raise RuntimeError("no database here")
    yield

app = FastAPI(lifespan=lifespan)
"""
    result = project(pytester, "def test_it(punctual): pass", app=app)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*the app did not start: *", "*RuntimeError: no database here*"])


def test_without_the_fixture_the_server_is_not_needed(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tests that do not use the fixture notice nothing of the plugin."""
    monkeypatch.setenv("PUNCTUAL_SERVER", "/no/such/program")
    passes(pytester, "def test_it(): pass")


# --- without pytest ---


def echo_app() -> Any:
    """Plain ASGI: answers with the request."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"  # it knows no lifespan
        message = await receive()
        if scope["path"] == "/broken":
            raise RuntimeError("broken on purpose")
        headers = [(b"content-type", b"text/plain"), (b"x-path", scope["path"].encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        body = message["body"] or b"nothing"
        await send({"type": "http.response.body", "body": body[:1], "more_body": True})
        await send({"type": "http.response.body", "body": body[1:]})

    return app


def test_requests_reach_the_app_by_its_port_and_without_one() -> None:
    import httpx

    with TimeTravel(echo_app()) as punctual:
        for send in (punctual.http.request, httpx.Client(base_url=punctual.app_url, trust_env=False).request):
            assert send("POST", "/a%20b?c=d", content=b"x" * 200_000).text == "x" * 200_000
            assert send("GET", "/a%20b").headers["x-path"] == "/a b"
            assert send("HEAD", "/").text == ""
            assert send("GET", "/broken").status_code == 500


def test_any_http_task_reaches_the_app_of_the_test() -> None:
    with TimeTravel(echo_app()) as punctual:
        punctual.client.put_task(
            "ping", {"schedule": {"every": "6h"}, "http": {"url": punctual.app_url + "/ping"}}
        )
        assert punctual.advance("1d").runs == 4
        assert punctual.runs("ping")[0].attempts[0].response == "nothing"


def test_a_start_takes_less_than_200_ms_and_a_month_less_than_a_second() -> None:
    """The best of five, since the machine may be busy. Sanitizers are several times slower: they get more."""
    patience = 5 if "asan" in str(binary()) or "tsan" in str(binary()) else 1
    starts, months = [], []
    for _ in range(5):
        begun = time.perf_counter()
        with TimeTravel(echo_app()) as punctual:
            punctual.client.put_task(
                "daily", {"schedule": {"cron": "30 2 * * *"}, "http": {"url": punctual.app_url + "/ping"}}
            )
            started = time.perf_counter()
            assert punctual.advance("31d").runs == 31
            months.append(time.perf_counter() - started)
            starts.append(started - begun)
    assert min(starts) < 0.2 * patience
    assert min(months) < 1.0 * patience


def test_old_signatures_are_judged_by_the_clock_of_the_test() -> None:
    from punctual import Tasks, sign

    tasks = Tasks()

    @tasks.task()
    def work(run: Any) -> str:
        return "done"

    with TimeTravel(tasks.asgi()) as punctual:
        punctual.advance("400d")
        assert punctual.trigger("work").result == "done"
        stale = int(punctual.now.timestamp()) - 600
        headers = {
            "webhook-id": "run_1",
            "webhook-timestamp": str(stale),
            "webhook-signature": sign(os.environ["PUNCTUAL_SIGNING_SECRET"], "run_1", stale, b"null"),
        }
        assert punctual.http.post("/punctual/work", content=b"null", headers=headers).status_code == 401


def test_what_a_task_puts_into_the_outbox_is_in_time(tmp_path: Path) -> None:
    """A day passes in milliseconds and the relay is a thread: still, ten minutes are ten minutes."""
    from sqlalchemy import create_engine
    from sqlalchemy.orm import Session

    from punctual import Run, Tasks, outbox

    engine = create_engine(f"sqlite:///{tmp_path}/app.db")
    outbox.create_table(engine)
    tasks = Tasks()

    @tasks.task("0 6 * * *")
    def order(run: Run) -> None:
        with Session(engine) as session, session.begin():
            outbox.enqueue(session, remind, delay="10m")

    @tasks.task()
    def remind(run: Run) -> None: ...

    with TimeTravel(tasks.asgi()) as punctual, outbox.Relay(engine):
        punctual.advance("2d")
        punctual.assert_ran_at("remind", "2026-01-01T06:10:00Z", "2026-01-02T06:10:00Z", only=True)
        order(Run())
        punctual.advance("10m")
        punctual.assert_ran_at("remind", "2026-01-03T00:10:00Z")
    engine.dispose()
