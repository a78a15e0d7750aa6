"""The program punctual-worker: arguments, signals, exit codes."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import logging
import os
import signal
import sys
from typing import Any

from punctual.asgi import tasks_of
from punctual.errors import PunctualError
from punctual.tasks import Tasks
from punctual.version import __version__
from punctual.worker.engine import Engine, Settings
from punctual.worker.handlers import Worker, handlers_of
from punctual.worker.lines import tell, write_lines

ABOUT = """\
Takes runs of a queue and carries them out with functions of yours.

    # mail.py
    from punctual import Retry, Run, Worker

    worker = Worker(queue="emails")

    @worker.task(retry=Retry(max_attempts=5))
    async def welcome_mail(run: Run) -> dict:
        ...
"""

EXAMPLES = """\
examples:
  punctual-worker mail:worker                                the queue that worker names, ten runs at once
  punctual-worker mail:worker --queue emails --concurrency 20
  punctual-worker main:app --queue emails                    tasks of a FastAPI app that name this queue
  PUNCTUAL_URL=https://punctual.example.com PUNCTUAL_API_KEY=... punctual-worker mail:worker

signals:
  SIGTERM, SIGINT   takes nothing further, gives back what has not begun, lets what runs end (--drain)
  the second one    stops at once; the runs go to other workers when their lease ends

exit codes:
  0 all that was begun is over and reported, 1 something was left behind, or the worker could not begin,
  2 wrong arguments; 128 and the signal's number after a second signal

Payloads with a type need pydantic: pip install pydantic (the extra [fastapi] of this package brings it).
The log is one JSON object a line, on standard error.
"""


class CannotStart(Exception):
    """What was asked for is not there; the message says what is, or what to do."""


def parser() -> argparse.ArgumentParser:
    """The arguments."""
    made = argparse.ArgumentParser(
        prog="punctual-worker",
        description=ABOUT,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = made.add_argument
    add("target", metavar="module:name", help="a Worker, a PunctualApp, or its app, in a module of yours")
    add("--queue", metavar="NAME", help="the queue; where not given, the one that the Worker names")
    add("--concurrency", metavar="N", type=int, default=10, help="runs at once (10)")
    add(
        "--lease",
        metavar="TIME",
        default="30s",
        help="after so long without a heartbeat others get our runs (30s)",
    )
    add("--drain", metavar="TIME", default="25s", help="after SIGTERM runs may go on for so long (25s)")
    add("--url", metavar="URL", help="the server (PUNCTUAL_URL, else http://127.0.0.1:8640)")
    add("--name", metavar="NAME", help="shown with each attempt (host and process id)")
    add("--no-apply", action="store_true", help="do not apply the declared tasks at the start")
    add(
        "--log-level",
        choices=("debug", "info", "warning", "error"),
        default="info",
        help="info: a line for each attempt; warning: only for trouble (info)",
    )
    add("--version", action="version", version=f"punctual-worker {__version__}")
    return made


def main(arguments: list[str] | None = None) -> int:
    """Runs the program. Returns its exit code."""
    parse = parser()
    said = parse.parse_args(arguments)
    write_lines(said.log_level)
    try:
        tasks = load(said.target)
        queue = said.queue or (tasks.queue if isinstance(tasks, Worker) else None)
        if queue is None:
            raise CannotStart("which queue? Give --queue NAME, or Worker(queue=NAME)")
        named = {} if said.name is None else {"name": said.name}
        settings = Settings(
            queue, said.concurrency, said.lease, drain=said.drain, apply=not said.no_apply, **named
        )
    except (CannotStart, ValueError) as trouble:
        print(f"punctual-worker: {trouble}", file=sys.stderr)
        return 2
    if said.url:
        tasks.configure(url=said.url)
    try:
        return 0 if asyncio.run(_work(tasks, settings)) else _leave_threads(1)
    except PunctualError as trouble:
        print(f"punctual-worker: {trouble}", file=sys.stderr)
        return 1


def load(target: str) -> Tasks:
    """The object that `module:name` means. Raises CannotStart."""
    module_name, _, name = target.partition(":")
    if not module_name or not name:
        raise CannotStart(f'say which object of which module, such as "mail:worker", not "{target}"')
    if "" not in sys.path and os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())  # a console script has its own folder there
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as trouble:
        if trouble.name is None or not (module_name + ".").startswith(trouble.name + "."):
            raise  # something that the module itself imports: its traceback says where
        raise CannotStart(f'there is no module "{module_name}" in {os.getcwd()} or on PYTHONPATH') from None
    found: Any = module
    for part in name.split("."):
        found = getattr(found, part, None)
    of_app = tasks_of(found)
    found = found if of_app is None else of_app
    if isinstance(found, Tasks):
        if not handlers_of(found) and not (isinstance(found, Worker) and found.for_all_others):
            raise CannotStart(f'"{target}" has no functions: add some with @{name}.task(queue=...)')
        return found
    others = [key for key, value in vars(module).items() if isinstance(value, Tasks)]
    hint = f": did you mean {', '.join(f'{module_name}:{other}' for other in others)}?" if others else ""
    what = "is not there" if found is None else f"is a {type(found).__name__} without tasks"
    raise CannotStart(f'"{target}" {what}{hint}')


async def _work(tasks: Tasks, settings: Settings) -> bool:
    engine = Engine(tasks, settings)
    loop = asyncio.get_running_loop()
    heard: list[int] = []

    def on_signal(number: int) -> None:
        heard.append(number)
        if len(heard) > 1:
            tell(logging.WARNING, "stopped_at_once", signal=signal.Signals(number).name)
            _leave_threads(128 + number)
        tell(logging.INFO, "signal", signal=signal.Signals(number).name)
        engine.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
    return await engine.run()


def _leave_threads(code: int) -> int:
    """Ends the process: a thread that still runs a function cannot be stopped, and would be waited for."""
    logging.shutdown()
    sys.stderr.flush()
    sys.stdout.flush()
    os._exit(code)
