"""Signatures: Standard Webhooks 1.0, its own example among them."""

import base64
import secrets
import time
from collections.abc import Iterator

import pytest

from punctual import SignatureInvalid, clock, sign, verify
from punctual.signature import secrets_of

NOW = 1_800_000_000
BODY = b'{"n": 1}'


def new_secret(size: int = 32) -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(size)).decode()


def headers(secret: str, *, sent: int = NOW, body: bytes = BODY, run: str = "run_1") -> dict[str, str]:
    return {
        "webhook-id": run,
        "webhook-timestamp": str(sent),
        "webhook-signature": sign(secret, run, sent, body),
    }


@pytest.fixture(autouse=True)
def noon() -> Iterator[None]:
    clock.set_now(lambda: NOW)
    yield
    clock.set_now(None)


def test_the_example_of_the_specification() -> None:
    clock.set_now(lambda: 1614265330)
    secret, message = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek"
    body, signature = b'{"test": 2432232314}', "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert sign(secret, message, 1614265330, body) == signature
    given = {"webhook-id": message, "webhook-timestamp": "1614265330", "webhook-signature": signature}
    verify(secret, given, body)


def test_the_clock_is_the_system_s_unless_a_test_says_otherwise() -> None:
    clock.set_now(None)
    assert abs(clock.now() - time.time()) < 10


def test_any_case_of_the_names_will_do() -> None:
    secret = new_secret()
    verify(secret, {name.title(): value for name, value in headers(secret).items()}, BODY)


def test_either_secret_verifies_while_one_is_rotated() -> None:
    old, new = new_secret(), new_secret()
    for one in (old, new):
        verify([new, old], headers(one), BODY)
        verify(f"{new} {old}", headers(one), BODY)
    both = headers(old)
    both["webhook-signature"] += " " + headers(new)["webhook-signature"]
    verify(new, both, BODY)
    verify(old, both, BODY)


def test_signatures_of_other_kinds_are_passed_over() -> None:
    secret = new_secret()
    given = headers(secret)
    given["webhook-signature"] = "v1a,AAAA v2,BBBB nonsense " + given["webhook-signature"]
    verify(secret, given, BODY)


@pytest.mark.parametrize("age", [301, -301, 10**9, -(10**9)])
def test_what_is_old_or_from_the_future_is_refused(age: int) -> None:
    secret = new_secret()
    with pytest.raises(SignatureInvalid, match="it was signed"):
        verify(secret, headers(secret, sent=NOW - age), BODY)
    verify(secret, headers(secret, sent=NOW - 299 if age > 0 else NOW + 299), BODY)


@pytest.mark.parametrize(
    "changed",
    [
        {"webhook-id": "run_2"},
        {"webhook-timestamp": str(NOW - 1)},
        {"webhook-timestamp": f"{NOW}.0"},
        {"webhook-timestamp": f" {NOW}"},
        {"webhook-timestamp": "٣"},
        {"webhook-timestamp": "9" * 5000},
        {"webhook-timestamp": "-1"},
        {"webhook-timestamp": ""},
        {"webhook-id": ""},
        {"webhook-signature": ""},
        {"webhook-signature": "v1,"},
        {"webhook-signature": "v1,é"},
        {"webhook-signature": "\udcff"},
    ],
)
def test_a_changed_header_is_refused(changed: dict[str, str]) -> None:
    secret = new_secret()
    with pytest.raises(SignatureInvalid):
        verify(secret, {**headers(secret), **changed}, BODY)


@pytest.mark.parametrize("body", [b"", BODY + b" ", BODY[:-1], b'{"n":1}'])
def test_other_bytes_are_refused(body: bytes) -> None:
    secret = new_secret()
    with pytest.raises(SignatureInvalid):
        verify(secret, headers(secret), body)


def test_another_secret_is_refused() -> None:
    with pytest.raises(SignatureInvalid):
        verify(new_secret(), headers(new_secret()), BODY)


def test_a_signature_beyond_thirty_two_is_not_looked_at() -> None:
    secret = new_secret()
    given = headers(secret)
    given["webhook-signature"] = "v1,AAAA " * 32 + given["webhook-signature"]
    with pytest.raises(SignatureInvalid):
        verify(secret, given, BODY)


@pytest.mark.parametrize(
    ("secret", "words"),
    [
        ("", "punctual secret show"),
        ([], "punctual secret show"),
        ("secret", "begins with whsec_"),
        ("whsec_*", "not base64"),
        ("whsec_AAAA", "24 to 64 bytes, and this one 3"),
        ("whpk_AAAA", "ed25519"),
    ],
)
def test_a_secret_that_makes_no_sense_is_named_without_being_told(secret: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        secrets_of(secret)


@pytest.mark.parametrize("size", [24, 25, 64])
def test_secrets_are_read_with_and_without_padding(size: int) -> None:
    secret = new_secret(size)
    assert secrets_of(secret) == secrets_of(secret.rstrip("="))
