"""The tasks of an app that the server calls over HTTP, without any framework.

    tasks = Tasks(url="http://127.0.0.1:8640", app_url="https://app.example.com")

    @tasks.task("30 2 * * *", timezone="Europe/Berlin")
    def nightly_invoices(run: Run) -> dict: ...

`deliver` and `handle_delivery` carry out what the server sends; asgi.py and fastapi.py put them into an app.
`start` applies the tasks: those of this object, and no others.
"""

from __future__ import annotations

import functools
import json
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar

from punctual import delivery, models
from punctual.aio import AsyncPunctual
from punctual.applying import Applier
from punctual.client import Punctual
from punctual.delivery import Answer, log, problem
from punctual.durations import Duration, Instant
from punctual.encoding import encode
from punctual.errors import NotFound, PunctualError
from punctual.policies import Fail
from punctual.registry import Declarations, Declared, Run, Schedule, TaskOptions, declare, definition_of
from punctual.signature import SignatureInvalid, secrets_of, verify_with
from punctual.visibility import Cache, measuring, report

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from punctual.asgi import App, TasksApp

P = ParamSpec("P")
R = TypeVar("R")
C = TypeVar("C", bound="Punctual | AsyncPunctual")

_APPLY_TIMEOUT_S = 10.0


class ConfigurationMissing(PunctualError):
    """The app does not know its own address or the signing secret. The message says what to set."""


