"""What was read becomes rows: one statement for a page, each record once, and what changed becomes operations.

Everything here runs inside the transaction that moves the cursor: a killed worker leaves all of a page or nothing of it.
"""

import datetime as dt
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import connection
from django.utils.translation import gettext as _

from apps.actions import statements
from apps.actions.models import new_id
from apps.deadletters.failures import FailureClass
from apps.integrations.masking import masked
from apps.integrations.outcome import Read
from apps.integrations.routing import (
    EndpointPaused,
    MappingFailed,
    Routed,
    endpoints_for,
    newest_versions,
    routed_by,
)
from apps.operations.intake import Wanted, submit_keyed
from apps.syncs.catalogue import kept_as, owner_of
from apps.syncs.models import PassedOn, Record, RejectedRecord, Sync

LARGEST_TOLD = 16 * 1024
"""So many characters are kept of what the source told of a record."""
FEW = 10
"""So many new rejections of one page are never taken for a fault of the whole."""

Status = RejectedRecord.Status


class MostRejected(Exception):
    """More than half of a page cannot be taken in: something is wrong with the whole, and nothing of it was written."""


@dataclass(frozen=True)
class Source:
    """Who told a change, as endpoints name it."""

    slug: str


@dataclass(frozen=True)
class Change:
    """A record that is new or another, as routing sees it."""

    source: Source
    event_type: str
    subject: str
    data: Any


@dataclass(frozen=True)
class Bad:
    """A record that cannot be taken in, and why."""

    read: Read
    error_type: str
    why: str

    @property
    def digest(self) -> str:
        """What tells this rejection from another of the same record."""
        return digest_of([self.read.told, self.error_type, self.why])


@dataclass(frozen=True)
class Taken:
    """What came of some records: the counts, the ids of those taken in, and those that could not be."""

    counts: Counter[str]
    good: list[str]
    bad: list[Bad]


def store(sync: Sync, entity: str, records: Sequence[Read]) -> Counter[str]:
    """Take records in, set aside those that cannot be, and return the counts of `take_in`.

    Raises `EndpointPaused`, which holds the whole, and `MostRejected`.
    """
    taken = take_in(sync, entity, records)
    _reject(sync, entity, taken.bad, of=len(records))
    _accept(sync, entity, taken.good)
    return taken.counts


def take_in(sync: Sync, entity: str, records: Sequence[Read]) -> Taken:
    """Take records in; count how many were read, created, updated, unchanged, rejected, and the operations made.

    What is told twice counts as unchanged the second time. Raises `EndpointPaused`.
    """
    reads = list({record.id: record for record in records}.values())
    good, bad = [one for one in reads if not one.errors], [_unreadable(one) for one in reads if one.errors]
    changed = _changed(sync, entity, good)
    routed, unmapped = _routed(sync, entity, changed)
    refused = {one.read.id for one in unmapped}
    written = _upserted(sync, entity, [read for read, _known in changed if read.id not in refused])
    created = sum(one.created for one in written.values())
    counts = Counter(read=len(records), rejected=len(bad) + len(unmapped))
    counts.update(created=created, updated=len(written) - created)
    counts["unchanged"] = len(records) - counts["created"] - counts["updated"] - counts["rejected"]
    counts["operations"] = _submitted(sync, entity, routed, written)
    return Taken(+counts, [read.id for read in good if read.id not in refused], [*bad, *unmapped])


