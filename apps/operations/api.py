"""The API of operations: handing work in, and the calls of runbook 0 as they are written there (S0-7 to S0-18)."""

from dataclasses import asdict
from functools import partial
from typing import Annotated, Any
from uuid import UUID

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from ninja import Router, Status
from pydantic import Field

from apps.actions import running
from apps.actions.actors import Actor
from apps.actions.api import actor_of, answered, done_many, found, page, routes, with_references
from apps.actions.models import ActionRun
from apps.actions.permissions import require, require_add, require_view
from apps.actions.schemas import Done, DoneMany, pace_of
from apps.actions.selections import Selection
from apps.actions.tasks import wake_after, wake_once
from apps.actions.verbs import Invalid, Refused
from apps.deadletters.models import DeadLetter
from apps.integrations.admission import HANDS_IN
from apps.integrations.unmasking import StillMasked, unmasked
from apps.operations import intake
from apps.operations.backlog import counts
from apps.operations.editing import Sample, Trial, edit_many, edit_of, edit_one, tried
from apps.operations.models import PendingOperation
from apps.operations.payloads import BadRule, DoesNotFit, Rule, changes, check_sendable, checked_rule
from apps.operations.schemas import (
    Accepted,
    AcceptedMany,
    Changed,
    ChangeRow,
    Counts,
    Edited,
    EditedMany,
    FailedPage,
    OperationDetail,
    OperationIn,
    OperationRow,
    OperationsIn,
    OperationsPage,
    Processed,
    RetriedAll,
    SampleRow,
    Tried,
)
from apps.operations.tasks import drain

router = Router()

Limit = Annotated[int, Field(ge=1, le=200)]
BatchSize = Annotated[int | None, Field(ge=1, le=1000)]
FURTHEST = 100_000
"""An offset beyond that walks too many rows: follow `next`."""


@router.post("", response={202: Accepted}, summary="Hand in an operation", openapi_extra=HANDS_IN)
def hand_in(request: HttpRequest, response: HttpResponse, body: OperationIn) -> Status[Accepted]:
    """Take an operation in. It is kept from here on, and delivered as soon as its service lets it."""
    actor = _allowed(request)
    operation = intake.submit(body.wanted(), actor.name)
    response["Location"] = reverse("api:pendingoperation", args=[operation.pk])
    _wake([operation])
    return Status(202, _accepted(operation))


@router.post(
    "/bulk",
    response={202: AcceptedMany},
    summary="Hand in up to 1,000 operations, all or none",
    openapi_extra=HANDS_IN,
)
def hand_in_many(request: HttpRequest, body: OperationsIn) -> Status[AcceptedMany]:
    """Take operations in together. Where one of them cannot be, `errors` names it by its index, and none is."""
    actor = _allowed(request)
    operations = intake.submit_many([one.wanted() for one in body.operations], actor.name)
    _wake(operations)
    ids = [operation.pk for operation in operations]
    return Status(202, AcceptedMany(count=len(ids), ids=ids, notes=intake.why_waiting(operations)))


@router.get("/status", response=Counts, summary="Count the operations")
def status(request: HttpRequest) -> Counts:
    """Say how many operations are pending, processing, completed and failed, archived ones left out."""
    require_view(actor_of(request), PendingOperation)
    return _counts()


@router.get("/list", response=OperationsPage, summary="List operations by status, oldest first")
def listing(
    request: HttpRequest,
    status: str = "pending",
    limit: Limit = 50,
    offset: Annotated[int, Field(ge=0, le=FURTHEST)] = 0,
    after: UUID | None = None,
) -> Any:
    """Return the operations in one status; the pending ones, where none is named."""
    rows = _oldest_first(request, status)
    rows = rows.filter(pk__gt=after) if after else rows[offset:]
    items, further = page(request, rows, limit)
    return {
        "operations": items,
        "count": len(items),
        "status_filter": status.lower(),
        "limit": limit,
        "offset": offset,
        "next": further,
    }


@router.get("/failed/list", response=FailedPage, summary="List the failed operations, oldest first")
def failed(request: HttpRequest, limit: Limit = 50) -> Any:
    """Return the operations that wait for a person."""
    items = list(_oldest_first(request, "failed")[:limit])
    return {"operations": items, "count": len(items)}


@router.post("/process", response={200: Processed, 202: Processed}, summary="Make the pending operations due now")
def process(request: HttpRequest, response: HttpResponse, batch_size: BatchSize = None) -> Status[Processed]:
    """Retry all pending operations, or the oldest `batch_size`: they go out now instead of at their due time."""
    run = _retry(request, "pending", batch_size)
    answer = Processed(
        processed=run.moved,
        succeeded=run.confirmed,
        failed=run.failed_again,
        pending_remaining=_counts().pending,
        started_at=run.started_at or run.created_at,
        completed_at=None,
        error=run.stop_reason or None,
        action_run=run.pk,
    )
    return answered(run, response, answer)


@router.post("/retry-all-failed", response={200: RetriedAll, 202: RetriedAll}, summary="Retry the failed operations")
def retry_all_failed(request: HttpRequest, response: HttpResponse, batch_size: BatchSize = None) -> Status[RetriedAll]:
    """Retry all failed operations, or the oldest `batch_size`. Those whose outcome is unknown stay for a person."""
    run = _retry(request, "failed", batch_size)
    answer = RetriedAll(
        total=run.total,
        reset=run.moved,
        succeeded=run.confirmed,
        failed=run.failed_again,
        error=run.stop_reason or None,
        action_run=run.pk,
    )
    return answered(run, response, answer)


