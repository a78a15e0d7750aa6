"""Tasks as functions: what a decorator declares, and what the function is given.

    Run         what the function is given
    Handler     a function: which parameter takes the run, which the payload, and whether that validates
    Declared    a name, a handler and everything of the definition but the app's address
    Declarations    the declared tasks of one app, by name

Nothing here talks to a server.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypedDict

import anyio.to_thread
from anyio import CapacityLimiter
from anyio.lowlevel import RunVar

from punctual.durations import Duration, Instant, duration_text, instant_text
from punctual.encoding import encode
from punctual.policies import CatchUp, Expect, Fail, RateLimit, Retry

if TYPE_CHECKING:
    from typing_extensions import Unpack

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")
_SUMMARY_BYTES = 1000
_THREADS = 64  # as many deliveries as the server has under way to one app
_threads: RunVar[CapacityLimiter] = RunVar("punctual_threads")


class PayloadInvalid(Fail):
    """The payload is not what the function's annotation asks for. The run fails for good.

    `errors` are the places: `[{"pointer": "/customers/0", "detail": "..."}]`.
    """

    def __init__(self, errors: Sequence[Mapping[str, str]]) -> None:
        self.errors = [dict(error) for error in errors]
        places = "; ".join(f"{error['pointer'] or 'the payload'}: {error['detail']}" for error in self.errors)
        super().__init__(f"the payload does not validate: {places}")

    def __reduce__(self) -> Any:
        return PayloadInvalid, (self.errors,)


@dataclass(frozen=True)
class Run:
    """The run that a function carries out. To test the function, make one: `Run(payload={"kind": "daily"})`.

    `id` is the same in every attempt, so use it to notice what was done already. `attempt` counts from 1.
    `fence` only grows: hand it on to what the work changes, so that an attempt that was only slow cannot
    overwrite what its successor did. `scheduled_for` is the nominal instant of a scheduled run, in UTC;
    None for one that somebody asked for. `payload` is decoded JSON. `traceparent` is W3C Trace Context's.
    """

    id: str = "run_0000000000000"
    task: str | None = None
    attempt: int = 1
    fence: int = 1
    scheduled_for: datetime | None = None
    payload: Any = None
    traceparent: str | None = None
    beat: Callable[[Duration | None], Awaitable[None]] | None = field(default=None, repr=False, compare=False)
    """What prolongs the lease of a worker's run; None for a delivery over HTTP, which has none."""

    async def heartbeat(self, extend: Duration | None = None) -> None:
        """Keeps a worker's run its own for so long from now, as long as before where `extend` is None.

        A run that came over HTTP has no lease, and this does nothing: it may take its task's `timeout`.
        """
        if self.beat is not None:
            await self.beat(extend)


