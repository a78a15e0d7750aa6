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
from punctual.fastapi import PunctualApp
from punctual.policies import CatchUp, Expect, Fail, RateLimit, Retry, Runbook
from punctual.registry import PayloadInvalid, Run
from punctual.signature import SignatureInvalid, sign, verify
from punctual.tasks import ConfigurationMissing, TaskFunction, Tasks
from punctual.version import __version__
from punctual.visibility import Visibility, db_call, report, wrap_connection
from punctual.worker import Worker

__all__ = [
    "ApiError",
    "AsyncPunctual",
    "CatchUp",
    "ConfigurationMissing",
    "Conflict",
    "ConnectionFailed",
    "Expect",
    "Fail",
    "Forbidden",
    "Invalid",
    "NotFound",
    "PayloadInvalid",
    "Punctual",
    "PunctualApp",
    "PunctualError",
    "RateLimit",
    "Retry",
    "Run",
    "Runbook",
    "SignatureInvalid",
    "Stale",
    "TaskFunction",
    "Tasks",
    "TooManyRequests",
    "Unauthorized",
    "Unavailable",
    "Visibility",
    "Worker",
    "__version__",
    "db_call",
    "report",
    "sign",
    "verify",
    "wrap_connection",
]
