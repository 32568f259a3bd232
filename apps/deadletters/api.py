"""Dead letters as runbooks 1 and 4 call them: one store behind `/api/dlq` and `/dlq` (S1-43 to S1-46, S4-60 to S4-64)."""

import datetime as dt
from math import ceil
from typing import Annotated, Any
from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from ninja import Router, Status
from pydantic import Field

from apps.actions import running
from apps.actions.actors import Actor
from apps.actions.api import actor_of, answered, found
from apps.actions.models import ActionRun
from apps.actions.permissions import require_view
from apps.actions.running import database_now
from apps.actions.selections import Selection
from apps.actions.tasks import wake_after
from apps.actions.verbs import Invalid, Verb, state_label
from apps.deadletters import backlog
from apps.deadletters.failures import FailureClass
from apps.deadletters.models import DeadLetter, TransientRule
from apps.deadletters.schemas import (
    DlqDone,
    DlqNote,
    DlqPage,
    DlqReason,
    DlqResolved,
    DlqRetriedAll,
    DlqShown,
    DlqStats,
)
from apps.deadletters.stats import stats

router = Router()

PerPage = Annotated[int, Field(ge=1, le=200)]
FURTHEST = 100_000
"""A page beyond that many rows walks too many: narrow the filter, or follow `next` of `/api/dead-letters`."""
BATCH, LOOKED_THROUGH = 1000, 20
"""So many batches of so many rows are looked through for those that may be retried."""
PAGE_WORDS = {"page", "per_page", "limit", "event_type", "days", "error_type"}
"""What the list is asked beside the words of the noun's filter, or in other words than those."""
IN_INBOX = ",".join(DeadLetter.OPEN)
ERROR_TYPES = {
    "transient": (FailureClass.TRANSIENT, FailureClass.UNKNOWN),
    "rate_limited": (FailureClass.RATE_LIMITED,),
    "resource": (FailureClass.QUOTA, FailureClass.DEPENDENCY_DOWN),
}
"""Runbook 4's words for an error type, in our classes; its `permanent` is the rest (contracts §10.2)."""


@router.get("", operation_id="dlq_list", response=DlqPage, summary="List the dead letters, the newest first")
def listing(
    request: HttpRequest,
    event_type: str = "",
    status: str = IN_INBOX,
    error_type: str = "",
    days: Annotated[int | None, Field(ge=1, le=3650)] = None,
    page: Annotated[int, Field(ge=1, le=FURTHEST)] = 1,
    per_page: PerPage = 20,
    limit: PerPage | None = None,
) -> Any:
    """Return those that are unresolved or retrying, or in the status that is named. Takes the words of `/api/dead-letters` too."""
    require_view(actor_of(request), DeadLetter)
    words = {word: str(request.GET[word]) for word in request.GET if word not in PAGE_WORDS}
    words |= {"status": status or IN_INBOX, "title": event_type, **_of_error(error_type)}
    if days is not None:
        words["since"] = (database_now() - dt.timedelta(days=days)).isoformat()
    return _page(Selection.matching(DeadLetter, words), actor_of(request), page, limit or per_page)


def _page(selection: Selection, actor: Actor, page: int, size: int) -> dict[str, Any]:
    first = (page - 1) * size
    if first >= FURTHEST:
        raise Invalid(_("That page lies too far back. Narrow the filter, or follow next of /api/dead-letters."))
    rows = selection.rows(actor)
    total = _total(selection) if set(selection.filters) == {"status"} else rows.count()
    meta = {"current_page": page, "last_page": max(ceil(total / size), 1), "per_page": size, "total": total}
    return {"data": list(rows.order_by("-pk")[first : first + size]), "meta": meta}


def _total(selection: Selection) -> int:
    """Return how many rows stand in the states of a filter: the database keeps that count."""
    counts = backlog.counts()
    return sum(counts[state] for state in set(selection.filters["status"].split(",")))


def _of_error(word: str) -> dict[str, str]:
    """Return the filter for an error type: one of runbook 4's words, or ours to the letter."""
    if word == "permanent":
        passing = {each for classes in ERROR_TYPES.values() for each in classes}
        return {"class": ",".join(each for each in FailureClass if each not in passing)}
    return {"class": ",".join(ERROR_TYPES[word])} if word in ERROR_TYPES else {"type": word}


@router.get("/stats", response=DlqStats, summary="Count the dead letters that wait")
def counted(request: HttpRequest) -> Any:
    """Return the `dead_letter` of `/status`."""
    require_view(actor_of(request), DeadLetter)
    return stats(database_now())