class Handler:
    """A function, plain or async, with at most two parameters: one takes the run, one the payload.

    The run goes to the parameter that is annotated with Run or is called `run`; the payload to the other one.
    Where that is annotated (anything but Any), pydantic turns the payload into it, or refuses it.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.is_async = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
            getattr(function, "__call__", None)  # noqa: B004  an object whose call is async
        )
        self._takes: list[tuple[str, bool, bool]] = []  # name, whether it is the run, whether by keyword only
        self._adapter: Any = None
        self._read_parameters()

    def arguments(self, run: Run) -> tuple[list[Any], dict[str, Any]]:
        """What to call the function with. Raises PayloadInvalid."""
        positional: list[Any] = []
        named: dict[str, Any] = {}
        for name, is_run, by_keyword in self._takes:
            value = run if is_run else self.validated(run.payload)
            if by_keyword:
                named[name] = value
            else:
                positional.append(value)
        return positional, named

    def validated(self, payload: Any) -> Any:
        """The payload as the function wants it. Raises PayloadInvalid."""
        if self._adapter is None:
            return payload
        from pydantic import ValidationError

        try:
            # From JSON, not from Python's values: in strict models an instant may then still be a text.
            return self._adapter.validate_json(json.dumps(payload))
        except ValidationError as trouble:
            raise PayloadInvalid(
                [{"pointer": _pointer(error["loc"]), "detail": error["msg"]} for error in trouble.errors()]
            ) from None

    async def call(self, run: Run) -> Any:
        """Calls it, a plain function in a thread, with the context (and so the measure) of the caller."""
        positional, named = self.arguments(run)
        if self.is_async:
            return await self.function(*positional, **named)
        work = partial(self.function, *positional, **named)
        answer = await anyio.to_thread.run_sync(work, limiter=_limiter())
        return await answer if inspect.isawaitable(answer) else answer

    def call_here(self, run: Run) -> Any:
        """Calls it in this thread, where no event loop may run; an async function gets one of its own."""
        positional, named = self.arguments(run)
        answer = self.function(*positional, **named)
        return asyncio.run(_awaited(answer)) if inspect.isawaitable(answer) else answer

    def _read_parameters(self) -> None:
        title = getattr(self.function, "__qualname__", repr(self.function))
        payloads = []
        for parameter in _signature_of(self.function, title).parameters.values():
            is_run = _is_run(parameter)
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                continue
            if not is_run and parameter.default is not parameter.empty and parameter.name != "payload":
                continue  # somebody else's to give
            self._takes.append((parameter.name, is_run, parameter.kind is parameter.KEYWORD_ONLY))
            if not is_run:
                payloads.append(parameter)
        if len(payloads) > 1 or len(self._takes) - len(payloads) > 1:
            names = ", ".join(name for name, _, _ in self._takes)
            raise TypeError(
                f"{title} takes ({names}); a task takes the run, the payload, or both: "
                "def f(run: Run, payload: Invoices). Give others a default"
            )
        if payloads:
            self._adapter = _adapter_of(payloads[0].annotation, title)


def _limiter() -> CapacityLimiter:
    """Threads of their own: tasks that take long must not keep the plain routes of an app waiting."""
    try:
        return _threads.get()
    except LookupError:
        limiter = CapacityLimiter(_THREADS)
        _threads.set(limiter)
        return limiter


def allow_threads(count: int) -> None:
    """Plain functions have at least so many threads in this event loop."""
    _limiter().total_tokens = max(_limiter().total_tokens, count)


async def _awaited(answer: Awaitable[Any]) -> Any:
    return await answer


def _signature_of(function: Callable[..., Any], title: str) -> inspect.Signature:
    """With annotations as objects. Where one is not found all stay texts: for a run that does not matter."""
    try:
        return inspect.signature(function, eval_str=True)
    except NameError:
        return inspect.signature(function)
    except (TypeError, ValueError) as trouble:
        raise TypeError(f"{title} cannot be a task: {trouble}") from None


def _is_run(parameter: inspect.Parameter) -> bool:
    return parameter.annotation in (Run, "Run", "punctual.Run") or parameter.name == "run"


def _adapter_of(annotation: Any, title: str) -> Any:
    if annotation in (inspect.Parameter.empty, Any, object, "Any"):
        return None
    if isinstance(annotation, str):
        raise TypeError(
            f"{title}: the payload is annotated with {annotation}, which is not known where the function "
            "is defined. Import it outside of `if TYPE_CHECKING:`, at the top of the module"
        )
    try:
        from pydantic import TypeAdapter
    except ImportError:
        raise TypeError(
            f"{title}: validating the payload needs pydantic, which is not installed: pip install pydantic "
            "(the extra [fastapi] of this package brings it). Or annotate the payload with Any"
        ) from None
    return TypeAdapter(annotation)


def _pointer(location: Sequence[int | str]) -> str:
    """A JSON pointer (RFC 6901) of pydantic's place."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in location)


# --- declarations ---

Schedule = str | Mapping[str, Any] | Sequence[Mapping[str, Any]]
"""A cron expression, or one or several schedules as the reference of a task has them."""


@dataclass(frozen=True)
class Declared:
    """A task as its decorator declares it. `fields` are those of the definition but a target over HTTP."""

    name: str
    handler: Handler
    fields: Mapping[str, Any]

    @property
    def is_of_a_queue(self) -> bool:
        """Whether workers carry it out, rather than the app over HTTP."""
        return "queue" in self.fields


def definition_of(declared: Declared, target: Mapping[str, Any]) -> dict[str, Any]:
    """The definition as `POST /v1/apply` takes it; `target` is such as `{"http": {...}}`."""
    definition: dict[str, Any] = json.loads(encode({**target, **declared.fields}))
    return definition


class Declarations:
    """Declared tasks by name. A name stands for one function."""

    def __init__(self) -> None:
        self._by_name: dict[str, Declared] = {}

    def __iter__(self) -> Iterator[Declared]:
        return iter(self._by_name.values())

    def __len__(self) -> int:
        return len(self._by_name)

    def find(self, name: str) -> Declared | None:
        """The task of this name, or None."""
        return self._by_name.get(name)

    def add(self, declared: Declared) -> None:
        """Raises ValueError where the name is taken."""
        if declared.name in self._by_name:
            raise ValueError(f'two functions are the task "{declared.name}": give one of them another name=')
        self._by_name[declared.name] = declared


