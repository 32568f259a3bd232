"""Endpoints and mappings as files: written out to be kept, and read back whole or not at all (S1-96 to S1-98).

A file names services, queues and tenants and holds no secret: those stand in the environment or in secret files.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _
from pydantic import BaseModel, ConfigDict, Field
from pydantic import ValidationError as Misfilled

from apps.actions.actors import Actor
from apps.actions.models import ActionItem
from apps.actions.running import run
from apps.actions.selections import Selection, closest
from apps.actions.verbs import Invalid, kind_of
from apps.integrations import bodies
from apps.integrations.connectors import CONNECTORS, canonical
from apps.integrations.mapping import WrongMapping, rules_of
from apps.integrations.models import Endpoint, EventSource, MappingVersion, Service
from apps.integrations.routing import newest_versions
from apps.integrations.trials import changed, differences
from apps.jobs.catalogue import pulling
from apps.jobs.models import Queue, Tenant

MOST = 10_000
"""So many endpoints stand in a file at most."""


class Entry(BaseModel):
    """What every entry of a file has in common: it says nothing that we do not know."""

    model_config = ConfigDict(extra="forbid")


class EndpointEntry(Entry):
    """An endpoint in a file. `paused` is why it is paused, where it is."""

    slug: str
    name: str
    source: str = ""
    event_type: str
    condition: str = ""
    service: str
    operation_type: str
    queue: str | None = None
    tenant: str | None = None
    tenant_expression: str = ""
    entity_id_expression: str = ""
    paused: str | None = None


class MappingEntry(Entry):
    """The mapping in force of an endpoint, in a file."""

    endpoint: str
    fields: dict[str, Any]
    note: str = Field("", max_length=500)


class EndpointsFile(Entry):
    """What `export_endpoints` writes."""

    format: Literal["opsconsole.endpoints"]
    version: Literal[1]
    endpoints: list[EndpointEntry] = Field(max_length=MOST)


class MappingsFile(Entry):
    """What `export_mappings` writes."""

    format: Literal["opsconsole.mappings"]
    version: Literal[1]
    mappings: list[MappingEntry] = Field(max_length=MOST)


@dataclass(frozen=True)
class Change:
    """What an import does to one endpoint: makes it, changes it, or leaves it as it is."""

    endpoint: str
    made: bool = False
    told: list[str] = field(default_factory=list)
    """What changes, each in a line: `condition: 'a' -> 'b'`."""


File = TypeVar("File", bound=BaseModel)

COLUMNS = ("name", "source", "event_type", "condition", "tenant_expression", "entity_id_expression")
NAMED: dict[str, Any] = {"service": Service, "queue": Queue, "tenant": Tenant}


def exported_endpoints() -> str:
    """Return all endpoints as a file, always in the same order."""
    rows = Endpoint.objects.select_related("service", "queue", "tenant").order_by("slug")
    return _written("endpoints", [_entry_of(row).model_dump() for row in rows])


def exported_mappings() -> str:
    """Return the mapping in force of every endpoint as a file, always in the same order."""
    rows = list(Endpoint.objects.order_by("slug"))
    versions = newest_versions(rows)
    found = [(row, versions[row.pk]) for row in rows if row.pk in versions]
    entries = [{"endpoint": row.slug, "fields": one.fields, "note": one.note} for row, one in found]
    return _written("mappings", entries)


def import_endpoints(text: bytes, actor: Actor, *, dry_run: bool = False) -> list[Change]:
    """Put the endpoints of a file in force, all or none; those that it does not name stay as they are.

    Raises `Invalid` with the line or the entry and field that is wrong.
    """
    told = _read(text, EndpointsFile)
    _once_each([entry.slug for entry in told.endpoints], "endpoints", "slug")
    with transaction.atomic():
        known: dict[str, dict[str, Any]] = {
            word: {row.slug: row for row in model._default_manager.all()}
            for word, model in {**NAMED, "source": EventSource}.items()
        }
        known["source"] |= dict.fromkeys(pulling())
        rows = {row.slug: row for row in Endpoint.objects.select_for_update(of=("self",)).order_by("pk")}
        changes = [_put(place, entry, rows.get(entry.slug), known, actor) for place, entry in enumerate(told.endpoints)]
        transaction.set_rollback(dry_run)
    return changes


def import_mappings(text: bytes, actor: Actor, *, dry_run: bool = False) -> list[Change]:
    """Put the mappings of a file in force, all or none: each that differs becomes its endpoint's next version.

    Raises `Invalid` with the line or the entry and field that is wrong.
    """
    told = _read(text, MappingsFile)
    _once_each([entry.endpoint for entry in told.mappings], "mappings", "endpoint")
    with transaction.atomic():
        rows = {row.slug: row for row in Endpoint.objects.all()}
        versions = newest_versions(rows.values())
        changes = [_map(place, entry, rows, versions, actor) for place, entry in enumerate(told.mappings)]
        transaction.set_rollback(dry_run)
    return changes


def _written(what: str, entries: list[dict[str, Any]]) -> str:
    told = {"format": f"opsconsole.{what}", "version": 1, what: entries}
    return json.dumps(told, indent=2, ensure_ascii=False) + "\n"


def _read(text: bytes, kind: type[File]) -> File:
    try:
        return kind.model_validate(bodies.read(text))
    except bodies.Unreadable as error:
        raise Invalid(_("Nothing was imported. %(why)s") % {"why": error}, code="unreadable") from error
    except Misfilled as error:
        found = error.errors(include_url=False, include_input=False)[0]
        raise _wrong(".".join(map(str, found["loc"])) or "-", found["msg"]) from error


def _wrong(place: str, why: str) -> Invalid:
    return Invalid(_("Nothing was imported. %(place)s: %(why)s") % {"place": place, "why": why}, code="wrong_file")


def _once_each(names: list[str], what: str, word: str) -> None:
    for place, name in enumerate(names):
        if name in names[:place]:
            raise _wrong(f"{what}.{place}.{word}", _("%(name)s stands twice in the file") % {"name": name})


def _entry_of(row: Endpoint) -> EndpointEntry:
    return EndpointEntry(
        slug=row.slug,
        service=row.service.slug,
        operation_type=row.operation_type,
        queue=row.queue.slug if row.queue else None,
        tenant=row.tenant.slug if row.tenant else None,
        paused=row.paused_reason if row.status == Endpoint.Status.PAUSED else None,
        **{column: getattr(row, column) for column in COLUMNS},
    )


def _put(
    place: int, entry: EndpointEntry, row: Endpoint | None, known: Mapping[str, Mapping[str, Any]], actor: Actor
) -> Change:
    before = _entry_of(row).model_dump() if row else {}
    told = _changes(before, entry.model_dump()) if row else []
    if row and not told:
        return Change(entry.slug)
    row = row or Endpoint(slug=entry.slug)
    _fill(f"endpoints.{place}", entry, row, known)
    made = row._state.adding
    row.save()
    _pause(entry, row, actor)
    state = str(Endpoint.objects.values_list("status", flat=True).get(pk=row.pk))
    ActionItem.objects.create(
        kind=kind_of(Endpoint),
        object_id=row.pk,
        verb="import",
        from_status=state,
        to_status=state,
        actor_name=actor.name,
    )
    return Change(entry.slug, made, told)


def _fill(place: str, entry: EndpointEntry, row: Endpoint, known: Mapping[str, Mapping[str, Any]]) -> None:
    for word in NAMED:
        setattr(row, word, _named(place, word, getattr(entry, word), known[word]))
    _named(place, "source", entry.source or None, known["source"])
    for column in COLUMNS:
        setattr(row, column, getattr(entry, column))
    row.operation_type = _operation(place, entry, row.service)
    try:
        row.full_clean(validate_unique=False)
    except ValidationError as error:
        column, said = next(iter(error.message_dict.items()))
        raise _wrong(f"{place}.{column}", " ".join(said)) from error


def _named(place: str, word: str, name: str | None, known: Mapping[str, Any]) -> Any:
    """Return what a file names, or nothing where it names none."""
    if name is not None and name not in known:
        hint = closest(name, sorted(known))
        told = {"word": word, "name": name[:80], "hint": hint}
        raise _wrong(f"{place}.{word}", _("there is no %(word)s %(name)s; %(hint)s") % told)
    return None if name is None else known[name]


def _operation(place: str, entry: EndpointEntry, service: Service) -> str:
    name, connector = canonical(entry.operation_type), CONNECTORS.get(service.connector)
    if connector is None or name not in connector.operations:
        known = list(connector.operations) if connector else []
        told = {"service": service, "name": name[:60], "hint": closest(name, known) if known else ""}
        raise _wrong(f"{place}.operation_type", _("%(service)s cannot do %(name)s; %(hint)s") % told)
    return name


def _pause(entry: EndpointEntry, row: Endpoint, actor: Actor) -> None:
    """Pause or resume as the file says, by the verb: a backup of a paused endpoint does not start it."""
    paused = row.status == Endpoint.Status.PAUSED
    if paused and (entry.paused is None or entry.paused != row.paused_reason):
        run(Endpoint.resume, Selection.ticked(Endpoint, [row.pk]), actor)
        paused = False
    if entry.paused is not None and not paused:
        reason = entry.paused or _("imported as paused")
        run(Endpoint.pause, Selection.ticked(Endpoint, [row.pk]), actor, given={"reason": reason})


def _map(
    place: int, entry: MappingEntry, rows: Mapping[str, Endpoint], versions: Mapping[Any, MappingVersion], actor: Actor
) -> Change:
    where = f"mappings.{place}"
    if entry.endpoint not in rows:
        hint = closest(entry.endpoint, sorted(rows)) if rows else ""
        words = _("there is no endpoint %(name)s; %(hint)s Import the endpoints first.")
        raise _wrong(f"{where}.endpoint", words % {"name": entry.endpoint[:80], "hint": hint})
    try:
        rules_of(entry.fields)
    except WrongMapping as error:
        target, why = next(iter(error.errors.items()))
        raise _wrong(f"{where}.fields.{target}" if target else f"{where}.fields", why) from error
    row = rows[entry.endpoint]
    newest = versions.get(row.pk)
    old = newest.fields if newest else {}
    if newest and old == entry.fields:
        return Change(entry.endpoint)
    row.mapped_by(dict(sorted(entry.fields.items())), actor.name, entry.note)
    told = [
        f"{each.target}: {each.before or '-'} -> {each.after or '-'}"
        for each in changed(differences(old, entry.fields))
    ]
    return Change(entry.endpoint, newest is None, told)


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    return [f"{word}: {before[word]!r} -> {after[word]!r}" for word in after if before[word] != after[word]]
