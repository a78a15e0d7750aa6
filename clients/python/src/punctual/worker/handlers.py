"""Which function carries out a run of a queue: the tasks that a worker's program declares or handles.

    worker = Worker(queue="emails")

    @worker.task(retry=Retry(max_attempts=5))       # declared here: the worker puts it on the server when it starts
    async def welcome_mail(run: Run, payload: Mail) -> dict: ...

    @worker.handles("goodbye-mail")                 # defined elsewhere, such as in punctual.yaml
    def goodbye(run: Run): ...

    @worker.otherwise                               # single runs without a task, and tasks nobody else handles
    async def anything(run: Run): ...
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from punctual.policies import Retry
from punctual.registry import Declarations, Handler, Schedule, declare, definition_of

F = TypeVar("F", bound=Callable[..., Any])

NO_HANDLER_AFTER = "30s"  # a newer worker that knows the task may be on its way


class Worker:
    """The functions of one program that carry out runs of queues. `punctual-worker module:worker` runs it.

    `queue` is the queue of tasks that name none, and the one that `punctual-worker` takes runs from where it
    is not told.
    """

    def __init__(self, queue: str | None = None) -> None:
        self.queue = queue
        self._declared = Declarations()
        self._queues: dict[str, str] = {}
        self._handlers: dict[str, Handler] = {}
        self._otherwise: Handler | None = None

    def task(
        self, schedule: Schedule | None = None, *, queue: str | None = None, **fields: Any
    ) -> Callable[[F], F]:
        """Declares a task of a queue, carried out by the decorated function.

        It takes what `PunctualApp.task` takes: `name` (the function's, with dashes, where not said), a
        schedule, and policies such as `retry=Retry(max_attempts=5)`. The worker applies it when it starts.
        Raises ValueError and TypeError for what makes no sense.
        """
        lane = queue or self.queue
        if lane is None:
            raise ValueError('the task has no queue: give queue="emails", or Worker(queue="emails") for all')

        def decorate(function: F) -> F:
            declared = declare(function, schedule, **fields)
            self._add(declared.name, declared.handler)
            self._declared.add(declared)
            self._queues[declared.name] = lane
            return function

        return decorate

    def handles(self, *names: str) -> Callable[[F], F]:
        """The decorated function carries out the runs of these tasks, which are defined elsewhere."""
        if not names or not all(isinstance(name, str) for name in names):
            raise TypeError('say which tasks: @worker.handles("welcome-mail")')

        def decorate(function: F) -> F:
            handler = Handler(function)
            for name in names:
                self._add(name, handler)
            return function

        return decorate

    def otherwise(self, function: F) -> F:
        """The decorated function carries out every run that no other one does. Raises ValueError for a second."""
        if self._otherwise is not None:
            raise ValueError("there is a function for all other runs already")
        self._otherwise = Handler(function)
        return function

    def definitions(self, queue: str) -> dict[str, Any]:
        """What is declared for this queue, as `apply` takes it: definitions by name."""
        return {
            declared.name: definition_of(declared, {"queue": {"name": queue}})
            for declared in self._declared
            if self._queues[declared.name] == queue
        }

    def handler_of(self, task: str | None) -> Handler:
        """The function for runs of this task; None: for single runs.

        Raises Retry where there is none: the run is tried again later, perhaps by a worker that knows it, and
        when its attempts are used up it is among the dead letters, with this message.
        """
        handler = self._handlers.get(task or "") or self._otherwise
        if handler is None:
            what = f'the task "{task}"' if task else "runs without a task"
            known = ", ".join(sorted(self._handlers)) or "none"
            raise Retry(
                f"this worker has no function for {what}; it has them for: {known}. Add one with "
                "@worker.task, @worker.handles or @worker.otherwise",
                after=NO_HANDLER_AFTER,
            )
        return handler

    def __len__(self) -> int:
        return len(self._handlers) + (self._otherwise is not None)

    def _add(self, name: str, handler: Handler) -> None:
        if name in self._handlers:
            raise ValueError(f'two functions carry out the task "{name}": take one away, or rename it')
        self._handlers[name] = handler

