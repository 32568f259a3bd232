"""The same request twice is done once: the first answer is kept and given again (R08, D5).

Record, work and answer commit together. So a crash leaves nothing half done and no key that hangs, and whoever sends
the same key meanwhile waits for the first to end. A refusal is not kept: nothing was done, and asking again is fair.
"""

import hashlib
import re
from collections.abc import Callable

from django.db import OperationalError, transaction
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.utils.translation import gettext as _

from apps.actions.running import LOCK_TIMEOUT
from apps.actions.verbs import Invalid, Refused
from apps.integrations.models import IdempotencyRecord

KEY = re.compile(r"[!-~]{1,200}")


def key_of(header: str) -> str:
    """Return the key that a header holds, bare or as the standard has it, in quotes."""
    text = header.strip()
    key = text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text
    if not KEY.fullmatch(key):
        raise Invalid(_("An Idempotency-Key takes 1 to 200 letters, digits and signs, without blanks."), code="bad_key")
    return key


def once(
    caller: str,
    key: str,
    request: bytes,
    answer: Callable[[], HttpResponseBase],
    kept: Callable[[bytes], bytes] = bytes,
) -> HttpResponseBase:
    """Answer a request, or give again what the same request of the same caller was answered before.

    `request` is everything that makes a request what it is; `kept` takes out of an answer what must not be stored. Raises `Invalid` where the key came with another request,
    and `Refused` where that one is still being worked on.
    """
    asked = IdempotencyRecord(caller=caller, key=key, request_digest=hashlib.sha256(request).hexdigest())
    with transaction.atomic():
        first = _first(asked)
        if first.pk != asked.pk:
            return _again(first, asked)
        response = answer()
        if response.status_code < 400 and isinstance(response, HttpResponse):
            asked.status_code, asked.body = response.status_code, kept(response.content)
            asked.location = response.get("Location", "")
            asked.save(update_fields=["status_code", "body", "location"])
        else:
            transaction.set_rollback(True)
        return response


def _first(asked: IdempotencyRecord) -> IdempotencyRecord:
    """Return the record of the first request under this key: the one asked for, where that is the first."""
    try:
        # Waits for a transaction that holds the same key, up to the lock's time limit.
        IdempotencyRecord.objects.bulk_create([asked], ignore_conflicts=True)
    except OperationalError as error:
        if getattr(error.__cause__, "sqlstate", None) != LOCK_TIMEOUT:
            raise
        raise Refused(
            _("The first request with this Idempotency-Key is still being worked on. Ask again in a second."),
            code="still_running",
            retry_after=1,
        ) from error
    return IdempotencyRecord.objects.get(caller=asked.caller, key=asked.key)


def _again(kept: IdempotencyRecord, asked: IdempotencyRecord) -> HttpResponse:
    if kept.request_digest != asked.request_digest:
        raise Invalid(
            _("This Idempotency-Key came before with another request. A new request needs a new key."),
            code="key_reused",
        )
    response = HttpResponse(bytes(kept.body or b""), status=kept.status_code, content_type="application/json")
    if kept.location:
        response["Location"] = kept.location
    return response
