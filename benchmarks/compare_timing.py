"""Does the time of a refusal tell how much of a secret was right (S12)? `python -m benchmarks.compare_timing`.

Each door is knocked at with two wrong secrets in random turns: one wrong in its first character, one only in its last.
Welch's t over the times says whether they differ; beyond 4.5 either way, as is usual for such tests, they do. A comparison
that stops at the first difference is measured beside them: were it not found out, the figures would say nothing.
"""

import argparse
import math
import random
import secrets
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial

from benchmarks.ground import ground, say

LEAKS = 4.5
SLOWEST = 0.05
"""So many of the slowest of each kind are left out: there the machine did something else."""

Door = tuple[str, str, Callable[[str], object]]
"""Its name, what opens it, and how one knocks with a secret."""


def main() -> None:
    """Print for each door the two times and what their difference comes to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("comparisons", type=int, nargs="?", default=10_000)
    asked = parser.parse_args()
    with ground():
        for name, right, knock in _doors():
            first, last = _times(right, knock, asked.comparisons)
            t = _t(first, last)
            say(f"{name}: {_mean(first):,.0f} and {_mean(last):,.0f} ns, t = {t:+.1f}: {_verdict(t)}")


def _doors() -> Iterator[Door]:
    from django.contrib.auth.models import Group

    from apps.integrations import keys, proofs

    secret = secrets.token_urlsafe(32)
    yield "a comparison that stops at the first difference", secret, lambda told: _hasty(told, secret)
    at_path = lambda told: proofs.Knock({}, b"", 0, path_secret=told)  # noqa: E731 # one word of it changes
    yield "secret in the address", secret, lambda told: proofs.secret_path(at_path(told), [secret])
    yield from _signed(secret)
    plain = keys.make("The site", Group.objects.get(name="Viewer"))[1]
    yield "API key, looked up by its digest", plain, keys.find


def _signed(secret: str) -> Iterator[Door]:
    """The signatures of a body: what is guessed is the signature, for the secret never travels."""
    import base64
    import hashlib
    import hmac

    from apps.integrations import proofs

    body, whsec = b'{"type": "lead.created"}', "whsec_" + base64.b64encode(secret.encode()).decode()

    def sign(signed: bytes) -> bytes:
        return hmac.new(secret.encode(), signed, hashlib.sha256).digest()

    def knock(told: str, scheme: Callable[..., None], key: str, headers: dict[str, str], form: str) -> None:
        scheme(proofs.Knock({**headers, key: form + told}, body, 1), [whsec if form == "v1," else secret])

    ids, at = {"webhook-id": "1", "webhook-timestamp": "1"}, {"x-chatwoot-timestamp": "1"}
    standard = partial(knock, scheme=proofs.standard, key="webhook-signature", headers=ids, form="v1,")
    chatwoot = partial(knock, scheme=proofs.chatwoot, key="x-chatwoot-signature", headers=at, form="sha256=")
    plain = partial(knock, scheme=proofs.body_hmac, key="x-webhook-signature", headers={}, form="")
    yield "Standard Webhooks", base64.b64encode(sign(b"1.1." + body)).decode(), standard
    yield "Chatwoot", sign(b"1." + body).hex(), chatwoot
    yield "HMAC of the body", sign(body).hex(), plain


def _hasty(told: str, secret: str) -> bool:
    return all(one == other for one, other in zip(told, secret, strict=True))


def _times(right: str, knock: Callable[[str], object], comparisons: int) -> tuple[list[int], list[int]]:
    """Knock in random turns; return the times of both secrets, without the slowest."""
    knock(right)  # raises where it does not open: then a refusal would tell of something else
    wrong = tuple("0" if right[at] != "0" else "1" for at in (0, -1))
    guesses = wrong[0] + right[1:], right[:-1] + wrong[1]
    times: tuple[list[int], list[int]] = [], []
    for turn in random.sample([0, 1] * (comparisons // 2), comparisons // 2 * 2):
        times[turn].append(_time(knock, guesses[turn]))
    first, last = (sorted(taken)[: int(len(taken) * (1 - SLOWEST))] for taken in times)
    return first, last


def _time(knock: Callable[[str], object], guess: str) -> int:
    began = time.perf_counter_ns()
    with suppress(Exception):  # a refusal: whichever it is, it took its time
        knock(guess)
    return time.perf_counter_ns() - began


def _mean(times: list[int]) -> float:
    return statistics.fmean(times)


def _t(first: list[int], last: list[int]) -> float:
    """Return Welch's t of two samples."""
    spread = statistics.variance(first) / len(first) + statistics.variance(last) / len(last)
    return (_mean(first) - _mean(last)) / math.sqrt(spread)


def _verdict(t: float) -> str:
    return "tells how much was right" if abs(t) > LEAKS else "tells nothing"


if __name__ == "__main__":
    main()
