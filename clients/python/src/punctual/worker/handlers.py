"""Which function carries out a run of a queue.

    worker = Worker(queue="emails")

    @worker.task(retry=Retry(max_attempts=5))    # declared here: applied when the worker starts
    async def welcome_mail(run: Run, payload: Mail) -> dict: ...

    @worker.handles("goodbye-mail")              # defined elsewhere, such as in punctual.yaml
    def goodbye(run: Run): ...

    @worker.otherwise                            # single runs without a task, and tasks of nobody else
    async def anything(run: Run): ...

An app may do the same: `@punctual.task(queue="emails")` of a PunctualApp, `punctual-worker main:app`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from punctual.policies import Retry
from punctual.registry import Handler, Schedule, TaskOptions
from punctual.tasks import TaskFunction, Tasks

if TYPE_CHECKING:
    from typing_extensions import Unpack

F = TypeVar("F", bound=Callable[..., Any])
P = ParamSpec("P")
R = TypeVar("R")

NO_FUNCTION_AFTER = "30s"  # a newer worker that knows the task may be on its way


class Worker(Tasks):
    """The functions of a program that carry out runs of queues. `punctual-worker module:worker` runs it.

    `queue` is the queue of the tasks that name none, and the one that `punctual-worker` takes runs from where
    it is not told. `url`, `api_key` and `apply` are those of Tasks. A task is enqueued as one of an app is:
    `await welcome_mail.enqueue({"user": 7})`.
    """

    def __init__(
        self,
        queue: str | None = None,
        *,
        url: str | None = None,
        api_key: str | None = None,
        apply: bool = True,
    ) -> None:
        super().__init__(url=url, api_key=api_key, apply=apply)
        self.queue = queue
        self.others: dict[str, Handler] = {}
        self.for_all_others: Handler | None = None

    def task(
        self, schedule: Schedule | None = None, **options: Unpack[TaskOptions]
    ) -> Callable[[Callable[P, R]], TaskFunction[P, R]]:
        """Makes the function below it a task, carried out by workers of its queue. For the options see
        TaskOptions.

        Raises ValueError where neither the task nor this object has a queue.
        """
        if options.get("queue") is None:
            if self.queue is None:
                raise ValueError('say which queue: queue="emails", or Worker(queue="emails") for all tasks')
            options["queue"] = self.queue
        return super().task(schedule, **options)

    def handles(self, *names: str) -> Callable[[F], F]:
        """The function below it carries out the runs of these tasks, which are defined elsewhere."""
        if not names or not all(isinstance(name, str) for name in names):
            raise TypeError('say which tasks: @worker.handles("welcome-mail")')

        def decorate(function: F) -> F:
            handler = Handler(function)
            for name in names:
                if name in self.others:
                    raise ValueError(f'two functions carry out the task "{name}": take one away')
                self.others[name] = handler
            return function

        return decorate

    def otherwise(self, function: F) -> F:
        """The function below it carries out every run that no other one does. There can be one."""
        if self.for_all_others is not None:
            raise ValueError("there is a function for all other runs already")
        self.for_all_others = Handler(function)
        return function


def handlers_of(tasks: Tasks) -> dict[str, Handler]:
    """The functions by the names of their tasks."""
    declared = {task.name: task.handler for task in tasks.declared}
    return {**declared, **(tasks.others if isinstance(tasks, Worker) else {})}


def handler_of(tasks: Tasks, task: str | None) -> Handler:
    """The function for runs of this task; None: for single runs.

    Raises Retry where there is none: the run is tried again later, perhaps by a worker that knows it, and
    when its attempts are used up it is among the dead letters, with this message.
    """
    found = tasks.declared.find(task) if task else None
    if found is not None:
        return found.handler
    if isinstance(tasks, Worker):
        handler = tasks.others.get(task or "") or tasks.for_all_others
        if handler is not None:
            return handler
    what = f'the task "{task}"' if task else "runs without a task"
    known = ", ".join(sorted(handlers_of(tasks))) or "no task"
    raise Retry(
        f"this worker has no function for {what}, only for {known}: add one with @worker.task, "
        "@worker.handles or @worker.otherwise",
        after=NO_FUNCTION_AFTER,
    )