class Tasks:
    """The tasks of one app: declares, applies, enqueues, and carries out what the server delivers.

    `url` and `api_key` say where the server is (else PUNCTUAL_URL and PUNCTUAL_API_KEY), `app_url` where the
    server reaches this app (else APP_URL), with the path under which a proxy shows it. `secret` is what signs
    the deliveries, one or several while it is rotated (else PUNCTUAL_SIGNING_SECRET, several with blanks
    between them). `path` is where in the app the tasks are. `apply=False`: the tasks are applied by somebody
    else, such as `tasks.apply_now()` in a deployment. The environment is read when a value is first needed.
    """

    def __init__(
        self,
        *,
        url: str | None = None,
        api_key: str | None = None,
        app_url: str | None = None,
        secret: str | Sequence[str] | None = None,
        path: str = "/punctual",
        apply: bool = True,
    ) -> None:
        if not path.startswith("/") or not path.strip("/"):
            raise ValueError(f'path is such as "/punctual", with a slash in front, not "{path}"')
        self.path = path.rstrip("/")
        self._declared = Declarations()
        self._url = url
        self._api_key = api_key
        self._app_url = app_url
        self._secret = secret
        self._apply_at_start = apply
        self._keys: list[bytes] | None = None
        self._applied = False
        self._applier: Applier | None = None
        self._lock = threading.Lock()
        self._client: Punctual | None = None
        self._async_client: AsyncPunctual | None = None

    def configure(
        self,
        *,
        url: str | None = None,
        api_key: str | None = None,
        app_url: str | None = None,
        secret: str | Sequence[str] | None = None,
        apply: bool | None = None,
    ) -> None:
        """Replaces settings, before the app starts: for tests, and apps that learn them late."""
        self._url = url if url is not None else self._url
        self._api_key = api_key if api_key is not None else self._api_key
        self._app_url = app_url if app_url is not None else self._app_url
        self._secret = secret if secret is not None else self._secret
        self._apply_at_start = apply if apply is not None else self._apply_at_start
        self._keys = None
        self._applied = False
        with self._lock:
            if self._client is not None:
                self._client.close()
            self._client = self._async_client = None

    # --- declaring ---

    def task(
        self, schedule: Schedule | None = None, **options: Unpack[TaskOptions]
    ) -> Callable[[Callable[P, R]], TaskFunction[P, R]]:
        """Makes the function below it a task of this app.

        `schedule` is a cron expression, or schedules as the reference of a task has them; without one the
        task runs only when it is enqueued. For the options see TaskOptions. The function takes the run, the
        payload (validated where it is annotated), both or none, and may still be called like any function.
        """
        if callable(schedule):
            raise TypeError("write @punctual.task() with its brackets, also where there is nothing to say")

        def decorate(function: Callable[P, R]) -> TaskFunction[P, R]:
            declared = declare(function, schedule, **options)
            self._declared.add(declared)
            if self._applier is not None:
                log.warning("the task %s is declared after the start, so it is not applied", declared.name)
            return TaskFunction(function, declared, self)

        return decorate

    def definitions(self) -> dict[str, dict[str, Any]]:
        """The definitions by name, as they are applied. Raises ConfigurationMissing without an app_url."""
        return {task.name: definition_of(task, self._target(task)) for task in self._declared}

    def _target(self, task: Declared) -> dict[str, Any]:
        if task.is_of_a_queue:
            return {}
        return {"http": {"method": "POST", "url": f"{self._base_url()}{self.path}/{task.name}"}}

    @property
    def declared(self) -> Declarations:
        """The tasks as they are declared."""
        return self._declared

    @staticmethod
    def report(
        *,
        cache: Cache | None = None,
        db_calls: int | None = None,
        db_time: float | timedelta | None = None,
    ) -> None:
        """Adds to what is known of the request or run under way: `punctual.report`, within easy reach."""
        report(cache=cache, db_calls=db_calls, db_time=db_time)

    # --- settings ---

    def _base_url(self) -> str:
        url = self._app_url or os.environ.get("APP_URL")
        if not url:
            raise ConfigurationMissing(
                "the server must know where to reach this app: set APP_URL, or give app_url=, "
                "such as http://127.0.0.1:8000"
            )
        if not url.startswith(("http://", "https://")):
            raise ConfigurationMissing(f"app_url, or APP_URL, must begin with http:// or https://: {url}")
        return url.rstrip("/")

    def _signing_keys(self) -> list[bytes]:
        if self._keys is None:
            secret = self._secret or os.environ.get("PUNCTUAL_SIGNING_SECRET")
            if not secret:
                raise ConfigurationMissing(
                    "deliveries cannot be verified: set PUNCTUAL_SIGNING_SECRET, or give secret=, "
                    "to what `punctual secret show` says where the server runs"
                )
            try:
                self._keys = secrets_of(secret)
            except ValueError as trouble:
                raise ConfigurationMissing(f"the signing secret cannot be used: {trouble}") from None
        return self._keys

    # --- the server ---

    def client(self) -> Punctual:
        """A client of the server, for threads. It stays this object's."""
        with self._lock:
            if self._client is None:
                self._client = Punctual(self._url, self._api_key)
            return self._client

    def async_client(self) -> AsyncPunctual:
        """A client of the server, for asyncio. It stays this object's."""
        with self._lock:
            if self._async_client is None:
                self._async_client = AsyncPunctual(self._url, self._api_key)
            return self._async_client

    def connect(self, kind: type[C], **more: Any) -> C:
        """A client of that class, with the same server and key. The caller closes it."""
        return kind(self._url, self._api_key, **more)

    @property
    def applies_at_start(self) -> bool:
        """Whether the tasks are applied at the start, or by somebody else."""
        return self._apply_at_start

    @property
    def applied(self) -> bool:
        """Whether the server has the tasks as they are declared here, as far as this process knows."""
        return self._applied

    def apply_now(self) -> models.Plan:
        """Applies the tasks of this app and touches no others. The same definitions again change nothing."""
        return self._apply_by(self.client())

    async def apply(self) -> models.Plan:
        """As `apply_now`, awaited."""
        plan = await self.async_client().apply({"tasks": self.definitions()})
        self._applied = True
        return plan

    def start(self) -> None:
        """At the start of the app: checks the settings, and applies the tasks in the background.

        Where the server is not there yet it is tried until it is; the log says so. Raises
        ConfigurationMissing. Apps without a start of their own, such as Flask's, call it when they are made.
        """
        if not len(self._declared):
            return
        if any(not task.is_of_a_queue for task in self._declared):
            self._signing_keys()
        self.definitions()
        if self._apply_at_start:
            # Without retries of its own, so that the log says at once what it waits for.
            impatient = Punctual(self._url, self._api_key, timeout=_APPLY_TIMEOUT_S, retries=0)
            self._applier = Applier(self._apply_by, impatient)
            self._applier.start()

    async def stop(self) -> None:
        """At the end of the app: lets go of the connections."""
        if self._applier is not None:
            self._applier.stop()
            self._applier = None
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()
        if self._async_client is not None:
            await self._async_client.aclose()

    def _apply_by(self, client: Punctual) -> models.Plan:
        plan = client.apply({"tasks": self.definitions()})
        self._applied = True
        return plan

    # --- enqueueing ---

    async def _enqueue(self, task: Declared, payload: Any, wish: Mapping[str, Any]) -> models.Run:
        payload = _checked_payload(task, payload)
        client = self.async_client()
        try:
            return await client.trigger_task(task.name, payload=payload, **wish)
        except NotFound:
            if self._applied or not self._apply_at_start:
                raise
        await self.apply()  # the app has just begun, and its tasks are on their way
        return await client.trigger_task(task.name, payload=payload, **wish)

    def _enqueue_now(self, task: Declared, payload: Any, wish: Mapping[str, Any]) -> models.Run:
        payload = _checked_payload(task, payload)
        client = self.client()
        try:
            return client.trigger_task(task.name, payload=payload, **wish)
        except NotFound:
            if self._applied or not self._apply_at_start:
                raise
        self.apply_now()
        return client.trigger_task(task.name, payload=payload, **wish)

    # --- deliveries ---

    def asgi(self, app: App | None = None) -> TasksApp:
        """An ASGI app: serves the tasks under `path`, hands everything else to `app`, and starts with it."""
        from punctual.asgi import TasksApp

        return TasksApp(self, app)

    async def deliver(self, name: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Carries out a delivery to the task `name`. Never raises but for what ends the process.

        `headers` are all of the request, `body` its raw bytes. What it cost is counted by the measure of the
        caller, and said by whoever answers (`Visibility`).
        """
        opened = self._open(name, headers, body)
        if isinstance(opened, Answer):
            return opened
        task, run, invalid = opened
        try:
            if invalid is not None:
                raise invalid
            return delivery.succeeded(await task.handler.call(run), run)
        except Exception as trouble:
            return delivery.failed(trouble, run)

    def handle_delivery(self, headers: Mapping[str, str], body: bytes, name: str | None = None) -> Answer:
        """As `deliver`, for frameworks without an event loop such as Flask and Django; it blocks.

        `name` is the task's, from the path; where it is None, the header Punctual-Task says it. The
        answer's headers include what the run cost.
        """
        with measuring() as measure:
            named = name if name is not None else delivery.lower_headers(headers).get("punctual-task", "")
            answer = self._handle(named, headers, body)
            return answer.plus(measure.headers())

    def _handle(self, name: str, headers: Mapping[str, str], body: bytes) -> Answer:
        opened = self._open(name, headers, body)
        if isinstance(opened, Answer):
            return opened
        task, run, invalid = opened
        try:
            if invalid is not None:
                raise invalid
            return delivery.succeeded(task.handler.call_here(run), run)
        except Exception as trouble:
            return delivery.failed(trouble, run)

    def _open(
        self, name: str, headers: Mapping[str, str], body: bytes
    ) -> Answer | tuple[Declared, Run, Fail | None]:
        """Verifies before anything else is looked at; an answer where nothing may be executed."""
        try:
            keys = self._signing_keys()
        except ConfigurationMissing as trouble:
            log.error("%s", trouble)
            return problem(500, "This app cannot verify deliveries", "its log says what is missing")
        found = delivery.lower_headers(headers)
        try:
            verify_with(keys, found, body)
        except SignatureInvalid as trouble:
            log.warning("a delivery to the task %.100r was refused: %s", name, trouble)
            return problem(401, "Not a genuine delivery", str(trouble))
        task = self._declared.find(name)
        if task is None:
            log.warning("there is no task %.100r in this app, which has %d", name, len(self._declared))
            return problem(404, "No such task", "this app has no such task: it may be an older one")
        try:
            return task, delivery.run_of(name, found, body), None
        except Fail as trouble:
            return task, delivery.run_of(name, found, b""), trouble


class TaskFunction(Generic[P, R]):
    """A function that is a task: call it as before, or enqueue a run of it."""

    def __init__(self, function: Callable[P, R], declared: Declared, tasks: Tasks) -> None:
        self._function = function
        self._declared = declared
        self._tasks = tasks
        self.__name__ = declared.name  # for tools that ask any function; update_wrapper has the true one
        functools.update_wrapper(self, function)

    def __call__(self, *arguments: P.args, **named: P.kwargs) -> R:
        """Calls the function itself, here and now: no server, no record."""
        return self._function(*arguments, **named)

    def __repr__(self) -> str:
        return f"<task {self.name}>"

    @property
    def name(self) -> str:
        """The task's name on the server."""
        return self._declared.name

    async def enqueue(
        self,
        payload: Any = None,
        *,
        delay: Duration | None = None,
        run_at: Instant | None = None,
        priority: int | None = None,
        idempotency_key: str | None = None,
    ) -> models.Run:
        """Asks the server for a run: now, after `delay` or at `run_at`. It is on the disk when this returns.

        The payload may be a pydantic model; where the function's annotation asks for another one this raises
        PayloadInvalid. The same `idempotency_key` again gives the same run. Raises PunctualError.
        """
        wish = {"delay": delay, "run_at": run_at, "priority": priority, "idempotency_key": idempotency_key}
        return await self._tasks._enqueue(self._declared, payload, wish)

    def enqueue_now(
        self,
        payload: Any = None,
        *,
        delay: Duration | None = None,
        run_at: Instant | None = None,
        priority: int | None = None,
        idempotency_key: str | None = None,
    ) -> models.Run:
        """As `enqueue`, for code that is not async: it blocks until the server has answered."""
        wish = {"delay": delay, "run_at": run_at, "priority": priority, "idempotency_key": idempotency_key}
        return self._tasks._enqueue_now(self._declared, payload, wish)


def _checked_payload(task: Declared, payload: Any) -> Any:
    """As JSON values; refused here where the function would refuse it. None is the task's own payload."""
    if payload is None:
        return None
    plain = json.loads(encode(payload))
    task.handler.validated(plain)
    return plain
