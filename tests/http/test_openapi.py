"""The description that the server gives of itself is valid and true."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from support.receiver import Receiver
from support.server import Server
from support.words import FAR, create_run, http_task, put_task, wait_final

METHODS = ("get", "put", "post", "patch", "delete", "head", "options")
ROUTES = {
    ("get", "/health"),
    ("get", "/ready"),
    ("get", "/metrics"),
    ("get", "/openapi.json"),
    ("get", "/docs"),
    ("get", "/v1/tasks"),
    ("put", "/v1/tasks/{name}"),
    ("get", "/v1/tasks/{name}"),
    ("patch", "/v1/tasks/{name}"),
    ("delete", "/v1/tasks/{name}"),
    ("post", "/v1/tasks/{name}/pause"),
    ("post", "/v1/tasks/{name}/resume"),
    ("post", "/v1/tasks/{name}/runs"),
    ("get", "/v1/tasks/{name}/upcoming"),
    ("get", "/v1/tasks/{name}/revisions"),
    ("post", "/v1/tasks/{name}/rollback"),
    ("post", "/v1/apply"),
    ("post", "/v1/runs"),
    ("post", "/v1/runs/batch"),
    ("get", "/v1/runs"),
    ("get", "/v1/runs/{id}"),
    ("post", "/v1/runs/{id}/cancel"),
    ("post", "/v1/runs/{id}/retry"),
    ("post", "/v1/runs/{id}/complete"),
    ("post", "/v1/runs/{id}/heartbeat"),
    ("get", "/v1/queues"),
    ("get", "/v1/queues/{queue}"),
    ("post", "/v1/queues/{queue}/lease"),
    ("post", "/v1/leases/heartbeat"),
    ("post", "/v1/leases/complete"),
    ("post", "/v1/leases/fail"),
    ("post", "/v1/leases/release"),
    ("get", "/v1/dead-letters"),
    ("post", "/v1/dead-letters/retry"),
    ("post", "/v1/dead-letters/discard"),
    ("post", "/v1/checkins/{name}"),
    ("get", "/v1/events"),
    ("get", "/v1/audit"),
}


@pytest.fixture
def document(server: Server) -> dict[str, Any]:
    answer = server.api.get("/openapi.json")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("application/json")
    return answer.json()


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                yield method, path, item[method]


def resolve(document: dict[str, Any], value: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in value:
        target: Any = document
        for part in value["$ref"].removeprefix("#/").split("/"):
            target = target[part.replace("~1", "/").replace("~0", "~")]
        value = target
    return value


def validator(document: dict[str, Any], schema: dict[str, Any]) -> Draft202012Validator:
    """Checks values against a schema whose references point into the document."""
    registry = Registry().with_resource("urn:api", Resource.from_contents(document, DRAFT202012))
    absolute = json.loads(json.dumps(schema).replace('"$ref": "#/', '"$ref": "urn:api#/'))
    return Draft202012Validator(absolute, registry=registry, format_checker=Draft202012Validator.FORMAT_CHECKER)


def contents(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every body that is described, with where it stands."""
    for method, path, operation in operations(document):
        where = f"{method} {path}"
        body = resolve(document, operation.get("requestBody", {}))
        for kind, content in body.get("content", {}).items():
            yield f"{where} body {kind}", content
        for status, answer in operation["responses"].items():
            for kind, content in resolve(document, answer).get("content", {}).items():
                yield f"{where} {status} {kind}", content


def schema_of(document: dict[str, Any], path: str, method: str, status: str) -> dict[str, Any]:
    answer = resolve(document, document["paths"][path][method]["responses"][status])
    (content,) = answer["content"].values()
    return content["schema"]


