"""A day of the shop in a few seconds: uvicorn serves the app, beside it runs the server with a test clock.

    python demo.py              shows the day, then leaves both up until Ctrl-C
    python demo.py --end        shows the day and ends

The clock begins at midnight in Berlin and moves hour by hour; whatever is due is delivered over HTTP as on
any other day. One row for each attempt, as the server has recorded it.
"""

import argparse
import asyncio
import os
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any
from zoneinfo import ZoneInfo

import uvicorn
from punctual import Punctual, PunctualError, clock, outbox
from punctual.models import Attempt, Run
from punctual.server import LocalServer

HERE = Path(__file__).resolve().parent
BERLIN = ZoneInfo("Europe/Berlin")
START_S = 30.0
ROW = "{:5}  {:17} {:>2}  {:9} {:>4} {:>8} {:>8}  {:7} {:>3} {:>8}"
HEAD = ROW.format("TIME", "TASK", "#", "OUTCOME", "CODE", "LATE", "TOOK", "CACHE", "DB", "DB TIME")


class FollowsTheServersClock:
    """Around the app: signatures are judged, and caches grow old, by the time of the delivery.

    Only a demonstration or a test may do so. In a test the fixture `punctual` does.
    """

    def __init__(self, app: Any, begin: datetime) -> None:
        self._app = app
        self._now = begin.timestamp()
        clock.set_now(lambda: self._now)

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        for name, value in scope.get("headers", ()):
            if name == b"webhook-timestamp":
                self._now = max(self._now, float(value))
        await self._app(scope, receive, send)


def main() -> int:
    words = argparse.ArgumentParser(description="A day of the example service in a few seconds.")
    words.add_argument("--end", action="store_true", help="end after the day instead of waiting for Ctrl-C")
    chosen = words.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        with tempfile.TemporaryDirectory(prefix="shop-") as folder, shop_and_server(Path(folder)) as server:
            show_a_day(server)
            if not chosen.end:
                wait_for_ctrl_c(server)
    except KeyboardInterrupt:
        print("\ndemo: both have ended")
    except PunctualError as trouble:
        print(f"demo: {trouble}", file=sys.stderr)
        return 1
    return 0


@contextmanager
def shop_and_server(folder: Path) -> Iterator[LocalServer]:
    """Both on free ports of 127.0.0.1, with databases that go away."""
    begin = datetime.now(BERLIN).replace(hour=0, minute=0, second=0, microsecond=0)
    port = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    port.bind(("127.0.0.1", 0))
    app_url = f"http://127.0.0.1:{port.getsockname()[1]}"
    arguments = [f"--test-clock={begin.isoformat()}", "--apply", str(HERE / "punctual.yaml")]
    with LocalServer(*arguments, env={"APP_URL": app_url}) as server:
        os.environ.update(
            PUNCTUAL_URL=server.url,
            PUNCTUAL_SIGNING_SECRET=server.secret,
            APP_URL=app_url,
            SHOP_DATABASE=str(folder / "shop.db"),
        )
        from shop.main import app, punctual  # now that the environment says where everything is

        follows = FollowsTheServersClock(app, begin)
        web = uvicorn.Server(uvicorn.Config(follows, log_level="warning", lifespan="on"))
        thread = threading.Thread(target=web.run, kwargs={"sockets": [port]}, name="uvicorn")
        thread.start()
        try:
            wait_until(lambda: web.started and punctual.applied, thread)
            yield server
        finally:
            web.should_exit = True
            thread.join()
            server.stop()


def wait_until(ready: Any, thread: threading.Thread) -> None:
    until = time.monotonic() + START_S
    while not ready():
        if time.monotonic() > until or not thread.is_alive():
            raise PunctualError("the shop did not start; the lines above say why")
        time.sleep(0.01)


# --- the day ---


def show_a_day(server: LocalServer) -> None:
    with Punctual(server.url) as client:
        begin = client.test_clock().now
        day = f"{begin.astimezone(BERLIN):%A, %d %B %Y}"
        print(f"{day}, in Berlin: a day of {len(list(client.tasks()))} tasks\n\n{HEAD}")
        runs: list[Run] = []
        for hour in range(24):
            asyncio.run(outbox.flush_all())  # what a task enqueued is there before the clock moves on
            client.test_clock(to=begin + timedelta(hours=hour + 1))
            ended = ended_within(client, begin + timedelta(hours=hour))
            for run, attempt in attempts_of(ended):
                print(row_of(run, attempt), flush=True)
            runs += ended
        audit = client.audit(from_=begin, to=begin + timedelta(days=1))
    print(f"\n{summary_of(runs)}; the audit finds {audit.differences_total} differences")
    print("LATE is 0 here: the clock stands still until a run has started. On a real one it is not.")


def ended_within(client: Punctual, hour: datetime) -> list[Run]:
    """The runs that were due in the hour that begins there, and have ended."""
    due = client.runs(from_=hour, to=hour + timedelta(hours=1))
    return [client.get_run(run.id) for run in due if run.is_final]


def attempts_of(runs: list[Run]) -> list[tuple[Run, Attempt]]:
    """In the order of their instants."""
    found = [(run, attempt) for run in runs for attempt in run.attempts]
    return sorted(found, key=lambda pair: (str(pair[1].started_at), pair[0].id))


def row_of(run: Run, attempt: Attempt) -> str:
    at = attempt.started_at.astimezone(BERLIN) if attempt.started_at else None
    return ROW.format(
        f"{at:%H:%M}" if at else "",
        (run.task or run.id)[:17],
        attempt.number,
        attempt.outcome[:9],
        attempt.status or "-",
        in_ms(attempt.lateness_ms),
        in_ms(attempt.response_time_ms),
        "-" if attempt.cache == "unknown" else attempt.cache,
        "-" if attempt.db_calls is None else attempt.db_calls,
        in_ms(attempt.db_time_ms),
    )


def in_ms(number: float | None) -> str:
    return "-" if number is None else f"{number:.1f} ms"


def summary_of(runs: list[Run]) -> str:
    attempts = [attempt for _, attempt in attempts_of(runs)]
    words = [f"{len(runs)} runs, {len(attempts)} attempts"]
    for cache in ("cold", "warm"):
        took = [a.response_time_ms for a in attempts if a.cache == cache and a.response_time_ms is not None]
        if took:
            words.append(f"{cache} median {median(took):.1f} ms")
    return ", ".join(words)


def wait_for_ctrl_c(server: LocalServer) -> None:
    print(f"\nThe shop      {os.environ['APP_URL']}/docs, /reports/revenue, /invoices")
    print(f"The server    {server.url}/docs; in another terminal: PUNCTUAL_URL={server.url} punctual runs")
    print(f'Another day   curl --json \'{{"advance": "1d"}}\' {server.url}/v1/test/clock')
    print("Ctrl-C ends both.", flush=True)
    while server.running:
        time.sleep(0.2)
    raise PunctualError("the server has ended by itself")


if __name__ == "__main__":
    sys.exit(main())
