"""A cache in memory whose values live for a while."""

from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from punctual import report
from punctual.clock import now

T = TypeVar("T")


class Cache(Generic[T]):
    """Keeps what `find` found for `seconds`. Time is Punctual's, so that tests may let it pass."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._kept: dict[Hashable, tuple[float, T]] = {}

    async def get(self, key: Hashable, find: Callable[[], Awaitable[T]]) -> T:
        """The value, from the cache or found now; says which, so that each run shows it."""
        until, value = self._kept.get(key, (0.0, None))
        if value is not None and now() < until:
            report(cache="hit")
            return value
        report(cache="miss")
        found = await find()
        self._kept[key] = (now() + self._seconds, found)
        return found

    def clear(self) -> None:
        """Forgets everything."""
        self._kept.clear()
