"""Workers: functions of yours that carry out the runs of a queue. See `punctual-worker --help`."""

from punctual.worker.engine import Engine, Settings
from punctual.worker.handlers import Worker

__all__ = ["Engine", "Settings", "Worker"]
