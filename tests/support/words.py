"""Words that many tests need: definitions, reading pages of a list, and what an error answer must be."""

from typing import Any

import httpx

from support.server import Server
from support.waiting import wait_for

FINAL = {"succeeded", "failed", "canceled", "missed", "skipped"}
FAR = "8760h"  # a delay that no test lives to see


def http_task(url: str, **more: Any) -> dict[str, Any]:
    """A task without a schedule, unless `more` has one. One attempt, so that a failure is final at once."""
    return {"http": {"method": "POST", "url": url}, "retry": {"max_attempts": 1}, "timeout": "10s", **more}


def command_task(*argv: str, **more: Any) -> dict[str, Any]:
    return {"command": {"argv": list(argv)}, "retry": {"max_attempts": 1}, "timeout": "10s", **more}


def quick_retry(attempts: int, **more: Any) -> dict[str, Any]:
    return {"max_attempts": attempts, "backoff": "fixed", "initial": "100ms", "max": "100ms", **more}


def put_task(server: Server, name: str, definition: dict[str, Any], **headers: str) -> dict[str, Any]:
    answer = server.api.put(f"/v1/tasks/{name}", json=definition, headers=headers)
    assert answer.status_code in (200, 201), answer.text
    return answer.json()


def get_task(server: Server, name: str) -> dict[str, Any]:
    answer = server.api.get(f"/v1/tasks/{name}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def create_run(server: Server, body: dict[str, Any], **headers: str) -> dict[str, Any]:
    answer = server.api.post("/v1/runs", json=body, headers=headers)
    assert answer.status_code == 201, answer.text
    return answer.json()


def trigger(server: Server, name: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    answer = server.api.post(f"/v1/tasks/{name}/runs", json=body or {})
    assert answer.status_code == 201, answer.text
    return answer.json()


def get_run(server: Server, run: str) -> dict[str, Any]:
    answer = server.api.get(f"/v1/runs/{run}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def wait_state(server: Server, run: str, *states: str) -> dict[str, Any]:
    """Waits until the run is in one of the states and returns it."""

    def there() -> dict[str, Any] | None:
        found = get_run(server, run)
        if found["state"] not in states and found["state"] in FINAL:
            raise AssertionError(f"it ended as {found['state']} instead of {' or '.join(states)}: {found}")
        return found if found["state"] in states else None

    return wait_for(there, f"{run} is {' or '.join(states)}")


def wait_final(server: Server, run: str) -> dict[str, Any]:
    return wait_state(server, run, *FINAL)


def all_of(server: Server, path: str, key: str, **params: Any) -> list[dict[str, Any]]:
    """Every item of a list, page after page."""
    items: list[dict[str, Any]] = []
    cursor = None
    while True:
        page = server.api.get(path, params={**params, **({"cursor": cursor} if cursor else {})})
        assert page.status_code == 200, page.text
        items += page.json()[key]
        cursor = page.json()["next_cursor"]
        if not cursor:
            return items


def all_runs(server: Server, **params: Any) -> list[dict[str, Any]]:
    return all_of(server, "/v1/runs", "runs", **{"limit": 100, **params})


def problem(answer: httpx.Response, *statuses: int, pointer: str | None = None) -> dict[str, Any]:
    """Checks an error answer (RFC 9457) and returns it. Without statuses, any 4xx will do."""
    assert answer.status_code in (statuses or range(400, 500)), f"{answer.status_code}: {answer.text}"
    kind = answer.headers["content-type"].split(";")[0]
    assert kind == "application/problem+json", kind
    body = answer.json()
    assert body["status"] == answer.status_code
    assert body["title"]
    assert body.get("detail") or body.get("errors"), body
    for error in body.get("errors", []):
        assert error["detail"], body
        if "parameter" not in error:  # of the query, where no pointer reaches
            assert error["pointer"] == "" or error["pointer"].startswith("/"), body
    if pointer is not None:
        pointers = [error.get("pointer") for error in body["errors"]]
        assert pointer in pointers, f"no error at {pointer!r}: {body}"
    return body