def test_the_document_is_valid(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    faults = list(OpenAPIV31SpecValidator(document).iter_errors())
    assert faults == []


def test_every_route_of_this_version_is_described(document: dict[str, Any]) -> None:
    described = {(method, path) for method, path, _ in operations(document)}
    assert ROUTES - described == set()


def test_every_described_route_answers(server: Server, document: dict[str, Any]) -> None:
    put_task(server, "known", http_task("http://127.0.0.1:9/"))
    for method, path, _ in operations(document):
        run = create_run(server, {"task": "known", "delay": FAR})["id"]
        url = path.replace("{name}", "known").replace("{id}", run).replace("{queue}", "known")
        assert "{" not in url, f"a parameter that the test does not know: {path}"
        with server.api.stream(method.upper(), url) as answer:
            assert answer.status_code not in (404, 405, 500, 501), f"{method} {path}: {answer.status_code}"
        put_task(server, "known", http_task("http://127.0.0.1:9/"))


def test_every_operation_has_an_id_words_and_errors(document: dict[str, Any]) -> None:
    ids = []
    for method, path, operation in operations(document):
        where = f"{method} {path}"
        ids.append(operation["operationId"])
        assert operation.get("summary") or operation.get("description"), where
        statuses = set(operation["responses"])
        assert any(status.startswith("2") for status in statuses), where
        if path.startswith("/v1/"):
            assert any(status.startswith("4") or status == "default" for status in statuses), where
        if "{" in path and method != "put":
            assert "404" in statuses, where
    assert len(ids) == len(set(ids))


def test_an_unknown_parameter_is_refused_everywhere_and_described(server: Server, document: dict[str, Any]) -> None:
    for method, path, operation in operations(document):
        url = path.replace("{name}", "known").replace("{id}", "run_0c4x9k2m1p7qz").replace("{queue}", "known")
        answer = server.api.request(method, url, params={"nonsense": "1"})
        assert answer.status_code == 400, f"{method} {path}: {answer.status_code}"
        assert "400" in operation["responses"], f"{method} {path}"


def test_every_error_is_a_problem(document: dict[str, Any]) -> None:
    for method, path, operation in operations(document):
        for status, answer in operation["responses"].items():
            if status.startswith(("4", "5")) and path != "/ready":
                kinds = resolve(document, answer).get("content", {})
                assert "application/problem+json" in kinds, f"{method} {path} {status}"


def test_the_examples_fit_their_schemas(document: dict[str, Any]) -> None:
    count = 0
    for where, content in contents(document):
        examples = [resolve(document, one)["value"] for one in content.get("examples", {}).values()]
        if "example" in content:
            examples.append(content["example"])
        for example in examples:
            if isinstance(example, str) and "json" not in where.rpartition(" ")[2]:
                continue
            faults = [fault.message for fault in validator(document, content["schema"]).iter_errors(example)]
            assert faults == [], where
            count += 1
    assert count >= 10, "hardly any examples"


def objects_in(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    for child in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from objects_in(child)


def test_the_examples_of_fields_and_parameters_fit_them(document: dict[str, Any]) -> None:
    fields = [(one, one["examples"]) for one in objects_in(document) if isinstance(one.get("examples"), list)]
    parameters = [(one["schema"], [one["example"]]) for one in objects_in(document) if {"in", "example"} <= one.keys()]
    assert len(fields) >= 20
    assert len(parameters) >= 5
    for schema, examples in fields + parameters:
        for example in examples:
            faults = [fault.message for fault in validator(document, schema).iter_errors(example)]
            assert faults == [], f"{schema}: {example}"


def test_real_answers_fit_their_schemas(server: Server, receiver: Receiver, document: dict[str, Any]) -> None:
    definition = http_task(receiver.url("/x"), schedule={"every": "1h"}, runbook={"owner": "ann"}, payload={"a": 1})
    put_task(server, "known", definition)
    run = wait_final(server, create_run(server, {"task": "known"})["id"])
    rows = [
        ("/v1/tasks/{name}", "/v1/tasks/known", "200"),
        ("/v1/tasks", "/v1/tasks", "200"),
        ("/v1/tasks/{name}/upcoming", "/v1/tasks/known/upcoming", "200"),
        ("/v1/tasks/{name}/revisions", "/v1/tasks/known/revisions", "200"),
        ("/v1/runs/{id}", f"/v1/runs/{run['id']}", "200"),
        ("/v1/runs", "/v1/runs", "200"),
        ("/v1/queues", "/v1/queues", "200"),
        ("/v1/queues/{queue}", "/v1/queues/emails", "200"),
        ("/v1/dead-letters", "/v1/dead-letters", "200"),
        ("/health", "/health", "200"),
        ("/ready", "/ready", "200"),
        ("/v1/tasks/{name}", "/v1/tasks/nobody", "404"),
    ]
    for path, url, status in rows:
        answer = server.api.get(url)
        assert answer.status_code == int(status)
        check = validator(document, schema_of(document, path, "get", status))
        assert [fault.message for fault in check.iter_errors(answer.json())] == [], url


def test_the_docs_are_a_page(server: Server) -> None:
    answer = server.api.get("/docs")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert "/v1/tasks" in answer.text or "openapi.json" in answer.text
    for outside in ('src="http', 'href="https://cdn', 'src="//'):
        assert outside not in answer.text, "the page loads something from elsewhere"
