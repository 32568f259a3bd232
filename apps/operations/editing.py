"""Edit and retry: a payload is changed and its operation sent again, in one transaction, under the key it always had.

One row and many go the same way: an `EditRule` (a JSON Patch) is kept, the verb `edit` runs, `filled` finds what each
locked row becomes, and `edited` keeps the versions.
"""

import datetime as dt
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from django.db import transaction
from django.db.models import Max, QuerySet
from django.utils.translation import gettext as _

from apps.actions.actors import Actor
from apps.actions.models import ActionItem, ActionRun, history_of
from apps.actions.permissions import require
from apps.actions.running import Pace, run
from apps.actions.selections import Selection
from apps.actions.verbs import Acted, FormVerb, Moved, form_verbs_of, kind_of
from apps.deadletters import inbox
from apps.deadletters.models import DeadLetter
from apps.integrations.models import Service
from apps.operations.models import EditRule, PayloadVersion, PendingOperation
from apps.operations.payloads import DoesNotFit, Rule, check_sendable, patched

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
SAMPLES = 3
TRIED = 200
"""A preview tries a rule on so many rows; the run tries it on each."""


def version_of(operation: PendingOperation) -> str:
    """Return what tells a row as it stands from the same row after any move or edit."""
    return str((operation.updated_at - EPOCH) // dt.timedelta(microseconds=1))


def edit_one(
    operation: PendingOperation, payload: Mapping[str, Any], version: str, actor: Actor, *, reason: str, key: str | None
) -> ActionRun:
    """Replace the payload of a failed operation and send it again; `version` is that of the row that was looked at.

    Raises `Refused` where the row has moved or was edited since, or may not be edited; nothing is changed then.
    """
    whole = [{"op": "replace", "path": "", "value": dict(payload)}]
    with transaction.atomic():
        rule = _kept(whole, version)
        given = {"reason": reason, "rule": str(rule.pk)}
        selection = Selection.ticked(PendingOperation, [operation.pk])
        record = run(PendingOperation.edit, selection, actor, given=given, idempotency_key=key)
        rule.delete()  # its content stands in the version
    return record


def edit_many(
    selection: Selection, rule: Rule, actor: Actor, *, reason: str, pace: Pace | None = None, key: str | None = None
) -> ActionRun:
    """Apply one rule to all rows of a selection of operations, or of their dead letters, and send them again.

    A row that the rule does not fit, or whose result its connector refuses, stays as it is and is refused by sentence.
    """
    require(actor, PendingOperation.edit)
    with transaction.atomic():
        given = {"reason": reason, "rule": str(_kept(rule).pk)}
        return run(edit_of(selection.model), selection, actor, given=given, pace=pace, idempotency_key=key)


def edit_of(model: type[Acted]) -> FormVerb:
    """Return the verb that edits the rows of a noun: operations, or their dead letters."""
    return form_verbs_of(model)["edit"]


def _kept(rule: Rule, version: str = "") -> EditRule:
    patch = list(rule)
    id = uuid5(NAMESPACE_URL, json.dumps([patch, version], sort_keys=True))
    return EditRule.objects.get_or_create(pk=id, defaults={"patch": patch, "version": version})[0]


def filled(rows: Sequence[PendingOperation], given: Mapping[str, Any]) -> dict[UUID, dict[str, Any] | str]:
    """Return what each locked row is to be sent as, or why it stays; keep what it was sent as so far."""
    rule = EditRule.objects.filter(pk=given["rule"]).first() if given.get("rule") else None
    if rule is None:
        return {row.pk: _("its rule is no longer kept") for row in rows}
    services = Service.objects.in_bulk({row.service_id for row in rows})
    found = {row.pk: _becomes(row, services[row.service_id], rule) for row in rows}
    _keep_first([row for row in rows if not isinstance(found[row.pk], str)])
    return found


def _becomes(row: PendingOperation, service: Service, rule: EditRule) -> dict[str, Any] | str:
    if rule.version not in ("", version_of(row)):
        return _("another than the one you looked at; look at it again")
    try:
        return {"payload": result_of(row, service, rule.patch)}
    except DoesNotFit as why:
        return _as_refusal(why)


def _as_refusal(why: DoesNotFit) -> str:
    """Return why a row stays, as the record of a run takes it apart: a semicolon has a meaning there."""
    return str(why).removesuffix(".").replace(";", ",")


def result_of(row: PendingOperation, service: Service, rule: Rule) -> dict[str, Any]:
    """Return what a rule makes of a payload; raise `DoesNotFit` where it does not fit, or could not be sent."""
    payload = patched(row.payload, rule)
    if json.dumps(payload, sort_keys=True) == json.dumps(row.payload, sort_keys=True):
        raise DoesNotFit(_("nothing would change"))
    check_sendable(service, row.operation_type, payload)
    return payload


def _keep_first(rows: Sequence[PendingOperation]) -> None:
    """Keep what was handed in, the first time that it is edited."""
    known = set(_versions(rows).values_list("operation_id", flat=True))
    PayloadVersion.objects.bulk_create(
        PayloadVersion(operation=row, number=1, payload=row.payload, made_by=row.source, made_at=row.created_at)
        for row in rows
        if row.pk not in known
    )


def _versions(rows: Sequence[PendingOperation]) -> QuerySet[PayloadVersion]:
    return PayloadVersion.objects.filter(operation__in=[row.pk for row in rows])


def edited(moved: Moved) -> None:
    """Keep the new payloads as versions; the dead letters of what was edited follow, as after any retry."""
    rows = list(moved.rows.order_by("pk").values_list("pk", "payload"))
    last = dict(PayloadVersion.objects.filter(operation__in=moved.ids).values_list("operation").annotate(Max("number")))
    PayloadVersion.objects.bulk_create(
        PayloadVersion(
            operation_id=key,
            number=last[key] + 1,
            payload=payload,
            made_by=moved.actor_name,
            reason=moved.given.get("reason", ""),
            run_id=moved.run_id,
        )
        for key, payload in rows
    )
    inbox.retried(moved)


def happened_since(operation: PendingOperation, version: str) -> ActionItem | None:
    """Return the last thing that was done to a row after it stood at a version, where it left a record."""
    if not version.isdecimal() or len(version) > 18:
        return None
    since = EPOCH + dt.timedelta(microseconds=int(version))
    return history_of(operation.pk).filter(created_at__gt=since).first()


@dataclass(frozen=True)
class Sample:
    """One row that a rule would change: what comes of it, or why it stays."""

    row: PendingOperation
    after: Mapping[str, Any] | None
    refusal: str = ""


@dataclass(frozen=True)
class Trial:
    """What a rule would do to the first rows of a selection, three of them in full."""

    tried: int
    fits: int
    refused: list[tuple[str, int]] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)