class TaskOptions(TypedDict, total=False):
    """What a decorator may say besides the schedule: the fields of a task's definition, by their names."""

    name: str | None  # the function's with dashes where not said
    queue: str | None  # workers carry it out (punctual-worker), not the app
    every: Duration | None  # instead of a cron expression: a period
    at: Instant | None  # instead of a cron expression: once
    timezone: str | None
    jitter: Duration | None
    dst_gap: Literal["run", "skip"] | None
    dst_overlap: Literal["first", "both"] | None
    start: Instant | None
    end: Instant | None
    summary: str | None  # the first line of the docstring where not said
    payload: Any  # what runs of the schedule are given
    timeout: Duration | None
    retry: Retry | Mapping[str, Any] | None
    expect: Expect | Mapping[str, Any] | None
    overlap: Literal["allow", "skip", "queue", "replace"] | None
    catch_up: CatchUp | Mapping[str, Any] | None
    deadline: Duration | None
    delivery: Literal["at_least_once", "at_most_once"] | None
    owner: str | None  # this and the next four are the runbook
    expected_input: str | None
    expected_result: str | None
    rollback: str | None
    noticed_at: str | None
    notify: Mapping[str, Any] | None
    priority: int | None
    max_running: int | None
    rate_limit: RateLimit | Mapping[str, Any] | None
    signing_secret: str | None  # the name of a secret of the server; the app must have that secret, too


_OF_SCHEDULE = ("timezone", "jitter", "dst_gap", "dst_overlap", "start", "end")
_OF_RUNBOOK = ("owner", "expected_input", "expected_result", "rollback", "noticed_at")
_DURATIONS = ("every", "jitter", "timeout", "deadline")
_INSTANTS = ("at", "start", "end")


def declare(
    function: Callable[..., Any], schedule: Schedule | None = None, **options: Unpack[TaskOptions]
) -> Declared:
    """What a decorator says, put in the words of a definition. What is None is left to the server's defaults.

    Raises ValueError and TypeError for what makes no sense here; the rest the server judges.
    """
    unknown = [name for name in options if name not in TaskOptions.__annotations__]
    if unknown:
        raise TypeError(
            f"a task has no {', '.join(unknown)}; it has {', '.join(TaskOptions.__annotations__)}"
        )
    fields: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    for name in fields.keys() & _DURATIONS:
        fields[name] = duration_text(fields[name])
    for name in fields.keys() & _INSTANTS:
        fields[name] = instant_text(fields[name])
    if "queue" in fields:
        fields["queue"] = {"name": fields["queue"]}
    own = getattr(function, "__name__", "").strip("_").lower().replace("_", "-")
    name = _checked_name(fields.pop("name", own))
    when = _schedule_of(
        schedule, fields.pop("every", None), fields.pop("at", None), _taken(fields, _OF_SCHEDULE)
    )
    runbook = _taken(fields, _OF_RUNBOOK)
    whole = {"summary": _first_line(function), "schedule": when, "runbook": runbook or None, **fields}
    return Declared(
        name, Handler(function), {key: value for key, value in whole.items() if value is not None}
    )


def _taken(fields: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Those of the names that are there, taken out."""
    return {name: fields.pop(name) for name in names if name in fields}


def _schedule_of(
    schedule: Schedule | None, every: str | None, at: str | None, options: dict[str, Any]
) -> Any:
    whole = schedule is not None and not isinstance(schedule, str)
    if sum(one is not None for one in (schedule, every, at)) > 1:
        raise ValueError(
            "a cron expression, every= and at= exclude each other: for several schedules give a list"
        )
    if whole and options:
        raise ValueError(f"{', '.join(options)} beside a whole schedule: say it inside of that")
    if isinstance(schedule, str):
        return {"cron": schedule, **options}
    if every is not None:
        return {"every": every, **options}
    if at is not None:
        return {"at": at, **options}
    if options and not whole:
        raise ValueError(f"{', '.join(options)} without a schedule: give a cron expression, every= or at=")
    return schedule


def _checked_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(
            f'"{name}" cannot name a task: give name=, 1 to 100 of a-z 0-9 . _ -, a letter or digit first'
        )
    return name


def _first_line(function: Callable[..., Any]) -> str | None:
    text = inspect.getdoc(function) if inspect.isroutine(function) else None
    lines = (text or "").strip().splitlines()
    if not lines:
        return None
    return lines[0].removesuffix(".").encode()[:_SUMMARY_BYTES].decode(errors="ignore") or None
