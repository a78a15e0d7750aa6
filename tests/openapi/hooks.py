"""What schemathesis needs to know beside /openapi.json: values of formats that JSON Schema does not have, and the rules
that it has no words for.

Read by the command line of schemathesis (SCHEMATHESIS_HOOKS); tests/http/test_schemathesis.py runs it.
"""

import json
import re
from typing import Any

import schemathesis
from hypothesis import strategies as st

# --- formats ---

CRONS = ["30 2 * * *", "*/15 8-18 * * MON-FRI", "@daily", "0 0 1 1 *", "0 30 2 * * *", "0 0 12 L * ? 2030"]
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe"]
DURATIONS = ["1s", "1500ms", "30s", "PT10S", "59.5s"]  # in the range of every field
URLS = ["http://127.0.0.1:9/", "http://127.0.0.1:9/tasks/nightly?x=1", "https://127.0.0.1/hook", "http://[::1]:9/"]

schemathesis.openapi.format("cron", st.sampled_from(CRONS))
schemathesis.openapi.format("time-zone", st.sampled_from(ZONES))
schemathesis.openapi.format("duration-text", st.sampled_from(DURATIONS))
schemathesis.openapi.format("http-url", st.sampled_from(URLS))
# A list gives out the cursors that it takes: none that is made up is one.
schemathesis.openapi.format("cursor", st.nothing())


@schemathesis.serializer("application/x-ndjson")
def ndjson(context: Any, value: Any) -> dict[str, Any]:
    """The document can only say that NDJSON is a text: what is none becomes the payload of a run."""
    text = value if isinstance(value, str) else json.dumps(value)
    if not text.startswith("{"):
        text = json.dumps({"http": {"url": URLS[0]}, "payload": value})
    return {"data": text.encode(errors="replace")}


# --- what is changed before it is sent ---

OUTSIDE = re.compile(r"^https?://(?!(127\.0\.0\.1|\[::1\])[:/?])[A-Za-z0-9._-]+(?=[:/?]|$)", re.IGNORECASE)


def stay_inside(value: Any) -> Any:
    """The same with every URL of another host on this machine, where nobody listens: nothing leaves it."""
    if isinstance(value, dict):
        return {name: stay_inside(one) for name, one in value.items()}
    if isinstance(value, list):
        return [stay_inside(one) for one in value]
    return OUTSIDE.sub("http://127.0.0.1", value) if isinstance(value, str) else value


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    case.body = stay_inside(case.body)
    if not isinstance(case.body, dict):
        return
    # Nobody sits out the wait of a worker or of the test clock: tests of their own do.
    waits = case.operation.path == "/v1/test/clock" or "wait" in case.body
    if waits and case.body.get("wait", "30s") in ("30s", "90s", "PT10M", *DURATIONS):
        case.body["wait"] = "0s"


# --- what may be refused though the document allows it ---

BEYOND_SCHEMAS = {
    "which values of a format there are, and how they are ordered": [
        r"must be a duration",
        r"is no time zone|is not a known time zone|cron expression|field|has no occurrence|shortest period",
        r"is not one that this list gave out|id of a run|is no run's id",
        r"has a port|has a host|has no host|is no URL|has no IPv6|% that is not followed|must not hold",
        r"must be an instant|lies more than a year in the past|must be before the year 2200",
    ],
    "durations have ranges": [r"must be from \S+ to \S+, not|must be at most 24h|goes beyond"],
    "two values are compared": [
        r"must not be shorter than initial",
        r"must not be after `to`|must not be before now|must be before `to`|must be later than start",
        r"must not be in the future|does not go back|ends before the year 2200",
    ],
    "what a task expects must be of its kind; its payload and the target's own text are one": [
        r"is for (an http target|a command|a queue), and this task has",
        r"is sent in the place of|carries no body",
    ],
    "names of headers are the same in any case, and some are the server's": [
        r"is the same header as|is set by Punctual itself"
    ],
    "whole numbers are written without a fraction: 1.0 is none": [
        r"whole number|must be a number from 100 to 599|must be the number of an earlier revision"
    ],
    "limits count bytes, levels and bits": [
        r"bytes|KiB|nested|too (big|large|many)",
        r"is not JSON|JSON",
    ],
    "limits of time": [r"takes more than a second"],
    "said by dependentRequired, which the generator passes over": [r"a monitor says when its job runs"],
    "a set's defaults may say the rest": [r"is missing: say who is told"],
    "headers exclude each other": [r"send If-Match or If-None-Match, not both"],
}
EXPLAINED = re.compile("|".join(rule for rules in BEYOND_SCHEMAS.values() for rule in rules))


def is_explained(response: Any) -> bool:
    """Whether each error of a refusal is by a rule that JSON Schema has no words for."""
    problem = response.json()
    return all(EXPLAINED.search(error["detail"]) for error in problem.get("errors") or [problem])


@schemathesis.hook
def filter_failure(context: Any, failure: Any, case: Any, response: Any) -> bool:
    """False drops the failure."""
    kind = type(failure).__name__
    if kind == "RejectedPositiveData" and response.status_code == 400:
        return not is_explained(response)
    if kind == "AcceptedNegativeData" and not response.request.body:
        # Where only the body was to be spoiled, it was left out, which it may be.
        spoiled = {place.value for place, part in case.meta.components.items() if part.mode.is_negative}
        return spoiled != {"body"}
    return True
