"""Applying the app's tasks at its start, in a thread of its own: the app serves meanwhile, server or not."""

from __future__ import annotations

import threading
from collections.abc import Callable

from punctual.client import Punctual
from punctual.delivery import log
from punctual.errors import ApiError, ConnectionFailed, PunctualError
from punctual.models import Plan

FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 30.0


class Applier:
    """Calls `apply` until the server has taken the tasks, refuses them, or `stop` is called.

    Any number of processes may do so at once: the same definitions change nothing, so that there is one
    revision and no run more. The client becomes this object's, which closes it.
    """

    def __init__(self, apply: Callable[[Punctual], Plan], client: Punctual) -> None:
        self._apply = apply
        self._client = client
        self._url = client.url
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="punctual-apply", daemon=True)

    def start(self) -> None:
        """Begins; comes back at once."""
        self._thread.start()

    def stop(self) -> None:
        """No further try. Does not wait for one that is under way: its outcome is the same either way."""
        self._stopping.set()

    def _work(self) -> None:
        with self._client:
            self._try_on()

    def _try_on(self) -> None:
        wait = FIRST_WAIT_S
        while not self._stopping.is_set():
            try:
                plan = self._apply(self._client)
            except PunctualError as trouble:
                if not _may_pass(trouble):
                    log.error("the tasks of this app were not applied to %s: %s", self._url, trouble)
                    return
                log.warning(
                    "the tasks of this app are not applied to %s yet, trying again in %g s: %s",
                    *(self._url, wait, trouble),
                )
            except Exception:
                log.exception("the tasks of this app were not applied to %s", self._url)
                return
            else:
                log.info("%s", summary_of(plan, self._url))
                return
            self._stopping.wait(wait)
            wait = min(2 * wait, LONGEST_WAIT_S)


def summary_of(plan: Plan, url: str) -> str:
    """What applying did, in one line."""
    return (
        f"{len(plan.tasks)} tasks of this app applied to {url}: "
        f"{plan.created} created, {plan.changed} changed, {plan.unchanged} unchanged"
    )


def _may_pass(trouble: PunctualError) -> bool:
    """Whether time may heal it: no server yet, one that starts or stops, too many at once."""
    if isinstance(trouble, ApiError):
        return trouble.status >= 500 or trouble.status in (408, 429)
    return isinstance(trouble, ConnectionFailed)
