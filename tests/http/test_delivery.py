"""What goes out over the wire: signatures, traces, ids."""

import re
import time

import pytest
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from support.receiver import Answer, Receiver, Request
from support.server import Factory, Server, new_secret
from support.waiting import instant
from support.words import create_run, http_task, put_task, quick_retry, wait_final

TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")


def deliveries(server: Server, receiver: Receiver, count: int = 3) -> list[Request]:
    """The requests of one run that fails `count - 1` times."""
    bad = [Answer(status=500)] * (count - 1)
    receiver.script("/hook", *bad, Answer())
    put_task(server, "hook", http_task(receiver.url("/hook"), retry=quick_retry(count), payload={"n": 1, "ü": "€"}))
    run = create_run(server, {"task": "hook"})
    assert wait_final(server, run["id"])["state"] == "succeeded"
    found = receiver.at("/hook")
    assert [request.run for request in found] == [run["id"]] * count
    return found


def test_an_independent_implementation_accepts_the_signature(server: Server, receiver: Receiver) -> None:
    for request in deliveries(server, receiver):
        assert Webhook(server.secret).verify(request.body, request.headers) == {"n": 1, "ü": "€"}
        with pytest.raises(WebhookVerificationError):
            Webhook(new_secret()).verify(request.body, request.headers)


def test_a_delivery_without_a_payload_is_signed_too(server: Server, receiver: Receiver) -> None:
    create_run(server, http_task(receiver.url("/empty")))
    (request,) = receiver.wait("/empty")
    Webhook(server.secret).verify(request.body, request.headers, json_parse=False)


def test_the_timestamp_is_in_whole_seconds_and_renewed(server: Server, receiver: Receiver) -> None:
    receiver.script("/hook", Answer(status=500, delay=1.1), Answer())
    create_run(server, http_task(receiver.url("/hook"), retry=quick_retry(2)))
    stamps = [request.headers["webhook-timestamp"] for request in receiver.wait("/hook", 2)]
    assert all(stamp.isdigit() for stamp in stamps)
    assert int(stamps[1]) > int(stamps[0])
    assert abs(int(stamps[0]) - time.time()) < 60


def test_two_signatures_while_a_secret_rotates(server_factory: Factory, receiver: Receiver) -> None:
    old, new = new_secret(), new_secret()
    config = f"signing_secret: [{new}, {old}]\n"
    server = server_factory(config=config, start=False)
    del server.env["PUNCTUAL_SIGNING_SECRET"]
    server.start()
    create_run(server, {**http_task(receiver.url("/hook")), "payload": {"n": 1}})
    (request,) = receiver.wait("/hook")
    assert len(request.headers["webhook-signature"].split(" ")) == 2
    for secret in (old, new):
        Webhook(secret).verify(request.body, request.headers)


def test_without_a_secret_one_is_made_and_kept(server_factory: Factory, receiver: Receiver) -> None:
    server = server_factory(start=False)
    del server.env["PUNCTUAL_SIGNING_SECRET"]
    server.start()
    create_run(server, {**http_task(receiver.url("/hook")), "payload": {"n": 1}})
    (request,) = receiver.wait("/hook")
    assert request.headers["webhook-signature"].startswith("v1,")
    assert "whsec_" not in server.log_text(), "the secret is in the log"


def test_one_trace_per_run_and_a_parent_per_attempt(server: Server, receiver: Receiver) -> None:
    parts = []
    for request in deliveries(server, receiver):
        found = TRACEPARENT.fullmatch(request.headers["traceparent"])
        assert found, request.headers["traceparent"]
        parts.append(found.groups())
    assert len({trace for trace, _ in parts}) == 1
    assert len({parent for _, parent in parts}) == 3
    assert set(parts[0][0]) != {"0"}
    create_run(server, http_task(receiver.url("/other")))
    (other,) = receiver.wait("/other")
    assert parts[0][0] not in other.headers["traceparent"]


