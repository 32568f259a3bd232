"""What proves whose an event is: the public vectors of Standard Webhooks, and everything that must not pass (S11)."""

import base64
import hashlib
import hmac
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.integrations.proofs import (
    SCHEMES,
    BadSecret,
    Knock,
    Unproven,
    body_hmac,
    chatwoot,
    check_address,
    check_secret,
    secret_path,
    standard,
)

# Of the specification's own libraries (standard-webhooks): secret, id, moment, body, signature.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_" + base64.b64encode(b"another secret of ours, longer").decode()
KEY, AT, BODY = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
PLAIN = "a secret of thirty-two characters"


def standard_knock(now: float = AT, body: bytes = BODY, headers: dict[str, str] | None = None) -> Knock:
    told = {"webhook-id": KEY, "webhook-timestamp": str(AT), "webhook-signature": SIGNATURE}
    return Knock({**told, **(headers or {})}, body, now)


def chatwoot_knock(now: float = AT, secret: str = PLAIN, body: bytes = BODY) -> Knock:
    signature = hmac.new(secret.encode(), f"{AT}.".encode() + BODY, hashlib.sha256).hexdigest()
    return Knock({"x-chatwoot-timestamp": str(AT), "x-chatwoot-signature": f"sha256={signature}"}, body, now)


def hmac_knock(signature: str = "", body: bytes = BODY) -> Knock:
    good = hmac.new(PLAIN.encode(), BODY, hashlib.sha256).hexdigest()
    return Knock({"x-webhook-signature": signature or good}, body, AT)


def reason(work: Any, *args: Any) -> str:
    with pytest.raises(Unproven) as refused:
        work(*args)
    return refused.value.reason


@pytest.mark.parametrize("secret", [SECRET, SECRET.removeprefix("whsec_")])
def test_the_public_vector_of_standard_webhooks_passes(secret: str) -> None:
    standard(standard_knock(), [secret])


def test_any_of_several_signatures_will_do() -> None:
    many = f"v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc= v2,abc {SIGNATURE} v1a,xyz"
    standard(standard_knock(headers={"webhook-signature": many}), [SECRET])


def test_either_of_two_secrets_will_do_while_they_are_rotated() -> None:
    standard(standard_knock(), [OTHER, SECRET])
    chatwoot(chatwoot_knock(), ["the next one, thirty-two letters!", PLAIN])


@pytest.mark.parametrize("seconds", [-300, -299, 0, 299, 300])
def test_a_signature_counts_for_five_minutes_either_way(seconds: int) -> None:
    standard(standard_knock(now=AT + seconds), [SECRET])
    chatwoot(chatwoot_knock(now=AT + seconds), [PLAIN])


@pytest.mark.parametrize("seconds", [-301, 301, 86400, -86400])
def test_an_old_or_a_future_signature_is_refused(seconds: int) -> None:
    assert reason(standard, standard_knock(now=AT + seconds), [SECRET]) == "bad_time"
    assert reason(chatwoot, chatwoot_knock(now=AT + seconds), [PLAIN]) == "bad_time"


@pytest.mark.parametrize("at", ["soon", "-5", "1e9", "١٦١٤٢٦٥٣٣٠", "9" * 40, "16142653 30"])
def test_a_timestamp_that_is_no_number_of_seconds_is_refused(at: str) -> None:
    assert reason(standard, standard_knock(headers={"webhook-timestamp": at}), [SECRET]) == "bad_time"


@pytest.mark.parametrize(
    "signature", ["v1,AAAA", "v1,", "v2," + SIGNATURE[3:], SIGNATURE[3:], "v1,\xe9\xff", "v1,v1,v1"]
)
def test_a_signature_that_does_not_fit_is_refused(signature: str) -> None:
    assert reason(standard, standard_knock(headers={"webhook-signature": signature}), [SECRET]) == "bad_signature"


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_a_header_that_is_missing_is_no_signature(name: str) -> None:
    assert reason(standard, standard_knock(headers={name: ""}), [SECRET]) == "no_signature"


@pytest.mark.parametrize("body", [b'{"test":2432232314}', b'{ "test": 2432232314}', BODY + b"\n", b""])
def test_a_body_that_was_written_anew_is_refused(body: bytes) -> None:
    assert reason(standard, standard_knock(body=body), [SECRET]) == "bad_signature"
    assert reason(chatwoot, chatwoot_knock(body=body), [PLAIN]) == "bad_signature"
    assert reason(body_hmac, hmac_knock(body=body), [PLAIN]) == "bad_signature"


def test_the_secret_of_another_source_opens_nothing() -> None:
    assert reason(standard, standard_knock(), [OTHER]) == "bad_signature"
    assert reason(chatwoot, chatwoot_knock(), [OTHER]) == "bad_signature"
    assert reason(body_hmac, hmac_knock(), [OTHER]) == "bad_signature"


def test_chatwoot_says_where_its_secret_may_differ() -> None:
    with pytest.raises(Unproven, match="For API channels"):
        chatwoot(chatwoot_knock(), [OTHER])


@pytest.mark.parametrize("write", [str, str.upper, lambda signature: f"sha256={signature}"])
def test_a_plain_hmac_is_read_as_senders_write_it(write: Any) -> None:
    good = hmac.new(PLAIN.encode(), BODY, hashlib.sha256).hexdigest()
    body_hmac(hmac_knock(write(good)), [PLAIN])


def test_the_secret_in_the_address_is_compared_whole() -> None:
    secret_path(Knock({}, BODY, AT, PLAIN), [OTHER, PLAIN])
    assert [reason(secret_path, Knock({}, BODY, AT, wrong), [PLAIN]) for wrong in ("", PLAIN[:-1], PLAIN + "é")] == [
        "bad_secret"
    ] * 3


@pytest.mark.parametrize("address", ["203.0.113.9", "::ffff:203.0.113.9", "2001:db8::5"])
def test_an_address_of_the_list_may_send(address: str) -> None:
    check_address(Knock({}, b"", AT, "", address), ["203.0.113.0/24", "2001:db8::/32"])


@pytest.mark.parametrize("address", ["203.0.114.9", "", "nowhere", "2001:db9::5", "::"])
def test_an_address_beside_the_list_may_not(address: str) -> None:
    assert reason(check_address, Knock({}, b"", AT, "", address), ["203.0.113.0/24", "2001:db8::/32"]) == "bad_address"


@pytest.mark.parametrize("secret", ["whsec_", "whsec_no base64!", "whsec_c2hvcnQ=", "whsec_" + "A" * 200])
def test_a_secret_that_will_not_do_is_told_apart_from_a_bad_signature(secret: str) -> None:
    with pytest.raises(BadSecret):
        standard(standard_knock(), [secret])
    with pytest.raises(BadSecret):
        check_secret("standard", secret)


@given(
    scheme=st.sampled_from(sorted(SCHEMES)),
    names=st.lists(
        st.sampled_from(
            [
                "webhook-id",
                "webhook-timestamp",
                "webhook-signature",
                "x-chatwoot-timestamp",
                "x-chatwoot-signature",
                "x-webhook-signature",
            ]
        )
    ),
    values=st.lists(st.text(st.characters(max_codepoint=255), max_size=80) | st.just(str(AT)), min_size=6, max_size=6),
    body=st.binary(max_size=200),
)
def test_whatever_is_sent_nothing_unsigned_passes(
    scheme: str, names: list[str], values: list[str], body: bytes
) -> None:
    with pytest.raises(Unproven):
        SCHEMES[scheme](Knock(dict(zip(names, values, strict=False)), body, AT, values[0]), [SECRET])
