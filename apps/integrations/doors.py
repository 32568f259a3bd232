"""What a webhook door checks before it stores: who knocks, how much they bring, and whether it is really theirs."""

import datetime as dt
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any
from uuid import UUID

from django.db import Error, connection
from django.db.models import DateTimeField, ExpressionWrapper, Sum
from django.db.models.functions import Now, TruncDate
from django.utils.translation import gettext as _

from apps.actions.preparing import GIVEN, Reading
from apps.actions.verbs import NotFound, Refused
from apps.integrations import proofs
from apps.integrations.credentials import credential
from apps.integrations.metering import OTHER, count_events
from apps.integrations.models import EventSource, IntegrationEvent, SourceRefusal
from apps.integrations.models.event import Scheme
from apps.integrations.proofs import BadSecret, Knock, Unproven

log = logging.getLogger(__name__)

COUNT = """
INSERT INTO integrations_sourcerefusal (source_id, reason, day, count, last_at, last_address)
VALUES (%s, %s, statement_timestamp() AT TIME ZONE 'UTC', 1, statement_timestamp(), %s)
ON CONFLICT (source_id, day, reason) DO UPDATE
   SET count = integrations_sourcerefusal.count + 1, last_at = excluded.last_at, last_address = excluded.last_address
"""


class NotTheirs(Refused):
    """The proof does not hold."""

    http_status = 401


class BadBody(Refused):
    """The body cannot be read."""

    http_status = 400


class TooLarge(Refused):
    """More than the source may send at once."""

    http_status = 413


class NotReadHere(Refused):
    """A content type that is not read here."""

    http_status = 415


class NotReady(Refused):
    """Nothing is wrong with the request: we cannot check it now, and it should come again."""

    http_status = 503


@dataclass(frozen=True, slots=True)
class Visit:
    """A source that somebody claims to be, as of the database's clock."""

    source: EventSource
    now: dt.datetime
    address: str

    def refuse(self, error: Refused, reason: str) -> Refused:
        """Count a refusal and return it. That it cannot be counted keeps nobody from being refused."""
        count_events(self.source.slug, [OTHER], "refused")
        try:
            with connection.cursor() as cursor:
                cursor.execute(COUNT, [self.source.pk, reason, self.address[:64]])
        except Error:
            log.warning("A refusal at the door of %s was not counted.", self.source.slug)
        return error


def visit(slug: str, address: str) -> Visit:
    """Return the source whose door this is; `NotFound` where there is none, or none without an API key."""
    found: list[Any] = _doors().rows(slug)
    if not found:
        raise NotFound(_("There is no webhook door at this address."), code="not_found")
    return Visit(found[0], found[0].now, address)


@cache
def _doors() -> Reading[EventSource]:
    now = ExpressionWrapper(Now(), output_field=DateTimeField())
    doors = EventSource.objects.order_by().exclude(scheme=Scheme.KEY).annotate(now=now)
    return Reading(doors.filter(slug=GIVEN))


def check_size(visited: Visit, length: int) -> None:
    """Refuse a body that is larger than the source may send."""
    if length > visited.source.max_bytes:
        words = _("The body is too large: this door takes up to %(most)s bytes.") % {"most": visited.source.max_bytes}
        raise visited.refuse(TooLarge(words, code="too_large"), SourceRefusal.Reason.TOO_LARGE)


def prove(visited: Visit, headers: Mapping[str, str], body: bytes, path_secret: str) -> str:
    """Return how it is proven; raise `NotTheirs` where it is not, and `NotReady` where our own secret is missing."""
    source = visited.source
    knock = Knock(headers, body, visited.now.timestamp(), path_secret, visited.address)
    try:
        proofs.check_address(knock, source.allowed_networks)
        return _proven(source, knock)
    except Unproven as error:
        raise visited.refuse(NotTheirs(str(error), code=error.reason), error.reason) from error
    except BadSecret as error:
        words = _("This door is not ready: its secret is missing on our side. Send it again later.")
        answer = NotReady(words, code="no_secret", retry_after=300)
        raise visited.refuse(answer, SourceRefusal.Reason.NO_SECRET) from error


def _proven(source: EventSource, knock: Knock) -> str:
    if knock.path_secret and source.scheme != Scheme.PATH:
        raise Unproven("bad_secret", _("The address is not known."))
    header = proofs.SIGNED_BY.get(source.scheme, "")
    if header and not source.signature_required and header not in knock.headers:
        return IntegrationEvent.Proof.UNSIGNED
    proofs.SCHEMES[source.scheme](knock, secrets_of(source))
    return IntegrationEvent.Proof.SIGNED if header else IntegrationEvent.Proof.UNSIGNED


def secrets_of(source: EventSource) -> list[str]:
    """Return the secrets that count now, the next one too while they are rotated; `BadSecret` where there is none."""
    found = [credential(str(name)).value for name in source.credentials.values() if name]
    usable = [secret for secret in found if secret]
    if not usable:
        raise BadSecret(_("No secret is set."))
    return usable


def turned_away_today(sources: list[UUID]) -> dict[UUID, int]:
    """Return how often each source was turned away since midnight, in UTC as they are counted."""
    today = SourceRefusal.objects.filter(source__in=sources, day=TruncDate(Now(), tzinfo=dt.UTC))
    return dict(today.values_list("source").annotate(Sum("count")).order_by())


def refusals_of(source: EventSource) -> list[Any]:
    """Return what was turned away lately, the newest first: at most a row for each reason and day."""
    return list(source.refusals.order_by("-day", "-count")[:50])