def digest_of(value: Any) -> str:
    """Return what is the same for the same content."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def bounded(told: Any) -> Any:
    """Return what the source told as it may be kept: masked, and no more than is of use."""
    hidden = masked(told)
    text = json.dumps(hidden, ensure_ascii=False, default=str)
    return hidden if len(text) <= LARGEST_TOLD else {"": text[:LARGEST_TOLD]}


def _unreadable(read: Read) -> Bad:
    why = "; ".join(f"{field}: {', '.join(said)}" if field else ", ".join(said) for field, said in read.errors.items())
    return Bad(read, "unreadable", why[:2000])


def _changed(sync: Sync, entity: str, reads: Sequence[Read]) -> list[tuple[Read, bool]]:
    """Return what is not known as it is, each with whether it is known at all."""
    model = kept_as(sync, entity)
    rows = model._default_manager.filter(**owner_of(sync, entity), code__in=[read.id for read in reads])
    known = dict(rows.values_list("code", "digest"))
    return [(read, read.id in known) for read in reads if known.get(read.id) != digest_of(read.fields)]


# What changes become


def _routed(sync: Sync, entity: str, changed: Iterable[tuple[Read, bool]]) -> tuple[dict[str, list[Routed]], list[Bad]]:
    """Return the operations of each change by its record's id; and the changes that no mapping takes."""
    routed, bad = dict[str, list[Routed]](), list[Bad]()
    ways = {known: _ways(sync, f"{entity}.{'updated' if known else 'created'}") for known in (True, False)}
    for read, known in changed:
        endpoints, versions = ways[known]
        if endpoints:
            try:
                routed[read.id] = routed_by(endpoints, versions, _change_of(sync, entity, read, known))
            except EndpointPaused:
                raise
            except MappingFailed as error:
                bad.append(Bad(read, "mapping", str(error)))
    return routed, bad


def _ways(sync: Sync, event_type: str) -> tuple[Any, Any]:
    endpoints = endpoints_for(sync.job.slug, event_type)
    return endpoints, newest_versions(endpoints)


def _change_of(sync: Sync, entity: str, read: Read, known: bool) -> Change:
    tenant = sync.tenant.slug if sync.tenant else ""
    data = {"tenant": tenant, "service": sync.service.slug, "id": read.id, **read.fields}
    return Change(Source(sync.job.slug), f"{entity}.{'updated' if known else 'created'}", read.id, data)


def _submitted(
    sync: Sync, entity: str, routed: Mapping[str, Sequence[Routed]], written: Mapping[str, "Written"]
) -> int:
    """Hand in the operations of what was written, under keys that are the same for the same change."""
    wanted = {
        _key(sync, entity, written[code], one): _wanted(sync, code, one)
        for code, ways in routed.items()
        for one in ways
        if code in written
    }
    return submit_keyed(wanted, f"sync {sync}") if wanted else 0


def _wanted(sync: Sync, code: str, routed: Routed) -> Wanted:
    return Wanted(
        operation_type=routed.operation_type,
        payload=routed.payload,
        service=routed.service,
        queue=routed.queue,
        tenant=routed.tenant or (sync.tenant.slug if sync.tenant else ""),
        entity_type=routed.entity_type,
        entity_id=routed.entity_id or code,
        mapping_version=routed.version,
    )


def _key(sync: Sync, entity: str, written: "Written", routed: Routed) -> UUID:
    """Return an operation's id out of tenant, entity, id and content: of time's order, as all are, and the same again."""
    told = [str(sync.tenant_id or sync.pk), entity, written.code, written.digest, routed.endpoint.slug]
    milliseconds = int(written.changed_at.timestamp() * 1000)
    random = int(digest_of([*told, written.changed_at.isoformat()]), 16)
    high, low = random & 0xFFF, (random >> 12) & (2**62 - 1)
    return UUID(int=milliseconds << 80 | 7 << 76 | high << 64 | 2 << 62 | low)


# The records themselves


@dataclass(frozen=True)
class Written:
    """A record that the statement wrote."""

    code: str
    digest: str
    changed_at: dt.datetime
    created: bool


def _upserted(sync: Sync, entity: str, reads: Sequence[Read]) -> dict[str, Written]:
    """Write records in one statement; what is there with the same content is not touched. Return what was written."""
    if not reads:
        return {}
    model = kept_as(sync, entity)
    sql, rows = _upsert(model), [_row(model, sync, entity, read) for read in reads]
    with connection.cursor() as cursor:
        cursor.execute(sql, [json.dumps(rows, default=str)])
        return {code: Written(code, digest, at, created) for code, digest, at, created in cursor.fetchall()}


