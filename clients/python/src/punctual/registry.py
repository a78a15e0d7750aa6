"""Tasks as functions: what a decorator declares, and what the function is given.

    Handler     knows a function's parameters: which takes the run, which the payload, and validates the payload
    Run         what the function is given
    Declared    a name, a handler and everything of the definition but its target
    Declarations    the declared tasks of one app, by name

Nothing here talks to a server.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, Literal

import anyio.to_thread

from punctual.durations import Duration, Instant, duration_text, instant_text
from punctual.encoding import encode
from punctual.policies import CatchUp, Expect, Fail, RateLimit, Retry

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")
_SUMMARY_BYTES = 1000


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
    """The run that a function carries out. For a test of the function, make one: `Run(payload={"kind": "daily"})`.

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

        A run that came over HTTP has no lease: it may take as long as its task's `timeout`, and this does nothing.
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
        answer = await anyio.to_thread.run_sync(partial(self.function, *positional, **named))
        return await answer if inspect.isawaitable(answer) else answer

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


def _signature_of(function: Callable[..., Any], title: str) -> inspect.Signature:
    """With annotations as objects; one that cannot be found stays a text, which matters only for a payload."""
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
            f"{title}: to validate the payload pydantic is needed: pip install 'punctual[fastapi]', "
            "or annotate it with Any"
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
    """A task as its decorator declares it; `fields` are those of the definition, all but the target."""

    name: str
    handler: Handler
    fields: Mapping[str, Any]


def definition_of(declared: Declared, target: Mapping[str, Any]) -> dict[str, Any]:
    """The definition for `PUT /v1/tasks/{name}` and `POST /v1/apply`; `target` is such as `{"http": {...}}`."""
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


def declare(
    function: Callable[..., Any],
    schedule: Schedule | None = None,
    *,
    name: str | None = None,
    every: Duration | None = None,
    at: Instant | None = None,
    timezone: str | None = None,
    jitter: Duration | None = None,
    dst_gap: Literal["run", "skip"] | None = None,
    dst_overlap: Literal["first", "both"] | None = None,
    start: Instant | None = None,
    end: Instant | None = None,
    summary: str | None = None,
    payload: Any = None,
    timeout: Duration | None = None,
    retry: Retry | Mapping[str, Any] | None = None,
    expect: Expect | Mapping[str, Any] | None = None,
    overlap: Literal["allow", "skip", "queue", "replace"] | None = None,
    catch_up: CatchUp | Mapping[str, Any] | None = None,
    deadline: Duration | None = None,
    delivery: Literal["at_least_once", "at_most_once"] | None = None,
    owner: str | None = None,
    expected_input: str | None = None,
    expected_result: str | None = None,
    rollback: str | None = None,
    noticed_at: str | None = None,
    notify: Mapping[str, Any] | None = None,
    priority: int | None = None,
    max_running: int | None = None,
    rate_limit: RateLimit | Mapping[str, Any] | None = None,
    signing_secret: str | None = None,
) -> Declared:
    """What a decorator says, put in the words of a definition. What is None is left to the server's defaults.

    The name is the function's with dashes where it is not said, the summary the first line of its docstring.
    Raises ValueError and TypeError for what makes no sense here; the rest the server judges.
    """
    own = getattr(function, "__name__", "").strip("_").lower().replace("_", "-")
    runbook = _said(
        owner=owner,
        expected_input=expected_input,
        expected_result=expected_result,
        rollback=rollback,
        noticed_at=noticed_at,
    )
    options = _said(
        timezone=timezone,
        dst_gap=dst_gap,
        dst_overlap=dst_overlap,
        jitter=None if jitter is None else duration_text(jitter),
        start=None if start is None else instant_text(start),
        end=None if end is None else instant_text(end),
    )
    fields = _said(
        summary=summary or _first_line(function),
        schedule=_schedule_of(schedule, every, at, options),
        payload=payload,
        timeout=None if timeout is None else duration_text(timeout),
        retry=retry,
        expect=expect,
        overlap=overlap,
        catch_up=catch_up,
        deadline=None if deadline is None else duration_text(deadline),
        delivery=delivery,
        runbook=runbook or None,
        notify=notify,
        priority=priority,
        max_running=max_running,
        rate_limit=rate_limit,
        signing_secret=signing_secret,
    )
    return Declared(_checked_name(name or own), Handler(function), fields)


def _schedule_of(
    schedule: Schedule | None, every: Duration | None, at: Instant | None, options: dict[str, Any]
) -> Any:
    whole = schedule is not None and not isinstance(schedule, str)
    if sum(one is not None for one in (schedule, every, at)) > 1:
        raise ValueError("a cron expression, every= and at= exclude each other: for several schedules give a list")
    if whole and options:
        raise ValueError(f"{', '.join(options)} beside a whole schedule: say it inside of that")
    if isinstance(schedule, str):
        return {"cron": schedule, **options}
    if every is not None:
        return {"every": duration_text(every), **options}
    if at is not None:
        return {"at": instant_text(at), **options}
    if options and not whole:
        raise ValueError(f"{', '.join(options)} without a schedule: give a cron expression, every= or at=")
    return schedule


def _checked_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(
            f'"{name}" cannot be the name of a task: give name=, 1 to 100 of a-z 0-9 . _ -, a letter or digit first'
        )
    return name


def _first_line(function: Callable[..., Any]) -> str | None:
    text = inspect.getdoc(function) if inspect.isroutine(function) else None
    lines = (text or "").strip().splitlines()
    if not lines:
        return None
    return lines[0].encode()[:_SUMMARY_BYTES].decode(errors="ignore")


def _said(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
