"""Punctual runs scheduled tasks reliably; this is its client for Python.

from punctual import Punctual

with Punctual() as punctual:
    punctual.create_run("nightly-invoices", delay="10m")
"""

from punctual.aio import AsyncPunctual
from punctual.client import Punctual
from punctual.errors import (
    ApiError,
    Conflict,
    ConnectionFailed,
    Forbidden,
    Invalid,
    NotFound,
    PunctualError,
    Stale,
    TooManyRequests,
    Unauthorized,
    Unavailable,
)
from punctual.policies import CatchUp, Expect, Fail, RateLimit, Retry, Runbook
from punctual.version import __version__

__all__ = [
    "ApiError",
    "AsyncPunctual",
    "CatchUp",
    "Conflict",
    "ConnectionFailed",
    "Expect",
    "Fail",
    "Forbidden",
    "Invalid",
    "NotFound",
    "Punctual",
    "PunctualError",
    "RateLimit",
    "Retry",
    "Runbook",
    "Stale",
    "TooManyRequests",
    "Unauthorized",
    "Unavailable",
    "__version__",
]