@router.post("/edit", response={200: DoneMany | Tried, 202: DoneMany}, summary="Edit and retry many by one rule")
def edit_by_rule(request: HttpRequest, response: HttpResponse, body: EditedMany) -> Any:
    """Apply a JSON Patch to all payloads of a selection and send them again; what it does not fit stays, by sentence."""
    actor, model = actor_of(request), DeadLetter if body.noun == "dead-letters" else PendingOperation
    require(actor, edit_of(model))
    selection, rule = body.selection(model), _rule(body.rule)
    if body.dry_run:
        return _tried(running.preview(edit_of(model), selection, actor), tried(rule, selection, actor))
    run = edit_many(selection, rule, actor, reason=body.reason, pace=pace_of(body), key=None)
    wake_after(run)
    return answered(run, response, done_many(run))


@router.post("/{id}/edit", response=Done | Changed, summary="Edit one failed operation and retry it")
def edit(request: HttpRequest, id: str, body: Edited) -> Any:
    """Replace the payload and send it again under the same key. `If-Match` takes the `version` that was looked at."""
    actor = actor_of(request)
    require(actor, PendingOperation.edit)
    operation: PendingOperation = found(PendingOperation, id, actor)
    version = _version(request)
    payload = _payload(operation, body.payload)
    if body.dry_run:
        return Changed(changes=[ChangeRow(**asdict(change)) for change in changes(operation.payload, payload)])
    run = edit_one(operation, payload, version, actor, reason=body.reason, key=None)
    wake_after(run)
    operation.refresh_from_db()
    words = {"verb": PendingOperation.edit.label, "row": operation, "state": operation.get_status_display()}
    return Done(message=_("%(verb)s: %(row)s is %(state)s.") % words, action_run=run.pk, status=operation.status)


routes(PendingOperation, OperationRow, router, OperationDetail)


class NoVersion(Refused):
    """An edit must say which version it is of."""

    http_status = 428


def _version(request: HttpRequest) -> str:
    version = request.headers.get("If-Match", "").strip().removeprefix("W/").strip('"')
    if not version:
        raise NoVersion(
            _("Say which version you edit: If-Match takes the version that the operation shows."),
            code="version_required",
        )
    return version


def _payload(operation: PendingOperation, given: dict[str, Any]) -> dict[str, Any]:
    """Return what was given with its true values, once the connector can carry it out."""
    try:
        payload: dict[str, Any] = unmasked(given, operation.payload)
        check_sendable(operation.service, operation.operation_type, payload)
    except (StillMasked, DoesNotFit) as wrong:
        errors = {f"payload.{field}" if field else "payload": said for field, said in wrong.errors.items()}
        raise Invalid(str(wrong), code="cannot_be_sent", errors=errors) from wrong
    if not changes(operation.payload, payload):
        raise Invalid(_("Nothing would change. To send it as it is, retry it."), code="nothing_changed")
    return payload


def _rule(given: list[dict[str, Any]]) -> Rule:
    try:
        return checked_rule(given)
    except BadRule as wrong:
        raise Invalid(str(wrong), code="bad_rule", errors={"rule": [str(wrong)]}) from wrong


def _tried(shown: running.Preview, trial: Trial) -> Tried:
    return Tried(
        total=shown.total,
        moving=shown.moving,
        tried=trial.tried,
        fits=trial.fits,
        refusals=dict(trial.refused),
        samples=[_told_sample(sample) for sample in trial.samples],
    )


def _told_sample(sample: Sample) -> SampleRow:
    changed = changes(sample.row.payload, sample.after) if sample.after is not None else []
    return SampleRow(id=sample.row.pk, changes=[ChangeRow(**asdict(one)) for one in changed], refusal=sample.refusal)


def _allowed(request: HttpRequest) -> Actor:
    actor = actor_of(request)
    require_add(actor, PendingOperation, _("operations"))
    return actor


def _accepted(operation: PendingOperation) -> Accepted:
    return Accepted(
        id=operation.pk,
        status=operation.status,
        operation_type=operation.operation_type,
        service=operation.service.slug,
        queue=operation.queue.slug,
        notes=intake.why_waiting([operation]),
    )


def _wake(operations: list[PendingOperation]) -> None:
    for slug in {operation.queue.slug for operation in operations}:
        transaction.on_commit(partial(wake_once, drain, slug))


def _oldest_first(request: HttpRequest, status: str) -> Any:
    require_view(actor_of(request), PendingOperation)
    rows = Selection.matching(PendingOperation, {"status": status}).rows(actor_of(request))
    return with_references(rows).order_by("pk")


def _retry(request: HttpRequest, status: str, batch_size: int | None) -> ActionRun:
    """Retry all operations in a status, or the oldest of those that may be."""
    actor, verb = actor_of(request), PendingOperation.retry
    selection = Selection.matching(PendingOperation, {"status": status})
    if batch_size is not None:
        legal = selection.rows(actor).annotate(refusal=verb.refusal()).filter(refusal=None).order_by("pk")
        keys = list(legal.values_list("pk", flat=True)[:batch_size])
        # Where none may move, the run over all of them says why.
        selection = Selection.ticked(PendingOperation, keys) if keys else selection
    run = running.run(verb, selection, actor)
    wake_after(run)
    return run


def _counts() -> Counts:
    found = counts()
    return Counts(**found, total=sum(found.values()))
