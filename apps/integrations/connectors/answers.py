"""Reading answers: what most services mean by a status, how long they ask us to wait, what their bodies hold."""

import email.utils
import json
import re
from datetime import UTC, datetime
from typing import Any

import requests
from django.utils.translation import gettext as _

from apps.deadletters.failures import FailureClass
from apps.integrations.masking import storable
from apps.integrations.outcome import Outcome

SHORTEST_WAIT, LONGEST_WAIT = 1.0, 3600.0
EXCERPT = 200
UNKEPT = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")
"""Escapes of NUL and of surrogates: rare enough to look for them only then."""
UNWELL = {408, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529}
"""It may have worked on it before it failed."""
MISTAKEN = {405, 415, 501}
"""We speak to it in a way it never understands."""


def _not_json(word: str) -> None:
    raise ValueError(word)


SUCCEEDED = Outcome()
STRICT = json.JSONDecoder(parse_constant=_not_json)


def by_status(response: requests.Response, repeatable: bool, message: str = "") -> Outcome:
    """Classify an answer by its status alone, as `contracts` §10 has it. `message` is what its body says."""
    failure_class = _class_of(response, repeatable)
    if failure_class is None:
        return SUCCEEDED
    return Outcome(failure_class, sentence(response, message), retry_after=retry_after(response))


def sentence(response: requests.Response, message: str = "") -> str:
    """Say in one line what was answered."""
    said = " ".join((message or response.text[: 4 * EXCERPT]).split())[: EXCERPT if not message else 4 * EXCERPT]
    return _("Answered %(status)s: %(said)s") % {"status": response.status_code, "said": said or response.reason}


def json_of(response: requests.Response) -> Any:
    """Return the body as JSON that PostgreSQL can keep, or None where it is none, as with NaN in it."""
    try:
        body = STRICT.decode(response.content.decode("utf-8-sig"))
        return _kept(body) if UNKEPT.search(response.content) else body
    except (ValueError, RecursionError):
        return None


def retry_after(response: requests.Response) -> float | None:
    """Return how many seconds the far end asks us to wait, from 1 s to 1 h; None where it does not say or cannot be read."""
    for read in (_milliseconds, _header, _body, _words):
        seconds = read(response)
        if seconds is not None:
            return min(max(seconds, SHORTEST_WAIT), LONGEST_WAIT)
    return None


def _kept(value: Any) -> Any:
    if isinstance(value, dict):
        return {storable(key): _kept(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_kept(item) for item in value]
    return storable(value) if isinstance(value, str) else value


def _class_of(response: requests.Response, repeatable: bool) -> FailureClass | None:
    status = response.status_code
    if 200 <= status < 300:
        return None
    if status == 429 or (status == 503 and "Retry-After" in response.headers):
        return FailureClass.RATE_LIMITED
    if status in (401, 403):
        return FailureClass.CREDENTIAL
    if status in MISTAKEN or status < 400:
        return FailureClass.CONFIG
    if status in UNWELL:
        return FailureClass.TRANSIENT if repeatable else FailureClass.AMBIGUOUS
    return FailureClass.PERMANENT_DATA if status < 500 else _unheard_of(repeatable)


def _unheard_of(repeatable: bool) -> FailureClass:
    return FailureClass.UNKNOWN if repeatable else FailureClass.AMBIGUOUS


def _number(value: object) -> float | None:
    text = str(value).strip()
    return float(text) if re.fullmatch(r"-?\d{1,15}(\.\d{1,9})?", text) else None


def _milliseconds(response: requests.Response) -> float | None:
    value = _number(response.headers.get("retry-after-ms", ""))
    return None if value is None else value / 1000


def _header(response: requests.Response) -> float | None:
    value = response.headers.get("Retry-After", "")
    seconds = _number(value)
    return _until(value, response) if seconds is None else seconds


def _until(value: str, response: requests.Response) -> float | None:
    """Reckon from the far end's own clock where it shows it: ours may differ."""
    moment, now = _moment(value), _moment(response.headers.get("Date", ""))
    return None if moment is None else (moment - (now or datetime.now(UTC))).total_seconds()


def _moment(value: str) -> datetime | None:
    try:
        moment = email.utils.parsedate_to_datetime(value)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _body(response: requests.Response) -> float | None:
    body = json_of(response)
    return _number(body.get("retry_after")) if isinstance(body, dict) else None


def _words(response: requests.Response) -> float | None:
    found = re.search(r"[Aa]guarde (\d{1,6}) segundos", response.text[:4096])
    return float(found[1]) if found else None
