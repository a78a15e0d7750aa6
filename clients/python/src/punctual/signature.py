"""Signatures of deliveries: Standard Webhooks 1.0, symmetric (`whsec_`, `v1`).

    verify(secret, request.headers, body)   # raises SignatureInvalid

The signature is over the id, the time and the raw bytes of the body, so verify before anything is decoded. It
does not cover the path nor other headers: between machines use https.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable, Mapping, Sequence

from punctual import clock
from punctual.errors import PunctualError

TOLERANCE_S = 300.0
"""How far the time of a delivery may be from ours, in both directions, in seconds."""

_PREFIX = "whsec_"
_KEY_BYTES = range(24, 65)
_SIGNATURES_MOST = 32  # a genuine delivery has two at most; more is somebody who wants us to compute


class SignatureInvalid(PunctualError):
    """This is no delivery of ours, or one that is too old: do nothing, answer 401."""


def secrets_of(given: str | Sequence[str]) -> list[bytes]:
    """The keys in one or several `whsec_...` secrets; several may be one text, with blanks or commas between.

    Raises ValueError where one is none. The message does not contain the secret.
    """
    texts = given.replace(",", " ").split() if isinstance(given, str) else list(given)
    if not texts:
        raise ValueError("there is no signing secret: `punctual secret show` tells the server's")
    return [_key_of(text) for text in texts]


def sign(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """The value of `webhook-signature` for a delivery. `timestamp` is in whole seconds since 1970."""
    return _signature(_key_of(secret), message_id, str(timestamp), body)


def verify(
    secrets: str | Sequence[str],
    headers: Mapping[str, str],
    body: bytes,
    *,
    tolerance: float = TOLERANCE_S,
) -> None:
    """Returns where one of the secrets has signed exactly these bytes, within the last `tolerance` seconds.

    `headers` is any mapping of texts; the case of its names does not matter. Raises SignatureInvalid
    otherwise, ValueError where a secret of ours makes no sense.
    """
    verify_with(secrets_of(secrets), headers, body, tolerance=tolerance)


def verify_with(
    keys: Iterable[bytes],
    headers: Mapping[str, str],
    body: bytes,
    *,
    tolerance: float = TOLERANCE_S,
) -> None:
    """As `verify`, with keys that `secrets_of` has read."""
    found = _webhook_headers(headers)
    message_id, sent, signatures = (found.get(name, "") for name in ("id", "timestamp", "signature"))
    if not (message_id and sent and signatures):
        raise SignatureInvalid(
            "it is not signed: webhook-id, webhook-timestamp or webhook-signature is missing"
        )
    # At most 15 digits: int() of a text without end is work that a stranger could order.
    if not (sent.isascii() and sent.isdigit() and len(sent) <= 15):
        raise SignatureInvalid("webhook-timestamp is not a number of seconds")
    age = clock.now() - int(sent)
    if age > tolerance:
        raise SignatureInvalid(f"it was signed {age:.0f} s ago, and {tolerance:.0f} s is the limit")
    if age < -tolerance:
        raise SignatureInvalid(f"it was signed {-age:.0f} s in the future: compare the clocks")
    offered = [one.encode("utf-8", "replace") for one in signatures.split()[:_SIGNATURES_MOST]]
    genuine = False
    for key in keys:
        right = _signature(key, message_id, sent, body).encode()
        for one in offered:  # all of them: how long it takes tells nothing
            genuine |= hmac.compare_digest(right, one)
    if not genuine:
        raise SignatureInvalid(
            "no signature fits: another secret signed it, or the body was changed on the way"
        )


def _webhook_headers(headers: Mapping[str, str]) -> dict[str, str]:
    found = {}
    # By items(), which all of them have: iterating over Flask's headers gives pairs and not names.
    for name, value in headers.items():
        lower = name.lower()
        if lower.startswith("webhook-"):
            found[lower.removeprefix("webhook-")] = value
    return found


def _signature(key: bytes, message_id: str, timestamp: str, body: bytes) -> str:
    signed = f"{message_id}.{timestamp}.".encode("utf-8", "replace") + body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def _key_of(text: str) -> bytes:
    if text.startswith(("whsk_", "whpk_")):
        raise ValueError(
            "whsk_ and whpk_ are ed25519 keys, and this client verifies the symmetric kind only: "
            "sign the deliveries to this app with a whsec_ secret"
        )
    if not text.startswith(_PREFIX):
        raise ValueError("a signing secret begins with whsec_: `punctual secret show` tells the server's")
    coded = text[len(_PREFIX) :].rstrip("=")
    try:
        key = base64.b64decode(coded + "=" * (-len(coded) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("what follows whsec_ in the signing secret is not base64") from None
    if len(key) not in _KEY_BYTES:
        raise ValueError(f"a signing secret has 24 to 64 bytes, and this one {len(key)}")
    return key
