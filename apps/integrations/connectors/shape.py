"""The one shape of all connectors. They are pure: no socket is opened here and no row is read."""

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import requests
from django.db import models
from django.utils.translation import gettext_lazy as _
from django_stubs_ext import StrOrPromise
from pydantic import BaseModel

from apps.integrations.outcome import EgressRefused, Outcome, Unanswered

Answer = requests.Response | Unanswered | EgressRefused
"""What a call can end in."""

Steps = Generator[requests.Request, requests.Response, Outcome]
"""An operation on its way: yields a request, is sent its response, and returns what came of it all.

`Unanswered` and `EgressRefused` are thrown into it where no response came; what it does not catch, the door settles.
"""


class Doubles(models.TextChoices):
    """What the far end offers against doing one operation twice."""

    NATIVE_KEY = "native_key", _("the service honours our idempotency key")
    """Repeated freely: the key makes the second call the first one's echo."""
    UPSERT = "upsert", _("doing it twice is doing it once")
    """Repeated freely: the second call writes the same values again."""
    LOOKUP = "lookup", _("we look first whether it is already there")
    """Repeated only after a look that surely found nothing."""
    NONE = "none", _("nothing: a lost answer is decided by a person")
    """Never repeated once a call may have reached it."""

    @property
    def repeatable(self) -> bool:
        """Whether every call of such an operation may be made again without a look."""
        return self in (Doubles.NATIVE_KEY, Doubles.UPSERT)


class CredentialMissing(Exception):
    """A connector asked for a credential that nobody has set."""


@dataclass(frozen=True, slots=True)
class Site:
    """Where a service is and what we show it: its base URL, its credentials by name, its settings."""

    base_url: str
    credentials: Mapping[str, str] = field(default_factory=dict, repr=False)
    options: Mapping[str, Any] = field(default_factory=dict)

    def at(self, path: str) -> str:
        """Return the full address of `path`."""
        return f"{self.base_url.rstrip('/')}/{path.lstrip('/')}" if path else self.base_url

    def credential(self, name: str) -> str:
        """Return a credential that the service cannot do without; raise `CredentialMissing` where it is not set."""
        if not self.credentials.get(name):
            raise CredentialMissing(name)
        return self.credentials[name]


@dataclass(frozen=True, slots=True)
class Order:
    """One operation as its connector sees it. Key and reference never change, whatever is tried how often.

    `called_at` is when an earlier attempt made a call that may have taken effect: look before you repeat it.
    `remote_id` is the record's id at the far end, where it is known already.
    """

    id: str
    key: str
    reference: str
    operation_type: str
    payload: Mapping[str, Any]
    site: Site
    called_at: datetime | None = None
    remote_id: str = ""


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing a connector can do. `confirm` asks the far end whether it is there, where that can be asked.

    `confirm` succeeds where the record was found, ends as permanent_data where it surely is not there, and as
    ambiguous where the far end cannot say.
    """

    label: StrOrPromise
    help: StrOrPromise
    entity: str
    schema: type[BaseModel]
    doubles: Callable[[Mapping[str, Any]], Doubles]
    perform: Callable[[Order], Steps]
    confirm: Callable[[Order], Steps] | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """One kind of record that can be read page by page, what changed since the last time.

    A position is plain JSON that only the connector understands; it is kept between pages and survives a kill.
    `begin` makes the position of a pass from the watermark that the last one left (empty at first), `since` that of a
    pass over what changed since a moment: `lowest` is the lowest revision known since then, where any is. `again` reads
    one record by its id: a page of one, or of none where it is no longer there. Reading twice does no harm.
    """

    label: StrOrPromise
    page: Callable[[Site, Mapping[str, Any]], Steps]
    again: Callable[[Site, str], Steps]
    begin: Callable[[Mapping[str, Any], Mapping[str, Any], datetime], Mapping[str, Any]]
    """Of the watermark, the service's options and the moment."""
    since: Callable[[datetime, int | None, Mapping[str, Any], datetime], Mapping[str, Any] | None]
    """Of the moment to begin from, the lowest revision, the service's options and the moment; None: nothing to read again."""


@dataclass(frozen=True, slots=True)
class Connector:
    """The code for one kind of service: what it can do, how it answers, how it is probed.

    `credentials` names what we must show it, each with a label for people, and `optional` those of them that it may do
    without; `options` is the schema of its settings.
    `classify` reads one answer; its second argument says whether the call may be repeated. `readings` are the kinds of
    records that syncs read from it.
    """

    label: StrOrPromise
    operations: Mapping[str, Operation]
    classify: Callable[[requests.Response, bool], Outcome]
    probe: Callable[[Site], Steps]
    credentials: Mapping[str, StrOrPromise]
    options: type[BaseModel]
    optional: frozenset[str] = frozenset()
    readings: Mapping[str, Reading] = field(default_factory=dict)