@router.post("/retry-all", response={200: DlqRetriedAll, 202: DlqRetriedAll}, summary="Retry the oldest unresolved")
def retry_all(
    request: HttpRequest, response: HttpResponse, limit: Annotated[int, Field(ge=1, le=1000)] = 100
) -> Status[DlqRetriedAll]:
    """Retry the oldest `limit` of those that may be; what must not be repeated stays for a person."""
    actor, verb = actor_of(request), DeadLetter.retry
    waiting = Selection.matching(DeadLetter, {"status": str(DeadLetter.Status.UNRESOLVED)})
    keys = _oldest(verb, waiting.rows(actor), limit)
    # Where none may move, the run over all of them says why.
    run = _run(verb, Selection.ticked(DeadLetter, keys) if keys else waiting, actor, {})
    words = _("%(moved)s of %(total)s dead letters are on their way again.") % {"moved": run.moved, "total": run.total}
    answer = DlqRetriedAll(message=words, retried=run.moved, total=run.total, action_run=run.pk)
    return answered(run, response, answer)


def _oldest(verb: Verb, rows: QuerySet[Any], limit: int) -> list[UUID]:
    """Return the oldest rows that a verb would move; walks the key, so that what it leaves behind is looked at once."""
    keys: list[UUID] = []
    for _batch in range(LOOKED_THROUGH):
        batch = list(rows.order_by("pk").values_list("pk", flat=True)[:BATCH])
        may = running.movable(verb, DeadLetter.objects.filter(pk__in=batch))
        keys += may.order_by("pk").values_list("pk", flat=True)[: limit - len(keys)]
        if len(keys) == limit or len(batch) < BATCH:
            break
        rows = rows.filter(pk__gt=batch[-1])
    return keys


@router.post(
    "/resolve-transient", response={200: DlqResolved, 202: DlqResolved}, summary="Resolve what passes by itself"
)
def resolve_transient(request: HttpRequest, response: HttpResponse, dry_run: bool = False) -> Status[DlqResolved]:
    """Resolve the unresolved that the rule calls transient (S4-60, S4-63); with `dry_run`, only say how many they are."""
    actor, verb = actor_of(request), DeadLetter.resolve
    selection = Selection.matching(DeadLetter, TransientRule.current().filters(database_now()))
    if dry_run:
        preview = running.preview(verb, selection, actor)
        words = _("%(moving)s of %(total)s would be resolved: %(selection)s.") % {
            "moving": preview.moving,
            "total": preview.total,
            "selection": selection.words(),
        }
        return Status(200, DlqResolved(message=words, resolved=0, total=preview.total, action_run=None))
    run = _run(verb, selection, actor, {"note": _("Transient by the rule: %(rule)s") % {"rule": selection.words()}})
    words = _("%(moved)s of %(total)s dead letters are resolved.") % {"moved": run.moved, "total": run.total}
    return answered(run, response, DlqResolved(message=words, resolved=run.moved, total=run.total, action_run=run.pk))


@router.get("/{id}", response=DlqShown, summary="Show a dead letter with its source")
def show(request: HttpRequest, id: str) -> Any:
    """Return a dead letter, and the masked payload of what failed."""
    return {"data": found(DeadLetter, id, actor_of(request))}


@router.post("/{id}/retry", response=DlqDone, summary="Retry a dead letter")
def retry(request: HttpRequest, id: str, body: DlqNote = DlqNote()) -> DlqDone:  # noqa: B008 # never changed
    """Send its source on its way again. It stays, `retrying`, until that has succeeded."""
    return _on_one(request, id, DeadLetter.retry, body.model_dump())


@router.post("/{id}/archive", response=DlqDone, summary="Archive a dead letter")
def archive(request: HttpRequest, id: str, body: DlqReason = DlqReason()) -> DlqDone:  # noqa: B008 # never changed
    """Put it away. Without a reason the run records that none was given, and by whom."""
    reason = body.reason.strip() or _("no reason given (%(name)s)") % {"name": actor_of(request).name}
    return _on_one(request, id, DeadLetter.archive, {"reason": reason})


@router.post("/{id}/resolve", response=DlqDone, summary="Resolve a dead letter")
def resolve(request: HttpRequest, id: str, body: DlqNote = DlqNote()) -> DlqDone:  # noqa: B008 # never changed
    """Say that it is settled by other means."""
    return _on_one(request, id, DeadLetter.resolve, body.model_dump())


@router.post("/{id}/restore", response=DlqDone, summary="Restore an archived dead letter")
def restore(request: HttpRequest, id: str, body: DlqNote = DlqNote()) -> DlqDone:  # noqa: B008 # never changed
    """Bring it back into the inbox."""
    return _on_one(request, id, DeadLetter.restore, body.model_dump())


def _on_one(request: HttpRequest, id: str, verb: Verb, given: dict[str, str]) -> DlqDone:
    selection = Selection.ticked(DeadLetter, [id])
    run = _run(verb, selection, actor_of(request), given)
    letter = selection.rows().get()
    told = {"verb": verb.label, "row": letter, "state": state_label(DeadLetter, letter.status)}
    words = _("%(verb)s: %(row)s is %(state)s.") % told
    return DlqDone(message=words, event_id=letter.source_id, status=letter.status, action_run=run.pk)


def _run(verb: Verb, selection: Selection, actor: Actor, given: dict[str, str]) -> ActionRun:
    run = running.run(verb, selection, actor, given={word: text for word, text in given.items() if text})
    wake_after(run)
    return run
