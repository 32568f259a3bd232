"""Trying a mapping before it is kept: what it makes of an event, beside what the version in force makes of it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.utils.translation import gettext as _

from apps.actions.actors import Actor
from apps.actions.selections import Selection
from apps.integrations import bodies
from apps.integrations.mapping import parted
from apps.integrations.masking import masked
from apps.integrations.models import Endpoint, EventSource, IntegrationEvent, MappingVersion
from apps.integrations.routing import Trial, context_of, tried

ADDED, CHANGED, REMOVED = "added", "changed", "removed"
NOWHERE = object()
SAMPLES, LOOKED_THROUGH = 20, 5000
"""So many stored events are offered to try a mapping on, and so many of the newest are looked through for a beginning."""


@dataclass(frozen=True)
class Told:
    """Who told an event that was pasted."""

    slug: str


@dataclass(frozen=True)
class Sample:
    """An event to try a mapping on."""

    source: Told
    event_type: str
    subject: str
    data: Any


@dataclass(frozen=True)
class Line:
    """One field of the payload: its rule, what it gives on this event, and what it gave before."""

    target: str
    rule: str
    change: str = ""
    result: str = ""
    before: str = ""
    error: str = ""
    left_out: bool = False


@dataclass(frozen=True)
class Comparison:
    """What a mapping makes of an event."""

    trial: Trial
    lines: list[Line] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    """What stands against it, beside the errors of single fields."""

    @property
    def good(self) -> bool:
        """Whether an operation would be made."""
        return self.trial.applies and not self.failures and not any(line.error for line in self.lines)


def pasted(text: str, source: str, event_type: str) -> Sample:
    """Read an event that somebody pasted: whole, with its type and `data`, or its data alone. Raises `Unreadable`."""
    value = bodies.read(text.encode())
    whole = value if isinstance(value, dict) and "data" in value else {"data": value}
    return Sample(
        source=Told(str(whole.get("source", source))),
        event_type=str(whole.get("type", event_type.rstrip("*"))),
        subject=str(whole.get("subject", "")),
        data=whole["data"],
    )


def stored(actor: Actor, source: str, pattern: str) -> list[IntegrationEvent]:
    """Return the newest events that an endpoint would take by source and type, as far as the actor may see them."""
    rows = IntegrationEvent.objects.visible_to(actor).filter(data__isnull=False)
    if source:
        rows = rows.filter(source__in=EventSource.objects.filter(slug=source))
    if pattern.endswith("*"):  # no index finds a beginning in the order of time: look through the newest
        newest = rows.order_by("-id").values("pk")[:LOOKED_THROUGH]
        rows = rows.filter(pk__in=newest, event_type__startswith=pattern.removesuffix("*"))
    else:
        rows = rows.filter(event_type=pattern)
    return list(rows.only("event_type", "subject", "received_at").order_by("-id")[:SAMPLES])


def stored_one(actor: Actor, key: str) -> IntegrationEvent | None:
    """Return one stored event, or nothing where there is none that the actor may see."""
    if not key:
        return None
    rows = Selection.ticked(IntegrationEvent, [key]).rows(actor)
    return rows.select_related("source").only("event_type", "subject", "data", "source__slug").first()


def compared(endpoint: Endpoint, fields: Any, before: MappingVersion | None, sample: Any) -> Comparison:
    """Return what these fields make of an event, line by line, beside what an earlier version makes of it."""
    context = context_of(sample)
    rules, wrong = parted(fields)
    trial = tried(endpoint, rules, context)
    errors = wrong | trial.mapped.errors
    old = before.fields if before else {}
    earlier = tried(endpoint, parted(old)[0], context).mapped.payload if before else {}
    new = fields if isinstance(fields, dict) else {}
    lines = [
        Line(
            target=each.target,
            rule=each.after or each.before,
            change=each.change if before else "",
            result=_shown(trial.mapped.payload, each.target),
            before=_shown(earlier, each.target),
            error=errors.pop(each.target, "") if each.target in new else "",
            left_out=each.target in trial.mapped.left_out,
        )
        for each in differences(old, new)
    ]
    told = [*errors.values(), *trial.errors.values()]
    return Comparison(trial, lines, [*told, *([trial.refusal] if trial.refusal and not wrong else [])])


@dataclass(frozen=True)
class Difference:
    """How the rule of one field changed."""

    target: str
    before: str
    after: str
    change: str


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Difference]:
    """Return every field of two mappings, in their order, with its rule before and after."""
    return [_difference(target, old.get(target), new.get(target)) for target in sorted({*old, *new})]


def changed(found: Sequence[Difference]) -> list[Difference]:
    """Return the differences that are some."""
    return [each for each in found if each.change]


def rule_words(entry: Any) -> str:
    """Return a rule as people read it."""
    if not isinstance(entry, dict):
        return ""
    if "value" in entry:
        return _("always %(value)s") % {"value": json.dumps(masked(entry["value"]), ensure_ascii=False)}
    words = str(entry.get("from", ""))
    return _("%(expression)s, or left out") % {"expression": words} if entry.get("optional") else words


def _difference(target: str, old: Any, new: Any) -> Difference:
    change = ADDED if old is None else REMOVED if new is None else CHANGED if old != new else ""
    return Difference(target, rule_words(old), rule_words(new), change)


def _shown(payload: Mapping[str, Any], target: str) -> str:
    """Return what stands at a target, masked as every payload is; nothing where nothing stands there."""
    found: Any = payload
    for part in target.split("."):
        found = found.get(part, NOWHERE) if isinstance(found, Mapping) else NOWHERE
    if found is NOWHERE:
        return ""
    name = target.rpartition(".")[2]
    return json.dumps(masked({name: found})[name], ensure_ascii=False)
