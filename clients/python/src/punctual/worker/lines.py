"""The worker's log: one JSON object a line, as the server writes it.

    {"time":"2026-03-28T01:30:00.012Z","level":"info","event":"run_ended","run":"run_0c4x9k2m1p7qz","outcome":"succeeded"}

The lines go through Python's `logging`, logger `punctual.worker`, so a program of yours may send them
elsewhere; `punctual-worker` writes them to standard error.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import datetime, timezone
from typing import Any

logger = logging.getLogger("punctual.worker")


def tell(level: int, event: str, **fields: Any) -> None:
    """One line. What is None is left out."""
    if logger.isEnabledFor(level):
        said = {name: value for name, value in fields.items() if value is not None}
        words = "".join(f" {name}={value}" for name, value in said.items() if name != "traceback")
        logger.log(level, "%s", event + words, extra={"punctual": {"event": event, **said}})


class JsonLines(logging.Formatter):
    """Formats each record as one line of JSON; those of other loggers have their text as `message`."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        at = datetime.fromtimestamp(record.created, timezone.utc)
        line: dict[str, Any] = {
            "time": at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03}Z",
            "level": record.levelname.lower(),
        }
        fields = getattr(record, "punctual", None)
        if fields is None:
            fields = {"event": "log", "logger": record.name, "message": record.getMessage()}
            if record.exc_info:
                fields["traceback"] = self.formatException(record.exc_info)
        line.update(fields)
        return json.dumps(line, default=str, separators=(",", ":"))


def write_lines(level: str) -> None:
    """Everything that is logged at `level` or above goes to standard error, as lines of JSON."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logger.setLevel(level.upper())
