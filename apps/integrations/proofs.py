"""Is it really theirs? Pure checks of what comes in by a webhook, on the bytes as they came and in constant time.

Each scheme is one function of what arrived and of the secrets that count (two while they are rotated). A proof that does
not hold raises `Unproven`, with its reason for the source's page; the sender learns no more than that.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from django.utils.translation import gettext as _

TOLERANCE_SECONDS = 300
"""A signature counts so long before and after its moment."""
SHORTEST, LONGEST = 24, 64
"""The bytes of a secret of Standard Webhooks."""
MARK = "whsec_"


@dataclass(frozen=True, slots=True)
class Knock:
    """What arrived at a door. Header names are in lower case; `now` is the database's clock in seconds since 1970."""

    headers: Mapping[str, str]
    body: bytes
    now: float
    path_secret: str = ""
    address: str = ""


class Unproven(Exception):
    """The proof does not hold. `reason` is one of the reasons that a source's page counts."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class BadSecret(Exception):
    """A secret of ours is not what its scheme needs. The text says how it should look, never what it is."""


def standard(knock: Knock, secrets: Sequence[str]) -> None:
    """Check `webhook-signature`: any of its `v1` signatures, by any of the secrets (Standard Webhooks 1.0)."""
    key, at = knock.headers.get("webhook-id", ""), knock.headers.get("webhook-timestamp", "")
    told = knock.headers.get("webhook-signature", "")
    if not (key and at and told):
        raise _unsigned("webhook-id, webhook-timestamp, webhook-signature")
    _in_time(at, knock.now)
    signed = b".".join([_bytes(key), _bytes(at), knock.body])
    offered = [part.partition(",")[2] for part in told.split(" ") if part.startswith("v1,")]
    _one_of(offered, [base64.b64encode(_hmac(standard_key(secret), signed)).decode() for secret in secrets])


def standard_key(secret: str) -> bytes:
    """Return the bytes of a `whsec_` secret; raise `BadSecret` where it holds none, too few or too many."""
    try:
        key = base64.b64decode(secret.removeprefix(MARK), validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadSecret(_("A secret of Standard Webhooks is whsec_ and base64.")) from error
    if not SHORTEST <= len(key) <= LONGEST:
        raise BadSecret(
            _("A secret of Standard Webhooks holds %(least)s to %(most)s bytes; this one holds %(count)s.")
            % {"least": SHORTEST, "most": LONGEST, "count": len(key)}
        )
    return key


def chatwoot(knock: Knock, secrets: Sequence[str]) -> None:
    """Check `X-Chatwoot-Signature`, over the timestamp and the body."""
    at, told = knock.headers.get("x-chatwoot-timestamp", ""), knock.headers.get("x-chatwoot-signature", "")
    if not (at and told):
        raise _unsigned("X-Chatwoot-Timestamp, X-Chatwoot-Signature")
    _in_time(at, knock.now)
    signed = b".".join([_bytes(at), knock.body])
    try:
        _one_of([told], [f"sha256={_hmac(secret.encode(), signed).hex()}" for secret in secrets])
    except Unproven as error:
        hint = _("For API channels the secret that Chatwoot shows may not be the one that signs.")
        raise Unproven(error.reason, f"{error} {hint}") from error


def body_hmac(knock: Knock, secrets: Sequence[str]) -> None:
    """Check `X-Webhook-Signature`: the hex HMAC-SHA256 of the body, with or without `sha256=` before it."""
    told = knock.headers.get("x-webhook-signature", "")
    if not told:
        raise _unsigned("X-Webhook-Signature")
    offered = told.strip().lower().removeprefix("sha256=")
    _one_of([offered], [_hmac(secret.encode(), knock.body).hex() for secret in secrets])


def secret_path(knock: Knock, secrets: Sequence[str]) -> None:
    """Check the secret in the address."""
    fits = [hmac.compare_digest(knock.path_secret.encode(errors="replace"), secret.encode()) for secret in secrets]
    if not any(fits):
        raise Unproven("bad_secret", _("The address is not known."))


SCHEMES: Mapping[str, Callable[[Knock, Sequence[str]], None]] = {
    "standard": standard,
    "chatwoot": chatwoot,
    "hmac": body_hmac,
    "path": secret_path,
}
"""How each scheme is checked."""

SIGNED_BY = {"standard": "webhook-signature", "chatwoot": "x-chatwoot-signature", "hmac": "x-webhook-signature"}
"""The header whose presence says that a request claims to be signed."""


def check_address(knock: Knock, networks: Sequence[str]) -> None:
    """Check that it came from one of the networks; none named: from anywhere."""
    if not networks:
        return
    try:
        address = ip_address(knock.address)
    except ValueError:
        address = None
    mapped = getattr(address, "ipv4_mapped", None) or address
    if mapped is None or not any(mapped in ip_network(network) for network in networks):
        raise Unproven("bad_address", _("This address may not send here."))


def check_secret(scheme: str, secret: str) -> None:
    """Raise `BadSecret` where a secret will not do for its scheme."""
    if scheme == "standard":
        standard_key(secret)
    elif len(secret) < SHORTEST:
        raise BadSecret(_("It is shorter than %(least)s characters: make a longer one.") % {"least": SHORTEST})


def _in_time(told: str, now: float) -> None:
    if not (told.isascii() and told.isdigit() and len(told) <= 12):
        raise Unproven("bad_time", _("The timestamp of the signature is no number of seconds."))
    if abs(now - int(told)) > TOLERANCE_SECONDS:
        raise Unproven(
            "bad_time",
            _("It was signed more than %(seconds)s seconds ago, or in the future. Check the sender's clock.")
            % {"seconds": TOLERANCE_SECONDS},
        )


def _one_of(offered: Sequence[str], expected: Sequence[str]) -> None:
    """Compare each with each, however soon one fits: the time taken tells nothing."""
    fits = [hmac.compare_digest(_bytes(one), other.encode()) for one in offered for other in expected]
    if not any(fits):
        raise Unproven("bad_signature", _("The signature does not fit the body and our secret."))


def _unsigned(names: str) -> Unproven:
    return Unproven("no_signature", _("It carries no signature: %(names)s.") % {"names": names})


def _hmac(key: bytes, signed: bytes) -> bytes:
    return hmac.digest(key, signed, hashlib.sha256)


def _bytes(text: str) -> bytes:
    """Return what stood in a header: a byte that is not ASCII came as the character of its number."""
    return text.encode("latin-1", "replace")