def _row(model: type[Record], sync: Sync, entity: str, read: Read) -> dict[str, Any]:
    own = {"id": new_id(), "code": read.id, "revision": read.revision, "digest": digest_of(read.fields)}
    told = {} if model is PassedOn else bounded(read.told)
    return {**owner_of(sync, entity), **own, "told": told, **{name: _of(model, name, read) for name in model.filled}}


def _of(model: type[Record], name: str, read: Read) -> Any:
    """Return what a column holds of a record; a text that the source leaves out is empty."""
    value = read.fields.get(name)
    return "" if value is None and not model._meta.get_field(name).null else value


def _upsert(model: type[Record]) -> str:
    quote = connection.ops.quote_name
    columns = {str(field.column): field for field in model._meta.concrete_fields}
    given = [name for name in columns if name not in ("created_at", "changed_at")]
    types = ", ".join(f"{quote(name)} {columns[name].db_type(connection)}" for name in given)
    names, table = ", ".join(map(quote, given)), quote(model._meta.db_table)
    key = [name for name, field in columns.items() if field.name in model.key]
    known = ", ".join(map(quote, key))
    updated = ", ".join(f"{quote(name)} = excluded.{quote(name)}" for name in given if name not in ("id", *key))
    return (
        f"INSERT INTO {table} AS kept ({names}) SELECT {names}"  # noqa: S608 # names from models only
        # In the order of the code: two that write the same records meet in one place, and one waits.
        f" FROM jsonb_to_recordset(%s) AS given({types}) ORDER BY code"
        f" ON CONFLICT ({known}) DO UPDATE SET {updated}, changed_at = statement_timestamp()"
        " WHERE kept.digest <> excluded.digest RETURNING code, digest, changed_at, xmax = 0"
    )


# Those that cannot be taken in


def _reject(sync: Sync, entity: str, bad: Sequence[Bad], of: int) -> None:
    """Set records aside, each with its dead letter; one that is set aside already, as it is, is no news."""
    rows = _rejected(sync, entity, [one.read.id for one in bad])
    known = dict(rows.exclude(status=Status.APPLIED).values_list("code", "digest"))
    news = {one.read.id: one for one in bad if known.get(one.read.id) != one.digest}
    if len(news) > max(FEW, of / 2):
        told = {"count": len(news), "of": of, "why": next(iter(news.values())).why}
        raise MostRejected(
            _("%(count)s of %(of)s records of a page cannot be taken in, so none was. The first: %(why)s") % told
        )
    if news:
        owner = {"sync": sync, "job_id": sync.job_id, "tenant_id": sync.tenant_id, "entity": entity}
        made = [RejectedRecord(**owner, code=code, digest="") for code in sorted(news)]
        RejectedRecord.objects.bulk_create(made, ignore_conflicts=True)
        keys = dict(_rejected(sync, entity, list(news)).values_list("pk", "code"))
        each = {key: why(news[code]) for key, code in keys.items()}
        moving = RejectedRecord.objects.filter(pk__in=list(keys))
        statements.move(RejectedRecord.reject, moving, limit=len(keys), each=each, actor_name="sync")


def why(bad: Bad) -> dict[str, Any]:
    """Return what a rejection writes."""
    return {
        "failure_class": FailureClass.PERMANENT_DATA,
        "error_type": bad.error_type,
        "last_error": masked(bad.why)[:4000],
        "error_fields": {name: list(said) for name, said in bad.read.errors.items()},
        "told": bounded(bad.read.told),
        "digest": bad.digest,
    }


def _accept(sync: Sync, entity: str, codes: Sequence[str]) -> None:
    """Settle those that were set aside before and are taken in now, with their dead letters."""
    rows = _rejected(sync, entity, codes).filter(status__in=(Status.PENDING, Status.FAILED), archived_at=None)
    keys = list(rows.values_list("pk", flat=True))
    if keys:
        moving = RejectedRecord.objects.filter(pk__in=keys)
        statements.move(RejectedRecord.accept, moving, limit=len(keys), actor_name="sync")


def _rejected(sync: Sync, entity: str, codes: Sequence[str]) -> Any:
    return RejectedRecord.objects.filter(sync=sync, entity=entity, code__in=codes)