def test_the_idempotency_key_is_stable_over_retries(server: Server, receiver: Receiver) -> None:
    found = deliveries(server, receiver)
    keys = {request.headers["idempotency-key"].strip('"') for request in found}
    assert keys == {found[0].run}


def test_the_punctual_headers_tell_what_this_is(server: Server, receiver: Receiver) -> None:
    found = deliveries(server, receiver)
    assert {request.headers["punctual-task"] for request in found} == {"hook"}
    assert [request.attempt for request in found] == [1, 2, 3]
    fences = [request.fence for request in found]
    assert fences == sorted(set(fences))
    scheduled = {request.headers["punctual-scheduled-for"] for request in found}
    assert len(scheduled) == 1
    run = server.api.get(f"/v1/runs/{found[0].run}").json()
    assert instant(scheduled.pop()) == instant(run["scheduled_for"])
    assert [attempt["fence"] for attempt in run["attempts"]] == fences


def test_method_headers_and_body_are_as_defined(server: Server, receiver: Receiver) -> None:
    target = {
        "method": "PUT",
        "url": receiver.url("/exact?a=1&b=%20x"),
        "headers": {"X-Team": "billing", "Content-Type": "text/plain"},
        "body": "as it is: ü\n",
    }
    run = create_run(server, {"http": target, "payload": {"ignored": True}})
    assert wait_final(server, run["id"])["state"] == "succeeded"
    (request,) = receiver.at("/exact")
    assert request.method == "PUT"
    assert request.query == "a=1&b=%20x"
    assert request.headers["x-team"] == "billing"
    assert request.headers["content-type"] == "text/plain"
    assert request.body.decode() == "as it is: ü\n"
    Webhook(server.secret).verify(request.body, request.headers, json_parse=False)


def test_a_payload_is_sent_as_json(server: Server, receiver: Receiver) -> None:
    payload = {"text": 'quotes " and \\ and \u2028 and 😀', "big": 2**53 + 1, "deep": [[[]]], "none": None}
    create_run(server, {**http_task(receiver.url("/json")), "payload": payload})
    (request,) = receiver.wait("/json")
    assert request.headers["content-type"].startswith("application/json")
    assert request.json() == payload


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "PATCH"])
def test_other_methods_work(server: Server, receiver: Receiver, method: str) -> None:
    run = create_run(server, {"http": {"method": method, "url": receiver.url("/m")}, "retry": {"max_attempts": 1}})
    assert wait_final(server, run["id"])["state"] == "succeeded"
    assert [request.method for request in receiver.at("/m")] == [method]


def test_a_large_payload_arrives_whole(server: Server, receiver: Receiver) -> None:
    payload = {"text": "x" * 200_000}
    create_run(server, {**http_task(receiver.url("/large")), "payload": payload})
    (request,) = receiver.wait("/large")
    assert request.json() == payload
    Webhook(server.secret).verify(request.body, request.headers)


def test_a_long_response_is_kept_in_part(server: Server, receiver: Receiver) -> None:
    receiver.script("/long", Answer(body=b"y" * 3_000_000, headers={"Content-Type": "text/plain"}))
    run = create_run(server, http_task(receiver.url("/long")))
    done = wait_final(server, run["id"])
    assert done["state"] == "succeeded"
    kept = done["attempts"][0]["response"]
    assert set(kept) == {"y"}
    assert 0 < len(kept) < 1_000_000


def test_a_slow_endpoint_does_not_delay_another(server: Server, receiver: Receiver) -> None:
    slow = Receiver()
    try:
        slow.script("/slow", Answer(hang=True))
        for _ in range(100):
            create_run(server, http_task(slow.url("/slow"), timeout="60s"))
        slow.wait("/slow")
        run = create_run(server, http_task(receiver.url("/quick")))
        assert wait_final(server, run["id"])["state"] == "succeeded"
    finally:
        slow.close()
