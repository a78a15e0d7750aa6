"""How visibility.py hears of SQLAlchemy's statements. Imported only where SQLAlchemy is there."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sqlalchemy import event
from sqlalchemy.engine import Engine

if TYPE_CHECKING:
    from punctual.visibility import Measure

_MARK = "_punctual_begun"


def listen(current: Callable[[], Measure | None], note_counting: Callable[[], None]) -> None:
    """From now on each statement of each engine is charged to the measure that is current when it begins.

    An async engine runs its statements in a greenlet that shares the context of the task, and tells the
    same events, so nothing more is needed for it.
    """

    def before(_c: Any, _cursor: Any, _sql: str, _parameters: Any, context: Any, _many: bool) -> None:
        measure = current()
        if measure is not None and context is not None:
            setattr(context, _MARK, (measure, time.perf_counter()))

    def charge(context: Any) -> None:
        begun = getattr(context, _MARK, None)
        if begun is not None:
            measure, since = begun
            setattr(context, _MARK, None)
            measure.add(1, time.perf_counter() - since)

    def after(_c: Any, _cursor: Any, _sql: str, _parameters: Any, context: Any, _many: bool) -> None:
        charge(context)

    def failed(trouble: Any) -> None:
        charge(trouble.execution_context)

    event.listen(Engine, "engine_connect", lambda _connection: note_counting())
    event.listen(Engine, "before_cursor_execute", before)
    event.listen(Engine, "after_cursor_execute", after)
    event.listen(Engine, "handle_error", failed)