def tried(rule: Rule, selection: Selection, actor: Actor) -> Trial:
    """Try a rule on the first rows of a selection that may be edited. Changes nothing."""
    require(actor, PendingOperation.edit)
    results = [_sample(row, rule) for row in editable(selection, actor)[:TRIED]]
    refused = Counter(result.refusal for result in results if result.refusal)
    # Those that stay teach most: one of them is among the three, where there is one.
    shown = sorted(results[:SAMPLES] + [result for result in results[SAMPLES:] if result.refusal][:1], key=_staying)
    return Trial(len(results), len(results) - refused.total(), refused.most_common(), shown[:SAMPLES])


def _staying(sample: Sample) -> bool:
    return not sample.refusal


def _sample(row: PendingOperation, rule: Rule) -> Sample:
    try:
        return Sample(row, result_of(row, row.service, rule))
    except DoesNotFit as why:
        return Sample(row, None, _as_refusal(why))


def editable(selection: Selection, actor: Actor) -> QuerySet[Any]:
    """Return the operations that a selection of operations or of dead letters means, as far as they may be edited."""
    rows: QuerySet[Any] = selection.rows(actor)
    if selection.model is DeadLetter:
        letters = rows.annotate(refusal=DeadLetter.edit.refusal()).filter(refusal=None)
        letters = letters.filter(source_kind=kind_of(PendingOperation))
        rows = PendingOperation.objects.filter(pk__in=letters.values("source_id"))
    legal: QuerySet[Any] = rows.annotate(refusal=PendingOperation.edit.refusal()).filter(refusal=None)
    return legal.select_related("service").order_by("pk")


def unused_rules(rows: "QuerySet[EditRule]") -> "QuerySet[EditRule]":
    """Leave out the rules of edits that are still under way (apps/jobs/catalogue.py: KEPT)."""
    ended = (ActionRun.Status.FINISHED, ActionRun.Status.CANCELLED)
    open_runs = ActionRun.objects.filter(given__has_key="rule").exclude(status__in=ended)
    return rows.exclude(pk__in=[run.given["rule"] for run in open_runs.only("given")])
